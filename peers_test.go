package acme_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// last returns the payload of the last request of a kind.
func (f *fixture) last(kind acmetest.Kind) string {
	payload := ""
	for _, r := range f.ca.Requests() {
		if r.Kind == kind {
			payload = string(r.Payload)
		}
	}
	return payload
}

// Defects that were found in other clients, each with the client. None of them
// is here.
func TestPeerDefects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts acmetest.Options
		test func(t *testing.T, f *fixture)
	}{
		{"acmez: newAuthz without the identifier wrapper", acmetest.Options{}, func(t *testing.T, f *fixture) {
			if _, err := f.account.NewAuthorization(t.Context(), acme.DNS("a.example")[0]); err != nil {
				t.Fatal(err)
			}
			if got := f.last(acmetest.KindNewAuthz); got != `{"identifier":{"type":"dns","value":"a.example"}}` {
				t.Errorf("sent %s", got)
			}
		}},
		{"acmez: the account URL is lost after an update without Location", acmetest.Options{PreValidated: true, OmitLocation: true}, func(t *testing.T, f *fixture) {
			before := f.account.URL()
			if _, err := f.account.Update(t.Context(), nil); err != nil || f.account.URL() != before {
				t.Errorf("URL %q, %v", f.account.URL(), err)
			}
			f.obtains()
		}},
		{"acmez: revocation with a nil key panics", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			cert := f.obtains()
			if err := f.client.RevokeCertificate(t.Context(), nil, cert.PEM, 0); !errors.Is(err, acme.ErrNoKey) {
				t.Errorf("got %v", err)
			}
		}},
		{"acmez: one slow directory blocks other clients", acmetest.Options{}, func(t *testing.T, f *fixture) {
			slow := acmetest.NewServer(t, acmetest.Options{Latency: time.Minute})
			var wg sync.WaitGroup
			wg.Go(func() {
				c := &acme.Client{DirectoryURL: slow.DirectoryURL(), HTTPClient: slow.HTTPClient()}
				if _, err := c.Directory(t.Context()); err != nil {
					t.Error(err)
				}
			})
			start := time.Now()
			if _, err := f.client.Directory(t.Context()); err != nil || time.Since(start) != 0 {
				t.Errorf("took %v, %v", time.Since(start), err)
			}
			wg.Wait()
		}},
		{"acmez: newOrder carries members of the response", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.order("a.example")
			if got := f.last(acmetest.KindNewOrder); got != `{"identifiers":[{"type":"dns","value":"a.example"}]}` {
				t.Errorf("sent %s", got)
			}
		}},
		{"acmez: the same JWS after a lost connection", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultEvery("", 5, acmetest.Fault{LoseResponse: true}))
			f.obtains()
			f.checkNonces()
		}},
		{"acmez, lego: cleanup under a dead context", acmetest.Options{ValidationTime: time.Hour}, func(t *testing.T, f *fixture) {
			r := &recorder{Solver: f.solver}
			req := f.request("a.example")
			req.Solvers = []acme.Solver{r}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := f.account.Obtain(ctx, req); err == nil {
				t.Error("no error")
			}
			r.check(t)
		}},
		{"acmez, certmagic: a wrapped solver loses its payload", acmetest.Options{Validate: failing()}, func(t *testing.T, f *fixture) {
			inner := testSolver{supports: always(acme.HTTP01).Supports, present: func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				batch[0].Response = map[string]string{"attObj": "x"}
				return nil, nil
			}}
			req := f.request("a.example")
			req.Solvers = []acme.Solver{struct{ acme.Solver }{inner}}
			if _, err := f.account.Obtain(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			if got := f.last(acmetest.KindChallenge); got != `{"attObj":"x"}` {
				t.Errorf("sent %s", got)
			}
		}},
		{"lego: more authorizations than identifiers panic", acmetest.Options{}, func(_ *testing.T, f *fixture) {
			other := f.order("b.example")
			f.fault(editing(func(m map[string]any) {
				m["authorizations"] = append(m["authorizations"].([]any), other.AuthorizationURLs[0])
			}, acmetest.KindNewOrder, acmetest.KindOrder, acmetest.KindFinalize))
			f.obtains()
		}},
		{"lego: an invalid order is polled until a timeout, which no context ends", acmetest.Options{IssuanceTime: time.Second}, func(t *testing.T, f *fixture) {
			f.fault(editing(func(m map[string]any) {
				if m["status"] == "processing" {
					m["status"], m["error"] = "invalid", map[string]any{"type": "caa"}
				}
			}, acmetest.KindOrder))
			start := time.Now()
			if _, err := f.account.Obtain(t.Context(), f.request("a.example")); !errors.Is(err, acme.ErrCAA) || time.Since(start) > time.Second {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
		}},
		{"lego: an error whose body is null panics", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Status: 400, Body: []byte("null")}))
			if _, err := f.account.Obtain(t.Context(), f.request("a.example")); problemIn(t, err).Status != 400 {
				t.Errorf("got %v", err)
			}
		}},
		{"lego: the caller's Transport is replaced", acmetest.Options{PreValidated: true}, func(t *testing.T, f *fixture) {
			hc := f.ca.HTTPClient()
			transport := hc.Transport
			f.client.HTTPClient = hc
			if f.obtains(); hc.Transport != transport || hc.CheckRedirect != nil {
				t.Error("the caller's client was changed")
			}
		}},
		{"lego: sleeps that no cancellation ends", acmetest.Options{ValidationTime: time.Hour}, func(t *testing.T, f *fixture) {
			ctx, cancel := context.WithCancel(t.Context())
			var at time.Time
			time.AfterFunc(time.Minute, func() { at = time.Now(); cancel() })
			if _, err := f.account.Obtain(ctx, f.request("a.example")); !errors.Is(err, context.Canceled) || time.Since(at) != 0 {
				t.Errorf("got %v, %v after the cancellation", err, time.Since(at))
			}
		}},
		{"x/crypto: badNonce is tried without an end", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}))
			if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrBadNonce) || f.ca.Count(acmetest.KindAccount) > 40 {
				t.Errorf("%d tries, %v", f.ca.Count(acmetest.KindAccount), err)
			}
		}},
		{"x/crypto: the nonce of a badNonce answer is thrown away", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}))
			if _, err := f.account.Info(t.Context()); err != nil || f.ca.Count(acmetest.KindNewNonce) != 1 {
				t.Errorf("%d newNonce requests, %v", f.ca.Count(acmetest.KindNewNonce), err)
			}
		}},
		{"x/crypto: finalize needs a Location (golang/go#73504, #77704)", acmetest.Options{OmitLocation: true, IssuanceTime: time.Second}, func(_ *testing.T, f *fixture) { f.obtains() }},
		{"x/crypto: a wait after finalize ends at ready (golang/go#52597)", acmetest.Options{IssuanceTime: time.Second}, func(_ *testing.T, f *fixture) {
			f.fault(acmetest.FaultSequence(acmetest.KindOrder, acmetest.Fault{}, acmetest.EditJSON(func(m map[string]any) { m["status"] = "ready" })))
			f.obtains()
		}},
		{"x/crypto: Validated is never set; resource and delete are sent", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.obtains()
			z, err := f.account.Authorization(t.Context(), f.ca.Authorizations("valid")[0])
			if err != nil || !slices.ContainsFunc(z.Challenges, func(c *acme.Challenge) bool { return !c.Validated.IsZero() }) {
				t.Errorf("got %+v, %v", z, err)
			}
			if err := f.account.DeactivateAuthorization(t.Context(), z.URL); err != nil {
				t.Fatal(err)
			}
			for _, r := range f.ca.Requests() {
				if bytes.Contains(r.Payload, []byte("resource")) || bytes.Contains(r.Payload, []byte("delete")) {
					t.Errorf("%s: sent %s", r.Kind, r.Payload)
				}
			}
		}},
		{"x/crypto: a rate limit is slept on inside the call", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.RateLimited(time.Hour)))
			start := time.Now()
			if _, err := f.account.Obtain(t.Context(), f.request("a.example")); !errors.Is(err, acme.ErrRateLimited) || time.Since(start) != 0 {
				t.Errorf("got %v after %v", err, time.Since(start))
			}
		}},
		{"x/crypto: other final states are polled for ever", acmetest.Options{}, func(t *testing.T, f *fixture) {
			o := f.order("a.example")
			if err := f.account.DeactivateAuthorization(t.Context(), o.AuthorizationURLs[0]); err != nil {
				t.Fatal(err)
			}
			z, err := f.account.WaitAuthorization(t.Context(), o.AuthorizationURLs[0])
			if _, ok := errors.AsType[*acme.AuthorizationError](err); !ok {
				t.Errorf("got %+v, %v", z, err)
			}
		}},
		{"eggsampler: Profile, and externalAccountBinding null", acmetest.Options{Profiles: map[string]string{"p": ""}}, func(t *testing.T, f *fixture) {
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example"), Profile: "p"}); err != nil {
				t.Fatal(err)
			}
			if got := f.last(acmetest.KindNewOrder); !strings.Contains(got, `"profile":"p"`) || strings.Contains(got, "Profile") {
				t.Errorf("sent %s", got)
			}
			if _, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); err != nil {
				t.Fatal(err)
			}
			if got := f.last(acmetest.KindNewAccount); got != `{}` {
				t.Errorf("sent %s", got)
			}
		}},
		{"eggsampler: an empty renewal window panics", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 200, Body: []byte(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-02T04:00:00Z"}}`)}))
			if _, err := f.client.RenewalInfo(t.Context(), "AQ.AQ"); !errors.Is(err, acme.ErrMalformedResponse) {
				t.Errorf("got %v", err)
			}
		}},
		{"instant-acme: a refused deactivation is a success", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Status: 403}}))
			if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrUnauthorized) {
				t.Errorf("got %v", err)
			}
		}},
		{"instant-acme: renewal information without Retry-After is an error", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 200, Header: http.Header{"Retry-After": nil},
				Body: []byte(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"}}`)}))
			if _, err := f.client.RenewalInfo(t.Context(), "AQ.AQ"); err != nil {
				t.Error(err)
			}
		}},
		{"certbot: any 409 is a conflict, which hides alreadyReplaced", acmetest.Options{}, func(t *testing.T, f *fixture) {
			f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrAlreadyReplaced), Status: 409}}))
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example")}); !errors.Is(err, acme.ErrAlreadyReplaced) {
				t.Errorf("got %v", err)
			}
		}},
		{"certbot, instant-acme: unknown statuses and identifier types raise", acmetest.Options{}, func(t *testing.T, f *fixture) {
			o := f.order("a.example")
			f.fault(editing(func(m map[string]any) {
				m["status"], m["identifier"] = "resting", map[string]any{"type": "onion-v9", "value": "x"}
				m["challenges"] = append(m["challenges"].([]any), map[string]any{"type": "smoke-01", "url": "/s", "status": "glowing"})
			}, acmetest.KindAuthorization))
			z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
			if err != nil || z.Status != "resting" || z.Identifier.Type != "onion-v9" || z.Challenges[len(z.Challenges)-1].Status != "glowing" {
				t.Errorf("got %+v, %v", z, err)
			}
		}},
		{"sunlight: concurrent iterations share an error", acmetest.Options{}, func(t *testing.T, f *fixture) {
			for i := range 10 {
				f.order(names(10)[i])
			}
			list := f.account.Orders(t.Context())
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					n := 0
					for _, err := range list {
						if err == nil {
							n++
						}
					}
					if n != 10 {
						t.Errorf("%d orders", n)
					}
				})
			}
			wg.Wait()
		}},
		{"libdns: an error type that matches every error", acmetest.Options{}, func(t *testing.T, _ *fixture) {
			plain := errors.New("plain")
			_, problem := errors.AsType[*acme.Problem](plain)
			_, client := errors.AsType[acme.ClientError](plain)
			_, kind := errors.AsType[acme.ProblemType](plain)
			if problem || client || kind || errors.Is(plain, acme.ErrRateLimited) || errors.Is(plain, acme.ErrNoKey) {
				t.Error("a plain error matches")
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { tt.test(t, newFixture(t, tt.opts)) })
		})
	}
}

// lego left bodies of a deactivation unread: each cost a connection.
func TestEveryBodyIsRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	f.client.HTTPClient = f.ca.ClientHTTP1()
	for i := range 20 {
		if i%2 == 0 {
			f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{Status: 403, Body: bytes.Repeat([]byte("x"), 20_000)}))
		}
		_, _ = f.account.Info(t.Context()) // every other one is refused
	}
	if got := f.ca.Connections(); got > 3 {
		t.Errorf("%d connections for 20 requests in turn", got)
	}
}
