// Package dns01 fulfils dns-01 challenges (RFC 8555 §8.4): the server asks the
// DNS for a TXT record below each name. It is the way to wildcard certificates,
// and to certificates for machines that the server cannot reach.
//
// A [Solver] needs a provider, which adds the records to the zone:
//
//	solver := dns01.Solver{Provider: dnstxt.FromLibDNS(…)} // any provider for libdns
//	solver := dns01.Solver{Provider: &rfc2136.Provider{…}} // a server that takes DNS updates
//	solver := dns01.FromLego(provider)                     // any provider of lego
//
// or one of your own, of one method: [dnstxt.Provider]. For all names of an order,
// the provider is called once to add records, and once to remove them, and there
// is one wait until all of the zones' servers have them; see [dnstxt.Propagation]
// for other ways to wait, and [dnstxt.Publication] for names whose records are in
// another zone.
package dns01

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

const label = "_acme-challenge." // §8.4

// A Solver answers dns-01 challenges with records at a provider. It is safe for
// concurrent use, and must not be copied after first use. A program should have
// one for each provider: orders that want the same record share it.
//
// The fields are those of [dnstxt.Publication], where they are described.
type Solver struct {
	Provider dnstxt.Provider
	TTL      time.Duration
	Alias    func(ctx context.Context, name string) (string, error)
	Ready    func(ctx context.Context, recs []dnstxt.Record) error

	records dnstxt.Set
}

// Supports reports whether a is a dns-01 challenge for a name, of which a
// wildcard is one.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.DNS01 && a.Identifier.Type == acme.TypeDNS
}

// Present adds the records of the batch, and returns when the server may look for
// them. Its cleanup removes them, but for those that other orders want, too.
//
// An error that Is [acme.ErrCheckFailed] says that Ready was not content, for
// which [dnstxt.ErrNotVisible] is a reason; a name that cannot be in the DNS is
// [dnstxt.ErrInvalidName].
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	how := dnstxt.Publication{Provider: s.Provider, TTL: s.TTL, Alias: s.Alias, Ready: s.Ready}
	if l, ok := s.Provider.(*lego); ok {
		if how.Alias != nil {
			return nil, errors.New("dns01: a provider of lego finds aliases by itself: Alias must be nil")
		}
		how.Provider = l.of(batch)
	}
	cleanup, err := s.records.Present(ctx, how, batch, Record)
	if err != nil {
		err = fmt.Errorf("dns01: %w", err)
	}
	return cleanup, err
}

// Record returns the record that the server will look for: the digest of the key
// authorization, at _acme-challenge below the name (§8.4). For a wildcard that is
// below the name without the "*.", so that a name and its wildcard have two
// records at one name.
func Record(a *acme.Attempt) (dnstxt.Record, error) {
	name, err := dnstxt.CanonicalName(a.Identifier.Value)
	if err == nil {
		name, err = dnstxt.CanonicalName(label + name)
	}
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
