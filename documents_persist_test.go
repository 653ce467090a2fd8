package acme_test

import (
	"context"
	"errors"
	"log"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// The blocks on dns-persist-01 in docs/challenges.md and docs/extensions.md.

func (Documents) OnlyChecking() acme.Solver {
	solver := &dnspersist01.Solver{Issuer: "ca.example"}
	return solver
}

func (Documents) Making(provider dnstxt.Provider) acme.Solver {
	solver := &dnspersist01.Solver{Issuer: "ca.example", Provider: provider}
	return solver
}

func (Documents) Persist(ctx context.Context, directory *acme.Directory, account *acme.Account, ids []acme.Identifier) (dnstxt.Record, error) {
	solver := &dnspersist01.Solver{Issuer: "ca.example", Meta: directory.Meta} // Meta for draft 02
	if err := solver.CheckOrder(ctx, account, ids...); errors.Is(err, acme.ErrCheckFailed) {
		log.Print(err) // what was found, and the line for the zone file
	}
	record, err := solver.Prepare(ctx, account, "example.com") // draft 02, before there is an order; it verifies the account first
	if err != nil {
		record, err = dnspersist01.Record{Issuer: "ca.example", AccountURI: account.URL()}.TXT("example.com") // drafts 00 and 01
	}
	return record, err
}
