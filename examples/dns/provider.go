package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"time"

	"github.com/libdns/libdns"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
)

// pebbleSolver writes to Pebble's DNS server through a provider for libdns, and
// waits until that server, which has all zones, has the records.
func pebbleSolver(server *pebble.Server, w io.Writer) *dns01.Solver {
	resolver := &dnstxt.Resolver{
		Servers: []string{server.DNSAddr()},
		// The servers of zones are asked at port 53; here they are elsewhere.
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.DNSAddr())
		},
	}
	provider := dnstxt.FromLibDNS(&pebbleProvider{server},
		func(name, text string, ttl time.Duration) libdns.Record {
			return libdns.TXT{Name: name, Text: text, TTL: ttl}
		},
		func(r libdns.Record) (name, text string) { return r.RR().Name, r.RR().Data },
		resolver.Zone)
	return &dns01.Solver{Provider: shown{provider, w}, Ready: (&dnstxt.Propagation{Resolver: resolver}).Wait}
}

// A pebbleProvider is a provider for libdns. Those for DNS services, such as
// github.com/libdns/cloudflare, have the same methods.
type pebbleProvider struct{ server *pebble.Server }

// AppendRecords implements libdns.RecordAppender.
func (p *pebbleProvider) AppendRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range recs {
		p.server.AddTXT(libdns.AbsoluteName(r.RR().Name, zone), r.RR().Data)
	}
	return recs, nil
}

// DeleteRecords implements libdns.RecordDeleter.
func (p *pebbleProvider) DeleteRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range recs {
		p.server.RemoveTXT(libdns.AbsoluteName(r.RR().Name, zone), r.RR().Data)
	}
	return recs, nil
}

// A shown is a provider that shows what it does.
type shown struct {
	dnstxt.Provider
	w io.Writer
}

func (s shown) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	for _, r := range recs {
		fmt.Fprintf(s.w, "adding   %s TXT %q\n", r.Name, r.Value)
	}
	remove, err := s.Provider.Append(ctx, recs)
	if remove == nil {
		return nil, err
	}
	return func(ctx context.Context, recs []dnstxt.Record) error {
		for _, r := range recs {
			fmt.Fprintf(s.w, "removing %s TXT %q\n", r.Name, r.Value)
		}
		return remove(ctx, recs)
	}, err
}

// readKey reads what tsig-keygen writes:
//
//	key "acme" {
//		algorithm hmac-sha256;
//		secret "…";
//	};
func readKey(file string) (rfc2136.Key, error) {
	if file == "" {
		return rfc2136.Key{}, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return rfc2136.Key{}, err
	}
	form := regexp.MustCompile(`^\s*key\s+"?([^"\s{]+)"?\s*\{\s*algorithm\s+"?([\w-]+)"?\s*;\s*secret\s+"([^"]+)"\s*;\s*\}\s*;\s*$`)
	found := form.FindSubmatch(data)
	if found == nil {
		return rfc2136.Key{}, fmt.Errorf("%s: no key as tsig-keygen writes it", file)
	}
	return rfc2136.Key{Name: string(found[1]), Algorithm: string(found[2]), Secret: string(found[3])}, nil
}
