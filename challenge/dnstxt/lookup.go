package dnstxt

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/net/dns/dnsmessage"
)

// TXT looks up the values of the TXT records of a name, or of the name that it is
// an alias of, as a server of its zone has them, without the memory of a resolver
// in between. Where those servers cannot be reached, a resolver is asked. That
// there are none, or no such name, is no error.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	name, err := CanonicalName(name)
	if err != nil {
		return nil, err
	}
	at := name
	for range maxHops + 1 {
		values, alias, err := r.authoritativeTXT(ctx, at)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, ErrAlias) {
				return nil, err
			}
			return r.data(ctx, name, dnsmessage.TypeTXT)
		}
		if alias == "" {
			return values, nil
		}
		at = alias
	}
	return nil, fmt.Errorf("%w: %s: more than %d", ErrAlias, quote(name), maxHops)
}

// authoritativeTXT asks the servers of a name's zone until one answers. It returns
// an alias that is followed elsewhere.
func (r *Resolver) authoritativeTXT(ctx context.Context, name string) (values []string, alias string, err error) {
	zone, err := r.Zone(ctx, name)
	if err != nil {
		return nil, "", err
	}
	servers, err := r.authorities(ctx, zone)
	if err != nil {
		return nil, "", err
	}
	var addresses []string
	for _, s := range servers {
		addresses = append(addresses, s.addresses...)
	}
	a, err := r.askAny(ctx, addresses, question{name, dnsmessage.TypeTXT, false})
	if err != nil {
		return nil, "", err
	}
	end, aliased, err := a.chase(name)
	if err != nil {
		return nil, "", err
	}
	if values = a.texts(end); len(values) == 0 && aliased {
		return nil, end, nil
	}
	return values, "", nil
}

// CAA looks up the CAA records of a name (RFC 8659), or of the name that it is an
// alias of, as a recursive resolver has them. Their data is as it was sent, for
// package caa to read:
//
//	lookup := func(ctx context.Context, name string) ([]caa.Record, error) {
//		return caa.FromRDATA(resolver.CAA(ctx, name))
//	}
//
// That there are none, or no such name, is no error.
func (r *Resolver) CAA(ctx context.Context, name string) ([][]byte, error) {
	texts, err := r.data(ctx, name, typeCAA)
	var data [][]byte
	for _, text := range texts {
		data = append(data, []byte(text))
	}
	return data, err
}

func (r *Resolver) data(ctx context.Context, name string, kind dnsmessage.Type) ([]string, error) {
	name, err := CanonicalName(name)
	if err != nil {
		return nil, err
	}
	a, err := r.lookup(ctx, name, kind)
	if err != nil {
		return nil, err
	}
	end, _, err := a.chase(name)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, rec := range a.of(end, kind) {
		texts = append(texts, rec.text)
	}
	return texts, nil
}
