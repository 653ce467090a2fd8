package e2e_test

import (
	"time"

	"github.com/libdns/libdns"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// The blocks of docs/challenges.md that need libdns, with what they take for
// granted.

type Documents struct{}

func (Documents) LibDNS(cloudflare *libdnsProvider) dnstxt.Provider {
	provider := dnstxt.FromLibDNS(cloudflare, // a *cloudflare.Provider of github.com/libdns/cloudflare, say
		func(name, text string, ttl time.Duration) libdns.Record {
			return libdns.TXT{Name: name, Text: text, TTL: ttl}
		},
		func(r libdns.Record) (name, text string) { return r.RR().Name, r.RR().Data },
		nil) // zones are looked up with the system's resolvers
	return provider
}
