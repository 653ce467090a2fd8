package caa

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// A Lookup returns the CAA records of exactly this name, a domain name without
// the final dot: what a resolver answers to a query of type 257, which follows
// aliases (CNAME) itself. No records and a name that does not exist are no error;
// that a server fails or cannot be reached is. It is called concurrently.
type Lookup func(ctx context.Context, name string) ([]Record, error)

// Relevant returns the relevant record set for a name, or for its wildcard: the
// records of the name itself, or of the nearest name above it that has any
// (RFC 8659 §3). It also returns where that is. Names are in the form of the wire
// (A-labels), as those of orders are.
func Relevant(ctx context.Context, name string, lookup Lookup) (set []Record, at string, err error) {
	at = strings.TrimSuffix(strings.TrimPrefix(name, "*."), ".")
	if reason := nameFault(strings.ReplaceAll(at, "_", "a")); reason != "" { // names of hosts may have them
		return nil, "", fmt.Errorf("caa: %s is no domain name: %s", quote(name), reason)
	}
	for at != "" {
		set, err := lookup(ctx, at)
		if err != nil {
			return nil, at, fmt.Errorf("caa: records of %s, for %s: %w", at, name, err)
		}
		if len(set) > 0 {
			return set, at, nil
		}
		_, at, _ = strings.Cut(at, ".")
	}
	return nil, "", nil
}

// concurrency bounds the lookups at a time.
const concurrency = 8

// CheckOrder looks up and checks the records of all names of an order, each
// record set once. The error joins those of all names that fail: a
// [*ForbiddenError], or that of a lookup, which a CA does not get past either.
//
// Addresses have no CAA records and are passed over, and so are onion names,
// which must not get into DNS: for those see package challenge/onioncsr01.
func (q *Request) CheckOrder(ctx context.Context, lookup Lookup, ids ...acme.Identifier) error {
	lookup = once(lookup)
	errs := make([]error, len(ids))
	slots := make(chan struct{}, concurrency)
	var wg sync.WaitGroup
	for i, id := range ids {
		if id, errs[i] = id.Normalize(); errs[i] != nil {
			continue
		}
		if id.Type != acme.TypeDNS || strings.HasSuffix(id.Value, ".onion") {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = q.checkName(ctx, lookup, id.Value)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (q *Request) checkName(ctx context.Context, lookup Lookup, name string) error {
	set, at, err := Relevant(ctx, name, lookup)
	if err != nil {
		return err
	}
	_, err = q.Check(name, set)
	if forbidden, ok := errors.AsType[*ForbiddenError](err); ok {
		forbidden.At = at
	}
	return err
}

// once asks for each name once.
func once(lookup Lookup) Lookup {
	var mu sync.Mutex
	asked := make(map[string]func() ([]Record, error))
	return func(ctx context.Context, name string) ([]Record, error) {
		mu.Lock()
		ask, ok := asked[name]
		if !ok {
			ask = sync.OnceValues(func() ([]Record, error) { return lookup(ctx, name) })
			asked[name] = ask
		}
		mu.Unlock()
		return ask()
	}
}
