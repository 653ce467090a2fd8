package acmetest_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

const p256Template = `"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}]`

// finished finalizes an order that is ready, and returns it.
func (c *client) finished(t testing.TB, order *response, names ...string) *response {
	t.Helper()
	return c.must(t, http.StatusOK, order.str("finalize"), csrOf(t, newKey(t), names...))
}

// What no client may ask for is a violation, whatever the extension.
func TestExtensionViolations(t *testing.T) {
	t.Parallel()
	template := `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["a.example"]}}}`
	s, c := setup(t, acmetest.Options{
		SubdomainAuth: true, AutoRenewal: &acmetest.AutoRenewal{MinLifetime: time.Hour, MaxDuration: 240 * time.Hour}, Delegations: []acmetest.Delegation{{CSRTemplate: template}},
	})
	newOrder, end := c.url(t, "newOrder"), time.Now().Add(48*time.Hour).UTC().Format(time.RFC3339)
	ids := identifiers("a.example")
	below := func(name, ancestor any) []m { return []m{{"type": "dns", "value": name, "ancestorDomain": ancestor}} }
	bodies := []m{
		{"identifiers": below("ooo.example.com", "oo.example.com")},
		{"identifiers": below("example.com", "example.com")},
		{"identifiers": below("a.example.com", 5)},
		{"identifiers": ids, "auto-renewal": m{"lifetime": 86400}},
		{"identifiers": ids, "auto-renewal": m{"end-date": end}},
		{"identifiers": ids, "auto-renewal": m{"end-date": end, "lifetime": "86400"}},
		{"identifiers": ids, "auto-renewal": m{"end-date": "soon", "lifetime": 86400}},
		{"identifiers": ids, "auto-renewal": m{"end-date": end, "lifetime": 60}},
		{"identifiers": ids, "auto-renewal": m{"end-date": "2999-01-01T00:00:00Z", "lifetime": 86400}},
		{"identifiers": ids, "auto-renewal": m{"end-date": end, "lifetime": 86400, "lifetimeAdjust": 5}},
		{"identifiers": ids, "auto-renewal": m{"end-date": end, "lifetime": 86400, "allow-certificate-get": true}}, // not offered
		{"identifiers": ids, "auto-renewal": m{"end-date": end, "lifetime": 86400}, "notAfter": end},
		{"identifiers": ids, "allow-certificate-get": true}, // not offered
		{"identifiers": ids, "delegation": "https://ca.test/delegation/1"},
		{"identifiers": ids, "delegation": "https://ca.test/delegation/1", "auto-renewal": m{"end-date": end, "lifetime": 86400}},
		{"identifiers": identifiers("b.example"), "delegation": "https://ca.test/delegation/1", "allow-certificate-get": true},
	}
	for i, body := range bodies {
		c.refused(t, http.StatusBadRequest, "malformed", newOrder, body)
		if n := len(s.Violations()); n != i+1 {
			t.Fatalf("%v: %d violations", body, n)
		}
	}
	c.refused(t, http.StatusForbidden, "unknownDelegation", newOrder, m{"identifiers": ids, "delegation": "https://ca.test/delegation/2", "allow-certificate-get": true})
	c.refused(t, http.StatusBadRequest, "malformed", c.url(t, "newAuthz"), m{"identifier": m{"type": "dns", "value": "a.example"}, "subdomainAuthAllowed": true}) // it belongs inside
	// A request that is not the template's.
	order := c.must(t, http.StatusCreated, newOrder, m{"identifiers": ids, "delegation": "https://ca.test/delegation/1", "allow-certificate-get": true})
	before := len(s.Violations())
	c.refused(t, http.StatusForbidden, "badCSR", order.str("finalize"), csrOf(t, newKey(t), "a.example", "b.example"))
	if len(s.Violations()) != before+1 {
		t.Errorf("got %v", s.Violations())
	}
	// The members are unknown where the extension is off.
	s, c = setup(t, acmetest.Options{})
	for _, body := range []m{
		{"identifiers": below("a.example.com", "example.com")}, {"identifiers": ids, "auto-renewal": m{}}, {"identifiers": ids, "delegation": "x"}, {"identifiers": ids, "allow-certificate-get": true},
	} {
		c.refused(t, http.StatusBadRequest, "malformed", c.url(t, "newOrder"), body)
	}
	if len(s.Violations()) != 4 || c.dir["meta"] != nil {
		t.Errorf("%d violations, meta %v", len(s.Violations()), c.dir["meta"])
	}
}

// The dates of RFC 8739 §3.5.1, as a CA that follows it issues them.
func TestSeriesOfTheRFC(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../testdata/vectors/schedules.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name                     string
		StartDate, EndDate       time.Time
		Lifetime, LifetimeAdjust int64
		ServerFraction           float64
		Certificates             []struct{ NotBefore, NotAfter time.Time }
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		if v.ServerFraction != 0.5 || len(v.Certificates) == 0 {
			t.Fatalf("%+v: half of the lifetime is what this CA pads with", v)
		}
		synctest.Test(t, func(t *testing.T) {
			pause(t, time.Until(v.StartDate.Add(-time.Hour)))
			s, c := setup(t, acmetest.Options{PreValidated: true, AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}})
			order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{"identifiers": identifiers("a.example"), "auto-renewal": m{
				"start-date": v.StartDate, "end-date": v.EndDate, "lifetime": v.Lifetime, "lifetime-adjust": v.LifetimeAdjust, "allow-certificate-get": true,
			}})
			done := c.finished(t, order, "a.example")
			star := done.str("star-certificate")
			if done.str("certificate") != "" || star == "" || done.str("status") != "valid" {
				t.Fatalf("got %s", done.body)
			}
			// Each is there from its notBefore on, and no earlier.
			for i, want := range v.Certificates {
				at := []time.Time{want.NotBefore, v.EndDate}
				if i+1 < len(v.Certificates) {
					at[1] = v.Certificates[i+1].NotBefore
				}
				at[1] = at[1].Add(-time.Second)
				for _, now := range at {
					pause(t, time.Until(now))
					res := c.get(t, star)
					chain, err := parseChain(res.body)
					if err != nil || !chain[0].NotBefore.Equal(want.NotBefore) || !chain[0].NotAfter.Equal(want.NotAfter) ||
						res.header.Get("Cert-Not-Before") != want.NotBefore.Format(http.TimeFormat) || res.header.Get("Cert-Not-After") != want.NotAfter.Format(http.TimeFormat) {
						t.Errorf("at %v: %v to %v, %v, %v", now, chain[0].NotBefore, chain[0].NotAfter, res.header, err)
					}
				}
			}
			if len(s.Issued()) != len(v.Certificates) {
				t.Errorf("%d certificates", len(s.Issued()))
			}
			pause(t, time.Until(v.EndDate))
			if res := c.get(t, star); res.status != http.StatusForbidden || res.problem() != "autoRenewalExpired" {
				t.Errorf("got %d %s", res.status, res.body)
			}
		})
	}
}

// Who may have a certificate without an account, and what a cancellation does.
func TestCertificateGetAndCancellation(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{PreValidated: true, AutoRenewal: &acmetest.AutoRenewal{}, AllowCertificateGet: true})
	newOrder, ids := c.url(t, "newOrder"), identifiers("a.example")
	open := c.finished(t, c.must(t, http.StatusCreated, newOrder, m{"identifiers": ids, "allow-certificate-get": true}), "a.example")
	if res := c.get(t, open.str("certificate")); res.status != http.StatusOK || open.object["allow-certificate-get"] != true {
		t.Errorf("got %d, %s", res.status, open.body)
	}
	closed := c.finished(t, c.must(t, http.StatusCreated, newOrder, m{"identifiers": ids}), "a.example")
	if res := c.get(t, closed.str("certificate")); res.status != http.StatusMethodNotAllowed || len(s.Violations()) != 1 {
		t.Errorf("got %d", res.status)
	}
	url := c.must(t, http.StatusCreated, newOrder, m{"identifiers": ids, "auto-renewal": m{"end-date": time.Now().Add(48 * time.Hour), "lifetime": 86400}}).header.Get("Location")
	order := c.must(t, http.StatusOK, url, nil)
	c.refused(t, http.StatusBadRequest, "autoRenewalCancellationInvalid", url, m{"status": "canceled"}) // it is not valid yet
	star := c.finished(t, order, "a.example").str("star-certificate")
	c.refused(t, http.StatusBadRequest, "malformed", url, m{"status": "deactivated"})
	c.refused(t, http.StatusForbidden, "autoRenewalRevocationNotSupported", c.url(t, "revokeCert"), m{"certificate": b64(s.Issued()[2].Raw)})
	if res := c.must(t, http.StatusOK, url, m{"status": "canceled"}); res.str("status") != "canceled" || res.str("star-certificate") != "" {
		t.Errorf("got %s", res.body)
	}
	c.refused(t, http.StatusForbidden, "autoRenewalCanceled", star, nil)
}

// An authorization in advance covers the names below its domain, if that was asked for.
func TestSubdomainsInAdvance(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{SubdomainAuth: true, PreValidated: true})
	for domain, subdomains := range map[string]bool{"example.org": true, "example.com": false} {
		z := c.must(t, http.StatusCreated, c.url(t, "newAuthz"), m{"identifier": m{"type": "dns", "value": domain, "subdomainAuthAllowed": subdomains}})
		order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{"identifiers": identifiers("a.b."+domain, "c."+domain)})
		covered := slices.Equal(order.strings("authorizations"), []string{z.header.Get("Location")})
		if covered != subdomains || (z.object["subdomainAuthAllowed"] == true) != subdomains {
			t.Errorf("%s: %v for %s", domain, order.strings("authorizations"), z.body)
		}
	}
}

// Only an authorization that says so is for the names below its domain (RFC 9444 §4.1).
func TestSubdomainsNeedTheirOwnAuthorization(t *testing.T) {
	t.Parallel()
	www := m{"type": "dns", "value": "www.example.com", "ancestorDomain": "example.com"}
	domain := m{"type": "dns", "value": "example.com"}
	for _, reuse := range []bool{false, true} {
		_, c := setup(t, acmetest.Options{SubdomainAuth: true, ReuseAuthorizations: reuse})
		z := c.must(t, http.StatusCreated, c.url(t, "newAuthz"), m{"identifier": domain}).header.Get("Location")
		c.must(t, http.StatusOK, c.challengeOf(t, z, "dns-01"), m{})
		for _, ids := range [][]m{{www}, {www, domain}, {domain, www}} {
			order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{"identifiers": ids})
			authzs := order.strings("authorizations")
			if len(authzs) != 1 || authzs[0] == z || order.str("status") != "pending" {
				t.Errorf("%v: %s", ids, order.body)
			}
			if z := c.must(t, http.StatusOK, authzs[0], nil); z.object["subdomainAuthAllowed"] != true {
				t.Errorf("%v: %s", ids, z.body)
			}
		}
		if order := c.order(t, "example.com"); !slices.Equal(order.strings("authorizations"), []string{z}) {
			t.Errorf("%s", order.body)
		}
		// One for subdomains is for the domain too, and is listed once.
		domain := m{"type": "dns", "value": "example.com", "subdomainAuthAllowed": true}
		z = c.must(t, http.StatusCreated, c.url(t, "newAuthz"), m{"identifier": domain}).header.Get("Location")
		c.must(t, http.StatusOK, c.challengeOf(t, z, "dns-01"), m{})
		for _, names := range [][]string{{"www.example.com", "example.com"}, {"example.com", "www.example.com"}} {
			if order := c.order(t, names...); !slices.Equal(order.strings("authorizations"), []string{z}) {
				t.Errorf("%v: %s", names, order.body)
			}
		}
	}
}

// ChooseAncestor is asked with no lock held, once for each name. An account that ends meanwhile has no order.
func TestChooseAncestorCallsServer(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{SubdomainAuth: true})
	var asked []string
	revoke := false
	s.Update(func(o *acmetest.Options) {
		o.ChooseAncestor = func(name, ancestor string) string {
			asked = append(asked, name)
			if revoke {
				s.RevokeAccount(c.kid)
			}
			return ancestor
		}
	})
	body := m{"identifiers": []m{
		{"type": "dns", "value": "a.example.com", "ancestorDomain": "example.com"}, {"type": "dns", "value": "b.example.com"},
		{"type": "dns", "value": "c.example.com", "ancestorDomain": "example.com"}, {"type": "dns", "value": "a.example.com", "ancestorDomain": "example.com"},
	}}
	order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), body)
	if len(order.strings("authorizations")) != 2 || !slices.Equal(asked, []string{"a.example.com", "c.example.com"}) {
		t.Errorf("%s, asked for %v", order.body, asked)
	}
	revoke = true
	c.refused(t, http.StatusUnauthorized, "unauthorized", c.url(t, "newOrder"), body)
	if len(s.Orders()) != 1 {
		t.Errorf("got %v", s.Orders())
	}
}

// What the accounts of an owner are told of delegations (RFC 9115 §2.3.1).
func TestDelegationResources(t *testing.T) {
	t.Parallel()
	delegations := []acmetest.Delegation{{CSRTemplate: `{"a":1}`, CNAMEMap: map[string]string{"a.example.": "b.example."}}, {CSRTemplate: `{}`}, {CSRTemplate: `{}`}}
	_, c := setup(t, acmetest.Options{Delegations: delegations, OrdersPerPage: 2})
	list := c.must(t, http.StatusOK, c.kid, nil).str("delegations")
	first := c.must(t, http.StatusOK, list, nil)
	urls, next := first.strings("delegations"), first.links("next")
	if len(urls) != 2 || len(next) != 1 {
		t.Fatalf("%s, next %v", first.body, next)
	}
	last := c.must(t, http.StatusOK, next[0], nil)
	if urls = append(urls, last.strings("delegations")...); len(urls) != 3 || len(last.links("next")) != 0 {
		t.Errorf("%s, next %v", last.body, last.links("next"))
	}
	if got := string(c.must(t, http.StatusOK, urls[0], nil).body); got != `{"cname-map":{"a.example.":"b.example."},"csr-template":{"a":1}}` {
		t.Errorf("got %s", got)
	}
	if got := string(c.must(t, http.StatusOK, urls[2], nil).body); got != `{"csr-template":{}}` {
		t.Errorf("got %s", got)
	}
	c.refused(t, http.StatusNotFound, "malformed", urls[2]+"0", nil)
	c.refused(t, http.StatusBadRequest, "malformed", urls[0], m{}) // no POST-as-GET
	c.refused(t, http.StatusBadRequest, "malformed", list, m{})
	other := c.another(t).register(t)
	other.refused(t, http.StatusForbidden, "unauthorized", list, nil)
	_, c = setup(t, acmetest.Options{})
	if u := c.must(t, http.StatusOK, c.kid, nil).str("delegations"); u != "" {
		t.Errorf("an account has %s where there are no delegations", u)
	}
}

// A request of a delegated order has what the template has, and nothing else.
func TestTemplates(t *testing.T) {
	t.Parallel()
	const san = `"subjectAltName":{"DNS":["a.example"]}`
	usage := pkix.Extension{Id: []int{2, 5, 29, 15}, Value: []byte{3, 2, 7, 0x80}}                             // digitalSignature
	purpose := pkix.Extension{Id: []int{2, 5, 29, 37}, Value: []byte{0x30, 10, 6, 8, 43, 6, 1, 5, 5, 7, 3, 1}} // serverAuth
	other := pkix.Extension{Id: []int{2, 5, 29, 19}, Value: []byte{0x30, 0}}
	rsa, p256 := rsaKey(t, 2048), newKey(t)
	for name, tt := range map[string]struct {
		template string
		rsa      bool
		csr      x509.CertificateRequest
		why      string // empty: it is the template's
	}{
		"as it is":         {template: `{` + p256Template + `,"extensions":{` + san + `}}`},
		"key":              {template: `{` + p256Template + `,"extensions":{` + san + `}}`, rsa: true, why: "keyTypes"},
		"curve":            {template: `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp384r1","SignatureType":"ecdsa-with-SHA256"}],"extensions":{` + san + `}}`, why: "keyTypes"},
		"signature":        {template: `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA384"}],"extensions":{` + san + `}}`, why: "keyTypes"},
		"RSA":              {template: `{"keyTypes":[{"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha256WithRSAEncryption"}],"extensions":{` + san + `}}`, rsa: true},
		"RSA length":       {template: `{"keyTypes":[{"PublicKeyType":"rsaEncryption","PublicKeyLength":3072,"SignatureType":"sha256WithRSAEncryption"}],"extensions":{` + san + `}}`, rsa: true, why: "keyTypes"},
		"subject":          {template: `{` + p256Template + `,"subject":{"commonName":"**","organization":"O","country":"*"},"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example", Organization: []string{"O"}}}},
		"subject text":     {template: `{` + p256Template + `,"subject":{"commonName":"**"},"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{CommonName: "Example CDN"}}},
		"subject capitals": {template: `{` + p256Template + `,"subject":{"commonName":"**"},"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{CommonName: "A.Example"}}},
		"another's name":   {template: `{` + p256Template + `,"subject":{"commonName":"**"},"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{CommonName: "b.example"}}, why: `"b.example"`},
		"subject literal":  {template: `{` + p256Template + `,"subject":{"organization":"O"},"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{Organization: []string{"P"}}}, why: "organization"},
		"subject missing":  {template: `{` + p256Template + `,"subject":{"commonName":"**"},"extensions":{` + san + `}}`, why: "commonName"},
		"subject too much": {template: `{` + p256Template + `,"extensions":{` + san + `}}`, csr: x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example"}}, why: "2.5.4.3"},
		"usages":           {template: `{` + p256Template + `,"extensions":{` + san + `,"keyUsage":["digitalSignature"],"extendedKeyUsage":["serverAuth"]}}`, csr: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{usage, purpose}}},
		"usage missing":    {template: `{` + p256Template + `,"extensions":{` + san + `,"keyUsage":["digitalSignature"]}}`, why: "keyUsage"},
		"usage too much":   {template: `{` + p256Template + `,"extensions":{` + san + `}}`, csr: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{usage}}, why: "keyUsage"},
		"purpose too much": {template: `{` + p256Template + `,"extensions":{` + san + `}}`, csr: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{purpose}}, why: "extendedKeyUsage"},
		"extension":        {template: `{` + p256Template + `,"extensions":{` + san + `}}`, csr: x509.CertificateRequest{ExtraExtensions: []pkix.Extension{other}}, why: "2.5.29.19"},
		"mail":             {template: `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["a.example"],"Email":["**"]}}}`, why: "Email"},
		"some name":        {template: `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["**"]}}}`},
		"two names":        {template: `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["**","**"]}}}`, why: "DNS"},
		"any mail":         {template: `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["a.example"],"Email":["*"]}}}`},
	} {
		_, c := setup(t, acmetest.Options{AllowCertificateGet: true, Delegations: []acmetest.Delegation{{CSRTemplate: tt.template}}})
		order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{
			"identifiers": identifiers("a.example"), "delegation": "https://ca.test/delegation/1", "allow-certificate-get": true,
		})
		tt.csr.DNSNames = []string{"a.example"}
		csr := csrFrom(t, p256, &tt.csr)
		if tt.rsa {
			csr = csrFrom(t, rsa, &tt.csr)
		}
		res := c.post(t, order.str("finalize"), csr)
		if tt.why == "" && res.status != http.StatusOK || tt.why != "" && (res.problem() != "badCSR" || !strings.Contains(res.str("detail"), tt.why)) {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
}
