package acme

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// passTime lets synthetic time pass.
func passTime(d time.Duration) { <-time.After(d) }

// vectorObject reads testdata/vectors/name.json.
func vectorObject[T any](t *testing.T, name string) (v T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func vectors[T any](t *testing.T, name string) []T {
	t.Helper()
	v := vectorObject[[]T](t, name)
	if len(v) == 0 {
		t.Fatal("no vectors")
	}
	return v
}

// A publicSigner has a public key alone.
type publicSigner struct{ pub crypto.PublicKey }

func (s publicSigner) Public() crypto.PublicKey { return s.pub }
func (s publicSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

// vectorKey makes a signing key of a JWK, which may have no private half.
func vectorKey(t *testing.T, raw json.RawMessage) *signingKey {
	t.Helper()
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(raw, &jwk); err != nil {
		t.Fatal(err)
	}
	var signer crypto.Signer
	switch key := jwk.Key.(type) {
	case crypto.Signer:
		signer = key
	default:
		signer = publicSigner{key}
	}
	k, err := newSigningKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	k.rand = nil // for deterministic signatures (RFC 6979)
	return k
}

func TestVectorThumbprints(t *testing.T) {
	conformance.Claim(t, "7518-6.2.1-01", "7518-6.3.1-01", "7638-3-01", "7638-3.2.1-01")
	t.Parallel()
	for _, v := range vectors[struct {
		Name, Thumbprint string
		JWK              json.RawMessage
	}](t, "thumbprints") {
		if got := vectorKey(t, v.JWK).thumbprint; got != v.Thumbprint {
			t.Errorf("%s: %s, want %s", v.Name, got, v.Thumbprint)
		}
	}
	for _, v := range vectors[struct{ JWK json.RawMessage }](t, "requests") { // private keys
		k := vectorKey(t, v.JWK)
		public, err := newSigningKey(publicSigner{k.signer.Public()})
		if err != nil || public.thumbprint != k.thumbprint {
			t.Errorf("%s: its public half has another thumbprint: %v", k.thumbprint, err)
		}
	}
}

func TestVectorKeyAuthorizations(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name, Token, KeyAuthorization, DNS01, AcmeIdentifier string
		JWK                                                  json.RawMessage
	}](t, "keyauthorizations") {
		a := &Account{key: vectorKey(t, v.JWK)}
		k := a.KeyAuthorization(v.Token)
		digest := k.Digest()
		if string(k) != v.KeyAuthorization || base64url(digest[:]) != v.DNS01 || "0420"+hex.EncodeToString(digest[:]) != v.AcmeIdentifier {
			t.Errorf("%s: got %q, %x", v.Name, string(k), digest)
		}
	}
}

type flattened struct{ Protected, Payload, Signature string }

func parseFlattened(t *testing.T, jws []byte) flattened {
	t.Helper()
	var all map[string]string
	if err := json.Unmarshal(jws, &all); err != nil || len(all) != 3 {
		t.Fatalf("%s: not exactly protected, payload and signature: %v", jws, err)
	}
	return flattened{all["protected"], all["payload"], all["signature"]}
}

func TestVectorRequests(t *testing.T) {
	conformance.Claim(t, "7515-5.1-01", "8037-2-01", "8037-3.1-01")
	t.Parallel()
	for _, v := range vectors[struct {
		Name, URL, Nonce, KID, Payload, Protected, Signature string
		JWK                                                  json.RawMessage
	}](t, "requests") {
		jws, err := vectorKey(t, v.JWK).sign([]byte(v.Payload), v.URL, v.Nonce, v.KID)
		if err != nil {
			t.Fatal(err)
		}
		got := parseFlattened(t, jws)
		if got.Signature != v.Signature || got.Payload != base64url([]byte(v.Payload)) || v.Protected != "" && got.Protected != v.Protected {
			t.Errorf("%s: got %+v", v.Name, got)
		}
	}
}

func TestVectorExternalAccounts(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name, MACKey, KID, Alg, URL, Protected, Payload, Signature string
		JWK                                                        json.RawMessage
	}](t, "externalaccounts") {
		mac, err := base64.RawURLEncoding.DecodeString(v.MACKey)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := vectorKey(t, v.JWK).bind(&ExternalAccount{KeyID: v.KID, MACKey: mac, Algorithm: v.Alg}, v.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseFlattened(t, jws); got != (flattened{v.Protected, v.Payload, v.Signature}) {
			t.Errorf("%s: got %+v", v.Name, got)
		}
	}
}

func TestVectorKeyChanges(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Name, Account, URL, Protected, Payload, Signature string
		JWK, OldKey                                       json.RawMessage
	}](t, "keychanges") {
		jws, err := vectorKey(t, v.JWK).changeFrom(vectorKey(t, v.OldKey), v.Account, v.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseFlattened(t, jws); got != (flattened{v.Protected, v.Payload, v.Signature}) {
			t.Errorf("%s: got %+v", v.Name, got)
		}
	}
}

// Signatures of all curves have a fixed width, also those of a key store
// (acmez sent ASN.1), and verify.
func TestSignatures(t *testing.T) {
	conformance.Claim(t, "7518-3.4-01")
	t.Parallel()
	for curve, size := range map[elliptic.Curve]int{elliptic.P256(): 64, elliptic.P384(): 96, elliptic.P521(): 132} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k, err := newSigningKey(struct{ crypto.Signer }{key})
		if err != nil {
			t.Fatal(err)
		}
		jws, err := k.sign([]byte("payload"), "u", "n", "k")
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.RawURLEncoding.DecodeString(parseFlattened(t, jws).Signature)
		if err != nil || len(sig) != size {
			t.Fatalf("%s: signature of %d octets: %v", curve.Params().Name, len(sig), err)
		}
		obj, err := jose.ParseSignedJSON(string(jws), []jose.SignatureAlgorithm{k.alg})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := obj.Verify(key.Public()); err != nil {
			t.Fatal(err)
		}
		// One signature in 128 has leading zeros, which must stay.
		k.signer = brokenSigner{Signer: key, sig: []byte{0x30, 7, 2, 1, 5, 2, 2, 1, 7}}
		short, err := k.SignPayload(nil, k.alg)
		want := make([]byte, size)
		want[size/2-1], want[size-2], want[size-1] = 5, 1, 7
		if err != nil || !bytes.Equal(short, want) {
			t.Errorf("%s: short numbers gave %x: %v", curve.Params().Name, short, err)
		}
	}
}

// brokenSigner is a key store that does what it should not.
type brokenSigner struct {
	crypto.Signer
	sig []byte
	err error
}

func (s brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return s.sig, s.err }

func TestBrokenSigners(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	offline := errors.New("token removed")
	for name, s := range map[string]brokenSigner{
		"error":        {err: offline},
		"empty":        {},
		"raw":          {sig: make([]byte, 64)},
		"zero":         {sig: []byte{0x30, 6, 2, 1, 0, 2, 1, 1}},
		"negative":     {sig: []byte{0x30, 6, 2, 1, 0xff, 2, 1, 1}},
		"too long":     {sig: append([]byte{0x30, 38, 2, 33, 1}, append(make([]byte, 32), 2, 1, 1)...)},
		"rest":         {sig: []byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}},
		"not a number": {sig: []byte{0x30, 4, 4, 0, 2, 0}},
	} {
		s.Signer = key
		k, err := newSigningKey(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.sign(nil, "u", "n", "k"); err == nil || s.err != nil && !errors.Is(err, s.err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A messageSigner hashes by itself, as key stores do for Ed25519.
type messageSigner struct {
	ed25519.PrivateKey
	called *bool
}

func (s messageSigner) SignMessage(r io.Reader, msg []byte, opts crypto.SignerOpts) ([]byte, error) {
	*s.called = true
	return s.PrivateKey.Sign(r, msg, opts)
}

func TestMessageSigner(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var called bool
	k, err := newSigningKey(messageSigner{key, &called})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.sign(nil, "u", "n", "k"); err != nil || !called {
		t.Errorf("SignMessage called: %v, error %v", called, err)
	}
}

func TestUnsupportedKeys(t *testing.T) {
	conformance.Claim(t, "7518-3.3-01")
	t.Parallel()
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var noKey *ecdsa.PrivateKey
	weak := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2046), E: 65537} // of 2047 bits
	for name, tt := range map[string]struct {
		key  crypto.Signer
		want error
		text string
	}{
		"nil":         {nil, ErrNoKey, "no key"},
		"nil pointer": {noKey, ErrNoKey, "no key"},
		"P-224":       {p224, ErrUnsupportedKey, "not ECDSA on another curve"},
		"short RSA":   {publicSigner{weak}, ErrUnsupportedKey, "not RSA of 2047 bits"},
		"empty RSA":   {publicSigner{&rsa.PublicKey{}}, ErrUnsupportedKey, "not RSA without a modulus"},
		"unknown":     {publicSigner{"key"}, ErrUnsupportedKey, "not string"},
		"nothing":     {publicSigner{nil}, ErrUnsupportedKey, "not <nil>"},
	} {
		if _, err := newSigningKey(tt.key); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want %v, with %q", name, err, tt.want, tt.text)
		}
	}
}

func TestNoncePool(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p noncePool
		if got := p.take(); got != "" {
			t.Errorf("empty pool gave %q", got)
		}
		for i := range maxNonces + 10 {
			p.put(fmt.Sprintf("n%d", i))
		}
		for _, bad := range []string{"", "a=", "a b", "a\n", strings.Repeat("x", maxNonceOctets+1)} {
			p.put(bad)
		}
		for i := range maxNonces {
			if got, want := p.take(), fmt.Sprintf("n%d", maxNonces+9-i); got != want {
				t.Fatalf("take %d: %q, want the newest, %q", i, got, want)
			}
		}
		if got := p.take(); got != "" {
			t.Errorf("the pool held more than %d: %q", maxNonces, got)
		}
		p.put("old")
		passTime(maxNonceAge + 1)
		if got := p.take(); got != "" {
			t.Errorf("a nonce of over an hour was given out: %q", got)
		}
	})
}

func TestNoncePoolConcurrency(t *testing.T) {
	t.Parallel()
	var p noncePool
	var mu sync.Mutex
	owners := map[string]int{}
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := range 100 {
				p.put(fmt.Sprintf("%d-%d", g, i))
				if n := p.take(); n != "" {
					mu.Lock()
					owners[n]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	for n, count := range owners {
		if count != 1 {
			t.Errorf("nonce %s has %d owners", n, count)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	conformance.Claim(t, "9110-10.2.3-01", "9110-5.6.7-01")
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"120", "", 2 * time.Minute},
		{" 120 ", "", 2 * time.Minute},
		{"0", "", 0},
		{"-5", "", 0},
		{"1.5", "", 0},
		{"abc", "", 0},
		{"31536000", "", maxRetryAfter},
		{"9223372036854775807", "", maxRetryAfter},
		{"9223372036854775808", "", maxRetryAfter},
		{"-9223372036854775809", "", 0},
		{"Fri, 02 Jan 2026 03:05:05 GMT", "", time.Minute},
		{"Fri, 02 Jan 2026 03:05:05 GMT", "rubbish", time.Minute},
		{"Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:05:00 GMT", 5 * time.Second},
		{"Friday, 02-Jan-26 03:05:05 GMT", "Fri, 02 Jan 2026 03:05:00 GMT", 5 * time.Second},
		{"Fri Jan  2 03:05:05 2026", "Fri, 02 Jan 2026 03:05:00 GMT", 5 * time.Second},
		{"Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:05:05 GMT", 0},
		{"Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:06:00 GMT", 0},
		{"Sat, 02 Jan 2027 03:05:05 GMT", "Fri, 02 Jan 2026 03:05:00 GMT", maxRetryAfter},
		{"Sun, 06 Nov 1994 08:49:37 GMT", "", 0},
	} {
		h := http.Header{"Retry-After": {tt.value}, "Date": {tt.date}}
		var want time.Time
		if tt.want != 0 {
			want = now.Add(tt.want)
		}
		if got := retryAfter(h, now); !got.Equal(want) {
			t.Errorf("Retry-After %q, Date %q: %v, want %v", tt.value, tt.date, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Fri, 02 Jan 2026 03:05:05 GMT", "Fri, 02 Jan 2026 03:05:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		got := retryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, now)
		if !got.IsZero() && (!got.After(now) || got.After(now.Add(maxRetryAfter))) {
			t.Errorf("%q, %q: %v", value, date, got)
		}
	})
}

func TestPollInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 1000 {
			last := time.Duration(0)
			for n := range 30 {
				d := pollInterval(n, time.Time{})
				if d > maxPoll || d < 50*time.Millisecond || d < last/2 {
					t.Fatalf("interval %d is %v after %v", n, d, last)
				}
				last = d
			}
			for _, want := range []time.Duration{time.Millisecond, time.Second, time.Hour, maxRetryAfter} {
				if d := pollInterval(20, time.Now().Add(want)); d < want || d > want*110/100 {
					t.Fatalf("Retry-After %v: interval %v", want, d)
				}
			}
			if d := pollInterval(0, time.Now().Add(-time.Hour)); d > firstPoll {
				t.Fatalf("Retry-After in the past: interval %v", d)
			}
		}
	})
}

func TestRateLimitMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l rateLimits
		limit := func(n int, d time.Duration) {
			l.remember(limitKey{op: Operation(fmt.Sprint(n))}, &Problem{RetryAfter: time.Now().Add(d)})
		}
		for i := range 2 * maxRateLimits {
			limit(i, time.Hour)
		}
		if len(l.m) != maxRateLimits {
			t.Errorf("%d limits remembered, want %d", len(l.m), maxRateLimits)
		}
		passTime(2 * time.Hour)
		limit(-1, time.Hour)
		if len(l.m) != 1 {
			t.Errorf("%d limits remembered, want the old ones to be forgotten", len(l.m))
		}
	})
}

func FuzzNonce(f *testing.F) {
	f.Add("6S8IqOGY7eL2lsGoTZYifg")
	f.Add("a=")
	f.Fuzz(func(t *testing.T, s string) {
		var p noncePool
		p.put(s)
		got := p.take()
		if got != "" && (got != s || s == "" || strings.ContainsAny(s, "=+/ \r\n")) {
			t.Errorf("%q was taken for a nonce", s)
		}
	})
}
