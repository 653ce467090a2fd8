package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnsaccount01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
	"github.com/seed-aa0b9f56/acme/internal/bind"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A nameServer is the DNS server of a Pebble as a provider that counts its calls.
type nameServer struct {
	server *pebble.Server

	mu      sync.Mutex
	calls   []string
	records map[dnstxt.Record]bool
	skip    bool // pretends to add records
}

func newNameServer(e *environment) *nameServer {
	return &nameServer{server: e.server, records: map[dnstxt.Record]bool{}}
}

func (n *nameServer) Append(_ context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, fmt.Sprint("append ", len(recs)))
	for _, r := range recs {
		n.records[r] = true
		if !n.skip {
			n.server.AddTXT(r.Name, r.Value)
		}
	}
	return n.remove, nil
}

func (n *nameServer) remove(_ context.Context, recs []dnstxt.Record) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, fmt.Sprint("remove ", len(recs)))
	for _, r := range recs {
		delete(n.records, r)
		n.server.RemoveTXT(r.Name, r.Value)
	}
	return nil
}

// at leads a client of DNS to a server that has all zones, on a port of its own.
func at(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}

// resolver asks the DNS server of the Pebble, also where it would ask the servers
// of a zone.
func (e *environment) resolver() *dnstxt.Resolver {
	return &dnstxt.Resolver{Servers: []string{e.server.DNSAddr()}, Dial: at(e.server.DNSAddr())}
}

// propagation waits for a zone's servers, and then for a resolver.
func (e *environment) propagation() *dnstxt.Propagation {
	return &dnstxt.Propagation{Resolver: e.resolver(), Recursive: []string{e.server.DNSAddr()}}
}

// obtain gets a certificate for names with a solver, and checks it.
func (e *environment) obtain(solver acme.Solver, names ...string) {
	e.Helper()
	req := e.request(acme.DNS(names...)...)
	req.Solvers = []acme.Solver{solver}
	cert, err := e.account.Obtain(e.context(), req)
	for i, name := range names {
		names[i] = strings.Replace(name, "*", "any", 1)
	}
	e.check(cert, err, names...)
}

// The apex and its wildcard in one order, validated by the server.
func TestDNS01(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	e.server.AddTXT("_acme-challenge.a.example", "of somebody else")
	provider := newNameServer(e)
	e.obtain(&dns01.Solver{Provider: provider, Ready: e.propagation().Wait}, "a.example", "*.a.example", "b.a.example", "xn--bcher-kva.example")
	if want := []string{"append 4", "remove 4"}; !slices.Equal(provider.calls, want) || len(provider.records) != 0 {
		t.Errorf("calls %q, left %v", provider.calls, provider.records)
	}
	err := e.propagation().Check(t.Context(), []dnstxt.Record{{Name: "_acme-challenge.a.example", Value: "of somebody else"}})
	if err != nil {
		t.Errorf("the record of somebody else: %v", err)
	}
}

// Many orders for one name at once, of one program.
func TestDNS01Concurrently(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, NonceReject: 10})
	provider := newNameServer(e)
	solver := &dns01.Solver{Provider: provider, Ready: e.propagation().Wait}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			req := e.request(acme.DNS("a.example", "*.a.example")...)
			req.Solvers = []acme.Solver{solver}
			if _, err := e.account.Obtain(e.context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(provider.records) != 0 {
		t.Errorf("left %v", provider.records)
	}
}

// A hundred names in one order are one call to add, one wait, one call to remove.
func TestHundredNames(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	provider := newNameServer(e)
	var waits []int
	solver := &dns01.Solver{Provider: provider, Ready: func(ctx context.Context, recs []dnstxt.Record) error {
		waits = append(waits, len(recs))
		return e.propagation().Wait(ctx, recs)
	}}
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("n%d.a.example", i), fmt.Sprintf("*.n%d.a.example", i))
	}
	e.obtain(solver, names...)
	if !slices.Equal(provider.calls, []string{"append 100", "remove 100"}) || !slices.Equal(waits, []int{100}) {
		t.Errorf("calls %q, waits for %v", provider.calls, waits)
	}
	if len(provider.records) != 0 {
		t.Errorf("left %v", provider.records)
	}
}

// _acme-challenge is an alias, which the solver is told of, or follows.
func TestDNS01Delegated(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	e.server.SetCNAME("_acme-challenge.a.example", "a.acme.example.net")
	e.server.SetCNAME("_acme-challenge.b.example", "hop.example.org")
	e.server.SetCNAME("hop.example.org", "b.acme.example.net")
	targets := map[string]string{"_acme-challenge.a.example": "a.acme.example.net", "_acme-challenge.b.example": "b.acme.example.net"}
	for _, alias := range []func(context.Context, string) (string, error){dnstxt.Aliases(targets), e.resolver().Follow} {
		provider := newNameServer(e)
		var written []dnstxt.Record
		solver := &dns01.Solver{Provider: provider, Alias: alias, Ready: func(ctx context.Context, recs []dnstxt.Record) error {
			for r := range provider.records {
				written = append(written, r)
			}
			return e.propagation().Wait(ctx, recs)
		}}
		e.obtain(solver, "a.example", "*.a.example", "b.example")
		if len(written) != 3 || slices.ContainsFunc(written, func(r dnstxt.Record) bool { return !strings.HasSuffix(r.Name, ".acme.example.net.") }) {
			t.Errorf("written %v", written)
		}
	}
}

// What cannot be seen is not told to the server: the delegation that the solver
// knows of does not exist.
func TestDNS01NotVisible(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	provider := newNameServer(e)
	ready := e.propagation()
	ready.Budget = time.Second
	solver := &dns01.Solver{
		Provider: provider,
		Alias:    dnstxt.Aliases(map[string]string{"_acme-challenge.a.example": "a.acme.example.net"}),
		Ready:    ready.Wait,
	}
	req := e.request(acme.DNS("a.example")...)
	req.Solvers = []acme.Solver{solver}
	_, err := e.account.Obtain(e.context(), req)
	if !errors.Is(err, acme.ErrCheckFailed) || !errors.Is(err, dnstxt.ErrNotVisible) || !strings.Contains(err.Error(), "_acme-challenge.a.example. should have TXT") ||
		!strings.Contains(err.Error(), "localhost. has none") {
		t.Errorf("got %v", err)
	}
	if e.counts[acme.OpRespondChallenge] != 0 || len(provider.records) != 0 {
		t.Errorf("%d challenges were answered, left %v", e.counts[acme.OpRespondChallenge], provider.records)
	}
}

// dns01.Check and its like look for a solver that does not.
func TestDNSChecked(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	provider := newNameServer(e)
	provider.skip = true
	check := func(ctx context.Context, a *acme.Attempt) error {
		record, err := dns01.Record(a)
		if err != nil {
			return err
		}
		return e.propagation().Check(ctx, []dnstxt.Record{record})
	}
	req := e.request(acme.DNS("a.example", "b.example")...)
	req.Solvers = []acme.Solver{acme.Checked(&dns01.Solver{Provider: provider, Ready: dnstxt.NoWait}, check)}
	if _, err := e.account.Obtain(e.context(), req); !errors.Is(err, acme.ErrCheckFailed) || e.counts[acme.OpRespondChallenge] != 0 {
		t.Errorf("%d challenges were answered, %v", e.counts[acme.OpRespondChallenge], err)
	}
	provider.skip = false
	cert, err := e.account.Obtain(e.context(), req)
	e.check(cert, err, "a.example", "b.example")
}

// The record is below the account's label, two accounts at once, also where each
// has an alias of its own.
func TestDNSAccount01(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	provider := newNameServer(e)
	e.obtain(&dnsaccount01.Solver{Provider: provider, Ready: e.propagation().Wait}, "a.example", "*.a.example")
	if !slices.Equal(provider.calls, []string{"append 2", "remove 2"}) {
		t.Errorf("calls %q", provider.calls)
	}
	first := e.account
	e.key = testkit.Key(t)
	second := e.register(acme.AccountRequest{TermsOfServiceAgreed: true})
	targets := map[string]string{}
	for i, account := range []*acme.Account{first, second} {
		name, err := dnsaccount01.Name(account.URL(), "a.example")
		if err != nil {
			t.Fatal(err)
		}
		targets[name] = fmt.Sprintf("account%d.example.net.", i)
		e.server.SetCNAME(name, targets[name])
	}
	solver := &dnsaccount01.Solver{Provider: provider, Alias: dnstxt.Aliases(targets), Ready: e.propagation().Wait}
	var wg sync.WaitGroup
	for _, account := range []*acme.Account{first, second} {
		wg.Go(func() {
			req := e.request(acme.DNS("*.a.example")...)
			req.Solvers = []acme.Solver{solver}
			if _, err := account.Obtain(e.context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(provider.records) != 0 {
		t.Errorf("left %v", provider.records)
	}
}

// A libdnsProvider is a provider for libdns, of its real types, for the DNS server
// of a Pebble.
type libdnsProvider struct {
	server *pebble.Server
	mu     sync.Mutex
	calls  []string
}

var (
	_ libdns.RecordAppender = (*libdnsProvider)(nil)
	_ libdns.RecordDeleter  = (*libdnsProvider)(nil)
)

func (p *libdnsProvider) AppendRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.change("append", zone, recs, p.server.AddTXT)
}

func (p *libdnsProvider) DeleteRecords(_ context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return p.change("delete", zone, recs, p.server.RemoveTXT)
}

func (p *libdnsProvider) change(call, zone string, recs []libdns.Record, do func(name, text string)) ([]libdns.Record, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, fmt.Sprint(call, " ", len(recs), " ", zone))
	var done []libdns.Record
	for _, r := range recs {
		txt, ok := r.(libdns.TXT)
		if !ok || zone != "a.example." && zone != "b.example." {
			return done, fmt.Errorf("a record of type %T in zone %s", r, zone)
		}
		do(libdns.AbsoluteName(txt.Name, zone), txt.Text)
		txt.TTL = max(txt.TTL, time.Minute)
		txt.ProviderData = len(done)
		done = append(done, txt)
	}
	return done, nil
}

// The real types of libdns: R is inferred, names are relative, two zones are two
// calls.
func TestLibDNS(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	p := &libdnsProvider{server: e.server}
	provider := dnstxt.FromLibDNS(p,
		func(name, text string, ttl time.Duration) libdns.Record {
			return libdns.TXT{Name: name, Text: text, TTL: ttl}
		},
		func(r libdns.Record) (name, text string) { return r.RR().Name, r.RR().Data },
		e.resolver().Zone)
	e.obtain(&dns01.Solver{Provider: provider, Ready: e.propagation().Wait}, "a.example", "*.a.example", "www.a.example", "b.example")
	slices.Sort(p.calls)
	if want := []string{"append 1 b.example.", "append 3 a.example.", "delete 1 b.example.", "delete 3 a.example."}; !slices.Equal(p.calls, want) {
		t.Errorf("calls %q, want %q", p.calls, want)
	}
	for _, name := range []string{"_acme-challenge.a.example", "_acme-challenge.www.a.example", "_acme-challenge.b.example"} {
		if err := e.propagation().Check(t.Context(), []dnstxt.Record{{Name: name, Value: "none"}}); err == nil || !strings.Contains(err.Error(), "has none") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BIND has the zones: it is updated with a signed DNS update, waited for, and
// asked by Pebble.
func TestRFC2136(t *testing.T) {
	t.Parallel()
	key := rfc2136.Key{Name: "acme", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	server := bind.Start(t, []bind.Key{{Name: key.Name, Algorithm: "hmac-sha256", Secret: key.Secret}},
		bind.Zone{Name: "a.example.", Policy: "update-policy { grant acme name _acme-challenge.a.example. TXT; };"},
		bind.Zone{Name: "b.example.", Records: "_acme-challenge CNAME acme", Policy: "update-policy { grant acme name acme.b.example. TXT; };"})
	e := start(t, pebble.Options{Strict: true, Resolver: server.Addr})
	resolver := &dnstxt.Resolver{Servers: []string{server.Addr}, Dial: at(server.Addr)}
	solver := &dns01.Solver{
		Provider: &rfc2136.Provider{Server: server.Addr, Key: key},
		Alias:    dnstxt.Aliases(map[string]string{"_acme-challenge.b.example": "acme.b.example"}),
		Ready:    (&dnstxt.Propagation{Resolver: resolver}).Wait,
	}
	e.obtain(solver, "a.example", "*.a.example", "b.example")
	solver.Alias = resolver.Follow
	e.obtain(solver, "*.b.example")
	for _, name := range []string{"_acme-challenge.a.example", "acme.b.example"} {
		err := (&dnstxt.Propagation{Resolver: resolver}).Check(t.Context(), []dnstxt.Record{{Name: name, Value: "none"}})
		if err == nil || !strings.Contains(err.Error(), "has none") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
