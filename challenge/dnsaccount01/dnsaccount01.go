// Package dnsaccount01 is experimental: it fulfils dns-account-01 challenges of
// draft-ietf-acme-dns-account-label-03, which may still change.
//
// The challenge is dns-01 with another name: the record is below a label that
// depends on the account's URL,
//
//	_ujmmovf2vn55tgye._acme-challenge.example.org.
//
// so that accounts in several regions, or at several CAs, can each have a CNAME
// record of their own that leads to where they may write, and none is in the way
// of another. The label stays when the account's key is changed. [Name] tells it,
// for whoever creates that record beforehand.
//
// A [Solver] is made and used like that of package dns01. Both may have the same
// provider; put this one first into the Solvers of a request to have it preferred
// where a CA offers both.
package dnsaccount01

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A Solver answers dns-account-01 challenges with records at a provider. It is
// safe for concurrent use, and must not be copied after first use. A program
// should have one for each provider: orders that want the same record share it.
//
// The fields are those of [dnstxt.Publication], where they are described.
type Solver struct {
	Provider dnstxt.Provider
	TTL      time.Duration
	Alias    func(ctx context.Context, name string) (string, error)
	Ready    func(ctx context.Context, recs []dnstxt.Record) error

	records dnstxt.Set
}

// Supports reports whether a is a dns-account-01 challenge for a name, of which a
// wildcard is one.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.DNSAccount01 && a.Identifier.Type == acme.TypeDNS
}

// Present adds the records of the batch, and returns when the server may look for
// them. Its cleanup removes them, but for those that other orders want, too.
//
// An error that Is [acme.ErrCheckFailed] says that Ready was not content, for
// which [dnstxt.ErrNotVisible] is a reason; a name that cannot be in the DNS is
// [dnstxt.ErrInvalidName].
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	how := dnstxt.Publication{Provider: s.Provider, TTL: s.TTL, Alias: s.Alias, Ready: s.Ready}
	cleanup, err := s.records.Present(ctx, how, batch, Record)
	if err != nil {
		err = fmt.Errorf("dnsaccount01: %w", err)
	}
	return cleanup, err
}

// Name returns where an account's records for a domain name are, or for its
// wildcard (draft §3.2): a label that is made of the account's URL, exactly as the
// server gave it ([acme.Account.URL]), and _acme-challenge, below the name. It is
// in lower case, which means nothing. A name that is none, in A-labels, or is too
// long for the DNS with the labels, is [dnstxt.ErrInvalidName].
func Name(accountURL, domain string) (string, error) {
	if accountURL == "" {
		return "", acme.ErrNoAccountURL
	}
	domain, err := dnstxt.CanonicalName(strings.TrimPrefix(domain, "*."))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(accountURL))
	label := base32.StdEncoding.EncodeToString(digest[:10])
	return dnstxt.CanonicalName("_" + label + "._acme-challenge." + domain)
}

// Record returns the record that the server will look for: the digest of the key
// authorization, at the [Name] for the account (draft §3.2).
func Record(a *acme.Attempt) (dnstxt.Record, error) {
	name, err := Name(a.AccountURL, a.Identifier.Value)
	if err != nil {
		return dnstxt.Record{}, err
	}
	return dnstxt.DigestRecord(a, name)
}

// Check looks once whether the challenge would pass: whether all servers of the
// zone have the record of a, following aliases as the server does. It is for
// [acme.Checked], around a solver of your own: a [Solver] looks anyway. The error
// says what was found at which server, and what should be there.
func Check(ctx context.Context, a *acme.Attempt) error {
	record, err := Record(a)
	if err != nil {
		return err
	}
	return new(dnstxt.Propagation).Check(ctx, []dnstxt.Record{record})
}
