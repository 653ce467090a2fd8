package acme_test

import (
	"context"
	"net"
	"net/http"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnsaccount01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
)

// The blocks of README.md and docs/challenges.md, with what they take for granted.

func (Documents) HTTP01(mux *http.ServeMux, request *acme.CertificateRequest) {
	var solver http01.Solver // http-01, in the mux that you have
	mux.Handle(http01.PathPrefix, &solver)
	request.Solvers = []acme.Solver{&solver}
}

func (Documents) TLSALPN01(server *http.Server, request *acme.CertificateRequest) {
	var solver tlsalpn01.Solver // tls-alpn-01, around the TLS configuration that you have
	server.TLSConfig = solver.Wrap(server.TLSConfig)
	request.Solvers = []acme.Solver{&solver}
}

func (Documents) Stateless(mux *http.ServeMux, account *acme.Account, request *acme.CertificateRequest) {
	solver := http01.Stateless{Thumbprint: account.Thumbprint()} // http-01, by replicas behind a load balancer
	mux.Handle(http01.PathPrefix, solver)                        // in each of them, with the thumbprint as a constant
	request.Solvers = []acme.Solver{solver}                      // in the one that orders
}

func (Documents) Shared(mux *http.ServeMux, store http01.Store, request *acme.CertificateRequest) {
	solver := &http01.Shared{Store: store} // the same, with a store that they share (redisstore, SQL, etcd, your own)
	mux.Handle(http01.PathPrefix, solver)
	request.Solvers = []acme.Solver{solver}
}

func (Documents) Webroot(request *acme.CertificateRequest) {
	solver := &http01.Webroot{Dir: "/var/www/html"} // http-01, by files for the web server that runs already
	request.Solvers = []acme.Solver{solver}
}

func (Documents) AliasedPath() *http01.Webroot {
	return &http01.Webroot{Dir: "/var/lib/acme-challenges", Path: "."}
}

func (Documents) Servers(request *acme.CertificateRequest) {
	request.Solvers = []acme.Solver{new(tlsalpn01.Server), new(http01.Server)} // the first that the CA offers
}

func (Documents) Checked(solver *http01.Solver, request *acme.CertificateRequest) {
	request.Solvers = []acme.Solver{acme.Checked(solver, http01.Check)}
}

func (Documents) Checker(solver *http01.Solver, request *acme.CertificateRequest) {
	checker := &http01.Checker{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:80") // where the router forwards port 80 to
		},
	}
	request.Solvers = []acme.Solver{acme.Checked(solver, checker.Check)}
}

func (Documents) DNS01(provider dnstxt.Provider, request *acme.CertificateRequest) {
	solver := &dns01.Solver{Provider: provider}
	request.Solvers = []acme.Solver{solver}
}

func (Documents) Lego(provider dns01.Lego) acme.Solver {
	solver := dns01.FromLego(provider)
	return solver
}

func (Documents) Alias(provider dnstxt.Provider, request *acme.CertificateRequest) {
	solver := &dns01.Solver{
		Provider: provider,
		Alias:    dnstxt.Aliases(map[string]string{"_acme-challenge.example.com": "example-com.acme.example.net"}),
	}
	request.Solvers = []acme.Solver{solver}
}

func (Documents) DNSAccount01(provider dnstxt.Provider, request *acme.CertificateRequest) {
	solver := &dnsaccount01.Solver{Provider: provider}
	request.Solvers = []acme.Solver{solver, &dns01.Solver{Provider: provider}} // the second for CAs that do not offer it
}
