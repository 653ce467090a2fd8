package csrtemplate_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/csrtemplate"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

// templateOf has the template of an example of the RFC: "Figure 3", "Figure 10".
func templateOf(t testing.TB, figure string) json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "delegations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name       string
		Delegation struct {
			Template json.RawMessage `json:"csr-template"`
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if v.Name == "RFC 9115 "+figure {
			return v.Delegation.Template
		}
	}
	t.Fatalf("no %s", figure)
	return nil
}

func parse(t testing.TB, template string) *csrtemplate.Template {
	t.Helper()
	parsed, err := csrtemplate.Parse([]byte(template))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// A key of each kind, made once.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	made := map[string]crypto.Signer{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(), "P-224": elliptic.P224()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		made[name] = key
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	made["RSA"] = key
	return made
})

func TestParse(t *testing.T) {
	conformance.Claim(t, "9115-2.3.1.3-01")
	t.Parallel()
	got, err := csrtemplate.Parse(templateOf(t, "Figure 10"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.KeyTypes) != 2 || got.KeyTypes[0] != (csrtemplate.KeyType{PublicKeyType: "rsaEncryption", PublicKeyLength: 2048, SignatureType: "sha256WithRSAEncryption"}) ||
		got.KeyTypes[1] != (csrtemplate.KeyType{PublicKeyType: "id-ecPublicKey", NamedCurve: "secp256r1", SignatureType: "ecdsa-with-SHA256"}) {
		t.Errorf("keyTypes %+v", got.KeyTypes)
	}
	if !maps.Equal(got.Subject, map[string]string{"country": "CA", "stateOrProvince": "**", "locality": "**"}) || !slices.Equal(got.DNS, []string{"abc.ido.example"}) {
		t.Errorf("subject %v, DNS %v", got.Subject, got.DNS)
	}
	if got.KeyUsage != x509.KeyUsageDigitalSignature || len(got.ExtKeyUsage) != 2 || got.ExtKeyUsage[1].String() != "1.3.6.1.5.5.7.3.2" {
		t.Errorf("keyUsage %v, extendedKeyUsage %v", got.KeyUsage, got.ExtKeyUsage)
	}
	more := parse(t, `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp521r1","SignatureType":"ecdsa-with-SHA512"}],
		"extensions":{"subjectAltName":{"DNS":["*","**","*.Bücher.example","**"],"Email":["u@Example.org"],"URI":["https://example.org/x"]},
		"keyUsage":["decipherOnly","keyAgreement"],"extendedKeyUsage":["1.2.0.4","OCSPSigning"]}}`)
	if !slices.Equal(more.DNS, []string{"*", "**", "*.xn--bcher-kva.example", "**"}) || more.Subject != nil || more.KeyUsage != x509.KeyUsageDecipherOnly|x509.KeyUsageKeyAgreement ||
		more.ExtKeyUsage[0].String() != "1.2.0.4" || more.Email[0] != "u@example.org" || more.URI[0] != "https://example.org/x" {
		t.Errorf("got %+v", more)
	}
	if ids := more.Identifiers(); len(ids) != 2 || ids[0].Value != "*.xn--bcher-kva.example" || ids[1].Type != acme.TypeEmail {
		t.Errorf("identifiers %v", ids)
	}
}

// What is no template, or one that cannot be heeded, is an error that names the
// field.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const keyTypes, names = `"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}]`, `"subjectAltName":{"DNS":["a.example"]}`
	with := func(more string) string { return `{` + keyTypes + `,"extensions":{` + names + more + `}}` }
	key := func(k string) string { return `{"keyTypes":[` + k + `],"extensions":{` + names + `}}` }
	subject := func(s string) string { return `{` + keyTypes + `,"subject":` + s + `,"extensions":{` + names + `}}` }
	san := func(s string) string { return `{` + keyTypes + `,"extensions":{"subjectAltName":` + s + `}}` }
	for template, says := range map[string]string{
		``: "JSON", `null`: "JSON", `[]`: "JSON", `{}`: "keyTypes", `{"keyTypes":[]}`: "keyTypes", `{` + keyTypes + `}`: "extensions",
		`{"KeyTypes":[],"extensions":{}}`: "KeyTypes",
		with(`,"nameConstraints":[]`):     "nameConstraints",
		with(`,"keyUsage":[]`):            "keyUsage", with(`,"keyUsage":["sign"]`): `"sign"`, with(`,"keyUsage":"digitalSignature"`): "keyUsage",
		with(`,"extendedKeyUsage":[5]`): "extendedKeyUsage", with(`,"extendedKeyUsage":["server"]`): `"server"`, with(`,"extendedKeyUsage":["2"]`): `"2"`,
		with(`,"extendedKeyUsage":["1.02.3"]`): "1.02.3", with(`,"extendedKeyUsage":["3.1"]`): "3.1", with(`,"extendedKeyUsage":["1.40"]`): "1.40", with(`,"extendedKeyUsage":["1.99999999999"]`): "1.9",
		key(`{}`): "combination", key(`5`): "keyTypes", key(`{"PublicKeyType":5}`): "PublicKeyType",
		key(`{"PublicKeyType":"rsaEncryption","SignatureType":"sha256WithRSAEncryption"}`):                                           "combination",
		key(`{"PublicKeyType":"rsaEncryption","PublicKeyLength":-1,"SignatureType":"sha256WithRSAEncryption"}`):                      "combination",
		key(`{"PublicKeyType":"rsaEncryption","PublicKeyLength":99999999,"SignatureType":"sha256WithRSAEncryption"}`):                "combination",
		key(`{"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha1WithRSAEncryption"}`):                      "combination",
		key(`{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA384"}`):                       "combination",
		key(`{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","PublicKeyLength":256,"SignatureType":"ecdsa-with-SHA256"}`): "combination",
		key(`{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256","x":1}`):                 `"x"`,
		subject(`{}`): "empty", subject(`[]`): "subject", subject(`{"country":"Canada"}`): "two letters", subject(`{"country":5}`): "country", subject(`{"locality":""}`): "locality",
		subject(`{"locality":"a\u0000b"}`): "locality", subject(`{"serialNumber":"1"}`): "serialNumber", subject(`{"emailAddress":"x"}`): "mail address",
		subject(`{"locality":"` + strings.Repeat("x", 2000) + `"}`): "locality",
		san(`{}`): "empty", san(`{"DNS":[]}`): "DNS", san(`{"DNS":"a.example"}`): "DNS", san(`{"IP":["192.0.2.1"]}`): "IP", san(`{"DNS":["192.0.2.1"]}`): "192.0.2.1", san(`{"DNS":["a b"]}`): "a b",
		san(`{"DNS":["a.example","A.example"]}`): "twice", san(`{"Email":["*"]}`): "wildcard", san(`{"Email":["x"]}`): "mail address", san(`{"URI":["**"]}`): "URI", san(`{"URI":["/x"]}`): "URI", san(`{"URI":["https://ü.example"]}`): "URI",
		san(`{"URI":["https://a.example./"]}`): "host", san(`{"URI":["https://a..b/"]}`): "host", san(`{"URI":["https://a.example.:8/"]}`): "host", san(`{"URI":["https://%C3%BC.example/"]}`): "host", san(`{"URI":["https://:8/"]}`): "host",
		san(`{"URI":["https://a.example/a|b"]}`): "URI", san(`{"URI":["https://a.example/<b>"]}`): "URI", san(`{"URI":["https://a.example/?%zz"]}`): "%zz", san(`{"Email":["é@example.org"]}`): "ASCII",
		san(`{"DNS":["a.example"` + strings.Repeat(`,"**"`, 300) + `]}`): "256",
		with(strings.Repeat(" ", 70000)):                                 "65536",
	} {
		got, err := csrtemplate.Parse([]byte(template))
		if !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "RFC 9115 §4") {
			t.Errorf("%.200s: got %+v, %v, want something about %s", template, got, err, says)
		}
	}
}

// requestFor makes the request that a template asks for.
func requestFor(template *csrtemplate.Template, key crypto.Signer, subject map[string]string, names ...string) (*x509.CertificateRequest, []byte, error) {
	der, err := template.NewCSR(key, subject)(context.Background(), acme.DNS(names...))
	if err != nil {
		return nil, nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	return csr, der, err
}

// Values of the template are in the request as they are, those of the holder where
// there is a wildcard, and nothing else.
func TestNewCSR(t *testing.T) {
	conformance.Claim(t, "9115-4.1-01", "9115-4.1-02")
	t.Parallel()
	template := parse(t, string(templateOf(t, "Figure 3")))
	csr, der, err := requestFor(template, keys()["P-256"], map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"}, "abc.ido.example")
	if err != nil {
		t.Fatal(err)
	}
	if got := csr.Subject.String(); got != "L=Ottawa,ST=Ontario,C=CA" || !slices.Equal(csr.DNSNames, []string{"abc.ido.example"}) {
		t.Errorf("subject %s, names %v", got, csr.DNSNames)
	}
	var extensions []string
	for _, e := range csr.Extensions {
		extensions = append(extensions, e.Id.String())
	}
	slices.Sort(extensions)
	if !slices.Equal(extensions, []string{"2.5.29.15", "2.5.29.17", "2.5.29.37"}) {
		t.Errorf("extensions %v", extensions)
	}
	if err := template.Check(der); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		subject map[string]string
		names   []string
		says    string
	}{
		"mandatory value missing": {map[string]string{"locality": "Ottawa"}, []string{"abc.ido.example"}, "stateOrProvince is mandatory"},
		"empty":                   {map[string]string{"stateOrProvince": "", "locality": "Ottawa"}, []string{"abc.ido.example"}, "stateOrProvince is empty"},
		"a wildcard":              {map[string]string{"stateOrProvince": "**", "locality": "Ottawa"}, []string{"abc.ido.example"}, "still a wildcard"},
		"another value":           {map[string]string{"country": "US", "stateOrProvince": "Ontario", "locality": "Ottawa"}, []string{"abc.ido.example"}, "country is not the holder's"},
		"not in the template":     {map[string]string{"organization": "X", "stateOrProvince": "Ontario", "locality": "Ottawa"}, []string{"abc.ido.example"}, "organization is not the holder's"},
		"unknown":                 {map[string]string{"title": "X", "stateOrProvince": "Ontario", "locality": "Ottawa"}, []string{"abc.ido.example"}, `"title"`},
		"another name":            {map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"}, []string{"x.ido.example"}, `"abc.ido.example" is missing`},
		"one name more":           {map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"}, []string{"abc.ido.example", "x.ido.example"}, `"x.ido.example" is not in the template`},
		"no names":                {map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"}, nil, `"abc.ido.example" is missing`},
	} {
		_, _, err := requestFor(template, keys()["P-256"], tt.subject, tt.names...)
		if !errors.Is(err, acme.ErrCSRMismatch) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "RFC 9115 §4.1") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := template.NewCSR(nil, nil)(t.Context(), nil); !errors.Is(err, acme.ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	if _, err := template.NewCSR(keys()["P-256"], map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"})(t.Context(), []acme.Identifier{{Type: "ip", Value: "192.0.2.1"}}); err == nil {
		t.Error("an address was taken")
	}
}

// Wildcards stand for values that the holder must or may give; a field of every
// kind.
func TestWildcards(t *testing.T) {
	conformance.Claim(t, "9115-4.1-02")
	t.Parallel()
	template := parse(t, `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"subject":{"country":"*","stateOrProvince":"*","locality":"Ottawa","organization":"**","organizationalUnit":"*","emailAddress":"*","commonName":"*"},
		"extensions":{"subjectAltName":{"DNS":["a.example","**","*"],"Email":["u@example.org"],"URI":["https://example.org/x"]},
		"keyUsage":["digitalSignature","keyAgreement","decipherOnly"],"extendedKeyUsage":["1.2.3.4"]}}`)
	ids := func(names ...string) []acme.Identifier {
		return append(acme.DNS(names...), acme.Identifier{Type: acme.TypeEmail, Value: "u@example.org"})
	}
	for _, tt := range []struct {
		subject map[string]string
		names   []string
		want    string // of the subject, "" for an error
	}{
		{map[string]string{"organization": "O"}, []string{"a.example", "b.example"}, "O=O,L=Ottawa"},
		{map[string]string{"organization": "O", "country": "ca", "commonName": "x", "organizationalUnit": "U", "stateOrProvince": "ON", "emailAddress": "u@example.org"}, []string{"c.example", "b.example", "a.example"},
			"CN=x,OU=U,O=O,L=Ottawa,ST=ON,C=ca,1.2.840.113549.1.9.1=#0c0d75406578616d706c652e6f7267"},
		{nil, []string{"a.example", "b.example"}, ""},
		{map[string]string{"organization": "O"}, []string{"a.example"}, ""},
		{map[string]string{"organization": "O"}, []string{"b.example", "c.example"}, ""},
		{map[string]string{"organization": "O"}, []string{"a.example", "b.example", "c.example", "d.example"}, ""},
		{map[string]string{"organization": "O", "country": "Canada"}, []string{"a.example", "b.example"}, ""},
		{map[string]string{"organization": "O", "emailAddress": "u"}, []string{"a.example", "b.example"}, ""},
		{map[string]string{"organization": "O", "emailAddress": "ü@example.org"}, []string{"a.example", "b.example"}, ""},
	} {
		der, err := template.NewCSR(keys()["P-256"], tt.subject)(t.Context(), ids(tt.names...))
		if tt.want == "" {
			if err == nil {
				t.Errorf("%v %v: no error", tt.subject, tt.names)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v %v: %v", tt.subject, tt.names, err)
			continue
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.Subject.String() != tt.want || csr.URIs[0].String() != "https://example.org/x" || csr.EmailAddresses[0] != "u@example.org" {
			t.Errorf("%v %v: subject %s, %v, %v", tt.subject, tt.names, csr.Subject, csr.URIs, err)
		}
		if tt.subject["emailAddress"] != "" && !strings.Contains(string(csr.RawSubject), "\x16\x0du@example.org") { // an IA5String
			t.Errorf("subject %x", csr.RawSubject)
		}
		if err := template.Check(der); err != nil {
			t.Error(err)
		}
		for _, e := range csr.Extensions {
			if e.Id.String() == "2.5.29.15" && string(e.Value) != "\x03\x03\x07\x88\x80" { // bits 0, 4 and 8
				t.Errorf("key usage %x", e.Value)
			}
		}
	}
}

// A URI is in the request to the letter, and no other one will do that means the same.
func TestURIs(t *testing.T) {
	conformance.Claim(t, "9115-4.1-02")
	t.Parallel()
	key := keys()["P-256"]
	for uri, others := range map[string][]string{
		"https://a.example/#":            {"https://a.example/"},
		"https://a.example/%3Cb%3E%20":   {"https://a.example/<b> ", "https://a.example/%3cb%3e%20", "HTTPS://a.example/%3Cb%3E%20", "https://a.example/%3Cb%3E%20#"},
		"URN:x:Y":                        {"urn:x:Y"},
		"https://a.example?":             {"https://a.example", "https://a.example/?"},
		"https://u@A.Example:8443/a?b#c": {"https://u@a.example:8443/a?b#c"},
		"https://[::1]/!$&'()*+,;=-._~":  nil,
		"https:///a":                     nil,
	} {
		template := parse(t, fmt.Sprintf(`{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
			"extensions":{"subjectAltName":{"DNS":["a.example"],"URI":[%q]}}}`, uri))
		csr, der, err := requestFor(template, key, nil, "a.example")
		if err != nil || !slices.Equal(template.URI, []string{uri}) || template.Check(der) != nil {
			t.Errorf("%s: %q, %v, %v", uri, template.URI, err, template.Check(der))
			continue
		}
		if san := csr.Extensions[0].Value; !bytes.HasSuffix(san, tlv(0x86, []byte(uri))) {
			t.Errorf("%s: %q", uri, san)
		}
		for _, other := range others {
			san := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: tlv(0x30, tlv(0x82, []byte("a.example")), tlv(0x86, []byte(other)))}
			if err := template.Check(make509(t, key, x509.CertificateRequest{ExtraExtensions: []pkix.Extension{san}})); !errors.Is(err, acme.ErrCSRMismatch) {
				t.Errorf("%s as %s: %v", uri, other, err)
			}
		}
	}
	own := csrtemplate.Template{KeyTypes: []csrtemplate.KeyType{{PublicKeyType: "id-ecPublicKey", NamedCurve: "secp256r1", SignatureType: "ecdsa-with-SHA256"}}, URI: []string{"https://ü.example"}}
	if _, err := own.NewCSR(key, nil)(t.Context(), nil); !errors.Is(err, acme.ErrCSRMismatch) {
		t.Errorf("not ASCII: %v", err)
	}
	own.URI, own.Email = nil, []string{"é@example.org"}
	if _, err := own.NewCSR(key, nil)(t.Context(), own.Identifiers()); !errors.Is(err, acme.ErrCSRMismatch) {
		t.Errorf("an address that is not ASCII: %v", err)
	}
}

// The key and its signature are a combination that the template has.
func TestKeyTypes(t *testing.T) {
	conformance.Claim(t, "9115-4.1-03")
	t.Parallel()
	made := map[string][]byte{} // otherwise, by the names of keys
	for name, key := range keys() {
		if name != "P-224" {
			made[name] = make509(t, key, x509.CertificateRequest{DNSNames: []string{"a.example"}})
		}
	}
	for combination, tt := range map[string]struct {
		key  string
		want x509.SignatureAlgorithm
	}{
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha256WithRSAEncryption"`: {"RSA", x509.SHA256WithRSA},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha384WithRSAEncryption"`: {"RSA", x509.SHA384WithRSA},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha512WithRSAEncryption"`: {"RSA", x509.SHA512WithRSA},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha256WithRSAandMGF1"`:    {"RSA", x509.SHA256WithRSAPSS},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha384WithRSAandMGF1"`:    {"RSA", x509.SHA384WithRSAPSS},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":2048,"SignatureType":"sha512WithRSAandMGF1"`:    {"RSA", x509.SHA512WithRSAPSS},
		`"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"`:    {"P-256", x509.ECDSAWithSHA256},
		`"PublicKeyType":"id-ecPublicKey","namedCurve":"secp384r1","SignatureType":"ecdsa-with-SHA384"`:    {"P-384", x509.ECDSAWithSHA384},
		`"PublicKeyType":"id-ecPublicKey","namedCurve":"secp521r1","SignatureType":"ecdsa-with-SHA512"`:    {"P-521", x509.ECDSAWithSHA512},
		`"PublicKeyType":"rsaEncryption","PublicKeyLength":3072,"SignatureType":"sha256WithRSAEncryption"`: {"none", 0},
	} {
		template := parse(t, `{"keyTypes":[{`+combination+`}],"extensions":{"subjectAltName":{"DNS":["a.example"]}}}`)
		for name, key := range keys() {
			csr, der, err := requestFor(template, key, nil, "a.example")
			if name != tt.key {
				if !errors.Is(err, acme.ErrCSRMismatch) {
					t.Errorf("%s with %s: %v", combination, name, err)
				}
				continue
			}
			if err != nil || csr.SignatureAlgorithm != tt.want || template.Check(der) != nil {
				t.Errorf("%s: signed with %v, %v", combination, csr.SignatureAlgorithm, err)
			}
		}
		for name, der := range made {
			csr, err := x509.ParseCertificateRequest(der)
			if err != nil {
				t.Fatal(err)
			}
			fits := name == tt.key && csr.SignatureAlgorithm == tt.want
			if err := template.Check(der); (err == nil) != fits {
				t.Errorf("%s with %s, %v: %v", combination, name, csr.SignatureAlgorithm, err)
			}
		}
	}
}

func make509(t testing.TB, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What a request must not have is found, wherever it is.
func TestCheck(t *testing.T) {
	conformance.Claim(t, "9115-4.1-01", "9115-4.1-02")
	t.Parallel()
	template := parse(t, `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"subject":{"country":"CA","locality":"*","organization":"**"},
		"extensions":{"subjectAltName":{"DNS":["a.example"]},"keyUsage":["digitalSignature"],"extendedKeyUsage":["serverAuth","clientAuth"]}}`)
	key := keys()["P-256"]
	_, good, err := requestFor(template, key, map[string]string{"organization": "O"}, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificateRequest(good)
	if err != nil {
		t.Fatal(err)
	}
	usage, purposes, san := parsed.Extensions[1], parsed.Extensions[2], parsed.Extensions[0]
	other := func(id asn1.ObjectIdentifier, value string) pkix.Extension {
		return pkix.Extension{Id: id, Value: []byte(value)}
	}
	name := func(n pkix.Name) x509.CertificateRequest {
		return x509.CertificateRequest{Subject: n, DNSNames: []string{"a.example"}, ExtraExtensions: []pkix.Extension{usage, purposes}}
	}
	full := pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}}
	with := func(extensions ...pkix.Extension) x509.CertificateRequest {
		return x509.CertificateRequest{Subject: full, DNSNames: []string{"a.example"}, ExtraExtensions: extensions}
	}
	uri, _ := url.Parse("https://example.org")
	for label, tt := range map[string]struct {
		csr  x509.CertificateRequest
		says string // "": it fits
	}{
		"as it should be":           {with(usage, purposes), ""},
		"purposes in another order": {with(usage, other(purposes.Id, "\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01")), ""},
		"upper case":                {x509.CertificateRequest{Subject: full, DNSNames: []string{"A.Example"}, ExtraExtensions: []pkix.Extension{usage, purposes}}, ""},
		"optional field":            {name(pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}, Locality: []string{"L"}}), ""},
		"no country":                {name(pkix.Name{Organization: []string{"O"}}), "country is missing"},
		"another country":           {name(pkix.Name{Country: []string{"US"}, Organization: []string{"O"}}), `country is "US"`},
		"no organization":           {name(pkix.Name{Country: []string{"CA"}}), "organization is missing"},
		"an empty organization":     {name(pkix.Name{Country: []string{"CA"}, Organization: []string{""}}), "organization is empty"},
		"two organizations":         {name(pkix.Name{Country: []string{"CA"}, Organization: []string{"O", "P"}}), "organization is there twice"},
		"a common name":             {name(pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}, CommonName: "x"}), "commonName"},
		"a serial number":           {name(pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}, SerialNumber: "1"}), "2.5.4.5"},
		"another name":              {x509.CertificateRequest{Subject: full, DNSNames: []string{"b.example"}, ExtraExtensions: []pkix.Extension{usage, purposes}}, `"a.example" is missing`},
		"one name more":             {x509.CertificateRequest{Subject: full, DNSNames: []string{"a.example", "b.example"}, ExtraExtensions: []pkix.Extension{usage, purposes}}, `"b.example" is not`},
		"an address":                {x509.CertificateRequest{Subject: full, DNSNames: []string{"a.example"}, IPAddresses: []net.IP{{192, 0, 2, 1}}, ExtraExtensions: []pkix.Extension{usage, purposes}}, "IP addresses"},
		"mail":                      {x509.CertificateRequest{Subject: full, DNSNames: []string{"a.example"}, EmailAddresses: []string{"u@example.org"}, ExtraExtensions: []pkix.Extension{usage, purposes}}, "u@example.org"},
		"a URI":                     {x509.CertificateRequest{Subject: full, DNSNames: []string{"a.example"}, URIs: []*url.URL{uri}, ExtraExtensions: []pkix.Extension{usage, purposes}}, "https://example.org"},
		"no key usage":              {with(purposes), "2.5.29.15 is missing"},
		"another key usage":         {with(other(usage.Id, "\x03\x02\x05\xa0"), purposes), "2.5.29.15"},
		"one purpose":               {with(usage, other(purposes.Id, "\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01")), "2.5.29.37"},
		"no purposes":               {with(usage, other(purposes.Id, "\x05\x00")), "2.5.29.37"},
		"must staple":               {with(usage, purposes, other(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, "\x30\x03\x02\x01\x05")), "1.3.6.1.5.5.7.1.24"},
		"basic constraints":         {with(usage, purposes, other(asn1.ObjectIdentifier{2, 5, 29, 19}, "\x30\x03\x01\x01\xff")), "2.5.29.19"},
		"usage twice":               {with(usage, purposes, usage), ""},
		"another kind of name":      {with(usage, purposes, other(san.Id, "\x30\x1a\x82\x09a.example\xa0\x0d\x06\x03\x2a\x03\x04\xa0\x06\x0c\x04abcd")), "kind 0xa0"},
		"a name of another class":   {with(usage, purposes, other(san.Id, "\x30\x0e\x82\x09a.example\x42\x01x")), "kind 0x42"},
		"a constructed name":        {with(usage, purposes, other(san.Id, "\x30\x10\x82\x09a.example\xa2\x03\x82\x01x")), "kind 0xa2"},
	} {
		der, err := x509.CreateCertificateRequest(rand.Reader, &tt.csr, key)
		if err != nil {
			t.Fatal(label, err)
		}
		err = template.Check(der)
		if label == "usage twice" {
			if err == nil {
				t.Error("an extension that is there twice")
			}
			continue
		}
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, acme.ErrCSRMismatch) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "RFC 9115 §4.1")) {
			t.Errorf("%s: got %v", label, err)
		}
	}
	broken := slices.Clone(good)
	broken[len(broken)-1] ^= 1
	for label, der := range map[string][]byte{"signature": broken, "nothing": nil, "password": withPassword(t, key, usage, purposes), "hidden": withHidden(t, key, usage, purposes)} {
		if err := template.Check(der); !errors.Is(err, acme.ErrCSRMismatch) || label == "password" && !strings.Contains(err.Error(), "1.2.840.113549.1.9.7") || label == "hidden" && !strings.Contains(err.Error(), "1.2.840.113549.1.9.14") {
			t.Errorf("%s: got %v", label, err)
		}
	}
}

// A wildcard stands for a domain name, and for nothing else that a dNSName can hold.
func TestCheckNames(t *testing.T) {
	conformance.Claim(t, "9115-4.1-02")
	t.Parallel()
	template := parse(t, `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"extensions":{"subjectAltName":{"DNS":["**"]}}}`)
	for name, fits := range map[string]bool{
		"a.example": true, "A.Example": true, "*.a.example": true, "xn--bcher-kva.example": true,
		"": false, " ": false, "bad name!": false, "*.*.x": false, "1.2.3.4": false, "**": false, "a.example.": false, "xn--a.example": false,
	} {
		san := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: tlv(0x30, tlv(0x82, []byte(name)))}
		err := template.Check(make509(t, keys()["P-256"], x509.CertificateRequest{ExtraExtensions: []pkix.Extension{san}}))
		if fits && err != nil || !fits && (!errors.Is(err, acme.ErrCSRMismatch) || !strings.Contains(err.Error(), strconv.Quote(name))) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// withPassword makes a request with a challenge password beside its extensions.
func withPassword(t *testing.T, key crypto.Signer, extensions ...pkix.Extension) []byte {
	t.Helper()
	template := x509.CertificateRequest{Subject: pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}}, DNSNames: []string{"a.example"}, ExtraExtensions: extensions}
	//lint:ignore SA1019 there is no other way
	template.Attributes = []pkix.AttributeTypeAndValueSET{{ //nolint:staticcheck // there is no other way
		Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, Value: [][]pkix.AttributeTypeAndValue{{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: "secret"}}},
	}}
	return make509(t, key, template)
}

// withHidden makes a request whose attribute with the extensions has a second list of
// them, which crypto/x509 passes over.
func withHidden(t *testing.T, key crypto.Signer, extensions ...pkix.Extension) []byte {
	t.Helper()
	template := x509.CertificateRequest{Subject: pkix.Name{Country: []string{"CA"}, Organization: []string{"O"}}, DNSNames: []string{"a.example"}, ExtraExtensions: extensions}
	//lint:ignore SA1019 there is no other way
	template.Attributes = []pkix.AttributeTypeAndValueSET{{ //nolint:staticcheck // there is no other way
		Type:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14},
		Value: [][]pkix.AttributeTypeAndValue{{}, {{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: make([]byte, 1000)}}}, // long, so that it is the second in DER
	}}
	return make509(t, key, template)
}

// What crypto/x509 passes over is found in every place of a request: one element more
// than there should be.
func TestCheckIsExact(t *testing.T) {
	conformance.Claim(t, "9115-4.1-01")
	t.Parallel()
	template := parse(t, `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"subject":{"country":"CA","organization":"O"},"extensions":{"subjectAltName":{"DNS":["a.example"]},"keyUsage":["digitalSignature"]}}`)
	key := keys()["P-256"]
	_, good, err := requestFor(template, key, nil, "a.example")
	if err != nil {
		t.Fatal(err)
	}
	elements := inside(t, good) // the request, its algorithm and its signature
	sign := func(info []byte) []byte {
		hash := sha256.Sum256(info)
		signature, err := key.Sign(rand.Reader, hash[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return tlv(0x30, info, elements[1], tlv(3, []byte{0}, signature))
	}
	if err := template.Check(sign(elements[0])); err != nil {
		t.Fatal(err)
	}
	null := []byte{5, 0}
	parameters := append(inside(t, elements[1]), null)
	changed := [][]byte{
		tlv(0x30, elements[0], tlv(0x30, append(parameters, null)...), elements[2]),
		tlv(0x30, elements[0], elements[1], elements[2], null),
	}
	for _, info := range withOneMore(t, elements[0]) {
		changed = append(changed, sign(info))
	}
	for _, der := range changed {
		if err := template.Check(der); !errors.Is(err, acme.ErrCSRMismatch) {
			t.Errorf("%x: got %v", der, err)
		}
	}
	if len(changed) < 15 { // of the subject alone five
		t.Errorf("%d requests were made", len(changed))
	}
}

// withOneMore returns copies of an element, each with a NULL more at the end of
// another sequence or set.
func withOneMore(t *testing.T, der []byte) (copies [][]byte) {
	t.Helper()
	if der[0]&0x20 == 0 { // neither
		return nil
	}
	elements := inside(t, der)
	for i, element := range elements {
		for _, more := range withOneMore(t, element) {
			changed := slices.Clone(elements)
			changed[i] = more
			copies = append(copies, tlv(der[0], changed...))
		}
	}
	return append(copies, tlv(der[0], append(elements, []byte{5, 0})...))
}

// inside returns the elements of one.
func inside(t *testing.T, der []byte) (elements [][]byte) {
	t.Helper()
	var outer, element asn1.RawValue
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	for rest := outer.Bytes; len(rest) > 0; elements = append(elements, element.FullBytes) {
		var err error
		if rest, err = asn1.Unmarshal(rest, &element); err != nil {
			t.Fatal(err)
		}
	}
	return elements
}

// tlv makes an element of its identifier octet and contents.
func tlv(identifier byte, contents ...[]byte) []byte {
	content := slices.Concat(contents...)
	length := []byte{byte(len(content))}
	switch {
	case len(content) > 0xff:
		length = []byte{0x82, byte(len(content) >> 8), byte(len(content))}
	case len(content) > 0x7f:
		length = []byte{0x81, byte(len(content))}
	}
	return slices.Concat([]byte{identifier}, length, content)
}

// A whole order: the delegation is listed and read, the request made of its template
// and checked by a reading of its own, the certificate fetched where no account is
// known.
func TestDelegatedOrder(t *testing.T) {
	conformance.Claim(t, "9115-2.3.2-02", "9115-4.1-01", "9115-4.1-02", "9115-4.1-03")
	t.Parallel()
	ca := acmetest.NewServer(t, acmetest.Options{
		Delegations:         []acmetest.Delegation{{CSRTemplate: string(templateOf(t, "Figure 3"))}, {CSRTemplate: string(templateOf(t, "Figure 10"))}},
		AllowCertificateGet: true,
	})
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient(), UserAgent: "test/1"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	account, err := client.NewAccount(t.Context(), key, acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for url, err := range account.Delegations(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		delegation, err := account.Delegation(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		template, err := csrtemplate.Parse(delegation.CSRTemplate)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
			OrderRequest: acme.OrderRequest{Identifiers: template.Identifiers(), Delegation: delegation.URL},
			CSR:          template.NewCSR(keys()["P-256"], map[string]string{"stateOrProvince": "Ontario", "locality": "Ottawa"}),
		})
		if err != nil || !strings.HasPrefix(cert.URL, "https://issuer.test/") {
			t.Errorf("got %+v, %v", cert, err)
		}
		n++
	}
	if n != 2 || len(ca.Violations()) > 0 {
		t.Errorf("%d delegations, violations %v", n, ca.Violations())
	}
	// A request that breaks the template is one that the owner refuses.
	_, err = account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("abc.ido.example"), Delegation: "https://ca.test/delegation/1"},
		CSR:          acme.NewCSR(keys()["P-256"]),
	})
	if !errors.Is(err, acme.ErrBadCSR) || len(ca.Violations()) != 1 {
		t.Errorf("got %v, violations %v", err, ca.Violations())
	}
}

// A common name that is no host's is a text of the template's or the holder's, and
// one that is counts as such in any case.
func TestCommonName(t *testing.T) {
	t.Parallel()
	const common = `{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"subject":{"commonName":%q},"extensions":{"subjectAltName":{"DNS":["abc.ido.example"]}}}`
	values := []string{"Example CDN", "ABC.ido.example", "abc.ido.example", "other.example"}
	options := acmetest.Options{AllowCertificateGet: true}
	for _, value := range values {
		options.Delegations = append(options.Delegations, acmetest.Delegation{CSRTemplate: fmt.Sprintf(common, value)})
	}
	ca := acmetest.NewServer(t, options)
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient(), UserAgent: "test/1"}
	account, err := client.NewAccount(t.Context(), keys()["P-384"], acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i, value := range values {
		template := parse(t, options.Delegations[i].CSRTemplate)
		_, err := account.Obtain(t.Context(), acme.CertificateRequest{
			OrderRequest: acme.OrderRequest{Identifiers: template.Identifiers(), Delegation: fmt.Sprintf("https://ca.test/delegation/%d", i+1)},
			CSR:          template.NewCSR(keys()["P-256"], nil),
		})
		if value == "other.example" && !errors.Is(err, acme.ErrCSRMismatch) || value != "other.example" && err != nil {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Whatever a server sends: no panic, and a template that is taken can be heeded.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],"subject":{"country":"CA","locality":"**"},"extensions":{"subjectAltName":{"DNS":["a.example","*"],"Email":["u@example.org"],"URI":["urn:x"]},"keyUsage":["digitalSignature"],"extendedKeyUsage":["serverAuth","1.2.3"]}}`))
	f.Add([]byte(`{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],"extensions":{"subjectAltName":{"URI":["HTTPS://u@a.example:8/%3C?#","https://[::1]/","x:"]}}}`))
	f.Add([]byte(`{"keyTypes":[{}],"subject":null,"extensions":{"subjectAltName":null}}`))
	key := keys()["P-256"]
	f.Fuzz(func(t *testing.T, data []byte) {
		template, err := csrtemplate.Parse(data)
		if err != nil {
			if !errors.Is(err, acme.ErrMalformedResponse) || len(err.Error()) > 4<<10 {
				t.Errorf("%v", err)
			}
			return
		}
		template.KeyTypes = append(template.KeyTypes, csrtemplate.KeyType{PublicKeyType: "id-ecPublicKey", NamedCurve: "secp256r1", SignatureType: "ecdsa-with-SHA256"})
		subject := map[string]string{}
		for field, value := range template.Subject {
			if value != csrtemplate.Mandatory {
				continue
			}
			switch subject[field] = "x"; field {
			case "country":
				subject[field] = "CA"
			case "emailAddress":
				subject[field] = "x@example.org"
			}
		}
		ids := template.Identifiers()
		for i, name := range template.DNS {
			if name == csrtemplate.Mandatory {
				ids = append(ids, acme.DNS(strings.Repeat("x", 1+i%60)+strings.Repeat(".y", 1+i/60)+".fuzz.test")...)
			}
		}
		der, err := template.NewCSR(key, subject)(t.Context(), ids)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if err := template.Check(der); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	})
}
