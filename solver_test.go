package acme_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// What a check finds wrong never reaches the server, and is told of each
// identifier; what was presented is cleaned up.
func TestChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		nothing := errors.New("found nothing")
		var seen atomic.Int64
		inner := &recorder{Solver: f.solver}
		checked := acme.Checked(inner, func(_ context.Context, a *acme.Attempt) error {
			seen.Add(1)
			if strings.HasPrefix(a.Identifier.Value, "bad") {
				return fmt.Errorf("port 80: %w", nothing)
			}
			return nil
		})
		req := f.request(names(30)...)
		req.Solvers = []acme.Solver{checked}
		if _, err := f.account.Obtain(t.Context(), req); err != nil || seen.Load() != 30 {
			t.Errorf("%d checks: %v", seen.Load(), err)
		}
		inner.check(t)
		f.ca.Reset()

		seen.Store(0)
		req.OrderRequest.Identifiers = acme.DNS("bad1.example.com", "good.example.com", "bad2.example.com")
		_, err := f.account.Obtain(t.Context(), req)
		failed, ok := errors.AsType[*acme.SolverError](err)
		if !ok || len(failed.Attempts) != 3 || !errors.Is(err, acme.ErrCheckFailed) || !errors.Is(err, nothing) {
			t.Errorf("got %v", err)
		}
		for _, want := range []string{"http-01 for bad1.example.com: port 80: found nothing", "http-01 for bad2.example.com: port 80: found nothing"} {
			if !strings.Contains(fmt.Sprint(err), want) || strings.Contains(err.Error(), "http-01 for good") {
				t.Errorf("%q is not in %v", want, err)
			}
		}
		if n := len(f.answers()); n != 0 || seen.Load() != 3 {
			t.Errorf("%d answers, %d checks", n, seen.Load())
		}
		inner.check(t)

		// The next solver gets its turn.
		req.Solvers = append(req.Solvers, always(acme.DNS01))
		f.ca.Update(func(o *acmetest.Options) { o.Validate = failing() })
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Errorf("with another solver: %v", err)
		}
	})
}

// A check that takes long ends with the context, and that is what is told.
func TestCheckedIsCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{acme.Checked(f.solver, func(ctx context.Context, _ *acme.Attempt) error {
			<-ctx.Done()
			return errors.New("no answer")
		})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.account.Obtain(ctx, req); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, acme.ErrCheckFailed) {
			t.Errorf("got %v", err)
		}
	})
}

// A Solver that is checked keeps the promises of the one that it was.
func TestCheckedKeepsTheContract(t *testing.T) {
	t.Parallel()
	var solver *http01.Solver
	served := func(ctx context.Context, a *acme.Attempt) error {
		if w := ask(solver, "example.com", a.Challenge.Token, "192.0.2.1:80"); w.Code != 200 || w.Body.String() != string(a.KeyAuthorization) {
			return fmt.Errorf("status %d", w.Code)
		}
		return ctx.Err()
	}
	challengetest.TestSolver(t, func(testing.TB) acme.Solver {
		solver = new(http01.Solver)
		return acme.Checked(solver, served)
	}, func(_ context.Context, a *acme.Attempt) error { return served(context.Background(), a) })
}
