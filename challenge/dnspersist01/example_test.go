package dnspersist01_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
)

// A record for a server of the draft that is deployed: the account URL is all that
// has to be known.
func ExampleRecord_TXT() {
	record := dnspersist01.Record{
		Issuer:       "ca.example",                  // from the CA's documentation
		AccountURI:   "https://ca.example/acct/123", // Account.URL()
		Wildcard:     true,
		PersistUntil: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	txt, err := record.TXT("bücher.example")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(txt.Name)
	fmt.Println(txt.Value)
	// Output:
	// _validation-persist.xn--bcher-kva.example.
	// ca.example; accounturi=https://ca.example/acct/123; policy=wildcard; persistUntil=1798761600
}

// A solver without a provider checks that records are there. The library calls
// Present; the error says what to do.
func ExampleSolver() {
	ctx := context.Background()
	zone := map[string][]string{}
	solver := &dnspersist01.Solver{
		Issuer: "ca.example",
		Lookup: func(_ context.Context, name string) ([]string, error) { return zone[name], nil }, // a stand-in for the DNS
	}
	attempt := challengetest.NewAttempt(acme.DNSPersist01, acme.DNS("example.com")[0], "")

	_, err := solver.Present(ctx, []*acme.Attempt{attempt})
	fmt.Println(err)
	zone["_validation-persist.example.com."] = []string{"ca.example; accounturi=https://ca.example/account/1"}
	_, err = solver.Present(ctx, []*acme.Attempt{attempt})
	fmt.Println(err)
	// Output:
	// dnspersist01: the check of a challenge failed: found no record; it should be: _validation-persist.example.com. IN TXT "ca.example; accounturi=https://ca.example/account/1"
	// <nil>
}
