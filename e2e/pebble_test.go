package e2e_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// An environment is a Pebble with a client, an account and a solver for http-01.
type environment struct {
	*testing.T
	server  *pebble.Server
	client  *acme.Client
	account *acme.Account
	solver  *http01.Solver
	key     crypto.Signer // of the account
	certKey crypto.Signer

	mu     sync.Mutex
	counts map[acme.Operation]int
	front  http.Handler // what the CA's http-01 requests come to
}

// balance has http-01 requests go to a handler.
func (e *environment) balance(handler http.HandlerFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.front = handler
}

func (e *environment) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	front := e.front
	e.mu.Unlock()
	front.ServeHTTP(w, r)
}

func start(t *testing.T, opts pebble.Options) *environment {
	t.Helper()
	server, err := pebble.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	e := &environment{T: t, server: server, solver: new(http01.Solver), key: testkit.Key(t), certKey: testkit.Key(t), counts: map[acme.Operation]int{}}
	listener, err := server.ListenHTTP()
	if err != nil {
		t.Fatal(err)
	}
	e.front = e.solver
	web := &http.Server{Handler: http.HandlerFunc(e.serve), ReadHeaderTimeout: time.Minute}
	go web.Serve(listener)
	t.Cleanup(func() { web.Close() })
	e.client = &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client(), UserAgent: "e2e/1"}
	if !opts.ExternalAccountRequired {
		e.account = e.register(acme.AccountRequest{TermsOfServiceAgreed: true})
	}
	return e
}

func (e *environment) register(req acme.AccountRequest) *acme.Account {
	e.Helper()
	account, err := e.client.NewAccount(e.context(), e.key, req)
	if err != nil {
		e.Fatal(err)
	}
	return account
}

// context counts requests by operation.
func (e *environment) context() context.Context {
	return acme.WithTrace(e.Context(), &acme.Trace{Request: func(r acme.RequestInfo) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.counts[r.Operation]++
	}})
}

func (e *environment) request(ids ...acme.Identifier) acme.CertificateRequest {
	return acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: ids},
		CSR:          acme.NewCSR(e.certKey),
		Solvers:      []acme.Solver{e.solver},
	}
}

// check verifies a certificate for names, and returns it.
func (e *environment) check(cert *acme.Certificate, err error, names ...string) *x509.Certificate {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil {
		e.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, name := range names {
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: e.server.Roots(), Intermediates: between}); err != nil {
			e.Errorf("%s: %v", name, err)
		}
	}
	return chain[0]
}

// The quickstart's flow, a hundred times, with nonces rejected.
func TestHundredIssuances(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{20, 50} {
		t.Run(fmt.Sprintf("%d%% bad nonces", percent), func(t *testing.T) {
			t.Parallel()
			e := start(t, pebble.Options{Strict: true, NonceReject: percent})
			for i := range 100 {
				names := []string{fmt.Sprintf("shop%d.example", i), fmt.Sprintf("www.shop%d.example", i), fmt.Sprintf("bücher%d.example", i)}
				cert, err := e.account.Obtain(e.context(), e.request(acme.DNS(names...)...))
				e.check(cert, err, names[:2]...)
			}
			if e.counts[acme.OpNewNonce] > 3 {
				t.Errorf("%d newNonce requests for up to three requests in flight", e.counts[acme.OpNewNonce])
			}
		})
	}
}

// 64 issuances at once on one account, with nonces rejected.
func TestConcurrentIssuances(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, NonceReject: 20})
	ctx := e.context()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if _, err := e.account.Obtain(ctx, e.request(acme.DNS(fmt.Sprintf("n%d.example", i))...)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := e.counts[acme.OpNewNonce]; got > 64+8 {
		t.Errorf("%d newNonce requests", got)
	}
	if got := e.server.Connections(); got > 3 {
		t.Errorf("%d connections", got)
	}
}

func TestAddressesAndKeys(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{rsaKey, p384, p521} {
		e.key = key
		e.account = e.register(acme.AccountRequest{TermsOfServiceAgreed: true})
		ids := append(acme.DNS("a.example"), acme.IP(netip.MustParseAddr("127.0.0.1"))...)
		cert, err := e.account.Obtain(e.context(), e.request(ids...))
		e.check(cert, err, "a.example", "127.0.0.1")
	}
}

// Processing orders with Retry-After, in seconds and as a date.
func TestProcessing(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, ShowProcessing: true, RetryAfterOrder: 1, RetryAfterAuthorization: 1})
	var seen []acme.Status
	ctx := acme.WithTrace(e.context(), &acme.Trace{OrderStatus: func(o *acme.Order) { seen = append(seen, o.Status) }})
	cert, err := e.account.Obtain(ctx, e.request(acme.DNS("a.example")...))
	e.check(cert, err, "a.example")
	if !slices.Contains(seen, acme.StatusProcessing) {
		t.Errorf("states %v", seen)
	}
}

// A TXT record set by a solver of the test's own: apex and wildcard at one name.
func TestWildcard(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	dns01 := acme.Each(
		func(a *acme.Attempt) bool { return a.Challenge.Type == acme.DNS01 },
		func(_ context.Context, a *acme.Attempt) (acme.Cleanup, error) {
			name, digest := "_acme-challenge."+a.Identifier.Value, a.KeyAuthorization.Digest()
			value := base64.RawURLEncoding.EncodeToString(digest[:])
			e.server.AddTXT(name, value)
			return func(context.Context) error { e.server.RemoveTXT(name, value); return nil }, nil
		})
	req := e.request(acme.DNS("a.example", "*.a.example")...)
	req.Solvers = []acme.Solver{dns01}
	cert, err := e.account.Obtain(e.context(), req)
	e.check(cert, err, "a.example", "x.a.example")
}

// http-01 has nobody to ask: the next solver gets its turn.
func TestFallback(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, AuthorizationReuse: 100})
	deaf := acme.Each((new(http01.Solver)).Supports, func(context.Context, *acme.Attempt) (acme.Cleanup, error) { return nil, nil })
	req := e.request(acme.DNS("a.example")...)
	req.Solvers = []acme.Solver{deaf}
	_, err := e.account.Obtain(e.context(), req)
	failed, ok := errors.AsType[*acme.AuthorizationError](err)
	if !ok || failed.Authorization.Identifier.Value != "a.example" || !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("got %v", err)
	}
	dns01 := acme.Each(
		func(a *acme.Attempt) bool { return a.Challenge.Type == acme.DNS01 },
		func(_ context.Context, a *acme.Attempt) (acme.Cleanup, error) {
			digest := a.KeyAuthorization.Digest()
			e.server.AddTXT("_acme-challenge."+a.Identifier.Value, base64.RawURLEncoding.EncodeToString(digest[:]))
			return nil, nil
		})
	req.Solvers = []acme.Solver{deaf, dns01}
	cert, err := e.account.Obtain(e.context(), req)
	e.check(cert, err, "a.example")
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	ctx := e.context()
	found, err := e.client.FindAccount(ctx, e.key)
	if err != nil || found.URL() != e.account.URL() {
		t.Errorf("find: %v, %v", found, err)
	}
	if _, err := e.client.FindAccount(ctx, testkit.Key(t)); !errors.Is(err, acme.ErrAccountDoesNotExist) {
		t.Errorf("find another: %v", err)
	}
	if _, err := e.client.NewAccount(ctx, testkit.Key(t), acme.AccountRequest{}); !errors.Is(err, acme.ErrUserActionRequired) && !errors.Is(err, acme.ErrMalformed) {
		t.Errorf("without agreement: %v", err)
	}
	info, err := e.account.Update(ctx, []string{"mailto:a@b.example"})
	if err != nil || !slices.Equal(info.Contact, []string{"mailto:a@b.example"}) {
		t.Errorf("update: %+v, %v", info, err)
	}
	if info, err = e.account.Update(ctx, nil); err != nil || len(info.Contact) != 0 {
		t.Errorf("clear: %+v, %v", info, err)
	}
	var orders []string
	for i := range 7 {
		o, err := e.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS(fmt.Sprintf("n%d.example", i))})
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o.URL)
	}
	var listed []string
	for u, err := range e.account.Orders(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, u)
	}
	slices.Sort(orders)
	slices.Sort(listed)
	if !slices.Equal(orders, listed) {
		t.Errorf("listed %d of %d orders", len(listed), len(orders))
	}
	key := testkit.Key(t)
	changed, err := e.account.ChangeKey(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := changed.Info(ctx); err != nil {
		t.Errorf("with the new key: %v", err)
	}
	if _, err := e.account.Info(ctx); err == nil {
		t.Error("the old key still holds")
	}
	if err := changed.Deactivate(ctx); err != nil {
		t.Errorf("deactivate: %v", err)
	}
	if _, err := changed.Info(ctx); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("after: %v", err)
	}
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	mac := []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	e := start(t, pebble.Options{Strict: true, ExternalAccountRequired: true, ExternalAccounts: map[string]string{"kid-1": base64.RawURLEncoding.EncodeToString(mac)}})
	ctx := e.context()
	if _, err := e.client.NewAccount(ctx, e.key, acme.AccountRequest{TermsOfServiceAgreed: true}); !errors.Is(err, acme.ErrExternalAccountRequired) {
		t.Errorf("without: %v", err)
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		e.key = testkit.Key(t)
		e.account = e.register(acme.AccountRequest{TermsOfServiceAgreed: true, ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac, Algorithm: alg}})
		info, err := e.account.Info(ctx)
		if err != nil || len(info.ExternalAccountBinding) == 0 {
			t.Errorf("%s: %+v, %v", alg, info, err)
		}
	}
	bad := &acme.ExternalAccount{KeyID: "kid-1", MACKey: []byte("another key, which is long enough")}
	if _, err := e.client.NewAccount(ctx, testkit.Key(t), acme.AccountRequest{TermsOfServiceAgreed: true, ExternalAccount: bad}); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("bad MAC: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{
		Strict: true, AlternateRoots: 2, ChainLength: 2,
		Profiles: map[string]pebble.Profile{"short": {Description: "six days", Validity: 6 * 24 * time.Hour}},
	})
	ctx := e.context()
	req := e.request(acme.DNS("a.example")...)
	req.OrderRequest.Profile = "short"
	cert, err := e.account.Obtain(ctx, req)
	leaf := e.check(cert, err, "a.example")
	for leaf.SerialNumber.BitLen()%8 == 0 { // Pebble loses certificates whose serial begins with a zero octet in DER
		cert, err = e.account.Obtain(ctx, req)
		leaf = e.check(cert, err, "a.example")
	}
	if days := leaf.NotAfter.Sub(leaf.NotBefore).Hours() / 24; days > 6.1 {
		t.Errorf("%v days", days)
	}
	n := 0
	for c, err := range e.account.Certificates(ctx, cert.URL) {
		e.check(c, err, "a.example")
		n++
	}
	if n != 3 {
		t.Errorf("%d chains", n)
	}
	id, err := acme.NewCertID(leaf)
	if err != nil {
		t.Fatal(err)
	}
	info, err := e.client.RenewalInfo(ctx, id)
	if err != nil || !info.End.After(info.Start) {
		t.Errorf("renewal info: %+v, %v", info, err)
	}
	req.OrderRequest.Replaces = id
	if _, err = e.account.Obtain(ctx, req); err != nil {
		t.Errorf("replacing: %v", err)
	}
	if _, err = e.account.NewOrder(ctx, req.OrderRequest); !errors.Is(err, acme.ErrAlreadyReplaced) {
		t.Errorf("replacing again: %v", err)
	}
	if _, err = e.account.Obtain(ctx, req); err != nil {
		t.Errorf("replacing again, which costs no renewal: %v", err)
	}
	req.OrderRequest.Replaces, req.OrderRequest.Profile = "", "none such"
	if _, err = e.account.Obtain(ctx, req); err == nil {
		t.Error("a profile that is not offered was taken")
	}
	if err := e.account.RevokeCertificate(ctx, leaf.Raw, acme.ReasonSuperseded); err != nil {
		t.Error(err)
	}
	if reason, revoked := e.server.Revoked(leaf); !revoked || reason != int(acme.ReasonSuperseded) {
		t.Errorf("revoked: %v, reason %d", revoked, reason)
	}
	if err := e.client.RevokeCertificate(ctx, e.certKey, leaf.Raw, 0); !errors.Is(err, acme.ErrAlreadyRevoked) {
		t.Errorf("again, by the certificate's key: %v", err)
	}
}

// The process dies after the order was made; another one goes on.
func TestGoingOn(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, NonceReject: 20})
	ctx, kill := context.WithCancel(e.context())
	var stored string
	ctx = acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { stored = o.URL }, Present: func([]*acme.Attempt) { kill() }})
	if _, err := e.account.Obtain(ctx, e.request(acme.DNS("a.example")...)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	client := &acme.Client{DirectoryURL: e.server.DirectoryURL(), HTTPClient: e.server.Client()}
	account := client.Account(e.key, e.account.URL())
	o, err := account.Order(e.context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := account.Complete(e.context(), o, e.request())
	e.check(cert, err, "a.example")
	if e.orders() != 1 {
		t.Errorf("%d orders", e.orders())
	}
}

// orders counts the account's orders at the server.
func (e *environment) orders() (n int) {
	for _, err := range e.account.Orders(e.Context()) {
		if err != nil {
			e.Fatal(err)
		}
		n++
	}
	return n
}
