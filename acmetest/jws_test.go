package acmetest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// A forgery starts as a correct newOrder request, and is then spoiled.
type forgery struct {
	header  map[string]any // protected
	payload []byte
	key     any
	alg     jose.SignatureAlgorithm

	body func(flat map[string]string) any // nil: flat itself
	http func(*http.Request)
}

func forge(t *testing.T, c *client) *forgery {
	t.Helper()
	u := c.url(t, "newOrder")
	return &forgery{
		header:  map[string]any{"nonce": c.takeNonce(t), "url": u, "kid": c.kid},
		payload: encode(m{"identifiers": identifiers("example.com")}),
		key:     c.key,
		alg:     algOf(c.key.Public()),
	}
}

func (f *forgery) send(t *testing.T, c *client, url string) *response {
	t.Helper()
	flat := map[string]string{}
	if err := json.Unmarshal(sign(f.key, f.alg, f.header, f.payload), &flat); err != nil {
		t.Fatal(err)
	}
	var body any = flat
	if f.body != nil {
		body = f.body(flat)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(encode(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "forger")
	req.Header.Set("Content-Type", "application/jose+json")
	if f.http != nil {
		f.http(req)
	}
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r := &response{status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&r.object); err != nil {
		t.Fatal(err)
	}
	return r
}

// reheader replaces the protected header by other bytes, which makes the signature wrong too.
func reheader(edit func(h map[string]any)) func(map[string]string) any {
	return func(flat map[string]string) any {
		raw, _ := base64.RawURLEncoding.DecodeString(flat["protected"])
		h := map[string]any{}
		_ = json.Unmarshal(raw, &h)
		edit(h)
		flat["protected"] = b64(encode(h))
		return flat
	}
}

func with(name string, value any) func(map[string]string) any {
	return func(flat map[string]string) any {
		o := map[string]any{name: value}
		for k, v := range flat {
			if _, ok := o[k]; !ok {
				o[k] = v
			}
		}
		return o
	}
}

func without(name string) func(map[string]string) any {
	return func(flat map[string]string) any {
		delete(flat, name)
		return flat
	}
}

func TestJWSViolations(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	tests := []struct {
		name    string
		spoil   func(f *forgery)
		status  int
		problem string
	}{
		{"correct", func(*forgery) {}, 201, ""},
		{"signatures array", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				return m{"payload": flat["payload"], "signatures": []any{m{"protected": flat["protected"], "signature": flat["signature"]}}}
			}
		}, 400, "malformed"},
		{"compact", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				return []byte(flat["protected"] + "." + flat["payload"] + "." + flat["signature"])
			}
		}, 400, "malformed"},
		{"unprotected header", func(f *forgery) { f.body = with("header", m{"foo": "bar"}) }, 400, "malformed"},
		{"empty unprotected header", func(f *forgery) { f.body = with("header", m{}) }, 400, "malformed"},
		{"unknown member", func(f *forgery) { f.body = with("extra", 1) }, 400, "malformed"},
		{"null payload", func(f *forgery) { f.body = with("payload", nil) }, 400, "malformed"},
		{"detached payload", func(f *forgery) { f.body = without("payload") }, 400, "malformed"},
		{"no signature", func(f *forgery) { f.body = without("signature") }, 400, "malformed"},
		{"no protected header", func(f *forgery) { f.body = without("protected") }, 400, "malformed"},
		{"member twice", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				return append([]byte(`{"payload":"",`), encode(flat)[1:]...)
			}
		}, 400, "malformed"},
		{"no JSON", func(f *forgery) { f.body = func(map[string]string) any { return []byte("hello") } }, 400, "malformed"},
		{"empty body", func(f *forgery) { f.body = func(map[string]string) any { return []byte{} } }, 400, "malformed"},
		{"something follows", func(f *forgery) {
			f.body = func(flat map[string]string) any { return append(encode(flat), "{}"...) }
		}, 400, "malformed"},
		{"padding", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				flat["signature"] += "=="
				return flat
			}
		}, 400, "malformed"},
		{"line break in base64url", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				flat["payload"] = flat["payload"][:4] + "\n" + flat["payload"][4:]
				return flat
			}
		}, 400, "malformed"},
		{"bits after the end", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				end := len(flat["signature"]) - 1 // the last of 86 characters has 2 bits of 64 octets
				flat["signature"] = flat["signature"][:end] + map[byte]string{'A': "B", 'Q': "R", 'g': "h", 'w': "x"}[flat["signature"][end]]
				return flat
			}
		}, 400, "malformed"},
		{"standard base64", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				flat["signature"] = "+/+/" + flat["signature"][4:]
				return flat
			}
		}, 400, "malformed"},
		{"short signature", func(f *forgery) {
			f.body = func(flat map[string]string) any {
				flat["signature"] = flat["signature"][:84] // 63 octets
				return flat
			}
		}, 400, "malformed"},
		{"no octet of signature", func(f *forgery) { f.body = with("signature", "") }, 400, "malformed"},
		{"wrong signature", func(f *forgery) { f.key = newKey(t) }, 400, "malformed"},
		{"changed header", func(f *forgery) { f.body = reheader(func(h map[string]any) { h["typ"] = "x" }) }, 400, "malformed"},
		{"alg none", func(f *forgery) { f.body = reheader(func(h map[string]any) { h["alg"] = "none" }) }, 400, "badSignatureAlgorithm"},
		{"alg HS256", func(f *forgery) { f.key, f.alg = make([]byte, 32), jose.HS256 }, 400, "badSignatureAlgorithm"},
		{"alg PS256", func(f *forgery) { f.key, f.alg = rsaKey(t, 2048), jose.PS256 }, 400, "badSignatureAlgorithm"},
		{"no alg", func(f *forgery) { f.body = reheader(func(h map[string]any) { delete(h, "alg") }) }, 400, "badSignatureAlgorithm"},
		{"alg of another key", func(f *forgery) { f.key, f.alg = rsaKey(t, 2048), jose.RS256 }, 400, "badPublicKey"},
		{"b64", func(f *forgery) { f.header["b64"] = true }, 400, "malformed"},
		{"crit", func(f *forgery) { f.header["crit"] = []string{"b64"} }, 400, "malformed"},
		{"no nonce", func(f *forgery) { delete(f.header, "nonce") }, 400, "badNonce"},
		{"empty nonce", func(f *forgery) { f.header["nonce"] = "" }, 400, "badNonce"},
		{"unknown nonce", func(f *forgery) { f.header["nonce"] = "bm9uY2U" }, 400, "badNonce"},
		{"nonce with padding", func(f *forgery) { f.header["nonce"] = "bm9uY2U=" }, 400, "malformed"},
		{"url of another resource", func(f *forgery) { f.header["url"] = c.url(t, "newAccount") }, 401, "unauthorized"},
		{"url in another spelling", func(f *forgery) { f.header["url"] = c.url(t, "newOrder") + "?" }, 401, "unauthorized"},
		{"no url", func(f *forgery) { delete(f.header, "url") }, 401, "unauthorized"},
		{"jwk and kid", func(f *forgery) { f.header["jwk"] = jwkOf(c.key.Public()) }, 400, "malformed"},
		{"jwk in place of kid", func(f *forgery) {
			f.header["jwk"] = jwkOf(c.key.Public())
			delete(f.header, "kid")
		}, 400, "malformed"},
		{"neither jwk nor kid", func(f *forgery) { delete(f.header, "kid") }, 400, "malformed"},
		{"unknown kid", func(f *forgery) { f.header["kid"] = c.kid + "x" }, 400, "accountDoesNotExist"},
		{"kid of another host", func(f *forgery) { f.header["kid"] = strings.Replace(c.kid, "ca.test", "ca.example", 1) }, 400, "accountDoesNotExist"},
		{"no User-Agent", func(f *forgery) { f.http = func(r *http.Request) { r.Header.Del("User-Agent") } }, 400, "malformed"},
		{"Content-Type JSON", func(f *forgery) {
			f.http = func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }
		}, 415, "malformed"},
		{"no Content-Type", func(f *forgery) { f.http = func(r *http.Request) { r.Header.Del("Content-Type") } }, 415, "malformed"},
		{"PUT", func(f *forgery) { f.http = func(r *http.Request) { r.Method = http.MethodPut } }, 405, "malformed"},
		{"not UTF-8", func(f *forgery) { f.payload = []byte("{\"identifiers\":\"\xff\"}") }, 400, "malformed"},
		{"POST-as-GET", func(f *forgery) { f.payload = nil }, 400, "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := forge(t, c)
			tt.spoil(f)
			res := f.send(t, c, c.url(t, "newOrder"))
			if res.status != tt.status || res.problem() != tt.problem {
				t.Errorf("%d %q, want %d %q: %v", res.status, res.problem(), tt.status, tt.problem, res.object)
			}
			nonce := res.header.Get("Replay-Nonce")
			if (nonce == "") != (tt.name == "PUT") {
				t.Errorf("Replay-Nonce %q", nonce)
			}
			if l := res.links("index"); !slices.Equal(l, []string{s.DirectoryURL()}) {
				t.Errorf("index links %v", l)
			}
			if tt.problem == "badSignatureAlgorithm" && !slices.Contains(res.strings("algorithms"), "ES256") {
				t.Errorf("no algorithms in %v", res.object)
			}
		})
	}
}

func TestAccountKeys(t *testing.T) {
	t.Parallel()
	ec := func(curve elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var got acmetest.Validation
	_, c := setup(t, acmetest.Options{Validate: capture(&got)})
	for name, key := range map[string]crypto.Signer{
		"P-256": ec(elliptic.P256()), "P-384": ec(elliptic.P384()), "P-521": ec(elliptic.P521()), "RSA": rsaKey(t, 2048), "Ed25519": ed,
	} {
		other := c.another(t)
		other.key = key
		order := other.register(t).order(t, "example.com")
		other.must(t, http.StatusOK, other.challengeOf(t, order.strings("authorizations")[0], "http-01"), m{})
		if want := got.Token + "." + thumbprintOf(key.Public()); got.KeyAuthorization != want {
			t.Errorf("%s: key authorization %s, want %s", name, got.KeyAuthorization, want)
		}
		f := forge(t, other)
		f.body = with("payload", b64(encode(m{"identifiers": identifiers("example.net")})))
		if res := f.send(t, other, other.url(t, "newOrder")); res.problem() != "malformed" {
			t.Errorf("%s: signature of another payload: %d %v", name, res.status, res.object)
		}
	}
	weak := c.another(t)
	weak.key = rsaKey(t, 1024)
	fips140.WithoutEnforcement(func() { // which signs with no such key
		weak.refused(t, 400, "badPublicKey", weak.url(t, "newAccount"), m{})
	})
}

func TestKeysInHeader(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	newAccount := c.url(t, "newAccount")
	private, err := jose.JSONWebKey{Key: c.key}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	modulus := b64(rsaKey(t, 2048).N.Bytes())
	short := func() json.RawMessage { // erratum 7565: coordinates keep their length
		for {
			key := newKey(t)
			if x := key.X.Bytes(); len(x) < 32 {
				var o map[string]string
				_ = json.Unmarshal(jwkOf(key.Public()), &o)
				o["x"] = b64(x)
				return encode(o)
			}
		}
	}()
	for name, tt := range map[string]struct {
		jwk     any
		problem string
	}{
		"private key":      {json.RawMessage(private), "malformed"},
		"no object":        {"key", "malformed"},
		"null":             {nil, "malformed"},
		"unknown type":     {m{"kty": "XY"}, "badPublicKey"},
		"not on the curve": {m{"kty": "EC", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}, "badPublicKey"},
		"short coordinate": {short, "badPublicKey"},
		"X25519":           {m{"kty": "OKP", "crv": "X25519", "x": b64(make([]byte, 32))}, "badPublicKey"},
		"short Ed25519":    {m{"kty": "OKP", "crv": "Ed25519", "x": b64(make([]byte, 31))}, "badPublicKey"},
		"unknown curve":    {m{"kty": "EC", "crv": "secp256k1", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}, "badPublicKey"},
		"no point":         {m{"kty": "EC", "crv": "P-256"}, "badPublicKey"},
		"wrong type":       {m{"kty": "EC", "crv": "P-256", "x": 1, "y": 2}, "badPublicKey"},
		"no modulus":       {m{"kty": "RSA", "e": "AQAB"}, "badPublicKey"},
		"no exponent":      {m{"kty": "RSA", "n": modulus}, "badPublicKey"},
		"exponent 1":       {m{"kty": "RSA", "n": modulus, "e": "AQ"}, "badPublicKey"},
		"even exponent":    {m{"kty": "RSA", "n": modulus, "e": "BA"}, "badPublicKey"},
		"huge exponent":    {m{"kty": "RSA", "n": modulus, "e": "AQAAAAE"}, "badPublicKey"},
		"even modulus":     {m{"kty": "RSA", "n": modulus[:len(modulus)-1] + "A", "e": "AQAB"}, "badPublicKey"},
		"leading zero":     {m{"kty": "RSA", "n": modulus, "e": "AAEAAQ"}, "badPublicKey"},
	} {
		f := forge(t, c)
		f.body = reheader(func(h map[string]any) {
			delete(h, "kid")
			h["jwk"], h["url"] = tt.jwk, newAccount
		})
		res := f.send(t, c, newAccount)
		invalid := strings.Contains(res.str("detail"), "not a valid public key") // and not: not one for alg
		if res.problem() != tt.problem || invalid != (tt.problem == "badPublicKey") {
			t.Errorf("%s: %d %v", name, res.status, res.object)
		}
	}
	f := forge(t, c)
	f.header["url"] = newAccount
	if res := f.send(t, c, newAccount); res.problem() != "malformed" {
		t.Errorf("newAccount with kid: %v", res.object)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	order := c.order(t, "example.com")
	for _, u := range []string{c.kid, order.header.Get("Location"), c.url(t, "newOrder"), order.strings("authorizations")[0]} {
		res := c.get(t, u)
		if res.status != http.StatusMethodNotAllowed || res.problem() != "malformed" || res.header.Get("Allow") != "POST" {
			t.Errorf("GET %s: %d %s %v", u, res.status, res.problem(), res.header)
		}
	}
	newNonce := c.url(t, "newNonce")
	for method, status := range map[string]int{http.MethodHead: 200, http.MethodGet: 204} {
		res := c.method(t, method, newNonce)
		if res.status != status || len(res.body) != 0 || res.header.Get("Replay-Nonce") == "" ||
			res.header.Get("Cache-Control") != "no-store" || len(res.links("index")) != 1 {
			t.Errorf("%s newNonce: %d %v", method, res.status, res.header)
		}
	}
	if res := c.get(t, "https://ca.test/nothing"); res.status != http.StatusNotFound {
		t.Errorf("unknown: %d", res.status)
	}
	c.refused(t, 404, "malformed", "https://ca.test/nothing", nil)
	// §6.3: these two can be asked by POST-as-GET as well.
	c.must(t, http.StatusOK, newNonce, nil)
	if res := c.must(t, http.StatusOK, "https://ca.test/directory", nil); res.str("newOrder") != c.url(t, "newOrder") {
		t.Errorf("directory: %s", res.body)
	}
}

// A request without a body, which only the in-process transport can bring, is one with an empty body.
func TestPostWithoutBody(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	for i, u := range []string{c.url(t, "newAccount"), s.DirectoryURL(), c.kid, "https://ca.test/certificate/1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Body = nil
		req.Header.Set("Content-Type", "application/jose+json")
		if res, err := c.do(req); err != nil || res.status != 400 || res.problem() != "malformed" || len(s.Violations()) != i+1 {
			t.Errorf("%s: %v, %v, %v", u, res, err, s.Violations())
		}
	}
}
