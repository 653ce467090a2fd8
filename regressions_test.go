package acme_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// Defects that this library had, each with the smallest server that shows it.

// answering is a fault that lets the CA act, and then answers something else.
func answering(status int, body string) acmetest.Fault {
	return acmetest.Fault{Edit: func(int, http.Header, []byte) (int, []byte) { return status, []byte(body) }}
}

// busy is a server that wants to be left alone for an hour.
func busy() acmetest.Fault {
	return acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"3600"}}}
}

// failedAtOnce answers a challenge without validating it: it is invalid.
func failedAtOnce() acmetest.Fault {
	return acmetest.Fault{Status: 200, Body: []byte(`{"type":"http-01","status":"invalid","error":{"type":"` + string(acme.ErrConnection) + `"},"url":"x"}`)}
}

// readings counts the readings of each resource of a kind.
func (f *fixture) readings(kind acmetest.Kind) map[string]int {
	n := map[string]int{}
	for _, r := range f.ca.Requests() {
		if r.Kind == kind && len(r.Payload) == 0 {
			n[r.URL]++
		}
	}
	return n
}

// A key change whose answer nobody could read may have been made: unless the
// error is ErrKeyUnknown, the key that it implies must be the one that holds.
func TestChangeKeyWhoseAnswerIsLate(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]acmetest.Fault{
		"late":      {Delay: time.Hour},
		"too large": answering(200, strings.Repeat(" ", 1<<20+1)),
		"redirect": {Edit: func(_ int, h http.Header, _ []byte) (int, []byte) {
			h.Set("Location", "https://elsewhere.example/")
			return 302, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindKeyChange, fault))
				ctx, cancel := contextWithTimeout(t, 10*time.Second)
				defer cancel()
				changed, err := f.account.ChangeKey(ctx, newKey(t))
				f.fault(nil)
				if errors.Is(err, acme.ErrKeyUnknown) {
					return
				}
				holds := changed
				if err != nil {
					holds = f.account
				}
				if _, infoErr := holds.Info(t.Context()); infoErr != nil {
					t.Errorf("ChangeKey: %v; the key that should hold does not: %v", err, infoErr)
				}
			})
		})
	}
}

// What is sent again after a look at what became of it must not come before the
// time that the server asked for either: an hour is the caller's to wait.
func TestRetryAfterOfRequestsThatAreLookedUp(t *testing.T) {
	t.Parallel()
	for _, kind := range []acmetest.Kind{acmetest.KindFinalize, acmetest.KindChallenge, acmetest.KindKeyChange} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				fault := busy()
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind == kind && len(r.Payload) > 0 { // a look is answered
						return &fault
					}
					return nil
				})
				var err error
				if kind == acmetest.KindKeyChange {
					_, err = f.account.ChangeKey(t.Context(), newKey(t))
				} else {
					_, err = f.account.Obtain(t.Context(), f.request("a.example.com"))
				}
				if p := problemIn(t, err); p.Status != 503 || p.RetryAfter.IsZero() {
					t.Errorf("got %v", err)
				}
				if n := f.withPayload(kind); n != 1 {
					t.Errorf("sent %d times", n)
				}
			})
		})
	}
}

// A solver that fails must not hide what became of the other batches: names that
// failed are in the error, and authorizations that became valid are kept.
func TestSolverFailsWhileOthersAreDone(t *testing.T) {
	t.Parallel()
	for _, validation := range []time.Duration{0, time.Second} {
		t.Run(validation.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{
					ValidationTime: validation,
					Validate: func(_ context.Context, v acmetest.Validation) error {
						if strings.HasPrefix(v.Identifier.Value, "bad") {
							return &acmetest.Problem{Type: string(acme.ErrDNS), Detail: "NXDOMAIN"}
						}
						return nil
					},
				})
				down := errors.New("provider is down")
				slow := always(acme.DNS01).(testSolver)
				slow.present = func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
					pass(30 * time.Second)
					return nil, down
				}
				req := f.request("good.example.com", "bad.example.com", "*.example.com")
				req.Solvers = []acme.Solver{always(acme.HTTP01), slow}
				_, err := f.account.Obtain(t.Context(), req)
				if !errors.Is(err, down) || !errors.Is(err, acme.ErrDNS) || !strings.Contains(err.Error(), "bad.example.com") {
					t.Errorf("got %v", err)
				}
				if n := len(f.ca.Authorizations("valid")); n != 1 {
					t.Errorf("%d authorizations are valid, %v", n, f.ca.Authorizations("deactivated"))
				}
			})
		})
	}
}

// An order that a replica still calls ready after it was finalized is waited for
// as long as the server asks, with the CSR that was sent: its key may exist only
// once.
func TestFinalizedOrderLooksReadyWithRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: 90 * time.Second, RetryAfter: "60"})
		stale := acmetest.EditJSON(func(m map[string]any) { m["status"] = "ready"; delete(m, "certificate") })
		readings := 0
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindOrder && f.ca.Count(acmetest.KindFinalize) > 0 {
				readings++
			}
			if r.Kind == acmetest.KindFinalize || readings == 1 {
				return &stale
			}
			return nil
		})
		req := f.request("a.example.com")
		csrs := 0
		req.CSR = func(ctx context.Context, ids []acme.Identifier) ([]byte, error) {
			csrs++
			return acme.NewCSR(newKey(t))(ctx, ids)
		}
		_, err := f.account.Obtain(t.Context(), req)
		if n := f.ca.Count(acmetest.KindFinalize); err != nil || n != 1 || csrs != 1 {
			t.Errorf("finalized %d times with %d CSRs: %v", n, csrs, err)
		}
	})
}

// One that stays ready for ever is not finalized again before the time that the
// server asks for has passed, and not for ever.
func TestFinalizedOrderStaysReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		stale := acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
			h.Set("Retry-After", "60")
			return acmetest.EditJSON(func(m map[string]any) { m["status"] = "ready"; delete(m, "certificate") }).Edit(status, h, body)
		}}
		var last time.Time
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			switch {
			case r.Kind == acmetest.KindFinalize:
				if since := time.Since(last); since < time.Minute {
					t.Errorf("finalized again after %v", since)
				}
				last = time.Now()
				return &stale
			case r.Kind == acmetest.KindOrder && !last.IsZero():
				return &stale
			}
			return nil
		})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("got %v", err)
		}
	})
}

// A server that calls the order ready, and refuses to finalize it as not ready,
// is believed after some tries.
func TestOrderIsReadyAndIsNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{
			Type: string(acme.ErrOrderNotReady), Detail: "CAA pending", Status: 403,
		}}))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if n := f.ca.Count(acmetest.KindFinalize); n > 5 || !errors.Is(err, acme.ErrOrderNotReady) {
			t.Errorf("%d finalize requests, %v", n, err)
		}
	})
}

// Callers that wait for a directory together learn together that there is none:
// the tries of one are enough for all.
func TestDirectoryIsDownForMany(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]acmetest.Fault{"no answer": {Delay: time.Hour}, "500": {Status: 500}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindDirectory, fault))
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						if _, err := f.account.Info(t.Context()); err == nil {
							t.Error("no error")
						}
					})
				}
				wg.Wait()
				if n := f.ca.Count(acmetest.KindDirectory); n > 5 {
					t.Errorf("%d directory requests", n)
				}
			})
		})
	}
}

// A certificate that the server does not find is asked for again for seconds,
// not for the week that it names.
func TestCertificateNotFoundForAWeek(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Status: 404, Header: http.Header{"Retry-After": {"604800"}}}))
		start := time.Now()
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if took := time.Since(start); took > 20*time.Second || problemIn(t, err).RetryAfter.IsZero() {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

// The largest bound of a body is no bound, and must not overflow into a small
// one.
func TestHugeMaxBodyBytes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, limit := range []int64{math.MaxInt64, math.MaxInt64/4 + 1} {
			f.client.MaxBodyBytes = limit
			f.obtains()
		}
	})
}

// The number of an order's authorizations is the server's word: beyond all
// measure they are not read.
func TestAuthorizationsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(editing(func(m map[string]any) {
			urls := make([]any, 1001)
			for i := range urls {
				urls[i] = fmt.Sprint("/authorization/x", i)
			}
			m["authorizations"] = urls
		}, acmetest.KindNewOrder))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if n := f.ca.Count(acmetest.KindAuthorization); n != 0 || !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("%d authorizations were read, %v", n, err)
		}
	})
}

// So is the number of an authorization's challenges, each of which costs a
// hundred times the octets that it came in.
func TestChallengesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{
			Body: []byte(`{"status":"pending","challenges":[` + strings.Repeat("{},", 99) + `{}]}`),
		}))
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil || len(z.Challenges) > 64 {
			t.Errorf("%d challenges, %v", len(z.Challenges), err)
		}
	})
}

// A server that takes names out of the order under way must not get a
// certificate accepted that is without them.
func TestCertificateForFewerNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		small := f.obtains()
		less := acmetest.EditJSON(func(m map[string]any) {
			m["identifiers"] = []any{map[string]any{"type": "dns", "value": "a.example"}}
		})
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindOrder, less),
			acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Body: []byte(`{"status":"valid","certificate":"` + small.URL + `"}`)}),
		))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example", "b.example")); err == nil {
			t.Error("asked for two names, got a certificate for one and no error")
		}
	})
}

// After a restart there is no earlier reading to fill in what a valid order
// lacks: the identifiers of the request do.
func TestRestartWithoutIdentifiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: time.Minute})
		f.fault(editing(func(m map[string]any) {
			delete(m, "identifiers")
			delete(m, "finalize")
		}, acmetest.KindOrder))
		o := f.order("a.example")
		ctx, cancel := contextWithTimeout(t, 30*time.Second)
		defer cancel()
		if _, err := f.account.Complete(ctx, o, f.request("a.example")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		pass(time.Hour)
		o, err := f.account.Order(t.Context(), o.URL)
		if err != nil || o.Status != acme.StatusValid {
			t.Fatalf("got %+v, %v", o, err)
		}
		cert, err := f.account.Complete(t.Context(), o, f.request("a.example"))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example")
	})
}

// The attempt that a solver holds stays as it was presented, also when the
// challenge is answered again: the solver may be reading it.
func TestAttemptIsTheSolversOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		problem := `{"type":"` + string(acme.ErrConnection) + `"}`
		f.fault(acmetest.Faults(
			acmetest.FaultOnce(acmetest.KindChallenge, acmetest.Fault{Status: 200, Body: []byte(`{"type":"http-01","status":"pending","error":` + problem + `,"url":"x"}`)}),
			editing(func(m map[string]any) {
				for _, c := range m["challenges"].([]any) {
					if c := c.(map[string]any); c["status"] == "pending" && f.withPayload(acmetest.KindChallenge) == 1 {
						c["error"] = map[string]any{"type": string(acme.ErrConnection)}
					}
				}
			}, acmetest.KindAuthorization),
		))
		solver := always(acme.HTTP01).(testSolver)
		solver.present = func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
			first := batch[0].Challenge
			return func(context.Context) error {
				if batch[0].Challenge != first || first.Status != acme.StatusPending || first.Error != nil {
					t.Error("the attempt has changed")
				}
				return nil
			}, nil
		}
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{solver}
		if _, err := f.account.Obtain(t.Context(), req); err != nil || f.withPayload(acmetest.KindChallenge) != 2 {
			t.Errorf("answered %d times: %v", f.withPayload(acmetest.KindChallenge), err)
		}
	})
}

// What a call has done although its answer was lost is a success: the refusal of
// the second try says no more than that.
func TestDoneThoughTheAnswerWasLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert := f.obtains()
		f.fault(acmetest.FaultOnce(acmetest.KindRevokeCert, acmetest.Fault{LoseResponse: true}))
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonUnspecified); err != nil {
			t.Errorf("revoked: %v", err)
		}
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonUnspecified); !errors.Is(err, acme.ErrAlreadyRevoked) {
			t.Errorf("revoked before: %v", err)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{LoseResponse: true}))
		if err := f.account.Deactivate(t.Context()); err != nil {
			t.Errorf("deactivated: %v", err)
		}
		if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("deactivated before: %v", err)
		}
	})
}

// An authorization that failed with the answer to its challenge is invalid in
// the error too, and there is nothing to deactivate.
func TestFailedAuthorizationIsReadOnceMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		ctx := acme.WithTrace(t.Context(), &acme.Trace{Deactivated: func(url string, err error) { t.Errorf("deactivated %s: %v", url, err) }})
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		if z, ok := errors.AsType[*acme.AuthorizationError](err); !ok || z.Authorization.Status != acme.StatusInvalid {
			t.Errorf("got %v", err)
		}
	})
}

// Giving up what is left pending is a courtesy: a server that does not answer
// must not hold up the error by more than a minute.
func TestDeactivationsHang(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindAuthorization && len(r.Payload) > 0 {
				return &acmetest.Fault{Delay: 24 * time.Hour, LoseRequest: true}
			}
			return nil
		})
		req := f.request(names(3)...)
		req.Solvers = nil
		start := time.Now()
		_, err := f.account.Obtain(t.Context(), req)
		if _, ok := errors.AsType[*acme.NoSolverError](err); !ok || time.Since(start) > time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// A Backoff of the caller's may count from 0 and ask the default one.
func TestDefaultBackoffFromZero(t *testing.T) {
	t.Parallel()
	if d := acme.DefaultBackoff(0, 0); d <= 0 || d > 250*time.Millisecond {
		t.Errorf("got %v", d)
	}
}

// The orders URL of an account may be relative, like all others.
func TestRelativeOrdersURL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(editing(func(m map[string]any) {
			m["orders"] = strings.TrimPrefix(m["orders"].(string), "https://ca.test")
		}, acmetest.KindAccount))
		n := 0
		for u, err := range f.account.Orders(t.Context()) {
			if n++; err != nil || u != o.URL {
				t.Errorf("got %q, %v", u, err)
			}
		}
		if n != 1 {
			t.Errorf("%d orders", n)
		}
	})
}

// A rate limit that the server has lifted, as an answer showed, is forgotten.
func TestRateLimitIsLifted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.FaultOnce(acmetest.KindOrder, acmetest.RateLimited(24*time.Hour)))
		if _, err := f.account.Order(t.Context(), o.URL); !errors.Is(err, acme.ErrRateLimited) {
			t.Fatalf("got %v", err)
		}
		for _, ctx := range []context.Context{acme.IgnoreRateLimits(t.Context()), t.Context()} {
			if _, err := f.account.Order(ctx, o.URL); err != nil {
				t.Error(err)
			}
		}
	})
}

// Two that want certificates for the same names at once, with a key each, may be
// given one order: the one who comes too late makes another.
func TestSameOrderTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ReuseOrders: true, Latency: 50 * time.Millisecond, ValidationTime: time.Second})
		var wg sync.WaitGroup
		for range 2 {
			req := f.request("a.example.com")
			req.CSR = acme.NewCSR(newKey(t))
			wg.Go(func() {
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(f.ca.Issued()); n != 2 {
			t.Errorf("%d certificates", n)
		}
	})
}

// An order that a stale replica called ready is authorized all the same, when
// finalizing shows that it is pending.
func TestReadyOrderIsPending(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example")
		o.Status = acme.StatusReady
		ctx, cancel := contextWithTimeout(t, 24*time.Hour)
		defer cancel()
		cert, err := f.account.Complete(ctx, o, f.request("a.example"))
		if err != nil {
			t.Fatal(err)
		}
		f.verify(cert, "a.example")
	})
}

// A password in the directory's URL is refused (it would be sent in the clear to
// logs), and is not in what the refusal or the Client say of it.
func TestPasswordInDirectoryURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"https://user:secret@ca.test/directory", "https://user:%zzsecret@ca.test/directory"} {
		c := &acme.Client{DirectoryURL: raw}
		_, err := c.Directory(t.Context())
		if text := fmt.Sprint(c, c.LogValue(), err); err == nil || strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
}

// Solvers make names and paths of an identifier. That of an authorization need
// not be one that was ordered (§7.1.3), but no solver sees one that is malformed.
func TestHostileIdentifiers(t *testing.T) {
	t.Parallel()
	for _, id := range []acme.Identifier{
		{Type: "dns", Value: "../../etc/cron.d/x\n* * * * * root"},
		{Type: "dns", Value: "a.example.com\n"},
		{Type: "dns", Value: "a.example.com/../b"},
		{Type: "dns", Value: "a.example.com\x00"},
		{Type: "dns", Value: `a\b.example.com`},
		{Type: "dns", Value: "a b.example.com"},
		{Type: "dns", Value: "a..example.com"},
		{Type: "dns", Value: "x.*.example.com"},
		{Type: "dns", Value: "*."},
		{Type: "dns", Value: ".."},
		{Type: "dns", Value: ""},
		{Type: "ip", Value: "192.0.2.1/../x"},
		{Type: "ip", Value: "fe80::1%/../x"},
		{Type: "", Value: "a.example.com"},
	} {
		t.Run(fmt.Sprintf("%s %q", id.Type, id.Value), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(editing(func(m map[string]any) {
					m["identifier"] = map[string]any{"type": id.Type, "value": id.Value}
				}, acmetest.KindAuthorization))
				req := f.request("a.example.com")
				req.Solvers = []acme.Solver{testSolver{
					supports: func(a *acme.Attempt) bool { t.Errorf("a solver was asked about %q", a.Identifier.Value); return true },
					present:  always(acme.HTTP01).Present,
				}}
				if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrInvalidIdentifier) {
					t.Errorf("got %v", err)
				}
				if n := f.ca.Count(acmetest.KindChallenge); n != 0 {
					t.Errorf("%d challenges were answered", n)
				}
			})
		})
	}
}

// A proxy's page in answer to a challenge's says nothing about the challenge,
// which may be under way: it is looked at.
func TestPageInAnswerToAChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultOnce(acmetest.KindChallenge, answering(200, "<html>ok</html>")))
		f.obtains()
		if n := f.withPayload(acmetest.KindChallenge); n != 1 {
			t.Errorf("answered %d times", n)
		}
	})
}

// Every error begins with the name of the package, and says it once, whatever
// errors it is made of.
func TestErrorsHaveOnePrefix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		_, chain := (&acme.Certificate{PEM: []byte("x")}).Chain()
		_, csr := acme.NewCSR(f.certKey)(t.Context(), nil)
		_, noKey := f.client.Account(nil, "").Info(t.Context())
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(noKey) })
		_, obtain := f.account.Obtain(ctx, f.request("a.example.com"))
		for name, err := range map[string]error{"Chain": chain, "NewCSR": csr, "no key": noKey, "cause": obtain} {
			if text := err.Error(); !strings.HasPrefix(text, "acme: ") || strings.Count(text, "acme: ") != 1 {
				t.Errorf("%s: %s", name, text)
			}
		}
	})
}

// A refused answer does not fail a challenge that is being validated: somebody
// else has answered it.
func TestChallengeRefusedAsItIsProcessing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 5 * time.Second})
		f.fault(acmetest.FaultOnce(acmetest.KindChallenge, answering(400, `{"type":"urn:ietf:params:acme:error:malformed"}`)))
		f.obtains()
	})
}

// Once a name has failed, the others are looked at now and then, so that the
// error can name them too: their server is not asked in haste.
func TestReadingsAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, retryAfter := range []string{"", "5"} {
		t.Run("Retry-After "+retryAfter, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: time.Minute, RetryAfter: retryAfter})
				f.fault(acmetest.FaultOnce(acmetest.KindChallenge, failedAtOnce()))
				_, err := f.account.Obtain(t.Context(), f.request(names(3)...))
				if !errors.Is(err, acme.ErrConnection) {
					t.Errorf("got %v", err)
				}
				for u, n := range f.readings(acmetest.KindAuthorization) {
					if n > 5 {
						t.Errorf("%s was read %d times", u, n)
					}
				}
			})
		})
	}
}

// A solver that fails leaves the field to the next one, also to one of the same
// challenge type: another DNS provider, say.
func TestSecondSolverOfTheSameType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		broken := always(acme.DNS01).(testSolver)
		broken.present = func(context.Context, []*acme.Attempt) (acme.Cleanup, error) { return nil, errors.New("down") }
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{broken, always(acme.DNS01)}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Error(err)
		}
	})
}

// A server that fails all requests of a kind has failed when the first has
// failed for good: the other names are not tried.
func TestRequestsStopAtTheFirstError(t *testing.T) {
	t.Parallel()
	for _, kind := range []acmetest.Kind{acmetest.KindAuthorization, acmetest.KindChallenge} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(kind, acmetest.Fault{Status: 500}))
				req := f.request(names(3)...)
				req.Concurrency = 1
				_, err := f.account.Obtain(t.Context(), req)
				if n := f.ca.Count(kind); n > 6 || problemIn(t, err).Status != 500 {
					t.Errorf("%d requests, %v", n, err)
				}
			})
		})
	}
}

// A name that has failed is in the error, also if the server then fails the
// request for another.
func TestFailureIsNotHiddenByAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindChallenge && len(f.ca.Authorizations("invalid")) == 1 {
				return &acmetest.Fault{Status: 500}
			}
			return nil
		})
		req := f.request("a.example.com", "b.example.com")
		req.Concurrency = 1
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrConnection) || !strings.Contains(err.Error(), "HTTP 500") {
			t.Errorf("got %v", err)
		}
	})
}

// A valid challenge is not all: an authorization that has expired all the same
// is a failure, though its order stays pending.
func TestAuthorizationExpiresAfterItsChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(editing(func(m map[string]any) {
			switch {
			case m["identifiers"] != nil:
				m["status"] = "pending"
			case f.ca.Count(acmetest.KindChallenge) > 0:
				m["status"] = "expired"
			}
		}, acmetest.KindOrder, acmetest.KindAuthorization))
		ctx, cancel := contextWithTimeout(t, time.Hour)
		defer cancel()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		if _, ok := errors.AsType[*acme.AuthorizeError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

// The time that comes with an authorization is for that authorization, whatever
// the order says.
func TestAuthorizationsOwnRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 5 * time.Minute})
		var times []time.Time
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindAuthorization {
				return nil
			}
			times = append(times, time.Now())
			return &acmetest.Fault{Header: http.Header{"Retry-After": {"120"}}}
		})
		f.obtains()
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap < 2*time.Minute {
				t.Errorf("read again after %v", gap)
			}
		}
		if len(times) < 2 {
			t.Error("it was read once only: the test tested nothing")
		}
	})
}

// A challenge that was answered before a restart is waited for, although a
// solver that comes first could answer another one by now: an authorization
// has one.
func TestRestartKeepsTheChallenge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(), ValidationTime: time.Minute})
		o := f.order("a.example.com")
		ctx, cancel := contextWithTimeout(t, 10*time.Second)
		defer cancel()
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{always(acme.HTTP01)}
		if _, err := f.account.Complete(ctx, o, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		f.ca.Reset()
		req.Solvers = []acme.Solver{always(acme.DNS01), always(acme.HTTP01)}
		if _, err := f.account.Complete(t.Context(), o, req); err != nil || f.withPayload(acmetest.KindChallenge) != 0 {
			t.Errorf("answered %d more: %v", f.withPayload(acmetest.KindChallenge), err)
		}
	})
}

// A failure that is known is told soon: it does not wait for the time at which
// the server wants to be asked about the other names.
func TestKnownFailureDoesNotWait(t *testing.T) {
	t.Parallel()
	for _, deadline := range []time.Duration{10 * time.Minute, 24 * time.Hour} {
		t.Run(deadline.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: time.Minute, RetryAfter: "3600"})
				f.fault(acmetest.FaultOnce(acmetest.KindChallenge, failedAtOnce()))
				ctx, cancel := contextWithTimeout(t, deadline)
				defer cancel()
				start := time.Now()
				_, err := f.account.Obtain(ctx, f.request(names(3)...))
				if !errors.Is(err, acme.ErrConnection) || time.Since(start) > 30*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// An answer that a challenge is invalid is final, though the readings lag behind
// and know nothing of it.
func TestInvalidAnswerIsFinal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(editing(func(m map[string]any) {
			m["status"] = "pending"
			challenges, _ := m["challenges"].([]any)
			for _, c := range challenges {
				c := c.(map[string]any)
				c["status"] = "pending"
				delete(c, "error")
			}
		}, acmetest.KindAuthorization, acmetest.KindOrder))
		ctx, cancel := contextWithTimeout(t, time.Hour)
		defer cancel()
		start := time.Now()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		if _, ok := errors.AsType[*acme.AuthorizeError](err); !ok || !errors.Is(err, acme.ErrConnection) || time.Since(start) > 30*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// A server that has no time is not asked for the same order without "replaces"
// instead: that is for a refusal.
func TestReplacesOfABusyServer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault acmetest.Fault
		most  int
	}{"503": {busy(), 1}, "502 and an order": {answering(502, ""), 2}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, tt.fault))
				req := f.request("a.example.com")
				req.OrderRequest.Replaces = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
				_, err := f.account.Obtain(t.Context(), req)
				if n := f.ca.Count(acmetest.KindNewOrder); n > tt.most || problemIn(t, err).Status < 502 {
					t.Errorf("%d newOrder requests, %v", n, err)
				}
			})
		})
	}
}

// Objects that have next to nothing in them, or the wrong things, end in an
// error: not in a panic, and not in a wait that no deadline ends.
func TestObjectsWithNextToNothing(t *testing.T) {
	t.Parallel()
	for body, kind := range map[string]acmetest.Kind{
		`{"status":"pending","challenges":null}`:                                                  acmetest.KindAuthorization,
		`{"status":"pending","challenges":[null,1,"x",{}]}`:                                       acmetest.KindAuthorization,
		`{"identifier":{"type":"dns","value":"a.example.com"},"challenges":[{"type":"http-01"}]}`: acmetest.KindAuthorization,
		`{}`:                                acmetest.KindAuthorization,
		`{"status":"pending","error":{}}`:   acmetest.KindChallenge,
		`{"status":"invalid","error":"x"}`:  acmetest.KindChallenge,
		`{ }`:                               acmetest.KindChallenge,
		`{"status":"invalid","error":null}`: acmetest.KindOrder,
		`{"status":"valid"}`:                acmetest.KindOrder,
		`{"status":"frozen"}`:               acmetest.KindOrder,
		`{  }`:                              acmetest.KindOrder,
		`{"status":"pending"}`:              acmetest.KindFinalize,
		`{   }`:                             acmetest.KindFinalize,
		`{"status":"pending","authorizations":[null,""],"identifiers":[null]}`: acmetest.KindNewOrder,
		`{"status":"pending","authorizations":[]}`:                             acmetest.KindNewOrder,
		`{"status":"ready","finalize":"::"}`:                                   acmetest.KindNewOrder,
		`{    }`:                                                               acmetest.KindNewOrder,
	} {
		t.Run(string(kind)+" "+body, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(kind, acmetest.Fault{Status: 201, Body: []byte(body), Header: http.Header{"Location": {"/order/x"}}}))
				ctx, cancel := contextWithTimeout(t, time.Minute)
				defer cancel()
				if _, err := f.account.Obtain(ctx, f.request("a.example.com")); err == nil {
					t.Error("no error")
				}
			})
		})
	}
}

// identified has authorizations say that they are for a name.
func identified(value string) func(acmetest.Request) *acmetest.Fault {
	return editing(func(m map[string]any) { m["identifier"] = map[string]any{"type": "dns", "value": value} }, acmetest.KindAuthorization)
}

// An authorization for a wildcard of a wildcard reaches no solver.
func TestWildcardOfAWildcard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(identified("*.*.a.example.com"))
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{testSolver{
			supports: func(a *acme.Attempt) bool { t.Errorf("a solver was asked about %q", a.Identifier.Value); return true },
			present:  always(acme.HTTP01).Present,
		}}
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrInvalidIdentifier) {
			t.Errorf("got %v", err)
		}
	})
}

// The error names an identifier that is none.
func TestErrorNamesTheMalformedIdentifier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(identified("../../x\n"))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !strings.Contains(err.Error(), `"../../x\n"`) {
			t.Errorf("got %v", err)
		}
	})
}

// A name in upper case is no other name, for which another order could be tried.
func TestUpperCaseIsNoOtherName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(identified("A.example.com"))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		failed, _ := errors.AsType[*acme.AuthorizeError](err)
		if n := f.ca.Count(acmetest.KindNewOrder); n != 1 || len(failed.Failures) != 1 {
			t.Errorf("%d orders for one challenge that a solver supports: %v", n, err)
		}
	})
}

// The connection that a 101 hands over is read without end, whatever the context.
func TestSwitchingProtocols(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
	}))
	defer server.Close()
	client := &acme.Client{DirectoryURL: server.URL, AllowHTTP: true}
	if _, err := client.Directory(t.Context()); !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), "HTTP 101") {
		t.Errorf("got %v", err)
	}
}

// What idna needs quadratic time for is no name: 20 seconds for this one.
func TestLongName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var name strings.Builder
		for r := rune(0x20000); name.Len() < 160_000; r++ {
			name.WriteRune(r)
		}
		f.fault(identified(name.String()))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), "160000 octets") || len(err.Error()) > 2000 {
			t.Errorf("got %.3000v", err)
		}
		// 240 characters, of which each is more than one octet
		longest := strings.Repeat(strings.Repeat("\u00fc", 40)+".", 4) + "example"
		if id, err := acme.DNS(longest)[0].Normalize(); err != nil || len(id.Value) > 253 {
			t.Errorf("%s: %v", id, err)
		}
	})
}

// A change of keys that was made after all is not told as one that was not: where the
// look came too early and the server refuses the second try, nobody knows.
func TestChangeKeyThatIsRefusedSinceItWasMade(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		late := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrAccountDoesNotExist), Status: 400}}
		f.fault(acmetest.Faults(
			acmetest.FaultSequence(acmetest.KindKeyChange, answering(504, "")),
			acmetest.FaultAlways(acmetest.KindNewAccount, late)))
		if _, err := f.account.ChangeKey(t.Context(), newKey(t)); !errors.Is(err, acme.ErrKeyUnknown) || problemIn(t, err).Status == 504 {
			t.Errorf("got %v", err)
		}
		f.fault(nil)
		other, err := f.client.NewAccount(acme.IgnoreRateLimits(t.Context()), newKey(t), acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		f.fault(acmetest.Faults(
			acmetest.FaultSequence(acmetest.KindKeyChange, answering(504, "")),
			acmetest.FaultSequence(acmetest.KindNewAccount, late)))
		if _, err := other.ChangeKey(t.Context(), newKey(t)); err != nil {
			t.Errorf("it can be seen now: %v", err)
		}
	})
}

// An account that the server knows under another URL, too, as Boulder does those of
// ACMEv1, is not somebody else's.
func TestChangeKeyOfAnAccountWithTwoURLs(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]bool{"answered": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				alias := acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
					h.Set("Location", strings.Replace(h.Get("Location"), "/account/", "/reg/", 1))
					return status, body
				}})
				f.fault(acmetest.Faults(alias, acmetest.FaultSequence(acmetest.KindKeyChange, acmetest.Fault{LoseResponse: lose})))
				changed, err := f.account.ChangeKey(t.Context(), newKey(t))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := changed.Info(t.Context()); err != nil || changed.URL() != f.account.URL() {
					t.Errorf("%s: %v", changed.URL(), err)
				}
				// The look with the old key fails: it is not known what happened.
				f.fault(acmetest.Faults(acmetest.FaultSequence(acmetest.KindNewAccount, acmetest.Fault{Header: http.Header{"Location": {"/reg/1"}}}),
					acmetest.FaultAlways(acmetest.KindNewAccount, busy())))
				if _, err := changed.ChangeKey(t.Context(), newKey(t)); !errors.Is(err, acme.ErrKeyUnknown) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// An order that is good still is not told to be of no use because of one before it;
// what the server says of when to come back counts, wherever it says so.
func TestErrorAfterFallback(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault func(acmetest.Request) *acmetest.Fault
		wait  time.Duration
		later bool // the second order is good
	}{
		"certificate":  {acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7200"}}}), 2 * time.Hour, true},
		"second order": {acmetest.FaultSequence(acmetest.KindNewOrder, acmetest.Fault{}, acmetest.RateLimited(3*time.Hour)), 3 * time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
				f.fault(tt.fault)
				var last *acme.Order
				ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(o *acme.Order) { last = o }})
				req := f.request("a.example.com")
				req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
				_, err := f.account.Obtain(ctx, req)
				if _, ok := errors.AsType[*acme.AuthorizeError](err); ok || !errors.Is(err, acme.ErrConnection) {
					t.Errorf("AuthorizeError %t: %v", ok, err)
				}
				if text := fmt.Sprint(err); strings.Count(text, "acme: ") != 1 || !strings.Contains(text, "; in the order before: authorization for a.example.com is invalid") {
					t.Errorf("got %q", text)
				}
				at := time.Now().Add(tt.wait)
				var r acme.Renewal
				r.Failed(time.Now(), err)
				if !r.RetryAfter.Equal(at) || !problemIn(t, err).RetryAfter.Equal(at) {
					t.Errorf("again at %v, want %v", r.RetryAfter, at)
				}
				f.fault(nil)
				if _, err := f.account.Complete(t.Context(), last, req); (err == nil) != tt.later {
					t.Errorf("going on with the last order: %v", err)
				}
			})
		})
	}
}

// Among several problems, the latest time counts.
func TestLatestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p := func(d time.Duration) error { return fmt.Errorf("x: %w", &acme.Problem{RetryAfter: now.Add(d)}) }
	var r acme.Renewal
	r.Failed(now, errors.Join(p(time.Hour), &acme.AuthorizeError{Failures: []error{p(3 * time.Hour), p(2 * time.Hour)}}, errors.New("y")))
	if !r.RetryAfter.Equal(now.Add(3 * time.Hour)) {
		t.Errorf("got %v", r.RetryAfter)
	}
	if r.Failed(now, errors.New("y")); !r.RetryAfter.IsZero() || r.Failures != 2 {
		t.Errorf("got %+v", r)
	}
}

// A request that was sent again after a rate limit had not been acted upon before: a
// refusal is one.
func TestRefusalAfterARateLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		refused := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Status: 403}}
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, acmetest.RateLimited(time.Second), refused))
		if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("got %v", err)
		}
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, acmetest.Fault{LoseResponse: true}))
		if err := f.account.Deactivate(t.Context()); err != nil {
			t.Errorf("the answer was lost: %v", err)
		}
	})
}

// Whoever is told of a rate limit that another one met shares it.
func TestRateLimitIsShared(t *testing.T) {
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.RateLimited(time.Hour)))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrRateLimited) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// Of a rate limit, no more is kept than is of use: there may be a thousand.
func TestRememberedRateLimitIsSmall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		subproblems := strings.Repeat(`,{"type":"`+string(acme.ErrRateLimited)+`","detail":"too many"}`, 200)[1:]
		for body, small := range map[string]bool{`"detail":"slow","x":"` + strings.Repeat("x", 1<<19) + `"`: false, `"detail":"slow","subproblems":[` + subproblems + `]`: false, `"detail":"slow","x":1`: true} {
			f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{
				Status: 429, Body: []byte(`{"type":"` + string(acme.ErrRateLimited) + `",` + body + `}`),
				Header: http.Header{"Retry-After": {"3600"}, "Link": {`<https://ca.test/help>;rel="help"`}, "X": {strings.Repeat("x", 1<<14)}},
			}))
			ids := acme.OrderRequest{Identifiers: acme.DNS(fmt.Sprintf("n%d.example.com", len(body)))}
			_, first := f.account.NewOrder(t.Context(), ids)
			_, second := f.account.NewOrder(t.Context(), ids)
			sent, kept := problemIn(t, first), problemIn(t, second)
			if !strings.Contains(second.Error(), "not sent") || kept.Detail != "slow" || !slices.Equal(kept.Links("help"), []string{"https://ca.test/help"}) || !kept.RetryAfter.Equal(sent.RetryAfter) {
				t.Errorf("got %v", second)
			}
			if n := len(kept.Raw); sent.Raw == nil || sent.Header.Get("X") == "" || len(kept.Header) != 2 || (n > 0) != small || n == 0 && len(kept.Subproblems) > 0 {
				t.Errorf("kept: %d octets, %d subproblems, %d fields", n, len(kept.Subproblems), len(kept.Header))
			}
		}
	})
}

// A hook that panics, under somebody who recovers, leaves a Client that works.
func TestPanicInAHook(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		client := f.newClient()
		func() {
			defer func() { _ = recover() }()
			_, err := client.Directory(acme.WithTrace(t.Context(), &acme.Trace{Request: func(acme.RequestInfo) { panic("hook") }}))
			t.Errorf("no panic, but %v", err)
		}()
		if _, err := client.Directory(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func answer(r *http.Request, status int, h http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// Relative URLs are relative to where a redirect has led (RFC 3986 §5.1.3).
func TestRelativeToTheRedirect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/a/directory":
				return answer(r, 302, http.Header{"Location": {"https://other.test/b/directory"}}, ""), nil
			case "/b/directory":
				return answer(r, 200, nil, `{"newNonce":"nonce","newAccount":"/acct","newOrder":"order"}`), nil
			}
			return answer(r, 404, http.Header{"Link": {`<c>;rel="help"`}}, `{"instance":"d"}`), nil
		})
		f.client = &acme.Client{DirectoryURL: "https://ca.test/a/directory", HTTPClient: &http.Client{Transport: transport}}
		d, err := f.client.Directory(t.Context())
		if err != nil || d.NewNonceURL != "https://other.test/b/nonce" || d.NewAccountURL != "https://other.test/acct" {
			t.Errorf("got %+v, %v", d, err)
		}
		_, err = f.client.FindAccount(t.Context(), f.key)
		if p := problemIn(t, err); !slices.Equal(p.Links("help"), []string{"https://other.test/b/c"}) || p.Instance != "https://other.test/b/d" {
			t.Errorf("got %v, %s", p.Links("help"), p.Instance)
		}
		stored := &acme.Problem{URL: "https://ca.test/a/b", Header: http.Header{"Link": {`<c>;rel="help"`}}}
		if got := stored.Links("help"); !slices.Equal(got, []string{"https://ca.test/a/c"}) {
			t.Errorf("of a problem that was stored: %v", got)
		}
	})
}

// Neither the nonce that was sent nor the one that came is in what a hook gets.
func TestHooksGetNoNonces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var sent []string
		quoting := acmetest.Fault{Edit: func(_ int, h http.Header, _ []byte) (int, []byte) {
			h.Set("Content-Type", "application/problem+json")
			return 400, fmt.Appendf(nil, `{"type":"%s","detail":"bad nonce %s"}`, acme.ErrBadNonce, sent[len(sent)-1])
		}}
		malformed := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Status: 400}}
		faults := acmetest.FaultSequence(acmetest.KindNewOrder, quoting, malformed)
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindNewOrder {
				sent = append(sent, r.Nonce)
			}
			return faults(r)
		})
		var seen []string
		ctx := acme.WithTrace(t.Context(), &acme.Trace{
			Request: func(i acme.RequestInfo) {
				if p, ok := errors.AsType[*acme.Problem](i.Err); ok {
					seen = append(seen, fmt.Sprintf("%s %v %s", p.Detail, p.Header, p.Raw))
				}
			},
			Retry: func(i acme.RetryInfo) { seen = append(seen, fmt.Sprintf("%+v", i)) },
		})
		_, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("a.example.com")})
		if !errors.Is(err, acme.ErrMalformed) || len(seen) != 3 || len(sent) != 2 {
			t.Fatalf("%v, %d calls, %d nonces", err, len(seen), len(sent))
		}
		for _, text := range seen {
			if strings.Contains(text, "Replay-Nonce") || strings.Contains(text, sent[0]) || strings.Contains(text, sent[1]) {
				t.Errorf("a nonce in %q", text)
			}
		}
	})
}

// An order is given up for what is wrong with it, and not because the server is.
func TestOrderLost(t *testing.T) {
	t.Parallel()
	notFound := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Status: 404}}
	for name, tt := range map[string]struct {
		kind  acmetest.Kind
		fault acmetest.Fault
		names string
		lost  bool
	}{
		"another name":               {names: "b.example.com", lost: true},
		"no such order":              {acmetest.KindOrder, notFound, "a.example.com", true},
		"no certificate":             {acmetest.KindCertificate, notFound, "a.example.com", false},
		"the server is down":         {acmetest.KindOrder, busy(), "a.example.com", false},
		"the certificate is not yet": {acmetest.KindCertificate, busy(), "a.example.com", false},
		"rate limit":                 {acmetest.KindOrder, acmetest.RateLimited(time.Hour), "a.example.com", false},
		"the answer is lost":         {acmetest.KindOrder, acmetest.Fault{LoseResponse: true}, "a.example.com", false},
		"all is well":                {names: "a.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{PreValidated: true})
				var url string
				ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(o *acme.Order) { url = o.URL }})
				request := f.request("a.example.com")
				if _, err := f.account.Obtain(ctx, request); err != nil {
					t.Fatal(err)
				}
				f.fault(acmetest.FaultAlways(tt.kind, tt.fault))
				request.OrderRequest.Identifiers = acme.DNS(tt.names)
				_, err := f.account.Complete(ctx, &acme.Order{URL: url}, request)
				if lost := acme.OrderLost(err); lost != tt.lost || (err == nil) != (name == "all is well") {
					t.Errorf("lost: %t, after %v", lost, err)
				}
			})
		})
	}
	for err, lost := range map[error]bool{&acme.OrderError{Order: &acme.Order{}}: true, &acme.AuthorizeError{}: true, acme.ErrCertificateMismatch: true, &acme.WaitError{}: false, acme.ErrNoCSR: false} {
		if acme.OrderLost(fmt.Errorf("x: %w", err)) != lost {
			t.Errorf("%v", err)
		}
	}
}

// What was noted while a clock was ahead does not stop renewals, nor questions.
func TestRenewalAfterAClockThatWasAhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		leaf := f.ca.Issued()[0]
		due, ahead := leaf.NotAfter.Add(-time.Minute), leaf.NotAfter.AddDate(10, 0, 0)
		r := acme.NewRenewal(leaf, ahead)
		if r.Failed(ahead, &acme.Problem{RetryAfter: ahead.Add(time.Hour)}); !r.Due(due, 0) {
			t.Errorf("not due at %v: %+v", due, r)
		}
		if r.Failed(due.Add(-time.Second), nil); r.Due(due, 0) {
			t.Error("due at once after a failure")
		}
		r.AskAt = ahead
		if err := f.client.UpdateRenewal(t.Context(), &r); err != nil || r.Info == nil || time.Until(r.AskAt) > 24*time.Hour {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

// A server that never answers about renewals is not asked each minute.
func TestRenewalInformationThatNeverComes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Delay: time.Hour}))
		r := acme.NewRenewal(f.ca.Issued()[0], time.Now())
		ctx, cancel := contextWithTimeout(t, time.Minute)
		defer cancel()
		if err := f.client.UpdateRenewal(ctx, &r); !errors.Is(err, context.DeadlineExceeded) || time.Until(r.AskAt) != 6*time.Hour {
			t.Errorf("%v, asked again at %v", err, r.AskAt)
		}
	})
}

// The text of OpenSSL before a certificate may be long.
func TestRevokeWhatOpenSSLPrints(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.account.RevokeCertificate(t.Context(), append([]byte(strings.Repeat("00:11:22:\n", 1000)), cert.PEM...), acme.ReasonUnspecified); err != nil {
			t.Error(err)
		}
	})
}

// Errors name what was given.
func TestErrorsOfInputNameIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.account.NewAuthorization(t.Context(), acme.Identifier{Type: acme.TypeDNS, Value: "bad name"}); !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), `"bad name"`) {
			t.Errorf("got %v", err)
		}
		if _, err := f.client.NewAccount(t.Context(), ed25519.PrivateKey(nil), acme.AccountRequest{}); !errors.Is(err, acme.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
}
