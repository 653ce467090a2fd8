package acme_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// A verb is one way to make the Client send a signed request, beginning with a
// state in which the request is the next one sent.
type verb struct {
	op   acme.Operation
	kind acmetest.Kind
	call func(f *fixture) error
}

// verbs has every operation of an Account, each with what it needs prepared.
func (f *fixture) verbs() []verb {
	t := f.T
	ctx := t.Context()
	f.ca.Update(func(o *acmetest.Options) {
		o.AutoRenewal, o.Delegations = &acmetest.AutoRenewal{}, []acmetest.Delegation{{CSRTemplate: `{}`}}
	})
	pending := f.order("pending.example.com")
	authz, err := f.account.Authorization(ctx, pending.AuthorizationURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	var ready *acme.Order
	cert, err := f.account.Obtain(acme.WithTrace(ctx, &acme.Trace{OrderStatus: func(o *acme.Order) {
		if o.Status == acme.StatusValid {
			ready = o
		}
	}}), f.request("valid.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	challenge := pick(t, authz, acme.HTTP01)
	series := f.series("series.example.com")
	return []verb{
		{acme.OpNewAccount, acmetest.KindNewAccount, func(f *fixture) error {
			_, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{TermsOfServiceAgreed: true})
			return err
		}},
		{acme.OpFindAccount, acmetest.KindNewAccount, func(f *fixture) error { _, err := f.client.FindAccount(ctx, f.key); return err }},
		{acme.OpAccount, acmetest.KindAccount, func(f *fixture) error { _, err := f.account.Info(ctx); return err }},
		{acme.OpUpdateAccount, acmetest.KindAccount, func(f *fixture) error { _, err := f.account.Update(ctx, nil); return err }},
		{acme.OpNewOrder, acmetest.KindNewOrder, func(f *fixture) error {
			_, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("new.example.com")})
			return err
		}},
		{acme.OpOrder, acmetest.KindOrder, func(f *fixture) error { _, err := f.account.Order(ctx, pending.URL); return err }},
		{acme.OpNewAuthz, acmetest.KindNewAuthz, func(f *fixture) error {
			_, err := f.account.NewAuthorization(ctx, acme.DNS("early.example.com")[0])
			return err
		}},
		{acme.OpAuthorization, acmetest.KindAuthorization, func(f *fixture) error {
			_, err := f.account.Authorization(ctx, authz.URL)
			return err
		}},
		{acme.OpCertificate, acmetest.KindCertificate, func(f *fixture) error {
			_, err := f.account.Certificate(ctx, ready.CertificateURL)
			return err
		}},
		{acme.OpCancelOrder, acmetest.KindOrder, func(f *fixture) error { _, err := f.account.CancelOrder(ctx, series); return err }},
		{acme.OpDelegation, acmetest.KindDelegation, func(f *fixture) error {
			_, err := f.account.Delegation(ctx, "https://ca.test/delegation/1")
			return err
		}},
		{acme.OpPostAsGet, acmetest.KindOrder, func(f *fixture) error { _, err := f.account.Post(ctx, pending.URL, nil); return err }},
		{acme.OpRespondChallenge, acmetest.KindChallenge, func(f *fixture) error {
			cleanup, err := f.solver.Present(ctx, []*acme.Attempt{{
				Identifier: authz.Identifier, Challenge: challenge, KeyAuthorization: f.account.KeyAuthorization(challenge.Token),
			}})
			if err != nil {
				return err
			}
			defer cleanup(ctx) //nolint:errcheck // in memory
			_, err = f.account.RespondChallenge(ctx, challenge.URL, nil)
			return err
		}},
		{acme.OpRevokeCert, acmetest.KindRevokeCert, func(f *fixture) error {
			return f.account.RevokeCertificate(ctx, cert.PEM, acme.ReasonSuperseded)
		}},
		{acme.OpDeactivateAuthorization, acmetest.KindAuthorization, func(f *fixture) error {
			other := f.order("other.example.com")
			return f.account.DeactivateAuthorization(ctx, other.AuthorizationURLs[0])
		}},
		{acme.OpKeyChange, acmetest.KindKeyChange, func(f *fixture) error {
			key := newKey(t)
			a, err := f.account.ChangeKey(ctx, key)
			if err == nil {
				f.account, f.key = a, key
			}
			return err
		}},
		{acme.OpDeactivateAccount, acmetest.KindAccount, func(f *fixture) error { return f.account.Deactivate(ctx) }},
	}
}

func pick(t *testing.T, z *acme.Authorization, kind acme.ChallengeType) *acme.Challenge {
	t.Helper()
	for _, c := range z.Challenges {
		if c.Type == kind {
			return c
		}
	}
	t.Fatalf("no %s challenge", kind)
	return nil
}

// Every signed request survives rejected nonces, whatever the status code of
// the answer, with and without a fresh nonce in it, and never sends a nonce
// twice.
func TestEveryRequestSurvivesBadNonce(t *testing.T) {
	conformance.Claim(t, "8555-6.5-02", "8555-6.5-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var bad []acmetest.Fault
		for _, status := range []int{400, 403, 500, 503} { // with a fresh nonce, and some without
			fault := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce), Status: status}}
			bad = append(bad, fault)
			if fault.Header = (http.Header{"Replay-Nonce": nil}); status == 400 || status == 500 {
				bad = append(bad, fault)
			}
		}
		for _, v := range f.verbs() {
			f.ca.Reset()
			f.fault(acmetest.FaultSequence(v.kind, bad...))
			start := time.Now()
			if err := v.call(f); err != nil {
				t.Fatalf("%s: %v", v.op, err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("%s: waited %v after a bad nonce", v.op, took)
			}
			if got := f.ca.Count(acmetest.KindNewNonce); got != 2 {
				t.Errorf("%s: %d newNonce requests, want one for each answer without a nonce", v.op, got)
			}
			if got := f.ca.Count(v.kind); got < len(bad)+1 {
				t.Errorf("%s: sent %d times", v.op, got)
			}
			f.checkNonces()
		}
	})
}

// checkNonces fails if a nonce was used twice, or a request had none.
func (f *fixture) checkNonces() {
	f.Helper()
	seen := map[string]bool{}
	for _, r := range f.ca.Requests() {
		if r.Method != http.MethodPost {
			continue
		}
		if r.Nonce == "" || seen[r.Nonce] {
			f.Errorf("%s: nonce %q is missing or used before", r.Kind, r.Nonce)
		}
		seen[r.Nonce] = true
	}
}

func TestBadNonceIsBounded(t *testing.T) {
	conformance.Claim(t, "8555-6.5-07")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{BadNonce: 1})
		_, err := f.account.Info(t.Context())
		if !errors.Is(err, acme.ErrBadNonce) {
			t.Fatalf("got %v, want badNonce", err)
		}
		if got := f.ca.Count(acmetest.KindAccount); got != 32 {
			t.Errorf("%d tries, want 32", got)
		}
	})
}

func TestHalfOfTheNoncesAreRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{BadNonce: 0.5, Seed: 1, OmitNonceOnErrors: true})
		for i := range 3 {
			if _, err := f.account.Obtain(t.Context(), f.request(names(i+1)...)); err != nil {
				t.Fatal(err)
			}
		}
		f.checkNonces()
	})
}

// What becomes of each request whose answer is lost, or that the server fails:
// the table of retry.go, seen from outside.
func TestResend(t *testing.T) {
	conformance.Claim(t, "8555-6.5-02", "9110-9.2.2-01")
	t.Parallel()
	lost := acmetest.Fault{LoseResponse: true}
	never := acmetest.Fault{LoseRequest: true}
	failed := acmetest.Fault{Status: 502, Body: []byte("<html>bad gateway</html>"), Header: http.Header{"Content-Type": {"text/html"}}}
	for name, fault := range map[string]acmetest.Fault{"answer lost": lost, "request lost": never, "502": failed, "truncated": {Truncate: true}} {
		for _, times := range []int{1, 100} {
			if times == 100 && (name == "request lost" || name == "truncated") {
				continue // as when the answer is lost
			}
			t.Run(fmt.Sprintf("%s %d times", name, times), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{})
					for _, v := range f.verbs() {
						f.ca.Reset()
						f.fault(acmetest.FaultKind(v.kind, times, fault))
						err := v.call(f)
						f.fault(nil)
						f.checkResend(v, times, err)
						f.checkNonces()
						if v.op == acme.OpRespondChallenge && times < 100 && name != "request lost" && name != "502" {
							return // the rest needs the challenge as it was
						}
					}
				})
			})
		}
	}
}

func (f *fixture) checkResend(v verb, times int, err error) {
	f.Helper()
	sent := f.ca.Count(v.kind)
	switch v.op {
	case acme.OpNewOrder, acme.OpNewAuthz: // once more
		if sent > 2 || (err == nil) != (times == 1) {
			f.Errorf("%s: sent %d times after %d losses, error %v", v.op, sent, times, err)
		}
	case acme.OpKeyChange, acme.OpRespondChallenge: // not without a look
		if sent = f.withPayload(v.kind); sent > 2 {
			f.Errorf("%s: sent %d times after %d losses", v.op, sent, times)
		}
	default:
		if (err == nil) != (times < 5) || sent > 6 {
			f.Errorf("%s: sent %d times after %d losses, error %v", v.op, sent, times, err)
		}
	}
}

func (f *fixture) withPayload(kind acmetest.Kind) (n int) {
	for _, r := range f.ca.Requests() {
		if r.Kind == kind && len(r.Payload) > 0 {
			n++
		}
	}
	return n
}

// A 501 and a refusal will not get better.
func TestNoResendOfRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, v := range f.verbs() {
			for _, status := range []int{400, 403, 404, 409, 501} {
				if v.op == acme.OpCertificate && status == 404 {
					continue // asked again for a while: replicas
				}
				f.ca.Reset()
				f.fault(acmetest.FaultAlways(v.kind, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Detail: "no", Status: status}}))
				err := v.call(f)
				f.fault(nil)
				p := problemIn(t, err) // instant-acme took a 403 of a deactivation for success
				if p.Status != status || p.Detail != "no" || !errors.Is(err, acme.ErrMalformed) {
					t.Errorf("%s: got %v", v.op, err)
				}
				if v.op != acme.OpDeactivateAuthorization && p.Operation != v.op {
					t.Errorf("%s: the problem is of %s", v.op, p.Operation)
				}
				if !strings.HasPrefix(err.Error(), "acme: ") || strings.Count(err.Error(), "acme: ") != 1 {
					t.Errorf("%s: error %q", v.op, err)
				}
				if sent := f.ca.Count(v.kind); sent != 1 {
					t.Errorf("%s: %d, sent %d times", v.op, status, sent)
				}
			}
		}
	})
}

// Rate limits: what is short is waited for, what is long is an error with the
// time, and nothing is asked again without an invitation.
func TestRateLimit(t *testing.T) {
	conformance.Claim(t, "8555-6.6-01")
	t.Parallel()
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		name       string
		retryAfter string
		date       bool          // a date that is so many seconds after the answer's own
		skew       time.Duration // of the server's clock
		wait       time.Duration // within the call
		at         time.Duration // in the error, from now
		ok         bool
	}{
		{name: "absent"},
		{name: "short", retryAfter: "3", wait: 3 * time.Second, ok: true},
		{name: "zero", retryAfter: "0"},
		{name: "negative", retryAfter: "-1"},
		{name: "so negative that it is positive in nanoseconds", retryAfter: "-9223372037"},
		{name: "garbage", retryAfter: "soon"},
		{name: "long", retryAfter: "3600", at: time.Hour},
		{name: "a year", retryAfter: fmt.Sprint(int(year / time.Second)), at: 7 * 24 * time.Hour},
		{name: "overflow", retryAfter: "99999999999999999999", at: 7 * 24 * time.Hour},
		{name: "date", retryAfter: "3", date: true, wait: 3 * time.Second, ok: true},
		{name: "date, clocks differ", retryAfter: "3", date: true, skew: year, wait: 3 * time.Second, ok: true},
		{name: "date, clocks differ the other way", retryAfter: "3", date: true, skew: -year, wait: 3 * time.Second, ok: true},
		{name: "date long", retryAfter: "7200", date: true, at: 2 * time.Hour},
		{name: "date past", retryAfter: "-60", date: true},
		{name: "date a year ahead", retryAfter: fmt.Sprint(int(year / time.Second)), date: true, at: 7 * 24 * time.Hour},
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(tt.name, " ", status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFixture(t, acmetest.Options{})
					h := http.Header{"Retry-After": {tt.retryAfter}}
					if now := time.Now().Add(tt.skew).UTC(); tt.date {
						seconds, _ := time.ParseDuration(tt.retryAfter + "s")
						h = http.Header{"Date": {now.Format(http.TimeFormat)}, "Retry-After": {now.Add(seconds).Format(http.TimeFormat)}}
					}
					limit := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrRateLimited), Status: status}, Header: h}
					f.fault(acmetest.FaultKind(acmetest.KindNewOrder, 1, limit))
					start := time.Now()
					_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com")})
					if tt.ok != (err == nil) {
						t.Fatalf("got %v", err)
					}
					if took := time.Since(start); took < tt.wait || took > tt.wait+time.Second {
						t.Errorf("took %v, want %v", took, tt.wait)
					}
					if tt.ok {
						return
					}
					if !errors.Is(err, acme.ErrRateLimited) {
						t.Errorf("got %v, want rateLimited", err)
					}
					p := problemIn(t, err)
					if tt.at == 0 && !p.RetryAfter.IsZero() || tt.at != 0 && !p.RetryAfter.Equal(start.Add(tt.at)) {
						t.Errorf("RetryAfter is %v, want %v from %v", p.RetryAfter, tt.at, start)
					}
					if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
						t.Errorf("sent %d times, want once", got)
					}
				})
			})
		}
	}
}

// A 503 that is no rate limit: waited for if short.
func TestUnavailable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}))
		start := time.Now()
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("took %v, want 7s", took)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"700"}}}))
		start = time.Now()
		_, err := f.account.Info(t.Context())
		if p := problemIn(t, err); p.RetryAfter.IsZero() || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// The Client remembers a rate limit, and sends no such request before its time,
// unless it is asked to.
func TestRateLimitIsRemembered(t *testing.T) {
	conformance.Claim(t, "8555-6.6-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultKind(acmetest.KindNewOrder, 1, acmetest.RateLimited(time.Hour)))
		order := func(ctx context.Context, name string) error {
			_, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS(name)})
			return err
		}
		until := time.Now().Add(time.Hour)
		for range 3 {
			err := order(t.Context(), "a.example.com")
			if p := problemIn(t, err); !errors.Is(err, acme.ErrRateLimited) || !p.RetryAfter.Equal(until) {
				t.Fatalf("got %v, want rateLimited until %v", err, until)
			}
		}
		if got := f.ca.Count(acmetest.KindNewOrder); got != 1 {
			t.Errorf("sent %d times, want once", got)
		}
		if err := order(t.Context(), "b.example.com"); err != nil {
			t.Errorf("another order: %v", err) // a limit may be for a set of names
		}
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Errorf("another kind of request: %v", err)
		}
		if err := order(acme.IgnoreRateLimits(t.Context()), "a.example.com"); err != nil {
			t.Errorf("asked to: %v", err)
		}
		pass(time.Hour)
		if err := order(t.Context(), "a.example.com"); err != nil {
			t.Errorf("after its time: %v", err)
		}
	})
}

// A wait that would outlast the context is not begun.
func TestNoWaitBeyondDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.RateLimited(9*time.Second)))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := f.account.Info(ctx); !errors.Is(err, acme.ErrRateLimited) {
			t.Errorf("got %v, want rateLimited", err)
		}
		if time.Since(start) != 0 {
			t.Errorf("waited %v", time.Since(start))
		}
	})
}

func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var asked []string
		f.client.Backoff = func(attempt int, retryAfter time.Duration) time.Duration {
			asked = append(asked, fmt.Sprint(attempt, retryAfter))
			if attempt == 3 {
				return -1
			}
			return time.Minute
		}
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, acmetest.Fault{LoseRequest: true}, acmetest.RateLimited(2*time.Minute), acmetest.Fault{Status: 500}))
		start := time.Now()
		_, err := f.account.Info(t.Context())
		if p := problemIn(t, err); p.Status != 500 {
			t.Errorf("got %v", err)
		}
		if got, want := fmt.Sprint(asked), "[1 0s 2 2m0s 3 0s]"; got != want {
			t.Errorf("Backoff was asked %v, want %v", got, want)
		}
		if took := time.Since(start); took != 3*time.Minute { // a Retry-After is never undercut
			t.Errorf("took %v, want 3m", took)
		}
	})
}

func TestDefaultBackoff(t *testing.T) {
	t.Parallel()
	for attempt, most := range map[int]time.Duration{1: 250 * time.Millisecond, 2: 500 * time.Millisecond, 3: time.Second, 4: 2 * time.Second} {
		if d := acme.DefaultBackoff(attempt, 0); d > most || d < most*2/3 {
			t.Errorf("DefaultBackoff(%d, 0) = %v", attempt, d)
		}
		if d := acme.DefaultBackoff(attempt, 9*time.Second); d != 9*time.Second {
			t.Errorf("DefaultBackoff(%d, 9s) = %v", attempt, d)
		}
		if d := acme.DefaultBackoff(attempt, 11*time.Second); d >= 0 {
			t.Errorf("DefaultBackoff(%d, 11s) = %v", attempt, d)
		}
	}
	if d := acme.DefaultBackoff(5, 0); d >= 0 {
		t.Errorf("DefaultBackoff(5, 0) = %v", d)
	}
}

// No redirect is followed for a signed request; a GET's is, up to a number, and
// to https only.
func TestRedirects(t *testing.T) {
	conformance.Claim(t, "8555-6.1-01", "8555-6.4-02", "9110-15.4-01", "9110-15.4-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, v := range f.verbs()[:10] {
			f.ca.Reset()
			f.fault(acmetest.FaultAlways(v.kind, acmetest.Fault{Status: 307, Header: http.Header{"Location": {"https://evil.test/"}}}))
			err := v.call(f)
			if !errors.Is(err, acme.ErrRedirect) || !strings.Contains(err.Error(), "https://evil.test/") {
				t.Errorf("%s: got %v, want ErrRedirect", v.op, err)
			}
			if got := f.ca.Count(v.kind); got != 1 {
				t.Errorf("%s: sent %d times", v.op, got)
			}
		}
		for location, want := range map[string]error{
			"https://ca.test/directory?again": nil,
			"http://ca.test/directory":        acme.ErrInsecureURL,
			"":                                acme.ErrRedirect,
		} {
			f.fault(acmetest.FaultKind(acmetest.KindDirectory, 1, acmetest.Fault{Status: 302, Header: http.Header{"Location": {location}}}))
			if _, err := f.newClient().Directory(t.Context()); !errors.Is(err, want) {
				t.Errorf("directory moved to %q: got %v, want %v", location, err, want)
			}
		}
		f.ca.Reset()
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Status: 302, Header: http.Header{"Location": {"/directory"}}}))
		if _, err := f.newClient().Directory(t.Context()); !errors.Is(err, acme.ErrRedirect) || f.ca.Count("") != 6 {
			t.Errorf("endless redirects: got %v after %d requests", err, f.ca.Count(""))
		}
		c := f.newClient()
		own := errors.New("the caller's rule")
		c.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return own }
		if _, err := c.Directory(t.Context()); !errors.Is(err, own) {
			t.Errorf("got %v, want the caller's error", err)
		}
	})
}

func TestInsecureURLs(t *testing.T) {
	conformance.Claim(t, "8555-6.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, u := range []string{
			"http://ca.test/directory", "ftp://ca.test/", "//ca.test/", "ca.test", "https://", "https://user:pw@ca.test/directory",
			"file:///etc/passwd", "http://127.0.0.1/directory", "http://localhost/", "https://ca.test/%zz", "http://[::1]/",
		} {
			c := &acme.Client{DirectoryURL: u, HTTPClient: f.ca.HTTPClient()}
			_, err := c.Directory(t.Context())
			if !errors.Is(err, acme.ErrInsecureURL) {
				t.Errorf("%s: got %v, want ErrInsecureURL", u, err)
			}
			if err != nil && strings.Contains(err.Error(), "pw") {
				t.Errorf("%s: the password is in %q", u, err)
			}
		}
		for _, u := range []string{"http://ca.test/directory", "http://127.0.0.1.ca.test/", "http://10.0.0.1/"} {
			c := &acme.Client{DirectoryURL: u, HTTPClient: f.ca.HTTPClient(), AllowHTTP: true}
			if _, err := c.Directory(t.Context()); !errors.Is(err, acme.ErrInsecureURL) {
				t.Errorf("%s with AllowHTTP: got %v, want ErrInsecureURL", u, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests were sent", got)
		}
		// What the server hands out is held to the same, before a nonce is spent.
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) { m["newOrder"] = "http://ca.test/new-order" })))
		_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("a.example.com")})
		if !errors.Is(err, acme.ErrInsecureURL) || !strings.Contains(err.Error(), "newOrder") {
			t.Errorf("got %v, want ErrInsecureURL of newOrder", err)
		}
		if got := f.ca.Count(""); got != 1 {
			t.Errorf("%d requests were sent, want the directory's", got)
		}
	})
}

func TestAllowHTTP(t *testing.T) {
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	server := newPlainServer(t, f.ca)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		u := strings.Replace(server.URL, "127.0.0.1", host, 1)
		c := &acme.Client{DirectoryURL: u + "/directory", AllowHTTP: true, HTTPClient: server.Client()}
		if _, err := c.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); err != nil {
			t.Error(err)
		}
	}
}

// Whatever is sent in an issuance has the headers that it has to have.
func TestHeaders(t *testing.T) {
	conformance.Claim(t, "8555-6.1-03", "8555-6.1-04", "9110-10.1.5-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.client.UserAgent, f.client.Language = "shop/2.1 (+https://shop.example)", "de, en;q=0.5"
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.ca.Requests() {
			ua := r.Header.Get("User-Agent")
			if !strings.HasPrefix(ua, "shop/2.1 (+https://shop.example) acme/") || !strings.Contains(ua, " Go-http-client/1.") {
				t.Errorf("%s: User-Agent %q", r.Kind, ua)
			}
			if got := r.Header.Get("Accept-Language"); got != "de, en;q=0.5" {
				t.Errorf("%s: Accept-Language %q", r.Kind, got)
			}
			if got := r.Header.Get("Content-Type"); (got == "application/jose+json") != (r.Method == http.MethodPost) {
				t.Errorf("%s: Content-Type %q", r.Kind, got)
			}
			if r.Header.Get("Replay-Nonce") != "" {
				t.Errorf("%s: has a Replay-Nonce (§6.5.1)", r.Kind)
			}
			if r.Kind == acmetest.KindCertificate && r.Header.Get("Accept") != "application/pem-certificate-chain" {
				t.Errorf("Accept %q", r.Header.Get("Accept"))
			}
		}
		c := f.newClient()
		c.UserAgent = ""
		f.ca.Reset()
		if _, err := c.Directory(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h := f.ca.Requests()[0].Header; !strings.HasPrefix(h.Get("User-Agent"), "acme/") || h.Get("Accept-Language") != "en" {
			t.Errorf("defaults: %v", h)
		}
	})
}

// lego replaced the Transport of the caller's client.
func TestCallersHTTPClientIsNotModified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		hc := f.ca.HTTPClient()
		before := *hc
		f.client.HTTPClient = hc
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if hc.CheckRedirect != nil || hc.Transport != before.Transport || hc.Jar != before.Jar || hc.Timeout != before.Timeout {
			t.Error("the caller's client was modified")
		}
		if http.DefaultClient.CheckRedirect != nil || http.DefaultClient.Transport != nil {
			t.Error("http.DefaultClient was modified")
		}
	})
}

func TestConstructorsSendNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		c := f.newClient()
		a := c.Account(f.key, f.account.URL())
		_ = a.KeyAuthorization("token")
		_ = a.URL()
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

// A response is read up to a bound. Above it, an answer is an error that says
// which, and an error page is cut.
func TestBodiesAreBounded(t *testing.T) {
	conformance.Claim(t, "8555-6.7-04")
	t.Parallel()
	bomb := bytes.Repeat(gzipped(t, 64<<10), 64)
	bubbled := func(name string, fault acmetest.Fault, limit int64, check func(t *testing.T, err error)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.client.MaxBodyBytes = limit
				f.fault(acmetest.FaultAlways(acmetest.KindAccount, fault))
				_, err := f.account.Info(t.Context())
				check(t, err)
				if got := f.ca.Count(acmetest.KindAccount); got > 5 {
					t.Errorf("sent %d times", got)
				}
			})
		})
	}
	tooLarge := func(bound string) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			if !errors.Is(err, acme.ErrResponseTooLarge) || !strings.Contains(err.Error(), bound) {
				t.Errorf("got %v, want ErrResponseTooLarge with %s", err, bound)
			}
		}
	}
	cut := func(t *testing.T, err error) {
		if p := problemIn(t, err); p.Status < 400 || len(p.Detail) > 1000 || len(err.Error()) > 4000 {
			t.Errorf("got %d octets: %v", len(err.Error()), err)
		}
	}
	endless := acmetest.EndlessBody(`{"a":"b"}`)
	bubbled("endless", acmetest.Fault{BodyReader: endless}, 0, tooLarge("1048576"))
	bubbled("endless, other bound", acmetest.Fault{BodyReader: endless}, 1000, tooLarge("1000"))
	bubbled("endless error page", acmetest.Fault{Status: 404, BodyReader: endless}, 10000, cut)
	bubbled("endless 500", acmetest.Fault{Status: 500, BodyReader: acmetest.EndlessBody("x")}, 10000, cut)

	t.Run("gzip bomb", func(t *testing.T) { // net/http unpacks only over TCP
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}))
		t.Cleanup(s.Close)
		c := &acme.Client{DirectoryURL: s.URL, AllowHTTP: true}
		if _, err := c.Directory(t.Context()); !errors.Is(err, acme.ErrResponseTooLarge) {
			t.Errorf("got %v, want ErrResponseTooLarge", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A server that never answers, or never ends, is given up on.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]acmetest.Fault{
		"no answer":  {Delay: time.Hour},
		"slow loris": {BodyReader: acmetest.SlowBody(bytes.Repeat([]byte(" "), 10000), time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindAccount, fault))
				start := time.Now()
				_, err := f.account.Info(t.Context())
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 2m0s") {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 11*time.Minute {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"maintenance page": "<html>be back soon</html>", "empty": "", "null": "null", "array": "[]", "string": `"x"`, "cut": `{"status":`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					if r.Kind == acmetest.KindAccount || r.Kind == acmetest.KindDirectory && f.ca.Count(acmetest.KindDirectory) > 1 {
						return &acmetest.Fault{Status: 200, Body: []byte(body + " ")}
					}
					return nil
				})
				if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrMalformedResponse) {
					t.Errorf("got %v, want ErrMalformedResponse", err)
				}
				if _, err := f.newClient().Directory(t.Context()); !errors.Is(err, acme.ErrMalformedResponse) {
					t.Errorf("directory: got %v, want ErrMalformedResponse", err)
				}
			})
		})
	}
}

// A certificate that is not trusted is not tried again.
func TestUntrustedServer(t *testing.T) {
	t.Parallel()
	var handshakes int
	var mu sync.Mutex
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		handshakes++
		return nil, nil
	}}
	s.Config.ErrorLog = discardLog()
	s.StartTLS()
	t.Cleanup(s.Close)
	c := &acme.Client{DirectoryURL: s.URL}
	_, err := c.Directory(t.Context())
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("got %v, want a CertificateVerificationError", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if handshakes != 1 {
		t.Errorf("%d handshakes, want 1", handshakes)
	}
}

// Header values that cannot be sent are an error at once.
func TestInvalidUserAgent(t *testing.T) {
	t.Parallel()
	c := &acme.Client{DirectoryURL: "https://127.0.0.1:1/", UserAgent: "a\nb", Backoff: func(int, time.Duration) time.Duration {
		t.Error("tried again")
		return -1
	}}
	if _, err := c.Directory(t.Context()); err == nil || !strings.Contains(err.Error(), "User-Agent") {
		t.Errorf("got %v", err)
	}
}

func TestCancelBetweenTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 500}))
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("shutting down")
		time.AfterFunc(100*time.Millisecond, func() { cancel(cause) })
		_, err := f.account.Info(ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || problemIn(t, err).Status != 500 {
			t.Errorf("got %v, want all three reasons", err)
		}
	})
}

// A RoundTripper can label what it measures.
func TestOperationOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		seen := map[acme.Operation]int{}
		next := f.ca.Transport()
		f.client.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			seen[acme.OperationOf(r.Context())]++
			return next.RoundTrip(r)
		})}
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		want := "map[authorization:1 certificate:1 directory:1 finalize:1 newNonce:1 newOrder:1 order:1 respondChallenge:1]"
		if got := fmt.Sprint(seen); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
		if op := acme.OperationOf(t.Context()); op != "" {
			t.Errorf("outside of a request: %q", op)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The newNonce of servers that know GET only, or nothing at all.
func TestNewNonce(t *testing.T) {
	conformance.Claim(t, "8555-7.2-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		onHead := func(fault acmetest.Fault) func(acmetest.Request) *acmetest.Fault {
			return func(r acmetest.Request) *acmetest.Fault {
				if r.Kind == acmetest.KindNewNonce && r.Method == http.MethodHead {
					return &fault
				}
				return nil
			}
		}
		none := http.Header{"Replay-Nonce": nil}
		for name, fault := range map[string]acmetest.Fault{
			"405": {Status: 405}, "404": {Status: 404}, "501": {Status: 501}, "HEAD without": {Header: none},
			"HEAD malformed": {Header: http.Header{"Replay-Nonce": {"a=b"}}},
		} {
			f.fault(onHead(fault))
			if _, err := f.newClient().Account(f.key, f.account.URL()).Info(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		f.fault(acmetest.FaultAlways(acmetest.KindNewNonce, acmetest.Fault{Header: none}))
		if _, err := f.newClient().Account(f.key, f.account.URL()).Info(t.Context()); !errors.Is(err, acme.ErrNoNonce) {
			t.Errorf("none: got %v, want ErrNoNonce", err)
		}
		f.ca.Reset()
		f.fault(acmetest.FaultAlways(acmetest.KindNewNonce, acmetest.Fault{Status: 503}))
		if _, err := f.newClient().Account(f.key, f.account.URL()).Info(t.Context()); problemIn(t, err).Status != 503 {
			t.Errorf("503: got %v", err)
		}
		if got := f.ca.Count(acmetest.KindNewNonce); got != 5 {
			t.Errorf("503: asked %d times, want 5", got)
		}
	})
}

// Unusable Replay-Nonce fields are ignored, wherever they come.
func TestMalformedNoncesAreIgnored(t *testing.T) {
	conformance.Claim(t, "8555-6.5.1-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, nonce := range []string{"a=", "a b", "ä", "", "a+b", "a/b", "a, b", strings.Repeat("a", 2000)} {
			f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{
				Header: http.Header{"Replay-Nonce": {nonce}},
				Edit:   func(status int, _ http.Header, body []byte) (int, []byte) { return status, body },
			}))
			for range 2 {
				if _, err := f.account.Info(t.Context()); err != nil {
					t.Errorf("%.20q: %v", nonce, err)
				}
			}
		}
		f.checkNonces()
	})
}

func TestPostEscapeHatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.FaultOnce(acmetest.KindOrder, acmetest.Fault{Header: http.Header{
			"Location": {"/elsewhere"}, "Link": {`<more>;rel="next", </up>;rel=up`}, "Retry-After": {"5"},
		}, Edit: func(s int, _ http.Header, b []byte) (int, []byte) { return s, b }}))
		resp, err := f.account.Post(t.Context(), o.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.URL != o.URL || resp.StatusCode != 200 || !bytes.Contains(resp.Body, []byte("identifiers")) {
			t.Errorf("got %+v", resp)
		}
		base, _ := url.Parse(o.URL)
		if got := resp.Location(); got != base.Scheme+"://"+base.Host+"/elsewhere" {
			t.Errorf("Location %q", got)
		}
		if got := resp.Links("next"); len(got) != 1 || !strings.HasSuffix(got[0], "/more") {
			t.Errorf("next is %q", got)
		}
		if got := time.Until(resp.RetryAfter); got != 5*time.Second {
			t.Errorf("RetryAfter in %v", got)
		}
		// With a payload it is not sent again after a lost answer.
		f.ca.Reset()
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{LoseResponse: true}))
		if _, err := f.account.Post(t.Context(), f.account.URL(), map[string]any{"contact": []string{}}); err == nil {
			t.Error("no error")
		}
		if got := f.ca.Count(acmetest.KindAccount); got != 1 {
			t.Errorf("sent %d times", got)
		}
		if _, err := f.account.Post(t.Context(), f.account.URL(), func() {}); err == nil {
			t.Error("a function was encoded")
		}
	})
}

// A key store that fails is an error at once, and the next request gets on.
func TestKeyStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		offline := errors.New("token removed")
		key := &flakyKey{Signer: f.key, err: offline}
		a := f.client.Account(key, f.account.URL())
		if _, err := a.Info(t.Context()); !errors.Is(err, offline) || !strings.Contains(err.Error(), "signing") {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Count(acmetest.KindAccount); got != 0 {
			t.Errorf("%d requests", got)
		}
		key.err = nil
		if _, err := a.Info(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type flakyKey struct {
	crypto.Signer
	err error
}

func (k *flakyKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.err != nil {
		return nil, k.err
	}
	return k.Signer.Sign(r, digest, opts)
}

// A cancellation that comes together with an error answer is told too.
func TestCancelAsAnErrorArrives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 500}))
		ctx, cancel := context.WithCancel(t.Context())
		ctx = acme.WithTrace(ctx, &acme.Trace{Request: func(r acme.RequestInfo) {
			if r.StatusCode == 500 {
				cancel()
			}
		}})
		if _, err := f.account.Info(ctx); !errors.Is(err, context.Canceled) || problemIn(t, err).Status != 500 {
			t.Errorf("got %v, want both reasons", err)
		}
	})
}

// Where newNonce is answered from a cache, the same JWS is not sent again and
// again: the error says why nothing can be sent.
func TestCachedNonce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindNewNonce {
				return &acmetest.Fault{Header: http.Header{"Replay-Nonce": {"cached"}}, Edit: keepBody}
			}
			return &acmetest.Fault{Header: http.Header{"Replay-Nonce": nil}, Edit: keepBody}
		})
		if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrNoNonce) {
			t.Errorf("got %v, want ErrNoNonce", err)
		}
		if got := f.ca.Count(acmetest.KindAccount); got != 1 {
			t.Errorf("sent %d times", got)
		}
	})
}
