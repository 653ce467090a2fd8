package acme_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// What RFC 8738 asks for IP addresses, as a server sees it.

// Addresses have the type ip and their canonical text in the order, whatever form
// they are given in, and are iPAddress names, and no others, in the CSR.
func TestAddressesOnTheWire(t *testing.T) {
	conformance.Claim(t, "8738-3-01", "8738-3-02", "8738-3-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		req := f.request()
		for _, text := range []string{
			"192.0.2.1", "::ffff:192.0.2.2", "::ffff:c000:0203", "2001:DB8:0:0:0:0:0:1", "2001:db8:0:0:1:0:0:1", "2001:0db8::0002", "::1",
		} {
			req.OrderRequest.Identifiers = append(req.OrderRequest.Identifiers, acme.Identifier{Type: acme.TypeIP, Value: text})
		}
		req.OrderRequest.Identifiers = append(req.OrderRequest.Identifiers, acme.IP(netip.MustParseAddr("::ffff:192.0.2.4"))...)
		want := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::1:0:0:1", "2001:db8::2", "::1", "192.0.2.4"}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		var order struct{ Identifiers []acme.Identifier }
		if err := json.Unmarshal([]byte(f.last(acmetest.KindNewOrder)), &order); err != nil {
			t.Fatal(err)
		}
		var sent []string
		for _, id := range order.Identifiers {
			if sent = append(sent, id.Value); id.Type != "ip" {
				t.Errorf("%q has the type %q", id.Value, id.Type)
			}
		}
		if !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
		finalize := f.signedRequests(acmetest.KindFinalize)
		csr, err := x509.ParseCertificateRequest(binaryMember(t, finalize[len(finalize)-1], "csr"))
		if err != nil {
			t.Fatal(err)
		}
		var requested []string
		for _, ip := range csr.IPAddresses {
			requested = append(requested, ip.String())
		}
		slices.Sort(requested)
		slices.Sort(want)
		if !slices.Equal(requested, want) || len(csr.DNSNames) > 0 || csr.Subject.CommonName != "" {
			t.Errorf("the CSR has %q, %q and the name %q", requested, csr.DNSNames, csr.Subject)
		}
		for _, bad := range []string{"[2001:db8::1]", "fe80::1%eth0", "192.0.2.0/24", "192.0.2.1:80", "192.0.2.01", "a.example.com"} {
			_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{{Type: acme.TypeIP, Value: bad}}})
			if !errors.Is(err, acme.ErrInvalidIdentifier) {
				t.Errorf("%s: %v", bad, err)
			}
		}
	})
}

// dns-01 is not for addresses, whoever offers it.
func TestNoDNS01ForAddresses(t *testing.T) {
	conformance.Claim(t, "8738-7-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Validate: failing()})
		offer := func(_ int, _ http.Header, body []byte) (int, []byte) {
			return http.StatusOK, []byte(strings.ReplaceAll(string(body), `"tls-alpn-01"`, `"dns-01"`))
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.Fault{Edit: offer}))
		dns01 := &recorder{Solver: always(acme.DNS01)}
		req := f.request()
		req.OrderRequest.Identifiers = acme.IP(netip.MustParseAddr("192.0.2.1"))
		req.Solvers = []acme.Solver{dns01, always(acme.HTTP01)}
		if _, err := f.account.Obtain(t.Context(), req); err != nil || dns01.batches != nil {
			t.Errorf("dns-01 was given %v: %v", dns01.batches, err)
		}
		req.Solvers = []acme.Solver{dns01}
		_, err := f.account.Obtain(t.Context(), req)
		if none, ok := errors.AsType[*acme.NoSolverError](err); !ok || dns01.batches != nil || !strings.Contains(fmt.Sprint(err), "dns-01") {
			t.Errorf("dns-01 was given %v: %v, %v", dns01.batches, none, err)
		}
		// The test would notice: a name is another matter.
		req.OrderRequest.Identifiers = acme.DNS("a.example.com")
		if _, err := f.account.Obtain(t.Context(), req); err != nil || len(dns01.batches) != 1 {
			t.Errorf("for a name, dns-01 was given %v: %v", dns01.batches, err)
		}
	})
}
