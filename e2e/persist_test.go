package e2e_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
	"github.com/seed-aa0b9f56/acme/internal/bind"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

const pebbleIssuer = "pebble.letsencrypt.org"

// persistent makes a solver that looks records up in the DNS of the Pebble.
func (e *environment) persistent(provider dnstxt.Provider) *dnspersist01.Solver {
	return &dnspersist01.Solver{Issuer: pebbleIssuer, Provider: provider, Ready: e.propagation().Wait, Lookup: e.resolver().TXT}
}

// Draft 01, as Pebble has it: the records are made once, beside those of others,
// and later orders, of programs that cannot write to the zone, live on them.
func TestDNSPersist01(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	e.server.AddTXT("_validation-persist.a.example", "other.example; accounturi=https://other.example/acct/1")
	provider := newNameServer(e)
	solver := e.persistent(provider)
	solver.Lifetime = 24 * time.Hour
	for range 2 {
		e.obtain(solver, "a.example", "*.a.example", "b.a.example", "xn--bcher-kva.example")
	}
	if want := []string{"append 3"}; !slices.Equal(provider.calls, want) {
		t.Errorf("calls %q", provider.calls)
	}
	e.obtain(e.persistent(nil), "*.a.example", "b.a.example")
	ids := acme.DNS("*.a.example", "bücher.example")
	if err := solver.CheckOrder(t.Context(), e.account, ids...); err != nil {
		t.Error(err)
	}

	// Another account does not live on them.
	e.key = testkit.Key(t)
	e.account = e.register(acme.AccountRequest{TermsOfServiceAgreed: true})
	if err := solver.CheckOrder(t.Context(), e.account, ids...); !errors.Is(err, acme.ErrCheckFailed) || strings.Count(err.Error(), "is for another account") != 2 {
		t.Error(err)
	}
	req := e.request(acme.DNS("a.example")...)
	req.Solvers = []acme.Solver{e.persistent(nil)}
	if _, err := e.account.Obtain(e.context(), req); !errors.Is(err, acme.ErrCheckFailed) || !strings.Contains(err.Error(), "it should be: _validation-persist.a.example. IN TXT") {
		t.Error(err)
	}
	e.obtain(solver, "a.example")
	values, err := e.resolver().TXT(t.Context(), "_validation-persist.a.example")
	if err != nil || len(values) != 3 {
		t.Errorf("%q, %v", values, err)
	}
}

// The server refuses what the solver would have refused to go on with.
func TestDNSPersist01Refused(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	for name, value := range map[string]string{
		"a.example":   "pebble.letsencrypt.org; accounturi=" + e.account.URL() + "0",
		"b.example":   "pebble.letsencrypt.org; accounturi=" + e.account.URL() + "; persistUntil=1",
		"c.example":   "pebble.letsencrypt.org; accounturi=" + e.account.URL() + ";",
		"*.d.example": "pebble.letsencrypt.org; accounturi=" + e.account.URL(),
	} {
		e.server.AddTXT("_validation-persist."+strings.TrimPrefix(name, "*."), value)
		req := e.request(acme.DNS(name)...)
		req.Solvers = []acme.Solver{e.persistent(nil)}
		if _, err := e.account.Obtain(e.context(), req); !errors.Is(err, acme.ErrCheckFailed) {
			t.Errorf("%s: %v", value, err)
		}
		blind := e.persistent(nil) // believes that all is well
		accept := acme.Each(blind.Supports, func(_ context.Context, _ *acme.Attempt) (acme.Cleanup, error) { return nil, nil })
		req.Solvers = []acme.Solver{accept}
		if _, err := e.account.Obtain(e.context(), req); !errors.Is(err, acme.ErrUnauthorized) && !errors.Is(err, acme.ErrMalformed) {
			t.Errorf("%s: the server says %v", value, err)
		}
	}
}

// BIND has the zone: the record is made by a DNS update, found where it is, and
// removed by a process that did not make it.
func TestDNSPersist01RFC2136(t *testing.T) {
	t.Parallel()
	key := rfc2136.Key{Name: "acme", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
	server := bind.Start(t, []bind.Key{{Name: key.Name, Algorithm: "hmac-sha256", Secret: key.Secret}},
		bind.Zone{Name: "a.example.", Records: `_validation-persist TXT "other.example; accounturi=x:1"`, Policy: "update-policy { grant acme name _validation-persist.a.example. TXT; };"})
	e := start(t, pebble.Options{Strict: true, Resolver: server.Addr})
	resolver := &dnstxt.Resolver{Servers: []string{server.Addr}, Dial: at(server.Addr)}
	solver := func() *dnspersist01.Solver {
		return &dnspersist01.Solver{
			Issuer: pebbleIssuer, Provider: &rfc2136.Provider{Server: server.Addr, Key: key},
			Ready: (&dnstxt.Propagation{Resolver: resolver}).Wait, Lookup: resolver.TXT,
		}
	}
	e.obtain(solver(), "a.example", "*.a.example")
	e.obtain(solver(), "*.a.example")
	if removed, err := solver().Remove(t.Context(), e.account, "a.example"); err != nil || len(removed) != 1 {
		t.Errorf("%q, %v", removed, err)
	}
	if values, err := resolver.TXT(t.Context(), "_validation-persist.a.example"); err != nil || !slices.Equal(values, []string{"other.example; accounturi=x:1"}) {
		t.Errorf("%q, %v", values, err)
	}
}
