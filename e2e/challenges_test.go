package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/http01/redisstore"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/fakedns"
	"github.com/seed-aa0b9f56/acme/internal/needs"
	redisserver "github.com/seed-aa0b9f56/acme/internal/redis"
)

// http-01 and tls-alpn-01 for names and addresses, on IPv4 and IPv6, by listeners
// of the solvers' own.
func TestServers(t *testing.T) {
	t.Parallel()
	needs.IPv6(t)
	e := start(t, pebble.Options{Strict: true})
	e.server.SetAddresses("six.example", netip.IPv6Loopback())
	ids := slices.Concat(acme.DNS("four.example", "six.example"), acme.IP(netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()))
	handed := func(listen func() (net.Listener, error)) func(context.Context, string, string) (net.Listener, error) {
		return func(context.Context, string, string) (net.Listener, error) { return listen() }
	}
	for name, solver := range map[string]acme.Solver{
		"tls-alpn-01": &tlsalpn01.Server{Listen: handed(e.server.ListenTLS)},
		"http-01":     e.solver,
	} {
		req := e.request(ids...)
		req.Solvers = []acme.Solver{solver}
		cert, err := e.account.Obtain(e.context(), req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e.check(cert, err, "four.example", "127.0.0.1", "six.example", "::1")
	}
}

// The listener of tls-alpn-01 keeps the contract of a solver: here, since so many
// handshakes take too long elsewhere.
func TestTLSServerKeepsTheContract(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	addr := "127.0.0.1:1"
	listen := func(ctx context.Context, _, _ string) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			addr = l.Addr().String()
		}
		return l, err
	}
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver { return &tlsalpn01.Server{Listen: listen} },
		func(ctx context.Context, a *acme.Attempt) error {
			mu.Lock()
			at := addr
			mu.Unlock()
			checker := tlsalpn01.Checker{
				Resolver: fakedns.Resolver(map[string][]netip.Addr{a.Identifier.Value: {netip.MustParseAddr("192.0.2.1")}}),
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, at)
				},
			}
			return checker.Check(ctx, a)
		})
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

// Three replicas behind a balancer that chooses at random, each with a connection
// of its own to what they share, 200 issuances, none fails.
func TestFleet(t *testing.T) {
	t.Parallel()
	for name, newReplica := range map[string]func(*environment) func() replica{
		"stateless": func(e *environment) func() replica {
			thumbprint := e.account.Thumbprint()
			return func() replica { return http01.Stateless{Thumbprint: thumbprint} }
		},
		"Redis": func(e *environment) func() replica {
			socket := redisserver.Start(e)
			return func() replica {
				client := redis.NewClient(&redis.Options{Network: "unix", Addr: socket})
				e.Cleanup(func() { client.Close() })
				return &http01.Shared{Store: &redisstore.Store{Client: client}}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, pebble.Options{Strict: true})
			connect := newReplica(e)
			e.issueByFleet(200, connect(), connect(), connect())
		})
	}
}

// A replica of a fleet places orders and answers challenges.
type replica interface {
	acme.Solver
	http.Handler
}

// issueByFleet has replicas obtain n certificates, 16 at a time.
func (e *environment) issueByFleet(n int, replicas ...replica) {
	e.Helper()
	e.balance(func(w http.ResponseWriter, r *http.Request) { replicas[rand.IntN(len(replicas))].ServeHTTP(w, r) })
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			req := e.request(acme.DNS(fmt.Sprintf("n%d.example", i))...)
			req.Solvers = []acme.Solver{replicas[i%len(replicas)]}
			if _, err := e.account.Obtain(e.context(), req); err != nil {
				e.Error(err)
			}
		})
	}
	wg.Wait()
}
