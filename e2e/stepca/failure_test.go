package stepca_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/smallstep/certificates/authority/policy"
	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A failure is a validation that does not succeed.
type failure struct {
	typ     acme.ChallengeType
	arrange func(*fixture)
	want    acme.ProblemType
	status  acme.Status // that step-ca leaves the challenge in
}

const wrong = "not what was asked for"

func (f *fixture) answers(handler http.HandlerFunc) { f.odd.Store(&handler) }

func failures() map[string]failure {
	return map[string]failure{
		"another answer": {acme.HTTP01, func(f *fixture) {
			f.answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, wrong) })
		}, acme.ErrRejectedIdentifier, acme.StatusInvalid},
		"no answer":    {acme.HTTP01, func(f *fixture) { f.answers(http.NotFound) }, acme.ErrConnection, acme.StatusPending},
		"nobody there": {acme.HTTP01, func(f *fixture) { _ = f.ca.web.v4.Close() }, acme.ErrConnection, acme.StatusPending},
		"no record":    {acme.DNS01, func(*fixture) {}, acme.ErrDNS, acme.StatusPending},
		"another record": {acme.DNS01, func(f *fixture) {
			_, _ = f.ca.Append(f.Context(), []dnstxt.Record{{Name: "_acme-challenge.a.example.", Value: wrong}})
		}, acme.ErrRejectedIdentifier, acme.StatusPending},
		"nobody there, by TLS": {acme.TLSALPN01, func(f *fixture) { _ = f.ca.tls.v4.Close() }, acme.ErrConnection, acme.StatusPending},
	}
}

// After a failure step-ca leaves authorization and order pending, until they
// expire a day later. The error says all the same what failed and why, and soon.
func TestFailedChallenge(t *testing.T) {
	t.Parallel()
	for name, tt := range failures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, &provisioner.ACME{})
			tt.arrange(f)
			var order *acme.Order
			var refused error
			ctx := acme.WithTrace(f.context(), &acme.Trace{
				OrderCreated: func(o *acme.Order) { order = o },
				Deactivated:  func(_ string, err error) { refused = err },
			})
			req := f.request(acme.DNS("a.example")...)
			req.Solvers = []acme.Solver{acme.Each( // that presents nothing
				func(a *acme.Attempt) bool { return a.Challenge.Type == tt.typ },
				func(context.Context, *acme.Attempt) (acme.Cleanup, error) { return nil, nil })}
			_, err := f.account.Obtain(ctx, req)
			failed, ok := errors.AsType[*acme.AuthorizationError](err)
			if !ok || !errors.Is(err, tt.want) || failed.Challenge.Status != tt.status || !strings.Contains(err.Error(), "a.example") {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			tries := map[acme.Status]int{acme.StatusInvalid: 1, acme.StatusPending: 4}[tt.status]
			if got := f.counts[acme.OpRespondChallenge]; got != tries || f.counts[acme.OpNewOrder] != 1 {
				t.Errorf("answered %d times, in %d orders", got, f.counts[acme.OpNewOrder])
			}
			o, err := f.account.Order(f.context(), order.URL)
			if err != nil || o.Status != acme.StatusPending {
				t.Fatalf("order %+v, %v", o, err)
			}
			z, err := f.account.Authorization(f.context(), o.AuthorizationURLs[0])
			if err != nil || z.Status != acme.StatusPending {
				t.Errorf("authorization %+v, %v", z, err)
			}
			// It cannot be given up either: step-ca wants a POST-as-GET there.
			if !errors.Is(refused, acme.ErrMalformed) {
				t.Errorf("deactivation: %v", refused)
			}
			if err := f.account.DeactivateAuthorization(f.context(), z.URL); !errors.Is(err, acme.ErrMalformed) {
				t.Errorf("deactivation: %v", err)
			}
		})
	}
}

// What step-ca cannot reach at first it is asked to try again.
func TestRecovery(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	asked := 0
	f.answers(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked <= 2 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		f.solver.ServeHTTP(w, r)
	})
	f.obtain(acme.DNS("a.example")...)
	if asked != 3 || f.counts[acme.OpNewOrder] != 1 {
		t.Errorf("asked %d times, in %d orders", asked, f.counts[acme.OpNewOrder])
	}
}

// A pending order with a failure behind it is gone on with after a restart.
func TestCompleteAfterFailure(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	o, err := f.account.NewOrder(f.context(), acme.OrderRequest{Identifiers: acme.DNS("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	f.answers(http.NotFound)
	if err := f.account.Authorize(f.context(), o, f.solver); !errors.Is(err, acme.ErrConnection) {
		t.Fatalf("got %v", err)
	}
	f.odd.Store(nil)
	account := f.newClient().Account(f.key, f.account.URL())
	if o, err = account.Order(f.context(), o.URL); err != nil {
		t.Fatal(err)
	}
	cert, err := account.Complete(f.context(), o, f.request())
	f.check(cert, err, acme.DNS("a.example")...)
}

// A policy forbids a name: the order is refused.
func TestRejectedIdentifier(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{Options: &provisioner.Options{X509: &provisioner.X509Options{
		AllowedNames: &policy.X509NameOptions{DNSDomains: []string{"*.inside.example"}},
	}}})
	f.obtain(acme.DNS("a.inside.example")...)
	_, err := f.account.Obtain(f.context(), f.request(acme.DNS("a.outside.example")...))
	if p, ok := errors.AsType[*acme.Problem](err); !ok || !errors.Is(err, acme.ErrRejectedIdentifier) || p.Operation != acme.OpNewOrder {
		t.Errorf("got %v", err)
	}
	if _, err := f.account.NewOrder(f.context(), acme.OrderRequest{Identifiers: []acme.Identifier{{Type: "zone", Value: "a"}}}); !errors.Is(err, acme.ErrMalformed) {
		t.Errorf("unknown type: %v", err)
	}
}

// csr makes a CSR for names other than those of the order.
func csr(t *testing.T, key crypto.Signer, names ...string) []byte {
	t.Helper()
	der, err := acme.NewCSR(key)(t.Context(), acme.DNS(names...))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A CSR for other names is refused here, and by step-ca; an order that is not
// ready yet by step-ca.
func TestFinalizeRefused(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ctx := f.context()
	o, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.account.FinalizeOrder(ctx, o, csr(t, f.certKey, "a.example")); !errors.Is(err, acme.ErrOrderNotReady) {
		t.Errorf("not ready: %v", err)
	}
	if err := f.account.Authorize(ctx, o, f.solver); err != nil {
		t.Fatal(err)
	}
	clear(f.counts)
	for _, names := range [][]string{{"b.example"}, {"a.example", "b.example"}} {
		if _, err := f.account.FinalizeOrder(ctx, o, csr(t, f.certKey, names...)); !errors.Is(err, acme.ErrCSRMismatch) {
			t.Errorf("%v: %v", names, err)
		}
		if len(f.counts) != 0 {
			t.Errorf("%v: sent %v", names, f.counts)
		}
		clear(f.counts)
		payload := map[string]string{"csr": base64.RawURLEncoding.EncodeToString(csr(t, f.certKey, names...))}
		if _, err := f.account.Post(ctx, o.FinalizeURL, payload); !errors.Is(err, acme.ErrBadCSR) {
			t.Errorf("%v, sent all the same: %v", names, err)
		}
		clear(f.counts)
	}
	if _, err := f.account.FinalizeOrder(ctx, o, csr(t, f.key, "a.example")); !errors.Is(err, acme.ErrAccountKeyInCSR) {
		t.Errorf("the account key: %v", err)
	}
	o, err = f.account.FinalizeOrder(ctx, o, csr(t, f.certKey, "a.example"))
	if err != nil || o.Status != acme.StatusValid {
		t.Fatalf("%+v, %v", o, err)
	}
	cert, err := f.account.Certificate(ctx, o.CertificateURL)
	f.check(cert, err, acme.DNS("a.example")...)
	// Once more: step-ca says valid, and makes no second certificate.
	again, err := f.account.FinalizeOrder(ctx, o, csr(t, testkit.Key(t), "a.example"))
	if err != nil || again.CertificateURL != o.CertificateURL {
		t.Errorf("%+v, %v", again, err)
	}
}

// What is not there is a problem with a status, whatever the body.
func TestNotFound(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ctx := f.context()
	base := strings.TrimSuffix(f.ca.directory("acme"), "directory")
	for name, call := range map[string]func() error{
		"order":         func() error { _, err := f.account.Order(ctx, base+"order/none"); return err },
		"authorization": func() error { _, err := f.account.Authorization(ctx, base+"authz/none"); return err },
		"challenge":     func() error { _, err := f.account.RespondChallenge(ctx, base+"challenge/none/none", nil); return err },
		"certificate":   func() error { _, err := f.account.Post(ctx, base+"certificate/none", nil); return err },
		"a path":        func() error { _, err := f.account.Post(ctx, base+"none", nil); return err },
	} {
		err := call()
		if p, ok := errors.AsType[*acme.Problem](err); !ok || p.Status < 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another account's are nobody else's business.
	o, err := f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	other, err := f.client.NewAccount(ctx, testkit.Key(t), acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Order(ctx, o.URL); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("another's order: %v", err)
	}
	if _, err := other.Authorization(ctx, o.AuthorizationURLs[0]); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("another's authorization: %v", err)
	}
}

// A transport that may do something to each exchange.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// intercept puts a transport before the client's.
func (f *fixture) intercept(c *acme.Client, around func(r *http.Request, next http.RoundTripper) (*http.Response, error)) {
	next := c.HTTPClient.Transport
	c.HTTPClient = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) { return around(r, next) })}
}

// Nonces that step-ca does not know any more: after each second answer it forgets
// the one that it has just given.
func TestNonces(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	client := f.newClient()
	var mu sync.Mutex
	answers, refused := 0, 0
	var bodies []string
	f.intercept(client, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPost {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			mu.Lock()
			if slices.Contains(bodies, string(body)) {
				t.Error("the same request was sent twice")
			}
			bodies = append(bodies, string(body))
			mu.Unlock()
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if resp.StatusCode == http.StatusBadRequest {
			refused++
		}
		nonce := resp.Header.Get("Replay-Nonce")
		if answers++; nonce != "" && answers%2 == 0 && resp.StatusCode < 300 {
			if err := f.ca.acme.DeleteNonce(r.Context(), stepNonce(nonce)); err != nil {
				t.Errorf("nonce %q was no good anyway: %v", nonce, err)
			}
		}
		return resp, nil
	})
	f.account = client.Account(f.key, f.account.URL())
	for range 3 {
		f.obtain(acme.DNS("a.example", "b.example")...)
	}
	if refused < 5 {
		t.Errorf("%d nonces were refused", refused)
	}
	// The request that was captured is worth nothing.
	resp, err := f.ca.httpClient().Post(f.account.URL(), "application/jose+json", strings.NewReader(bodies[len(bodies)-1]))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), string(acme.ErrBadNonce)) {
		t.Errorf("replayed: %d, %s, %v", resp.StatusCode, body, err)
	}
}

var errLost = errors.New("connection lost")

// lose loses the answer to the first request of each kind, or of these kinds,
// after step-ca has done what it was asked for.
func (f *fixture) lose(c *acme.Client, ops ...acme.Operation) {
	f.intercept(c, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(r)
		op := acme.OperationOf(r.Context())
		f.mu.Lock()
		defer f.mu.Unlock()
		if err != nil || slices.Contains(f.lost, op) || len(ops) > 0 && !slices.Contains(ops, op) {
			return resp, err
		}
		f.lost = append(f.lost, op)
		_ = resp.Body.Close()
		return nil, errLost
	})
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	client := f.newClient()
	f.lose(client)
	f.key = testkit.Key(t)
	var err error
	if f.account, err = client.NewAccount(f.context(), f.key, acme.AccountRequest{}); err != nil {
		t.Fatal(err)
	}
	cert := f.obtain(acme.DNS("a.example")...)
	if got := f.counts[acme.OpFinalize]; got != 1 {
		t.Errorf("%d finalize requests", got)
	}
	if _, err := f.account.Info(f.context()); err != nil {
		t.Error(err)
	}
	if _, err := f.account.ChangeKey(f.context(), testkit.Key(t)); err == nil {
		t.Error("step-ca changed a key")
	}
	if err := f.account.RevokeCertificate(f.context(), cert.Raw, acme.ReasonSuperseded); err != nil || !f.revoked(cert) {
		t.Errorf("revocation: %v", err)
	}
	if err := f.account.Deactivate(f.context()); err != nil {
		t.Errorf("deactivation: %v", err)
	}
	for _, op := range []acme.Operation{
		acme.OpDirectory, acme.OpNewNonce, acme.OpNewAccount, acme.OpNewOrder, acme.OpAuthorization, acme.OpRespondChallenge, acme.OpOrder,
		acme.OpFinalize, acme.OpCertificate, acme.OpAccount, acme.OpKeyChange, acme.OpRevokeCert, acme.OpDeactivateAccount,
	} {
		if !slices.Contains(f.lost, op) {
			t.Errorf("no answer to %s was lost", op)
		}
	}
}
