package challengetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

// How long a call may take, in real time, before it counts as hanging. A solver
// that works never comes near.
const (
	shortPatience = 5 * time.Second // for Supports, and what is given an ended context
	longPatience  = 2 * time.Minute
	cleanupTime   = time.Minute // what the library gives a cleanup
)

// A subject is a solver under test, with what a check of it needs.
type subject struct {
	solver acme.Solver
	probe  func(context.Context, *acme.Attempt) error
	typ    acme.ChallengeType
	kinds  []kind // that the solver supports, the plainest first
	label  string // of the goroutines that call the solver

	serial atomic.Int64
	mu     sync.Mutex
	orders []*order
}

// discover asks for the kinds of identifiers that the solver supports. Its error
// is for a call that did not end as it should.
func (s *subject) discover(ctx context.Context) ([]kind, error) {
	var supported []kind
	for _, k := range kinds(s.typ) {
		yes, err := s.supports(ctx, s.attemptOf(k))
		if err != nil {
			return nil, err
		}
		if yes {
			supported = append(supported, k)
		}
	}
	return supported, nil
}

// has reports whether the solver supports a kind of identifier.
func (s *subject) has(kindName string) bool {
	return slices.ContainsFunc(s.kinds, func(k kind) bool { return k.name == kindName })
}

// attemptOf returns an attempt for an identifier of a kind that was not there
// yet.
func (s *subject) attemptOf(k kind) *acme.Attempt {
	n := s.serial.Add(1)
	return NewAttempt(s.typ, k.nth(n), newToken(n))
}

// attempt returns an attempt for a new identifier of the plainest kind.
func (s *subject) attempt() *acme.Attempt { return s.attemptOf(s.kinds[0]) }

// attempts returns n attempts for new identifiers, of all kinds in turn.
func (s *subject) attempts(n int) []*acme.Attempt {
	all := make([]*acme.Attempt, n)
	for i := range all {
		all[i] = s.attemptOf(s.kinds[i%len(s.kinds)])
	}
	return all
}

// supports calls Supports.
func (s *subject) supports(ctx context.Context, a *acme.Attempt) (bool, error) {
	return watch(ctx, s, "Supports", shortPatience, func(context.Context) bool { return s.solver.Supports(a) })
}

// look calls the probe: it returns nil if the answer to a is there, and the
// probe's error if not. The second error is for a probe that panicked.
func (s *subject) look(ctx context.Context, a *acme.Attempt) (absent, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the probe panicked for %s, which is not the solver's fault: "+
				"it must return an error for an attempt that it cannot look for (token %s): %s",
				a, clip(fmt.Sprintf("%q", a.Challenge.Token)), clip(fmt.Sprint(p)))
		}
	}()
	return s.probe(ctx, a), nil
}

// answered returns an error if the answer to a is not there.
func (s *subject) answered(ctx context.Context, a *acme.Attempt) error {
	absent, err := s.look(ctx, a)
	if err == nil && absent != nil {
		err = fmt.Errorf("%s is not answered: the probe says: %s", a, clip(absent.Error()))
	}
	return err
}

// unanswered returns an error if the answer to a is there.
func (s *subject) unanswered(ctx context.Context, a *acme.Attempt) error {
	if s.typ == acme.DNSPersist01 || s.typ == acme.EmailReply00 {
		return nil // it is there to stay, or it was sent
	}
	absent, err := s.look(ctx, a)
	if err == nil && absent == nil {
		err = fmt.Errorf("%s is answered, says the probe (token %s)", a, clip(fmt.Sprintf("%q", a.Challenge.Token)))
	}
	return err
}

// close cleans up what a check that failed has left, so that solvers which share
// something, a port say, do not fail after it.
func (s *subject) close(ctx context.Context) {
	for _, o := range s.orders {
		if !o.undone {
			_ = o.undo(ctx, shortPatience) // the check has failed already
		}
	}
}
