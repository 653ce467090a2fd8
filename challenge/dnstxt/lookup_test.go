package dnstxt_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

func TestLookup(t *testing.T) {
	t.Parallel()
	w := newWorld()
	z := w.add("example.com.", "192.0.2.1")
	long := strings.Repeat("0123456789", 60)
	w.set(z, "_validation-persist.example.com.", "a", long)
	w.set(z, "many.example.com.", strings.Split("a b c d e f g h i j k l", " ")...) // truncated over UDP
	z.aliases["alias.example.com."] = "_validation-persist.example.com."
	z.aliases["loop.example.com."] = "loop.example.com."
	z.caa = map[string][]string{"example.com.": {"\x00\x05issueca.example", "\x80\x05iodefmailto:a@example.com"}}
	resolver := w.resolver()
	for name, want := range map[string][]string{
		"_validation-persist.Example.com": {"a", long},
		"alias.example.com.":              {"a", long},
		"many.example.com":                strings.Split("a b c d e f g h i j k l", " "),
		"example.com":                     nil,
		"nothing.example.com":             nil,
	} {
		if got, err := resolver.TXT(t.Context(), name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %.300q, %v", name, got, err)
		}
	}
	if _, err := resolver.TXT(t.Context(), "loop.example.com"); !errors.Is(err, dnstxt.ErrAlias) {
		t.Error(err)
	}
	if _, err := resolver.TXT(t.Context(), "a b"); !errors.Is(err, dnstxt.ErrInvalidName) {
		t.Error(err)
	}
	w.servers[resolverAddress] = refusing(dnsmessage.RCodeServerFailure)
	_, err := resolver.CAA(t.Context(), "example.com")
	if contains(t, err, "CAA of example.com.", "SERVFAIL"); !errors.Is(err, dnstxt.ErrNoAnswer) {
		t.Error(err)
	}
	w.servers[resolverAddress] = w.resolve

	lookup := func(ctx context.Context, name string) ([]caa.Record, error) {
		return caa.FromRDATA(resolver.CAA(ctx, name))
	}
	set, at, err := caa.Relevant(t.Context(), "*.www.example.com", lookup)
	if err != nil || at != "example.com" || len(set) != 2 || set[0] != (caa.Record{Tag: caa.TagIssue, Value: "ca.example"}) || !set[1].IsCritical() {
		t.Errorf("%v at %s, %v", set, at, err)
	}
	request := caa.Request{Identities: []string{"other.example"}, Methods: []acme.ChallengeType{acme.DNS01}}
	contains(t, request.CheckOrder(t.Context(), lookup, acme.DNS("www.example.com")...), "records of example.com forbid", "ca.example")
}

// TXT believes the zone's servers, wherever aliases lead, and a resolver where
// those cannot be asked.
func TestTXTFromTheZone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	z := w.add("example.com.", "192.0.2.1", "192.0.2.2")
	other := w.add("example.net.", "192.0.2.3")
	w.set(z, "a.example.com.", "new")
	w.set(other, "target.example.net.", "there")
	z.aliases["alias.example.com."] = "target.example.net."
	stale := newWorld() // what the resolver remembers
	old := stale.add("example.com.", "192.0.2.1", "192.0.2.2")
	stale.add("example.net.", "192.0.2.3")
	stale.set(old, "a.example.com.", "old")
	w.servers[resolverAddress] = stale.resolve

	want := func(name string, values ...string) {
		t.Helper()
		if got, err := w.resolver().TXT(t.Context(), name); err != nil || !slices.Equal(got, values) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, values)
		}
	}
	want("a.example.com", "new")
	want("alias.example.com", "there")
	w.servers["192.0.2.1:53"] = refusing(dnsmessage.RCodeServerFailure)
	want("a.example.com", "new")
	delete(w.servers, "192.0.2.2:53")
	want("a.example.com", "old")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.resolver().TXT(cancelled, "a.example.com"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
