package dnstxt_test

import (
	"bytes"
	"context"

	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// zones is a world with delegations, aliases and names that do not exist.
func zones() *world {
	w := newWorld()
	w.add("example.")
	com := w.add("example.com.", "192.0.2.1", "2001:db8::1")
	w.add("sub.example.com.", "192.0.2.2")
	w.add("_acme-challenge.cut.example.com.", "192.0.2.3")
	net := w.add("example.net.", "192.0.2.4")
	w.add("x.net.", "192.0.2.5")
	com.txt["a.b.ent.example.com."] = []string{"below an empty non-terminal"}
	com.aliases["alias.example.com."] = "target.example.net."
	w.zones["sub.example.com."].aliases["_acme-challenge.up.sub.example.com."] = "nothing.example.com."
	com.aliases["to.the.apex.example.com."] = "example.net."
	com.aliases["_acme-challenge.one.example.com."] = "two.example.net."
	com.aliases["*.wild.example.com."] = "cdn.example.net."
	com.aliases["_acme-challenge.same.example.com."] = "_acme-challenge.other.example.com."
	net.aliases["two.example.net."] = "three.example.net."
	net.aliases["three.example.net."] = "txt.x.net."
	net.aliases["loop.example.net."] = "pool.example.net."
	net.aliases["pool.example.net."] = "loop.example.net."
	for i := range 12 {
		net.aliases[fmt.Sprintf("long%d.example.net.", i)] = fmt.Sprintf("long%d.example.net.", i+1)
	}
	net.aliases["odd.example.net."] = "a;b.example.net."
	return w
}

func TestZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := zones()
		r := w.resolver()
		for _, tt := range []struct{ name, want string }{
			{"_acme-challenge.example.com.", "example.com."},
			{"_ACME-challenge.Example.COM", "example.com."},
			{"example.com", "example.com."},
			{"a.b.c.d.example.com.", "example.com."},
			{"ent.example.com.", "example.com."},
			{"b.ent.example.com.", "example.com."},
			{"_acme-challenge.sub.example.com.", "sub.example.com."},
			{"sub.example.com.", "sub.example.com."},
			{"_acme-challenge.up.sub.example.com.", "sub.example.com."}, // an alias of a name in the zone above
			{"notsub.example.com.", "example.com."},
			{"_acme-challenge.cut.example.com.", "_acme-challenge.cut.example.com."},
			{"cut.example.com.", "example.com."},
			{"alias.example.com.", "example.com."},
			{"to.the.apex.example.com.", "example.com."},
			{"_acme-challenge.same.example.com.", "example.com."},
			{"x.wild.example.com.", "example.com."},
			{"nothing.example.", "example."},
		} {
			if got, err := r.Zone(t.Context(), tt.name); got != tt.want || err != nil {
				t.Errorf("%s: %s, %v", tt.name, got, err)
			}
		}
		asked := w.count(resolverAddress)
		if got, err := r.Zone(t.Context(), "Sub.example.com."); got != "sub.example.com." || err != nil || w.count(resolverAddress) != asked {
			t.Errorf("again: %s, %v, %d queries", got, err, w.count(resolverAddress)-asked)
		}
		<-time.After(11 * time.Minute)
		if _, err := r.Zone(t.Context(), "sub.example.com."); err != nil || w.count(resolverAddress) == asked {
			t.Errorf("after its time: %v", err)
		}
		_, err := r.Zone(t.Context(), "a b.example.com")
		if !errors.Is(err, dnstxt.ErrInvalidName) {
			t.Error(err)
		}
	})
}

// Answers that do not tell the zone.
func TestNoZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.resolver()
		for _, tt := range []struct {
			name   string
			answer handler
			want   error
			says   []string
		}{
			{"nothing up to the root", refusing(dnsmessage.RCodeNameError), dnstxt.ErrNoZone, []string{"_acme-challenge.example.com."}},
			{"SERVFAIL", refusing(dnsmessage.RCodeServerFailure), dnstxt.ErrNoAnswer, []string{"192.0.2.53:53: it answers SERVFAIL", "zone of _acme-challenge.example.com."}},
			{"REFUSED", refusing(dnsmessage.RCodeRefused), dnstxt.ErrNoAnswer, []string{"REFUSED"}},
			{"a code that is unknown", refusing(14), dnstxt.ErrNoAnswer, []string{"code 14"}},
			{"no answer", silent, dnstxt.ErrNoAnswer, []string{"no answer within 3s over udp"}},
			{"the root's SOA", authoritySOA("."), dnstxt.ErrNoZone, nil},
			{"the SOA of a name that is not above", authoritySOA("example.net."), dnstxt.ErrNoZone, nil},
			{"a referral", authorityNS("example.com."), dnstxt.ErrNoZone, []string{"example.com. is delegated to other servers"}},
			{"a referral to the root", authorityNS("."), dnstxt.ErrNoZone, []string{"no name above it"}},
			{"the SOA of a name below", authoritySOA("x._acme-challenge.example.com."), dnstxt.ErrNoZone, nil},
		} {
			w.servers[resolverAddress] = tt.answer
			zone, err := r.Zone(t.Context(), "_acme-challenge.example.com.")
			if zone != "" || !errors.Is(err, tt.want) {
				t.Errorf("%s: %q, %v", tt.name, zone, err)
			}
			contains(t, err, tt.says...)
		}
	})
}

// authoritySOA is a server that has nothing but this SOA in its authority section.
func authoritySOA(owner string) handler {
	return func(_ string, query []byte) [][]byte {
		return reply(query, func(_ *dnsmessage.Header, b *dnsmessage.Builder, _ dnsmessage.Question) {
			_ = b.StartAuthorities()
			(&zone{apex: "example."}).soa(b, owner)
		})
	}
}

// authorityNS is a server that refers to others.
func authorityNS(owner string) handler {
	return func(_ string, query []byte) [][]byte {
		return reply(query, func(_ *dnsmessage.Header, b *dnsmessage.Builder, _ dnsmessage.Question) {
			_ = b.StartAuthorities()
			_ = b.NSResource(resource(owner, dnsmessage.TypeNS), dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns.example.")})
		})
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := zones()
		long := "a." + strings.Repeat("a.", 119) + "example.com."
		w.zones["example.com."].aliases[long] = "example.net."
		w.add("top.").aliases["top."] = "example.net."
		r := w.resolver()
		for _, tt := range []struct{ name, want string }{
			{"_acme-challenge.one.example.com.", "txt.x.net."},
			{"_acme-challenge.One.Example.com", "txt.x.net."},
			{"_acme-challenge.plain.example.com.", "_acme-challenge.plain.example.com."},
			{"x.wild.example.com.", "x.wild.example.com."}, // of a wildcard
			{"_acme-challenge.same.example.com.", "_acme-challenge.other.example.com."},
			{"loop.example.net.", ""},
			{"long0.example.net.", ""},
			{"long4.example.net.", "long12.example.net."},
			{"odd.example.net.", ""},
			{long, "example.net."},
			{"top.", "example.net."},
		} {
			got, err := r.Follow(t.Context(), tt.name)
			if got != tt.want || errors.Is(err, dnstxt.ErrAlias) != (tt.want == "") {
				t.Errorf("%s: %q, %v", tt.name, got, err)
			}
		}
		if _, err := r.Follow(t.Context(), "*"); !errors.Is(err, dnstxt.ErrInvalidName) {
			t.Error(err)
		}
		if _, err := r.Follow(ended(t), name); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAliases(t *testing.T) {
	t.Parallel()
	alias := dnstxt.Aliases(map[string]string{"_acme-challenge.Example.com": "example-com.acme.example.net", "x.example.com.": "a b"})
	for _, tt := range []struct{ name, want string }{
		{"_acme-challenge.example.COM.", "example-com.acme.example.net."},
		{"_acme-challenge.www.example.com.", "_acme-challenge.www.example.com."},
		{"x.example.com.", ""},
		{"*.example.com.", ""},
	} {
		got, err := alias(t.Context(), tt.name)
		if got != tt.want || errors.Is(err, dnstxt.ErrInvalidName) != (tt.want == "") {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
	// One that no record can have would never be found, in silence.
	odd := dnstxt.Aliases(map[string]string{"_acme-challenge.bücher.example": "a.example.net", "_acme-challenge.example.com": "b.example.net"})
	if got, err := odd(t.Context(), "_acme-challenge.example.com."); got != "" || !errors.Is(err, dnstxt.ErrInvalidName) || !strings.Contains(err.Error(), "bücher") {
		t.Errorf("%q, %v", got, err)
	}
}

// TestHostileServers: what a server sends costs bounded time, and an error that
// names it; and what is not the answer to the query is not taken for it.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	right := func(query []byte) []byte {
		return reply(query, func(_ *dnsmessage.Header, b *dnsmessage.Builder, q dnsmessage.Question) {
			(&zone{apex: "example.com."}).soa(b, q.Name.String())
		})[0]
	}
	lie := func(query []byte) []byte { // com. is the zone
		return authoritySOA("com.")("", query)[0]
	}
	changed := func(message func([]byte) []byte, f func(message []byte)) func([]byte) []byte {
		return func(query []byte) []byte {
			m := message(query)
			f(m)
			return m
		}
	}
	change := func(f func(message []byte)) func([]byte) []byte { return changed(right, f) }
	forge := func(f func(message []byte)) func([]byte) []byte { return changed(lie, f) }
	wrongID := forge(func(m []byte) { m[0] ^= 1 })
	always := func(f func([]byte) []byte) handler {
		return func(_ string, query []byte) [][]byte { return [][]byte{f(query)} }
	}
	first := func(n int, f func([]byte) []byte) handler {
		return func(_ string, query []byte) [][]byte {
			return append(slicesRepeat(f(query), n), right(query))
		}
	}
	overTCP := func(udp func([]byte) []byte, tcp handler) handler {
		return func(network string, query []byte) [][]byte {
			if network == "tcp" {
				return tcp(network, query)
			}
			return [][]byte{udp(query)}
		}
	}
	truncated := change(func(m []byte) { m[2] |= 2 })
	toLower := func(m []byte) { copy(m[12:], bytes.ToLower(m[12:12+17])) }
	lower := change(toLower)
	for _, tt := range []struct {
		name  string
		serve handler
		says  string // "" for the right zone
	}{
		{"the answer", always(right), ""},
		{"another id, then the answer", first(60, wrongID), ""},
		{"another name, then the answer", first(1, forge(func(m []byte) { m[13] ^= 1 })), ""},
		{"another type, then the answer", first(1, forge(func(m []byte) { m[12+13+1] = 99 })), ""},
		{"a query, then the answer", first(1, forge(func(m []byte) { m[2] &^= 0x80 })), ""},
		{"two questions, then the answer", first(1, forge(func(m []byte) { m[5] = 2 })), ""},
		{"an empty datagram, then the answer", first(1, func([]byte) []byte { return []byte{0} }), ""},
		{"nothing but other ids", first(1000, wrongID), "nothing but answers to other queries"},
		{"silence", silent, "no answer within 3s over udp"},
		{"lower case", overTCP(lower, always(lower)), ""},
		{"a forged answer in lower case", overTCP(forge(toLower), always(right)), ""},
		{"a truncated answer", overTCP(truncated, always(right)), ""},
		{"a truncated answer over TCP", always(truncated), "truncated over TCP, too"},
		{"no answer over TCP", overTCP(truncated, silent), "no answer within 3s over tcp"},
		{"another id over TCP", overTCP(truncated, always(wrongID)), "answers another query"},
		{"half a record", always(func(q []byte) []byte { m := right(q); return m[:len(m)-30] }), "malformed message"},
		{"a loop of pointers", always(func(q []byte) []byte {
			m := right(q)[:12+17]
			return append(m, 0xc0, byte(len(m)), 0, 6, 0, 1, 0, 0, 0, 0, 0, 0)
		}), "malformed message"},
		{"more records than there are", always(change(func(m []byte) { m[6] = 0xff })), "malformed message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.servers[resolverAddress] = tt.serve
				began := time.Now()
				got, err := w.resolver().Zone(t.Context(), "example.com.")
				if (got == "example.com.") != (tt.says == "") {
					t.Errorf("%q, %v", got, err)
				}
				if tt.says != "" {
					contains(t, err, tt.says, resolverAddress)
				}
				if took := time.Since(began); took > 7*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

func slicesRepeat(message []byte, n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = message
	}
	return all
}

// A resolver that does not answer is passed over.
func TestResolvers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := zones()
		r := w.resolver()
		w.servers["192.0.2.54:53"], w.servers["[2001:db8::54]:5353"] = silent, refusing(dnsmessage.RCodeRefused)
		r.Servers = []string{"192.0.2.54", "[2001:db8::54]:5353", "[2001:db8::55]", "2001:db8::56", resolverAddress}
		if zone, err := r.Zone(t.Context(), name); zone != "example.com." || err != nil {
			t.Errorf("%q, %v", zone, err)
		}
		r.Servers = r.Servers[:4]
		_, err := r.Zone(t.Context(), "b."+name)
		contains(t, err, "192.0.2.54:53: no answer", "[2001:db8::54]:5353: it answers REFUSED", "[2001:db8::55]:53: connection refused", "[2001:db8::56]:53:")
	})
}

// Whatever is going on, it ends with its context.
func TestResolverCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.servers[resolverAddress] = silent
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 700*time.Millisecond, reason)
		defer cancel()
		began := time.Now()
		_, err := w.resolver().Zone(ctx, name)
		if took := time.Since(began); !errors.Is(err, reason) || took != 700*time.Millisecond {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Thousands of records, as many as fit.
func TestManyRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		z := w.add("example.com.", "192.0.2.1")
		var values []string
		for i := range 1500 {
			values = append(values, fmt.Sprintf("value %d", i))
		}
		w.set(z, name, append(values, strings.Repeat("x", 1000))...)
		p := dnstxt.Propagation{Resolver: w.resolver()}
		if err := p.Check(t.Context(), records("value 1499", strings.Repeat("x", 1000))); err != nil || w.tcp == 0 {
			t.Errorf("%v, %d over TCP", err, w.tcp)
		}
		err := p.Check(t.Context(), records("another"))
		if !errors.Is(err, dnstxt.ErrNotVisible) {
			t.Error(err)
		}
		contains(t, err, `"value 0", "value 1"`, "1493 more")
	})
}

// Records of another name, another class or another type are not those that are
// looked for.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.add("example.com.", "192.0.2.1")
		for i, odd := range []dnsmessage.ResourceHeader{
			{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassCHAOS},
			{Name: dnsmessage.MustNewName("other.example.com."), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
			{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeTXT, Class: dnsmessage.ClassINET},
		} {
			w.servers["192.0.2.1:53"] = func(_ string, query []byte) [][]byte {
				return reply(query, func(_ *dnsmessage.Header, b *dnsmessage.Builder, _ dnsmessage.Question) {
					_ = b.TXTResource(odd, dnsmessage.TXTResource{TXT: []string{"a"}})
				})
			}
			p := dnstxt.Propagation{Resolver: w.resolver()}
			if err := p.Check(t.Context(), records("a")); errors.Is(err, dnstxt.ErrNotVisible) != (i < 2) || i == 2 && err != nil {
				t.Errorf("%v: %v", odd, err)
			}
		}
	})
}

// The system's resolvers are found without a query.
func TestSystemResolvers(t *testing.T) {
	t.Parallel()
	var dialled []string
	r := dnstxt.Resolver{Dial: func(_ context.Context, _, address string) (conn net.Conn, err error) {
		dialled = append(dialled, address)
		return nil, errors.New("no network in tests")
	}}
	_, err := r.Zone(t.Context(), name)
	if !errors.Is(err, dnstxt.ErrNoAnswer) || len(dialled) == 0 {
		t.Errorf("%v, dialled %v", err, dialled)
	}
}
