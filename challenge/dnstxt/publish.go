package dnstxt

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

// A Publication says how records are published. It has the fields that the
// Solvers have in common; their documentation is here.
type Publication struct {
	// Provider adds the records. It is required.
	Provider Provider

	// TTL is how long resolvers may keep them. Zero leaves it to the provider.
	TTL time.Duration

	// Alias returns where a record is to be written that the server will look for
	// at name, if that is an alias: [Aliases] knows it beforehand, and
	// [Resolver.Follow] looks it up. Nil: at name itself.
	Alias func(ctx context.Context, name string) (string, error)

	// Ready returns when the server may look for the records, which have the names
	// that it will ask for, or an error if it had better not. Nil: it waits until
	// all servers of the zones have them, two minutes at most, as does the Wait of
	// a zero [Propagation]; a Wait of another one, [Delay] and [NoWait] can be here.
	Ready func(ctx context.Context, recs []Record) error
}

// Present publishes the record of each attempt, as [Set.Publish] does: it is the
// Present of a Solver whose challenges are one record each. An error of record
// comes back with the attempt that it is about.
func (s *Set) Present(ctx context.Context, how Publication, batch []*acme.Attempt, record func(*acme.Attempt) (Record, error)) (acme.Cleanup, error) {
	recs := make([]Record, len(batch))
	for i, a := range batch {
		var err error
		if recs[i], err = record(a); err != nil {
			return nil, fmt.Errorf("%s: %w", a, err)
		}
	}
	return s.Publish(ctx, how, recs)
}

// DigestRecord returns the record with the digest of the attempt's key authorization, at
// name (RFC 8555 §8.4).
func DigestRecord(a *acme.Attempt, name string) (Record, error) {
	if a.KeyAuthorization == "" {
		return Record{}, errors.New("there is no key authorization: the challenge has no token, or a bad one")
	}
	digest := a.KeyAuthorization.Digest()
	return Record{Name: name, Value: base64.RawURLEncoding.EncodeToString(digest[:])}, nil
}

// Publish adds records to the set, at the place where the server will find them,
// and waits until it can. The cleanup is that of [Set.Append]. It is for Solvers:
// records have the names that the server will ask for.
func (s *Set) Publish(ctx context.Context, how Publication, recs []Record) (acme.Cleanup, error) {
	if how.Provider == nil {
		return nil, errors.New("no Provider is set")
	}
	recs, err := canonical(recs)
	if err != nil {
		return nil, err
	}
	written, err := how.written(ctx, recs)
	if err != nil {
		return nil, err
	}
	cleanup, err := s.Append(ctx, how.Provider, written)
	if err != nil {
		return cleanup, err
	}
	ready := how.Ready
	if ready == nil {
		ready = new(Propagation).Wait
	}
	if err = ready(ctx, recs); err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", acme.ErrCheckFailed, err)
	}
	return cleanup, err
}

// written returns the records as they are to be written.
func (how Publication) written(ctx context.Context, recs []Record) ([]Record, error) {
	written := make([]Record, len(recs))
	names := make([]string, len(recs))
	for i, r := range recs {
		names[i] = r.Name
		r.TTL = how.TTL
		written[i] = r
	}
	if how.Alias == nil {
		return written, nil
	}
	targets, err := forEach(ctx, names, how.Alias)
	for i, name := range names {
		written[i].Name = targets[name]
	}
	return written, err
}
