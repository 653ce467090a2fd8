package challengetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// A memory is a solver that keeps its answers in memory, and how often each is
// wanted. It is what a solver should be; broken ones are made from it.
type memory struct {
	typ     acme.ChallengeType
	byName  bool          // a server can find one answer for each name, the newest
	release chan struct{} // when closed, ends what hangs

	mu      sync.Mutex
	answers map[key]int
	newest  map[string]key // by name
}

// A key is what a server looks for.
type key struct {
	name, keyAuthorization string
}

func keyOf(a *acme.Attempt) key { return key{a.Identifier.Value, string(a.KeyAuthorization)} }

func newMemory(typ acme.ChallengeType) *memory {
	return &memory{
		typ: typ, byName: typ == acme.TLSALPN01, release: make(chan struct{}),
		answers: make(map[key]int), newest: make(map[string]key),
	}
}

func (m *memory) Supports(a *acme.Attempt) bool {
	return a.Challenge.Type == m.typ && m.supportsIdentifier(a)
}

func (m *memory) supportsIdentifier(a *acme.Attempt) bool {
	if m.typ == acme.DNS01 {
		return a.Identifier.Type == acme.TypeDNS
	}
	return (a.Identifier.Type == acme.TypeDNS || a.Identifier.Type == acme.TypeIP) && !a.Wildcard
}

func (m *memory) Present(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	m.add(batch)
	return func(context.Context) error { m.remove(batch); return nil }, nil
}

func (m *memory) add(batch []*acme.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range batch {
		m.answers[keyOf(a)]++
		m.newest[a.Identifier.Value] = keyOf(a)
	}
}

func (m *memory) remove(batch []*acme.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range batch {
		if m.answers[keyOf(a)]--; m.answers[keyOf(a)] == 0 {
			delete(m.answers, keyOf(a))
		}
	}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.answers)
}

// isTaken reports whether there is another answer for a name of the batch.
func (m *memory) isTaken(batch []*acme.Attempt) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range batch {
		if newest := m.newest[a.Identifier.Value]; m.answers[newest] > 0 && newest != keyOf(a) {
			return true
		}
	}
	return false
}

// probe looks for an answer.
func (m *memory) probe(_ context.Context, a *acme.Attempt) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.answers[keyOf(a)] <= 0:
		return errors.New("no answer")
	case m.byName && m.newest[a.Identifier.Value] != keyOf(a):
		return fmt.Errorf("another answer for %s", a.Identifier)
	}
	return nil
}

// A composed solver is made of functions.
type composed struct {
	supports func(*acme.Attempt) bool
	present  func(context.Context, []*acme.Attempt) (acme.Cleanup, error)
}

func (c composed) Supports(a *acme.Attempt) bool { return c.supports(a) }

func (c composed) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	return c.present(ctx, batch)
}

// supporting is m with another Supports.
func (m *memory) supporting(f func(*acme.Attempt) bool) acme.Solver { return composed{f, m.Present} }

// presenting is m with another Present.
func (m *memory) presenting(f func(context.Context, []*acme.Attempt) (acme.Cleanup, error)) acme.Solver {
	return composed{m.Supports, f}
}

// beforehand is m with something that Present does before all else.
func (m *memory) beforehand(f func(context.Context, []*acme.Attempt)) acme.Solver {
	return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
		f(ctx, batch)
		return m.Present(ctx, batch)
	})
}

// cleaning is m with another cleanup. The first context is that of Present.
func (m *memory) cleaning(f func(presenting, ctx context.Context, batch []*acme.Attempt) error) acme.Solver {
	return m.presenting(func(presenting context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
		m.add(batch)
		return func(ctx context.Context) error { return f(presenting, ctx, batch) }, nil
	})
}

func isHostile(batch []*acme.Attempt) bool {
	return strings.Contains(batch[len(batch)-1].Challenge.Token, "/")
}
