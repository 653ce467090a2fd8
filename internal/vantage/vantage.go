// Package vantage looks at a host as a CA's server does: at each of its
// addresses, without the help of caches and proxies.
package vantage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/seed-aa0b9f56/acme/internal/onion"
)

const (
	maxAddresses = 16               // of a host, that are looked at
	patience     = 10 * time.Second // with each of them; CAs have no more
)

// Look calls look for each address of host at once, each with a context that
// ends after some seconds, and returns the errors, which then name the address.
// The host is a name, which is looked up with the resolver, or an address. All
// addresses have to do, since the CA chooses one.
func Look(ctx context.Context, resolver *net.Resolver, host string, look func(context.Context, netip.Addr) error) error {
	addrs, err := Addresses(ctx, resolver, host)
	if err != nil {
		return err
	}
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			limited, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			err := look(limited, addr)
			if err != nil && limited.Err() != nil && ctx.Err() == nil {
				err = fmt.Errorf("no answer within %v: %w", patience, err)
			}
			if err != nil {
				errs[i] = fmt.Errorf("at %s: %w", addr, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Addresses returns the addresses of a host, no more than a bound. Onion names have
// none, and are not looked up: package net may let the C library make them known to
// everybody on the way (RFC 7686 §2).
func Addresses(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	host = strings.TrimSuffix(host, ".")
	if onion.IsName(strings.ToLower(host)) {
		return nil, errors.New("an onion name is not in the DNS (RFC 7686 §2): from here it cannot be seen")
	}
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// With the dot at the end there is no searching in other domains.
	addrs, err := resolver.LookupNetIP(limited, "ip", host+".")
	if err != nil {
		return nil, fmt.Errorf("looking up its addresses: %w", err)
	}
	for i, addr := range addrs {
		addrs[i] = addr.Unmap()
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	if addrs = slices.Compact(addrs); len(addrs) == 0 {
		return nil, errors.New("looking up its addresses: there are none")
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// Quote makes what a stranger sent fit for an error: quoted, cut, and without the
// token, which a cut might leave half of.
func Quote(s, token string) string {
	const limit = 80
	s = redact(s, token)
	if len(s) > limit {
		return fmt.Sprintf("%q…", s[:limit])
	}
	return fmt.Sprintf("%q", s)
}

// Tame makes an error fit for a log that has text of strangers in it: it is cut,
// has no control characters, and not the token. It unwraps to err.
func Tame(err error, token string) error {
	if err == nil {
		return nil
	}
	return tamed{err, token}
}

func redact(s, token string) string {
	if token == "" {
		return s
	}
	return strings.ReplaceAll(s, token, "TOKEN")
}

type tamed struct {
	err   error
	token string
}

func (t tamed) Unwrap() error { return t.err }

func (t tamed) Error() string {
	const limit = 500
	text := redact(t.err.Error(), t.token)
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
