package acme_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// What an issuance leaves behind when it ends early: a CA that takes three seconds to
// look must find the answers, or the order and one of the few failures that each name
// may have are lost.

// A busyCA really validates, after three seconds, and counts the failures.
type busyCA struct {
	*fixture
	failures atomic.Int64
	order    *acme.Order // the last one
}

func newBusyCA(t *testing.T, o acmetest.Options) *busyCA {
	t.Helper()
	solver := new(http01.Solver)
	ca := &busyCA{}
	validate := acmetest.ValidateHTTP01(solver)
	o.ValidationTime = 3 * time.Second
	o.Validate = func(ctx context.Context, v acmetest.Validation) error {
		err := validate(ctx, v)
		if err != nil {
			ca.failures.Add(1)
		}
		return err
	}
	ca.fixture = newFixture(t, o)
	ca.solver = solver
	return ca
}

// obtain tries and fails, with ten minutes, while the CA's clock goes on.
func (ca *busyCA) obtain(ctx context.Context, req acme.CertificateRequest) error {
	ca.Helper()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	other := ca.newClient().Account(ca.key, ca.account.URL())
	for _, second := range []time.Duration{4, 11} { // at requests, the CA looks at its clock
		time.AfterFunc(second*time.Second, func() { _, _ = other.Info(context.Background()) })
	}
	start := time.Now()
	_, err := ca.account.Obtain(acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { ca.order = o }}), req)
	if took := time.Since(start); err == nil || took > 12*time.Second {
		ca.Errorf("%v after %v", err, took)
	}
	pass(15 * time.Second)
	return err
}

// goesOn completes the order, with all names.
func (ca *busyCA) goesOn(req acme.CertificateRequest) {
	ca.Helper()
	ca.fault(nil)
	if _, err := ca.account.Complete(acme.IgnoreRateLimits(ca.Context()), &acme.Order{URL: ca.order.URL}, req); err != nil || ca.failures.Load() > 0 {
		ca.Errorf("%d validations have failed; %v", ca.failures.Load(), err)
	}
}

// nth is a fault of one request of a kind that has a payload, or has none.
func nth(kind acmetest.Kind, payload bool, n int, fault acmetest.Fault) func(acmetest.Request) *acmetest.Fault {
	return func(r acmetest.Request) *acmetest.Fault {
		if r.Kind == kind && (len(r.Payload) > 0) == payload {
			if n--; n == 0 {
				return &fault
			}
		}
		return nil
	}
}

// After an error that lets the order be, the order can be completed.
func TestAnswersStayWhileTheServerLooks(t *testing.T) {
	t.Parallel()
	unavailable := acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"15"}}}
	for name, tt := range map[string]struct {
		options acmetest.Options
		names   int // 3, if it is not said
		fault   func(acmetest.Request) *acmetest.Fault
	}{
		"a reading":              {fault: nth(acmetest.KindOrder, false, 3, unavailable)},
		"a limited reading":      {fault: nth(acmetest.KindOrder, false, 3, acmetest.RateLimited(time.Hour))},
		"an odd reading":         {fault: nth(acmetest.KindOrder, false, 2, acmetest.Fault{Status: 200, Body: []byte(`[]`)})},
		"not before the end":     {options: acmetest.Options{RetryAfter: "86400"}},
		"an answer that is late": {fault: nth(acmetest.KindChallenge, true, 3, unavailable)},
		"an answer that was heard": {names: 1, fault: acmetest.Faults(
			nth(acmetest.KindChallenge, true, 1, acmetest.Fault{Edit: func(int, http.Header, []byte) (int, []byte) { return 503, nil }}),
			nth(acmetest.KindChallenge, false, 1, unavailable))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ca := newBusyCA(t, tt.options)
				ca.fault(tt.fault)
				req := ca.request(names(cmp.Or(tt.names, 3))...)
				req.Concurrency = 1
				_ = ca.obtain(t.Context(), req)
				ca.goesOn(req)
			})
		})
	}
}

// A solver that fails leaves the others' answers until they were looked at: what is
// valid then is so for the next order.
func TestAnswersStayWhenASolverFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ca := newBusyCA(t, acmetest.Options{})
		down := errors.New("provider is down")
		broken := testSolver{
			supports: always(acme.DNS01).Supports,
			present: func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
				pass(time.Second)
				return nil, down
			},
		}
		req := ca.request(append(names(3), "*.example.com")...)
		req.Solvers = []acme.Solver{ca.solver, broken}
		if err := ca.obtain(t.Context(), req); !errors.Is(err, down) || ca.failures.Load() > 0 || len(ca.ca.Authorizations("valid")) != 3 {
			t.Errorf("%d validations have failed, %d succeeded: %v", ca.failures.Load(), len(ca.ca.Authorizations("valid")), err)
		}
	})
}

// A time that came with an authorization before its challenge was answered does not
// hide that it failed, nor what else could be tried.
func TestRetryAfterOfAnotherState(t *testing.T) {
	t.Parallel()
	for name, stuck := range map[string]bool{"order invalid": false, "order pending": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ValidationTime: 2 * time.Second})
				pending := editing(func(m map[string]any) {
					if m["status"] == "invalid" {
						m["status"] = "pending"
						delete(m, "error")
					}
				}, acmetest.KindOrder)
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					switch {
					case r.Kind == acmetest.KindAuthorization:
						return &acmetest.Fault{Header: http.Header{"Retry-After": {"86400"}}}
					case stuck:
						return pending(r)
					}
					return nil
				})
				req := f.request("a.example.com")
				req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
				ctx, cancel := contextWithTimeout(t, 10*time.Minute)
				defer cancel()
				if _, err := f.account.Obtain(ctx, req); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A hook that panics, under somebody who recovers, leaves nothing behind.
func TestCleanupAfterAPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		solver := &recorder{Solver: f.solver}
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{solver}
		func() {
			defer func() { _ = recover() }()
			seen := 0
			ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderStatus: func(*acme.Order) {
				if seen++; seen == 2 {
					panic("hook")
				}
			}})
			_, err := f.account.Obtain(ctx, req)
			t.Errorf("no panic, but %v", err)
		}()
		solver.check(t)
	})
}
