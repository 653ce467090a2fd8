package dnspersist01_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// names is a JSON array of n issuer names, with ca.example the last one.
func names(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"ca%d.example"`, i)
	}
	if n > 0 {
		list[n-1] = `"ca.example"`
	}
	return "[" + strings.Join(list, ",") + "]"
}

func TestParseChallenge(t *testing.T) {
	conformance.Claim(t, "persist-3.1-02", "persist-3.1-03", "persist01-3.1-01", "persist02-3.1-01")
	t.Parallel()
	for _, tt := range []struct {
		members string
		want    string // or what the error says, after "!"
	}{
		{`"issuer-domain-names":["authority.example","ca.example.net"]`, "{[authority.example ca.example.net]  false}"},
		{`"issuer-domain-names":["authority.example"],"accounturi":"https://ca.example/acct/123"`, "{[authority.example] https://ca.example/acct/123 false}"},
		{`"issuerDomainNames":["authority.example","ca.example.net"]`, "{[authority.example ca.example.net]  true}"},
		{`"issuerDomainNames":["authority.example"],"accounturi":"x:1"`, "{[authority.example] x:1 false}"},
		{`"issuerDomainNames":["a.example"],"issuer-domain-names":["b.example"]`, "{[a.example]  true}"},
		{`"issuerDomainNames":["a.example"],"issuer-domain-names":["b.example"],"accounturi":"x:1"`, "{[b.example] x:1 false}"},
		{`"issuerDomainNames":null,"issuer-domain-names":["b.example"]`, "{[b.example]  false}"},
		{`"issuer-domain-names":` + names(10), "{[ca0.example ca1.example ca2.example ca3.example ca4.example ca5.example ca6.example ca7.example ca8.example ca.example]  false}"},
		{`"issuer-domain-names":` + names(11), "!11 issuer names"},
		{`"issuer-domain-names":[]`, "!0 issuer names"},
		{`"issuerDomainNames":[]`, "!0 issuer names"},
		{`"issuerDomainNames":` + names(11), "!11 issuer names"},
		{``, "!0 issuer names"},
		{`"token":"abc"`, "!0 issuer names"},
		{`"issuer-domain-names":["ca.example",1]`, "!cannot be read"},
		{`"issuer-domain-names":"ca.example"`, "!cannot be read"},
		{`"issuer-domain-names":["ca.example"],"accounturi":1`, "!cannot be read"},
		{`"issuer-domain-names":["Authority.example","authority.example.","` + strings.Repeat("a.", 126) + `aa","bücher.example","a_b.example","","*.example","ca.example"]`, "{[ca.example]  false}"},
		{`"issuer-domain-names":["Authority.example"]`, "!no issuer name in lower-case"},
	} {
		c := &acme.Challenge{URL: "https://ca.example/1", Raw: json.RawMessage("{" + tt.members + "}")}
		got, err := dnspersist01.ParseChallenge(c)
		if says, bad := strings.CutPrefix(tt.want, "!"); bad {
			if !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), c.URL) {
				t.Errorf("%s: %v, %v", tt.members, got, err)
			}
		} else if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s: %v, %v", tt.members, got, err)
		}
	}
}

// meta is that of a directory.
func meta(members string, identities ...string) acme.DirectoryMeta {
	return acme.DirectoryMeta{CAAIdentities: identities, Raw: json.RawMessage("{" + members + "}")}
}

const prefix = `"accountHashPrefix":"https://ca.example/account-hash/"`

// A config is what a solver is told of the CA.
type config struct {
	issuer, uri string
	meta        acme.DirectoryMeta
}

func (c config) solver() *dnspersist01.Solver {
	return &dnspersist01.Solver{Issuer: c.issuer, AccountURI: c.uri, Meta: c.meta}
}

// The record for each draft, and what a server may not want.
func TestWantedRecord(t *testing.T) {
	conformance.Claim(t, "persist-3.1-01", "persist01-4.1-01", "persist01-3.1-02", "persist02-3.2-02", "persist02-3.2-03")
	t.Parallel()
	const draft00, draft01 = `"issuer-domain-names":["ca.example"]`, `"issuer-domain-names":["other.example","ca.example"],"accounturi":"` + accountURL + `"`
	const draft02 = `"issuerDomainNames":["ca.example","other.example"]`
	const both = `,"issuerDomainNames":["other.example","ca.example"]`
	hashed, err := dnspersist01.HashedURI("https://ca.example/account-hash/", "example.com", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", accountURL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		members string
		config  config
		want    string // the account URI, or what the error says, after "!"
	}{
		{draft00, config{issuer: "ca.example"}, accountURL},
		{draft00, config{issuer: "CA.example."}, accountURL},
		{draft01, config{issuer: "ca.example"}, accountURL},
		{draft00, config{}, `!Solver.Issuer is not set: if you trust the CA of one of these names with a record that stays, set it: ["ca.example"]`},
		{draft01, config{issuer: "third.example"}, `!"third.example", and the server offers ["other.example" "ca.example"]`},
		{`"issuer-domain-names":["ca.example"],"accounturi":"urn:account:1"`, config{issuer: "ca.example"}, `!expects a record for the account "urn:account:1", and this is "` + accountURL + `"`},
		{`"issuer-domain-names":["ca.example"],"accounturi":"urn:account:1"`, config{issuer: "ca.example", uri: "urn:account:1"}, "urn:account:1"},
		{draft01, config{issuer: "ca.example", uri: "urn:account:1"}, "!expects a record"},
		{`"issuer-domain-names":["ca.example"],"accounturi":"a;b"`, config{issuer: "ca.example", uri: "a;b"}, "!no semicolon"},
		{draft02, config{issuer: "ca.example"}, "!Solver.Meta is not set: a record of draft 02 needs the accountHashPrefix"},
		{draft02, config{issuer: "ca.example", meta: meta(prefix)}, hashed},
		{draft02, config{issuer: "ca.example", uri: "urn:account:1", meta: meta(prefix)}, hashed},
		{draft02, config{issuer: "ca.example", meta: meta(`"accountHashPrefix":"no prefix/"`)}, "!visible ASCII"},
		{draft02, config{issuer: "ca.example", meta: meta(`"accountHashPrefix":1`)}, "!no accountHashPrefix"},
		{draft02, config{issuer: "ca.example", meta: meta(prefix + `,"issuerDomainNames":["ca.example"]`)}, hashed},
		{draft02, config{issuer: "ca.example", meta: meta(prefix + both)}, hashed},
		{draft02, config{issuer: "ca.example", meta: meta(prefix + `,"issuerDomainNames":["ca.example","new.example"]`)}, `!"new.example" is in the directory, but not in the challenge`},
		{draft02, config{issuer: "ca.example", meta: meta(prefix + `,"issuerDomainNames":["New.example"]`)}, hashed}, // nonconforming
		{draft02, config{issuer: "ca.example", meta: meta(prefix + `,"issuerDomainNames":` + names(11))}, hashed},
		{draft02, config{issuer: "ca.example", meta: meta(prefix+both, "Other.example.", "ca.example")}, hashed},
		{draft02, config{issuer: "ca.example", meta: meta(prefix+both, "ca.example")}, `!"other.example" is in the challenge, but not in the directory's caaIdentities`},
		{draft02, config{issuer: "ca.example", meta: meta(prefix+both, "CA.example.")}, `!"other.example" is in the challenge, but not in the directory's caaIdentities`},
		{draft02, config{issuer: "ca.example", meta: meta(prefix+both, "ca.example", "a b")}, hashed},                        // nonconforming
		{draft01, config{issuer: "ca.example", meta: meta(`"issuerDomainNames":["new.example"]`, "ca.example")}, accountURL}, // of another draft
	} {
		r, err := tt.config.solver().Record(attempt("example.com", tt.members))
		if says, bad := strings.CutPrefix(tt.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s, %s: %+v, %v", tt.members, tt.config.meta.Raw, r, err)
			}
			var z zone
			provider := tt.config.solver()
			provider.Provider, provider.Lookup = &z, z.lookup
			if _, err := provider.Present(t.Context(), []*acme.Attempt{attempt("example.com", tt.members)}); err == nil || z.lookups+z.appends != 0 || !strings.Contains(err.Error(), "dns-persist-01 for example.com") {
				t.Errorf("%s: %v, %d lookups, %d calls", tt.members, err, z.lookups, z.appends)
			}
		} else if err != nil || r.Issuer != "ca.example" || r.AccountURI != tt.want || r.Wildcard {
			t.Errorf("%s, %s: %+v, %v", tt.members, tt.config.meta.Raw, r, err)
		}
	}
}

// The vectors of draft 02, section 10.2.
func TestHashedURI(t *testing.T) {
	conformance.Claim(t, "persist02-4.1-01", "persist02-4.1-02", "persist02-4.1-03", "persist02-4.1-04", "persist02-4.1-06")
	t.Parallel()
	for _, v := range vectors(t).HashedURIs {
		domain := v.Domain
		if domain == "*" {
			domain = dnspersist01.AnyDomain
		} else if got, err := dnspersist01.HashedURI(v.AccountHashPrefix, "EXAMPLE.com.", v.Thumbprint, v.AccountURL); err != nil || got != v.URI {
			t.Errorf("%s, %v, want %s", got, err, v.URI)
		}
		if got, err := dnspersist01.HashedURI(v.AccountHashPrefix, domain, v.Thumbprint, v.AccountURL); err != nil || got != v.URI {
			t.Errorf("%s, %v, want %s", got, err, v.URI)
		}
		for _, bad := range [][4]string{
			{"", v.Domain, v.Thumbprint, v.AccountURL}, {v.AccountHashPrefix, "a b", v.Thumbprint, v.AccountURL}, {v.AccountHashPrefix, "", v.Thumbprint, v.AccountURL},
			{v.AccountHashPrefix, v.Domain, v.Thumbprint + "=", v.AccountURL}, {v.AccountHashPrefix, v.Domain, "", v.AccountURL}, {v.AccountHashPrefix, v.Domain, v.Thumbprint, ""},
		} {
			if got, err := dnspersist01.HashedURI(bad[0], bad[1], bad[2], bad[3]); err == nil || got != "" {
				t.Errorf("%q: %s", bad, got)
			}
		}
	}
	// Only on request is the value the same for all names.
	solver := dnspersist01.Solver{Issuer: "ca.example", Meta: meta(prefix)}
	uri := func(name string) string {
		r, err := solver.Record(attempt(name, `"issuerDomainNames":["ca.example"]`))
		if err != nil {
			t.Error(err)
		}
		return r.AccountURI
	}
	// An algorithm that the draft does not name is neither used nor taken for ours.
	wanted := dnspersist01.Record{Issuer: "ca.example", AccountURI: uri("a.example")}
	value, err := wanted.Value()
	if err != nil || !strings.Contains(value, "/sha-256/") {
		t.Errorf("%s, %v", value, err)
	}
	if _, err := dnspersist01.Find([]string{value}, wanted, time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := dnspersist01.Find([]string{strings.Replace(value, "/sha-256/", "/sha-512/", 1)}, wanted, time.Now()); !errors.Is(err, acme.ErrCheckFailed) {
		t.Errorf("another algorithm: %v", err)
	}
	if uri("a.example") == uri("b.example") || uri("a.example") != uri("*.a.example") {
		t.Error("the domain does not count, or the wildcard does")
	}
	if solver.AnyDomain = true; uri("a.example") != uri("b.example") {
		t.Error("the domain counts")
	}
}
