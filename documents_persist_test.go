package acme_test

import (
	"context"
	"crypto"
	"errors"
	"log"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
)

// The blocks on dns-persist-01 and onion-csr-01 in README.md, docs/challenges.md and
// docs/extensions.md.

func (Documents) PersistFit(request acme.CertificateRequest, provider dnstxt.Provider) acme.CertificateRequest {
	solver := &dnspersist01.Solver{Issuer: "ca.example", Provider: provider} // dns-persist-01; without a Provider, the record is only checked
	request.Solvers = []acme.Solver{solver}
	return request
}

func (Documents) OnionFit(request acme.CertificateRequest, serviceKey crypto.Signer) acme.CertificateRequest {
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{serviceKey}} // onion-csr-01; torkey.Open reads the key of a hidden service from Tor's files
	request.FinalizeExtra = solver.OnionCAA(nil)                    // for CAs that want to know of CAA records
	request.Solvers = []acme.Solver{solver}
	return request
}

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
