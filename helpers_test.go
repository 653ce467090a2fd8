package acme_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// A fixture is a CA in memory with a client, an account and a solver.
type fixture struct {
	*testing.T
	ca      *acmetest.Server
	client  *acme.Client
	account *acme.Account
	solver  *http01.Solver
	key     crypto.Signer // of the account
	certKey crypto.Signer
}

// bubble runs f in synthetic time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

// newFixture makes a CA that validates http-01 for real, with an account, and a
// Client that has sent nothing.
func newFixture(t *testing.T, opts acmetest.Options) *fixture {
	t.Helper()
	f := &fixture{T: t, solver: new(http01.Solver), key: fixtureKeys()[0], certKey: fixtureKeys()[1]}
	if opts.Validate == nil {
		opts.Validate = acmetest.ValidateHTTP01(f.solver)
	}
	f.ca = acmetest.NewServer(t, opts)
	f.client = f.newClient()
	f.account = f.client.Account(f.key, f.ca.AddAccount(f.key.Public()))
	return f
}

// fixtureKeys are those of all fixtures: each has a CA of its own.
var fixtureKeys = sync.OnceValue(func() (keys [2]crypto.Signer) {
	for i := range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

func (f *fixture) newClient() *acme.Client {
	return &acme.Client{DirectoryURL: f.ca.DirectoryURL(), HTTPClient: f.ca.HTTPClient(), UserAgent: "test/1"}
}

// request asks for a certificate for names, by http-01.
func (f *fixture) request(names ...string) acme.CertificateRequest {
	return acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(names...)},
		CSR:          acme.NewCSR(f.certKey),
		Solvers:      []acme.Solver{f.solver},
	}
}

// order makes an order and reads nothing else.
func (f *fixture) order(names ...string) *acme.Order {
	f.Helper()
	o, err := f.account.NewOrder(f.Context(), acme.OrderRequest{Identifiers: acme.DNS(names...)})
	if err != nil {
		f.Fatal(err)
	}
	return o
}

// fault makes the CA misbehave from now on.
func (f *fixture) fault(fault func(acmetest.Request) *acmetest.Fault) {
	f.ca.Update(func(o *acmetest.Options) { o.Fault = fault })
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "n" + strconv.Itoa(i) + ".example.com"
	}
	return out
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// An opaqueKey is a key in a key store: nothing but a crypto.Signer.
type opaqueKey struct{ crypto.Signer }

func (k opaqueKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.Signer.Sign(r, digest, opts)
}

// rsaKey is the RSA key of RFC 7515: making one takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	data, err := os.ReadFile(filepath.Join("testdata", "vectors", "thumbprints.json"))
	if err != nil {
		panic(err)
	}
	var vectors []struct{ JWK jose.JSONWebKey }
	if err := json.Unmarshal(data, &vectors); err != nil {
		panic(err)
	}
	for _, v := range vectors {
		if key, ok := v.JWK.Key.(*rsa.PrivateKey); ok {
			return key
		}
	}
	panic("no RSA key")
})

// accountKeys has a key of each kind, also as an opaque signer.
var accountKeys = sync.OnceValue(func() map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys := map[string]crypto.Signer{"RS256": rsaKey(), "EdDSA": ed}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[alg] = key
	}
	for alg, key := range maps.Clone(keys) {
		keys[alg+" opaque"] = opaqueKey{key}
	}
	return keys
})

// A plainServer serves a CA by plain HTTP on loopback, and counts connections.
type plainServer struct {
	*httptest.Server
	opened atomic.Int64
}

func newPlainServer(t testing.TB, h http.Handler) *plainServer {
	t.Helper()
	s := &plainServer{Server: httptest.NewUnstartedServer(h)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *plainServer) connections() int { return int(s.opened.Load()) }

// problemIn returns the Problem in err, or fails the test.
func problemIn(t *testing.T, err error) *acme.Problem {
	t.Helper()
	p, ok := errors.AsType[*acme.Problem](err)
	if !ok {
		t.Fatalf("got %v, want a Problem", err)
	}
	return p
}

// a solver made of functions.
type testSolver struct {
	supports func(*acme.Attempt) bool
	present  func(context.Context, []*acme.Attempt) (acme.Cleanup, error)
}

func (s testSolver) Supports(a *acme.Attempt) bool { return s.supports(a) }
func (s testSolver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	return s.present(ctx, batch)
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// pass lets synthetic time pass.
func pass(d time.Duration) { <-time.After(d) }

// synctestRun runs f in synthetic time, not in parallel with others.
func synctestRun(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func contextWithTimeout(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}

// binaryMember decodes a base64url member of a request's payload.
func binaryMember(t *testing.T, r acmetest.Request, name string) []byte {
	t.Helper()
	var payload map[string]any
	if err := json.Unmarshal(r.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	text, _ := payload[name].(string)
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
