package acmetest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha3"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// newService makes a hidden service: its key and its name.
func newService(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha3.Sum256(slices.Concat([]byte(".onion checksum"), public, []byte{3}))
	return key, strings.ToLower(base32.StdEncoding.EncodeToString(slices.Concat(public, sum[:2], []byte{3}))) + ".onion"
}

type octets struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte `asn1:"set"`
}

// csrWith makes a CSR with attributes, for the key, signed by the signer.
func csrWith(t *testing.T, key, signer ed25519.PrivateKey, attributes ...octets) []byte {
	t.Helper()
	must := func(der []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	info := must(asn1.Marshal(struct {
		Version    int
		Subject    pkix.RDNSequence
		PublicKey  asn1.RawValue
		Attributes []octets `asn1:"tag:0,set"`
	}{0, nil, asn1.RawValue{FullBytes: must(x509.MarshalPKIXPublicKey(key.Public()))}, attributes}))
	return must(asn1.Marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 112}}, asn1.BitString{Bytes: ed25519.Sign(signer, info), BitLength: 512}}))
}

func TestValidateOnionCSR01(t *testing.T) {
	t.Parallel()
	key, name := newService(t)
	other, otherName := newService(t)
	flipped := string("ab"[strings.Count(name[:1], "a")])
	ours := octets{asn1.ObjectIdentifier{2, 23, 140, 42}, [][]byte{make([]byte, 8)}}
	theirs := octets{asn1.ObjectIdentifier{2, 23, 140, 41}, [][]byte{{0x6c, 0x8e, 0xbf, 0x31, 0x1a, 0x95, 0xe2, 0x0c}}}
	with := func(o octets, values ...[]byte) octets { return octets{o.Type, values} }
	csr := func(der []byte) string { return `{"csr":"` + base64.RawURLEncoding.EncodeToString(der) + `"}` }
	for _, tt := range []struct {
		name, response, says string
	}{
		{name, csr(csrWith(t, key, key, theirs, ours)), ""},
		{"www." + name, csr(csrWith(t, key, key, ours, theirs, octets{asn1.ObjectIdentifier{1, 2, 3}, [][]byte{{1}}})), ""},
		{otherName, csr(csrWith(t, key, key, theirs, ours)), "not that of the onion name"},
		{"example.com", csr(csrWith(t, key, key, theirs, ours)), "no onion address"},
		{flipped + name[1:], csr(csrWith(t, key, key, theirs, ours)), "the checksum in"},
		{name, csr(csrWith(t, other, other, theirs, ours)), "not that of the onion name"},
		{name, csr(csrWith(t, key, other, theirs, ours)), "does not verify"},
		{name, csr(csrWith(t, key, key, ours)), "caSigningNonce is ,"},
		{name, csr(csrWith(t, key, key, theirs)), "has 0 octets"},
		{name, csr(csrWith(t, key, key)), "caSigningNonce is ,"},
		{name, csr(csrWith(t, key, key, theirs, with(ours, make([]byte, 7)))), "has 7 octets"},
		{name, csr(csrWith(t, key, key, with(theirs, []byte("bI6/MRqV4gw=")), ours)), "caSigningNonce is 62"},
		{name, csr(csrWith(t, key, key, theirs, theirs, ours)), "not one value"},
		{name, csr(csrWith(t, key, key, theirs, with(ours, make([]byte, 8), make([]byte, 9)))), "not one value"},
		{name, csr([]byte("no CSR")), "cannot read the CSR"},
		{name, `{"csr":"a="}`, "not base64url"},
		{name, `{"csr":1}`, "wrong type"},
		{name, `{}`, "missing"},
		{name, `{"csr":"","keyAuthorization":""}`, "unknown member"},
		{name, `[]`, "not a JSON object"},
	} {
		err := acmetest.ValidateOnionCSR01(t.Context(), acmetest.Validation{
			Type: "onion-csr-01", Identifier: acmetest.Identifier{Type: "dns", Value: tt.name},
			Challenge: json.RawMessage(`{"nonce":"bI6/MRqV4gw="}`), Response: json.RawMessage(tt.response),
		})
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s with %.200s: %v, want %q", tt.name, tt.response, err, tt.says)
		}
	}
	if err := acmetest.ValidateOnionCSR01(t.Context(), acmetest.Validation{Type: "http-01"}); err == nil {
		t.Error("another type")
	}
}

// The challenge has a nonce and no token; record sets are checked.
func TestOnionOrders(t *testing.T) {
	t.Parallel()
	key, name := newService(t)
	s := acmetest.NewServer(t, acmetest.Options{OnionCAARequired: true})
	c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
	if meta := c.dir["meta"].(map[string]any); meta["inBandOnionCAARequired"] != true {
		t.Errorf("meta %v", meta)
	}
	for _, bad := range []string{"expyuzz4wqqyqhjn.onion", "onion", "www.onion", name[1:], "1" + name[1:]} {
		c.refused(t, 400, "malformed", c.url(t, "newOrder"), m{"identifiers": []m{{"type": "dns", "value": bad}}})
	}
	authz := c.must(t, 200, c.order(t, name).object["authorizations"].([]any)[0].(string), nil)
	first := authz.object["challenges"].([]any)[0].(map[string]any)
	nonce, err := base64.StdEncoding.DecodeString(first["nonce"].(string))
	if _, token := first["token"]; first["type"] != "onion-csr-01" || err != nil || len(nonce) < 8 || token || len(authz.object["challenges"].([]any)) != 3 {
		t.Errorf("%v", authz.object)
	}

	_, order := c.ready(t, "http-01", "www."+name)
	finalize := order.object["finalize"].(string)
	csr := func(key any) string {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"www." + name}}, key)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(der)
	}
	fine := csr(newKey(t))
	signed := func(caa any, after time.Duration) m {
		expiry := time.Now().Add(after).Unix()
		text, _ := caa.(string)
		signature := ed25519.Sign(key, fmt.Appendf(nil, "onion-caa|%d|%s", expiry, text))
		return m{"caa": caa, "expiry": expiry, "signature": base64.RawURLEncoding.EncodeToString(signature)}
	}
	without := func(set m, member string) m {
		maps.DeleteFunc(set, func(k string, _ any) bool { return k == member })
		return set
	}
	changed := func(set m, member string, value any) m {
		set[member] = value
		return set
	}
	record := `caa 128 issue "ca.test; validationmethods=onion-csr-01"`
	for _, tt := range []struct {
		problem string
		caa     any
	}{
		{"onionCAARequired", nil},
		{"onionCAARequired", m{}},
		{"onionCAARequired", m{"www." + name: signed(nil, time.Hour)}},
		{"malformed", []string{}},
		{"malformed", m{name: signed(nil, time.Hour), "other.onion": signed(nil, time.Hour)}},
		{"malformed", m{name: signed("", time.Hour)}},
		{"malformed", m{name: signed("0 issue x", time.Hour)}},
		{"malformed", m{name: signed(record+"\n", time.Hour)}},
		{"malformed", m{name: signed(record, 9*time.Hour)}},
		{"malformed", m{name: signed(record, -time.Hour)}},
		{"malformed", m{name: changed(signed(record, time.Hour), "caa", nil)}},
		{"malformed", m{name: changed(signed(record, time.Hour), "signature", "AAAA")}},
		{"malformed", m{name: changed(signed(record, time.Hour), "expiry", "1")}},
		{"malformed", m{name: changed(signed(record, time.Hour), "more", 1)}},
		{"malformed", m{name: without(signed(record, time.Hour), "caa")}},
		{"malformed", m{name: without(signed(record, time.Hour), "expiry")}},
		{"malformed", m{name: without(signed(record, time.Hour), "signature")}},
	} {
		body := m{"csr": fine}
		if tt.caa != nil {
			body["onionCAA"] = tt.caa
		}
		status := map[string]int{"onionCAARequired": 403}[tt.problem]
		c.refused(t, max(status, 400), tt.problem, finalize, body)
	}
	c.refused(t, 400, "badCSR", finalize, m{"csr": csr(key), "onionCAA": m{name: signed(record, time.Hour)}})
	c.must(t, 200, finalize, m{"csr": fine, "onionCAA": m{name: signed(record+"\n"+`caa 0 iodef "mailto:a@example.com"`, 7*time.Hour)}})
}
