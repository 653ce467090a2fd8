package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A LibDNS is a provider for github.com/libdns/libdns, which has packages for a
// hundred DNS services. R is libdns.Record.
type LibDNS[R any] interface {
	AppendRecords(ctx context.Context, zone string, recs []R) ([]R, error)
	DeleteRecords(ctx context.Context, zone string, recs []R) ([]R, error)
}

// FromLibDNS makes a Provider of one for libdns. The functions make one of its
// records, and read one, and the zone of a name is looked up with the last, or
// with the system's resolvers if that is nil:
//
//	provider := dnstxt.FromLibDNS(&cloudflare.Provider{APIToken: token},
//		func(name, text string, ttl time.Duration) libdns.Record { return libdns.TXT{Name: name, Text: text, TTL: ttl} },
//		func(r libdns.Record) (name, text string) { return r.RR().Name, r.RR().Data }, nil)
//
// For libdns before v1 these are libdns.Record{Type: "TXT", Name: name, Value: text,
// TTL: ttl} and r.Name, r.Value.
//
// A zone is changed with one call for all of its records, and while that lasts
// with no other: some services replace what they were asked to add to. What the
// provider returns is what it is given again to be deleted, with its ids, but for
// records that are not ours. Names are relative to the zone, "@" for its apex. If
// it minds records that are there already, and has GetRecords, as most have, those
// that a process left when it died are taken over.
//
// It is a [Remover].
func FromLibDNS[R any](p LibDNS[R], record func(name, text string, ttl time.Duration) R, read func(R) (name, text string),
	zone func(ctx context.Context, name string) (string, error),
) Provider {
	if zone == nil {
		zone = new(Resolver).Zone // one that remembers
	}
	return &fromLibDNS[R]{p: p, record: record, read: read, zone: zone, locks: make(map[string]chan struct{})}
}

type fromLibDNS[R any] struct {
	p      LibDNS[R]
	record func(name, text string, ttl time.Duration) R
	read   func(R) (name, text string)
	zone   func(ctx context.Context, name string) (string, error)

	mu    sync.Mutex
	locks map[string]chan struct{} // of zones
}

// lock waits until no call for the zone is under way.
func (f *fromLibDNS[R]) lock(ctx context.Context, zone string) (unlock func(), err error) {
	f.mu.Lock()
	lock := f.locks[zone]
	if lock == nil {
		lock = make(chan struct{}, 1)
		f.locks[zone] = lock
	}
	f.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return func() { <-lock }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// An addition is the records that one call has added to a zone.
type addition[R any] struct {
	f    *fromLibDNS[R]
	zone string
	recs []Record
	made map[Record]R // as the provider returned them
	err  error
}

// Append implements [Provider].
func (f *fromLibDNS[R]) Append(ctx context.Context, recs []Record) (Remove, error) {
	changes, err := Changes(ctx, recs, f.zone)
	if err != nil {
		return nil, err
	}
	all := make([]*addition[R], len(changes))
	for i, c := range changes {
		all[i] = &addition[R]{f: f, zone: c.Zone, recs: c.Records}
	}
	err = concurrently(ctx, len(all), func(i int) error {
		all[i].err = all[i].append(ctx)
		return all[i].err
	})
	return func(ctx context.Context, recs []Record) error { return removeAll(ctx, all, recs) }, err
}

// Remove implements [Remover].
func (f *fromLibDNS[R]) Remove(ctx context.Context, recs []Record) error {
	changes, err := Changes(ctx, recs, f.zone)
	if err != nil {
		return err
	}
	all := make([]*addition[R], len(changes))
	for i, c := range changes {
		all[i] = &addition[R]{f: f, zone: c.Zone, recs: c.Records}
	}
	return removeAll(ctx, all, recs)
}

// append adds the records to the zone.
func (a *addition[R]) append(ctx context.Context) error {
	unlock, err := a.f.lock(ctx, a.zone)
	if err != nil {
		return err
	}
	defer unlock()
	wanted := make([]R, len(a.recs))
	for i, r := range a.recs {
		wanted[i] = a.newRecord(r, r.TTL)
	}
	a.made = make(map[Record]R, len(a.recs))
	returned, err := a.f.p.AppendRecords(ctx, a.zone, wanted)
	a.keep(returned)
	if err != nil {
		err = a.adopt(ctx, err)
	}
	if err != nil {
		return fmt.Errorf("adding %d TXT records to zone %s: %w", len(wanted), a.zone, err)
	}
	return nil
}

// adopt looks, after an error, whether some of the records are there: a process
// that died may have left them, which many services mind. If so, it adds the
// others. It returns the error that counts.
func (a *addition[R]) adopt(ctx context.Context, failure error) error {
	getter, ok := a.f.p.(interface {
		GetRecords(ctx context.Context, zone string) ([]R, error)
	})
	if !ok || ctx.Err() != nil {
		return failure
	}
	existing, err := getter.GetRecords(ctx, a.zone)
	if err != nil {
		return failure // which says more
	}
	before := len(a.made)
	a.keep(existing)
	if len(a.made) == before {
		return failure
	}
	var missing []R
	for _, r := range a.recs {
		if _, ok := a.made[r]; !ok {
			missing = append(missing, a.newRecord(r, r.TTL))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	returned, err := a.f.p.AppendRecords(ctx, a.zone, missing)
	a.keep(returned)
	return err
}

// newRecord makes a record for the provider.
func (a *addition[R]) newRecord(r Record, ttl time.Duration) R {
	name, _ := CanonicalName(r.Name) // it was before
	return a.f.record(RelativeName(name, a.zone), r.Value, ttl)
}

// keep remembers what the provider returned of our records. Some return others
// that have the same name, some return nothing, and some quote the text.
func (a *addition[R]) keep(returned []R) {
	found := make(map[Record][]R, len(returned))
	for _, r := range returned {
		name, text := a.f.read(r)
		k := Record{Name: absoluteName(name, a.zone), Value: unquote(text)}
		found[k] = append(found[k], r)
	}
	for _, r := range a.recs {
		if _, ok := a.made[r]; ok {
			continue
		}
		name, _ := CanonicalName(r.Name) // it was before
		k := Record{Name: name, Value: r.Value}
		if same := found[k]; len(same) > 0 {
			a.made[r], found[k] = same[0], same[1:]
		}
	}
}

// removeAll removes records from the zones that they were added to.
func removeAll[R any](ctx context.Context, all []*addition[R], recs []Record) error {
	wanted := make(map[Record]bool, len(recs))
	for _, r := range recs {
		wanted[r] = true
	}
	return concurrently(ctx, len(all), func(i int) error { return all[i].remove(ctx, wanted) })
}

// remove takes away those of the records that are wanted gone. What the provider
// has never confirmed is described to it, whatever TTL it may have; after an
// error in a call of its own, because it may not be there, which some mind.
func (a *addition[R]) remove(ctx context.Context, wanted map[Record]bool) error {
	var confirmed, doubtful []R
	for _, r := range a.recs {
		if !wanted[r] {
			continue
		}
		if made, ok := a.made[r]; ok {
			confirmed = append(confirmed, made)
		} else {
			doubtful = append(doubtful, a.newRecord(r, 0))
		}
	}
	if a.err == nil {
		confirmed, doubtful = append(confirmed, doubtful...), nil
	}
	return errors.Join(a.delete(ctx, confirmed), a.delete(ctx, doubtful))
}

func (a *addition[R]) delete(ctx context.Context, recs []R) error {
	if len(recs) == 0 {
		return nil
	}
	unlock, err := a.f.lock(ctx, a.zone)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := a.f.p.DeleteRecords(ctx, a.zone, recs); err != nil {
		return fmt.Errorf("removing %d TXT records from zone %s: %w", len(recs), a.zone, err)
	}
	return nil
}
