package dnstxt

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// A Set is the records that a program has at its provider at the moment. Orders
// that want the same record share it: it is added once, and removed when the
// last of them has cleaned up. The zero value is an empty set. It is safe for
// concurrent use, and must not be copied after first use.
//
// A program has one for all that it orders, mostly inside a Solver; what two of
// them want is removed when the first has cleaned up.
type Set struct {
	mu      sync.Mutex
	entries map[Record]*entry // by name and value: the TTL is zero
}

// An entry is a record that is wanted, or that is being removed.
type entry struct {
	key    Record
	record Record
	wanted int           // by so many orders
	busy   chan struct{} // closed when it is no longer being added or removed; nil: it is there
	remove *Remove       // of the call that added it; nil before that
}

// Append adds records at the provider, in one call, but for those that are there
// already. It returns when all of them are there. If another order is adding or
// removing one of them, it waits for that. Names are compared without case.
//
// The cleanup removes the records that no other order wants. It is to be called
// once, also after an error; nil says that nothing is left behind.
func (s *Set) Append(ctx context.Context, p Provider, recs []Record) (acme.Cleanup, error) {
	recs, err := canonical(recs)
	if err != nil {
		return nil, err
	}
	own, fresh, err := s.claim(ctx, recs)
	if err != nil {
		return nil, err
	}
	if len(fresh) > 0 {
		err = s.add(ctx, p, fresh)
	}
	var once sync.Once // a second call must not take away what another order needs
	return func(ctx context.Context) (err error) {
		once.Do(func() { err = s.release(ctx, own) })
		return err
	}, err
}

// canonical returns the records with canonical names, each once.
func canonical(recs []Record) ([]Record, error) {
	seen := make(map[Record]bool, len(recs))
	out := make([]Record, 0, len(recs))
	for _, r := range recs {
		var err error
		if r.Name, err = CanonicalName(r.Name); err != nil {
			return nil, err
		}
		if !seen[r.key()] {
			seen[r.key()], out = true, append(out, r)
		}
	}
	return out, nil
}

// key is what makes a canonical record the same as another one.
func (r Record) key() Record { return Record{Name: r.Name, Value: r.Value} }

// claim makes the caller one of those who want the records. The fresh ones are
// those that it has to add. All are claimed at once, so that no two orders wait
// for each other.
func (s *Set) claim(ctx context.Context, recs []Record) (own, fresh []*entry, err error) {
	for {
		own, fresh, busy := s.tryClaim(recs)
		if busy == nil {
			return own, fresh, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// tryClaim claims the records unless one is busy; then it returns the channel to
// wait for.
func (s *Set) tryClaim(recs []Record) (own, fresh []*entry, busy chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		if e := s.entries[r.key()]; e != nil && e.busy != nil {
			return nil, nil, e.busy
		}
	}
	if s.entries == nil {
		s.entries = make(map[Record]*entry)
	}
	for _, r := range recs {
		e := s.entries[r.key()]
		if e == nil {
			e = &entry{key: r.key(), record: r, busy: make(chan struct{})}
			s.entries[r.key()] = e
			fresh = append(fresh, e)
		}
		e.wanted++
		own = append(own, e)
	}
	return own, fresh, nil
}

// add has the provider make the records of entries that were claimed.
func (s *Set) add(ctx context.Context, p Provider, fresh []*entry) error {
	recs := make([]Record, len(fresh))
	for i, e := range fresh {
		recs[i] = e.record
	}
	remove, err := p.Append(ctx, recs)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range fresh {
		if remove != nil {
			e.remove = &remove
		}
		if err == nil {
			e.settle()
		} // else others wait until what was made of it is removed
	}
	return err
}

func (e *entry) settle() {
	close(e.busy)
	e.busy = nil
}

// release ends the claims, and removes what nobody else wants: with one call for
// all that one call had added.
func (s *Set) release(ctx context.Context, own []*entry) error {
	unwanted := s.unwanted(own)
	var order []*Remove
	made := make(map[*Remove][]Record)
	for _, e := range unwanted {
		if e.remove == nil {
			continue
		}
		if made[e.remove] == nil {
			order = append(order, e.remove)
		}
		made[e.remove] = append(made[e.remove], e.record)
	}
	var errs []error
	for _, remove := range order {
		errs = append(errs, (*remove)(ctx, made[remove]))
	}
	s.forget(unwanted)
	return errors.Join(errs...)
}

// unwanted ends the claims and returns the entries that nobody wants any more.
func (s *Set) unwanted(own []*entry) (unwanted []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range own {
		if e.wanted--; e.wanted > 0 {
			continue
		}
		if e.busy == nil {
			e.busy = make(chan struct{})
		}
		unwanted = append(unwanted, e)
	}
	return unwanted
}

func (s *Set) forget(entries []*entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		delete(s.entries, e.key)
		e.settle()
	}
}
