package acmetest_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// A CSR must ask for what was ordered, in the place that the identifier's type has, and for nothing else.
func TestCSRForOtherTypes(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{PreValidated: true, IdentifierTypes: []string{"email", "bundleEID", "TNAuthList", "permanent-identifier", "hardware-module"}})
	san := asn1.ObjectIdentifier{2, 5, 29, 17}
	list := asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 26}
	ext := func(id asn1.ObjectIdentifier, value string) []pkix.Extension {
		der, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		return []pkix.Extension{{Id: id, Value: der}}
	}
	const (
		eid    = "301ea01c06082b0601050507080ba010160e64746e3a2f2f6578616d706c652f" // dtn://example/
		device = "3024a02206082b06010505070803a01630140c07534e2d3132333406092b0601040181fd5907"
		module = "3022a02006082b06010505070804a014301206092b0601040181fd5901040548572d3737"
	)
	uri := &url.URL{Scheme: "https", Host: "example.org"}
	for name, tt := range map[string]struct {
		kind, value string
		csr         x509.CertificateRequest
		ok          bool
	}{
		"mail":                   {"email", "user@example.org", x509.CertificateRequest{EmailAddresses: []string{"user@example.org"}, Subject: subject("User")}, true},
		"no mail":                {"email", "user@example.org", x509.CertificateRequest{Subject: subject("user@example.org")}, false},
		"other mail":             {"email", "user@example.org", x509.CertificateRequest{EmailAddresses: []string{"user2@example.org"}}, false},
		"one mail too many":      {"email", "user@example.org", x509.CertificateRequest{EmailAddresses: []string{"user@example.org", "user2@example.org"}}, false},
		"a URI":                  {"dns", "example.org", x509.CertificateRequest{DNSNames: []string{"example.org"}, URIs: []*url.URL{uri}}, false},
		"endpoint":               {"bundleEID", "dtn://example/", x509.CertificateRequest{ExtraExtensions: ext(san, eid)}, true},
		"other endpoint":         {"bundleEID", "dtn://example2/", x509.CertificateRequest{ExtraExtensions: ext(san, eid)}, false},
		"list":                   {"TNAuthList", "MAigBhYENzA5Sg", x509.CertificateRequest{ExtraExtensions: ext(list, "3008a00616043730394a"), Subject: subject("SHAKEN 709J")}, true},
		"no list":                {"TNAuthList", "MAigBhYENzA5Sg", x509.CertificateRequest{}, false},
		"other list":             {"TNAuthList", "MAA", x509.CertificateRequest{ExtraExtensions: ext(list, "3008a00616043730394a")}, false},
		"device":                 {"permanent-identifier", "SN-1234/1.3.6.1.4.1.32473.7", x509.CertificateRequest{ExtraExtensions: ext(san, device)}, true},
		"device of older drafts": {"permanent-identifier", "SN-1234", x509.CertificateRequest{ExtraExtensions: ext(san, device)}, true},
		"device left out":        {"permanent-identifier", "SN-1234", x509.CertificateRequest{}, true},
		"other device":           {"permanent-identifier", "SN-1", x509.CertificateRequest{ExtraExtensions: ext(san, device)}, false},
		"module":                 {"hardware-module", "HW-77/1.3.6.1.4.1.32473.1", x509.CertificateRequest{ExtraExtensions: ext(san, module)}, true},
		"another class":          {"dns", "example.org", x509.CertificateRequest{ExtraExtensions: ext(san, "300d420b6578616d706c652e6f7267")}, false},
		"an unknown kind":        {"email", "user@example.org", x509.CertificateRequest{ExtraExtensions: ext(san, "300da00b06032a0304a0040c02686a")}, false},
	} {
		order := c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{"identifiers": []m{{"type": tt.kind, "value": tt.value}}})
		csr := csrFrom(t, newKey(t), &tt.csr)
		if tt.ok {
			if got := c.post(t, order.str("finalize"), csr); got.status != http.StatusOK || got.str("status") != "valid" {
				t.Errorf("%s: %s", name, got.body)
			}
		} else if got := c.post(t, order.str("finalize"), csr); got.problem() != "badCSR" {
			t.Errorf("%s: %s", name, got.body)
		}
	}
}

// Values that the texts forbid.
func TestValuesOfOtherTypes(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{IdentifierTypes: []string{"email", "bundleEID", "TNAuthList"}})
	for _, id := range []m{
		{"type": "email", "value": "*@example.org"},
		{"type": "email", "value": "example.org"},
		{"type": "bundleEID", "value": "dtn://example/%zz"},
		{"type": "TNAuthList", "value": "MAA="},
		{"type": "TNAuthList", "value": "AgEB"},
	} {
		c.refused(t, http.StatusBadRequest, "malformed", c.url(t, "newOrder"), m{"identifiers": []m{id}})
	}
	if n := len(s.Violations()); n != 5 {
		t.Errorf("%d violations", n)
	}
	c.refused(t, http.StatusForbidden, "rejectedIdentifier", c.url(t, "newOrder"), m{"identifiers": []m{{"type": "bundleEID", "value": "x:y"}}})
}

// An address has as many octets in a CSR and in its certificate as in the order's own form (RFC 5280 §4.2.1.6, RFC 8738 §3).
func TestOctetsOfAddresses(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{PreValidated: true})
	const four, mapped = "30068704c0000201", "3012871000000000000000000000ffffc0000201"
	for _, tt := range []struct {
		value, san string
		ok         bool
	}{
		{"192.0.2.1", four, true}, {"192.0.2.1", mapped, false}, {"::ffff:192.0.2.1", four, false}, {"::ffff:192.0.2.1", mapped, true},
		{"2001:db8::1", "3012871020010db8000000000000000000000001", true},
	} {
		order, before := c.order(t, tt.value), len(s.Issued())
		der, err := hex.DecodeString(tt.san)
		if err != nil {
			t.Fatal(err)
		}
		san := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
		res := c.post(t, order.str("finalize"), csrFrom(t, newKey(t), &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{san}}))
		if issued := s.Issued()[before:]; !tt.ok {
			if res.problem() != "badCSR" {
				t.Errorf("%s as %s: %s", tt.value, tt.san, res.body)
			}
		} else if len(issued) != 1 || !slices.ContainsFunc(issued[0].Extensions, func(e pkix.Extension) bool {
			return e.Id.Equal(san.Id) && bytes.Equal(e.Value, der)
		}) {
			t.Errorf("%s as %s: %s, %d certificates", tt.value, tt.san, res.body, len(issued))
		}
	}
}
