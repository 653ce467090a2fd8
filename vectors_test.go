package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func TestVectorBase64URL(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct{ Octets, Text string }](t, "base64url") {
		octets, err := hex.DecodeString(v.Octets)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decodeBase64URL(v.Text)
		if v.Text == "" {
			err = nil // nothing that is decoded may be empty
		}
		if base64url(octets) != v.Text || err != nil || !bytes.Equal(decoded, octets) {
			t.Errorf("%x: %q, and %q is %x, %v", octets, base64url(octets), v.Text, decoded, err)
		}
	}
}

// The published signatures verify, and those of the library's path to a key are the
// same, or verify too.
func TestVectorSignatures(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name, Alg, Protected, Payload, Signature string
		Deterministic                            bool
		JWK                                      json.RawMessage
	}](t, "signatures") {
		var jwk jose.JSONWebKey
		if err := json.Unmarshal(v.JWK, &jwk); err != nil {
			t.Fatal(err)
		}
		algs := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(v.Alg)}
		verifies := func(signature string) bool {
			key := jwk.Key
			if !jwk.IsPublic() && v.Alg != "HS256" {
				key = jwk.Public().Key
			}
			jws, err := jose.ParseSignedCompact(v.Protected+"."+v.Payload+"."+signature, algs)
			if err != nil {
				return false
			}
			_, err = jws.Verify(key)
			return err == nil
		}
		if !verifies(v.Signature) || v.Deterministic == strings.HasPrefix(v.Alg, "ES") {
			t.Errorf("%s: the signature does not verify, or is one of many", v.Name)
		}
		if v.Alg == "HS256" {
			continue // of a MAC key, see externalaccounts.json
		}
		k := vectorKey(t, v.JWK)
		own, err := k.SignPayload([]byte(v.Protected+"."+v.Payload), k.alg)
		if err != nil || string(k.alg) != v.Alg || v.Deterministic && base64url(own) != v.Signature || !verifies(base64url(own)) {
			t.Errorf("%s: %s, %s, %v", v.Name, k.alg, base64url(own), err)
		}
	}
}

// What is hashed, octet by octet; and what a program gets that strips zeros, as RFC
// 8555 §8.1 reads without its erratum 7565.
func TestVectorThumbprintInputs(t *testing.T) {
	t.Parallel()
	var stripped int
	for _, v := range vectors[struct {
		Name, Input, Thumbprint, Stripped string
		JWK                               json.RawMessage
	}](t, "thumbprints") {
		sum := sha256.Sum256([]byte(v.Input))
		k := vectorKey(t, v.JWK)
		if string(k.jwk) != v.Input || base64url(sum[:]) != v.Thumbprint {
			t.Errorf("%s: %s, and the hash of %s is %s", v.Name, k.jwk, v.Input, base64url(sum[:]))
		}
		if key, ok := k.signer.(*ecdsa.PrivateKey); ok {
			d, err := key.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			if same, err := ecdsa.ParseRawPrivateKey(key.Curve, d); err != nil || !same.PublicKey.Equal(&key.PublicKey) {
				t.Errorf("%s: the private half is another key's, %v", v.Name, err)
			}
		}
		if v.Stripped == "" {
			continue
		}
		stripped++
		var input map[string]string
		if err := json.Unmarshal([]byte(v.Input), &input); err != nil {
			t.Fatal(err)
		}
		for _, coordinate := range []string{"x", "y"} {
			octets, err := base64.RawURLEncoding.DecodeString(input[coordinate])
			if err != nil {
				t.Fatal(err)
			}
			input[coordinate] = base64url(bytes.TrimLeft(octets, "\x00"))
		}
		wrong, err := json.Marshal(input)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(wrong); base64url(sum[:]) != v.Stripped || v.Stripped == v.Thumbprint {
			t.Errorf("%s: stripped %s", v.Name, base64url(sum[:]))
		}
	}
	if stripped < 3 {
		t.Errorf("%d vectors with leading zeros", stripped)
	}
}

// The text of a MAC key is decoded before it is used, which shows in the signature.
func TestVectorUndecodedMACKey(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name, MACKey, KID, URL, Signature, Undecoded string
		JWK                                          json.RawMessage
	}](t, "externalaccounts")[:1] {
		k := vectorKey(t, v.JWK)
		e, err := NewExternalAccount(v.KID, v.MACKey)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			mac  []byte
			want string
		}{{e.MACKey, v.Signature}, {[]byte(v.MACKey), v.Undecoded}} {
			jws, err := k.bind(&ExternalAccount{KeyID: v.KID, MACKey: tt.mac}, v.URL)
			if err != nil {
				t.Fatal(err)
			}
			if got := parseFlattened(t, jws).Signature; got != tt.want {
				t.Errorf("%s: %s, want %s", v.Name, got, tt.want)
			}
		}
	}
}

// The three forms of a date in HTTP, and a number of seconds, in Retry-After.
func TestVectorDates(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Text    string
		Time    time.Time
		Seconds int
	}](t, "dates") {
		now := v.Time.Add(-time.Hour)
		if v.Seconds != 0 {
			now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			v.Time = now.Add(time.Duration(v.Seconds) * time.Second)
		}
		if got := retryAfter(http.Header{"Retry-After": {v.Text}}, now); !got.Equal(v.Time) {
			t.Errorf("%q: %v, want %v", v.Text, got, v.Time)
		}
	}
}

// A page is what a server has at a URL.
type page struct{ body, retryAfter string }

// pages are a server.
type pages map[string]page

func (p pages) RoundTrip(r *http.Request) (*http.Response, error) {
	found, ok := p[r.URL.String()]
	if !ok || r.Method != http.MethodGet {
		return &http.Response{Request: r, StatusCode: http.StatusNotFound, Body: http.NoBody}, nil
	}
	h := http.Header{"Content-Type": {"application/json"}, "Retry-After": {found.retryAfter}}
	return &http.Response{Request: r, StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(strings.NewReader(found.body))}, nil
}

func TestVectorRenewal(t *testing.T) {
	t.Parallel()
	v := vectorObject[struct {
		Certificates []struct {
			Name, Certificate, AuthorityKeyID, Serial, ID, WithoutLeadingZero, RenewalInfo, URL string
		}
		Infos []struct {
			Name, RetryAfter, ExplanationURL string
			Object                           json.RawMessage
			Start, End                       time.Time
			AskAgainAfter                    int
		}
	}](t, "renewal")
	if len(v.Certificates) == 0 || len(v.Infos) == 0 {
		t.Fatal("no vectors")
	}
	for _, c := range v.Certificates {
		block, _ := pem.Decode([]byte(c.Certificate))
		if block == nil {
			t.Fatal(c.Name)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		id, err := NewCertID(cert)
		if err != nil || string(id) != c.ID {
			t.Errorf("%s: %q, %v", c.Name, id, err)
		}
		keyID, serial, err := id.Parse()
		octets, _ := serialOctets(serial)
		if err != nil || hex.EncodeToString(keyID) != c.AuthorityKeyID || hex.EncodeToString(octets) != c.Serial {
			t.Errorf("%s: %x, %x, %v", c.Name, keyID, octets, err)
		}
		// Without the leading zero the number is another one, a negative one.
		wrong := base64url(keyID) + "." + base64url(octets[1:])
		if _, serial, err := CertID(wrong).Parse(); wrong != c.WithoutLeadingZero || err != nil || serial.Sign() >= 0 {
			t.Errorf("%s: %s has the number %v, %v", c.Name, wrong, serial, err)
		}
		for _, i := range v.Infos {
			synctest.Test(t, func(t *testing.T) {
				client := &Client{DirectoryURL: "https://ca.test/directory", HTTPClient: &http.Client{Transport: pages{
					"https://ca.test/directory": {`{"newNonce":"https://ca.test/1","newAccount":"https://ca.test/2","newOrder":"https://ca.test/3","renewalInfo":"` + c.RenewalInfo + `"}`, ""},
					c.URL:                       {string(i.Object), i.RetryAfter},
				}}}
				info, err := client.RenewalInfo(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				again := time.Now().Add(time.Duration(i.AskAgainAfter) * time.Second)
				if !info.Start.Equal(i.Start) || !info.End.Equal(i.End) || info.ExplanationURL != i.ExplanationURL || !info.RetryAfter.Equal(again) || info.ID != id {
					t.Errorf("%s: %+v", i.Name, info)
				}
			})
		}
	}
}

// Examples in the texts that are none: they show how not to read the others.
func TestExamplesThatAreNone(t *testing.T) {
	t.Parallel()
	// RFC 8739 Figure 5 has a directory of a time before RFC 8555.
	client := &Client{DirectoryURL: "https://ca.test/directory", HTTPClient: &http.Client{Transport: pages{
		"https://ca.test/directory": {`{"new-nonce":"https://ca.test/1","new-account":"https://ca.test/2","new-order":"https://ca.test/3","meta":{"auto-renewal":{"min-lifetime":86400,"max-duration":31536000}}}`, ""},
	}}}
	if d, err := client.Directory(t.Context()); !errors.Is(err, ErrMalformedResponse) {
		t.Errorf("a directory with hyphens: %+v, %v", d, err)
	}
	// RFC 8739 §3.1.1 has a type of problem that is not registered.
	if p := new(Problem); p.decode([]byte(`{"type":"urn:ietf:params:acme:error:malformedRequest"}`)) != nil || errors.Is(p, ErrMalformed) {
		t.Errorf("%v", p)
	}
	// RFC 8555 §7.1.2.1 and §7.4 print a comment and a comma that JSON does not have.
	for _, text := range []string{"{\"orders\":[\"https://example.com/acme/order/TOlocE8rfgo\" // two more\n]}", `{"status":"ready",}`} {
		if err := (&listPage{name: "orders"}).decode([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
		if err := new(Order).decode([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	// The times of the order in §7.4 and of its answer are not the same.
	var asked, answered Order
	if asked.decode([]byte(`{"notBefore":"2016-01-01T00:04:00+04:00"}`)) != nil || answered.decode([]byte(`{"notBefore":"2016-01-01T00:00:00Z"}`)) != nil {
		t.Fatal("cannot be read")
	}
	if d := answered.NotBefore.Sub(asked.NotBefore); d != 3*time.Hour+56*time.Minute {
		t.Errorf("the offset does not count: %v", d)
	}
}
