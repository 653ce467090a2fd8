package dnstxt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"golang.org/x/net/dns/dnsmessage"
)

// Aliases is for names whose records live elsewhere: an owner of a zone that
// should not be written to, or cannot, points a CNAME record at a name that can
// (RFC 8555 §8.4 has servers follow it). It returns a function for the field Alias
// of a Solver which knows some of them, and leaves all other names as they are.
//
//	dnstxt.Aliases(map[string]string{
//		"_acme-challenge.example.com": "example-com.acme.example.net",
//	})
//
// Names are in A-labels, as those of records are; with one that is not, the function
// fails. Nothing is looked up: whether the CNAME record is there shows when the
// record is looked for, by [Propagation] or by the server.
func Aliases(targets map[string]string) func(ctx context.Context, name string) (string, error) {
	known := make(map[string]string, len(targets))
	var invalid error
	for name, target := range targets {
		name, err := CanonicalName(name)
		if err != nil {
			invalid = errors.Join(invalid, fmt.Errorf("aliases: %w", err))
		}
		known[name] = target
	}
	return func(_ context.Context, name string) (string, error) {
		if invalid != nil {
			return "", invalid
		}
		name, err := CanonicalName(name)
		if err != nil {
			return "", err
		}
		target, ok := known[name]
		if !ok {
			return name, nil
		}
		return CanonicalName(target)
	}
}

// Follow looks CNAME records up, and returns the name at their end, or the name
// itself if it is no alias. It is for the field Alias of a Solver, where nobody
// else can create CNAME records: whoever can decides what is written where.
//
// The CNAME record of a wildcard (*.example.com) is not followed: it is no
// delegation, and gives way to a record at the name itself. After eight aliases,
// or in a loop, the error Is [ErrAlias].
func (r *Resolver) Follow(ctx context.Context, name string) (string, error) {
	start, err := CanonicalName(name)
	if err != nil {
		return "", err
	}
	at := start
	for range maxHops + 1 {
		if ctx.Err() != nil {
			return "", context.Cause(ctx) // an answer may have been faster
		}
		target, err := r.cname(ctx, at)
		if err != nil {
			return "", err
		}
		if target == "" {
			return at, nil
		}
		wildcard, err := r.isWildcard(ctx, at, target)
		if err != nil {
			return "", err
		}
		if wildcard {
			return at, nil
		}
		if at, err = CanonicalName(target); err != nil {
			return "", fmt.Errorf("%w: %s: %w", ErrAlias, start, err)
		}
	}
	return "", fmt.Errorf("%w: %s: more than %d, or a loop", ErrAlias, start, maxHops)
}

// isWildcard reports whether the alias is that of a wildcard: whether a name that
// nobody has thought of is one, too.
func (r *Resolver) isWildcard(ctx context.Context, name, target string) (bool, error) {
	stranger, err := CanonicalName(rand.Text()[:13] + "." + parent(name))
	if err != nil {
		return false, nil //nolint:nilerr // there is no room for another name
	}
	other, err := r.cname(ctx, stranger)
	return other == target, err
}

// cname returns what a name is an alias of, or "".
func (r *Resolver) cname(ctx context.Context, name string) (string, error) {
	a, err := r.lookup(ctx, name, dnsmessage.TypeCNAME)
	if err != nil {
		return "", err
	}
	for _, record := range a.of(name, dnsmessage.TypeCNAME) {
		return record.text, nil
	}
	return "", nil
}
