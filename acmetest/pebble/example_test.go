package pebble_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// A certificate for two names, validated with http-01.
func Example() {
	server, err := pebble.Start(pebble.Options{Strict: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	listener, err := server.ListenHTTP()
	if err != nil {
		log.Fatal(err)
	}
	solver := new(responder) // an http.Handler
	go http.Serve(listener, solver)

	// Here an ACME client of a few lines; yours takes the same two values,
	// server.DirectoryURL() and server.Client().
	ctx := context.Background()
	client, err := newAccount(ctx, server)
	if err != nil {
		log.Fatal(err)
	}
	_, chain, err := client.obtain(ctx, "http-01", solver.solve, "example.com", "127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}

	intermediates := x509.NewCertPool()
	intermediates.AddCert(chain[1])
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: server.Roots(), Intermediates: intermediates})
	fmt.Println(chain[0].DNSNames, chain[0].IPAddresses, err)
	// Output: [example.com] [127.0.0.1] <nil>
}
