package rfc2136_test

import (
	"context"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
)

// The provider is given to a solver, and that to the library.
func Example() {
	var request acme.CertificateRequest
	secret := "the secret in base64, as tsig-keygen prints it"

	provider := &rfc2136.Provider{Server: "ns1.example.com", Key: rfc2136.Key{Name: "acme", Secret: secret}} // or any of libdns or lego
	solver := &dns01.Solver{Provider: provider}                                                              // or dnsaccount01.Solver
	request.Solvers = []acme.Solver{solver}                                                                  // wildcards, too

	a := challengetest.NewAttempt(acme.DNS01, acme.DNS("*.example.com")[0], "token")
	fmt.Println(request.Solvers[0].Supports(a), a)
	// Output: true dns-01 for *.example.com
}

// The provider is given to a solver. What is wrong with its fields is said before
// anything is sent.
func ExampleProvider() {
	provider := &rfc2136.Provider{
		Server: "192.0.2.1",
		Key:    rfc2136.Key{Name: "acme", Secret: "the secret in base64, as tsig-keygen prints it"},
	}
	solver := dns01.Solver{Provider: provider}
	fmt.Println(provider.Key)
	_, err := solver.Provider.Append(context.Background(), []dnstxt.Record{{Name: "_acme-challenge.example.com.", Value: "digest"}})
	fmt.Println(err)
	// Output:
	// acme (hmac-sha256)
	// rfc2136: key acme (hmac-sha256): the secret is not base64
}
