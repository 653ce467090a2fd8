package acme_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"hash"
	"io"
	"maps"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// What RFC 8555 asks of messages (§5, §6), checked on what leaves the Client,
// without the help of the library or of acmetest.

// A message is a request as it left the Client, and what came back.
type message struct {
	op      acme.Operation
	method  string
	url     string // scheme, Host and request target
	header  http.Header
	body    []byte
	signer  crypto.PublicKey // the account's key when it was sent
	account string           // the account's URL
	status  int              // of the answer, 0 if it was lost
	nonce   string           // that came with the answer
}

// A tap notes what a Client sends.
type tap struct {
	mu       sync.Mutex
	messages []*message
}

// tap puts a tap between the fixture's Client, which must not have sent
// anything, and the CA.
func (f *fixture) tap() *tap {
	t := new(tap)
	next := f.ca.Transport()
	f.client.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		m := &message{
			op: acme.OperationOf(r.Context()), method: r.Method, url: r.URL.Scheme + "://" + r.Host + r.URL.RequestURI(),
			header: r.Header.Clone(), body: body, signer: f.key.Public(), account: f.account.URL(),
		}
		t.mu.Lock()
		t.messages = append(t.messages, m)
		t.mu.Unlock()
		resp, err := next.RoundTrip(r)
		if err == nil {
			t.mu.Lock()
			m.status, m.nonce = resp.StatusCode, resp.Header.Get("Replay-Nonce")
			t.mu.Unlock()
		}
		return resp, err
	})}
	return t
}

// sent returns what was sent so far.
func (t *tap) sent() []*message {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.messages)
}

// posts returns the signed requests of some operations, of all if none is named.
func (t *tap) posts(ops ...acme.Operation) []*message {
	return slices.DeleteFunc(t.sent(), func(m *message) bool {
		return m.method != http.MethodPost || len(ops) > 0 && !slices.Contains(ops, m.op)
	})
}

// A signedJSON is a decoded JWS in the Flattened JSON Serialization.
type signedJSON struct {
	members    map[string]json.RawMessage
	protected  map[string]json.RawMessage
	header     []byte // protected, as JSON
	payload    []byte
	signature  []byte
	signedText string // what the signature is of (RFC 7515 §5.1)
}

func (m *message) jws(t *testing.T) signedJSON {
	t.Helper()
	return parseSignedJSON(t, m.body)
}

func parseSignedJSON(t *testing.T, data []byte) signedJSON {
	t.Helper()
	all := strictObject(t, data)
	s := signedJSON{
		members: all, header: octetsOf(t, all["protected"]), payload: octetsOf(t, all["payload"]), signature: octetsOf(t, all["signature"]),
		signedText: stringIn(t, all, "protected") + "." + stringIn(t, all, "payload"),
	}
	s.protected = strictObject(t, s.header)
	return s
}

// stringIn returns a member that must be a string.
func stringIn(t *testing.T, m map[string]json.RawMessage, name string) string {
	t.Helper()
	var s *string
	if err := json.Unmarshal(m[name], &s); err != nil || s == nil {
		t.Fatalf("member %q is %s, want a string", name, m[name])
	}
	return *s
}

// stringsIn returns a member that must be an array of strings.
func stringsIn(t *testing.T, m map[string]json.RawMessage, name string) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal(m[name], &list); err != nil || list == nil {
		t.Fatalf("member %q is %s, want an array of strings", name, m[name])
	}
	return list
}

// strictObject reads one JSON object, in UTF-8, with no member twice at any
// depth and nothing after it.
func strictObject(t *testing.T, data []byte) map[string]json.RawMessage {
	t.Helper()
	if err := strictJSON(data); err != nil || !bytes.HasPrefix(data, []byte("{")) {
		t.Fatalf("%q is no JSON object: %v", data, err)
	}
	return objectOf(t, data)
}

func strictJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := uniqueMembers(dec); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || !utf8.Valid(data) {
		return fmt.Errorf("trailing data (%w) or not UTF-8", err)
	}
	return nil
}

// uniqueMembers reads a value and fails if a member is there twice.
func uniqueMembers(dec *json.Decoder) error {
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') && tok != json.Delim('[') {
		return err
	}
	seen := map[any]bool{}
	for dec.More() {
		if tok == json.Delim('{') {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			if seen[name] {
				return fmt.Errorf("%v is there twice", name)
			}
			seen[name] = true
		}
		if err := uniqueMembers(dec); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// keyOfJWK reads a JWK (RFC 7517, RFC 8037), which must be a public one.
func keyOfJWK(t *testing.T, jwk json.RawMessage) crypto.PublicKey {
	t.Helper()
	m := strictObject(t, jwk)
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if m[private] != nil {
			t.Errorf("the JWK has the private member %q", private)
		}
	}
	number := func(name string) *big.Int { return new(big.Int).SetBytes(octetsOf(t, m[name])) }
	switch kty := stringIn(t, m, "kty"); kty {
	case "RSA":
		return &rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}
	case "EC":
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			if curve.Params().Name == stringIn(t, m, "crv") {
				key, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, octetsOf(t, m["x"]), octetsOf(t, m["y"])))
				if err != nil {
					t.Error(err)
				}
				return key
			}
		}
	case "OKP":
		if stringIn(t, m, "crv") == "Ed25519" {
			return ed25519.PublicKey(octetsOf(t, m["x"]))
		}
	}
	t.Fatalf("no key of a kind that ACME knows: %s", jwk)
	return nil
}

// sameKey reports whether two public keys are one.
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// verifies checks the signature by RFC 7518 §3, for the one algorithm that goes
// with a kind of key; alg none and MACs go with none.
func (s signedJSON) verifies(t *testing.T, pub crypto.PublicKey) {
	t.Helper()
	want, text, ok := "", []byte(s.signedText), false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		sum := sha256.Sum256(text)
		want, ok = "RS256", rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], s.signature) == nil
	case ed25519.PublicKey:
		want, ok = "EdDSA", ed25519.Verify(pub, text, s.signature)
	case *ecdsa.PublicKey:
		hashes := map[string]func() hash.Hash{"ES256": sha256.New, "ES384": sha512.New384, "ES512": sha512.New}
		want = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[pub.Params().Name]
		h, half := hashes[want](), (pub.Params().BitSize+7)/8
		h.Write(text)
		ok = len(s.signature) == 2*half &&
			ecdsa.Verify(pub, h.Sum(nil), new(big.Int).SetBytes(s.signature[:half]), new(big.Int).SetBytes(s.signature[half:]))
	}
	if alg := stringIn(t, s.protected, "alg"); alg != want || !ok {
		t.Errorf("alg %q, want %q; the signature verifies: %v", alg, want, ok)
	}
}

// macs are the MAC algorithms of RFC 7518 §3.2.
var macs = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// verifiesMAC checks a MAC.
func (s signedJSON) verifiesMAC(t *testing.T, key []byte) {
	t.Helper()
	alg := stringIn(t, s.protected, "alg")
	if macs[alg] == nil {
		t.Fatalf("alg %q is no MAC", alg)
	}
	mac := hmac.New(macs[alg], key)
	mac.Write([]byte(s.signedText))
	if !hmac.Equal(mac.Sum(nil), s.signature) {
		t.Errorf("the MAC does not verify")
	}
}

// sentOnce is what the first test that wanted everything has sent, for the others.
var sentOnce struct {
	sync.Once
	f    *fixture
	wire *tap
}

// everything returns what was sent with every request that the library has, each
// at least once, and the fixture, which is not to send more.
func everything(t *testing.T) (*fixture, *tap) {
	t.Helper()
	sentOnce.Do(func() {
		synctest.Test(t, func(t *testing.T) { sentOnce.f, sentOnce.wire = sendEverything(t) })
	})
	if sentOnce.f == nil {
		t.Fatal("another test has failed to send everything")
	}
	f := *sentOnce.f
	f.T = t
	return &f, sentOnce.wire
}

func sendEverything(t *testing.T) (*fixture, *tap) {
	t.Helper()
	mac := bytes.Repeat([]byte("k"), 64)
	f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}, AlternateChains: 1, OrdersPerPage: 2})
	wire, ctx := f.tap(), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	verbs := f.verbs()
	for _, v := range verbs[:len(verbs)-2] { // the rest needs the account and its key
		if err := v.call(f); err != nil {
			t.Fatalf("%s: %v", v.op, err)
		}
	}
	_, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{
		Contact: []string{"mailto:admin@example.com"}, ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac},
	})
	must(err)
	for _, err := range f.account.Orders(ctx) {
		must(err)
	}
	for _, err := range f.account.Delegations(ctx) {
		must(err)
	}
	_, err = f.account.Post(ctx, f.account.URL(), map[string]any{"contact": []string{"mailto:ops@example.com"}})
	must(err)
	f.fault(acmetest.FaultOnce(acmetest.KindChallenge, acmetest.Fault{LoseResponse: true})) // it is read then
	req := f.request("a.example.com")
	req.OrderRequest.NotAfter = time.Now().Add(time.Hour)
	cert, err := f.account.Obtain(ctx, req)
	must(err)
	f.fault(nil)
	for _, err := range f.account.Certificates(ctx, cert.URL) {
		must(err)
	}
	chain, err := cert.Chain()
	must(err)
	id, err := acme.NewCertID(chain[0])
	must(err)
	_, err = f.client.RenewalInfo(ctx, id)
	must(err)
	must(f.client.RevokeCertificate(ctx, f.certKey, cert.PEM, acme.ReasonKeyCompromise))
	for _, v := range verbs[len(verbs)-2:] {
		if err := v.call(f); err != nil {
			t.Fatalf("%s: %v", v.op, err)
		}
	}
	for _, op := range operations(t) {
		if !slices.ContainsFunc(wire.sent(), func(m *message) bool { return m.op == op }) {
			t.Errorf("%s was not sent", op)
		}
	}
	return f, wire
}

// operations reads the constants of trace.go.
func operations(t *testing.T) []acme.Operation {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "trace.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ops []acme.Operation
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Op") {
			op, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			ops = append(ops, acme.Operation(op))
		}
		return true
	})
	if len(ops) < 20 {
		t.Fatalf("found %d operations only", len(ops))
	}
	return ops
}

// Each request says who sends it, in products with a version (§6.1), and which
// language people read; one with a body says that it is a JWS (§6.2); none has
// the field of the server's nonces (§6.5.1).
func TestEveryRequestHasItsFields(t *testing.T) {
	conformance.Claim(t, "8555-6.1-02", "8555-6.1-03", "8555-6.1-04", "8555-6.2-15", "8555-6.5.1-02")
	t.Parallel()
	_, wire := everything(t)
	products := regexp.MustCompile(`^test/1 acme/\S+ Go-http-client/\d+\.\d+\S*$`)
	for _, m := range wire.sent() {
		if ua := m.header.Get("User-Agent"); !products.MatchString(ua) {
			t.Errorf("%s: User-Agent %q", m.op, ua)
		}
		if got := m.header.Values("Accept-Language"); !slices.Equal(got, []string{"en"}) {
			t.Errorf("%s: Accept-Language %q", m.op, got)
		}
		want := []string(nil)
		if m.method == http.MethodPost {
			want = []string{"application/jose+json"}
		}
		if got := m.header.Values("Content-Type"); !slices.Equal(got, want) {
			t.Errorf("%s: Content-Type %q", m.op, got)
		}
		if m.header["Replay-Nonce"] != nil {
			t.Errorf("%s: has a Replay-Nonce", m.op)
		}
	}
}

// Each body is one flattened JWS with its payload inside (§6.2), strict JSON in
// and out (§6.1), and all that is binary in it is base64url without padding;
// strictObject and octetsOf see to the latter two.
func TestEveryBodyIsAFlattenedJWS(t *testing.T) {
	conformance.Claim(t, "8555-6.1-05", "8555-6.1-07", "8555-6.2-02", "8555-6.2-03", "8555-6.2-04", "8555-6.2-05", "8555-6.2-06", "7515-2-01", "7515-4-01", "7515-7.2.1-01", "7515-7.2.2-01")
	t.Parallel()
	_, wire := everything(t)
	binary := map[string]int{}
	for _, m := range wire.sent() {
		if m.method != http.MethodPost {
			if len(m.body) > 0 {
				t.Errorf("%s %s has a body", m.method, m.op)
			}
			continue
		}
		s := m.jws(t)
		hasMembers(t, s.members, "protected", "payload", "signature") // no header, no signatures
		if s.protected["b64"] != nil || s.protected["crit"] != nil {
			t.Errorf("%s: protected header %s", m.op, s.header)
		}
		if len(s.payload) == 0 {
			continue
		}
		payload := strictObject(t, s.payload)
		for _, name := range []string{"csr", "certificate"} {
			if payload[name] != nil {
				binary[name] += len(octetsOf(t, payload[name]))
			}
		}
		if inner := payload["externalAccountBinding"]; inner != nil {
			binary["externalAccountBinding"] += len(parseSignedJSON(t, inner).signature)
		}
		if payload["protected"] != nil {
			binary["keyChange"] += len(parseSignedJSON(t, s.payload).signature)
		}
	}
	for _, name := range []string{"csr", "certificate", "externalAccountBinding", "keyChange"} {
		if binary[name] == 0 {
			t.Errorf("no %s was sent", name)
		}
	}
}

// Each body is signed by the account key under the account's URL as kid, or
// under jwk by the key of a new account or of the certificate to be revoked: by
// the one or the other (§6.2).
func TestEveryRequestIsSigned(t *testing.T) {
	conformance.Claim(t, "8555-6.2-01", "8555-6.2-07", "8555-6.2-08", "8555-6.2-11", "8555-6.2-12", "8555-6.2-13", "8555-6.2-14", "7515-4.1.3-01")
	t.Parallel()
	f, wire := everything(t)
	withJWK := map[acme.Operation]int{}
	for _, m := range wire.posts() {
		s := m.jws(t)
		jwk, kid := s.protected["jwk"], s.protected["kid"]
		switch {
		case (jwk == nil) == (kid == nil):
			t.Errorf("%s: protected header %s", m.op, s.header)
		case jwk != nil:
			withJWK[m.op]++
			key := keyOfJWK(t, jwk)
			s.verifies(t, key)
			if m.op == acme.OpRevokeCert {
				f.isKeyOf(key, s.payload)
			}
		default:
			s.verifies(t, m.signer)
			if got := stringIn(t, s.protected, "kid"); got != m.account {
				t.Errorf("%s: kid %q, want %q", m.op, got, m.account)
			}
		}
	}
	for op, n := range withJWK {
		accounts := op == acme.OpNewAccount || op == acme.OpFindAccount
		if all := len(wire.posts(op)); accounts && n != all || op == acme.OpRevokeCert && n != 1 || !accounts && op != acme.OpRevokeCert {
			t.Errorf("%s: %d of %d with a jwk", op, n, all)
		}
	}
	if len(withJWK) != 3 {
		t.Errorf("with a jwk: %v", withJWK)
	}
}

// isKeyOf checks that a key is the one of the certificate in a revocation.
func (f *fixture) isKeyOf(key crypto.PublicKey, payload []byte) {
	f.Helper()
	cert, err := x509.ParseCertificate(octetsOf(f.T, objectOf(f.T, payload)["certificate"]))
	if err != nil || !sameKey(key, cert.PublicKey) {
		f.Errorf("jwk is not the certificate's key: %v", err)
	}
}

// There is no way to sign with a secret: a MAC key is no account key (§6.2).
func TestMACKeyIsNoAccountKey(t *testing.T) {
	conformance.Claim(t, "8555-6.2-08")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		secret := secretKey(bytes.Repeat([]byte("k"), 32))
		if _, err := f.client.NewAccount(t.Context(), secret, acme.AccountRequest{}); !errors.Is(err, acme.ErrUnsupportedKey) {
			t.Errorf("NewAccount: %v", err)
		}
		if _, err := f.client.Account(secret, f.account.URL()).Info(t.Context()); !errors.Is(err, acme.ErrUnsupportedKey) {
			t.Errorf("Account: %v", err)
		}
		if got := f.ca.Count(acmetest.KindNewAccount) + f.ca.Count(acmetest.KindAccount); got != 0 {
			t.Errorf("%d requests", got)
		}
	})
}

// A secretKey passes itself off as a signer.
type secretKey []byte

func (k secretKey) Public() crypto.PublicKey { return []byte(k) }
func (k secretKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return digest, nil
}

// Each request goes to the URL that its protected header names, as a string
// (§6.4).
func TestEveryRequestNamesItsURL(t *testing.T) {
	conformance.Claim(t, "8555-6.2-10", "8555-6.4-02", "8555-6.4.1-01")
	t.Parallel()
	_, wire := everything(t)
	for _, m := range wire.posts() {
		if got := stringIn(t, m.jws(t).protected, "url"); got != m.url {
			t.Errorf("%s: url %q, sent to %q", m.op, got, m.url)
		}
	}
}

// Each signed request has a nonce that the server gave in an earlier answer, to
// whatever request it was (§6.5).
func TestEveryRequestHasANonceOfTheServer(t *testing.T) {
	conformance.Claim(t, "8555-6.2-09", "8555-6.5-01", "8555-6.5-02", "8555-6.5-05", "8555-6.5.2-01")
	t.Parallel()
	f, wire := everything(t)
	given, fetched, shared := map[string]string{}, 0, 0 // nonces in the pool, and where they are from
	for _, m := range wire.sent() {
		if m.op == acme.OpNewNonce {
			fetched++
		}
		if m.method == http.MethodPost {
			nonce := stringIn(t, m.jws(t).protected, "nonce")
			from, ok := given[nonce]
			if !ok || !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(nonce) {
				t.Errorf("%s: nonce %q was not given, or used before", m.op, nonce)
			}
			if from != m.url {
				shared++
			}
			delete(given, nonce)
		}
		given[m.nonce] = m.url
	}
	for _, r := range f.ca.Requests() {
		if r.ProblemType == string(acme.ErrBadNonce) {
			t.Errorf("%s: the nonce was refused", r.Kind)
		}
	}
	if fetched > 2 || shared < 20 { // another after the answer that is lost
		t.Errorf("%d nonces were fetched, %d came from other resources", fetched, shared)
	}
}

// Everything is read by POST-as-GET, whose payload is there and empty (§6.3);
// GET and HEAD are for what needs no account, the directory first (§7.1.1).
func TestResourcesAreReadByPostAsGet(t *testing.T) {
	conformance.Claim(t, "8555-6.3-01", "8555-6.3-02", "8555-7.1.1-01")
	reads := []acme.Operation{
		acme.OpAccount, acme.OpOrders, acme.OpOrder, acme.OpAuthorization, acme.OpChallenge, acme.OpCertificate, acme.OpPostAsGet,
		acme.OpDelegations, acme.OpDelegation,
	}
	unsigned := map[acme.Operation]string{acme.OpDirectory: "GET", acme.OpNewNonce: "HEAD", acme.OpRenewalInfo: "GET"}
	t.Parallel()
	f, wire := everything(t)
	for i, m := range wire.sent() {
		if method, ok := unsigned[m.op]; ok {
			if m.method != method || len(m.body) > 0 {
				t.Errorf("%s: %s with body %q", m.op, m.method, m.body)
			}
			continue
		}
		if m.method != http.MethodPost || i == 0 {
			t.Fatalf("request %d: %s %s", i, m.method, m.op)
		}
		payload := stringIn(t, m.jws(t).members, "payload")
		if (payload == "") != slices.Contains(reads, m.op) {
			t.Errorf("%s: payload %q", m.op, payload)
		}
	}
	if first := wire.sent()[0]; first.op != acme.OpDirectory || first.url != f.ca.DirectoryURL() {
		t.Errorf("the first request is %s %s", first.method, first.url)
	}
}

// What is sent is UTF-8, whatever it is made of, and a server's UTF-8 comes back
// as it is (§5).
func TestMessagesAreUTF8(t *testing.T) {
	conformance.Claim(t, "8555-5-01")
	bubble(t, func(t *testing.T) {
		mac := bytes.Repeat([]byte("k"), 64)
		f := newFixture(t, acmetest.Options{})
		wire := f.tap()
		for _, contact := range []string{"mailto:jürgen@example.com", "mailto:日本@example.com", "mailto:\xff\xfe@example.com"} {
			_, _ = f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ // the CA may mind
				Contact: []string{contact}, ExternalAccount: &acme.ExternalAccount{KeyID: "Schlüssel<&>\u2028", MACKey: mac},
			})
			_, _ = f.account.Update(t.Context(), []string{contact}) // the CA may mind
		}
		var contacts []string
		for _, m := range wire.posts() { // jws checks that protected headers are UTF-8
			if s := m.jws(t); len(s.payload) > 0 {
				payload := strictObject(t, s.payload)
				if payload["contact"] != nil {
					contacts = append(contacts, stringsIn(t, payload, "contact")...)
				}
				if eab := payload["externalAccountBinding"]; eab != nil {
					if kid := stringIn(t, parseSignedJSON(t, eab).protected, "kid"); kid != "Schlüssel<&>\u2028" {
						t.Errorf("kid %q", kid)
					}
				}
			}
		}
		for _, want := range []string{"mailto:jürgen@example.com", "mailto:日本@example.com", "mailto:\ufffd\ufffd@example.com"} {
			if !slices.Contains(contacts, want) {
				t.Errorf("%q is not among %q", want, contacts)
			}
		}
		const detail = "Ungültig: “日本” 🔑 é é"
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrMalformed), Detail: detail}}))
		if _, err := f.account.Info(t.Context()); problemIn(t, err).Detail != detail || !strings.Contains(err.Error(), detail) {
			t.Errorf("got %v, want %s", err, detail)
		}
	})
}

// A name that is not ASCII becomes A-labels before anything else, and the same
// ones everywhere (§5).
func TestNamesBecomeALabelsFirst(t *testing.T) {
	conformance.Claim(t, "8555-5-02")
	bubble(t, func(t *testing.T) {
		const want = "xn--bcher-kva.example"
		var validated string
		f := newFixture(t, acmetest.Options{})
		validate := acmetest.ValidateHTTP01(f.solver)
		f.ca.Update(func(o *acmetest.Options) {
			o.Validate = func(ctx context.Context, v acmetest.Validation) error {
				validated = v.Identifier.Value
				return validate(ctx, v)
			}
		})
		var presented string
		ctx := acme.WithTrace(t.Context(), &acme.Trace{Present: func(batch []*acme.Attempt) { presented = batch[0].Identifier.Value }})
		if _, err := f.account.Obtain(ctx, f.request("Bücher.example")); err != nil {
			t.Fatal(err)
		}
		for _, r := range f.ca.Requests() {
			switch r.Kind {
			case acmetest.KindNewOrder:
				if !bytes.Contains(r.Payload, []byte(`"`+want+`"`)) {
					t.Errorf("ordered %s", r.Payload)
				}
			case acmetest.KindFinalize:
				csr, err := x509.ParseCertificateRequest(octetsOf(t, objectOf(t, r.Payload)["csr"]))
				if err != nil || !slices.Equal(csr.DNSNames, []string{want}) {
					t.Errorf("CSR: %v", err)
				}
			}
		}
		if presented != want || validated != want {
			t.Errorf("presented %q, validated %q", presented, validated)
		}
	})
}

// No URL of plain HTTP is used, wherever the server puts it (§6.1).
func TestNoInsecureURLOfTheServerIsUsed(t *testing.T) {
	conformance.Claim(t, "8555-6.1-01")
	t.Parallel()
	const plain = "http://ca.test/plain"
	inLocation := acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
		h.Set("Location", plain)
		return status, body
	}}
	member := func(name string, value any) acmetest.Fault {
		return acmetest.EditJSON(func(m map[string]any) {
			if m[name] != nil {
				m[name] = value
			}
		})
	}
	obtain := func(f *fixture) error {
		_, err := f.account.Obtain(f.Context(), f.request("a.example.com"))
		return err
	}
	for name, tt := range map[string]struct {
		kind  acmetest.Kind
		fault acmetest.Fault
		call  func(f *fixture) error
	}{
		"newNonce":       {acmetest.KindDirectory, member("newNonce", plain), obtain},
		"newOrder":       {acmetest.KindDirectory, member("newOrder", plain), obtain},
		"order":          {acmetest.KindNewOrder, inLocation, obtain},
		"authorizations": {acmetest.KindNewOrder, member("authorizations", []string{plain}), obtain},
		"challenge":      {acmetest.KindAuthorization, member("challenges", []any{map[string]any{"type": "http-01", "url": plain, "token": "abc"}}), obtain},
		"finalize":       {acmetest.KindOrder, member("finalize", plain), obtain},
		"certificate":    {acmetest.KindFinalize, member("certificate", plain), obtain},
		"account": {acmetest.KindNewAccount, inLocation, func(f *fixture) error {
			_, err := f.client.NewAccount(f.Context(), newKey(f.T), acme.AccountRequest{})
			return err
		}},
		"orders": {acmetest.KindAccount, member("orders", plain), func(f *fixture) error {
			for _, err := range f.account.Orders(f.Context()) {
				return err
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(tt.kind, tt.fault))
				if err := tt.call(f); !errors.Is(err, acme.ErrInsecureURL) {
					t.Errorf("got %v, want ErrInsecureURL", err)
				}
				for _, r := range f.ca.Requests() {
					if !strings.HasPrefix(r.URL, "https://") {
						t.Errorf("%s was sent to %s", r.Kind, r.URL)
					}
				}
			})
		})
	}
}

// An oddServer gives all its resources URLs that every normalization would
// change.
type oddServer struct {
	f       *fixture
	status  string // of the order
	visited map[string]int
}

// odd is a URL with an upper-case host, the default port, needless and
// lower-case escapes, dot segments, an empty segment, parameters and a query.
func odd(name string) string {
	return "https://CA.Example:443/%7euser/./" + name + "/../" + name + "%2f//x;v=1?q=a%20b&%71=~&"
}

// answer is an Options.Fault: the whole server.
func (s *oddServer) answer(r acmetest.Request) *acmetest.Fault {
	link := func(rel, name string) http.Header {
		return http.Header{"Link": {`<` + odd(name) + `>;rel="` + rel + `"`}}
	}
	s.visited[r.URL]++
	order := map[string]any{
		"status": s.status, "identifiers": acme.DNS("a.example.com"), "authorizations": []string{odd("authz")},
		"finalize": odd("finalize"), "certificate": odd("certificate"),
	}
	authz := map[string]any{
		"status": "pending", "identifier": acme.DNS("a.example.com")[0],
		"challenges": []any{map[string]any{"type": "http-01", "url": odd("challenge"), "token": "abc", "status": "pending"}},
	}
	reply := func(v any, location string, header http.Header) *acmetest.Fault {
		body, _ := json.Marshal(v) // it is all strings
		h := http.Header{"Location": {location}}
		maps.Copy(h, header)
		return &acmetest.Fault{Status: http.StatusOK, Body: body, Header: h}
	}
	switch r.URL {
	case odd("directory"):
		return reply(map[string]string{
			"newNonce": odd("new-nonce"), "newAccount": odd("new-account"), "newOrder": odd("new-order"), "newAuthz": odd("new-authz"),
			"revokeCert": odd("revoke-cert"), "keyChange": odd("key-change"),
		}, "", nil)
	case odd("new-nonce"):
		return reply(nil, "", http.Header{"Replay-Nonce": {"abc"}})
	case odd("new-account"):
		return reply(map[string]any{"status": "valid"}, odd("account"), nil)
	case odd("account"):
		if bytes.Contains(r.Payload, []byte("deactivated")) {
			return reply(map[string]any{"status": "deactivated"}, "", nil)
		}
		return reply(map[string]any{"status": "valid", "orders": odd("orders")}, "", nil)
	case odd("orders"):
		return reply(map[string]any{"orders": []string{odd("order")}}, "", link("next", "more-orders"))
	case odd("more-orders"):
		return reply(map[string]any{"orders": []string{odd("old-order")}}, "", nil)
	case odd("new-order"):
		return reply(order, odd("order"), nil)
	case odd("order"), odd("old-order"):
		return reply(order, "", nil)
	case odd("new-authz"):
		return reply(authz, odd("early-authz"), nil)
	case odd("authz"), odd("early-authz"):
		return reply(authz, "", nil)
	case odd("challenge"):
		s.status = "ready"
		return reply(map[string]any{"type": "http-01", "url": odd("challenge"), "token": "abc", "status": "valid"}, "", nil)
	case odd("finalize"):
		s.status, order["status"] = "valid", "valid"
		return reply(order, "", nil)
	case odd("certificate"), odd("alternate"):
		fault := reply(nil, "", link("alternate", "alternate"))
		fault.Body = s.chain()
		return fault
	case odd("key-change"), odd("revoke-cert"):
		return reply(map[string]any{}, "", nil)
	}
	s.f.Errorf("%s was not handed out", r.URL)
	return &acmetest.Fault{Status: http.StatusGone}
}

// chain is a certificate for a.example.com.
func (s *oddServer) chain() []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.f.certKey.Public(), s.f.certKey)
	if err != nil {
		s.f.Error(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// All that the Client is told is the directory's URL (§7.1). All other URLs are
// the server's and are used exactly as they were handed out (§6.4), the
// account's as kid, for its management (§7.3) and in a key change (§7.3.5).
func TestURLsAreUsedAsServed(t *testing.T) {
	conformance.Claim(t, "8555-6.4-01", "8555-6.4-02", "8555-7.1-01", "8555-7.3-06", "8555-7.3.5-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		s := &oddServer{f: f, status: "pending", visited: map[string]int{}}
		f.client.DirectoryURL = odd("directory")
		f.fault(s.answer)
		wire, ctx := f.tap(), t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		account, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{})
		must(err)
		if account.URL() != odd("account") {
			t.Errorf("account %q", account.URL())
		}
		_, err = account.Update(ctx, nil)
		must(err)
		for u, err := range account.Orders(ctx) {
			must(err)
			_, err = account.Order(ctx, u)
			must(err)
		}
		z, err := account.NewAuthorization(ctx, acme.DNS("b.example.com")[0])
		must(err)
		_, err = account.Authorization(ctx, z.URL)
		must(err)
		cert, err := account.Obtain(ctx, f.request("a.example.com"))
		must(err)
		for _, err := range account.Certificates(ctx, cert.URL) {
			must(err)
		}
		must(account.RevokeCertificate(ctx, cert.PEM, acme.ReasonUnspecified))
		changed, err := account.ChangeKey(ctx, newKey(t))
		must(err)
		must(changed.Deactivate(ctx))

		for _, m := range wire.posts() {
			p := m.jws(t).protected
			if got := stringIn(t, p, "url"); got != m.url || s.visited[got] == 0 {
				t.Errorf("%s: url %q, sent to %q", m.op, got, m.url)
			}
			if p["kid"] != nil && stringIn(t, p, "kid") != odd("account") {
				t.Errorf("%s: kid %s", m.op, p["kid"])
			}
			if m.op == acme.OpKeyChange {
				object := strictObject(t, parseSignedJSON(t, m.jws(t).payload).payload)
				if got := stringIn(t, object, "account"); got != odd("account") {
					t.Errorf("key change of %q", got)
				}
			}
		}
		if len(s.visited) != 18 {
			t.Errorf("%d resources were visited: %v", len(s.visited), slices.Sorted(maps.Keys(s.visited)))
		}
	})
}

// Nonces are used once, in however many goroutines and whatever is lost (§6.5).
func TestNoncesAreUsedOnce(t *testing.T) {
	conformance.Claim(t, "8555-6.5-01", "8555-6.5-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{BadNonce: 0.1, Seed: 5})
		wire := f.tap()
		f.fault(acmetest.Faults(
			acmetest.FaultEvery("", 11, acmetest.Fault{LoseResponse: true}),
			acmetest.FaultEvery("", 13, acmetest.Fault{LoseRequest: true}),
			acmetest.FaultEvery("", 17, acmetest.HTMLError(http.StatusBadGateway)),
		))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for j := range 2 { // some may fail: not what this is about
					_, _ = f.account.Obtain(t.Context(), f.request(fmt.Sprintf("n%d-%d.example.com", i, j), "x.example.com")) // see above
				}
			})
		}
		wg.Wait()
		seen, given := map[string]bool{}, map[string]bool{}
		for _, m := range wire.sent() {
			given[m.nonce] = true
		}
		for _, m := range wire.posts() {
			nonce := stringIn(t, m.jws(t).protected, "nonce")
			if seen[nonce] || !given[nonce] {
				t.Errorf("%s: nonce used before (%v) or never given (%v)", m.op, seen[nonce], !given[nonce])
			}
			seen[nonce] = true
		}
		if len(seen) < 50 {
			t.Errorf("%d signed requests only", len(seen))
		}
	})
}

// A request that was refused for its nonce is repeated with the nonce of the
// refusal, not with another of the pool, and nobody else gets that one (§6.5).
func TestRetryHasTheNonceOfTheRefusal(t *testing.T) {
	conformance.Claim(t, "8555-6.5-03", "8555-6.5-04")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 10 * time.Millisecond})
		wire := f.tap()
		var urls []string
		for i := range 16 {
			urls = append(urls, f.order(fmt.Sprintf("n%d.example.com", i)).URL)
		}
		read := func(bad bool, urls []string) {
			var mu sync.Mutex
			refused := map[string]bool{}
			f.fault(func(r acmetest.Request) *acmetest.Fault {
				mu.Lock()
				defer mu.Unlock()
				if !bad || r.Kind != acmetest.KindOrder || refused[r.URL] {
					return nil
				}
				refused[r.URL] = true
				return &acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrBadNonce), Status: http.StatusBadRequest}}
			})
			var wg sync.WaitGroup
			for _, u := range urls {
				wg.Go(func() {
					if _, err := f.account.Order(t.Context(), u); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		read(false, urls) // leaves 16 nonces in the pool
		before := len(wire.posts())
		read(true, urls[:8])
		fresh, retries := map[string]string{}, 0
		for _, m := range wire.posts()[before:] {
			if m.status == http.StatusBadRequest {
				fresh[m.url] = m.nonce
				continue
			}
			retries++
			if got := stringIn(t, m.jws(t).protected, "nonce"); got != fresh[m.url] {
				t.Errorf("%s: retried with nonce %q, want %q", m.url, got, fresh[m.url])
			}
		}
		if len(fresh) != 8 || retries != 8 {
			t.Errorf("%d refused, %d retried", len(fresh), retries)
		}
	})
}

// The nonce of an error answer is as good as another (§6.5).
func TestNonceOfAnErrorIsUsed(t *testing.T) {
	conformance.Claim(t, "8555-6.5-06")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		wire := f.tap()
		f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(acme.ErrUnauthorized), Status: http.StatusForbidden}}))
		if _, err := f.account.Info(t.Context()); !errors.Is(err, acme.ErrUnauthorized) {
			t.Fatal(err)
		}
		if _, err := f.account.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		posts := wire.posts()
		if got := stringIn(t, posts[1].jws(t).protected, "nonce"); got != posts[0].nonce || f.ca.Count(acmetest.KindNewNonce) != 1 {
			t.Errorf("nonce %q, want %q; %d newNonce requests", got, posts[0].nonce, f.ca.Count(acmetest.KindNewNonce))
		}
	})
}

// A rate limit's links to documentation are there for the user (§6.6).
func TestRateLimitHasHelp(t *testing.T) {
	conformance.Claim(t, "8555-6.6-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		limit := acmetest.RateLimited(time.Hour)
		limit.Header["Link"] = []string{
			`<https://ca.test/directory>;rel="index"`, `<https://ca.test/docs/names>;rel="help", </docs/orders>; rel=help`, `<https://docs.test/>;rel="help"`,
		}
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, limit))
		_, err := f.account.Info(t.Context())
		want := []string{"https://ca.test/docs/names", "https://ca.test/docs/orders", "https://docs.test/"}
		if got := problemIn(t, err).Links("help"); !slices.Equal(got, want) {
			t.Errorf("help at %q, want %q", got, want)
		}
	})
}

// Errors of requests, orders and challenges are of one type, and their text has
// the detail for the user (§6.7, §7.1.3).
func TestErrorsOfAllLayersAreProblems(t *testing.T) {
	conformance.Claim(t, "8555-6.7-01", "8555-6.7-05", "8555-7.1.3-09")
	t.Parallel()
	problem := &acmetest.Problem{
		Type: string(acme.ErrCAA), Detail: "CAA forbids it: see RFC 8659", Status: http.StatusForbidden,
		Subproblems: []acmetest.Subproblem{{Type: string(acme.ErrDNS), Detail: "SERVFAIL", Identifier: acmetest.Identifier{Type: "dns", Value: "a.example.com"}}},
	}
	for name, opts := range map[string]acmetest.Options{
		"request":   {Fault: acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Problem: problem})},
		"order":     {IssuanceError: problem},
		"later":     {IssuanceError: problem, IssuanceTime: time.Second},
		"challenge": {Validate: func(context.Context, acmetest.Validation) error { return problem }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, opts)
				_, err := f.account.Obtain(t.Context(), f.request("a.example.com"))
				p := problemIn(t, err)
				if p.Type != acme.ErrCAA || p.Detail != problem.Detail || p.Status != http.StatusForbidden || len(p.Subproblems) != 1 {
					t.Fatalf("got %+v", p)
				}
				if s := p.Subproblems[0]; s.Type != acme.ErrDNS || s.Detail != "SERVFAIL" || s.Identifier != acme.DNS("a.example.com")[0] {
					t.Errorf("subproblem %+v", s)
				}
				for _, want := range []string{problem.Detail, "SERVFAIL"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%q is not in %q", want, err)
					}
				}
				if _, ok := errors.AsType[*acme.OrderError](err); ok != (name == "order" || name == "later") {
					t.Errorf("got %v", err)
				}
				if _, ok := errors.AsType[*acme.AuthorizationError](err); ok != (name == "challenge") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// refusedBy returns the identifiers that a problem blames.
func refusedBy(p *acme.Problem) []acme.Identifier {
	var ids []acme.Identifier
	for _, s := range p.Subproblems {
		if s.Identifier.Value != "" {
			ids = append(ids, s.Identifier)
		}
	}
	return ids
}

// A caller can order again without the identifiers that subproblems blame; an
// identifier at the top of a problem, where there is none, blames nobody
// (§6.7.1).
func TestSubproblemsNameTheRefused(t *testing.T) {
	conformance.Claim(t, "8555-6.7.1-01", "8555-6.7.1-02", "8555-6.7.1-03")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		problem := `{"type":"urn:ietf:params:acme:error:compound","detail":"some were refused","identifier":{"type":"dns","value":"n7.example.com"},"subproblems":[
			{"type":"urn:ietf:params:acme:error:malformed","detail":"no","identifier":{"type":"dns","value":"n2.example.com"}},
			{"type":"urn:ietf:params:acme:error:serverInternal","detail":"of no identifier"},
			{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"never","identifier":{"type":"dns","value":"n5.example.com"}}]}`
		f.fault(acmetest.FaultOnce(acmetest.KindNewOrder, acmetest.Fault{Status: http.StatusForbidden, Body: []byte(problem)}))
		req := acme.OrderRequest{Identifiers: acme.DNS(names(10)...)}
		_, err := f.account.NewOrder(t.Context(), req)
		p := problemIn(t, err)
		refused := refusedBy(p)
		if len(p.Subproblems) != 3 || p.Subproblems[0].Type != acme.ErrMalformed || p.Subproblems[0].Detail != "no" ||
			p.Subproblems[2].Type != acme.ErrRejectedIdentifier || !errors.Is(err, acme.ErrCompound) || !errors.Is(err, acme.ErrRejectedIdentifier) {
			t.Errorf("got %+v", p)
		}
		if !slices.Equal(refused, acme.DNS("n2.example.com", "n5.example.com")) {
			t.Fatalf("refused: %v", refused)
		}
		req.Identifiers = slices.DeleteFunc(req.Identifiers, func(id acme.Identifier) bool { return slices.Contains(refused, id) })
		o, err := f.account.NewOrder(t.Context(), req)
		if err != nil || len(o.Identifiers) != 8 {
			t.Errorf("the others: %v", err)
		}

		top := `{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"no","identifier":{"type":"dns","value":"n1.example.com"}}`
		f.fault(acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.Fault{Status: http.StatusForbidden, Body: []byte(top)}))
		_, err = f.account.NewOrder(t.Context(), req)
		if p := problemIn(t, err); len(p.Subproblems) != 0 || strings.Contains(err.Error(), "n1.example.com") {
			t.Errorf("an identifier at the top: %v", err)
		}
	})
}

// The algorithms that a server has can be read when it refuses one (§6.2).
func TestAlgorithmsOfTheServerCanBeRead(t *testing.T) {
	conformance.Claim(t, "8555-6.2-16")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		f.fault(acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Problem: &acmetest.Problem{
			Type: string(acme.ErrBadSignatureAlgorithm), Detail: "no", Algorithms: []string{"ES256", "EdDSA"},
		}}))
		_, err := f.client.NewAccount(t.Context(), rsaKey(), acme.AccountRequest{})
		var more struct{ Algorithms []string }
		if !errors.Is(err, acme.ErrBadSignatureAlgorithm) || json.Unmarshal(problemIn(t, err).Raw, &more) != nil ||
			!slices.Equal(more.Algorithms, []string{"ES256", "EdDSA"}) {
			t.Errorf("got %v, algorithms %q", err, more.Algorithms)
		}
	})
}

// What was base64url and is padded, is not decoded all the same: no challenge
// with such a token is presented or answered (§6.1).
func TestPaddedTokenIsRefused(t *testing.T) {
	conformance.Claim(t, "8555-6.1-06")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, padding := range []string{"=", "=="} {
			f.fault(acmetest.FaultAlways(acmetest.KindAuthorization, acmetest.EditJSON(func(m map[string]any) {
				challenges, _ := m["challenges"].([]any)
				for _, c := range challenges {
					c.(map[string]any)["token"] = strings.TrimRight(base64.URLEncoding.EncodeToString([]byte("token")), "=") + padding
				}
			})))
			asked := 0
			solver := always(acme.HTTP01).(testSolver)
			solver.supports = func(*acme.Attempt) bool { asked++; return true }
			req := f.request("a.example.com")
			req.Solvers = []acme.Solver{solver}
			_, err := f.account.Obtain(t.Context(), req)
			if !errors.Is(err, acme.ErrInvalidToken) || asked != 0 || f.ca.Count(acmetest.KindChallenge) != 0 {
				t.Errorf("got %v; a solver was asked %d times, %d responses", err, asked, f.ca.Count(acmetest.KindChallenge))
			}
		}
		if got := f.account.KeyAuthorization("dG9rZW4="); got != "" {
			t.Errorf("key authorization %q", string(got))
		}
	})
}
