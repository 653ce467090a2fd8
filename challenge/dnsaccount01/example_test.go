package dnsaccount01_test

import (
	"context"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dnsaccount01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A shown is a provider that shows where it is asked to add records.
type shown struct{}

func (shown) Append(_ context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	for _, r := range recs {
		fmt.Println("add   ", r.Name)
	}
	return func(_ context.Context, recs []dnstxt.Record) error {
		for _, r := range recs {
			fmt.Println("remove", r.Name)
		}
		return nil
	}, nil
}

// The owner of example.org lets each account write at a place of its own, with a
// CNAME record at the account's name; the account's solver is told the place.
func Example() {
	const account = "https://example.com/acme/acct/ExampleAccount" // of acme.Account.URL
	name, err := dnsaccount01.Name(account, "example.org")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(name, "CNAME eu.acme.example.net.")

	solver := dnsaccount01.Solver{
		Provider: shown{},
		Alias:    dnstxt.Aliases(map[string]string{name: "eu.acme.example.net."}),
		Ready:    dnstxt.NoWait, // nil waits until the servers of the zone have the records
	}
	a := challengetest.NewAttempt(acme.DNSAccount01, acme.DNS("example.org")[0], "token")
	a.AccountURL = account
	ctx := context.Background()
	cleanup, err := solver.Present(ctx, []*acme.Attempt{a})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := cleanup(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// _ujmmovf2vn55tgye._acme-challenge.example.org. CNAME eu.acme.example.net.
	// add    eu.acme.example.net.
	// remove eu.acme.example.net.
}
