package stepca_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A fixture is a step-ca with one provisioner, a client, an account, and servers
// that answer http-01 and tls-alpn-01.
type fixture struct {
	*testing.T
	ca      *ca
	client  *acme.Client
	account *acme.Account
	solver  *http01.Solver
	alpn    *tlsalpn01.Solver
	key     crypto.Signer // of the account
	certKey crypto.Signer

	odd atomic.Pointer[http.HandlerFunc] // answers http-01 in place of the solver, unless nil

	mu     sync.Mutex
	counts map[acme.Operation]int
	lost   []acme.Operation // whose answers were lost
}

// start starts a step-ca whose provisioner is p. There is an account unless it
// takes an external one.
func start(t *testing.T, p *provisioner.ACME) *fixture {
	t.Helper()
	return startOn(t, "bbolt", p)
}

func startOn(t *testing.T, storage string, p *provisioner.ACME) *fixture {
	t.Helper()
	p.Name, p.ID = "acme", "one"
	f := &fixture{T: t, ca: startCA(t, storage, p), solver: new(http01.Solver), alpn: new(tlsalpn01.Solver), key: testkit.Key(t), certKey: testkit.Key(t), counts: map[acme.Operation]int{}}
	f.serve(&http.Server{Handler: http.HandlerFunc(f.answer)}, f.ca.web, (*http.Server).Serve)
	f.serve(&http.Server{TLSConfig: f.alpn.Wrap(nil)}, f.ca.tls, func(s *http.Server, l net.Listener) error { return s.ServeTLS(l, "", "") })
	f.client = f.newClient()
	if !p.RequireEAB {
		account, err := f.client.NewAccount(f.context(), f.key, acme.AccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		f.account = account
	}
	return f
}

func (f *fixture) answer(w http.ResponseWriter, r *http.Request) {
	if odd := f.odd.Load(); odd != nil {
		(*odd)(w, r)
		return
	}
	f.solver.ServeHTTP(w, r)
}

// serve runs a server on a port of the world.
func (f *fixture) serve(server *http.Server, p *port, serve func(*http.Server, net.Listener) error) {
	server.ReadHeaderTimeout, server.ErrorLog = time.Minute, log.New(io.Discard, "", 0)
	var serving sync.WaitGroup
	for _, l := range []net.Listener{p.v4, p.v6} {
		serving.Go(func() { _ = serve(server, l) })
	}
	f.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
}

// newClient makes another client, as a program after its restart does.
func (f *fixture) newClient() *acme.Client {
	return &acme.Client{
		DirectoryURL: f.ca.directory("acme"), HTTPClient: f.ca.httpClient(), UserAgent: "e2e/1",
	}
}

// context counts requests by operation, but for those that no context let out.
func (f *fixture) context() context.Context {
	return acme.WithTrace(f.Context(), &acme.Trace{Request: func(r acme.RequestInfo) {
		if errors.Is(r.Err, context.Canceled) {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.counts[r.Operation]++
	}})
}

func (f *fixture) request(ids ...acme.Identifier) acme.CertificateRequest {
	return acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: ids},
		CSR:          acme.NewCSR(f.certKey),
		Solvers:      []acme.Solver{f.solver},
	}
}

// obtain obtains a certificate for ids, and checks it.
func (f *fixture) obtain(ids ...acme.Identifier) *x509.Certificate {
	f.Helper()
	cert, err := f.account.Obtain(f.context(), f.request(ids...))
	return f.check(cert, err, ids...)
}

// check verifies that a certificate is trusted and good for ids and no more.
func (f *fixture) check(cert *acme.Certificate, err error, ids ...acme.Identifier) *x509.Certificate {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil {
		f.Fatal(err)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: f.ca.roots(), Intermediates: between}); err != nil {
		f.Error(err)
	}
	if err := cert.Match(ids, f.certKey.Public()); err != nil {
		f.Error(err)
	}
	if got := len(chain[0].DNSNames) + len(chain[0].IPAddresses); got != len(ids) {
		f.Errorf("%d names for %v", got, ids)
	}
	return chain[0]
}

// dns01 sets TXT records in the world of the CA.
func (f *fixture) dns01() acme.Solver {
	return &dns01.Solver{Provider: f.ca.world, Ready: dnstxt.NoWait}
}
