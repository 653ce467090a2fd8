package acmetest_test

import (
	"crypto/fips140"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestFinalize(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	location, order := c.ready(t, "dns-01", "example.com", "*.example.com")
	finalize := order.str("finalize")
	names := []string{"example.com", "*.example.com"}
	key := newKey(t)
	flipped := csrOf(t, key, names...)
	flipped["csr"] = flipped["csr"].(string)[:len(flipped["csr"].(string))-8] + "AAAAAAAA"
	var weak m
	fips140.WithoutEnforcement(func() { weak = csrOf(t, rsaKey(t, 1024), names...) })
	for name, tt := range map[string]struct {
		payload any
		problem string
	}{
		"other name":     {csrOf(t, key, "example.com", "example.org"), "badCSR"},
		"name missing":   {csrOf(t, key, "example.com"), "badCSR"},
		"name too many":  {csrOf(t, key, "example.com", "*.example.com", "www.example.com"), "badCSR"},
		"address":        {csrOf(t, key, "example.com", "*.example.com", "192.0.2.1"), "badCSR"},
		"no names":       {csrOf(t, key), "badCSR"},
		"address as CN":  {csrFrom(t, key, &x509.CertificateRequest{Subject: subject("192.0.2.1"), DNSNames: names}), "badCSR"},
		"other CN":       {csrFrom(t, key, &x509.CertificateRequest{Subject: subject("example.org"), DNSNames: names}), "badCSR"},
		"mail address":   {csrFrom(t, key, &x509.CertificateRequest{EmailAddresses: []string{"a@example.com"}, DNSNames: names}), "badCSR"},
		"URI":            {csrFrom(t, key, &x509.CertificateRequest{URIs: []*url.URL{{Scheme: "x", Opaque: "y"}}, DNSNames: names}), "badCSR"},
		"account key":    {csrOf(t, c.key, names...), "badCSR"},
		"weak key":       {weak, "badCSR"},
		"bad signature":  {flipped, "badCSR"},
		"garbage":        {m{"csr": b64([]byte("garbage"))}, "badCSR"},
		"padding":        {m{"csr": "MIIB=="}, "malformed"},
		"PEM":            {m{"csr": "-----BEGIN CERTIFICATE REQUEST-----"}, "malformed"},
		"no csr":         {m{}, "malformed"},
		"case":           {[]byte(`{"CSR":"x"}`), "malformed"},
		"unknown member": {[]byte(`{"csr":"x","identifiers":[]}`), "malformed"},
		"POST-as-GET":    {nil, "malformed"},
	} {
		res := c.post(t, finalize, tt.payload)
		if res.problem() != tt.problem {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
	res := c.must(t, 200, finalize, csrFrom(t, key, &x509.CertificateRequest{Subject: subject("example.com"), DNSNames: names[1:]}))
	if res.str("status") != "valid" || res.header.Get("Location") != location {
		t.Errorf("%s %v", res.body, res.header)
	}
	c.refused(t, 403, "orderNotReady", finalize, csrOf(t, key, names...))
	leaf := c.chain(t, res.str("certificate"))[0]
	if leaf.Subject.CommonName != "example.com" || !slices.Equal(leaf.DNSNames, names) || !key.PublicKey.Equal(leaf.PublicKey) {
		t.Errorf("leaf %+v", leaf)
	}
	pending := c.order(t, "example.net")
	c.refused(t, 403, "orderNotReady", pending.str("finalize"), csrOf(t, key, "example.net"))
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{AlternateChains: 2, CertificateLifetime: time.Hour})
	key := rsaKey(t, 2048)
	url, chain := c.issueFor(t, key, "example.com", "192.0.2.1", "2001:db8::1")
	leaf := chain[0]
	if d := leaf.NotAfter.Sub(leaf.NotBefore); d != time.Hour || leaf.IsCA || len(leaf.AuthorityKeyId) == 0 || len(leaf.SubjectKeyId) == 0 ||
		!slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || leaf.SignatureAlgorithm != x509.ECDSAWithSHA256 ||
		!slices.ContainsFunc(leaf.IPAddresses, net.ParseIP("2001:db8::1").Equal) {
		t.Errorf("leaf %+v", leaf)
	}
	res := c.must(t, 200, url, nil)
	if res.header.Get("Content-Type") != "application/pem-certificate-chain" || len(res.header.Values("Content-Type")) != 1 {
		t.Errorf("%v", res.header)
	}
	alternates := res.links("alternate")
	if len(alternates) != 2 {
		t.Fatalf("alternates %v", alternates)
	}
	for i, u := range append([]string{url}, alternates...) {
		chain := c.chain(t, u)
		pool := x509.NewCertPool()
		pool.AddCert(s.Root(i))
		verify(t, chain, "example.com", pool)
		verify(t, chain, "192.0.2.1", s.Roots())
		if !chain[0].Equal(leaf) || chain[1].CheckSignatureFrom(s.Root((i+1)%3)) == nil {
			t.Errorf("chain %d", i)
		}
	}
	c.refused(t, 404, "malformed", url+"/3", nil)
	c.refused(t, 404, "malformed", url+"/0", nil)
	c.refused(t, 400, "malformed", url, m{})
}

func TestRequestedValidity(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{PreValidated: true})
	order := c.must(t, 201, c.url(t, "newOrder"), m{
		"identifiers": identifiers("example.com"), "notBefore": "2030-01-01T00:00:00Z", "notAfter": "2030-01-08T00:00:00Z",
	})
	c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.com"))
	leaf := s.Issued()[0]
	if leaf.NotBefore.Format(time.DateOnly) != "2030-01-01" || leaf.NotAfter.Format(time.DateOnly) != "2030-01-08" {
		t.Errorf("%v to %v", leaf.NotBefore, leaf.NotAfter)
	}
}

func TestIssuance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{IssuanceTime: time.Minute, RetryAfter: "5"})
		url, order := c.ready(t, "dns-01", "example.com")
		res := c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.com"))
		if res.str("status") != "processing" || res.header.Get("Retry-After") != "5" || res.object["certificate"] != nil {
			t.Errorf("%s %v", res.body, res.header)
		}
		c.refused(t, 403, "orderNotReady", order.str("finalize"), csrOf(t, newKey(t), "example.com"))
		pause(t, time.Minute)
		if res := c.must(t, http.StatusOK, url, nil); res.str("status") != "valid" || res.header.Get("Retry-After") != "" {
			t.Errorf("%s %v", res.body, res.header)
		}
		// What happens to an authorization in the meantime matters (§7.1.6).
		url, order = c.ready(t, "dns-01", "example.org")
		c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.org"))
		c.must(t, 200, order.strings("authorizations")[0], m{"status": "deactivated"})
		pause(t, time.Minute)
		if res := c.must(t, 200, url, nil); res.str("status") != "invalid" {
			t.Errorf("%s", res.body)
		}
		s.Update(func(o *acmetest.Options) {
			o.IssuanceError = &acmetest.Problem{Type: acmetest.ErrorURN + "caa", Detail: "no"}
		})
		url, order = c.ready(t, "dns-01", "example.net")
		c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.net"))
		pause(t, time.Minute)
		res = c.must(t, 200, url, nil)
		if e, _ := res.object["error"].(map[string]any); res.str("status") != "invalid" || e["type"] != acmetest.ErrorURN+"caa" {
			t.Errorf("%s", res.body)
		}
	})
}
