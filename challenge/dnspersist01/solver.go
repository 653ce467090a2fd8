package dnspersist01

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A Solver answers dns-persist-01 challenges of one CA. It sees to it that the
// records are there, and leaves them there. It is safe for concurrent use, and must
// not be copied after first use.
type Solver struct {
	// Issuer is the domain name by which records name the CA. It is required: the
	// CA's documentation has it, and the error that it is missing what the server
	// offers.
	Issuer string

	// Provider, TTL, Alias and Ready are those of [dnstxt.Publication]. Without a
	// Provider, records are only looked for.
	Provider dnstxt.Provider
	TTL      time.Duration
	Alias    func(ctx context.Context, name string) (string, error)
	Ready    func(ctx context.Context, recs []dnstxt.Record) error

	// Lookup returns the values of the TXT records at a name. Nil: the TXT of a zero
	// [dnstxt.Resolver]. A program that keeps account of its records can have its
	// own; net.Resolver.LookupTXT fits too, but for names that do not exist.
	Lookup func(ctx context.Context, name string) ([]string, error)

	// Wildcard makes records that are good for wildcards and all names below, also
	// where none was ordered.
	Wildcard bool

	// Lifetime is how long records that are made last (persistUntil). Another one
	// is made when what is there ends within the hour; those that ended stay. Zero:
	// they do not end.
	Lifetime time.Duration

	// AccountURI is the URI by which the CA knows the account, in draft 01, if that
	// is not its URL. A server that names another one in a challenge is refused.
	AccountURI string

	// Meta is that of the server's directory. It is needed for draft 02.
	Meta acme.DirectoryMeta

	// AnyDomain makes records of draft 02 that are the same for all names.
	AnyDomain bool

	resolver dnstxt.Resolver // if there is no Lookup
	records  dnstxt.Set      // that are being made
}

// Supports reports whether a is a dns-persist-01 challenge for a name, of which a
// wildcard is one.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.DNSPersist01 && a.Identifier.Type == acme.TypeDNS
}

// Present looks for the records of the batch, and adds those that are missing, if
// there is a Provider, and waits until the server can see them. A name and its
// wildcard share a record. The cleanup removes nothing.
//
// An error that Is [acme.ErrCheckFailed] says that a record is not there, what was
// found, and which record to make. One that Is [acme.ErrMalformedResponse] is about
// the challenge.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	if s.Lifetime != 0 && s.Lifetime <= soon {
		return nil, fmt.Errorf("dnspersist01: Solver.Lifetime is %v, and a record that ends within %v counts as gone", s.Lifetime, soon)
	}
	wanted := make(map[string]Record, len(batch)) // by name
	var names []string
	for _, a := range batch {
		r, err := s.Record(a)
		if err != nil {
			return nil, fmt.Errorf("%w, for %s", err, a)
		}
		name := a.Identifier.Value
		earlier, known := wanted[name]
		if !known {
			names = append(names, name)
		}
		r.Wildcard = r.Wildcard || earlier.Wildcard
		wanted[name] = r
	}
	missing, err := s.missing(ctx, names, wanted)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	how := dnstxt.Publication{Provider: keeping{s.Provider}, TTL: s.TTL, Alias: s.Alias, Ready: s.Ready}
	cleanup, err := s.records.Publish(ctx, how, missing)
	if err != nil {
		err = fmt.Errorf("dnspersist01: %w", err)
	}
	return cleanup, err
}

// Record returns what the record for an attempt has to say, in the form that the
// server wants.
func (s *Solver) Record(a *acme.Attempt) (Record, error) {
	c, err := ParseChallenge(a.Challenge)
	if err != nil {
		return Record{}, err
	}
	switch {
	case s.Issuer == "":
		return Record{}, fmt.Errorf("dnspersist01: Solver.Issuer is not set: if you trust the CA of one of these names with a record that stays, set it: %q", c.Issuers)
	case !slices.Contains(c.Issuers, s.issuer()):
		return Record{}, fmt.Errorf("dnspersist01: Solver.Issuer is %q, and the server offers %q: use a Solver for each CA", s.Issuer, c.Issuers)
	}
	if c.Hashed {
		if err := parseMeta(s.Meta).check(c); err != nil {
			return Record{}, err
		}
	}
	r, err := s.wanted(subject{a.AccountURL, a.Thumbprint, a.Identifier.Value, a.Wildcard}, c.Hashed)
	if err != nil {
		return Record{}, err
	}
	if c.AccountURI != "" && c.AccountURI != r.AccountURI {
		return Record{}, fmt.Errorf("dnspersist01: the server expects a record for the account %.300q, and this is %q: if both are the same, set Solver.AccountURI", c.AccountURI, r.AccountURI)
	}
	if _, err := r.Value(); err != nil {
		return Record{}, err
	}
	return r, nil
}

// lasting returns the record as it is made: with an end, if there is to be one.
func (s *Solver) lasting(r Record) Record {
	if s.Lifetime > 0 {
		r.PersistUntil = time.Now().Add(s.Lifetime).Truncate(time.Second)
	}
	return r
}

// missing looks for records, and returns those to make. Without a Provider, it
// fails if there are any.
func (s *Solver) missing(ctx context.Context, names []string, wanted map[string]Record) ([]dnstxt.Record, error) {
	var mu sync.Mutex
	var missing []dnstxt.Record
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	slots := make(chan struct{}, concurrency)
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			txt, found, err := s.look(ctx, name, wanted[name])
			if errs[i] = err; err != nil || found == nil {
				return
			}
			if s.Provider == nil {
				errs[i] = found
				return
			}
			mu.Lock()
			defer mu.Unlock()
			missing = append(missing, txt)
		})
	}
	wg.Wait()
	return missing, errors.Join(errs...)
}

const concurrency = 8 // look-ups at a time

// look looks for one record. It returns the one to make, and what was found instead
// of it. The last error is for what cannot be looked for.
func (s *Solver) look(ctx context.Context, name string, wanted Record) (txt dnstxt.Record, found, err error) {
	if txt, err = s.lasting(wanted).TXT(name); err != nil {
		return txt, nil, err
	}
	_, values, err := s.values(ctx, name)
	if err != nil {
		return txt, nil, err
	}
	if _, found = Find(values, wanted, time.Now()); found != nil {
		found = fmt.Errorf("%w; it should be: %s", found, zoneLine(txt))
	}
	return txt, found, nil
}

// keeping is a provider whose records stay: a Set forgets them, and no more.
type keeping struct{ dnstxt.Provider }

func (k keeping) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	_, err := k.Provider.Append(ctx, recs)
	return nil, err
}
