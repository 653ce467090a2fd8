package rfc2136_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
	"github.com/seed-aa0b9f56/acme/internal/bind"
)

func secret(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// keys are those that BIND knows.
func keys() []rfc2136.Key {
	return []rfc2136.Key{
		{Name: "sha256", Secret: secret("0123456789abcdef0123456789abcdef")},
		{Name: "SHA384.example", Algorithm: "hmac-sha384", Secret: secret("another secret")},
		{Name: "sha512.", Algorithm: "HMAC-SHA512.", Secret: secret("a third secret")},
	}
}

// startBIND starts a server whose zones take TXT records from all keys; of
// example.net. from anybody, and of closed.example. from nobody.
func startBIND(t *testing.T) *bind.Server {
	t.Helper()
	var known []bind.Key
	var grants strings.Builder
	for _, k := range keys() {
		algorithm := strings.ToLower(strings.TrimSuffix(k.Algorithm, "."))
		if algorithm == "" {
			algorithm = "hmac-sha256"
		}
		known = append(known, bind.Key{Name: k.Name, Algorithm: algorithm, Secret: k.Secret})
		fmt.Fprintf(&grants, " grant %s zonesub TXT;", k.Name)
	}
	policy := "update-policy {" + grants.String() + " };"
	return bind.Start(t, known,
		bind.Zone{Name: "example.com.", Policy: policy, Records: "_acme-challenge TXT foreign\nsub NS ns1.sub\nns1.sub A 127.0.0.1\nelsewhere NS ns.elsewhere\nns.elsewhere A 192.0.2.1"},
		bind.Zone{Name: "sub.example.com.", Policy: policy},
		bind.Zone{Name: "example.net.", Policy: "allow-update { any; };"},
		bind.Zone{Name: "narrow.example.", Policy: "update-policy { grant sha256 name _acme-challenge.narrow.example. TXT; };"},
		bind.Zone{Name: "closed.example."}, bind.Zone{Name: "also.closed.example."})
}

// texts asks for the values at a name.
func texts(t *testing.T, addr, name string) []string {
	t.Helper()
	client := dns.Client{Net: "tcp"}
	answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), addr)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, rr := range answer.Answer {
		values = append(values, strings.Join(rr.(*dns.TXT).Txt, "")) // as in a zone file
	}
	slices.Sort(values)
	return values
}

// With each key, by UDP and TCP: two values at a name and one in another zone are
// added beside what is there, and removed one by one, by value.
func TestUpdates(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	for _, key := range keys() {
		for _, network := range []string{"", "tcp", "udp"} {
			p := &rfc2136.Provider{Server: server.Addr, Key: key, Network: network}
			check := func(want ...string) {
				t.Helper()
				if got := texts(t, server.Addr, "_acme-challenge.example.com."); !slices.Equal(got, want) {
					t.Errorf("%s by %q: there is %q, want %q", key, network, got, want)
				}
			}
			recs := []dnstxt.Record{
				{Name: "_acme-challenge.example.com.", Value: "a"},
				{Name: "_acme-challenge.example.com.", Value: "b", TTL: 5 * time.Minute},
				{Name: "_acme-challenge.www.Sub.example.com.", Value: "c"},
			}
			remove, err := p.Append(t.Context(), recs)
			if err != nil {
				t.Fatal(err)
			}
			check("a", "b", "foreign")
			if got := texts(t, server.Addr, "_acme-challenge.www.sub.example.com."); !slices.Equal(got, []string{"c"}) {
				t.Errorf("in the zone below: %q", got)
			}
			if err := remove(t.Context(), recs[:1]); err != nil {
				t.Error(err)
			}
			check("b", "foreign")
			for range 2 { // what is gone is no error
				if err := remove(t.Context(), recs); err != nil {
					t.Error(err)
				}
			}
			check("foreign")
			if got := texts(t, server.Addr, "_acme-challenge.www.sub.example.com."); len(got) != 0 {
				t.Errorf("left in the zone below: %q", got)
			}
		}
	}
}

// The policy that the package comment recommends lets a key do what it must.
func TestNarrowPolicy(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	p := &rfc2136.Provider{Server: server.Addr, Key: keys()[0]}
	recs := []dnstxt.Record{{Name: "_acme-challenge.narrow.example.", Value: "a"}}
	remove, err := p.Append(t.Context(), recs)
	if err == nil {
		err = remove(t.Context(), recs)
	}
	if err != nil {
		t.Error(err)
	}
	if _, err := p.Append(t.Context(), []dnstxt.Record{{Name: "www.narrow.example.", Value: "a"}}); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Error(err)
	}
}

// Text that zone files give a meaning to, and more than 255 octets of it; unsigned.
func TestText(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	p := &rfc2136.Provider{Server: server.Addr}
	resolver := dnstxt.Propagation{Resolver: &dnstxt.Resolver{Servers: []string{server.Addr}}, RecursiveOnly: true}
	for i, value := range []string{
		"", `back\slash`, `\\`, `\065`, `"quoted"`, "semi;colon", "$INCLUDE", "tab\tline\n", "ü", "\x00\xff",
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat(`\`, 300), strings.Repeat(`a"\`, 1000),
	} {
		rec := []dnstxt.Record{{Name: fmt.Sprintf("_validation-persist.n%d.example.net.", i), Value: value}}
		remove, err := p.Append(t.Context(), rec)
		if err != nil {
			t.Errorf("%.20q: %v", value, err)
			continue
		}
		if err := resolver.Check(t.Context(), rec); err != nil {
			t.Errorf("%.20q: %v", value, err)
		}
		if err := remove(t.Context(), rec); err != nil {
			t.Errorf("%.20q: %v", value, err)
		}
		if got := texts(t, server.Addr, rec[0].Name); len(got) > 0 {
			t.Errorf("%.20q is left: %q", value, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	good := keys()[0]
	wrong, unknown := good, good
	wrong.Secret, unknown.Name = secret("not the secret"), "unknown"
	other := good
	other.Algorithm = "hmac-sha512"
	for _, tt := range []struct {
		name string
		key  rfc2136.Key
		zone func(context.Context, string) (string, error)
		says string
	}{
		{"_acme-challenge.example.com.", wrong, nil, "does not accept key sha256 (hmac-sha256): BADSIG (its secret is another one)"},
		{"_acme-challenge.example.com.", unknown, nil, "does not accept key unknown (hmac-sha256): BADKEY"},
		{"_acme-challenge.example.com.", other, nil, "does not accept key sha256 (hmac-sha512): BADKEY"},
		{"_acme-challenge.example.com.", rfc2136.Key{}, nil, "the server answers REFUSED"},
		{"_acme-challenge.closed.example.", good, nil, "adding 1 TXT records to zone closed.example.: " + server.Addr + ": the server answers REFUSED"},
		{"_acme-challenge.example.org.", good, nil, "no answer from any DNS server to SOA of _acme-challenge.example.org.: " + server.Addr + ": it answers REFUSED"},
		{"_acme-challenge.elsewhere.example.com.", good, nil, "elsewhere.example.com. is delegated to other servers"},
		{"_acme-challenge.example.org.", good, fixed("example.org."), "the server answers NOTAUTH (it does not have the zone"},
		{"_acme-challenge.sub.example.com.", good, fixed("example.net."), "_acme-challenge.sub.example.com. is not in"},
		{"a b.example.com.", good, nil, "invalid name"},
	} {
		p := &rfc2136.Provider{Server: server.Addr, Key: tt.key, Zone: tt.zone}
		recs := []dnstxt.Record{{Name: tt.name, Value: "a"}}
		remove, err := p.Append(t.Context(), recs)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "rfc2136: ") {
			t.Errorf("%s with %s: %v", tt.name, tt.key, err)
		}
		if err != nil && strings.Contains(err.Error(), tt.key.Secret) && tt.key.Secret != "" {
			t.Errorf("the secret is in %v", err)
		}
		if remove != nil {
			if err := remove(t.Context(), recs); err == nil {
				t.Errorf("%s with %s: removed", tt.name, tt.key)
			}
		}
	}
}

func fixed(zone string) func(context.Context, string) (string, error) {
	return func(context.Context, string) (string, error) { return zone, nil }
}

// One zone is changed, the other refuses; the cleanup undoes the first.
func TestHalfWay(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	p := &rfc2136.Provider{Server: server.Addr, Key: keys()[0]}
	recs := []dnstxt.Record{{Name: "a.example.com.", Value: "a"}, {Name: "a.closed.example.", Value: "a"}, {Name: "a.also.closed.example.", Value: "a"}}
	remove, err := p.Append(t.Context(), recs)
	if err == nil || remove == nil || len(texts(t, server.Addr, "a.example.com.")) != 1 {
		t.Fatalf("remove %t, error %v", remove != nil, err)
	}
	err = remove(t.Context(), recs)
	if err == nil || !strings.Contains(err.Error(), "removing 1 TXT records from zone closed.example.") || strings.Contains(err.Error(), "also.closed") {
		t.Errorf("what was not begun needs no cleanup: %v", err)
	}
	if got := texts(t, server.Addr, "a.example.com."); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// More records than one message has room for, and orders side by side.
func TestManyRecords(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	p := &rfc2136.Provider{Server: server.Addr, Key: keys()[0], Network: "udp"}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var recs []dnstxt.Record
			for j := range 400 {
				recs = append(recs, dnstxt.Record{Name: fmt.Sprintf("_acme-challenge.n%d.example.com.", j), Value: strings.Repeat(fmt.Sprint(i), 200)})
			}
			remove, err := p.Append(t.Context(), recs)
			if err != nil {
				t.Error(err)
				return
			}
			if got := texts(t, server.Addr, recs[399].Name); !slices.Contains(got, recs[399].Value) {
				t.Errorf("there is %q", got)
			}
			if err := remove(t.Context(), recs); err != nil {
				t.Error(err)
			}
			if got := texts(t, server.Addr, recs[0].Name); slices.Contains(got, recs[0].Value) {
				t.Errorf("left: %q", got)
			}
		})
	}
	wg.Wait()
}

// The solver's contract, with a real server.
func TestSolver(t *testing.T) {
	server := startBIND(t)
	check := dnstxt.Propagation{Resolver: &dnstxt.Resolver{Servers: []string{server.Addr}}, RecursiveOnly: true}
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			return &dns01.Solver{
				Provider: &rfc2136.Provider{Server: server.Addr, Key: keys()[0], Zone: fixed("example.com.")},
				Ready:    dnstxt.NoWait,
			}
		},
		func(ctx context.Context, a *acme.Attempt) error {
			record, err := dns01.Record(a)
			if err != nil {
				return err
			}
			return check.Check(context.WithoutCancel(ctx), []dnstxt.Record{record})
		})
}

// A server that reads and never answers, and none at all.
func TestNoServer(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		addr := deaf(t, network)
		p := &rfc2136.Provider{Server: addr, Network: network, Zone: fixed("example.com."), Timeout: 20 * time.Millisecond}
		recs := []dnstxt.Record{{Name: "a.example.com."}}
		if _, err := p.Append(t.Context(), recs); err == nil || !strings.Contains(err.Error(), addr+": no answer within 20ms over "+network) {
			t.Errorf("%s: %v", network, err)
		}
		p.Timeout = 0
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, reason)
		defer cancel()
		if _, err := p.Append(ctx, recs); !errors.Is(err, reason) {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// What somebody else has written is removed in whatever strings it is, and nothing else,
// by TCP and by UDP, where the answer is too large for a datagram.
func TestRemoveOtherStrings(t *testing.T) {
	t.Parallel()
	const name = "_validation-persist.example.org."
	records := []string{`"authority.example;" " accounturi=https://ca.example/acct/123"`, `"a" "uthority.example; accounturi=https://ca.example/acct/123"`,
		`"authority.example;" "accounturi=https://ca.example/acct/123"`, `"q\"\\" "\200;"`}
	for i := range 20 {
		records = append(records, fmt.Sprintf(`"%d %s"`, i, strings.Repeat("x", 100)))
	}
	for _, network := range []string{"tcp", "udp"} {
		server := bind.Start(t, nil, bind.Zone{Name: "example.org.", Policy: "allow-update { any; };", Records: "_validation-persist TXT " + strings.Join(records, "\n_validation-persist TXT ")})
		before := texts(t, server.Addr, name)
		p := &rfc2136.Provider{Server: server.Addr, Network: network}
		err := p.Remove(t.Context(), []dnstxt.Record{{Name: name, Value: "authority.example; accounturi=https://ca.example/acct/123"}, {Name: name, Value: "q\"\\\xc8;"}})
		if err != nil {
			t.Error(err)
		}
		after := texts(t, server.Addr, name)
		if len(before) != len(records) || len(after) != len(records)-3 || !slices.Contains(after, "authority.example;accounturi=https://ca.example/acct/123") {
			t.Errorf("%s: of %d there are left %.300q", network, len(before), after)
		}
	}
}

// What another process has added is removed by value, whatever its TTL.
func TestRemove(t *testing.T) {
	t.Parallel()
	server := startBIND(t)
	var remover dnstxt.Remover = &rfc2136.Provider{Server: server.Addr, Key: keys()[0]}
	recs := []dnstxt.Record{
		{Name: "_acme-challenge.example.com.", Value: "ca.example; accounturi=https://ca.example/acct/1", TTL: time.Hour},
		{Name: "_acme-challenge.sub.example.com.", Value: "b"},
	}
	if _, err := remover.Append(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
	recs[0].TTL = 0
	for range 2 { // what is gone is no error
		if err := remover.Remove(t.Context(), recs); err != nil {
			t.Error(err)
		}
	}
	if got := texts(t, server.Addr, "_acme-challenge.example.com."); !slices.Equal(got, []string{"foreign"}) {
		t.Errorf("there is %q", got)
	}
	if got := texts(t, server.Addr, "_acme-challenge.sub.example.com."); len(got) != 0 {
		t.Errorf("in the zone below: %q", got)
	}
	if err := remover.Remove(t.Context(), []dnstxt.Record{{Name: "_acme-challenge.closed.example.", Value: "a"}}); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Error(err)
	}
	if err := new(rfc2136.Provider).Remove(t.Context(), recs); err == nil || !strings.Contains(err.Error(), "no Server") {
		t.Error(err)
	}
}
