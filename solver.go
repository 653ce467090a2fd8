package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// A Solver fulfils challenges: it makes the server find what it will look for.
// The packages below challenge/ have some; challenge/challengetest tests any.
//
// A Solver must be safe for concurrent use: several orders may be under way at
// once, also for the same identifier, and also for the same challenge, since two
// orders may share an authorization. An answer stays until both have cleaned up.
// A Solver that can give one answer for a name only (tls-alpn-01) lets the second
// order wait, refuses it, or lets the newest win.
type Solver interface {
	// Supports reports whether the solver takes an attempt. It must not block,
	// and must not keep or change a. The solver that is first in the caller's
	// list and supports one of an authorization's challenges gets it.
	Supports(a *Attempt) bool

	// Present provisions the responses to a batch: all attempts of one order
	// that go to this solver, in one call, so that it can write a zone once and
	// wait for propagation once. A batch may have two attempts for one
	// identifier, that of a name and that of its wildcard. Present returns when
	// the server may look, or when ctx ends, which it must heed. It may set
	// Response of the attempts, and nothing else of them.
	//
	// What it provisions stays until the cleanup is called. ctx is for the call
	// alone, and may end as soon as it returns.
	//
	// A cleanup that is not nil is called exactly once, when the server does not
	// look any more, also if err is not nil: with both, Present can report a
	// failure half way and still undo the first half. A nil cleanup says that
	// nothing is left behind.
	Present(ctx context.Context, batch []*Attempt) (cleanup Cleanup, err error)
}

// A Cleanup undoes what Present did, down to the last goroutine. As a closure it
// can carry what it needs for that, such as the identifiers of records. Its
// context is alive even if that of Present is not, for a minute, and it must
// return when that ends. Its error is logged and traced, and never costs a
// certificate.
type Cleanup func(context.Context) error

// An Attempt is one attempt to fulfil one challenge for one identifier. It
// prints without the token and the key authorization.
type Attempt struct {
	AccountURL       string
	Identifier       Identifier // without "*.", even of a wildcard's
	Wildcard         bool
	Challenge        *Challenge
	KeyAuthorization KeyAuthorization // §8.1; empty if the challenge has no token
	Thumbprint       string           // of the account key (RFC 7638), for types whose token is in parts
	Response         any              // what to answer the challenge with, set by the solver; nil stands for {} (§7.5.1)
}

// String names the challenge type and the identifier.
func (a Attempt) String() string {
	if a.Challenge == nil {
		return a.name()
	}
	return quoteIfOdd(string(a.Challenge.Type)) + " for " + a.name()
}

// name returns the identifier as it was ordered.
func (a *Attempt) name() string {
	if a.Wildcard {
		return "*." + a.Identifier.String()
	}
	return a.Identifier.String()
}

// GoString names the challenge type and the identifier.
func (a Attempt) GoString() string { return "acme.Attempt(" + a.String() + ")" }

// LogValue names the challenge type and the identifier.
func (a Attempt) LogValue() slog.Value { return slog.StringValue(a.String()) }

// MarshalJSON names the challenge type and the identifier, for logs.
func (a Attempt) MarshalJSON() ([]byte, error) { return json.Marshal(a.String()) }

// Each makes a Solver of a function for a single attempt, which is called for
// all attempts of a batch at once, 8 at a time. So are the cleanups, all of them,
// even when their context has ended.
func Each(supports func(*Attempt) bool, present func(context.Context, *Attempt) (Cleanup, error)) Solver {
	return each{supports, present}
}

type each struct {
	supports func(*Attempt) bool
	present  func(context.Context, *Attempt) (Cleanup, error)
}

func (e each) Supports(a *Attempt) bool { return e.supports(a) }

func (e each) Present(ctx context.Context, batch []*Attempt) (Cleanup, error) {
	cleanups := make([]Cleanup, len(batch))
	errs := make([]error, len(batch))
	ended := concurrently(ctx, make(chan struct{}, defaultConcurrency), len(batch), func(i int) error {
		cleanups[i], errs[i] = e.present(ctx, batch[i])
		return nil // all get their turn
	})
	err := errors.Join(errs...)
	if err == nil {
		err = ended // some may not have been started
	}
	return func(ctx context.Context) error {
		errs := make([]error, len(cleanups))
		all := context.WithoutCancel(ctx) // what a cleanup frees in memory needs no time
		_ = concurrently(all, make(chan struct{}, defaultConcurrency), len(cleanups), func(i int) error {
			if cleanups[i] != nil {
				errs[i] = cleanups[i](ctx)
			}
			return nil // all get their turn
		})
		return errors.Join(append(errs, contextError(ctx))...) // some may have lacked the time
	}, err
}

// Checked makes a Solver that looks before the server does: after s has presented
// a batch it calls check for each attempt, 8 at a time, and fails if one would not
// pass, so that a misconfiguration costs no failed validation. The error Is
// [ErrCheckFailed], and tells for each such attempt what was found.
//
// The packages of the challenge types have functions for it, as http01.Check and
// tlsalpn01.Check, which look from this machine, as well as that can be done: a
// firewall may let it in and the server not, or the other way round.
func Checked(s Solver, check func(context.Context, *Attempt) error) Solver {
	return checked{s, check}
}

type checked struct {
	Solver
	check func(context.Context, *Attempt) error
}

func (c checked) Present(ctx context.Context, batch []*Attempt) (Cleanup, error) {
	cleanup, err := c.Solver.Present(ctx, batch)
	if err != nil {
		return cleanup, err
	}
	errs := make([]error, len(batch))
	ended := concurrently(ctx, make(chan struct{}, defaultConcurrency), len(batch), func(i int) error {
		if err := c.check(ctx, batch[i]); err != nil {
			errs[i] = fmt.Errorf("%w: %s: %w", ErrCheckFailed, batch[i], err)
		}
		return nil // all get their turn
	})
	if ended != nil {
		return cleanup, ended // which is why checks have failed
	}
	return cleanup, errors.Join(errs...)
}

const defaultConcurrency = 8 // Let's Encrypt admits a burst of 10 newNonce requests

// concurrently calls f(0) … f(n-1), as many at once as slots has room, and
// returns when all calls have. After an error or the end of ctx no more are
// started, and the first error, or ctx's, is returned.
func concurrently(ctx context.Context, slots chan struct{}, n int, f func(i int) error) error {
	var wg sync.WaitGroup
	failed := make(chan error, n)
	call := func(i int) {
		defer func() { <-slots }()
		if ctx.Err() != nil || len(failed) > 0 {
			return
		}
		if err := f(i); err != nil {
			failed <- err
		}
	}
	for i := range n {
		select {
		case slots <- struct{}{}:
			wg.Go(func() { call(i) })
		case <-ctx.Done():
		}
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return contextError(ctx)
	}
}

// checkSolvers finds a solver that is nil, forgotten or from a condition: the
// first that shows is a crash with an order half done.
func checkSolvers(solvers []Solver) error {
	if i := slices.Index(solvers, nil); i >= 0 {
		return fmt.Errorf("%w: number %d of %d", ErrNilSolver, i+1, len(solvers))
	}
	return nil
}
