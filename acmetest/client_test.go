package acmetest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// A client is the least that can talk to a CA. It is written here, and not taken from an ACME library, so that the two
// readings of the RFC stay apart.
type client struct {
	http  *http.Client
	key   crypto.Signer
	kid   string
	dir   map[string]any
	nonce string        // of the last answer
	pause time.Duration // between polls
}

// A response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
	object map[string]any // if it is JSON
}

func (r *response) str(name string) string {
	s, _ := r.object[name].(string)
	return s
}

func (r *response) strings(name string) []string {
	var list []string
	values, _ := r.object[name].([]any)
	for _, v := range values {
		list = append(list, v.(string))
	}
	return list
}

// problem returns the type of a problem document without its prefix.
func (r *response) problem() string {
	if r.header.Get("Content-Type") != "application/problem+json" {
		return ""
	}
	return strings.TrimPrefix(r.str("type"), acmetest.ErrorURN)
}

// links returns the targets of the links with a relation.
func (r *response) links(rel string) []string {
	var targets []string
	for _, l := range r.header.Values("Link") {
		if target, ok := strings.CutSuffix(l, `>;rel="`+rel+`"`); ok {
			targets = append(targets, strings.TrimPrefix(target, "<"))
		}
	}
	return targets
}

func newClient(t testing.TB, h *http.Client, directory string) *client {
	t.Helper()
	c := &client{http: h, key: newKey(t)}
	res := c.get(t, directory)
	if res.status != http.StatusOK {
		t.Fatalf("directory: status %d", res.status)
	}
	c.dir = res.object
	return c
}

func (c *client) url(t testing.TB, member string) string {
	t.Helper()
	u, ok := c.dir[member].(string)
	if !ok {
		t.Fatalf("the directory has no %s", member)
	}
	return u
}

// pause lets time pass: of a synctest bubble, mostly.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// setup makes a server and a client with an account, connected in-process.
func setup(t testing.TB, o acmetest.Options) (*acmetest.Server, *client) {
	t.Helper()
	s := acmetest.NewServer(t, o)
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	c.kid = s.AddAccount(c.key.Public())
	return s, c
}

// another is a client of the same server, with a key of its own and no account yet.
func (c *client) another(t testing.TB) *client {
	t.Helper()
	return &client{http: c.http, key: newKey(t), dir: c.dir}
}

// do sends a request and reads the answer.
func (c *client) do(req *http.Request) (*response, error) {
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "acmetest-test")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	r := &response{status: res.StatusCode, header: res.Header}
	if n := res.Header.Get("Replay-Nonce"); n != "" {
		c.nonce = n
	}
	r.body, err = io.ReadAll(res.Body)
	_ = json.Unmarshal(r.body, &r.object)
	return r, err
}

func (c *client) get(t testing.TB, url string) *response {
	t.Helper()
	return c.method(t, http.MethodGet, url)
}

func (c *client) method(t testing.TB, method, url string) *response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return res
}

// takeNonce returns a nonce that was not used yet.
func (c *client) takeNonce(t testing.TB) string {
	t.Helper()
	if c.nonce == "" {
		c.method(t, http.MethodHead, c.url(t, "newNonce"))
	}
	n := c.nonce
	c.nonce = ""
	return n
}

// signed makes the JWS of a correct request.
func (c *client) signed(t testing.TB, url string, payload any) []byte {
	t.Helper()
	header := map[string]any{"nonce": c.takeNonce(t), "url": url}
	if c.kid != "" {
		header["kid"] = c.kid
	} else {
		header["jwk"] = jwkOf(c.key.Public())
	}
	return sign(c.key, algOf(c.key.Public()), header, encode(payload))
}

// send posts a body as it is.
func (c *client) send(ctx context.Context, url string, body []byte) (*response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/jose+json")
	return c.do(req)
}

// try posts a correct request once.
func (c *client) try(t testing.TB, url string, payload any) (*response, error) {
	t.Helper()
	return c.send(t.Context(), url, c.signed(t, url, payload))
}

// post is try that must get an answer, and repeats badNonce.
func (c *client) post(t testing.TB, url string, payload any) *response {
	t.Helper()
	for {
		res, err := c.try(t, url, payload)
		if err != nil {
			t.Fatalf("POST %s: %v", url, err)
		}
		if res.problem() != "badNonce" {
			return res
		}
	}
}

// must is post that must succeed.
func (c *client) must(t testing.TB, status int, url string, payload any) *response {
	t.Helper()
	res := c.post(t, url, payload)
	if res.status != status {
		t.Fatalf("POST %s: status %d, want %d: %s", url, res.status, status, res.body)
	}
	return res
}

// refused is post that must be answered with a problem.
func (c *client) refused(t testing.TB, status int, problem, url string, payload any) *response {
	t.Helper()
	res := c.post(t, url, payload)
	if res.status != status || res.problem() != problem {
		t.Fatalf("POST %s: %d %s, want %d %s: %s", url, res.status, res.problem(), status, problem, res.body)
	}
	return res
}

type m = map[string]any

func (c *client) register(t testing.TB) *client {
	t.Helper()
	res := c.must(t, http.StatusCreated, c.url(t, "newAccount"), m{"termsOfServiceAgreed": true})
	c.kid = res.header.Get("Location")
	return c
}

func identifiers(names ...string) []acmetest.Identifier {
	var ids []acmetest.Identifier
	for _, n := range names {
		typ := "dns"
		if net.ParseIP(n) != nil {
			typ = "ip"
		}
		ids = append(ids, acmetest.Identifier{Type: typ, Value: n})
	}
	return ids
}

// order makes a new order.
func (c *client) order(t testing.TB, names ...string) *response {
	t.Helper()
	return c.must(t, http.StatusCreated, c.url(t, "newOrder"), m{"identifiers": identifiers(names...)})
}

// challengeOf returns the URL of a pending challenge of an authorization.
func (c *client) challengeOf(t testing.TB, authz, typ string) string {
	t.Helper()
	res := c.must(t, http.StatusOK, authz, nil)
	list, _ := res.object["challenges"].([]any)
	for _, e := range list {
		if ch := e.(map[string]any); typ == "" || ch["type"] == typ {
			return ch["url"].(string)
		}
	}
	t.Fatalf("no %s in %s", typ, res.body)
	return ""
}

// poll asks until the status is final enough.
func (c *client) poll(t testing.TB, url string, until ...string) *response {
	t.Helper()
	for {
		res := c.must(t, http.StatusOK, url, nil)
		for _, status := range until {
			if res.str("status") == status {
				return res
			}
		}
		if s := res.str("status"); s != "pending" && s != "processing" {
			t.Fatalf("%s is %s: %s", url, s, res.body)
		}
		pause(t, max(c.pause, time.Millisecond))
	}
}

// ready makes an order and fulfils its authorizations.
func (c *client) ready(t testing.TB, typ string, names ...string) (orderURL string, order *response) {
	t.Helper()
	order = c.order(t, names...)
	orderURL = order.header.Get("Location")
	for _, authz := range order.strings("authorizations") {
		res := c.must(t, http.StatusOK, authz, nil)
		if res.str("status") == "pending" {
			c.must(t, http.StatusOK, c.challengeOf(t, authz, typ), m{})
		}
	}
	return orderURL, c.poll(t, orderURL, "ready")
}

// issue gets a certificate and returns its URL and its chain.
func (c *client) issue(t testing.TB, names ...string) (string, []*x509.Certificate) {
	t.Helper()
	return c.issueFor(t, newKey(t), names...)
}

func (c *client) issueFor(t testing.TB, key crypto.Signer, names ...string) (string, []*x509.Certificate) {
	t.Helper()
	orderURL, order := c.ready(t, "", names...)
	c.must(t, http.StatusOK, order.str("finalize"), csrOf(t, key, names...))
	cert := c.poll(t, orderURL, "valid").str("certificate")
	return cert, c.chain(t, cert)
}

func (c *client) chain(t testing.TB, url string) []*x509.Certificate {
	t.Helper()
	chain, err := parseChain(c.must(t, http.StatusOK, url, nil).body)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func parseChain(data []byte) (chain []*x509.Certificate, err error) {
	for len(data) > 0 {
		block, rest := pem.Decode(data)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("no certificate chain")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain, data = append(chain, cert), rest
	}
	return chain, nil
}

// verify checks a chain up to a trust anchor.
func verify(t testing.TB, chain []*x509.Certificate, name string, roots *x509.CertPool) {
	t.Helper()
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		DNSName: name, Roots: roots, Intermediates: intermediates, CurrentTime: time.Now(),
	}); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
