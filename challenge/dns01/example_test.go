package dns01_test

import (
	"context"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A shown is a provider that shows what it is asked to do.
type shown struct{}

func (shown) Append(_ context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	for _, r := range recs {
		fmt.Printf("add    %s TXT %q\n", r.Name, r.Value)
	}
	return func(_ context.Context, recs []dnstxt.Record) error {
		for _, r := range recs {
			fmt.Printf("remove %s TXT %q\n", r.Name, r.Value)
		}
		return nil
	}, nil
}

// The solver is put into the Solvers of a certificate request; the library then
// calls Present, and the cleanup. A name and its wildcard have their records at
// one name, and are added in one call.
func Example() {
	solver := dns01.Solver{
		Provider: shown{},       // of dnstxt.FromLibDNS, package rfc2136, or your own
		Ready:    dnstxt.NoWait, // nil waits until the servers of the zone have the records
	}
	ctx := context.Background()
	cleanup, err := solver.Present(ctx, []*acme.Attempt{
		challengetest.NewAttempt(acme.DNS01, acme.DNS("example.com")[0], "token"),
		challengetest.NewAttempt(acme.DNS01, acme.DNS("*.example.com")[0], "another"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the server looks")
	if err := cleanup(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// add    _acme-challenge.example.com. TXT "aJFpQAIfrskWi8UwmFIJJ2JtE59BLD3tAQzQOyCrDFE"
	// add    _acme-challenge.example.com. TXT "NcENYF1g79CEXgWq3ptV5o172qgSIVfyu-J1Z11y8Ys"
	// the server looks
	// remove _acme-challenge.example.com. TXT "aJFpQAIfrskWi8UwmFIJJ2JtE59BLD3tAQzQOyCrDFE"
	// remove _acme-challenge.example.com. TXT "NcENYF1g79CEXgWq3ptV5o172qgSIVfyu-J1Z11y8Ys"
}
