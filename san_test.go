package acme_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

func id(kind acme.IdentifierType, value string) []acme.Identifier {
	return []acme.Identifier{{Type: kind, Value: value}}
}

// What a CSR asks for, octet by octet.
func TestVectorIdentifiers(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", "identifiers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, OID, Extension string
		Identifiers          []acme.Identifier
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(err, len(vectors))
	}
	for _, v := range vectors {
		got, err := acme.CSRExtensions(v.Identifiers)
		if err != nil || len(got) != 1 || got[0].Critical || got[0].Id.String() != v.OID || hex.EncodeToString(got[0].Value) != v.Extension {
			t.Errorf("%s: got %v, %v, want %s %s", v.Name, got, err, v.OID, v.Extension)
		}
	}
}

func TestCSRExtensions(t *testing.T) {
	t.Parallel()
	all, err := acme.CSRExtensions(append(id(acme.TypeTNAuthList, "MAA"), append(acme.DNS("Bücher.example"), append(id(acme.TypeEmail, "U@Bücher.Example"), id(acme.TypeJWTClaimConstraints, "MAA")...)...)...))
	if err != nil || len(all) != 3 {
		t.Fatalf("got %v, %v", all, err)
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{ExtraExtensions: all, SignatureAlgorithm: x509.SHA256WithRSA}, rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || len(csr.DNSNames) != 1 || len(csr.EmailAddresses) != 1 || csr.EmailAddresses[0] != "U@xn--bcher-kva.example" {
		t.Errorf("got %+v, %v", csr, err)
	}
	for name, tt := range map[string]struct {
		ids  []acme.Identifier
		want error
	}{
		"hardware module without a type": {id(acme.TypeHardwareModule, "SN-1"), errors.ErrUnsupported},
		"two lists":                      {append(id(acme.TypeTNAuthList, "MAA"), id(acme.TypeTNAuthList, "MAMCAQE")...), acme.ErrInvalidIdentifier},
		"unknown":                        {id("x", "y"), errors.ErrUnsupported},
		"none":                           {nil, acme.ErrNoIdentifiers},
	} {
		if _, err := acme.CSRExtensions(tt.ids); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Values that the texts forbid are refused before a request.
func TestIdentifierValues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, tt := range []struct {
			kind    acme.IdentifierType
			value   string
			section string
		}{
			{acme.TypeEmail, "*@example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "user@*.example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "@example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "user@example.org@example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "mailto:user@example.org", "RFC 8823 §3"},
			{acme.TypeEmail, "User <user@example.org>", "RFC 8823 §3"},
			{acme.TypeEmail, "user@example.org\r\n", "RFC 8823 §3"},
			{acme.TypeEmail, "user@", "domain name"},
			{acme.TypeEmail, "us\xffer@example.org", "UTF-8"},
			{acme.TypeBundleEID, "dtn://example/%zz", "RFC 9891 §2"},
			{acme.TypeBundleEID, "dtn://example/%4", "RFC 9891 §2"},
			{acme.TypeBundleEID, "dtn://bücher/", "RFC 9891 §5"},
			{acme.TypeBundleEID, "dtn:", "RFC 9891 §2"},
			{acme.TypeBundleEID, "https://example.org/", "RFC 9891 §2"},
			{acme.TypeTNAuthList, "MAA=", "RFC 9448 §3"},
			{acme.TypeTNAuthList, "MA\nA", "RFC 9448 §3"},
			{acme.TypeTNAuthList, "AgEB", "RFC 9448 §3"}, // an integer
			{acme.TypeTNAuthList, "MAAA", "RFC 9448 §3"}, // something behind it
			{acme.TypeTNAuthList, "EAA", "RFC 9448 §3"},  // of a sequence, but primitive
			{acme.TypeTNAuthList, "EAEB", "RFC 9448 §3"}, // the same
			{acme.TypeTNAuthList, "MAEB", "RFC 9448 §3"}, // no element in it
			{acme.TypeTNAuthList, "MAIEAQ", "RFC 9448 §3"},
			{acme.TypeTNAuthList, "MQA", "RFC 9448 §3"}, // a set
			{acme.TypeTNAuthList, "sAA", "RFC 9448 §3"}, // of another class
			{acme.TypeJWTClaimConstraints, "M", "RFC 9448 §3"},
		} {
			_, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: id(tt.kind, tt.value)})
			if !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), tt.section) {
				t.Errorf("%s %q: got %v", tt.kind, tt.value, err)
			}
		}
		if n := f.ca.Count(""); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// A CSR is compared with the order in all types that are known; devices may be
// left out of it, and what a common name is depends on what was ordered.
func TestCSRCheckOfOtherTypes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		csr := func(cn string, ids ...acme.Identifier) []byte {
			t.Helper()
			template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}
			if len(ids) > 0 {
				var err error
				if template.ExtraExtensions, err = acme.CSRExtensions(ids); err != nil {
					t.Fatal(err)
				}
			}
			der, err := x509.CreateCertificateRequest(nil, template, rsaKey())
			if err != nil {
				t.Fatal(err)
			}
			return der
		}
		one := func(kind acme.IdentifierType, value string) acme.Identifier { return id(kind, value)[0] }
		email, other := one(acme.TypeEmail, "User@example.org"), one(acme.TypeEmail, "user2@example.org")
		eai := one(acme.TypeEmail, "josé@example.org")
		node := one(acme.TypeBundleEID, "dtn://example/")
		list := one(acme.TypeTNAuthList, "MAigBhYENzA5Sg")
		device, module := one(acme.TypePermanentIdentifier, "SN-1/1.2.3"), one(acme.TypeHardwareModule, "HW/1.2.3")
		for name, tt := range map[string]struct {
			ordered []acme.Identifier
			csr     []byte
			says    string // "": it is sent
		}{
			"email":                    {[]acme.Identifier{email}, csr("", email), ""},
			"email, other person":      {[]acme.Identifier{email}, csr("", other), "it is without email:User@example.org"},
			"email too many":           {[]acme.Identifier{email}, csr("", email, other), "it has email:user2@example.org, which was not ordered"},
			"email in a server's CSR":  {acme.DNS("a.example"), csr("", acme.DNS("a.example")[0], email), "it has email:User@example.org"},
			"email with a name":        {[]acme.Identifier{email}, csr("Jo User", email), ""},
			"internationalized":        {[]acme.Identifier{eai}, csr("", eai), ""},
			"endpoint":                 {[]acme.Identifier{node}, csr("", node), ""},
			"endpoint missing":         {[]acme.Identifier{node}, csr("", email), "it is without bundleEID:dtn://example/"},
			"list":                     {[]acme.Identifier{list}, csr("SHAKEN 709J", list), ""},
			"list missing":             {[]acme.Identifier{list}, csr("SHAKEN 709J"), "it is without TNAuthList:MAigBhYENzA5Sg"},
			"another list":             {[]acme.Identifier{list}, csr("", one(acme.TypeTNAuthList, "MAA")), "it is without TNAuthList"},
			"list not ordered":         {acme.DNS("a.example"), csr("", acme.DNS("a.example")[0], list), "it has TNAuthList"},
			"device left out":          {[]acme.Identifier{device, module}, csr("SN-1"), ""},
			"device":                   {[]acme.Identifier{device, module}, csr("", device, module), ""},
			"device of older drafts":   {[]acme.Identifier{one(acme.TypePermanentIdentifier, "SN-1"), one(acme.TypeHardwareModule, "HW")}, csr("", device, module), ""},
			"another device":           {[]acme.Identifier{one(acme.TypePermanentIdentifier, "SN-2")}, csr("", device), "it has permanent-identifier:SN-1/1.2.3"},
			"device as name":           {append(acme.DNS("a.example"), one(acme.TypePermanentIdentifier, "SN-1")), csr("SN-1", acme.DNS("a.example")...), ""},
			"name that is not ordered": {append(acme.DNS("a.example"), device), csr("b.example", acme.DNS("a.example")...), "it has b.example"},
			"address in another form":  {acme.IP(addr("2001:db8::1")), csr("2001:DB8:0:0:0:0:0:1", acme.IP(addr("2001:db8::1"))...), ""},
			"unknown type":             {id("x", "y"), csr("anything"), ""},
		} {
			f.ca.Reset()
			_, err := f.account.FinalizeOrder(t.Context(), &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/x", Identifiers: tt.ordered}, tt.csr)
			sent := f.ca.Count("") > 0
			switch {
			case tt.says == "" && !sent:
				t.Errorf("%s: not sent: %v", name, err)
			case tt.says != "" && (sent || !errors.Is(err, acme.ErrCSRMismatch) || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

// What cannot be read of a CSR counts as absent.
func TestOddOtherNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, name := range []string{
			"300da00b06032a0304a0040c02686a",                                         // of another kind
			"3004a0020600",                                                           // no kind
			"300ca00a06082b0601050507080b",                                           // no value
			"3010a00e06082b0601050507080ba0020500",                                   // of another type
			"301e801c06082b0601050507080ba010160e64746e3a2f2f6578616d706c652f",       // primitive
			"301ea01c06082b0601050507080b8010160e64746e3a2f2f6578616d706c652f",       // its value is primitive
			"301ea01c06082b0601050507080ba0100c0e64746e3a2f2f6578616d706c652f",       // a UTF8String
			"3021a01f06082b0601050507080ba013160e64746e3a2f2f6578616d706c652f160161", // two strings
			"3020a01e06082b0601050507080ba010160e64746e3a2f2f6578616d706c652f0500",   // something behind the value
		} {
			value, err := hex.DecodeString(name)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}}, rsaKey())
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.account.FinalizeOrder(t.Context(), &acme.Order{URL: "https://ca.test/order/1", FinalizeURL: "https://ca.test/finalize/x", Identifiers: id(acme.TypeBundleEID, "dtn://example/")}, der)
			if !errors.Is(err, acme.ErrCSRMismatch) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A certificate for identifiers of every type, with names and addresses beside
// them; and one whose CSR leaves the device out.
func TestObtainOtherIdentifiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kinds := []string{"email", "bundleEID", "TNAuthList", "permanent-identifier", "hardware-module", "x"}
		f := newFixture(t, acmetest.Options{PreValidated: true, IdentifierTypes: kinds, Strict: true})
		ids := append(acme.DNS("a.example"), acme.IP(addr("2001:db8::1"))...)
		for kind, value := range map[acme.IdentifierType]string{
			acme.TypeEmail: "User@Example.org", acme.TypeBundleEID: "dtn://example/", acme.TypeTNAuthList: "MAigBhYENzA5Sg",
			acme.TypePermanentIdentifier: "SN-1", acme.TypeHardwareModule: "HW/1.2.3",
		} {
			ids = append(ids, id(kind, value)...)
		}
		req := f.request()
		req.OrderRequest.Identifiers = ids
		cert, err := f.account.Obtain(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		leaf := f.ca.Issued()[0]
		if err := cert.Match(ids, f.certKey.Public()); err != nil || len(leaf.EmailAddresses) != 1 || leaf.EmailAddresses[0] != "User@example.org" {
			t.Errorf("got %v, %v", leaf.EmailAddresses, err)
		}
		for _, other := range [][]acme.Identifier{
			id(acme.TypeEmail, "user2@example.org"), id(acme.TypeBundleEID, "dtn://example2/"), id(acme.TypeTNAuthList, "MAA"),
		} {
			if err := cert.Match(other, f.certKey.Public()); !errors.Is(err, acme.ErrCertificateMismatch) {
				t.Errorf("matches %v: %v", other, err)
			}
		}
		if err := cert.Match(id(acme.TypeEmail, "USER@example.org"), f.certKey.Public()); err != nil {
			t.Errorf("a CA may change case: %v", err)
		}
		req.OrderRequest.Identifiers = append(acme.DNS("a.example"), id(acme.TypePermanentIdentifier, "SN-1")...)
		req.CSR = func(ctx context.Context, ids []acme.Identifier) ([]byte, error) {
			return acme.NewCSR(f.certKey)(ctx, ids[:1])
		}
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Errorf("without the device: %v", err)
		}
	})
}

// The order must have what was asked for, but for what servers bring to a form
// of their own.
func TestOrderOfOtherIdentifiers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{IdentifierTypes: []string{"email", "bundleEID", "TNAuthList"}})
		for _, tt := range []struct {
			asked  acme.Identifier
			served string
			ok     bool
		}{
			{id(acme.TypeBundleEID, "dtn://example/%7e")[0], "dtn://example/~", true},
			{id(acme.TypeEmail, "User@example.org")[0], "user@example.org", true},
			{id(acme.TypeEmail, "User@example.org")[0], "user2@example.org", false},
			{id(acme.TypeTNAuthList, "MAigBhYENzA5Sg")[0], "MAA", false},
		} {
			f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.EditJSON(func(m map[string]any) {
				m["identifiers"] = []any{map[string]any{"type": string(tt.asked.Type), "value": tt.served}}
			})))
			o, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{tt.asked}})
			if tt.ok && (err != nil || o.Identifiers[0].Value != tt.served) || !tt.ok && !errors.Is(err, acme.ErrMalformedResponse) {
				t.Errorf("%v as %s: %v", tt.asked, tt.served, err)
			}
		}
	})
}
