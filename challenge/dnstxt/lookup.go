package dnstxt

import (
	"context"

	"golang.org/x/net/dns/dnsmessage"
)

// TXT looks up the values of the TXT records of a name, or of the name that it is
// an alias of, as a recursive resolver has them. That there are none, or no such
// name, is no error.
func (r *Resolver) TXT(ctx context.Context, name string) ([]string, error) {
	return r.data(ctx, name, dnsmessage.TypeTXT)
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
