package pebble_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// A client is the least of an ACME client: just enough to find out whether the
// server works, and nothing to imitate.
type client struct {
	http      *http.Client
	directory struct {
		NewNonce, NewAccount, NewOrder, RevokeCert, KeyChange, RenewalInfo string
		Meta                                                               map[string]any
	}
	key     crypto.Signer
	account string

	mu     sync.Mutex
	nonces []string
}

// A problem is the error of a request that was refused.
type problem struct {
	Type, Detail string
	Status       int
	Subproblems  []problem
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Type, p.Detail) }

type order struct {
	url            string
	header         http.Header
	Status         string
	Authorizations []string
	Finalize       string
	Certificate    string
	Profile        string
	Error          *problem
}

type authorization struct {
	url        string
	Status     string
	Wildcard   bool
	Identifier identifier
	Challenges []challenge
}

type challenge struct {
	Type, URL, Status, Token string
	Error                    *problem
}

type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func identifiers(names ...string) []identifier {
	var ids []identifier
	for _, name := range names {
		kind := "dns"
		if _, err := netip.ParseAddr(name); err == nil {
			kind = "ip"
		}
		ids = append(ids, identifier{kind, name})
	}
	return ids
}

// newClient returns a client without an account.
func newClient(ctx context.Context, s *pebble.Server) (*client, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c := &client{http: s.Client(), key: key}
	resp, err := c.send(ctx, http.MethodGet, s.DirectoryURL(), nil)
	if err != nil {
		return nil, err
	}
	return c, json.NewDecoder(resp.Body).Decode(&c.directory)
}

// newAccount returns a client with a new account.
func newAccount(ctx context.Context, s *pebble.Server) (*client, error) {
	c, err := newClient(ctx, s)
	if err != nil {
		return nil, err
	}
	return c, c.register(ctx, nil)
}

// register makes an account, with an external account binding if there is one.
func (c *client) register(ctx context.Context, binding any) error {
	request := map[string]any{"termsOfServiceAgreed": true}
	if binding != nil {
		request["externalAccountBinding"] = binding
	}
	resp, err := c.post(ctx, c.directory.NewAccount, request)
	if err != nil {
		return err
	}
	c.account = resp.Header.Get("Location")
	return nil
}

// binding binds the account key to an external account.
func (c *client) binding(kid, mac string) (any, error) {
	secret, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret},
		(&jose.SignerOptions{}).WithHeader("kid", kid).WithHeader("url", c.directory.NewAccount))
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(jose.JSONWebKey{Key: c.key.Public()})
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(signed.FullSerialize()), nil
}

func (c *client) send(ctx context.Context, method, url string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "test")
	if body != nil {
		request.Header.Set("Content-Type", "application/jose+json")
	}
	resp, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(content))
	if nonce := resp.Header.Get("Replay-Nonce"); nonce != "" {
		c.mu.Lock()
		c.nonces = append(c.nonces, nonce)
		c.mu.Unlock()
	}
	return resp, err
}

// Nonce implements [jose.NonceSource].
func (c *client) Nonce() (string, error) {
	c.mu.Lock()
	n := len(c.nonces)
	if n > 0 {
		nonce := c.nonces[n-1]
		c.nonces = c.nonces[:n-1]
		c.mu.Unlock()
		return nonce, nil
	}
	c.mu.Unlock()
	if _, err := c.send(context.Background(), http.MethodHead, c.directory.NewNonce, nil); err != nil {
		return "", err
	}
	return c.Nonce()
}

// post sends a signed request, as often as its nonce is rejected. The payload
// nil means POST-as-GET.
func (c *client) post(ctx context.Context, url string, payload any) (*http.Response, error) {
	content := []byte{}
	if payload != nil {
		var err error
		if content, err = json.Marshal(payload); err != nil {
			return nil, err
		}
	}
	for {
		options := (&jose.SignerOptions{NonceSource: c, EmbedJWK: c.account == ""}).WithHeader("url", url)
		if c.account != "" {
			options.WithHeader("kid", c.account)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, options)
		if err != nil {
			return nil, err
		}
		signed, err := signer.Sign(content)
		if err != nil {
			return nil, err
		}
		resp, err := c.send(ctx, http.MethodPost, url, []byte(signed.FullSerialize()))
		if err != nil || resp.StatusCode < 400 {
			return resp, err
		}
		p := &problem{Status: resp.StatusCode}
		_ = json.NewDecoder(resp.Body).Decode(p)
		if !strings.HasSuffix(p.Type, ":badNonce") {
			return resp, p
		}
	}
}

// fetch gets an object by POST-as-GET.
func (c *client) fetch(ctx context.Context, url string, object any) (*http.Response, error) {
	resp, err := c.post(ctx, url, nil)
	if err != nil {
		return resp, err
	}
	return resp, json.NewDecoder(resp.Body).Decode(object)
}

func (c *client) newOrder(ctx context.Context, request map[string]any) (*order, error) {
	resp, err := c.post(ctx, c.directory.NewOrder, request)
	if err != nil {
		return nil, err
	}
	o := &order{url: resp.Header.Get("Location"), header: resp.Header}
	return o, json.NewDecoder(resp.Body).Decode(o)
}

func (c *client) order(ctx context.Context, url string) (*order, error) {
	o := &order{url: url}
	resp, err := c.fetch(ctx, url, o)
	if err != nil {
		return nil, err
	}
	o.header = resp.Header
	return o, nil
}

func (c *client) authorization(ctx context.Context, url string) (*authorization, error) {
	a := &authorization{url: url}
	_, err := c.fetch(ctx, url, a)
	return a, err
}

// wait polls an order until it is in another state than those.
func (c *client) wait(ctx context.Context, url string, states ...string) (*order, error) {
	for {
		o, err := c.order(ctx, url)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(strings.Join(states, " "), o.Status) {
			return o, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("order is still %s: %w", o.Status, ctx.Err())
		}
	}
}

// changeKey rolls the account over to a new key.
func (c *client) changeKey(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{EmbedJWK: true}).WithHeader("url", c.directory.KeyChange))
	if err != nil {
		return err
	}
	payload, err := json.Marshal(map[string]any{"account": c.account, "oldKey": jose.JSONWebKey{Key: c.key.Public()}})
	if err != nil {
		return err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return err
	}
	if _, err = c.post(ctx, c.directory.KeyChange, json.RawMessage(signed.FullSerialize())); err == nil {
		c.key = key
	}
	return err
}

// keyAuthorization is RFC 8555, section 8.1.
func (c *client) keyAuthorization(token string) string {
	jwk := jose.JSONWebKey{Key: c.key.Public()}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return token + "." + base64.RawURLEncoding.EncodeToString(thumbprint)
}

func (c *client) txtValue(token string) string {
	digest := sha256.Sum256([]byte(c.keyAuthorization(token)))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func (a *authorization) challenge(kind string) (challenge, error) {
	for _, ch := range a.Challenges {
		if ch.Type == kind {
			return ch, nil
		}
	}
	return challenge{}, fmt.Errorf("no challenge %s for %s", kind, a.Identifier.Value)
}

// A solve fulfils a challenge before it is answered.
type solve func(c *client, a *authorization, ch challenge)

// authorize answers one challenge of each authorization and waits for the
// order to leave the state pending.
func (c *client) authorize(ctx context.Context, o *order, kind string, fulfil solve) (*order, error) {
	for _, url := range o.Authorizations {
		a, err := c.authorization(ctx, url)
		if err != nil {
			return nil, err
		}
		if a.Status == "valid" {
			continue
		}
		ch, err := a.challenge(kind)
		if err != nil {
			return nil, err
		}
		fulfil(c, a, ch)
		if _, err := c.post(ctx, ch.URL, struct{}{}); err != nil {
			return nil, err
		}
	}
	return c.wait(ctx, o.url, "pending")
}

// finalize asks for the certificate of an order that is ready.
func (c *client) finalize(ctx context.Context, o *order, names ...string) (*order, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := new(x509.CertificateRequest)
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, err
	}
	resp, err := c.post(ctx, o.Finalize, map[string]string{"csr": base64.RawURLEncoding.EncodeToString(csr)})
	if err != nil {
		return nil, err
	}
	answer := &order{url: o.url, header: resp.Header}
	return answer, json.NewDecoder(resp.Body).Decode(answer)
}

// chain downloads a chain, and the URLs of its alternates.
func (c *client) chain(ctx context.Context, url string) (chain []*x509.Certificate, alternates []string, err error) {
	resp, err := c.post(ctx, url, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, link := range resp.Header.Values("Link") {
		if target, ok := strings.CutSuffix(link, `>;rel="alternate"`); ok {
			alternates = append(alternates, strings.TrimPrefix(target, "<"))
		}
	}
	content, err := io.ReadAll(resp.Body)
	for err == nil && len(content) > 0 {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return nil, nil, errors.New("no PEM")
		}
		var certificate *x509.Certificate
		certificate, err = x509.ParseCertificate(block.Bytes)
		chain = append(chain, certificate)
	}
	return chain, alternates, err
}

// obtain does it all and returns the URL of the certificate with its chain.
func (c *client) obtain(ctx context.Context, kind string, fulfil solve, names ...string) (string, []*x509.Certificate, error) {
	return c.obtainOrder(ctx, map[string]any{"identifiers": identifiers(names...)}, kind, fulfil, names...)
}

func (c *client) obtainOrder(ctx context.Context, request map[string]any, kind string, fulfil solve, names ...string) (string, []*x509.Certificate, error) {
	o, err := c.newOrder(ctx, request)
	if err != nil {
		return "", nil, fmt.Errorf("new order: %w", err)
	}
	if o, err = c.authorize(ctx, o, kind, fulfil); err != nil {
		return "", nil, fmt.Errorf("authorize: %w", err)
	}
	if o.Status != "ready" {
		return "", nil, fmt.Errorf("order is %s: %w", o.Status, o.Error)
	}
	if o, err = c.finalize(ctx, o, names...); err != nil {
		return "", nil, fmt.Errorf("finalize: %w", err)
	}
	if o, err = c.wait(ctx, o.url, "ready", "processing"); err != nil {
		return "", nil, fmt.Errorf("after finalize: %w", err)
	}
	chain, _, err := c.chain(ctx, o.Certificate)
	if err != nil {
		return "", nil, fmt.Errorf("download %q of order %s: %w", o.Certificate, o.Status, err)
	}
	return o.Certificate, chain, nil
}

// A responder fulfils http-01 challenges.
type responder struct {
	mu    sync.Mutex
	known map[string]string
}

func (r *responder) solve(c *client, _ *authorization, ch challenge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[string]string)
	}
	r.known["/.well-known/acme-challenge/"+ch.Token] = c.keyAuthorization(ch.Token)
}

func (r *responder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	value, ok := r.known[request.URL.Path]
	r.mu.Unlock()
	if !ok {
		http.NotFound(w, request)
		return
	}
	_, _ = io.WriteString(w, value)
}
