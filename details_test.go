package acme_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// logTo has the client log into the buffer that is returned, which is read by
// String.
func (f *fixture) logTo() *lockedWriter {
	w := &lockedWriter{w: new(bytes.Buffer)}
	f.client.Logger = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return w
}

func (l *lockedWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.String()
}

// payloads returns the payloads of the requests of a kind, "" for POST-as-GET.
func (f *fixture) payloads(kind acmetest.Kind) (out []string) {
	for _, r := range f.ca.Requests() {
		if r.Kind == kind {
			out = append(out, string(r.Payload))
		}
	}
	return out
}

// -- accounts

// Where a binding matters, no account is asked for before it is known that there
// is none, and none without a binding where one is required.
func TestExternalAccountLooksFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mac := []byte("0123456789abcdef0123456789abcdef")
		f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}})
		ctx := t.Context()
		eab := &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac}
		const look = `{"onlyReturnExisting":true}`

		// Not required, but given: an account that exists is found, not bound again.
		if a, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{ExternalAccount: eab}); err != nil || a.URL() != f.account.URL() {
			t.Errorf("existing: %v, %v", a, err)
		}
		if got := f.payloads(acmetest.KindNewAccount); !slices.Equal(got, []string{look}) {
			t.Errorf("existing: sent %q", got)
		}

		// The look tells nothing: no account is asked for.
		for name, tt := range map[string]struct {
			fault acmetest.Fault
			want  func(error) bool
		}{
			"rate limit": {acmetest.RateLimited(time.Hour), func(err error) bool { return errors.Is(err, acme.ErrRateLimited) }},
			"500":        {acmetest.Fault{Status: 500}, func(err error) bool { return problemIn(t, err).Status == 500 }},
			"lost":       {acmetest.Fault{LoseRequest: true}, func(err error) bool { return strings.Contains(err.Error(), "connection lost") }},
		} {
			f.ca.Reset()
			f.fault(acmetest.FaultKind(acmetest.KindNewAccount, 5, tt.fault))
			client := f.newClient() // which remembers no rate limit
			if _, err := client.NewAccount(ctx, newKey(t), acme.AccountRequest{ExternalAccount: eab}); err == nil || !tt.want(err) {
				t.Errorf("%s: got %v", name, err)
			}
			for _, got := range f.payloads(acmetest.KindNewAccount) {
				if got != look {
					t.Errorf("%s: sent %s", name, got)
				}
			}
		}

		// The look is refused by a server that does not know it: go on.
		f.fault(acmetest.FaultOnce(acmetest.KindNewAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed)}}))
		if a, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{ExternalAccount: eab}); err != nil || !a.Created() {
			t.Errorf("look refused: %v, %v", a, err)
		}

		// Required, but not given: the look is all that is sent.
		f.ca.Update(func(o *acmetest.Options) { o.ExternalAccountRequired = true })
		f.ca.Reset()
		if _, err := f.newClient().NewAccount(ctx, newKey(t), acme.AccountRequest{}); !errors.Is(err, acme.ErrExternalAccountRequired) {
			t.Errorf("required: %v", err)
		}
		if got := f.payloads(acmetest.KindNewAccount); !slices.Equal(got, []string{look}) {
			t.Errorf("required: sent %q", got)
		}
	})
}

// A contact is refused for what would let it be read as another one, however
// the scheme is written.
func TestMoreBadContacts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, contact := range []string{
			"MAILTO:a@example.com?subject=x", "Mailto:a@example.com,b@example.com",
			"mailto:a@example.com\n", "mailto:a@example.com\r", "mailto:\ta@example.com",
		} {
			if _, err := f.account.Update(t.Context(), []string{contact}); !errors.Is(err, acme.ErrMalformedContact) {
				t.Errorf("%q: got %v", contact, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

// An account object has all that the server says, and a creation is logged.
func TestAccountInfoMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		mac := []byte("0123456789abcdef0123456789abcdef")
		f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}, TermsOfService: "https://ca.test/terms"})
		log := f.logTo()
		a, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{
			TermsOfServiceAgreed: true, ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac},
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := `"level":"INFO","msg":"acme: account","acme.url":"` + a.URL() + `","acme.created":true`; !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log", want)
		}
		info, err := a.Info(t.Context())
		if err != nil || !info.TermsOfServiceAgreed || !bytes.Contains(info.ExternalAccountBinding, []byte("signature")) || info.OrdersURL == "" {
			t.Errorf("got %+v, %v", info, err)
		}
	})
}

// A key authorization is made of nothing but base64url tokens (CVE-2026-40611).
func TestKeyAuthorizationOfHostileTokens(t *testing.T) {
	t.Parallel()
	a := (&acme.Client{}).Account(newKey(t), "https://ca.test/account/1")
	for _, token := range []string{"", "a.b", "../x", "a=", "a b", "a\n", "ä"} {
		if got := a.KeyAuthorization(token); got != "" {
			t.Errorf("%q: got %q", token, string(got))
		}
	}
	if got := a.KeyAuthorization("aZ09-_"); string(got) != "aZ09-_."+a.Thumbprint() {
		t.Errorf("got %q", string(got))
	}
}

// -- authorizations

// Relative URLs of challenges are made absolute, wherever they come from.
func TestRelativeChallengeURLs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				c := c.(map[string]any)
				c["url"] = strings.TrimPrefix(c["url"].(string), "https://ca.test")
			}
		})))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
	})
}

// A wait for an authorization asks when the server wants to be asked, and its
// error names the challenge that failed.
func TestWaitAuthorizationRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{RetryAfter: "7", Validate: failing(acme.HTTP01)})
		o := f.order("a.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil || !z.Expires.After(time.Now()) || !z.RetryAfter.Equal(time.Now().Add(7*time.Second)) {
			t.Fatalf("got %+v, %v", z, err)
		}
		time.AfterFunc(time.Second, func() {
			_, _ = f.account.RespondChallenge(t.Context(), pick(t, z, acme.HTTP01).URL, nil) // fails
		})
		start := time.Now()
		_, err = f.account.WaitAuthorization(t.Context(), z.URL)
		failed, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || failed.Challenge == nil || failed.Challenge.Type != acme.HTTP01 {
			t.Errorf("got %v, want the challenge that failed", err)
		}
		if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("asked again after %v, want 7s", took)
		}
	})
}

// -- solvers

// A clean-up has a minute, and the values of Present's context.
func TestCleanupContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Hour)
		defer cancel()
		req := f.request("a.example.com")
		called := 0
		req.Solvers = []acme.Solver{testSolver{
			supports: f.solver.Supports,
			present: func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if batch[0].AccountURL != f.account.URL() {
					t.Errorf("account %q", batch[0].AccountURL)
				}
				return func(ctx context.Context) error {
					called++
					if end, ok := ctx.Deadline(); !ok || time.Until(end) != time.Minute || ctx.Value(key{}) != "v" {
						t.Errorf("ends in %v (%v), value %v", time.Until(end), ok, ctx.Value(key{}))
					}
					<-ctx.Done()
					return ctx.Err()
				}, nil
			},
		}}
		if _, err := f.account.Obtain(ctx, req); err != nil || called != 1 {
			t.Errorf("called %d times: %v", called, err)
		}
	})
}

// Authorize has nothing to do for an order that is beyond authorization, and
// sends nothing.
func TestAuthorizeWithNothingToDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, status := range []acme.Status{acme.StatusReady, acme.StatusProcessing, acme.StatusValid} {
			if err := f.account.Authorize(t.Context(), &acme.Order{URL: "https://ca.test/order/1", Status: status}, f.solver); err != nil {
				t.Errorf("%s: %v", status, err)
			}
		}
		for _, status := range []acme.Status{acme.StatusInvalid, acme.StatusCanceled} {
			err := f.account.Authorize(t.Context(), &acme.Order{URL: "https://ca.test/order/1", Status: status}, f.solver)
			if _, ok := errors.AsType[*acme.OrderError](err); !ok {
				t.Errorf("%s: %v", status, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

// A challenge that is valid already is not answered again, though its
// authorization is still pending.
func TestValidChallengeIsNotAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		f.fault(acmetest.FaultOnce(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["type"] == "http-01" {
					c["status"] = "valid"
				}
			}
		})))
		http01, dns01 := &recorder{Solver: always(acme.HTTP01)}, &recorder{Solver: always(acme.DNS01)}
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{http01, dns01}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if len(http01.batches) != 0 || len(dns01.batches) != 1 {
			t.Errorf("http-01 %v, dns-01 %v", http01.batches, dns01.batches)
		}
	})
}

// A batch that fails stops the others, whose end is not told as a failure.
func TestFailedBatchStopsTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		down := errors.New("provider is down")
		broken := always(acme.DNS01).(testSolver)
		broken.present = func(context.Context, []*acme.Attempt) (acme.Cleanup, error) { return nil, down }
		slow := always(acme.HTTP01).(testSolver)
		slow.present = func(ctx context.Context, _ []*acme.Attempt) (acme.Cleanup, error) {
			select {
			case <-time.After(time.Hour):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		o := f.order("a.example.com", "*.b.example.com")
		start := time.Now()
		err := f.account.Authorize(t.Context(), o, slow, broken)
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 1 || !errors.Is(err, down) || errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		if got := f.ca.Authorizations("pending"); len(got) != 0 {
			t.Errorf("left pending: %v", got)
		}
	})
}

// A cancellation between two answers is the error, and the order is kept.
func TestCancelBetweenAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ctx = acme.WithTrace(ctx, &acme.Trace{Responded: func(*acme.Attempt, *acme.Challenge, error) { cancel() }})
		r := &recorder{Solver: f.solver}
		req := f.request("a.example.com", "b.example.com")
		req.Solvers, req.Concurrency = []acme.Solver{r}, 1
		if _, err := f.account.Obtain(ctx, req); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		r.check(t)
		if got := f.withPayload(acmetest.KindChallenge); got != 1 {
			t.Errorf("%d answers", got)
		}
		if got := f.ca.Authorizations("deactivated"); len(got) != 0 {
			t.Errorf("deactivated: %v", got)
		}
	})
}

// A challenge that was answered before a restart is not answered again, but its
// response is provisioned.
func TestAnsweredChallengeIsNotAnsweredAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Second})
		o := f.order("a.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.account.RespondChallenge(t.Context(), pick(t, z, acme.HTTP01).URL, nil); err != nil {
			t.Fatal(err)
		}
		f.ca.Reset()
		r := &recorder{Solver: f.solver}
		if err := f.account.Authorize(t.Context(), o, r); err != nil {
			t.Fatal(err)
		}
		r.check(t)
		if got := f.withPayload(acmetest.KindChallenge); got != 0 || len(r.batches) != 1 {
			t.Errorf("answered %d times, batches %v", got, r.batches)
		}
	})
}

// A challenge that fails in the very answer ends the wait before it begins.
func TestFailureInTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		o := f.order("a.example.com")
		err := f.account.Authorize(t.Context(), o, f.solver)
		if !errors.Is(err, acme.ErrConnection) {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Count(acmetest.KindOrder); got != 0 {
			t.Errorf("the order was read %d times", got)
		}
	})
}

// A server that fails while challenges are answered has failed nothing: the
// order is kept.
func TestServerFailsAtTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.FaultAlways(acmetest.KindChallenge, acmetest.Fault{Status: 500}))
		err := f.account.Authorize(t.Context(), o, f.solver)
		if _, failed := errors.AsType[*acme.AuthorizeError](err); failed || problemIn(t, err).Status != 500 {
			t.Errorf("got %v", err)
		}
		f.fault(nil)
		if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

// What is no longer pending when its challenge is refused is not deactivated.
func TestRefusedChallengeOfInvalidAuthorization(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindChallenge, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed)}}),
			acmetest.FaultSequence(acmetest.KindAuthorization, acmetest.Fault{}, acmetest.EditJSON(func(m map[string]any) { m["status"] = "invalid" })),
		))
		err := f.account.Authorize(t.Context(), o, f.solver)
		failed, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || failed.Authorization.Status != acme.StatusInvalid {
			t.Errorf("got %v", err)
		}
		if got := f.withPayload(acmetest.KindAuthorization); got != 0 {
			t.Errorf("%d deactivations", got)
		}
	})
}

// -- certificates

// A chain has 64 certificates at most, and 16 alternates are told of.
func TestChainBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(cert.PEM)
		one := pem.EncodeToMemory(block)
		for n, want := range map[int]error{64: nil, 65: acme.ErrInvalidChain} {
			c := &acme.Certificate{PEM: bytes.Repeat(one, n)}
			if chain, err := c.Chain(); !errors.Is(err, want) || err == nil && len(chain) != n {
				t.Errorf("%d times: %d certificates, %v", n, len(chain), err)
			}
		}
		var links []string
		for i := range 20 {
			links = append(links, fmt.Sprintf(`</alt/%d>;rel="alternate"`, i))
		}
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Header: http.Header{"Link": links}, Edit: keepBody}))
		got, err := f.account.Certificate(t.Context(), cert.URL)
		if err != nil || len(got.AlternateURLs) != 16 || got.AlternateURLs[15] != "https://ca.test/alt/15" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// A block of another name is refused whatever is in it (§11.4), and what a CSR
// cannot name is not looked for in the certificate.
func TestChainBlocksAndMatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(cert.PEM)
		for _, name := range []string{"X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PRIVATE KEY"} {
			c := &acme.Certificate{PEM: append(bytes.Clone(cert.PEM), pem.EncodeToMemory(&pem.Block{Type: name, Bytes: block.Bytes})...)}
			if _, err := c.Chain(); !errors.Is(err, acme.ErrInvalidChain) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		ids := append(acme.DNS("a.example.com"), acme.Identifier{Type: "permanent-identifier", Value: "7"})
		if err := cert.Match(ids, f.certKey.Public()); err != nil {
			t.Error(err)
		}
	})
}

// A certificate that is not found yet is asked for when the server says, and
// the wait for it tells why it waits.
func TestCertificateNotFoundRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		late := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Detail: "not here", Status: 404}, Header: http.Header{"Retry-After": {"4"}}}
		f.fault(acmetest.FaultKind(acmetest.KindCertificate, 1, late))
		start := time.Now()
		if _, err := f.account.Certificate(t.Context(), cert.URL); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("asked again after %v, want 4s", took)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, late))
		ctx, cancel := contextWithTimeout(t, 6*time.Second)
		defer cancel()
		_, err = f.account.Certificate(ctx, cert.URL)
		if w, ok := errors.AsType[*acme.WaitError](err); !ok || w.Reason == nil || w.Reason.Status != 404 || !strings.Contains(err.Error(), "not here") {
			t.Errorf("got %v", err)
		}
	})
}

// A revocation without a reason has none on the wire (RFC 5280 §5.3.1), and a
// PEM file may have text in front.
func TestRevocationOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.account.RevokeCertificate(t.Context(), slices.Concat([]byte("Issuer: us\n\n"), cert.PEM), acme.ReasonUnspecified); err != nil {
			t.Error(err)
		}
		if got := f.payloads(acmetest.KindRevokeCert); len(got) != 1 || strings.Contains(got[0], "reason") {
			t.Errorf("sent %q", got)
		}
	})
}

// -- challenges

// What RespondChallenge makes of an answer that was lost or says little.
func TestRespondChallengeAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		respond := func(name string, fault func(acmetest.Request) *acmetest.Fault) *acme.Challenge {
			z, err := f.account.Authorization(t.Context(), f.order(name).AuthorizationURLs[0])
			if err != nil {
				t.Fatal(err)
			}
			u := pick(t, z, acme.HTTP01).URL
			f.ca.Reset()
			f.fault(fault)
			c, err := f.account.RespondChallenge(t.Context(), u, nil)
			f.fault(nil)
			if err != nil || c.URL != u {
				t.Fatalf("%s: got %+v, %v, want URL %s", name, c, err, u)
			}
			if got := f.withPayload(acmetest.KindChallenge); got != 1 {
				t.Errorf("%s: answered %d times", name, got)
			}
			return c
		}
		// The server took it, validated, failed, and gave the challenge back (§8.2).
		c := respond("back.example.com", acmetest.FaultSequence(acmetest.KindChallenge, acmetest.Fault{LoseRequest: true}, acmetest.EditJSON(func(m map[string]any) {
			m["status"], m["error"] = "pending", map[string]any{"type": string(acme.ErrConnection)}
		})))
		if c.Status != acme.StatusPending || !errors.Is(c.Error, acme.ErrConnection) {
			t.Errorf("given back: %+v", c)
		}
		c = respond("empty.example.com", acmetest.FaultOnce(acmetest.KindChallenge, acmetest.Fault{
			Header: http.Header{"Retry-After": {"9"}}, Edit: func(status int, _ http.Header, _ []byte) (int, []byte) { return status, nil },
		}))
		if c.Status != acme.StatusProcessing || !c.RetryAfter.Equal(time.Now().Add(9*time.Second)) {
			t.Errorf("no body: %+v", c)
		}
		respond("url.example.com", acmetest.FaultOnce(acmetest.KindChallenge, acmetest.EditJSON(func(m map[string]any) { m["url"] = "https://ca.test/other" })))
	})
}

// The first look at an order is when the server wants it: at the earliest of the
// times that came with the challenges that are open, at once if one has none.
func TestFirstLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		retryAfter []string // of the answers; "done" is a refusal since the authorization is valid
		want       time.Duration
	}{
		"earliest":    {[]string{"9", "5", "7"}, 5 * time.Second},
		"one without": {[]string{"9", "", "7"}, 0},
		"one is done": {[]string{"9", "done", "7"}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: 4 * time.Second})
				valid := acmetest.EditJSON(func(m map[string]any) { m["status"] = "valid" })
				n, done := 0, false
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					switch {
					case r.Kind == acmetest.KindAuthorization && done:
						done = false
						return &valid
					case r.Kind != acmetest.KindChallenge:
						return nil
					}
					n++
					if done = tt.retryAfter[n-1] == "done"; done {
						return &acmetest.Fault{Edit: func(int, http.Header, []byte) (int, []byte) { return 400, []byte(`{"type":"malformed"}`) }}
					}
					return &acmetest.Fault{Header: http.Header{"Retry-After": {tt.retryAfter[n-1]}}, Edit: keepBody}
				})
				start, first := time.Now(), time.Duration(-1)
				ctx := acme.WithTrace(t.Context(), &acme.Trace{Request: func(r acme.RequestInfo) {
					if r.Operation == acme.OpOrder && first < 0 {
						first = time.Since(start)
					}
				}})
				req := f.request(names(3)...)
				req.Concurrency = 1
				if _, err := f.account.Obtain(ctx, req); err != nil {
					t.Fatal(err)
				}
				if first < tt.want || first > tt.want*106/100 {
					t.Errorf("first look after %v, want %v", first, tt.want)
				}
			})
		})
	}
}

// A challenge that is pending without an error is being validated: it is not
// answered again (§8.2).
func TestPendingChallengeIsNotAnsweredAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 30 * time.Second})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			var fault acmetest.Fault
			switch r.Kind {
			case acmetest.KindChallenge:
				fault = acmetest.EditJSON(func(m map[string]any) { m["status"] = "pending" })
			case acmetest.KindAuthorization:
				fault = acmetest.EditJSON(func(m map[string]any) {
					for _, c := range m["challenges"].([]any) {
						if c := c.(map[string]any); c["status"] == "processing" {
							c["status"] = "pending"
						}
					}
				})
			}
			return &fault
		})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(acmetest.KindChallenge); got != 1 {
			t.Errorf("answered %d times", got)
		}
		if got := f.ca.Count(acmetest.KindAuthorization); got > 1+4 {
			t.Errorf("the authorization was read %d times in half a minute: the order tells", got)
		}
	})
}

// An authorization that became invalid by another challenge than the one that
// was answered: the error tells which.
func TestOtherChallengeFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		seen := 0
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
			if seen++; seen == 1 {
				return
			}
			m["status"] = "invalid"
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["type"] == "dns-01" {
					c["status"], c["error"] = "invalid", map[string]any{"type": string(acme.ErrDNS)}
				}
			}
		})))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		failed, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || failed.Challenge.Type != acme.DNS01 || !errors.Is(err, acme.ErrDNS) {
			t.Errorf("got %v", err)
		}
	})
}

// settling makes a CA that fails bad.example.com at once, and knows what becomes
// of late.example.com after a while only.
func settling(t *testing.T, late time.Duration) *fixture {
	f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
	start := time.Now()
	f.fault(func(r acmetest.Request) *acmetest.Fault {
		if time.Since(start) >= late || r.Kind != acmetest.KindAuthorization && r.Kind != acmetest.KindChallenge {
			return nil
		}
		fault := acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
			if bytes.Contains(body, []byte("bad.example.com")) || bytes.Contains(body, []byte("from bad")) {
				return status, body
			}
			return acmetest.EditJSON(func(m map[string]any) {
				challenges, ok := m["challenges"].([]any)
				if !ok {
					challenges = []any{m}
				}
				for _, c := range challenges {
					if c := c.(map[string]any); c["status"] == "invalid" {
						c["status"] = "processing"
						delete(c, "error")
					}
				}
				if m["status"] == "invalid" {
					m["status"] = "pending"
				}
			}).Edit(status, h, body)
		}}
		return &fault
	})
	return f
}

// After a failure the other validations get ten seconds to be told of as well.
func TestFailuresSettle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		late     time.Duration
		failures int
	}{{5 * time.Second, 2}, {time.Hour, 1}} {
		t.Run(tt.late.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := settling(t, tt.late)
				start := time.Now()
				err := f.account.Authorize(t.Context(), f.order("bad.example.com", "late.example.com"), f.solver)
				failed, ok := errors.AsType[*acme.AuthorizeError](err)
				if !ok || len(failed.Failures) != tt.failures || !strings.Contains(err.Error(), "bad.example.com") {
					t.Errorf("got %v, want %d failures", err, tt.failures)
				}
				if took := time.Since(start); took > 12*time.Second || took < min(tt.late, 7*time.Second) {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// If ctx ends meanwhile, that is the error.
func TestCancelWhileFailuresSettle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := settling(t, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, cancel)
		err := f.account.Authorize(ctx, f.order("bad.example.com", "late.example.com"), f.solver)
		if _, failed := errors.AsType[*acme.AuthorizeError](err); failed || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// After a failure, no challenge that was given back is answered again: its order
// cannot succeed any more.
func TestNoRevalidationAfterFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindAuthorization && r.Kind != acmetest.KindChallenge {
				return nil
			}
			return &acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
				if bytes.Contains(body, []byte("bad.example.com")) {
					return status, body
				}
				return acmetest.EditJSON(func(m map[string]any) {
					challenges, ok := m["challenges"].([]any)
					if !ok {
						challenges = []any{m}
					}
					for _, c := range challenges {
						if c := c.(map[string]any); c["status"] == "invalid" {
							c["status"] = "pending" // with the error
						}
					}
					if m["status"] == "invalid" {
						m["status"] = "pending"
					}
				}).Edit(status, h, body)
			}}
		})
		err := f.account.Authorize(t.Context(), f.order("bad.example.com", "back.example.com"), f.solver)
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 2 {
			t.Errorf("got %v, want both", err)
		}
		if got := f.withPayload(acmetest.KindChallenge); got != 2 {
			t.Errorf("%d answers, want 2", got)
		}
	})
}

// An order that is invalid for a reason of its own is an OrderError.
func TestOrderInvalidWithoutFailedAuthorization(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		f.fault(acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) {
			m["status"], m["error"] = "invalid", map[string]any{"type": string(acme.ErrCAA)}
			delete(m, "identifiers")
		})))
		err := f.account.Authorize(t.Context(), f.order("a.example.com"), f.solver)
		failed, ok := errors.AsType[*acme.OrderError](err)
		if !ok || !errors.Is(err, acme.ErrCAA) || len(failed.Order.Identifiers) != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// Authorize is over when the order is not pending any more, whatever comes next.
func TestAuthorizeEndsWithPending(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"ready", "processing", "thinking"} {
		t.Run(status, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
				o := f.order("a.example.com")
				f.fault(acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) { m["status"] = status })))
				ctx, cancel := contextWithTimeout(t, time.Minute)
				defer cancel()
				if err := f.account.Authorize(ctx, o, f.solver); err != nil || f.ca.Count(acmetest.KindOrder) != 1 {
					t.Errorf("%d readings, %v", f.ca.Count(acmetest.KindOrder), err)
				}
			})
		})
	}
}

// A wait that ends while the server tries a validation again tells why it does.
func TestAuthorizeTellsWhyItWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ValidationTime: time.Second, ValidationAttempts: 1000})
		ctx, cancel := contextWithTimeout(t, 30*time.Second)
		defer cancel()
		_, err := f.account.Obtain(ctx, f.request("a.example.com"))
		if w, ok := errors.AsType[*acme.WaitError](err); !ok || w.Reason == nil || !errors.Is(w.Reason, acme.ErrConnection) {
			t.Errorf("got %v", err)
		}
	})
}

// What a challenge is answered with shows in the trace as the server has it.
func TestTraceResponded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var got []acme.Status
		ctx := acme.WithTrace(t.Context(), &acme.Trace{Responded: func(a *acme.Attempt, c *acme.Challenge, err error) {
			if err != nil || a.Challenge.Status != acme.StatusPending {
				t.Errorf("got %+v, %v", a.Challenge, err)
			}
			got = append(got, c.Status)
		}})
		if _, err := f.account.Obtain(ctx, f.request("a.example.com")); err != nil || !slices.Equal(got, []acme.Status{acme.StatusValid}) {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// The answer that tells of an authorization's deactivation being refused is in
// the log and in the trace.
func TestRefusedDeactivationIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		log := f.logTo()
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindAuthorization && len(r.Payload) > 0 {
				return &acmetest.Fault{Status: 403}
			}
			return nil
		})
		var told error
		ctx := acme.WithTrace(t.Context(), &acme.Trace{Deactivated: func(_ string, err error) { told = err }})
		if _, err := f.account.Obtain(ctx, f.request("*.a.example.com")); err == nil {
			t.Fatal("no error")
		}
		if problemIn(t, told).Status != 403 || !strings.Contains(log.String(), `"level":"WARN","msg":"acme: authorization not deactivated"`) {
			t.Errorf("told %v", told)
		}
	})
}

// -- orders

// finalizeIgnored makes the CA lose the first n finalize requests, and answer
// as if the order were still ready.
func (f *fixture) finalizeIgnored(n int) {
	seen := 0
	f.fault(func(r acmetest.Request) *acmetest.Fault {
		if r.Kind != acmetest.KindFinalize {
			return nil
		}
		if seen++; seen > n {
			return nil
		}
		return &acmetest.Fault{Status: 200, Body: []byte(`{"status":"ready"}`)}
	})
}

// A finalized order that still looks ready after half a minute is finalized
// again, with the same CSR; if ctx ends before, that is the error.
func TestFinalizeWithoutEffect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.finalizeIgnored(1)
		start := time.Now()
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
			t.Errorf("took %v, want 30s", took)
		}
		if got := f.payloads(acmetest.KindFinalize); len(got) != 2 || got[0] != got[1] {
			t.Errorf("finalized %d times, or with another CSR", len(got))
		}
		f.ca.Reset()
		f.finalizeIgnored(1000)
		ctx, cancel := contextWithTimeout(t, 10*time.Second)
		defer cancel()
		_, err := f.account.Obtain(ctx, f.request("b.example.com"))
		w, ok := errors.AsType[*acme.WaitError](err)
		if !ok || w.Status != acme.StatusReady || !errors.Is(err, context.DeadlineExceeded) || f.ca.Count(acmetest.KindFinalize) != 1 {
			t.Errorf("got %v", err)
		}
	})
}

// An order whose status goes round in circles is given up.
func TestOrderInCircles(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.finalizeIgnored(1000)
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), "circles") || f.ca.Count(acmetest.KindFinalize) > 10 {
			t.Errorf("%d finalize requests, %v", f.ca.Count(acmetest.KindFinalize), err)
		}
	})
}

// The Retry-After of a finalize answer is honoured before the order is read.
func TestFinalizeRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: 5 * time.Second})
		f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Header: http.Header{"Retry-After": {"5"}}, Edit: keepBody}))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(acmetest.KindOrder); got != 2 {
			t.Errorf("the order was read %d times, want once before and once after", got)
		}
	})
}

// What Complete makes of orders that are as they should not be.
func TestOddOrders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		// Final: nothing is sent.
		for _, status := range []acme.Status{acme.StatusInvalid, acme.StatusCanceled, acme.StatusExpired, acme.StatusRevoked, acme.StatusDeactivated} {
			o := &acme.Order{URL: "https://ca.test/order/1", Status: status, Identifiers: acme.DNS("a.example.com")}
			_, err := f.account.Complete(t.Context(), o, f.request())
			if _, ok := errors.AsType[*acme.OrderError](err); !ok || f.ca.Count("") != 0 {
				t.Errorf("%s: got %v after %d requests", status, err, f.ca.Count(""))
			}
		}
		// Valid, and no certificate.
		o := &acme.Order{URL: "https://ca.test/order/1", Status: acme.StatusValid, Identifiers: acme.DNS("a.example.com")}
		if _, err := f.account.Complete(t.Context(), o, f.request()); !errors.Is(err, acme.ErrMalformedResponse) || f.ca.Count("") != 0 {
			t.Errorf("no certificate: %v", err)
		}
		// In a status that nobody knows, and then without its authorizations.
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.EditJSON(func(m map[string]any) { m["status"] = "new" })),
			acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) { delete(m, "authorizations") })),
		))
		ctx, cancel := contextWithTimeout(t, time.Hour)
		defer cancel()
		if _, err := f.account.Obtain(ctx, f.request("a.example.com")); err != nil {
			t.Errorf("unknown status: %v", err)
		}
		// A certificate's URL that comes early, and later no more.
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindFinalize, acmetest.EditJSON(func(m map[string]any) { m["status"] = "processing" })),
			acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) { delete(m, "certificate") })),
		))
		if _, err := f.account.Obtain(ctx, f.request("b.example.com")); err != nil {
			t.Errorf("early certificate: %v", err)
		}
		// No Location, and no identifiers.
		f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.Fault{Header: http.Header{"Location": nil}, Edit: keepBody}))
		if _, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("c.example.com")}); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("no Location: %v", err)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.EditJSON(func(m map[string]any) { delete(m, "identifiers") })))
		if o := f.order("D.example.com"); len(o.Identifiers) != 1 || o.Identifiers[0].Value != "d.example.com" {
			t.Errorf("no identifiers: %v", o.Identifiers)
		}
	})
}

// FinalizeOrder keeps what the server leaves out of its answer, and finds out
// that an order which is not ready has been finalized already.
func TestFinalizeOrderResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: time.Minute})
		o := f.order("a.example.com")
		if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
			t.Fatal(err)
		}
		csr := csrFor(t, f.certKey, "", []string{"a.example.com"})
		f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.EditJSON(func(m map[string]any) {
			clear(m)
			m["status"] = "processing"
		})))
		got, err := f.account.FinalizeOrder(t.Context(), o, csr)
		if err != nil || got.URL != o.URL || len(got.Identifiers) != 1 || got.FinalizeURL != o.FinalizeURL || len(got.AuthorizationURLs) != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		f.fault(nil)
		if got, err = f.account.FinalizeOrder(t.Context(), o, csr); err != nil || got.Status != acme.StatusProcessing {
			t.Errorf("again: got %+v, %v", got, err)
		}
	})
}

// All of an order's URLs may be relative.
func TestRelativeOrderURLs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		relative := func(v any) any { return strings.TrimPrefix(v.(string), "https://ca.test") }
		f.fault(editing(func(m map[string]any) {
			m["finalize"] = relative(m["finalize"])
			if m["certificate"] != nil {
				m["certificate"] = relative(m["certificate"])
			}
			for i, u := range m["authorizations"].([]any) {
				m["authorizations"].([]any)[i] = relative(u)
			}
		}, acmetest.KindNewOrder, acmetest.KindOrder, acmetest.KindFinalize))
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
	})
}

// What NewOrder sends of a request's times and extensions.
func TestNewOrderMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Extensions: []string{"auto-renewal"}})
		at := time.Now().Truncate(time.Second).In(time.FixedZone("far", 5*3600))
		_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{
			Identifiers: acme.DNS("a.example.com"), NotBefore: at, NotAfter: at.Add(time.Hour), Extra: map[string]any{"auto-renewal": map[string]any{"lifetime": 5}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"auto-renewal":{"lifetime":5},"identifiers":[{"type":"dns","value":"a.example.com"}],"notAfter":%q,"notBefore":%q}`,
			at.Add(time.Hour).UTC().Format("2006-01-02T15:04:05Z"), at.UTC().Format("2006-01-02T15:04:05Z"))
		if got := f.last(acmetest.KindNewOrder); got != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	})
}

// A wait for an order lasts as long as its context and no longer, and its error
// has the last that was seen.
func TestWaitOrderEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		processing := acmetest.EditJSON(func(m map[string]any) {
			m["status"], m["error"] = "processing", map[string]any{"type": string(acme.ErrCAA), "detail": "thinking"}
		})
		wait := func(name string, d time.Duration, fault func(acmetest.Request) *acmetest.Fault) {
			f.fault(fault)
			ctx, cancel := contextWithTimeout(t, d)
			defer cancel()
			start := time.Now()
			_, err := f.account.WaitOrder(ctx, o.URL, acme.StatusValid)
			w, ok := errors.AsType[*acme.WaitError](err)
			if !ok || w.Status != acme.StatusProcessing || w.Reason == nil || !errors.Is(err, acme.ErrCAA) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", name, err)
			}
			if took := time.Since(start); took != d {
				t.Errorf("%s: took %v, want %v", name, took, d)
			}
		}
		wait("between two readings", time.Minute, acmetest.FaultAlways(acmetest.KindOrder, processing))
		slow := processing
		slow.Delay = time.Hour
		wait("in a reading", time.Second, acmetest.FaultSequence(acmetest.KindOrder, processing, processing, slow))

		// A cancellation is one, though the server asks for more time than there was.
		ctx, cancel := contextWithTimeout(t, time.Minute)
		ctx = acme.WithTrace(ctx, &acme.Trace{OrderStatus: func(*acme.Order) { cancel() }})
		processing.Header = http.Header{"Retry-After": {"3600"}}
		f.fault(acmetest.FaultAlways(acmetest.KindOrder, processing))
		if _, err := f.account.WaitOrder(ctx, o.URL, acme.StatusValid); !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// -- fallback

// manyTypes makes a CA with n challenge types, and a solver for each.
func manyTypes(t *testing.T, n int, validate func(context.Context, acmetest.Validation) error) (*fixture, []acme.Solver) {
	t.Helper()
	types, solvers := make([]string, n), make([]acme.Solver, n)
	for i := range types {
		types[i] = fmt.Sprintf("test-%02d", i)
		solvers[i] = always(acme.ChallengeType(types[i]))
	}
	return newFixture(t, acmetest.Options{ChallengeTypes: types, Validate: validate}), solvers
}

// Obtain makes five orders at most, and its error names the last.
func TestFallbackIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, solvers := manyTypes(t, 8, func(context.Context, acmetest.Validation) error { return errors.New("no") })
		req := f.request("a.example.com")
		req.Solvers = solvers
		var last string
		ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(o *acme.Order) { last = o.URL }})
		_, err := f.account.Obtain(ctx, req)
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 5 || failed.OrderURL != last || f.ca.Count(acmetest.KindNewOrder) != 5 {
			t.Errorf("%d orders, %v", f.ca.Count(acmetest.KindNewOrder), err)
		}
	})
}

// Obtain makes no other order when ctx has ended.
func TestNoFallbackAfterCancel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f, solvers := manyTypes(t, 2, func(context.Context, acmetest.Validation) error { return errors.New("no") })
		req := f.request("a.example.com")
		req.Solvers = solvers
		ctx, cancel := context.WithCancel(t.Context())
		ctx = acme.WithTrace(ctx, &acme.Trace{AuthorizationFailed: func(error) { cancel() }})
		_, err := f.account.Obtain(ctx, req)
		failed, ok := errors.AsType[*acme.AuthorizeError](err)
		if !ok || len(failed.Failures) != 1 || f.ca.Count(acmetest.KindNewOrder) != 1 {
			t.Errorf("%d orders, %v", f.ca.Count(acmetest.KindNewOrder), err)
		}
	})
}

// A challenge with a token that no solver gets is no way out.
func TestNoFallbackToRefusedToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01)})
		f.fault(editing(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["type"] == "dns-01" {
					c["token"] = "../x"
				}
			}
		}, acmetest.KindAuthorization))
		req := f.request("a.example.com")
		req.Solvers = []acme.Solver{always(acme.HTTP01), always(acme.DNS01)}
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrConnection) || f.ca.Count(acmetest.KindNewOrder) != 1 {
			t.Errorf("%d orders, %v", f.ca.Count(acmetest.KindNewOrder), err)
		}
		req.Solvers = req.Solvers[1:]
		_, err := f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrInvalidToken) || !strings.Contains(err.Error(), `dns-01 (refused: its token "../x" is not base64url)`) {
			t.Errorf("got %v", err)
		}
	})
}

// What failed for a name has not failed for its wildcard, nor for another name,
// and what did not fail is tried in the same way again.
func TestFallbackOfTheFailedOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: func(_ context.Context, v acmetest.Validation) error {
			if v.Type == "dns-01" && v.Identifier.Value == "a.example.com" && !v.Wildcard {
				return errors.New("no")
			}
			return nil
		}})
		http01, dns01 := &recorder{Solver: always(acme.HTTP01)}, &recorder{Solver: always(acme.DNS01)}
		req := f.request("a.example.com", "*.a.example.com", "b.example.com")
		req.Solvers = []acme.Solver{dns01, http01}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		want := "[[dns-01 for *.a.example.com dns-01 for a.example.com dns-01 for b.example.com] [dns-01 for *.a.example.com dns-01 for b.example.com]] [[http-01 for a.example.com]]"
		if got := fmt.Sprint(dns01.batches, http01.batches); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// -- requests

// A nonce that came with a refusal is for the repetition and for nothing else,
// a refusal without one does not fall back on the pool, and one that is unusable
// is none.
func TestNoncesAfterRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 100 * time.Millisecond})
		info := func() {
			if _, err := f.account.Info(t.Context()); err != nil {
				t.Error(err)
			}
		}
		burst := func() {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(info)
			}
			wg.Wait()
		}
		bad := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 3, bad))
		burst() // leaves 8 nonces in the pool
		burst() // and uses all of them

		f.ca.Reset()
		none := bad
		none.Header = http.Header{"Replay-Nonce": nil}
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, none))
		if info(); f.ca.Count(acmetest.KindNewNonce) != 1 {
			t.Errorf("none: %d newNonce requests", f.ca.Count(acmetest.KindNewNonce))
		}
		unusable := bad
		unusable.Header = http.Header{"Replay-Nonce": {"a=b"}}
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, unusable))
		if info(); f.ca.Count(acmetest.KindNewNonce) != 2 {
			t.Errorf("unusable: %d newNonce requests", f.ca.Count(acmetest.KindNewNonce))
		}
		// The repetition fails for another reason.
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, bad, acmetest.Fault{Status: 500}, acmetest.Fault{LoseResponse: true}))
		info()
		for _, r := range f.ca.Requests() {
			if r.Nonce == "a=b" || r.ProblemType == string(acme.ErrBadNonce) && r.Status == 400 && r.Nonce == "" {
				t.Errorf("sent nonce %q", r.Nonce)
			}
		}
		f.checkNonces()
	})
}

// No nonce of a badNonce answer is used for two requests: 8 at once, after 8 at
// once that were refused.
func TestNonceOfRefusalIsNotPooled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 100 * time.Millisecond})
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 8, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}))
		for range 3 {
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() { _, _ = f.account.Info(t.Context()) }) // nonces are looked at
			}
			wg.Wait()
		}
		f.checkNonces()
	})
}

// Nonces are used for an hour.
func TestNonceAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for i, pause := range []time.Duration{0, 59 * time.Minute, 61 * time.Minute} {
			pass(pause)
			if _, err := f.account.Info(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := f.ca.Count(acmetest.KindNewNonce), []int{1, 1, 2}[i]; got != want {
				t.Errorf("after %v: %d newNonce requests, want %d", pause, got, want)
			}
		}
	})
}

// A newNonce that is nowhere is the server's problem, and no cache may answer it
// (§7.2).
func TestNewNonceIsNowhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindNewNonce, acmetest.Fault{Status: 404}))
		_, err := f.account.Info(t.Context())
		if p := problemIn(t, err); p.Status != 404 || errors.Is(err, acme.ErrNoNonce) {
			t.Errorf("got %v", err)
		}
		for _, r := range f.ca.Requests() {
			if got := r.Header.Get("Cache-Control"); (got == "no-store") != (r.Kind == acmetest.KindNewNonce) {
				t.Errorf("%s: Cache-Control %q", r.Kind, got)
			}
		}
	})
}

// A badNonce makes no sense as the answer to an unsigned request, and is not
// tried again.
func TestBadNonceForUnsignedRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}))
		if _, err := f.client.Directory(t.Context()); !errors.Is(err, acme.ErrBadNonce) || f.ca.Count("") != 1 {
			t.Errorf("%d requests, %v", f.ca.Count(""), err)
		}
	})
}

// Rejected nonces are daily business; other repetitions are a warning. All are
// counted, none comes after the end of the context, and a request has its time.
func TestRepetitionsAreTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		log := f.logTo()
		var attempts []int
		var took time.Duration
		trace := &acme.Trace{
			Retry:   func(r acme.RetryInfo) { attempts = append(attempts, r.Attempt) },
			Request: func(r acme.RequestInfo) { took = r.Duration },
		}
		ctx := acme.WithTrace(t.Context(), trace)
		bad := acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 2, bad))
		if _, err := f.account.Info(ctx); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, `"level":"DEBUG","msg":"acme: sending again"`) || strings.Contains(got, "WARN") {
			t.Errorf("logged %s", got)
		}
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, bad, acmetest.Fault{Status: 500}, acmetest.Fault{Delay: 3 * time.Second}))
		if _, err := f.account.Info(ctx); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(attempts, []int{1, 2, 1, 2}) || took != 3*time.Second || !strings.Contains(log.String(), `"level":"WARN","msg":"acme: sending again"`) {
			t.Errorf("attempts %v, the last took %v", attempts, took)
		}

		attempts = nil
		ended, cancel := context.WithCancel(ctx)
		ended = acme.WithTrace(ended, &acme.Trace{Request: func(acme.RequestInfo) { cancel() }})
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 500}))
		if _, err := f.account.Info(ended); !errors.Is(err, context.Canceled) || problemIn(t, err).Status != 500 || len(attempts) != 0 {
			t.Errorf("cancelled: %d repetitions, %v", len(attempts), err)
		}
	})
}

// What a server remembers of a limit is for requests of its kind: of the same
// account, and for what makes something, with the same contents.
func TestRateLimitsAreApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		ctx := t.Context()
		o := f.order("a.example.com", "b.example.com")
		key := newKey(t)
		other, err := f.client.NewAccount(ctx, key, acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		authorize := func(name string) func() error {
			return func() error { _, err := f.account.NewAuthorization(ctx, acme.DNS(name)[0]); return err }
		}
		read := func(url string) func() error {
			return func() error { _, err := f.account.Authorization(ctx, url); return err }
		}
		post := func(url string, payload any) func() error {
			return func() error { _, err := f.account.Post(ctx, url, payload); return err }
		}
		contact := map[string]any{"contact": []string{}}
		for name, tt := range map[string]struct {
			kind    acmetest.Kind
			limited func() error
			same    func() error // is not sent
			apart   func() error // is sent
		}{
			"newAuthz": {acmetest.KindNewAuthz, authorize("c.example.com"), authorize("c.example.com"), authorize("d.example.com")},
			"reads":    {acmetest.KindAuthorization, read(o.AuthorizationURLs[0]), read(o.AuthorizationURLs[1]), func() error { _, err := f.account.Info(ctx); return err }},
			"accounts": {acmetest.KindAccount, func() error { _, err := f.account.Info(ctx); return err }, func() error { _, err := f.account.Info(ctx); return err },
				func() error { _, err := other.Info(ctx); return err }},
			"post, other payload":   {acmetest.KindAccount, post(f.account.URL(), contact), post(f.account.URL(), contact), post(f.account.URL(), map[string]any{})},
			"post, other URL":       {acmetest.KindAuthorization, post(o.AuthorizationURLs[0], map[string]any{}), post(o.AuthorizationURLs[0], map[string]any{}), post(f.account.URL(), map[string]any{})},
			"operations, one wants": {acmetest.KindOrder, func() error { _, err := f.account.Order(ctx, o.URL); return err }, func() error { _, err := f.account.Order(ctx, o.URL); return err }, read(o.AuthorizationURLs[0])},
		} {
			f.ca.Reset()
			f.fault(acmetest.FaultKind(tt.kind, 1, acmetest.RateLimited(time.Hour)))
			for range 2 {
				if err := tt.limited(); !errors.Is(err, acme.ErrRateLimited) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if err := tt.same(); !errors.Is(err, acme.ErrRateLimited) || f.ca.Count(tt.kind) != 1 {
				t.Errorf("%s: the same was sent: %v", name, err)
			}
			if err := tt.apart(); errors.Is(err, acme.ErrRateLimited) {
				t.Errorf("%s: another was not sent: %v", name, err)
			}
			pass(2 * time.Hour)
		}
	})
}

// A limit is one by its status alone, and a server that is down is none.
func TestRateLimitWithoutType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for status, remembered := range map[int]bool{429: true, 503: false} {
			f.ca.Reset()
			f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, acmetest.Fault{Status: status, Header: http.Header{"Retry-After": {"3"}}}))
			start := time.Now()
			if _, err := f.account.Info(t.Context()); err != nil || time.Since(start) != 3*time.Second {
				t.Errorf("%d: %v after %v", status, err, time.Since(start))
			}
			f.ca.Reset()
			f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, acmetest.Fault{Status: status, Header: http.Header{"Retry-After": {"3600"}}}))
			if _, err := f.account.Info(t.Context()); problemIn(t, err).Status != status {
				t.Errorf("%d: %v", status, err)
			}
			if _, err := f.account.Info(t.Context()); (err != nil) != remembered || (f.ca.Count(acmetest.KindAccount) == 1) != remembered {
				t.Errorf("%d: sent %d times, %v", status, f.ca.Count(acmetest.KindAccount), err)
			}
			pass(2 * time.Hour)
		}
	})
}

// A server that does not answer in time is asked again, as for any lost answer.
func TestTimeoutIsALostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultKind(acmetest.KindAccount, 1, acmetest.Fault{Delay: time.Hour}))
		start := time.Now()
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 2*time.Minute || took > 2*time.Minute+time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A body of exactly the bound is taken, four times as much of a certificate, and
// what can be read of an error that breaks off.
func TestBodyBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		body := []byte(`{"status":"valid"}` + strings.Repeat(" ", 82))
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 200, Body: body}))
		for limit, want := range map[int]error{len(body): nil, len(body) - 1: acme.ErrResponseTooLarge} {
			f.client.MaxBodyBytes = int64(limit)
			if _, err := f.account.Info(t.Context()); !errors.Is(err, want) {
				t.Errorf("bound %d: got %v, want %v", limit, err, want)
			}
		}
		quarter := (len(cert.PEM) + 3) / 4
		for limit, want := range map[int]error{quarter: nil, quarter - 1: acme.ErrResponseTooLarge} {
			f.client.MaxBodyBytes = int64(limit)
			if _, err := f.account.Certificate(t.Context(), cert.URL); !errors.Is(err, want) {
				t.Errorf("certificate, bound %d: got %v, want %v", limit, err, want)
			}
		}
		f.client.MaxBodyBytes = 0
		f.ca.Reset()
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Status: 403}, Truncate: true}))
		if _, err := f.account.Info(t.Context()); problemIn(t, err).Status != 403 || f.ca.Count("") != 1 {
			t.Errorf("%d requests, %v", f.ca.Count(""), err)
		}
	})
}

// A countedBody tells when it is closed.
type countedBody struct {
	io.ReadCloser
	closed func()
}

func (b countedBody) Close() error { b.closed(); return b.ReadCloser.Close() }

// Every body is closed, and no more requests are in flight than there may be: 8
// if the caller does not say.
func TestBodiesAndFlights(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 10 * time.Millisecond, BadNonce: 0.1})
		var mu sync.Mutex
		open, flying, most := 0, 0, 0
		next := f.ca.Transport()
		f.client.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			flying++
			most = max(most, flying)
			mu.Unlock()
			resp, err := next.RoundTrip(r)
			mu.Lock()
			defer mu.Unlock()
			flying--
			if err == nil {
				open++
				resp.Body = countedBody{resp.Body, sync.OnceFunc(func() { mu.Lock(); defer mu.Unlock(); open-- })}
			}
			return resp, err
		})}
		if _, err := f.account.Obtain(t.Context(), f.request(names(30)...)); err != nil {
			t.Fatal(err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 403}))
		_, _ = f.account.Info(t.Context()) // refused
		if open != 0 || most != 8 {
			t.Errorf("%d bodies are open; %d requests at once, want 8", open, most)
		}
	})
}

// A signed request is not followed to another place, whatever the status: as a
// GET it would be another request.
func TestSeeOtherIsNotFollowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, status := range []int{301, 302, 303, 307, 308} {
			f.ca.Reset()
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: status, Header: http.Header{"Location": {"/directory"}}}))
			if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrRedirect) {
				t.Errorf("%d: got %v", status, err)
			}
			if got := f.ca.Count(acmetest.KindAccount); got != 1 || len(f.ca.Requests()) > 3 {
				t.Errorf("%d: %v", status, f.kinds())
			}
			for _, r := range f.ca.Requests() {
				if r.Method == http.MethodGet && r.Header.Get("Referer") != "" {
					t.Errorf("%d: followed to %s", status, r.URL)
				}
			}
		}
	})
}

// The library's own token of the User-Agent is a product with a version (RFC
// 9110 §10.1.5).
func TestUserAgentToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.client.Directory(t.Context()); err != nil {
			t.Fatal(err)
		}
		const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
		if got := f.ca.Requests()[0].Header.Get("User-Agent"); !regexp.MustCompile("^test/1 acme/" + token + " Go-http-client/1" + token + "$").MatchString(got) {
			t.Errorf("User-Agent %q", got)
		}
	})
}

// -- directory

// The directory is kept for a day and no longer; who stops waiting for a new one
// gets an error and leaves things as they were.
func TestDirectoryAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		log := f.logTo()
		fetch := func(ctx context.Context, pause time.Duration, want int) error {
			pass(pause)
			_, err := f.client.Directory(ctx)
			if got := f.ca.Count(acmetest.KindDirectory); got != want {
				t.Errorf("after %v: %d requests, want %d", pause, got, want)
			}
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		if fetch(ctx, 0, 1) != nil || fetch(ctx, 24*time.Hour-1, 1) != nil || fetch(ctx, 1, 2) != nil {
			t.Error("an error")
		}
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Delay: time.Minute}))
		time.AfterFunc(24*time.Hour+time.Second, cancel)
		if err := fetch(ctx, 24*time.Hour, 3); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Status: 404}))
		if err := fetch(t.Context(), 0, 4); err != nil {
			t.Errorf("the old one is not in use: %v", err)
		}
		if !strings.Contains(log.String(), `"level":"WARN","msg":"acme: keeping the old directory"`) {
			t.Error("nothing in the log")
		}
	})
}

// All URLs of a directory may be relative, and a directory without newAccount is
// none.
func TestDirectoryMembers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultOnce(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) { delete(m, "newAccount") })))
		if _, err := f.newClient().Directory(t.Context()); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("no newAccount: %v", err)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) {
			for k, v := range m {
				if s, ok := v.(string); ok {
					m[k] = strings.TrimPrefix(s, "https://ca.test")
				}
			}
		})))
		d, err := f.client.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range []string{d.NewNonceURL, d.NewAccountURL, d.NewOrderURL, d.NewAuthzURL, d.RevokeCertURL, d.KeyChangeURL, d.RenewalInfoURL} {
			if !strings.HasPrefix(u, "https://ca.test/") {
				t.Errorf("got %q", u)
			}
		}
		// A base for renewal information with and without a slash at its end.
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(m map[string]any) { m["renewalInfo"] = m["renewalInfo"].(string) + "/" })))
		_, _ = f.newClient().RenewalInfo(t.Context(), "AQ.AQ") // no such certificate
		last := f.ca.Requests()[len(f.ca.Requests())-1]
		if last.URL != d.RenewalInfoURL+"/AQ.AQ" {
			t.Errorf("asked %s", last.URL)
		}
	})
}

// -- identifiers, errors, solvers, traces

// More names and addresses, as they are written and as they are sent.
func TestMoreIdentifiers(t *testing.T) {
	t.Parallel()
	if got := acme.IP(addr("::ffff:192.0.2.1"))[0].Value; got != "192.0.2.1" {
		t.Errorf("got %s", got)
	}
	csr := func(id acme.Identifier) (*x509.CertificateRequest, error) {
		der, err := acme.NewCSR(rsaKey())(t.Context(), []acme.Identifier{id})
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificateRequest(der)
	}
	c, err := csr(acme.Identifier{Type: acme.TypeIP, Value: "::ffff:192.0.2.1"})
	if err != nil || len(c.IPAddresses) != 1 || len(c.IPAddresses[0]) != 4 {
		t.Errorf("got %+v, %v", c, err)
	}
	for says, id := range map[string]acme.Identifier{
		"it is empty":                          {Type: "permanent-identifier"},
		"it has no type":                       {Value: "a.example"},
		`a wildcard is one "*." in front`:      acme.DNS("a.*.example")[0],
		"no scheme, port, path or space":       acme.DNS("https://a.example")[0],
		"it is an IP address: use IP, not DNS": acme.DNS("[::1]")[0],
		"no domain name":                       acme.DNS("\u05d0a.example")[0], // a label of both directions
		"has no zone":                          {Type: acme.TypeIP, Value: "fe80::1%eth0"},
	} {
		if _, err := csr(id); !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: got %v, want %q", id, err, says)
		}
	}
	// What an address becomes in the end is what counts: found by FuzzIdentifier.
	for _, name := range []string{"192.0.2.1", "192.0.2.1.", "*.192.0.2.1.", "\uff11\uff19\uff12.0.2.1", "192\u30020\u30022\u30021", "[2001:db8::1]"} {
		if _, err := csr(acme.DNS(name)[0]); !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), "use IP, not DNS") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for want, name := range map[string]string{`"a\"b"`: `a"b`, `"\x7f"`: "\x7f", `"ä"`: "ä", `"a b"`: "a b", "a_b": "a_b"} {
		if got := acme.DNS(name)[0].String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// An IPv4 address that is written as an IPv6 one is sent as what it is (RFC 8738
// §3).
func TestMappedAddressOnTheWire(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypeIP, Value: "::ffff:192.0.2.1"}}}); err != nil {
			t.Fatal(err)
		}
		if got := f.last(acmetest.KindNewOrder); got != `{"identifiers":[{"type":"ip","value":"192.0.2.1"}]}` {
			t.Errorf("sent %s", got)
		}
	})
}

// A name that is none is still compared with itself: an order may have it.
func TestNameThatIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/1", Identifiers: acme.DNS("a_b.example")}
		_, err := f.account.FinalizeOrder(t.Context(), o, csrFor(t, f.certKey, "", []string{"a_b.example"}))
		if errors.Is(err, acme.ErrCSRMismatch) || f.ca.Count("") == 0 {
			t.Errorf("got %v", err)
		}
	})
}

// The page to visit is for ErrUserActionRequired alone, and an answer that is no
// UTF-8 becomes some.
func TestProblemText(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		get := func(body string) (*acme.Problem, string) {
			f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 403, Body: []byte(body)}))
			_, err := f.account.Info(t.Context())
			return problemIn(t, err), err.Error()
		}
		if p, text := get(`{"type":"caa","instance":"https://ca.test/i"}`); p.Instance != "https://ca.test/i" || strings.Contains(text, "visit") {
			t.Errorf("got %s", text)
		}
		if p, _ := get("a\xffb\xc3"); p.Detail != "a\uFFFDb\uFFFD" {
			t.Errorf("got %q", p.Detail)
		}
	})
}

// Each works on eight attempts at once, cleans up on as many, and tells what the
// clean-ups failed with.
func TestEachIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		slow := func() {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			pass(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
		}
		gone := errors.New("record is gone")
		solver := acme.Each(always(acme.HTTP01).Supports, func(context.Context, *acme.Attempt) (acme.Cleanup, error) {
			slow()
			return func(context.Context) error { slow(); return gone }, nil
		})
		batch := make([]*acme.Attempt, 20)
		for i := range batch {
			batch[i] = &acme.Attempt{Identifier: acme.DNS(names(20)[i])[0]}
		}
		start := time.Now()
		cleanup, err := solver.Present(t.Context(), batch)
		if took := time.Since(start); err != nil || took != 3*time.Second || most != 8 {
			t.Errorf("present: %v, %d at once, %v", took, most, err)
		}
		start, most = time.Now(), 0
		err = cleanup(t.Context())
		if took := time.Since(start); !errors.Is(err, gone) || took != 3*time.Second || most != 8 {
			t.Errorf("cleanup: %v, %d at once, %v", took, most, err)
		}
	})
}

// Hooks are called from the outermost Trace to the innermost, and Traces that
// are added to the same context do not mix.
func TestTracesNest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		var called []string
		with := func(ctx context.Context, name string) context.Context {
			return acme.WithTrace(ctx, &acme.Trace{Request: func(acme.RequestInfo) { called = append(called, name) }})
		}
		outer := with(with(with(t.Context(), "1"), "2"), "3")
		left, right := with(outer, "left"), with(outer, "right")
		for want, ctx := range map[string]context.Context{"[1 2 3 left]": left, "[1 2 3 right]": right} {
			called = nil
			if _, err := f.newClient().Directory(ctx); err != nil || fmt.Sprint(called) != want {
				t.Errorf("called %v, want %s: %v", called, want, err)
			}
		}
	})
}

// What DefaultBackoff says at its bounds: ten seconds are waited for, and two
// clients do not come back in step.
func TestDefaultBackoffBounds(t *testing.T) {
	t.Parallel()
	if d := acme.DefaultBackoff(1, 10*time.Second); d != 10*time.Second {
		t.Errorf("10s: %v", d)
	}
	if d := acme.DefaultBackoff(1, 10*time.Second+1); d >= 0 {
		t.Errorf("more: %v", d)
	}
	seen := map[time.Duration]bool{}
	for range 100 {
		seen[acme.DefaultBackoff(4, 0)] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different times of 100", len(seen))
	}
}

// An absolute URL is used exactly as served (§6.4), as odd as it may be.
func TestAbsoluteURLsAsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		const odd = "https://ca.test/account/../acct//1?"
		f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Header: http.Header{"Location": {odd}}, Edit: keepBody}))
		if a, err := f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{}); err != nil || a.URL() != odd {
			t.Errorf("got %v, %v", a, err)
		}
	})
}

// -- more of authorizations

// A challenge that was answered before a restart comes before those that the
// solvers prefer, and is answered again if the server has given it back.
func TestAnsweredChallengeComesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing(), ValidationTime: 5 * time.Second})
		o := f.order("a.example.com")
		z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.account.RespondChallenge(t.Context(), pick(t, z, acme.DNS01).URL, nil); err != nil {
			t.Fatal(err)
		}
		f.ca.Reset()
		http01, dns01 := &recorder{Solver: always(acme.HTTP01)}, &recorder{Solver: always(acme.DNS01)}
		if err := f.account.Authorize(t.Context(), o, http01, dns01); err != nil {
			t.Fatal(err)
		}
		if len(http01.batches) != 0 || len(dns01.batches) != 1 || f.withPayload(acmetest.KindChallenge) != 0 {
			t.Errorf("http-01 %v, dns-01 %v", http01.batches, dns01.batches)
		}

		// Given back: the CA has seen no answer, and says that it failed.
		o = f.order("b.example.com")
		readings := 0
		f.ca.Reset()
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind != acmetest.KindAuthorization || f.withPayload(acmetest.KindChallenge) > 0 {
				return nil
			}
			readings++
			status := "pending"
			if readings == 1 {
				status = "processing"
			}
			fault := acmetest.EditJSON(func(m map[string]any) {
				for _, c := range m["challenges"].([]any) {
					if c := c.(map[string]any); c["type"] == "http-01" {
						if c["status"] = status; status == "pending" {
							c["error"] = map[string]any{"type": string(acme.ErrConnection)}
						}
					}
				}
			})
			return &fault
		})
		if err := f.account.Authorize(t.Context(), o, http01); err != nil || f.withPayload(acmetest.KindChallenge) != 1 {
			t.Errorf("answered %d times, %v", f.withPayload(acmetest.KindChallenge), err)
		}
	})
}

// A refusal on the way to an answer, of a nonce say, refuses no challenge: the
// order is kept.
func TestRefusedNonceAtTheAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.Faults(
			acmetest.FaultOnce(acmetest.KindChallenge, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}, Header: http.Header{"Replay-Nonce": nil}}),
			acmetest.FaultOnce(acmetest.KindNewNonce, acmetest.Fault{Status: 403}),
		))
		err := f.account.Authorize(t.Context(), o, f.solver)
		if _, failed := errors.AsType[*acme.AuthorizeError](err); failed || problemIn(t, err).Operation != acme.OpNewNonce {
			t.Errorf("got %v", err)
		}
	})
}

// An order has a thousand authorizations at most, or four for each identifier.
func TestBoundOfAuthorizations(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Status: 403}))
		for _, tt := range []struct {
			identifiers, authorizations int
			ok                          bool
		}{{1, 1000, true}, {1, 1001, false}, {300, 1200, true}, {300, 1201, false}} {
			o := &acme.Order{URL: "https://ca.test/order/1", Status: acme.StatusPending, Identifiers: acme.DNS(names(tt.identifiers)...)}
			for i := range tt.authorizations {
				o.AuthorizationURLs = append(o.AuthorizationURLs, fmt.Sprintf("https://ca.test/authorization/%d", i))
			}
			f.ca.Reset()
			err := f.account.Authorize(t.Context(), o, f.solver)
			if sent := f.ca.Count(acmetest.KindAuthorization) > 0; sent != tt.ok || errors.Is(err, acme.ErrMalformedResponse) == tt.ok {
				t.Errorf("%d of %d identifiers: read %v, %.200v", tt.authorizations, tt.identifiers, sent, err)
			}
		}
	})
}

// An authorization for what is no name reaches no solver; one for a name in
// another form reaches it in the form of the wire.
func TestIdentifierOfAuthorization(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		as := func(value string) {
			f.fault(editing(func(m map[string]any) { m["identifier"] = map[string]any{"type": "dns", "value": value} }, acmetest.KindAuthorization))
		}
		var got []string
		solver := testSolver{
			supports: func(a *acme.Attempt) bool { got = append(got, a.Identifier.Value); return f.solver.Supports(a) },
			present:  f.solver.Present,
		}
		as("../../etc")
		err := f.account.Authorize(t.Context(), f.order("a.example.com"), solver)
		if _, ok := errors.AsType[*acme.AuthorizationError](err); !ok || !errors.Is(err, acme.ErrInvalidIdentifier) || got != nil {
			t.Errorf("got %v, solver saw %q", err, got)
		}
		as("B.EXAMPLE.com.")
		if err := f.account.Authorize(t.Context(), f.order("b.example.com"), solver); err != nil || got[0] != "b.example.com" {
			t.Errorf("got %v, solver saw %q", err, got)
		}
	})
}

// When one batch fails, the error has what others failed with, also what the
// server found out meanwhile; but the end of ctx is told as that.
func TestFailuresOfSeveralBatches(t *testing.T) {
	t.Parallel()
	down := errors.New("provider is down")
	presenting := func(present func(context.Context) error) acme.Solver {
		s := always(acme.DNS01).(testSolver)
		s.present = func(ctx context.Context, _ []*acme.Attempt) (acme.Cleanup, error) { return nil, present(ctx) }
		return s
	}
	late := func(context.Context) error { pass(2 * time.Second); return down }
	for name, tt := range map[string]struct {
		validation time.Duration
		dns        func(context.Context) error
		fault      func(acmetest.Request) *acmetest.Fault
		cancel     bool
		failures   int // 0: no AuthorizeError
		want       []error
	}{
		"after a failure":   {0, late, nil, false, 2, []error{down, acme.ErrConnection}},
		"failed meanwhile":  {time.Second, late, nil, false, 2, []error{down, acme.ErrConnection}},
		"the server failed": {0, func(context.Context) error { pass(time.Second); return nil }, acmetest.FaultSequence(acmetest.KindChallenge, acmetest.Fault{}, acmetest.RateLimited(time.Hour)), false, 2, []error{acme.ErrRateLimited, acme.ErrConnection}},
		"cancelled":         {0, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, nil, true, 0, []error{context.Canceled}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Validate: failing(acme.HTTP01), ValidationTime: tt.validation})
				f.fault(tt.fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel {
					time.AfterFunc(time.Second, cancel)
				}
				err := f.account.Authorize(ctx, f.order("a.example.com", "*.b.example.com"), always(acme.HTTP01), presenting(tt.dns))
				failed, ok := errors.AsType[*acme.AuthorizeError](err)
				if ok != (tt.failures > 0) || ok && len(failed.Failures) != tt.failures {
					t.Errorf("got %v, want %d failures", err, tt.failures)
				}
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v in it", err, want)
					}
				}
			})
		})
	}
}

// An answer that says no more than that the challenge is invalid is enough,
// though the authorization cannot be read.
func TestInvalidAnswerIsEnough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: time.Hour})
		o := f.order("a.example.com")
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindChallenge, acmetest.EditJSON(func(m map[string]any) { clear(m); m["status"] = "invalid" })),
			acmetest.FaultSequence(acmetest.KindAuthorization, acmetest.Fault{}, acmetest.Fault{Status: 403}),
		))
		err := f.account.Authorize(t.Context(), o, f.solver)
		failed, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || failed.Challenge.Type != acme.HTTP01 || !strings.Contains(err.Error(), "http-01 invalid") || f.ca.Count(acmetest.KindOrder) != 0 {
			t.Errorf("got %v", err)
		}
	})
}

// A server that does not answer deactivations holds nobody up for more than a
// minute.
func TestDeactivationIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindAuthorization && len(r.Payload) > 0 {
				return &acmetest.Fault{Delay: time.Hour}
			}
			return nil
		})
		start := time.Now()
		_, err := f.account.Obtain(t.Context(), f.request("*.a.example.com"))
		if _, ok := errors.AsType[*acme.NoSolverError](err); !ok || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// -- more of accounts, keys and certificates

// What a lost answer had done already is done, and only then: a deactivation, a
// revocation.
func TestDoneBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		lost := func(kind acmetest.Kind) { f.fault(acmetest.FaultOnce(kind, acmetest.Fault{LoseResponse: true})) }
		lost(acmetest.KindRevokeCert)
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded); err != nil {
			t.Errorf("revocation: %v", err)
		}
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded); !errors.Is(err, acme.ErrAlreadyRevoked) {
			t.Errorf("revocation, again: %v", err)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindRevokeCert, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce)}}))
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded); !errors.Is(err, acme.ErrAlreadyRevoked) {
			t.Errorf("revocation, again, with a bad nonce: %v", err)
		}
		f.fault(acmetest.FaultSequence(acmetest.KindRevokeCert, acmetest.Fault{LoseRequest: true}, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized)}}))
		if err := f.account.RevokeCertificate(t.Context(), cert.PEM, acme.ReasonSuperseded); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("revocation, refused: %v", err)
		}
		f.fault(acmetest.FaultSequence(acmetest.KindAccount, acmetest.Fault{LoseRequest: true}, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed)}}))
		if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrMalformed) {
			t.Errorf("deactivation, refused: %v", err)
		}
		lost(acmetest.KindAccount)
		if err := f.account.Deactivate(t.Context()); err != nil {
			t.Errorf("deactivation: %v", err)
		}
		if err := f.account.Deactivate(t.Context()); !errors.Is(err, acme.ErrUnauthorized) {
			t.Errorf("deactivation, again: %v", err)
		}
	})
}

// The URL of an account's orders may be relative.
func TestOrdersURLIsMadeAbsolute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(editing(func(m map[string]any) { m["orders"] = strings.TrimPrefix(m["orders"].(string), "https://ca.test") }, acmetest.KindAccount))
		info, err := f.account.Info(t.Context())
		if err != nil || !strings.HasPrefix(info.OrdersURL, "https://ca.test/") {
			t.Errorf("got %+v, %v", info, err)
		}
		for u, err := range f.account.Orders(t.Context()) {
			if err != nil || u != o.URL {
				t.Errorf("got %q, %v", u, err)
			}
		}
	})
}

// A certificate that is promised for later than is waited for is not waited for.
func TestCertificateMuchLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Status: 404, Header: http.Header{"Retry-After": {"60"}}}))
		start := time.Now()
		_, err := f.account.Certificate(t.Context(), "https://ca.test/certificate/1")
		if p := problemIn(t, err); p.RetryAfter.IsZero() || time.Since(start) != 0 || f.ca.Count(acmetest.KindCertificate) != 1 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

// Whether something is sent again after a look is up to Backoff, and not before
// the server wants it.
func TestRepetitionAfterLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind acmetest.Kind
		call func(f *fixture) error
	}{
		"challenge": {acmetest.KindChallenge, func(f *fixture) error { return f.account.Authorize(f.Context(), f.order("a.example.com"), f.solver) }},
		"finalize": {acmetest.KindFinalize, func(f *fixture) error {
			o := f.order("b.example.com")
			if err := f.account.Authorize(f.Context(), o, f.solver); err != nil {
				return err
			}
			_, err := f.account.FinalizeOrder(f.Context(), o, csrFor(f.T, f.certKey, "", []string{"b.example.com"}))
			return err
		}},
		"keyChange": {acmetest.KindKeyChange, func(f *fixture) error { _, err := f.account.ChangeKey(f.Context(), newKey(f.T)); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultKind(tt.kind, 1, acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}))
				start := time.Now()
				if err := tt.call(f); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < 7*time.Second || took > 8*time.Second || f.withPayload(tt.kind) != 2 {
					t.Errorf("sent %d times in %v", f.withPayload(tt.kind), took)
				}
				f = newFixture(t, acmetest.Options{})
				f.client.Backoff = func(int, time.Duration) time.Duration { return -1 }
				f.fault(acmetest.FaultKind(tt.kind, 1, acmetest.Fault{Status: 503}))
				if err := tt.call(f); problemIn(t, err).Status != 503 || f.withPayload(tt.kind) != 1 {
					t.Errorf("given up: sent %d times, %v", f.withPayload(tt.kind), err)
				}
			})
		})
	}
}

// A key change whose answer nobody waited for leaves it open which key holds.
func TestChangeKeyCancelled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindKeyChange, acmetest.Fault{Delay: time.Minute}))
		ctx, cancel := contextWithTimeout(t, time.Second)
		defer cancel()
		if _, err := f.account.ChangeKey(ctx, newKey(t)); !errors.Is(err, acme.ErrKeyUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// A password in the directory's URL, where it does not belong, is in no text.
func TestPasswordOfDirectoryURL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &acme.Client{DirectoryURL: "https://user:secret@ca.test/directory"}
		_, err := c.Directory(t.Context())
		if text := fmt.Sprint(c, c.LogValue(), err); strings.Contains(text, "secret") || !strings.Contains(text, "ca.test") {
			t.Errorf("got %s", text)
		}
	})
}

// Concurrent callers share a fetch of the directory that fails, too.
func TestDirectoryFailureIsShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: time.Second})
		f.fault(acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{Status: 404}))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := f.client.Directory(t.Context()); problemIn(t, err).Status != 404 {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if got := f.ca.Count(""); got != 1 {
			t.Errorf("%d requests", got)
		}
	})
}

// -- more of orders

// An order that replaces a certificate is made once more without saying so where
// the server refuses that, and not where it has another reason.
func TestReplacesIsAdvice(t *testing.T) {
	t.Parallel()
	problem := func(status int, kind acme.ProblemType, retryAfter string) acmetest.Fault {
		return acmetest.Fault{Problem: &acmetest.Problem{Type: string(kind), Status: status}, Header: http.Header{"Retry-After": {retryAfter}}}
	}
	for name, tt := range map[string]struct {
		fault acmetest.Fault
		sent  []bool // newOrder requests: with replaces?
	}{
		"replaced":            {problem(409, acme.ErrAlreadyReplaced, ""), []bool{true, false}},
		"malformed":           {problem(400, acme.ErrMalformed, ""), []bool{true, false}},
		"limit without time":  {problem(429, acme.ErrRateLimited, ""), []bool{true}},
		"limit":               {problem(429, acme.ErrRateLimited, "3600"), []bool{true}},
		"refusal with a time": {problem(403, acme.ErrUnauthorized, "3600"), []bool{true}},
		"502":                 {acmetest.Fault{Status: 502}, []bool{true, true}},
		"500 (Pebble)":        {acmetest.Fault{Status: 500}, []bool{true, true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, tt.fault))
				req := f.request("a.example.com")
				req.OrderRequest.Replaces = "AQ.AQ"
				_, err := f.account.Obtain(t.Context(), req)
				_ = problemIn(t, err)
				var sent []bool
				for _, p := range f.payloads(acmetest.KindNewOrder) {
					sent = append(sent, strings.Contains(p, "replaces"))
				}
				if !slices.Equal(sent, tt.sent) {
					t.Errorf("sent with replaces %v, want %v: %v", sent, tt.sent, err)
				}
			})
		})
	}
}

// An order without identifiers is for those of the request: the certificate is
// checked for them.
func TestCompleteWithoutIdentifiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		cert, err := f.account.Obtain(t.Context(), f.request("b.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		o := &acme.Order{URL: "https://ca.test/order/1", Status: acme.StatusValid, CertificateURL: cert.URL}
		for want, req := range map[error]acme.CertificateRequest{
			nil: f.request("b.example.com"), acme.ErrCertificateMismatch: f.request("a.example.com"), acme.ErrNoIdentifiers: f.request(),
		} {
			if _, err := f.account.Complete(t.Context(), o, req); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	})
}

// An order that was finalized, looks ready and asks for more time than half a
// minute gets it, before it is finalized again.
func TestFinalizedOrderAsksForTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.finalizeIgnored(1)
		var times []time.Time
		var chosen func(acmetest.Request) *acmetest.Fault
		f.ca.Update(func(o *acmetest.Options) { chosen = o.Fault })
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			if r.Kind == acmetest.KindFinalize {
				times = append(times, time.Now())
			}
			if r.Kind == acmetest.KindOrder && len(times) == 1 && time.Since(times[0]) < time.Minute {
				return &acmetest.Fault{Header: http.Header{"Retry-After": {"60"}}, Edit: keepBody}
			}
			return chosen(r)
		})
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Fatal(err)
		}
		if len(times) != 2 || times[1].Sub(times[0]) < time.Minute || times[1].Sub(times[0]) > 2*time.Minute {
			t.Errorf("finalized at %v", times)
		}
	})
}

// An order that is ready and says that it is not, again and again, is given up.
func TestReadyAndNotReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindFinalize, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrOrderNotReady), Status: 403}}))
		_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if !errors.Is(err, acme.ErrOrderNotReady) || f.ca.Count(acmetest.KindFinalize) != 4 {
			t.Errorf("%d finalize requests, %v", f.ca.Count(acmetest.KindFinalize), err)
		}
	})
}

// A certificate for another key, of an order that another process has finalized,
// is worth one more order.
func TestAnotherOrderAfterMismatch(t *testing.T) {
	t.Parallel()
	for _, times := range []int{1, 100} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				req := f.request("a.example.com")
				req.CSR = acme.NewCSR(newKey(t))
				other := f.obtainElsewhere(req)
				f.ca.Reset()
				f.fault(acmetest.FaultKind(acmetest.KindCertificate, times, acmetest.Fault{Body: other}))
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				if (err == nil) != (times == 1) || err != nil && !errors.Is(err, acme.ErrCertificateMismatch) {
					t.Errorf("got %v", err)
				}
				if got := f.ca.Count(acmetest.KindNewOrder); got != 2 {
					t.Errorf("%d orders", got)
				}
			})
		})
	}
}

// What a solver failed with is not held against another one for the same type.
func TestFallbackToAnotherSolverOfTheType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		broken := &recorder{Solver: testSolver{
			supports: always(acme.DNS01).Supports,
			present: func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
				return func(context.Context) error { return nil }, errors.New("provider is down")
			},
		}}
		good := &recorder{Solver: always(acme.DNS01)}
		req := f.request("*.a.example.com")
		req.Solvers = []acme.Solver{broken, good}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Error(err)
		}
		if len(broken.batches) != 1 || len(good.batches) != 1 {
			t.Errorf("broken %v, good %v", broken.batches, good.batches)
		}
	})
}

// What an order says of itself later on: its identifiers are those it was made
// with, what is left out is kept, and a valid one need not list authorizations
// that were not needed.
func TestLaterReadings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IssuanceTime: time.Second})
		o := f.order("a.example.com", "b.example.com")
		if err := f.account.Authorize(t.Context(), o, f.solver); err != nil {
			t.Fatal(err)
		}
		f.fault(acmetest.Faults(
			acmetest.FaultAlways(acmetest.KindFinalize, acmetest.EditJSON(func(m map[string]any) { slices.Reverse(m["identifiers"].([]any)) })),
			acmetest.FaultAlways(acmetest.KindOrder, acmetest.EditJSON(func(m map[string]any) {
				if m["status"] == "valid" {
					m["authorizations"] = m["authorizations"].([]any)[:1]
					delete(m, "identifiers")
				}
			})),
		))
		read, err := f.account.FinalizeOrder(t.Context(), o, csrFor(t, f.certKey, "", []string{"a.example.com", "b.example.com"}))
		if err != nil || !slices.Equal(read.Identifiers, o.Identifiers) {
			t.Errorf("got %v, %v", read, err)
		}
		waited, err := f.account.WaitOrder(t.Context(), o.URL, acme.StatusValid)
		if err != nil || len(waited.Identifiers) != 2 {
			t.Errorf("got %+v, %v", waited, err)
		}
		if _, err := f.account.Complete(t.Context(), read, f.request()); err != nil {
			t.Error(err)
		}
	})
}

// A Retry-After is not undercut by Backoff after a look either, and not begun
// where the context ends before.
func TestRepetitionAfterLookIsNotEarly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.client.Backoff = func(int, time.Duration) time.Duration { return 0 }
		fault := acmetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}
		f.fault(acmetest.FaultOnce(acmetest.KindKeyChange, fault))
		start := time.Now()
		key := newKey(t)
		changed, err := f.account.ChangeKey(t.Context(), key)
		if took := time.Since(start); err != nil || took != 7*time.Second {
			t.Fatalf("%v after %v", err, took)
		}
		f.fault(acmetest.FaultOnce(acmetest.KindKeyChange, fault))
		ctx, cancel := contextWithTimeout(t, 5*time.Second)
		defer cancel()
		start = time.Now()
		_, err = changed.ChangeKey(ctx, newKey(t))
		if took := time.Since(start); problemIn(t, err).Status != 503 || errors.Is(err, acme.ErrKeyUnknown) || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// A limit that a person knows to be over is forgotten when a request has got
// through.
func TestRateLimitIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.RateLimited(time.Hour)))
		if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrRateLimited) {
			t.Errorf("got %v", err)
		}
		if _, err := f.account.Info(acme.IgnoreRateLimits(t.Context())); err != nil {
			t.Error(err)
		}
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Errorf("still limited: %v", err)
		}
	})
}

// A limit of a POST-as-GET is for its URL.
func TestRateLimitOfPostAsGet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		o := f.order("a.example.com")
		f.fault(acmetest.FaultOnce(acmetest.KindOrder, acmetest.RateLimited(time.Hour)))
		for range 2 {
			if _, err := f.account.Post(t.Context(), o.URL, nil); !errors.Is(err, acme.ErrRateLimited) || f.ca.Count(acmetest.KindOrder) != 1 {
				t.Errorf("got %v", err)
			}
		}
		if _, err := f.account.Post(t.Context(), o.AuthorizationURLs[0], nil); err != nil {
			t.Errorf("another URL: %v", err)
		}
	})
}

// Odd arguments that have an answer: no Trace, no attempt yet, a clean-up without
// time.
func TestOddArguments(t *testing.T) {
	t.Parallel()
	if ctx := acme.WithTrace(t.Context(), nil); acme.OperationOf(ctx) != "" {
		t.Error("an operation")
	}
	client := &acme.Client{DirectoryURL: "https://127.0.0.1:1/", UserAgent: "a\nb"}
	if _, err := client.Directory(acme.WithTrace(t.Context(), nil)); err == nil {
		t.Error("no error")
	}
	if d := acme.DefaultBackoff(0, 0); d <= 0 || d > 250*time.Millisecond {
		t.Errorf("DefaultBackoff(0, 0) = %v", d)
	}
	ended, cancel := context.WithCancel(t.Context())
	cleanup, err := acme.Each(always(acme.HTTP01).Supports, always(acme.HTTP01).(testSolver).one).Present(t.Context(), []*acme.Attempt{{}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cleanup(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// one is Present for a single attempt.
func (s testSolver) one(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
	return s.present(ctx, []*acme.Attempt{a})
}

// MaxBodyBytes may be as large as it can be.
func TestLargestBodyBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.client.MaxBodyBytes = math.MaxInt64
		if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
			t.Error(err)
		}
	})
}

// A challenge that was valid in its answer is, whatever an older copy of its
// authorization says: nothing is waited for after another one failed, and the
// authorization is not deactivated.
func TestValidAnswerBesideAFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: func(_ context.Context, v acmetest.Validation) error {
			if v.Identifier.Value == "bad.example.com" {
				return errors.New("no")
			}
			return nil
		}})
		f.fault(editing(func(m map[string]any) {
			if m["status"] != "valid" {
				return
			}
			m["status"] = "pending" // an older copy
			for _, c := range m["challenges"].([]any) {
				c.(map[string]any)["status"] = "pending"
			}
		}, acmetest.KindAuthorization))
		start := time.Now()
		err := f.account.Authorize(t.Context(), f.order("good.example.com", "bad.example.com"), f.solver)
		if failed, ok := errors.AsType[*acme.AuthorizeError](err); !ok || len(failed.Failures) != 1 || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if got := f.ca.Authorizations("valid"); len(got) != 1 {
			t.Errorf("valid: %v", got)
		}
	})
}

// After a failure in an answer, the time that other challenges ask for is not
// waited for, and their authorizations are read a few times only.
func TestNoFirstLookAfterFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := settling(t, time.Hour)
		var settle func(acmetest.Request) *acmetest.Fault
		f.ca.Update(func(o *acmetest.Options) { settle = o.Fault })
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			fault := settle(r)
			if fault != nil && r.Kind == acmetest.KindChallenge {
				fault.Header = http.Header{"Retry-After": {"60"}}
			}
			return fault
		})
		o := f.order("bad.example.com", "late.example.com")
		start := time.Now()
		if err := f.account.Authorize(t.Context(), o, f.solver); err == nil || time.Since(start) > 12*time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		if got := f.ca.Count(acmetest.KindAuthorization); got > 10 {
			t.Errorf("%d readings", got)
		}
	})
}

// While the order is pending, authorizations are read when they want to be, and
// one that cannot be read does not matter: the order tells.
func TestLooksAtAuthorizations(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault acmetest.Fault
		most  int // readings
	}{
		"Retry-After": {acmetest.Fault{Header: http.Header{"Retry-After": {"40"}}, Edit: keepBody}, 3},
		"refused":     {acmetest.Fault{Status: 403}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: time.Minute})
				first := tt.fault
				if name == "refused" {
					first = acmetest.Fault{}
				}
				later := acmetest.FaultAlways(acmetest.KindAuthorization, tt.fault)
				f.fault(acmetest.Faults(acmetest.FaultOnce(acmetest.KindAuthorization, first), later))
				if _, err := f.account.Obtain(t.Context(), f.request("a.example.com")); err != nil {
					t.Error(err)
				}
				if got := f.ca.Count(acmetest.KindAuthorization); got < 2 || got > tt.most {
					t.Errorf("%d readings, want %d at most", got, tt.most)
				}
			})
		})
	}
}

// An older copy of an authorization, read while the order is pending, does not
// take back what the answer said.
func TestOlderCopyOfAuthorization(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 20 * time.Second, Validate: func(_ context.Context, v acmetest.Validation) error {
			if v.Identifier.Value == "bad.example.com" {
				return errors.New("no")
			}
			return nil
		}})
		o := f.order("good.example.com", "bad.example.com")
		good := ""
		for _, u := range o.AuthorizationURLs {
			if z, err := f.account.Authorization(t.Context(), u); err == nil && z.Identifier.Value == "good.example.com" {
				good = pick(t, z, acme.HTTP01).URL
			}
		}
		valid := acmetest.EditJSON(func(m map[string]any) { m["status"] = "valid" })
		older := acmetest.EditJSON(func(m map[string]any) {
			for _, c := range m["challenges"].([]any) {
				if c := c.(map[string]any); c["url"] == good {
					m["status"], c["status"] = "pending", "pending"
				}
			}
		})
		f.fault(func(r acmetest.Request) *acmetest.Fault {
			switch {
			case r.URL == good:
				return &valid
			case r.Kind == acmetest.KindAuthorization:
				return &older
			}
			return nil
		})
		err := f.account.Authorize(t.Context(), o, f.solver)
		if failed, ok := errors.AsType[*acme.AuthorizeError](err); !ok || len(failed.Failures) != 1 {
			t.Errorf("got %v", err)
		}
		if got := f.ca.Authorizations("valid"); len(got) != 1 {
			t.Errorf("valid: %v", got)
		}
	})
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want acme.Identifier }{
		{acme.DNS("*.Bücher.Example.")[0], acme.DNS("*.xn--bcher-kva.example")[0]},
		{acme.Identifier{Type: acme.TypeIP, Value: "2001:DB8:0::1"}, acme.Identifier{Type: acme.TypeIP, Value: "2001:db8::1"}},
		{acme.Identifier{Type: "other", Value: "AbC"}, acme.Identifier{Type: "other", Value: "AbC"}},
	} {
		if got, err := tt.in.Normalize(); got != tt.want || err != nil {
			t.Errorf("%v: %v, %v", tt.in, got, err)
		}
	}
	got, err := acme.DNS("a/../b")[0].Normalize()
	if got != (acme.Identifier{}) || !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), `"a/../b"`) {
		t.Errorf("%v, %v", got, err)
	}
}

// Members of extensions go into the finalize request, made anew for each.
func TestFinalizeExtra(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Extensions: []string{"x1", "x2"}})
		req := f.request("a.example.com")
		req.FinalizeExtra = func(_ context.Context, ids []acme.Identifier) (map[string]any, error) {
			return map[string]any{"x1": ids[0].Value, "x2": nil}, nil
		}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		body := objectOf(t, f.only(acmetest.KindFinalize).Payload)
		if len(body) != 3 || string(body["x1"]) != `"a.example.com"` || string(body["x2"]) != "null" || len(body["csr"]) < 100 {
			t.Errorf("%s", body)
		}
		f.ca.Reset()
		errNo := errors.New("no")
		req.FinalizeExtra = func(context.Context, []acme.Identifier) (map[string]any, error) { return nil, errNo }
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, errNo) || f.ca.Count(acmetest.KindFinalize) != 0 {
			t.Errorf("%v, %d requests", err, f.ca.Count(acmetest.KindFinalize))
		}
		o := &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/x", Identifiers: acme.DNS("a.example.com")}
		for _, extra := range [][]map[string]any{{{"csr": 1}}, {{"x1": 1}, {"x1": 2}}} {
			_, err := f.account.FinalizeOrder(t.Context(), o, csrFor(t, f.certKey, "", []string{"a.example.com"}), extra...)
			if !errors.Is(err, acme.ErrInvalidOrderRequest) || f.ca.Count(acmetest.KindFinalize) != 0 {
				t.Errorf("%v: %v", extra, err)
			}
		}
	})
}
