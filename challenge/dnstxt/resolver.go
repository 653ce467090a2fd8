package dnstxt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A Resolver looks things up in the DNS: which zone a name is in, which servers
// have that zone, what an alias stands for. The zero value asks the servers that
// the system is configured with. It remembers zones and their servers for ten
// minutes. It is safe for concurrent use, and must not be copied after first use.
//
// What comes from the network is not trusted: all of it is bounded, and an answer
// must be one to the question, with its id and its case of letters.
type Resolver struct {
	// Servers are the addresses of resolvers, with or without a port: "192.0.2.1",
	// "[2001:db8::1]:53". The first that answers is believed. None: the system's.
	Servers []string

	// Dial opens the connections, to resolvers and to the servers of zones; the
	// network is "udp" or "tcp". Nil: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Timeout is how long a server may take for an answer, after which it is asked
	// once more. Zero: 3 seconds.
	Timeout time.Duration

	mu     sync.Mutex
	zones  cache[string]      // of names
	zoneNS cache[[]authority] // of zones
	system cache[[]string]    // the system's resolvers, which change with the network
}

// lookup asks the resolvers, one after the other.
func (r *Resolver) lookup(ctx context.Context, name string, kind dnsmessage.Type) (*answer, error) {
	servers, err := r.resolvers(ctx)
	if err != nil {
		return nil, err
	}
	return r.askAny(ctx, servers, question{name, kind, true})
}

// errUseless is of a server that has answered, to no purpose.
var errUseless = errors.New("it answers")

// askAny asks servers, one after the other, until one gives an answer. That a name
// does not exist is one.
func (r *Resolver) askAny(ctx context.Context, servers []string, q question) (*answer, error) {
	var errs []error
	for _, server := range servers {
		a, err := r.exchange(ctx, server, q)
		if err == nil && a.code != dnsmessage.RCodeSuccess && a.code != dnsmessage.RCodeNameError {
			err = fmt.Errorf("%s: %w %s", server, errUseless, codeName(a.code))
		}
		if err == nil && !q.recursive && a.refersTo() != "" {
			err = fmt.Errorf("%s: %w that it does not have the zone, and refers to the servers of %s", server, errUseless, a.refersTo())
		}
		if err == nil {
			return a, nil
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("%w to %s of %s: %w", ErrNoAnswer, kindName(q.kind), q.name, errors.Join(errs...))
}

// resolvers returns the addresses of the resolvers to ask.
func (r *Resolver) resolvers(ctx context.Context) ([]string, error) {
	if len(r.Servers) > 0 {
		return addresses(r.Servers), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	servers, ok := r.system.get("")
	if !ok {
		servers = systemServers(ctx)
		if len(servers) == 0 {
			return nil, fmt.Errorf("%w: the system's could not be found out; set Resolver.Servers", ErrNoAnswer)
		}
		r.system.put("", servers)
	}
	return servers, nil
}

// systemServers returns the addresses of the resolvers that package net would
// ask. It alone knows where each system has them, and tells whom it dials.
func systemServers(ctx context.Context) []string {
	var mu sync.Mutex
	var servers []string
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(servers, address) {
			servers = append(servers, address)
		}
		return nil, errors.New("not dialled: its address is all that is wanted")
	}}
	_, _ = resolver.LookupTXT(ctx, "invalid.") // no query is sent
	return servers
}

// addresses adds the port where there is none.
func addresses(servers []string) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(trimBrackets(s), "53")
		}
		out[i] = s
	}
	return out
}

func trimBrackets(s string) string {
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		return s[1 : len(s)-1]
	}
	return s
}

func codeName(code dnsmessage.RCode) string {
	names := map[dnsmessage.RCode]string{
		dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeServerFailure: "SERVFAIL", dnsmessage.RCodeNameError: "NXDOMAIN",
		dnsmessage.RCodeNotImplemented: "NOTIMP", dnsmessage.RCodeRefused: "REFUSED",
	}
	return cmp.Or(names[code], fmt.Sprintf("code %d", code))
}

// kindName names a type as zone files do: TXT.
func kindName(kind dnsmessage.Type) string {
	if kind == typeCAA {
		return "CAA"
	}
	return strings.TrimPrefix(kind.String(), "Type")
}

// A cache remembers answers for a while.
type cache[V any] map[string]cached[V]

type cached[V any] struct {
	value V
	until time.Time
}

const (
	cacheTime = 10 * time.Minute
	cacheSize = 10_000 // entries; names come from orders
)

func (c cache[V]) get(key string) (V, bool) {
	e, ok := c[key]
	return e.value, ok && time.Now().Before(e.until)
}

func (c *cache[V]) put(key string, value V) {
	if *c == nil || len(*c) >= cacheSize {
		*c = make(cache[V])
	}
	(*c)[key] = cached[V]{value, time.Now().Add(cacheTime)}
}
