// Package rfc2136 adds TXT records to zones by DNS updates (RFC 2136), as BIND,
// Knot, PowerDNS, Windows and others take them, signed with a shared key (TSIG,
// RFC 8945):
//
//	provider := &rfc2136.Provider{
//		Server: "192.0.2.1",
//		Key:    rfc2136.Key{Name: "acme", Secret: "…"}, // as tsig-keygen prints them
//	}
//	solver := dns01.Solver{Provider: provider}
//
// A server that lets the key do no more than it must has, in BIND's words, a zone
// with
//
//	update-policy { grant acme name _acme-challenge.example.com. TXT; };
//
// It is a module of its own, so that a program which does not need it does
// not have github.com/miekg/dns among its dependencies.
package rfc2136

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

const (
	defaultTTL     = time.Minute
	defaultTimeout = 10 * time.Second
	maxMessage     = 16 << 10 // octets of records in one update; a message has room for four times that
)

// A Provider adds and removes records at a server that takes updates, which is a
// zone's primary, or passes them on to it. It is a [dnstxt.Provider], and safe for
// concurrent use. Each zone is changed with one update, all or nothing, of which
// there are more only for orders of hundreds of names.
type Provider struct {
	// Server is the address of the server, with or without a port. It is required.
	Server string

	// Key signs the updates. Without a name, they are not signed, and the server
	// must know by the address whom it trusts.
	Key Key

	// Network is "tcp" or "udp"; "" is "tcp". An update of more than 512 octets
	// goes by TCP in any case.
	Network string

	// Zone finds the zone of a name. Nil: the server is asked.
	Zone func(ctx context.Context, name string) (string, error)

	// Timeout is how long the server may take for an answer. Zero: 10 seconds.
	Timeout time.Duration
}

// A Key is a key that a server shares with its clients. It prints without the
// secret.
type Key struct {
	Name      string
	Algorithm string // "hmac-sha256", "hmac-sha384" or "hmac-sha512"; "" is the first
	Secret    string // base64
}

// String returns the name and the algorithm.
func (k Key) String() string { return k.Name + " (" + k.algorithm() + ")" }

// GoString returns the name and the algorithm.
func (k Key) GoString() string { return "rfc2136.Key(" + k.String() + ")" }

// LogValue returns the name and the algorithm.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON returns the name and the algorithm, for logs.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// algorithm returns the name of the algorithm in DNS, without the final dot.
func (k Key) algorithm() string {
	if k.Algorithm == "" {
		return "hmac-sha256"
	}
	return strings.ToLower(strings.TrimSuffix(k.Algorithm, "."))
}

// check says what is wrong with the key, without the secret.
func (k Key) check() error {
	switch k.algorithm() {
	case "hmac-sha256", "hmac-sha384", "hmac-sha512":
	default:
		return fmt.Errorf("key %s: the algorithm must be hmac-sha256, hmac-sha384 or hmac-sha512", k)
	}
	secret, err := base64.StdEncoding.DecodeString(k.Secret)
	switch {
	case k.Name == "" && k.Secret != "":
		return errors.New("the key has a secret, but no name")
	case k.Name == "":
		return nil
	case err != nil:
		return fmt.Errorf("key %s: the secret is not base64", k)
	case len(secret) == 0:
		return fmt.Errorf("key %s: there is no secret", k)
	}
	_, err = dnstxt.CanonicalName(k.Name)
	return err
}

// Append adds records, with an update for each zone. An error says what the server
// answered, and which zone it was about.
func (p *Provider) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("rfc2136: %w", err)
	}
	changes, err := dnstxt.Changes(ctx, recs, p.zone)
	if err != nil {
		return nil, fmt.Errorf("rfc2136: %w", err)
	}
	attempted := 0
	remove := func(ctx context.Context, recs []dnstxt.Record) error {
		wanted := make(map[dnstxt.Record]bool, len(recs))
		for _, r := range recs {
			wanted[r] = true
		}
		return p.remove(ctx, changes[:attempted], func(_ context.Context, recs []dnstxt.Record) ([]dns.RR, error) {
			return asRRs(slices.DeleteFunc(slices.Clone(recs), func(r dnstxt.Record) bool { return !wanted[r] })), nil
		})
	}
	for _, c := range changes {
		attempted++
		if err := p.change(ctx, c.Zone, asRRs(c.Records), (*dns.Msg).Insert); err != nil {
			return remove, fmt.Errorf("rfc2136: adding %d TXT records to zone %s: %w", len(c.Records), c.Zone, err)
		}
	}
	return remove, nil
}

// Remove removes records, whoever has added them, with an update for each zone. It
// asks the server for them first: an update takes away what is the same octet for
// octet (RFC 2136 §2.5.4), and others may have split the value into other strings. It
// makes the Provider a [dnstxt.Remover].
func (p *Provider) Remove(ctx context.Context, recs []dnstxt.Record) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("rfc2136: %w", err)
	}
	changes, err := dnstxt.Changes(ctx, recs, p.zone)
	if err != nil {
		return fmt.Errorf("rfc2136: %w", err)
	}
	return p.remove(ctx, changes, p.written)
}

// remove takes away what choose returns of each zone's records. That one is not there
// is no error for a server (RFC 2136 §3.4.2.4).
func (p *Provider) remove(ctx context.Context, changes []dnstxt.Change, choose func(context.Context, []dnstxt.Record) ([]dns.RR, error)) error {
	var errs []error
	for _, c := range changes {
		records, err := choose(ctx, c.Records)
		if err != nil {
			errs = append(errs, fmt.Errorf("rfc2136: looking for TXT records to remove from zone %s: %w", c.Zone, err))
			continue
		}
		if err := p.change(ctx, c.Zone, records, (*dns.Msg).Remove); err != nil {
			errs = append(errs, fmt.Errorf("rfc2136: removing %d TXT records from zone %s: %w", len(records), c.Zone, err))
		}
	}
	return errors.Join(errs...)
}

// check says what is wrong with the fields.
func (p *Provider) check() error {
	switch {
	case p.Server == "":
		return errors.New("no Server is set")
	case p.Network != "" && p.Network != "tcp" && p.Network != "udp":
		return fmt.Errorf("the Network %q is neither tcp nor udp", p.Network)
	}
	return p.Key.check()
}

// address returns that of the server, with a port.
func (p *Provider) address() string {
	if _, _, err := net.SplitHostPort(p.Server); err == nil {
		return p.Server
	}
	return net.JoinHostPort(strings.Trim(p.Server, "[]"), "53")
}

// zone asks the server, unless there is a function for it.
func (p *Provider) zone(ctx context.Context, name string) (string, error) {
	if p.Zone != nil {
		return p.Zone(ctx, name)
	}
	resolver := dnstxt.Resolver{Servers: []string{p.address()}, Timeout: p.Timeout}
	return resolver.Zone(ctx, name)
}

// change sends updates for a zone: mostly one.
func (p *Provider) change(ctx context.Context, zone string, records []dns.RR, put func(*dns.Msg, []dns.RR)) error {
	for len(records) > 0 {
		n := 0
		for size := 0; n < len(records) && size < maxMessage; n++ {
			size += dns.Len(records[n])
		}
		update := new(dns.Msg).SetUpdate(zone)
		put(update, records[:n])
		records = records[n:]
		if err := p.send(ctx, update); err != nil {
			return err
		}
	}
	return nil
}

func asRRs(recs []dnstxt.Record) []dns.RR {
	out := make([]dns.RR, len(recs))
	for i, r := range recs {
		out[i] = record(r)
	}
	return out
}

func record(r dnstxt.Record) *dns.TXT {
	ttl := r.TTL
	if ttl <= 0 {
		ttl = defaultTTL
	}
	split := dnstxt.Strings(r.Value)
	for i, s := range split {
		split[i] = strings.ReplaceAll(s, `\`, `\\`) // escapes are resolved when the message is made
	}
	return &dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(r.Name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: uint32(ttl.Seconds())}, Txt: split}
}
