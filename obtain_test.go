package acme_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// verify checks that a certificate is for names and chains up to the CA.
func (f *fixture) verify(cert *acme.Certificate, names ...string) {
	f.Helper()
	chain, err := cert.Chain()
	if err != nil {
		f.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, c := range chain[1:] {
		pool.AddCert(c)
	}
	for _, name := range names {
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: f.ca.Roots(), Intermediates: pool}); err != nil {
			f.Errorf("%s: %v", name, err)
		}
	}
	if !f.certKey.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(chain[0].PublicKey) {
		f.Error("the certificate is for another key")
	}
}

func TestObtain(t *testing.T) {
	conformance.Claim(t, "8555-7.1.6-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Second, IssuanceTime: time.Second})
		cert, err := f.account.Obtain(t.Context(), f.request("example.com", "Bücher.example", "www.EXAMPLE.com."))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "example.com", "xn--bcher-kva.example", "www.example.com")
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
	})
}

// Every kind of account key works, a key store's too.
func TestObtainWithEveryKey(t *testing.T) {
	conformance.Claim(t, "8555-8.1-01", "8555-6.2-07", "8555-6.2-17", "8555-6.2-18", "7518-3.4-02")
	t.Parallel()
	for name, key := range accountKeys() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				var err error
				if f.account, err = f.client.NewAccount(t.Context(), key, acme.AccountRequest{}); err != nil {
					t.Fatal(err)
				}
				if _, err := f.account.Obtain(t.Context(), f.request("example.com")); err != nil {
					t.Fatal(err)
				}
				for _, r := range f.ca.Requests() {
					if alg, _, _ := strings.Cut(name, " "); r.Protected != nil && !strings.Contains(string(r.Protected), `"alg":"`+alg+`"`) {
						t.Errorf("%s: protected %s", r.Kind, r.Protected)
					}
				}
			})
		})
	}
}

// A recorder is a solver that notes what happens to it.
type recorder struct {
	acme.Solver
	mu       sync.Mutex
	batches  [][]string
	cleanups int
	dead     int // cleanups with a context that had ended
	err      error
}

func (r *recorder) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	cleanup, err := r.Solver.Present(ctx, batch)
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, a := range batch {
		names = append(names, a.String())
	}
	slices.Sort(names)
	r.batches = append(r.batches, names)
	return func(ctx context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cleanups++
		if ctx.Err() != nil {
			r.dead++
		}
		return errors.Join(r.err, cleanup(ctx))
	}, err
}

// check fails unless each batch was cleaned up exactly once, under a live
// context.
func (r *recorder) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cleanups != len(r.batches) || r.dead != 0 {
		t.Errorf("%d batches, %d cleanups, %d of them with a dead context", len(r.batches), r.cleanups, r.dead)
	}
}

// always supports one type of challenge and leaves the answering to the CA's
// good will.
func always(kind acme.ChallengeType) acme.Solver {
	return testSolver{
		supports: func(a *acme.Attempt) bool { return a.Challenge.Type == kind },
		present: func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
			return func(context.Context) error { return nil }, nil
		},
	}
}

// failing validates nothing of a type, and all else.
func failing(kinds ...acme.ChallengeType) func(context.Context, acmetest.Validation) error {
	return func(_ context.Context, v acmetest.Validation) error {
		if slices.Contains(kinds, acme.ChallengeType(v.Type)) {
			return &acmetest.Problem{Type: string(acme.ErrConnection), Detail: "no answer from " + v.Identifier.Value}
		}
		return nil
	}
}

// One batch a solver and order, in the caller's order of preference.
func TestBatches(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-06")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		http01, dns01 := &recorder{Solver: always(acme.HTTP01)}, &recorder{Solver: always(acme.DNS01)}
		req := f.request("example.com", "*.example.com", "www.example.com")
		req.Solvers = []acme.Solver{http01, dns01}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(http01.batches); got != "[[http-01 for example.com http-01 for www.example.com]]" {
			t.Errorf("http-01 batches: %v", got)
		}
		if got := fmt.Sprint(dns01.batches); got != "[[dns-01 for *.example.com]]" {
			t.Errorf("dns-01 batches: %v", got)
		}
		http01.check(t)
		dns01.check(t)

		// The other preference; a name and its wildcard are in one batch.
		http01.batches, dns01.batches, http01.cleanups, dns01.cleanups = nil, nil, 0, 0
		req = f.request("other.example", "*.other.example")
		req.Solvers = []acme.Solver{dns01, http01}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(dns01.batches, http01.batches); got != "[[dns-01 for *.other.example dns-01 for other.example]] []" {
			t.Errorf("batches: %v", got)
		}
		dns01.check(t)
	})
}

// Different solvers work side by side: the slower one sets the time.
func TestSolversInParallel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		slow := func(kind acme.ChallengeType, d time.Duration) acme.Solver {
			s := always(kind).(testSolver)
			s.present = func(ctx context.Context, _ []*acme.Attempt) (acme.Cleanup, error) {
				select {
				case <-time.After(d):
					return nil, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return s
		}
		req := f.request("example.com", "*.example.com")
		req.Solvers = []acme.Solver{slow(acme.HTTP01, 20*time.Second), slow(acme.DNS01, 30*time.Second)}
		start := time.Now()
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("took %v, want 30s", took)
		}
	})
}

// A failed authorization ends its order; another type is tried with another.
func TestFallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ReuseAuthorizations: true})
		http01, dns01 := &recorder{Solver: always(acme.HTTP01)}, &recorder{Solver: always(acme.DNS01)}
		req := f.request("a.example.com", "*.b.example.com")
		req.Solvers = []acme.Solver{http01, dns01}
		cert, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com", "x.b.example.com")
		if got := f.ca.Count(acmetest.KindNewOrder); got != 2 {
			t.Errorf("%d orders, want 2", got)
		}
		if got := fmt.Sprint(http01.batches, dns01.batches); got != "[[http-01 for a.example.com]] [[dns-01 for *.b.example.com] [dns-01 for a.example.com]]" {
			t.Errorf("batches: %v", got)
		}
		http01.check(t)
		dns01.check(t)
	})
}

// When nothing is left to try, there is no further order, and the error has all
// that failed.
func TestFallbackEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01, acme.DNS01)})
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
		_, err := f.account.Obtain(t.Context(), req)
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 2 || !errors.Is(err, acme.ErrConnection) {
			t.Fatalf("got %v, want both failures", err)
		}
		for i, kind := range []acme.ChallengeType{acme.HTTP01, acme.DNS01} {
			z, ok := errors.AsType[*acme.AuthorizationError](failed.Failures[i])
			if !ok || z.Challenge.Type != kind || z.Authorization.Identifier.Value != "a.example.com" {
				t.Errorf("failure %d: %v", i, failed.Failures[i])
			}
		}
		if got := f.ca.Count(acmetest.KindNewOrder); got != 2 {
			t.Errorf("%d orders, want 2", got)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
	})
}

// A second order that is refused does not hide why the first one failed.
func TestFallbackKeepsFirstFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(acmetest.FaultSequence(acmetest.KindNewOrder, acmetest.Fault{}, acmetest.RateLimited(time.Hour)))
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
		_, err := f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrConnection) || !errors.Is(err, acme.ErrRateLimited) {
			t.Errorf("got %v, want both", err)
		}
	})
}

// A solver that fails leaves the field to the next.
func TestFallbackAfterSolverError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		down := errors.New("provider is down")
		broken := &recorder{Solver: testSolver{
			supports: always(acme.DNS01).Supports,
			present: func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
				return func(context.Context) error { return nil }, down
			},
		}}
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{broken}
		_, err := f.account.Obtain(t.Context(), req)
		s, ok := errors.AsType[*acme.SolverError](err)
		if !ok || !errors.Is(err, down) || len(s.Attempts) != 1 || !strings.Contains(err.Error(), "dns-01 solver failed for a.example.com: provider is down") {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
		req.Solvers = []acme.Solver{broken, always(acme.HTTP01)}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Error(err)
		}
		broken.check(t)
	})
}

// The error names every identifier that failed and why, also those that fail
// after the order is invalid; what is left pending is deactivated.
func TestErrorNamesAllFailures(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-07", "8555-6.7-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{
			ValidationTime: time.Second,
			Validate: func(_ context.Context, v acmetest.Validation) error {
				if strings.HasPrefix(v.Identifier.Value, "bad") {
					return &acmetest.Problem{Type: string(acme.ErrDNS), Detail: "NXDOMAIN looking up " + v.Identifier.Value}
				}
				return nil
			},
		})
		_, err := f.account.Obtain(t.Context(), f.request("good.example.com", "bad1.example.com", "bad2.example.com"))
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 2 || !errors.Is(err, acme.ErrDNS) {
			t.Fatalf("got %v", err)
		}
		for _, want := range []string{"authorization for bad1.example.com is invalid: http-01 invalid: dns: ", "NXDOMAIN looking up bad2.example.com"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in %q", want, err)
			}
		}
		if strings.Contains(err.Error(), "good") {
			t.Errorf("the good name is in %q", err)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
	})
}

func TestNoSolver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com", "*.b.example.com"))
		n, ok := errors.AsType[*acme.NoSolverError](err)
		if !ok || !n.Authorization.Wildcard || !strings.Contains(err.Error(), "no solver for *.b.example.com: the server offers dns-01") {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Count(acmetest.KindChallenge); got != 0 {
			t.Errorf("%d challenges were answered", got)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
		if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
			t.Errorf("%d orders", got)
		}
	})
}

// A token that is not base64url reaches no solver (CVE-2026-40611).
func TestHostileTokens(t *testing.T) {
	conformance.Claim(t, "8555-8.1-03", "8555-6.1-06")
	t.Parallel()
	for _, token := range []string{"../../etc/passwd", `..\x`, "a b", "a\x00", "a=", "ä", "."} {
		t.Run(token, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
					if m["status"] == "pending" {
						for _, c := range m["challenges"].([]any) {
							c.(map[string]any)["token"] = token
						}
					}
				})))
				asked := false
				req := f.request("a.example.com")
				req.Solvers = []acme.Solver{testSolver{supports: func(*acme.Attempt) bool { asked = true; return true }}}
				_, err := f.account.Obtain(t.Context(), req)
				if !errors.Is(err, acme.ErrInvalidToken) || asked {
					t.Errorf("got %v, solver asked: %v", err, asked)
				}
			})
		})
	}
}

// Failed clean-ups are told, and cost nothing.
func TestCleanupErrorCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		r := &recorder{Solver: f.solver, err: errors.New("record is gone")}
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{r}
		var told error
		ctx := acme.WithTrace(t.Context(), &acme.Trace{CleanedUp: func(_ []*acme.Attempt, err error) { told = err }})
		if _, err := f.account.Obtain(ctx, req); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(told, r.err) {
			t.Errorf("told %v", told)
		}
		r.check(t)
	})
}

// Cancellation at any request returns at once, has cleaned up, and keeps the
// order: it can be completed afterwards.
func TestCancelAnywhere(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		done := false
		ok := t.Run(fmt.Sprint("request ", n), func(t *testing.T) {
			synctestRun(t, func(t *testing.T) {
				// The CA validates without looking: where it would look, a
				// cancelled order fails, since the solver has cleaned up.
				f := newFixture(t, acmetest.Options{Validate: failing(), Latency: 50 * time.Millisecond, ValidationTime: 500 * time.Millisecond, IssuanceTime: 500 * time.Millisecond})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				cause := errors.New("shutting down")
				var at time.Time
				f.fault(acmetest.FaultAt(n, acmetest.Fault{Delay: 10 * time.Second}))
				var o *acme.Order
				ctx = acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(created *acme.Order) { o = created }})
				r := &recorder{Solver: f.solver}
				req := f.request("a.example.com", "b.example.com")
				req.Solvers = []acme.Solver{r}
				timer := time.AfterFunc(3*time.Second, func() { at = time.Now(); cancel(cause) })
				_, err := f.account.Obtain(ctx, req)
				if timer.Stop() {
					if err != nil {
						t.Fatal(err)
					}
					done = true
					return
				}
				if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
					t.Errorf("got %v, want the cancellation and its cause", err)
				}
				if took := time.Since(at); took > 100*time.Millisecond {
					t.Errorf("returned after %v", took)
				}
				r.check(t)
				if o == nil {
					return
				}
				// A new process goes on with the stored order.
				f.fault(nil)
				account := f.newClient().Account(f.key, f.account.URL())
				o, err = account.Order(t.Context(), o.URL)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := account.Complete(t.Context(), o, f.request()); err != nil {
					t.Errorf("going on: %v", err)
				}
				if got := len(f.ca.Issued()); got != 1 {
					t.Errorf("%d certificates were issued", got)
				}
			})
		})
		if !ok || done {
			if n < 10 {
				t.Errorf("only %d requests were cancelled", n)
			}
			return
		}
	}
}

// Cancelling while a solver presents.
func TestCancelDuringPresent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cleaned := 0
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{testSolver{
			supports: f.solver.Supports,
			present: func(ctx context.Context, _ []*acme.Attempt) (acme.Cleanup, error) {
				<-ctx.Done()
				return func(ctx context.Context) error { cleaned++; return ctx.Err() }, errors.New("interrupted half way")
			},
		}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.account.Obtain(ctx, req)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "interrupted half way") || cleaned != 1 {
			t.Errorf("got %v, cleaned up %d times", err, cleaned)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 1 {
			t.Errorf("pending: %v; the order is to be kept", got)
		}
	})
}

// A deadline in the middle of a wait says what was waited for.
func TestDeadlineWhileWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		w, ok := errors.AsType[*acme.WaitError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || w.Status != acme.StatusPending || !strings.Contains(w.URL, "/order/") {
			t.Errorf("got %v", err)
		}
	})
}

// A server that wants to be asked after the deadline is not waited for, but for some
// seconds, in which it can look at what is there.
func TestRetryAfterBeyondDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour, RetryAfter: "86400"}) // ZeroSSL
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		w, ok := errors.AsType[*acme.WaitError](err)
		if !ok || !errors.Is(err, context.DeadlineExceeded) || !w.RetryAfter.Equal(start.Add(24*time.Hour)) || time.Since(start) > 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// Complete goes on from every state of an order.
func TestComplete(t *testing.T) {
	t.Parallel()
	for _, status := range []acme.Status{acme.StatusPending, acme.StatusReady, acme.StatusProcessing, acme.StatusValid} {
		t.Run(string(status), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: 100 * time.Millisecond, IssuanceTime: 100 * time.Millisecond})
				o := f.order("a.example.com")
				if status != acme.StatusPending {
					if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
						t.Fatal(err)
					}
				}
				if status == acme.StatusProcessing || status == acme.StatusValid {
					csr, err := acme.NewCSR(f.certKey)(t.Context(), o.Identifiers)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := f.account.FinalizeOrder(t.Context(), o, csr); err != nil {
						t.Fatal(err)
					}
				}
				if status == acme.StatusValid {
					if _, err := f.account.WaitOrder(t.Context(), o.URL, acme.StatusValid); err != nil {
						t.Fatal(err)
					}
				}
				f.account = f.newClient().Account(f.key, f.account.URL())
				o, err := f.account.Order(t.Context(), o.URL)
				if err != nil || o.Status != status {
					t.Fatalf("status %s, want %s: %v", o.Status, status, err)
				}
				f.ca.Reset()
				cert, err := f.account.Complete(t.Context(), o, f.request())
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				if f.ca.Count(acmetest.KindNewOrder) != 0 || len(f.ca.Issued()) != 1 {
					t.Errorf("%d new orders, %d certificates", f.ca.Count(acmetest.KindNewOrder), len(f.ca.Issued()))
				}
			})
		})
	}
}

func TestCompleteInvalidOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		o := f.order("a.example.com")
		err := f.account.Authorize(t.Context(), o, f.solver)
		if !errors.Is(err, acme.ErrConnection) {
			t.Fatal(err)
		}
		if o, err = f.account.Order(t.Context(), o.URL); err != nil {
			t.Fatal(err)
		}
		_, err = f.account.Complete(t.Context(), o, f.request())
		oe, ok := errors.AsType[*acme.OrderError](err)
		if !ok || oe.Order.URL != o.URL || !strings.Contains(err.Error(), "is invalid") {
			t.Errorf("got %v, want an OrderError", err)
		}
		if err := f.account.Authorize(t.Context(), o, f.solver); !errors.As(err, &oe) {
			t.Errorf("got %v, want an OrderError", err)
		}
	})
}

// A program whose configuration has changed since it died does not get the
// certificate of before, and knows why.
func TestCompleteOrderOfOthers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		asked []string
		want  error
	}{
		"the same":            {[]string{"B.example.com.", "a.example.com"}, nil},
		"none: a literal":     {nil, nil},
		"fewer":               {[]string{"b.example.com"}, nil},
		"one more":            {[]string{"a.example.com", "b.example.com", "c.example.com"}, acme.ErrOrderMismatch},
		"others":              {[]string{"c.example.com"}, acme.ErrOrderMismatch},
		"the wildcard of one": {[]string{"*.a.example.com", "b.example.com"}, acme.ErrOrderMismatch},
		"no name":             {[]string{"a example.com"}, acme.ErrInvalidIdentifier},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				stored := f.order("a.example.com", "b.example.com").URL
				read, err := f.account.Order(t.Context(), stored)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range []*acme.Order{read, {URL: stored}} {
					cert, err := f.account.Complete(t.Context(), o, f.request(tt.asked...))
					if !errors.Is(err, tt.want) {
						t.Fatalf("got %v, want %v", err, tt.want)
					}
					if tt.want == nil {
						f.verify(cert, "a.example.com", "b.example.com")
					} else if len(f.ca.Issued()) != 0 || !strings.Contains(err.Error(), stored) {
						t.Errorf("%d certificates, %v", len(f.ca.Issued()), err)
					}
				}
			})
		})
	}
}

// Finalizing when an answer is lost, or the order is not as ready as it said.
func TestFinalizeIsLookedUp(t *testing.T) {
	t.Parallel()
	notReady := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrOrderNotReady), Status: 403}}
	for name, tt := range map[string]struct {
		faults    []acmetest.Fault
		finalizes int // that the CA acted upon or refused
		ok        bool
		sync      bool // also with a CA that issues at once
	}{
		"answer lost":           {[]acmetest.Fault{{LoseResponse: true}}, 1, true, true},
		"request lost":          {[]acmetest.Fault{{LoseRequest: true}}, 2, true, true},
		"request lost twice":    {[]acmetest.Fault{{LoseRequest: true}, {LoseRequest: true}}, 3, true, false},
		"500 and no effect":     {[]acmetest.Fault{{Status: 500}}, 2, true, false},
		"502 of a proxy":        {[]acmetest.Fault{{Edit: func(int, http.Header, []byte) (int, []byte) { return 502, nil }}}, 1, true, false},
		"truncated":             {[]acmetest.Fault{{Truncate: true}}, 1, true, false},
		"200 without a body":    {[]acmetest.Fault{{Edit: func(int, http.Header, []byte) (int, []byte) { return 200, nil }}}, 1, true, false},
		"not ready after all":   {[]acmetest.Fault{notReady, notReady}, 3, true, false},
		"always lost":           {slices.Repeat([]acmetest.Fault{{LoseRequest: true}}, 50), 4, false, false},
		"bad CSR":               {[]acmetest.Fault{{Problem: &acmetest.Problem{Type: string(acme.ErrBadCSR)}}}, 1, false, false},
		"201 (enterprise CA)":   {[]acmetest.Fault{{Edit: func(_ int, _ http.Header, b []byte) (int, []byte) { return 201, b }}}, 1, true, false},
		"already issued (lost)": {[]acmetest.Fault{{LoseResponse: true}, notReady}, 1, true, false},
	} {
		for _, issuance := range []time.Duration{0, 100 * time.Millisecond} {
			if issuance == 0 && !tt.sync {
				continue
			}
			t.Run(fmt.Sprint(name, " ", issuance), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{PreValidated: true, IssuanceTime: issuance, OmitLocation: true})
					f.fault(acmetest.FaultSequence(acmetest.KindFinalize, tt.faults...))
					cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
					if (err == nil) != tt.ok {
						t.Fatalf("got %v", err)
					}
					if got := f.ca.Count(acmetest.KindFinalize); got != tt.finalizes {
						t.Errorf("%d finalize requests, want %d", got, tt.finalizes)
					}
					if tt.ok {
						f.verify(cert, "a.example.com")
						if got := len(f.ca.Issued()); got != 1 {
							t.Errorf("%d certificates", got)
						}
					}
					f.checkNonces()
				})
			})
		}
	}
}

// A finalized order that looks ready for a while is not finalized again
// (golang/go#52597).
func TestFinalizedOrderLooksReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: 2 * time.Second})
		stale := acmetest.EditJSON(func(m map[string]any) { m["status"] = "ready"; delete(m, "certificate") })
		f.fault(acmetest.Faults(
			acmetest.FaultOnce(acmetest.KindFinalize, stale),
			acmetest.FaultSequence(acmetest.KindOrder, acmetest.Fault{}, stale, stale),
		))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(acmetest.KindFinalize); got != 1 {
			t.Errorf("finalized %d times", got)
		}
	})
}

// The certificate must be the one that was asked for.
func TestCertificateIsChecked(t *testing.T) {
	conformance.Claim(t, "8555-11.4-02")
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(f *fixture, pem []byte) []byte
		want error
	}{
		"another key": {func(f *fixture, _ []byte) []byte {
			req := f.request("a.example.com")
			req.CSR = acme.NewCSR(newKey(f.T))
			return f.obtainElsewhere(req)
		}, acme.ErrCertificateMismatch},
		"other names": {func(f *fixture, _ []byte) []byte { return f.obtainElsewhere(f.request("b.example.com")) }, acme.ErrCertificateMismatch},
		"a private key": {func(_ *fixture, pem []byte) []byte {
			return append(pem, "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n"...)
		}, acme.ErrInvalidChain},
		"a damaged private key": {func(_ *fixture, pem []byte) []byte {
			return append([]byte("-----BEGIN PRIVATE KEY-----\n"), pem...)
		}, acme.ErrInvalidChain},
		"a damaged certificate": {func(_ *fixture, pem []byte) []byte { return pem[:len(pem)-40] }, acme.ErrInvalidChain},
		"rubbish in a block": {func(*fixture, []byte) []byte {
			return []byte("-----BEGIN CERTIFICATE-----\nMHc=\n-----END CERTIFICATE-----\n")
		}, acme.ErrInvalidChain},
		"nothing":   {func(*fixture, []byte) []byte { return nil }, acme.ErrInvalidChain},
		"HTML":      {func(*fixture, []byte) []byte { return []byte("<html>hello</html>") }, acme.ErrInvalidChain},
		"200 times": {func(_ *fixture, pem []byte) []byte { return slices.Repeat(pem, 100) }, acme.ErrInvalidChain},
		"text around": {func(_ *fixture, pem []byte) []byte {
			return slices.Concat([]byte("Issuer: us\n\n"), pem, []byte("\nbye"))
		}, nil},
		"no final line": {func(_ *fixture, pem []byte) []byte { return pem[:len(pem)-1] }, nil},
		"CRLF":          {func(_ *fixture, pem []byte) []byte { return []byte(strings.ReplaceAll(string(pem), "\n", "\r\n")) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true})
				var other []byte // made before the faults begin
				if errors.Is(tt.want, acme.ErrCertificateMismatch) {
					other = tt.edit(f, nil)
				}
				f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{
					Header: http.Header{"Content-Type": nil},
					Edit: func(status int, _ http.Header, body []byte) (int, []byte) {
						if other != nil {
							return status, other
						}
						return status, tt.edit(f, body)
					},
				}))
				cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if err == nil {
					f.verify(cert, "a.example.com")
				}
			})
		})
	}
}

// obtainElsewhere gets a certificate from the same CA, for another request.
func (f *fixture) obtainElsewhere(req acme.CertificateRequest) []byte {
	f.Helper()
	cert, err := f.account.Obtain(f.Context(), req)
	if err != nil {
		f.Fatal(err)
	}
	return cert.PEM
}

// Let's Encrypt's replicas may not have a certificate at once.
func TestCertificateNotFoundAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultKind(acmetest.KindCertificate, 5, acmetest.Fault{Status: 404}))
		start := time.Now()
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Status: 404}))
		start = time.Now()
		_, err := f.account.Obtain(t.Context(), f.request("b.example.com"))
		if problemIn(t, err).Status != 404 || time.Since(start) > 16*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestChainChoice(t *testing.T) {
	t.Parallel()
	second := func(chains iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
		n := 0
		for c, err := range chains {
			if err != nil {
				continue
			}
			if n++; n == 2 {
				return c
			}
		}
		return nil
	}
	for name, tt := range map[string]struct {
		choose    func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate
		fault     acmetest.Fault
		downloads int
		alternate bool
	}{
		"default":            {nil, acmetest.Fault{}, 1, false},
		"none wanted":        {func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate { return nil }, acmetest.Fault{}, 1, false},
		"second":             {second, acmetest.Fault{}, 2, true},
		"second fails":       {second, acmetest.Fault{Status: 403}, 3, true},
		"second is no chain": {second, acmetest.Fault{Body: []byte("<html>")}, 3, true},
		"not one of the list": {func(iter.Seq2[*acme.Certificate, error]) *acme.Certificate {
			return &acme.Certificate{PEM: []byte("x")}
		}, acmetest.Fault{}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true, AlternateChains: 2})
				f.fault(acmetest.FaultSequence(acmetest.KindCertificate, acmetest.Fault{}, tt.fault))
				req := f.request("a.example.com")
				req.Chain = tt.choose
				cert, err := f.account.Obtain(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				f.verify(cert, "a.example.com")
				if got := f.ca.Count(acmetest.KindCertificate); got != tt.downloads {
					t.Errorf("%d downloads, want %d", got, tt.downloads)
				}
				chain, err := cert.Chain()
				if err != nil {
					t.Fatal(err)
				}
				if got := chain[len(chain)-1].CheckSignatureFrom(f.ca.Root(0)) != nil; got != tt.alternate {
					t.Errorf("alternate: %v, want %v", got, tt.alternate)
				}
			})
		})
	}
}

// Authorizations that are valid already need no solver, and their challenges
// are not answered (it would deadlock Pebble).
func TestValidAuthorizationsAreLeftAlone(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-08")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ReuseAuthorizations: true})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		f.ca.Reset()
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com", "b.example.com")); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(acmetest.KindChallenge); got != 1 {
			t.Errorf("%d challenges answered, want that of b.example.com", got)
		}
		f.ca.Reset()
		req := f.request("a.example.com", "b.example.com")
		req.Solvers = nil
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Error(err)
		}
	})
}

// step-ca leaves order and authorization pending after a challenge failed: the
// answer to the challenge counts.
func TestOrderPendingForEver(t *testing.T) {
	conformance.Claim(t, "8555-7.5.1-09")
	t.Parallel()
	stuck := acmetest.EditJSON(func(m map[string]any) {
		if m["status"] == "invalid" {
			m["status"] = "pending"
		}
	})
	for _, validation := range []time.Duration{0, time.Second} {
		t.Run(validation.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ValidationTime: validation})
				f.fault(acmetest.Faults(
					acmetest.FaultAlways(acmetest.KindOrder, stuck),
					acmetest.FaultAlways(acmetest.KindAuthorization, stuck),
				))
				start := time.Now()
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if _, ok := errors.AsType[*acme.AuthorizationError](err); !ok || !errors.Is(err, acme.ErrConnection) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// A challenge that comes back pending with an error is answered again, some
// times (§8.2): step-ca, when it cannot connect.
func TestRevalidation(t *testing.T) {
	t.Parallel()
	for _, failures := range []int{1, 3, 100} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				answers := 0
				problem := map[string]any{"type": string(acme.ErrConnection), "detail": "refused"}
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					switch {
					case r.Kind == acmetest.KindChallenge && answers < failures:
						answers++
						return &acmetest.Fault{Status: 200, Body: []byte(`{"type":"http-01","status":"pending","error":{"type":"` + string(acme.ErrConnection) + `"},"url":"x"}`)}
					case r.Kind == acmetest.KindAuthorization && answers > 0 && answers <= failures:
						fault := acmetest.EditJSON(func(m map[string]any) {
							for _, c := range m["challenges"].([]any) {
								if c := c.(map[string]any); c["type"] == "http-01" && c["status"] == "pending" {
									c["error"] = problem
								}
							}
						})
						return &fault
					}
					return nil
				})
				start := time.Now()
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if (err == nil) != (failures <= 3) {
					t.Fatalf("got %v", err)
				}
				if err != nil && (!errors.Is(err, acme.ErrConnection) || answers != 4) {
					t.Errorf("got %v after %d answers", err, answers)
				}
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// Another order made the authorization valid between reading and answering.
func TestChallengeRefusedAsAuthorizationIsValid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultKind(acmetest.KindChallenge, 1, acmetest.Fault{Edit: func(int, http.Header, []byte) (int, []byte) {
			return 400, []byte(`{"type":"urn:ietf:params:acme:error:malformed"}`)
		}}))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindChallenge, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Detail: "not yours"}}))
		_, err := f.account.Obtain(t.Context(), f.request("b.example.com"))
		z, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || !errors.Is(err, acme.ErrUnauthorized) || z.Err == nil || !strings.Contains(err.Error(), "not yours") {
			t.Errorf("got %v", err)
		}
	})
}

// An order that comes with an authorization that is no good any more: Let's
// Encrypt once, ZeroSSL.
func TestReusedOrderWithInvalidAuthorization(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 100} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultKind(acmetest.KindAuthorization, times, acmetest.EditJSON(func(m map[string]any) { m["status"] = "invalid" })))
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if (err == nil) != (times == 1) {
					t.Errorf("got %v", err)
				}
				if got := f.ca.Count(acmetest.KindNewOrder); got != 2 {
					t.Errorf("%d orders, want 2", got)
				}
			})
		})
	}
}

// Errors that are no failed authorization keep the order alive.
func TestTransientErrorsKeepTheOrder(t *testing.T) {
	t.Parallel()
	for _, kind := range []acmetest.Kind{acmetest.KindAuthorization, acmetest.KindChallenge, acmetest.KindOrder, acmetest.KindFinalize, acmetest.KindCertificate} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(kind, acmetest.RateLimited(time.Hour)))
				var o *acme.Order
				ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(created *acme.Order) { o = created }})
				_, err := f.account.Obtain(ctx, f.request("a.example.com"))
				if !errors.Is(err, acme.ErrRateLimited) || problemIn(t, err).RetryAfter.IsZero() {
					t.Fatalf("got %v", err)
				}
				if got := f.ca.Authorizations("deactivated"); len(got) != 0 {
					t.Errorf("deactivated: %v", got)
				}
				f.fault(nil)
				pass(time.Hour)
				if o, err = f.account.Order(t.Context(), o.URL); err != nil {
					t.Fatal(err)
				}
				if _, err := f.account.Complete(t.Context(), o, f.request()); err != nil {
					t.Errorf("later: %v", err)
				}
			})
		})
	}
}

// More authorizations than identifiers, or the same one twice.
func TestAuthorizationsAreNotIdentifiers(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.EditJSON(func(m map[string]any) {
			urls := m["authorizations"].([]any)
			m["authorizations"] = append(urls, urls...)
		})))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(acmetest.KindChallenge); got != 1 {
			t.Errorf("%d answers", got)
		}
	})
}

func TestBadRequestsOfObtain(t *testing.T) {
	conformance.Claim(t, "8555-11.1-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		ctx := t.Context()
		noCSR := f.request("a.example.com")
		noCSR.CSR = nil
		noSolver := f.request("a.example.com")
		noSolver.Solvers = append(noSolver.Solvers, nil)
		accountCSR := f.request("a.example.com")
		accountCSR.CSR = acme.NewCSR(f.key)
		failing := f.request("a.example.com")
		offline := errors.New("HSM is offline")
		failing.CSR = func(context.Context, []acme.Identifier) ([]byte, error) { return nil, offline }
		other := f.request("a.example.com")
		other.CSR = func(ctx context.Context, _ []acme.Identifier) ([]byte, error) {
			return acme.NewCSR(f.certKey)(ctx, acme.DNS("b.example.com"))
		}
		garbage := f.request("a.example.com")
		garbage.CSR = func(context.Context, []acme.Identifier) ([]byte, error) { return []byte("CSR"), nil }
		asPEM := f.request("a.example.com")
		asPEM.CSR = func(ctx context.Context, ids []acme.Identifier) ([]byte, error) {
			der, err := acme.NewCSR(f.certKey)(ctx, ids)
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), err
		}
		if _, err := f.account.Obtain(ctx, asPEM); !errors.Is(err, acme.ErrCSRMismatch) || !strings.Contains(err.Error(), "it is PEM, and DER is wanted") {
			t.Errorf("CSR as PEM: %v", err)
		}
		for name, tt := range map[string]struct {
			req  acme.CertificateRequest
			want error
			sent bool
		}{
			"no CSR":          {noCSR, acme.ErrNoCSR, false},
			"nil solver":      {noSolver, acme.ErrNilSolver, false},
			"no identifiers":  {f.request(), acme.ErrNoIdentifiers, false},
			"duplicate":       {f.request("a.example.com", "A.EXAMPLE.com."), acme.ErrDuplicateIdentifier, false},
			"account key":     {accountCSR, acme.ErrAccountKeyInCSR, true},
			"CSR fails":       {failing, offline, true},
			"CSR of others":   {other, acme.ErrCSRMismatch, true},
			"CSR is garbage":  {garbage, acme.ErrCSRMismatch, true},
			"not even a name": {f.request("https://a.example.com/"), acme.ErrInvalidIdentifier, false},
		} {
			f.ca.Reset()
			_, err := f.account.Obtain(ctx, tt.req)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
			if !tt.sent && f.ca.Count("") != 0 || f.ca.Count(acmetest.KindFinalize) != 0 {
				t.Errorf("%s: %v was sent", name, f.kinds())
			}
		}
		if _, err := f.account.Complete(ctx, &acme.Order{URL: "u"}, noCSR); !errors.Is(err, acme.ErrNoCSR) {
			t.Errorf("Complete without a CSR: %v", err)
		}
		if err := f.account.Authorize(ctx, f.order("a.example.com"), f.solver, nil); !errors.Is(err, acme.ErrNilSolver) {
			t.Errorf("Authorize with a nil solver: %v", err)
		}
		if _, err := f.account.Order(ctx, ""); !errors.Is(err, acme.ErrInsecureURL) || !strings.Contains(err.Error(), "it is empty") {
			t.Errorf("Order without a URL: %v", err)
		}
		for name, a := range map[string]struct {
			account *acme.Account
			want    error
		}{
			"no key":           {f.client.Account(nil, "https://ca.test/acct/1"), acme.ErrNoKey},
			"no URL":           {f.client.Account(f.key, ""), acme.ErrNoAccountURL},
			"no directory URL": {(&acme.Client{}).Account(f.key, "https://ca.test/acct/1"), acme.ErrNoDirectoryURL},
		} {
			if _, err := a.account.Obtain(ctx, f.request("a.example.com")); !errors.Is(err, a.want) {
				t.Errorf("%s: got %v, want %v", name, err, a.want)
			}
		}
	})
}

func TestEach(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		var mu sync.Mutex
		presented, cleaned := 0, 0
		bad := errors.New("no such zone")
		solver := acme.Each(always(acme.HTTP01).Supports, func(_ context.Context, a *acme.Attempt) (acme.Cleanup, error) {
			mu.Lock()
			defer mu.Unlock()
			presented++
			if strings.HasPrefix(a.Identifier.Value, "bad") {
				return nil, fmt.Errorf("%s: %w", a.Identifier, bad)
			}
			return func(context.Context) error { mu.Lock(); defer mu.Unlock(); cleaned++; return nil }, nil
		})
		req := f.request(names(30)...)
		req.Solvers = []acme.Solver{solver}
		if _, err := f.account.Obtain(t.Context(), req); err != nil || presented != 30 || cleaned != 30 {
			t.Errorf("presented %d, cleaned %d: %v", presented, cleaned, err)
		}
		presented, cleaned = 0, 0
		req.OrderRequest.Identifiers = acme.DNS("good.example.com", "bad.example.com")
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, bad) || cleaned != 1 {
			t.Errorf("cleaned %d: %v", cleaned, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		cleanup, err := solver.Present(ctx, []*acme.Attempt{{Identifier: acme.DNS("a")[0]}})
		if !errors.Is(err, context.Canceled) || cleanup == nil || cleanup(t.Context()) != nil {
			t.Errorf("cancelled: %v", err)
		}
		batch := make([]*acme.Attempt, 30)
		for i, id := range acme.DNS(names(30)...) {
			batch[i] = &acme.Attempt{Identifier: id}
		}
		if cleanup, err = solver.Present(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		cleaned = 0
		if err := cleanup(ctx); !errors.Is(err, context.Canceled) || cleaned != 30 {
			t.Errorf("with a context that has ended: cleaned %d: %v", cleaned, err)
		}
	})
}

func TestIPIdentifiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		req := f.request("a.example.com")
		req.OrderRequest.Identifiers = append(req.OrderRequest.Identifiers, acme.IP(addr("192.0.2.1"), addr("2001:db8:0:0::1"), addr("::ffff:192.0.2.2"))...)
		cert, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example.com", "192.0.2.1", "2001:db8::1", "192.0.2.2")
		chain, _ := cert.Chain()
		if cn := chain[0].Subject.CommonName; cn != "" {
			t.Errorf("common name %q", cn)
		}
	})
}

func TestOrderRequestMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Profiles: map[string]string{"short": "short-lived"}})
		req := f.request("a.example.com")
		start := time.Now().Truncate(time.Second).Add(time.Minute)
		req.OrderRequest.NotBefore, req.OrderRequest.NotAfter, req.OrderRequest.Profile = start, start.Add(time.Hour), "short"
		cert, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if chain, _ := cert.Chain(); !chain[0].NotAfter.Equal(req.OrderRequest.NotAfter) {
			t.Errorf("not after %v, want %v", chain[0].NotAfter, req.OrderRequest.NotAfter)
		}
		dir, err := f.client.Directory(t.Context())
		if err != nil || dir.Meta.Profiles["short"] != "short-lived" {
			t.Errorf("profiles %v: %v", dir.Meta.Profiles, err)
		}
		req.OrderRequest.Profile = "long"
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrInvalidProfile) {
			t.Errorf("got %v, want invalidProfile", err)
		}
	})
}
