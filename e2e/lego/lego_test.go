package lego_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	challenge3 "github.com/go-acme/lego/v3/challenge"
	rfc2136v3 "github.com/go-acme/lego/v3/providers/dns/rfc2136"
	challenge5 "github.com/go-acme/lego/v5/challenge"
	dns01v5 "github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/providers/dns/dnsupdate"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/bind"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// Any provider of lego is one of ours.
var (
	_ dns01.Lego                 = challenge5.Provider(nil)
	_ dns01.LegoV4               = challenge3.Provider(nil)
	_ challenge5.ProviderTimeout = (*dnsupdate.DNSProvider)(nil)
	_ challenge3.ProviderTimeout = (*rfc2136v3.DNSProvider)(nil)
)

const secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// providers returns real providers, of v3 and v5, for a BIND.
func providers(t *testing.T, addr string) map[string]*dns01.Solver {
	t.Helper()
	v3 := rfc2136v3.NewDefaultConfig()
	v3.Nameserver, v3.TSIGKey, v3.TSIGSecret, v3.TSIGAlgorithm = addr, "acme", secret, "hmac-sha256."
	v3.SequenceInterval = time.Millisecond
	p3, err := rfc2136v3.NewDNSProviderConfig(v3)
	if err != nil {
		t.Fatal(err)
	}
	v5 := dnsupdate.NewDefaultConfig()
	v5.Nameserver, v5.TSIGKey, v5.TSIGSecret, v5.TSIGAlgorithm = addr, "acme", secret, "hmac-sha256."
	v5.SequenceInterval = time.Millisecond
	p5, err := dnsupdate.NewDNSProviderConfig(v5)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*dns01.Solver{"v3": dns01.FromLegoV4(p3), "v5": dns01.FromLego(p5)}
}

func TestLego(t *testing.T) {
	server := bind.Start(t, []bind.Key{{Name: "acme", Algorithm: "hmac-sha256", Secret: secret}},
		bind.Zone{Name: "a.example.", Policy: "allow-update { key acme; };"},
		bind.Zone{Name: "b.example.", Policy: "allow-update { key acme; };"})
	// It looks for aliases with resolvers, which are global.
	dns01v5.SetDefaultClient(dns01v5.NewClient(&dns01v5.Options{RecursiveNameservers: []string{server.Addr}, Timeout: time.Second}))
	ca, err := pebble.Start(pebble.Options{Strict: true, Resolver: server.Addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ca.Close() })
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.Client(), UserAgent: "e2e/1"}
	account, err := client.NewAccount(t.Context(), testkit.Key(t), acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	propagation := &dnstxt.Propagation{Budget: 2 * time.Second, Resolver: &dnstxt.Resolver{
		Servers: []string{server.Addr},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Addr)
		},
	}}
	for version, solver := range providers(t, server.Addr) {
		t.Run(version, func(t *testing.T) {
			if solver.Ready == nil {
				t.Error("the provider's Timeout was not read")
			}
			solver.Ready = propagation.Wait
			obtain := func(names ...string) error {
				_, err := account.Obtain(t.Context(), acme.CertificateRequest{
					OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(names...)},
					CSR:          acme.NewCSR(testkit.Key(t)),
					Solvers:      []acme.Solver{solver},
				})
				return err
			}
			if err := obtain("a.example", "*.www.a.example", "b.example"); err != nil {
				t.Error(err)
			}
			// These two providers replace what is at a name, as their Sequential tells
			// lego: a name and its wildcard cannot be in one order. The server is not
			// asked, and the error says what is missing.
			err := obtain("a.example", "*.a.example")
			if !errors.Is(err, dnstxt.ErrNotVisible) || !strings.Contains(err.Error(), "ns1.a.example. has") {
				t.Errorf("a name and its wildcard: %v", err)
			}
			for _, name := range []string{"_acme-challenge.a.example", "_acme-challenge.www.a.example", "_acme-challenge.b.example"} {
				err := propagation.Check(t.Context(), []dnstxt.Record{{Name: name, Value: "none"}})
				if err == nil || !strings.Contains(err.Error(), "has none") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
