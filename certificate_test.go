package acme_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestRevocation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		ctx := t.Context()
		obtain := func() (*acme.Certificate, []byte) {
			cert, err := f.account.Obtain(ctx, f.request("a.example.com"))
			if err != nil {
				t.Fatal(err)
			}
			chain, err := cert.Chain()
			if err != nil {
				t.Fatal(err)
			}
			return cert, chain[0].Raw
		}
		for _, reason := range []acme.RevocationReason{0, 1, 3, 4, 5} {
			_, der := obtain()
			if err := f.account.RevokeCertificate(ctx, der, reason); err != nil {
				t.Errorf("reason %d: %v", reason, err)
			}
			if err := f.account.RevokeCertificate(ctx, der, reason); !errors.Is(err, acme.ErrAlreadyRevoked) {
				t.Errorf("again: %v", err)
			}
			_, der = obtain()
			if err := f.client.RevokeCertificate(ctx, f.certKey, der, reason); err != nil {
				t.Errorf("certificate key, reason %d: %v", reason, err)
			}
		}
		cert, der := obtain()
		for _, reason := range []acme.RevocationReason{7, 11, -1} {
			if err := f.account.RevokeCertificate(ctx, der, reason); !errors.Is(err, acme.ErrBadRevocationReason) {
				t.Errorf("reason %d: %v", reason, err)
			}
		}
		f.ca.Reset()
		if err := f.client.RevokeCertificate(ctx, newKey(t), der, 0); !errors.Is(err, acme.ErrCertificateMismatch) {
			t.Errorf("another key: %v", err)
		}
		for _, bad := range [][]byte{nil, []byte("x"), []byte("-----BEGIN X-----")} {
			if err := f.account.RevokeCertificate(ctx, bad, 0); !errors.Is(err, acme.ErrInvalidChain) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
		if err := f.account.RevokeCertificate(ctx, cert.PEM, acme.ReasonSuperseded); err != nil {
			t.Errorf("PEM: %v", err)
		}
		f.ca.Update(func(o *acmetest.Options) { o.OmitFromDirectory = []string{"revokeCert"} })
		if err := f.newClient().RevokeCertificate(ctx, f.certKey, der, 0); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("not offered: %v", err)
		}
	})
}

func TestCertificates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{AlternateChains: 2})
		cert, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
		if err != nil {
			t.Fatal(err)
		}
		if len(cert.AlternateURLs) != 2 {
			t.Fatalf("alternates %q", cert.AlternateURLs)
		}
		f.fault(acmetest.FaultSequence(acmetest.KindCertificate, acmetest.Fault{}, acmetest.Fault{Status: 403}))
		var good, bad int
		for c, err := range f.account.Certificates(t.Context(), cert.URL) {
			if err != nil {
				bad++
				continue
			}
			good++
			f.verify(c, "a.example.com")
		}
		if good != 2 || bad != 1 {
			t.Errorf("%d chains, %d errors", good, bad)
		}
		f.ca.Reset()
		for c, err := range f.account.Certificates(t.Context(), cert.URL) {
			if c == nil || err != nil {
				t.Errorf("got %v, %v", c, err)
			}
			break
		}
		if got := f.ca.Count(""); got != 1 {
			t.Errorf("%d requests for one chain", got)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindCertificate, acmetest.Fault{Status: 403}))
		for c, err := range f.account.Certificates(t.Context(), cert.URL) {
			if c != nil || problemIn(t, err).Status != 403 {
				t.Errorf("got %v, %v", c, err)
			}
		}
	})
}

func csrFor(t *testing.T, key crypto.Signer, cn string, names []string, ips ...net.IP) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}, DNSNames: names, IPAddresses: ips}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// The CSR is checked before it is sent.
func TestCSRCheck(t *testing.T) {
	conformance.Claim(t, "8555-7.4-06", "8555-11.1-02", "8555-11.1-05")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		key := f.certKey
		broken := csrFor(t, key, "", []string{"a.example"})
		broken[len(broken)-1] ^= 1
		for name, tt := range map[string]struct {
			ids  []acme.Identifier
			csr  []byte
			want error
			says string
		}{
			"exact":           {acme.DNS("a.example", "b.example"), csrFor(t, key, "", []string{"b.example", "a.example"}), nil, ""},
			"upper case":      {acme.DNS("a.example"), csrFor(t, key, "", []string{"A.Example"}), nil, ""},
			"wildcard":        {acme.DNS("*.a.example"), csrFor(t, key, "", []string{"*.a.example"}), nil, ""},
			"CN only":         {acme.DNS("a.example"), csrFor(t, key, "a.example", nil), nil, ""},
			"CN of the SANs":  {acme.DNS("a.example"), csrFor(t, key, "a.example", []string{"a.example"}), nil, ""},
			"CN is address":   {acme.IP(addr("192.0.2.1")), csrFor(t, key, "192.0.2.1", nil, net.IPv4(192, 0, 2, 1)), nil, ""},
			"CN of its own":   {acme.DNS("a.example"), csrFor(t, key, "b.example", []string{"a.example"}), acme.ErrCSRMismatch, "it has b.example, which was not ordered"},
			"CN in capitals":  {acme.DNS("a.example"), csrFor(t, key, "A.Example", []string{"a.example"}), nil, ""},
			"CN is a text":    {acme.DNS("a.example"), csrFor(t, key, "Example CDN", []string{"a.example"}), nil, ""},
			"CN, no SANs":     {acme.DNS("a.example"), csrFor(t, key, "Example CDN", nil), acme.ErrCSRMismatch, "it is without a.example"},
			"CN: one address": {acme.DNS("a.example"), csrFor(t, key, "192.0.2.1", []string{"a.example"}), acme.ErrCSRMismatch, "it has 192.0.2.1, which was not ordered"},
			"addresses":       {acme.IP(addr("192.0.2.1"), addr("2001:db8::1")), csrFor(t, key, "", nil, net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")), nil, ""},
			"missing":         {acme.DNS("a.example", "b.example"), csrFor(t, key, "", []string{"a.example"}), acme.ErrCSRMismatch, "it is without b.example"},
			"one too many":    {acme.DNS("a.example"), csrFor(t, key, "", []string{"a.example", "c.example"}), acme.ErrCSRMismatch, "it has c.example, which was not ordered"},
			"missing address": {acme.IP(addr("192.0.2.1")), csrFor(t, key, "", nil, net.IPv4(192, 0, 2, 2)), acme.ErrCSRMismatch, "192.0.2.1"},
			"other type":      {[]acme.Identifier{{Type: "permanent-identifier", Value: "7"}}, csrFor(t, key, "", nil), nil, ""},
			"signature":       {acme.DNS("a.example"), broken, acme.ErrCSRMismatch, ""},
			"account key":     {acme.DNS("a.example"), csrFor(t, f.key, "", []string{"a.example"}), acme.ErrAccountKeyInCSR, "account key"},
			"no CSR":          {acme.DNS("a.example"), nil, acme.ErrCSRMismatch, "cannot be parsed"},
		} {
			f.ca.Reset()
			_, err := f.account.FinalizeOrder(t.Context(), &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/x", Identifiers: tt.ids}, tt.csr)
			if tt.want == nil {
				if f.ca.Count(acmetest.KindFinalize)+f.ca.Count(acmetest.KindUnknown) != 1 {
					t.Errorf("%s: not sent: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
			if got := f.ca.Count(""); got != 0 {
				t.Errorf("%s: %d requests", name, got)
			}
		}
	})
}

func TestNewCSR(t *testing.T) {
	t.Parallel()
	for name, key := range accountKeys() {
		der, err := acme.NewCSR(key)(t.Context(), append(acme.DNS("Bücher.example", "*.a.example"), acme.IP(addr("::1"))...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(csr.DNSNames, []string{"xn--bcher-kva.example", "*.a.example"}) || !csr.IPAddresses[0].Equal(net.IPv6loopback) ||
			csr.Subject.CommonName != "" || len(csr.Extensions) != 1 {
			t.Errorf("%s: %v %v %v", name, csr.DNSNames, csr.IPAddresses, csr.Subject)
		}
	}
	ctx := context.Background()
	if _, err := acme.NewCSR(nil)(ctx, acme.DNS("a.example")); !errors.Is(err, acme.ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := acme.NewCSR(newKey(t))(ctx, nil); !errors.Is(err, acme.ErrNoIdentifiers) {
		t.Errorf("no identifiers: %v", err)
	}
	if _, err := acme.NewCSR(newKey(t))(ctx, []acme.Identifier{{Type: "x", Value: "y"}}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "x:y") {
		t.Errorf("unknown type: %v", err)
	}
}

// Names are brought to the form of the wire, or refused, before anything is sent.
func TestIdentifiers(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-05", "8555-7.1.4-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for in, want := range map[string]string{
			"example.com":           "example.com",
			"EXAMPLE.Com":           "example.com",
			"example.com.":          "example.com",
			"Bücher.example":        "xn--bcher-kva.example",
			"bücher.example":        "xn--bcher-kva.example",
			"xn--bcher-kva.example": "xn--bcher-kva.example",
			"straße.example":        "xn--strae-oqa.example",
			"例え。テスト":                "xn--r8jz45g.xn--zckzah",
			"*.bücher.example":      "*.xn--bcher-kva.example",
			"localhost":             "localhost",
			"1.2.3.example":         "1.2.3.example",
		} {
			f.ca.Reset()
			_, _ = f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS(in)}) // the CA may mind
			last := f.ca.Requests()[len(f.ca.Requests())-1]
			if got := string(last.Payload); got != `{"identifiers":[{"type":"dns","value":"`+want+`"}]}` {
				t.Errorf("%s: sent %s", in, got)
			}
		}
		f.ca.Reset()
		for _, in := range []string{
			"", ".", "*", "*.", "a..example", "a.example..", ".example", "a.*.example", "*.*.example", "a*.example", "*example.org", "a b.example", "under_score.example",
			"-a.example", "a-.example", "https://a.example", "a.example/x", "a.example:443", "admin@a.example", "192.0.2.1", "2001:db8::1", "[::1]",
			strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example", "xn--a.example", "xn--\x80.example", "0\xbc0.example", "a\x00.example", "*.192.0.2.1",
		} {
			_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS("ok.example", in)})
			if !errors.Is(err, acme.ErrInvalidIdentifier) || len(err.Error()) > 1000 {
				t.Errorf("%q: got %v, want ErrInvalidIdentifier", in, err)
			}
		}
		for _, id := range []acme.Identifier{{Type: "ip", Value: "a.example"}, {Type: "ip", Value: "fe80::1%eth0"}, {Type: "ip", Value: ""}, {Value: "a.example"}, {}} {
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{id}}); !errors.Is(err, acme.ErrInvalidIdentifier) {
				t.Errorf("%v: got %v", id, err)
			}
		}
		if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{}); !errors.Is(err, acme.ErrNoIdentifiers) {
			t.Errorf("none: %v", err)
		}
		dup := [][]acme.Identifier{acme.DNS("a.example", "b.example", "A.example."), acme.DNS("bücher.example", "xn--bcher-kva.example"), acme.IP(addr("::ffff:192.0.2.1"), addr("192.0.2.1"))}
		for _, ids := range dup {
			if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: ids}); !errors.Is(err, acme.ErrDuplicateIdentifier) {
				t.Errorf("%v: got %v", ids, err)
			}
		}
		now := time.Now()
		for _, req := range []acme.OrderRequest{{NotBefore: now, NotAfter: now}, {Extra: map[string]any{"identifiers": 1}}, {Profile: "p", Extra: map[string]any{"profile": "q"}}} {
			req.Identifiers = acme.DNS("a.example")
			if _, err := f.account.NewOrder(t.Context(), req); !errors.Is(err, acme.ErrInvalidOrderRequest) {
				t.Errorf("%+v: got %v", req, err)
			}
		}
		if got := f.ca.Count(""); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

func FuzzIdentifier(f *testing.F) {
	for _, s := range []string{"example.com", "Bücher.example", "*.a.example.", "xn--bcher-kva.example", "a..b", "1.2.3.4", "1.2.3.4."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key := rsaKey()
		der, err := acme.NewCSR(key)(t.Context(), acme.DNS(name))
		if err != nil {
			return
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || len(csr.DNSNames) != 1 {
			t.Fatalf("%q: %v", name, err)
		}
		again, err := acme.NewCSR(key)(t.Context(), acme.DNS(csr.DNSNames[0]))
		if err != nil {
			t.Fatalf("%q became %q, which is refused: %v", name, csr.DNSNames[0], err)
		}
		if second, _ := x509.ParseCertificateRequest(again); second.DNSNames[0] != csr.DNSNames[0] {
			t.Errorf("%q became %q, then %q", name, csr.DNSNames[0], second.DNSNames[0])
		}
	})
}

func FuzzChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMHc=\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, pem []byte) {
		c := &acme.Certificate{PEM: pem}
		chain, err := c.Chain()
		if (err == nil) == (len(chain) == 0) {
			t.Errorf("%d certificates and %v", len(chain), err)
		}
		if err := c.Match(acme.DNS("a.example"), rsaKey().Public()); err == nil {
			t.Error("a certificate for our key was made up")
		}
	})
}

func TestIdentifierString(t *testing.T) {
	t.Parallel()
	for want, id := range map[string]acme.Identifier{
		"a.example":   acme.DNS("a.example")[0],
		"2001:db8::1": acme.IP(netip.MustParseAddr("2001:db8::1"))[0],
		"email:a@b.c": {Type: "email", Value: "a@b.c"},
		`"a\nb"`:      acme.DNS("a\nb")[0],
	} {
		if got := id.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
