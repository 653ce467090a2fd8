package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
)

var loopback6 = netip.MustParseAddr("::1")

// hasIPv6 reports whether ::1 is there.
func hasIPv6(t *testing.T) bool {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Log("without IPv6: this machine has no ::1")
		return false
	}
	l.Close()
	return true
}

// identifiers are a name for each family, and addresses.
func (e *environment) identifiers() []acme.Identifier {
	e.Helper()
	ids := append(acme.DNS("four.example"), acme.IP(netip.MustParseAddr("127.0.0.1"))...)
	if hasIPv6(e.T) {
		e.server.SetAddresses("six.example", loopback6)
		ids = append(append(ids, acme.DNS("six.example")...), acme.IP(loopback6)...)
	}
	return ids
}

// http-01 and tls-alpn-01 for names and addresses, on IPv4 and IPv6, by listeners
// of the solvers' own.
func TestServers(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	handed := func(listen func() (net.Listener, error)) func(context.Context, string, string) (net.Listener, error) {
		return func(context.Context, string, string) (net.Listener, error) { return listen() }
	}
	for name, solver := range map[string]acme.Solver{
		"tls-alpn-01": &tlsalpn01.Server{Listen: handed(e.server.ListenTLS)},
		"http-01":     e.solver,
	} {
		req := e.request(e.identifiers()...)
		req.Solvers = []acme.Solver{solver}
		cert, err := e.account.Obtain(e.context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e.check(cert, err, "four.example", "127.0.0.1")
		if hasIPv6(t) {
			e.check(cert, err, "six.example", "::1")
		}
	}
}

// A server with a certificate and HTTP/2, whose configuration is wrapped: orders for
// one name, at once, get their turns.
func TestTLSALPN01BesideAServer(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	var solver tlsalpn01.Solver
	l, err := e.server.ListenTLS()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: solver.Wrap(nil), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.ServeTLS(l, "", "") }()
	t.Cleanup(func() { server.Close() })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			req := e.request(acme.DNS("a.example", "www.a.example")...)
			req.Solvers = []acme.Solver{&solver}
			if _, err := e.account.Obtain(e.context(), req); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A memoryStore is a store that three replicas share.
type memoryStore struct {
	mu      sync.Mutex
	answers map[string]map[string]acme.KeyAuthorization
}

func (m *memoryStore) Put(_ context.Context, a http01.Answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers[a.Token] == nil {
		m.answers[a.Token] = map[string]acme.KeyAuthorization{}
	}
	m.answers[a.Token][a.Holder] = a.KeyAuthorization
	return nil
}

func (m *memoryStore) Get(_ context.Context, token string) (acme.KeyAuthorization, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.answers[token] {
		return k, nil
	}
	return "", nil
}

func (m *memoryStore) Delete(_ context.Context, a http01.Answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.answers[a.Token], a.Holder)
	return nil
}

// Three replicas behind a balancer that chooses at random, 200 issuances, none
// fails.
func TestFleet(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	store := &memoryStore{answers: map[string]map[string]acme.KeyAuthorization{}}
	type replica interface {
		acme.Solver
		http.Handler
	}
	for name, replicas := range map[string][3]replica{
		"stateless": {http01.Stateless{Thumbprint: e.account.Thumbprint()}, http01.Stateless{Thumbprint: e.account.Thumbprint()}, http01.Stateless{Thumbprint: e.account.Thumbprint()}},
		"shared":    {&http01.Shared{Store: store}, &http01.Shared{Store: store}, &http01.Shared{Store: store}},
	} {
		e.balance(func(w http.ResponseWriter, r *http.Request) { replicas[rand.IntN(3)].ServeHTTP(w, r) })
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i := range 100 {
			wg.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				req := e.request(acme.DNS(fmt.Sprintf("%s%d.example", name, i))...)
				req.Solvers = []acme.Solver{replicas[i%3]}
				if _, err := e.account.Obtain(e.context(), req); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
	}
}
