package tlsalpn01_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
)

// The solver is wrapped around the configuration that a server has, and put into
// the Solvers of a certificate request. The library then calls Present, and the
// cleanup.
func Example() {
	server := &http.Server{Addr: ":443", TLSConfig: &tls.Config{
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none yet") },
	}}

	var solver tlsalpn01.Solver
	server.TLSConfig = solver.Wrap(server.TLSConfig)
	request := acme.CertificateRequest{Solvers: []acme.Solver{&solver}}

	look := func() {
		// What a CA's server says to begin with.
		hello := &tls.ClientHelloInfo{ServerName: "example.com", SupportedProtos: []string{tlsalpn01.Proto}}
		config, err := server.TLSConfig.GetConfigForClient(hello)
		if config == nil || err != nil {
			fmt.Println("no challenge for", hello.ServerName)
			return
		}
		leaf := config.Certificates[0].Leaf
		fmt.Println("a certificate for", leaf.DNSNames, "with", leaf.UnhandledCriticalExtensions)
	}
	ctx := context.Background()
	a := challengetest.NewAttempt(acme.TLSALPN01, acme.DNS("example.com")[0], "token")
	cleanup, err := request.Solvers[0].Present(ctx, []*acme.Attempt{a})
	if err != nil {
		fmt.Println(err)
		return
	}
	look()
	if err := cleanup(ctx); err != nil {
		fmt.Println(err)
	}
	look()
	// Output:
	// a certificate for [example.com] with [1.3.6.1.5.5.7.1.31]
	// no challenge for example.com
}

// A program without a TLS server has one while there is a challenge, and looks
// at it before the CA does.
func ExampleServer() {
	var solver tlsalpn01.Server
	request := acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com")},
		Solvers:      []acme.Solver{acme.Checked(&solver, tlsalpn01.Check)},
	}
	fmt.Println(request.Solvers[0].Supports(challengetest.NewAttempt(acme.TLSALPN01, acme.DNS("example.com")[0], "token")))
	// Output: true
}
