package dnstxt_test

import (
	"context"
	"encoding/binary"
	"errors"

	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A world is a DNS in memory: zones, the servers that have them, and a resolver
// that knows all zones.
type world struct {
	mu      sync.Mutex
	zones   map[string]*zone
	servers map[string]handler // by address
	asked   map[string]int     // queries, by address
	tcp     int
}

// A handler is a server: it returns what it sends for a query, in any number of
// messages.
type handler func(network string, query []byte) [][]byte

// A zone has the records of its names. The apex has no other SOA than itself.
type zone struct {
	apex    string
	ns      []string
	txt     map[string][]string
	aliases map[string]string // *.name for a wildcard
	hosts   map[string]string
	caa     map[string][]string // the data of records
}

const resolverAddress = "192.0.2.53:53"

func newWorld() *world {
	w := &world{zones: map[string]*zone{}, servers: map[string]handler{}, asked: map[string]int{}}
	w.servers[resolverAddress] = w.resolve
	return w
}

// add makes a zone with servers, whose addresses are given without the port.
func (w *world) add(apex string, addresses ...string) *zone {
	w.mu.Lock()
	defer w.mu.Unlock()
	z := &zone{apex: apex, txt: map[string][]string{}, aliases: map[string]string{}, hosts: map[string]string{}}
	for i, address := range addresses {
		host := "ns" + string(rune('1'+i)) + "." + apex
		z.ns, z.hosts[host] = append(z.ns, host), address
		w.servers[net.JoinHostPort(address, "53")] = w.authoritative(z)
	}
	w.zones[apex] = z
	return z
}

func (w *world) resolver() *dnstxt.Resolver {
	return &dnstxt.Resolver{Servers: []string{resolverAddress}, Dial: w.dial}
}

func (w *world) set(z *zone, name string, values ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	z.txt[name] = values
}

// serve puts a server at some addresses.
func (w *world) serve(h handler, addresses ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, address := range addresses {
		w.servers[address] = h
	}
}

func (w *world) count(address string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[address]
}

// dial connects to a server by a pipe, which keeps the limits of messages as long
// as the reader has room for one.
func (w *world) dial(_ context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	serve := w.servers[address]
	w.mu.Unlock()
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		for {
			query := make([]byte, 4096)
			n, err := server.Read(query)
			if err != nil {
				return
			}
			w.mu.Lock()
			w.asked[address]++
			w.mu.Unlock()
			if query = query[:n]; network == "tcp" {
				w.mu.Lock()
				w.tcp++
				w.mu.Unlock()
				query = query[2:]
			}
			for _, message := range serve(network, query) {
				if network == "tcp" {
					message = append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
				}
				if _, err := server.Write(message); err != nil {
					return
				}
			}
		}
	}()
	return client, nil
}

// silent reads, and never answers.
func silent(string, []byte) [][]byte { return nil }

// refusing answers with a code and nothing else.
func refusing(code dnsmessage.RCode) handler {
	return func(_ string, query []byte) [][]byte {
		return reply(query, func(h *dnsmessage.Header, _ *dnsmessage.Builder, _ dnsmessage.Question) { h.RCode = code })
	}
}

// reply answers a query. fill sets the header, and when the builder is in the
// section of answers, adds to it.
func reply(query []byte, fill func(*dnsmessage.Header, *dnsmessage.Builder, dnsmessage.Question)) [][]byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		panic(err)
	}
	q, err := p.Question()
	if err != nil {
		panic(err)
	}
	h.Response = true
	for {
		before := h
		b := dnsmessage.NewBuilder(nil, h)
		b.EnableCompression()
		_ = b.StartQuestions()
		_ = b.Question(q)
		_ = b.StartAnswers()
		fill(&h, &b, q)
		if h == before { // else once more, with the header that was wanted
			message, err := b.Finish()
			if err != nil {
				panic(err)
			}
			return [][]byte{message}
		}
	}
}

func resource(owner string, kind dnsmessage.Type) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(owner), Type: kind, Class: dnsmessage.ClassINET, TTL: 60}
}

// find returns the zone that a name is in.
func (w *world) find(name string) *zone {
	for at := name; at != ""; _, at, _ = strings.Cut(at, ".") {
		if z := w.zones[at]; z != nil {
			return z
		}
	}
	return nil
}

// resolve is the recursive resolver.
func (w *world) resolve(network string, query []byte) [][]byte {
	return w.answer(network, query, w.find)
}

// authoritative is a server that has one zone, and refers to zones below it.
func (w *world) authoritative(z *zone) handler {
	return func(network string, query []byte) [][]byte {
		return w.answer(network, query, func(name string) *zone {
			if found := w.find(name); found == z {
				return z
			}
			return nil
		})
	}
}

// answer answers a query from the zones that find finds.
func (w *world) answer(network string, query []byte, find func(string) *zone) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return reply(query, func(h *dnsmessage.Header, b *dnsmessage.Builder, q dnsmessage.Question) {
		name := strings.ToLower(q.Name.String())
		owner := q.Name.String()
		found := false
		z := find(name)
		for range 12 {
			if z == nil {
				break
			}
			target := z.alias(name)
			if target == "" || q.Type == dnsmessage.TypeCNAME && found {
				break
			}
			_ = b.CNAMEResource(resource(owner, dnsmessage.TypeCNAME), dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target)})
			if found = true; q.Type == dnsmessage.TypeCNAME {
				return
			}
			name, owner = target, target
			z = find(name)
		}
		if z == nil {
			if !found {
				h.RCode = dnsmessage.RCodeRefused
			}
			return
		}
		if n := z.put(b, owner, q.Type); n > 0 {
			if network == "udp" && n > 8 {
				h.Truncated = true
			}
			return
		}
		if !z.exists(name) {
			h.RCode = dnsmessage.RCodeNameError
		}
		_ = b.StartAuthorities()
		z.soa(b, z.apex)
	})
}

func (z *zone) alias(name string) string {
	if target, ok := z.aliases[name]; ok {
		return target
	}
	_, above, _ := strings.Cut(name, ".")
	if len(z.txt[name]) > 0 || z.exists(name) {
		return ""
	}
	return z.aliases["*."+above]
}

// exists reports whether there is something at a name or below it.
func (z *zone) exists(name string) bool {
	for _, known := range []map[string]string{z.hosts, z.aliases} {
		for n := range known {
			if n == name || strings.HasSuffix(n, "."+name) && !strings.HasPrefix(n, "*.") {
				return true
			}
		}
	}
	for n, values := range z.txt {
		if len(values) > 0 && (n == name || strings.HasSuffix(n, "."+name)) {
			return true
		}
	}
	return name == z.apex
}

func (z *zone) soa(b *dnsmessage.Builder, owner string) {
	_ = b.SOAResource(resource(owner, dnsmessage.TypeSOA), dnsmessage.SOAResource{
		NS: dnsmessage.MustNewName("ns1." + z.apex), MBox: dnsmessage.MustNewName("hostmaster." + z.apex), MinTTL: 60,
	})
}

// put adds the records of a name and returns their number.
func (z *zone) put(b *dnsmessage.Builder, owner string, kind dnsmessage.Type) (n int) {
	name := strings.ToLower(owner)
	switch kind {
	case dnsmessage.TypeSOA:
		if name == z.apex {
			z.soa(b, owner)
			n++
		}
	case dnsmessage.TypeNS:
		for _, host := range z.ns {
			if name == z.apex {
				_ = b.NSResource(resource(owner, kind), dnsmessage.NSResource{NS: dnsmessage.MustNewName(host)})
				n++
			}
		}
	case dnsmessage.TypeTXT:
		for _, value := range z.txt[name] {
			_ = b.TXTResource(resource(owner, kind), dnsmessage.TXTResource{TXT: dnstxt.Strings(value)})
			n++
		}
	case 257:
		for _, data := range z.caa[name] {
			_ = b.UnknownResource(resource(owner, kind), dnsmessage.UnknownResource{Type: kind, Data: []byte(data)})
			n++
		}
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		if addr, err := netip.ParseAddr(z.hosts[name]); err == nil && addr.Is4() == (kind == dnsmessage.TypeA) {
			if addr.Is4() {
				_ = b.AResource(resource(owner, kind), dnsmessage.AResource{A: addr.As4()})
			} else {
				_ = b.AAAAResource(resource(owner, kind), dnsmessage.AAAAResource{AAAA: addr.As16()})
			}
			n++
		}
	}
	return n
}

// contains checks that an error says all of it.
func contains(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if err != nil && len(err.Error()) > 8000 {
		t.Errorf("an error of %d octets", len(err.Error()))
	}
}
