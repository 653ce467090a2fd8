package dns01

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A Lego is a DNS provider of github.com/go-acme/lego/v5, which has packages for
// two hundred DNS services.
type Lego interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}

// A LegoV4 is a DNS provider of github.com/go-acme/lego up to v4.
type LegoV4 interface {
	Present(domain, token, keyAuth string) error
	CleanUp(domain, token, keyAuth string) error
}

// FromLego makes a Solver of a provider of lego v5. Ready can be set as in any
// Solver; if it is nil, the provider's Timeout, if there is one, is the budget of
// the wait. Alias and TTL cannot: a provider of lego finds out for itself where
// the record is to be, and follows aliases.
//
// Providers of lego take one record at a time, so there is a call for each, one
// after the other, with the interval in between that its Sequential, if there is
// one, asks for. Providers that can have only one value at a name cannot do a name
// and its wildcard in one order.
func FromLego(p Lego) *Solver { return fromLego(p, p) }

// FromLegoV4 is [FromLego] for providers of lego up to v4. They know no context:
// a call that was begun is not cut short when that ends.
func FromLegoV4(p LegoV4) *Solver { return fromLego(legoV4{p}, p) }

func fromLego(p Lego, original any) *Solver {
	l := &lego{provider: p, turn: make(chan struct{}, 1)}
	if p, ok := original.(interface{ Sequential() time.Duration }); ok {
		l.interval = p.Sequential()
	}
	s := &Solver{Provider: l}
	if p, ok := original.(interface {
		Timeout() (timeout, interval time.Duration)
	}); ok {
		budget, _ := p.Timeout()
		s.Ready = (&dnstxt.Propagation{Budget: budget}).Wait
	}
	return s
}

type legoV4 struct{ p LegoV4 }

func (l legoV4) Present(_ context.Context, domain, token, keyAuth string) error {
	return l.p.Present(domain, token, keyAuth)
}

func (l legoV4) CleanUp(_ context.Context, domain, token, keyAuth string) error {
	return l.p.CleanUp(domain, token, keyAuth)
}

// A lego is a provider, and whose turn it is to call it.
type lego struct {
	provider Lego
	interval time.Duration
	turn     chan struct{}
}

// Append implements [dnstxt.Provider]. It is not called: see of.
func (l *lego) Append(context.Context, []dnstxt.Record) (dnstxt.Remove, error) {
	return nil, errors.New("a provider of lego needs the challenge: use the Solver that FromLego returns")
}

// call lets f call the provider when nobody else does.
func (l *lego) call(ctx context.Context, f func() error) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.turn }()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return f()
}

// A legoBatch makes the records of a batch: its provider is given the attempt
// that each is for.
type legoBatch struct {
	*lego
	attempts map[dnstxt.Record]*acme.Attempt // by name and value
}

func (l *lego) of(batch []*acme.Attempt) legoBatch {
	attempts := make(map[dnstxt.Record]*acme.Attempt, len(batch))
	for _, a := range batch {
		if r, err := Record(a); err == nil { // else Present tells
			attempts[r] = a
		}
	}
	return legoBatch{l, attempts}
}

// attempt returns what a record is for.
func (b legoBatch) attempt(r dnstxt.Record) *acme.Attempt {
	r.TTL = 0
	return b.attempts[r]
}

// Append has the provider present each record. What was begun is cleaned up, too.
func (b legoBatch) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	begun := make(map[dnstxt.Record]bool, len(recs))
	remove := func(ctx context.Context, recs []dnstxt.Record) error {
		var errs []error
		for _, r := range recs {
			if begun[r] {
				errs = append(errs, b.cleanUp(ctx, r))
			}
		}
		return errors.Join(errs...)
	}
	for i, r := range recs {
		if i > 0 {
			if err := dnstxt.Delay(b.interval)(ctx, nil); err != nil {
				return remove, err
			}
		}
		err := b.call(ctx, func() error {
			begun[r] = true
			a := b.attempt(r)
			return b.provider.Present(ctx, a.Identifier.Value, a.Challenge.Token, string(a.KeyAuthorization))
		})
		if err != nil {
			return remove, fmt.Errorf("presenting %s: %w", r.Name, err)
		}
	}
	return remove, nil
}

func (b legoBatch) cleanUp(ctx context.Context, r dnstxt.Record) error {
	err := b.call(ctx, func() error {
		a := b.attempt(r)
		return b.provider.CleanUp(ctx, a.Identifier.Value, a.Challenge.Token, string(a.KeyAuthorization))
	})
	if err != nil {
		return fmt.Errorf("cleaning up %s: %w", r.Name, err)
	}
	return nil
}
