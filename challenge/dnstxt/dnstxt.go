// Package dnstxt is what the challenges have in common that are fulfilled with
// TXT records: dns-01, dns-account-01 and dns-persist-01.
//
// A [Provider] adds records to zones. [FromLibDNS] makes one of any provider for
// libdns, and one for an API of your own is a single method. It is given to the
// Solver of package dns01 or dnsaccount01, which does the rest with what is here:
//
//   - A [Set] keeps the records of a program, so that orders which want the same
//     record share it, and none takes away what another one needs.
//   - A [Propagation] waits until records can be seen, where a CA looks.
//   - A [Resolver] finds the zone that a name is in, and follows aliases.
package dnstxt

import (
	"context"
	"time"
)

// A Record is a TXT record. It can be compared, and be the key of a map.
type Record struct {
	// Name is where the record is, fully qualified, with the final dot, in
	// A-labels: "_acme-challenge.example.com.".
	Name string

	// Value is the text, of any length, without quotes or escapes. What it takes
	// to send it is the provider's business: see [Strings].
	Value string

	// TTL is how long resolvers may keep the record. Zero leaves it to the
	// provider.
	TTL time.Duration
}

// A Provider adds TXT records to the zones that they belong to. It must be safe
// for concurrent use.
type Provider interface {
	// Append adds records, and leaves all others as they are, those with the same
	// name too: a name and its wildcard, and orders of other programs, have
	// different values at one name. It gets all records of an order in one call,
	// so that it can change each zone once, and returns when they are written.
	// A record that is there already, left by a process that died, is no error, but
	// one that was added. It must return soon when ctx ends. It must not keep or
	// change recs.
	//
	// The Remove that it returns undoes the call, and can carry what that takes,
	// such as the provider's ids of the records. With an error, it says that some
	// of the records may have been made; a nil one, that none is left.
	Append(ctx context.Context, recs []Record) (Remove, error)
}

// A Remove takes away records that Append has added: all of them, or some. It is
// given the same values as Append was, and leaves all other records as they are,
// those with the same name too. Records that are gone already, or were never
// made, are no error. It may be called several times, with records that it was
// not yet given.
type Remove func(ctx context.Context, recs []Record) error

// A Remover is a Provider that removes records which it has not added, or which a
// process before has: by name and value, whatever their TTL. Others, with the same
// name too, stay as they are. Records that are gone already are no error. Those of
// [FromLibDNS] and of package rfc2136 are such; it is for records that stay, of
// dns-persist-01.
type Remover interface {
	Provider
	Remove(ctx context.Context, recs []Record) error
}

// An Error names a failure. It is an error to compare with:
// errors.Is(err, dnstxt.ErrInvalidName). The error that wraps it says what was
// found, and where.
type Error string

// Failures.
const (
	ErrInvalidName Error = "invalid name"                      // see CanonicalName
	ErrNoAnswer    Error = "no answer from any DNS server"     // from those that could be asked
	ErrNoZone      Error = "no zone"                           // for a name, or none that the name is in
	ErrAlias       Error = "aliases (CNAME) that lead nowhere" // a loop, or too many
	ErrNotVisible  Error = "records that cannot be seen"       // where the server will look
)

// Error returns the name of the failure.
func (e Error) Error() string { return string(e) }
