package onioncsr01_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// vectors is testdata/vectors/onion.json.
func vectors(t *testing.T) (v struct {
	Addresses []struct{ Address, Key string }
	Nonces    []struct{ Nonce, Octets string }
	CAA       []struct {
		Address   string
		Expiry    int64
		Records   *string `json:"caa"`
		Signed    string
		Signature string
		Printed   string // in the RFC, after the signature was made
	}
}) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/onion.json")
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil || len(v.Addresses) == 0 || len(v.Nonces) == 0 || len(v.CAA) == 0 {
		t.Fatalf("%v, %+v", err, v)
	}
	return v
}

// challenge is an onion-csr-01 challenge with members.
func challenge(members string) *acme.Challenge {
	return &acme.Challenge{URL: "https://ca.example/1", Type: acme.OnionCSR01, Raw: json.RawMessage("{" + members + "}")}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Addresses {
		key, err := onioncsr01.ParseAddress("www." + v.Address)
		if err != nil || fmt.Sprintf("%x", []byte(key)) != v.Key || onioncsr01.Address(key) != v.Address {
			t.Errorf("%s: %x, %v", v.Address, key, err)
		}
	}
	if _, err := onioncsr01.ParseAddress("example.com"); err == nil || !strings.Contains(err.Error(), `"example.com"`) {
		t.Error(err)
	}
}

func TestNonce(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Nonces {
		for _, nonce := range []string{v.Nonce, strings.TrimRight(v.Nonce, "="), strings.ReplaceAll(v.Nonce, "/", "_")} {
			if got, err := onioncsr01.Nonce(challenge(`"nonce":"` + nonce + `"`)); err != nil || fmt.Sprintf("%x", got) != v.Octets {
				t.Errorf("%s: %x, %v", nonce, got, err)
			}
		}
	}
	for members, says := range map[string]string{
		"":                          "0 octets",
		`"nonce":null`:              "0 octets",
		`"nonce":1`:                 "no nonce",
		`"nonce":"bI6/MRqV4g=="`:    "7 octets",
		`"nonce":"bI6/MRqV4gw= a"`:  "no base64",
		`"nonce":"bI6/MR\nqV4gw="`:  "no base64",
		`"nonce":"bI6=/MRqV4gwbbb"`: "no base64",
		`"nonce":"` + strings.Repeat("a", 2000) + `"`: "2000 characters",
	} {
		if got, err := onioncsr01.Nonce(challenge(members)); err == nil || got != nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "https://ca.example/1") {
			t.Errorf("%.100s: %x, %v", members, got, err)
		}
	}
	if _, err := onioncsr01.Nonce(&acme.Challenge{}); err == nil {
		t.Error("a challenge that was not read")
	}
}

func TestAuthKey(t *testing.T) {
	t.Parallel()
	const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" // RFC 8037 Appendix A.2
	key, err := onioncsr01.AuthKey(challenge(`"authKey":{"kty":"OKP","crv":"Ed25519","x":"` + x + `","use":"sig"}`))
	if err != nil || fmt.Sprintf("%x", []byte(key)) != "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a" {
		t.Errorf("%x, %v", key, err)
	}
	for _, none := range []string{"", `"authKey":null`} {
		if key, err := onioncsr01.AuthKey(challenge(none)); key != nil || err != nil {
			t.Errorf("%s: %x, %v", none, key, err)
		}
	}
	for _, bad := range []string{
		`"authKey":"` + x + `"`, `"authKey":{}`, `"authKey":{"kty":"OKP","crv":"X25519","x":"` + x + `"}`, `"authKey":{"kty":"EC","crv":"Ed25519","x":"` + x + `"}`,
		`"authKey":{"kty":"OKP","crv":"Ed25519","x":"` + x + `="}`, `"authKey":{"kty":"OKP","crv":"Ed25519","x":"` + x[:40] + `"}`, `"authKey":{"kty":"OKP","crv":"Ed25519","x":1}`,
	} {
		if key, err := onioncsr01.AuthKey(challenge(bad)); key != nil || err == nil || !strings.Contains(err.Error(), "https://ca.example/1") {
			t.Errorf("%s: %x, %v", bad, key, err)
		}
	}
}

// attributesOf returns the octet strings in the attributes of a CSR, by object
// identifier.
func attributesOf(t *testing.T, der []byte) map[string][]byte {
	t.Helper()
	var csr struct {
		Info struct {
			Version    int
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Attributes asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &csr); err != nil || len(rest) > 0 || csr.Info.Version != 0 || csr.Info.Attributes.FullBytes[0] != 0xa0 {
		t.Fatalf("%x: %v", der, err)
	}
	attributes := map[string][]byte{}
	for rest := csr.Info.Attributes.Bytes; len(rest) > 0; {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		}
		var err error
		if rest, err = asn1.Unmarshal(rest, &a); err != nil || len(a.Values) != 1 || a.Values[0].Tag != asn1.TagOctetString {
			t.Fatalf("%x: %v, %+v", der, err, a)
		}
		attributes[a.Type.String()] = a.Values[0].Bytes
	}
	return attributes
}

func TestNewCSR(t *testing.T) {
	conformance.Claim(t, "9799-3.2-04", "9799-3.2-05")
	t.Parallel()
	key := onionKeys()[0]
	own := map[string]bool{}
	for range 3 {
		nonce := []byte{0x6c, 0x8e, 0xbf, 0x31, 0x1a, 0x95, 0xe2, 0x0c}
		der, err := onioncsr01.NewCSR(key, nonce)
		if err != nil {
			t.Fatal(err)
		}
		attributes := attributesOf(t, der)
		applicant := attributes["2.23.140.42"]
		if len(attributes) != 2 || !bytes.Equal(attributes["2.23.140.41"], nonce) || len(applicant) < 8 || own[string(applicant)] {
			t.Errorf("attributes %x, nonces before %d", attributes, len(own))
		}
		own[string(applicant)] = true
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := csr.CheckSignature(); err != nil || !key.Public().(ed25519.PublicKey).Equal(csr.PublicKey) || csr.Subject.String() != "" {
			t.Errorf("%v, %v, %s", err, csr.PublicKey, csr.Subject)
		}
	}
}

// A signer is a key that may not work.
type signer struct {
	crypto.Signer
	wrong bool
	err   error
}

func (s signer) Sign(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.Signer.Sign(r, message, opts)
	if s.wrong {
		signature[0] ^= 1
	}
	return signature, errors.Join(err, s.err)
}

func TestKeysThatDoNotSign(t *testing.T) {
	t.Parallel()
	key := onionKeys()[0]
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	errLocked := errors.New("locked")
	for _, tt := range []struct {
		key  crypto.Signer
		says string
	}{
		{nil, "no key"},
		{p256, "has an Ed25519 key, not *ecdsa.PublicKey"},
		{signer{key, true, nil}, "do not verify"},
		{signer{key, false, errLocked}, "signing with the key of " + onioncsr01.Address(key.Public().(ed25519.PublicKey))},
	} {
		csr, err := onioncsr01.NewCSR(tt.key, make([]byte, 8))
		if err == nil || csr != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%T: %x, %v", tt.key, csr, err)
		}
		c, err := onioncsr01.SignCAA(tt.key, nil, time.Unix(1, 0))
		if err == nil || c != (onioncsr01.CAA{}) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%T: %v, %v", tt.key, c, err)
		}
	}
	if _, err := onioncsr01.NewCSR(signer{key, false, errLocked}, nil); !errors.Is(err, errLocked) {
		t.Error(err)
	}
	solver := onioncsr01.Solver{Keys: []crypto.Signer{nil, p256}} // one that could not be loaded
	if solver.Supports(challengetest.NewAttempt(acme.OnionCSR01, acme.DNS(onioncsr01.Address(key.Public().(ed25519.PublicKey)))[0], "")) {
		t.Error("without the key")
	}
}

// The example of RFC 9799 §6.4.2, as the author signed it.
func TestCAAVector(t *testing.T) {
	conformance.Claim(t, "9799-6.4-03")
	t.Parallel()
	for _, v := range vectors(t).CAA {
		c := onioncsr01.CAA{Records: v.Records, Expiry: v.Expiry, Signature: v.Signature}
		set, err := c.Verify(v.Address)
		if err != nil {
			t.Fatal(err)
		}
		printed := onioncsr01.CAA{Records: &v.Printed, Expiry: v.Expiry, Signature: v.Signature}
		if _, err := printed.Verify(v.Address); err == nil || v.Printed == "" {
			t.Errorf("%q verifies", v.Printed)
		}
		want := []caa.Record{
			{Flags: caa.FlagCritical, Tag: caa.TagIssue, Value: "test.acmeforonions.org; validationmethods=onion-csr-01"},
			{Tag: caa.TagIodef, Value: "mailto:example@example.com"},
		}
		if fmt.Sprint(set) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", set, want)
		}
		key, err := onioncsr01.ParseAddress(v.Address)
		if err != nil {
			t.Fatal(err)
		}
		// The same by hand, and in other words the text that is signed.
		c2, err := onioncsr01.SignCAA(spy{key, t, v.Signed}, want, time.Unix(v.Expiry, 0))
		if err == nil || c2 != (onioncsr01.CAA{}) {
			t.Errorf("a signature without a key: %v", c2)
		}
		c.Signature += "==" // as the RFC prints it
		if _, err := c.Verify(v.Address); err != nil {
			t.Error(err)
		}
		c.Expiry++
		if _, err := c.Verify(v.Address); err == nil || !strings.Contains(err.Error(), v.Address) {
			t.Errorf("another expiry: %v", err)
		}
	}
}

// A spy sees what it is to sign, and does not.
type spy struct {
	public ed25519.PublicKey
	t      *testing.T
	want   string
}

func (s spy) Public() crypto.PublicKey { return s.public }

func (s spy) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	if string(message) != s.want {
		s.t.Errorf("signed %q, want %q", message, s.want)
	}
	return make([]byte, 64), nil
}

func TestSignCAA(t *testing.T) {
	t.Parallel()
	key := onionKeys()[0]
	name := onioncsr01.Address(key.Public().(ed25519.PublicKey))
	none, err := onioncsr01.SignCAA(key, nil, time.Unix(1<<40, 999))
	if err != nil {
		t.Fatal(err)
	}
	if set, err := none.Verify("www." + name); err != nil || set != nil || none.Records != nil || none.Expiry != 1<<40 {
		t.Errorf("%v, %v", set, err)
	}
	if data, err := json.Marshal(none); err != nil || !strings.HasPrefix(string(data), `{"caa":null,"expiry":1099511627776,"signature":"`) || strings.Contains(string(data), "=") {
		t.Errorf("%s, %v", data, err)
	}
	if !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("onion-caa|1099511627776|"), decode(t, none.Signature)) {
		t.Error("the signature of no records")
	}
	odd := []caa.Record{{Tag: caa.TagIssue, Value: "a\n\"b|\\"}, {Tag: "contactemail", Value: "a@b.example"}}
	c, err := onioncsr01.SignCAA(key, odd, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if set, err := c.Verify(name); err != nil || fmt.Sprint(set) != fmt.Sprint(odd) || strings.Count(*c.Records, "\n") != 1 {
		t.Errorf("%v, %v", set, err)
	}
	if _, err := onioncsr01.SignCAA(key, []caa.Record{{Tag: "a b"}}, time.Unix(1, 0)); err == nil {
		t.Error("a record that is none")
	}
	if _, err := onioncsr01.SignCAA(key, nil, time.Time{}); err == nil {
		t.Error("an expiry before 1970")
	}
	if _, err := none.Verify("example.com"); err == nil {
		t.Error("a name that is no onion name")
	}
	for _, text := range []string{"", "caa", "CAA 0 issue \"a\"", "caa 0 issue", "caa 0 issue \"a\"\n\ncaa 0 issue \"a\""} {
		bad := onioncsr01.CAA{Records: &text, Expiry: 1}
		bad.Signature = encode(ed25519.Sign(key, []byte("onion-caa|1|"+text)))
		if set, err := bad.Verify(name); err == nil || set != nil || strings.Contains(err.Error(), "not signed") {
			t.Errorf("%q: %v, %v", text, set, err)
		}
	}
}

func TestCAARequired(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`{"inBandOnionCAARequired":true}`: true, `{"onionCAARequired":true}`: true, `{"onionCAARequired":false,"inBandOnionCAARequired":true}`: true,
		`{"inBandOnionCAARequired":false}`: false, `{"inBandOnionCAARequired":"true"}`: false, `{"onionCAARequired":1,"inBandOnionCAARequired":true}`: true, `{}`: false, ``: false, `[]`: false,
	} {
		if got := onioncsr01.CAARequired(acme.DirectoryMeta{Raw: json.RawMessage(raw)}); got != want {
			t.Errorf("%s: %t", raw, got)
		}
	}
}

// What a solver does not have it does not sign with.
func TestRefusals(t *testing.T) {
	t.Parallel()
	keys := onionKeys()
	name := func(i int) string { return onioncsr01.Address(keys[i].Public().(ed25519.PublicKey)) }
	solver := onioncsr01.Solver{Keys: []crypto.Signer{keys[0]}, Authorize: func(_ context.Context, address string, key ed25519.PublicKey) error {
		return fmt.Errorf("no descriptor for %s and %x", address, key[:2])
	}}
	authorized := challengetest.NewAttempt(acme.OnionCSR01, acme.DNS("www." + name(0))[0], "12345678")
	authorized.Challenge.Raw = json.RawMessage(`{"nonce":"bI6/MRqV4gw=","authKey":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`)
	badKey := challengetest.NewAttempt(acme.OnionCSR01, acme.DNS(name(0))[0], "12345678")
	badKey.Challenge.Raw = json.RawMessage(`{"nonce":"bI6/MRqV4gw=","authKey":{}}`)
	for says, a := range map[string]*acme.Attempt{
		"no key of this service": challengetest.NewAttempt(acme.OnionCSR01, acme.DNS(name(1))[0], "12345678"),
		"7 octets":               challengetest.NewAttempt(acme.OnionCSR01, acme.DNS(name(0))[0], "1234567"),
		"authorizing the server's key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo: no descriptor for " + name(0) + " and d75a": authorized,
		"no Ed25519 key": badKey,
	} {
		cleanup, err := solver.Present(t.Context(), []*acme.Attempt{a})
		if err == nil || cleanup != nil || a.Response != nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "onion-csr-01 for ") {
			t.Errorf("%s: %v", says, err)
		}
	}
	extra := solver.OnionCAA(nil)
	if members, err := extra(t.Context(), acme.DNS("example.com")); members != nil || err != nil {
		t.Errorf("%v, %v", members, err)
	}
	if members, err := extra(t.Context(), acme.DNS(name(0), name(1))); members != nil || err == nil || !strings.Contains(err.Error(), name(1)) {
		t.Errorf("%v, %v", members, err)
	}
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
