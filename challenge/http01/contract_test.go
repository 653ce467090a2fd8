package http01_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

func TestSolver(t *testing.T) {
	t.Parallel()
	var solver *http01.Solver // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			solver = new(http01.Solver)
			return solver
		},
		func(_ context.Context, a *acme.Attempt) error { return served(solver, a) })
}

// One replica places the orders, another one is asked.
func TestShared(t *testing.T) {
	t.Parallel()
	var store *memory // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			store = new(memory)
			return &http01.Shared{Store: store}
		},
		func(_ context.Context, a *acme.Attempt) error { return served(&http01.Shared{Store: store}, a) })
}

// Two replicas place orders, and share authorizations: each Present goes to the
// other one in turn.
func TestSharedByReplicas(t *testing.T) {
	t.Parallel()
	var store *memory
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			store = new(memory)
			return &alternating{solvers: []acme.Solver{&http01.Shared{Store: store}, &http01.Shared{Store: store}}}
		},
		func(_ context.Context, a *acme.Attempt) error { return served(&http01.Shared{Store: store}, a) })
}

type alternating struct {
	mu      sync.Mutex
	solvers []acme.Solver
}

func (*alternating) Supports(a *acme.Attempt) bool { return new(http01.Shared).Supports(a) }

func (s *alternating) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	s.mu.Lock()
	solver := s.solvers[0]
	s.solvers = append(s.solvers[1:], solver)
	s.mu.Unlock()
	return solver.Present(ctx, batch)
}

// Stateless answers all the time. What the suite sees is whether it does while
// another solver says that it should.
func TestStateless(t *testing.T) {
	t.Parallel()
	var solver *gated
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			solver = new(gated)
			return solver
		},
		func(_ context.Context, a *acme.Attempt) error {
			if err := served(&solver.memory, a); err != nil {
				return err
			}
			return served(stateless, a)
		})
}

var stateless = http01.Stateless{Thumbprint: thumbprint}

type gated struct{ memory http01.Solver }

func (g *gated) Supports(a *acme.Attempt) bool { return stateless.Supports(a) }

func (g *gated) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	if cleanup, err := stateless.Present(ctx, batch); cleanup != nil || err != nil {
		return cleanup, err
	}
	return g.memory.Present(ctx, batch)
}

// A web server that knows nothing of us serves the folder.
func TestWebroot(t *testing.T) {
	t.Parallel()
	var handler http.Handler
	challengetest.TestSolver(t,
		func(t testing.TB) acme.Solver {
			t.Helper()
			dir := t.TempDir()
			handler = http.FileServer(http.Dir(dir))
			t.Cleanup(func() { isEmpty(t, dir) })
			return &http01.Webroot{Dir: dir}
		},
		func(_ context.Context, a *acme.Attempt) error { return served(handler, a) })
}

// isEmpty fails the test if a folder is not.
func isEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if found, _ := filepath.Glob(filepath.Join(os.TempDir(), "challengetest-was-here*")); len(found) > 0 {
		t.Errorf("a token has led out of the folder: %q", found)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	var s *socket // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			s = new(socket)
			return &http01.Server{Listen: s.listen}
		},
		func(ctx context.Context, a *acme.Attempt) error { return s.served(ctx, a) })
}

// A socket opens listeners at a free port, and keeps the last one.
type socket struct {
	mu sync.Mutex
	l  net.Listener
}

func (s *socket) listen(ctx context.Context, _, address string) (net.Listener, error) {
	if address != ":80" {
		return nil, errors.New("asked for " + address)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l = l
	return l, err
}

func (s *socket) addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.l == nil {
		return "127.0.0.1:1"
	}
	return s.l.Addr().String()
}

func (s *socket) served(ctx context.Context, a *acme.Attempt) error {
	if len(a.Challenge.Token) > 1000 {
		return errors.New("nobody asks for that")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr()+"/", http.NoBody)
	if err != nil {
		return err
	}
	request.URL.Path = http01.PathPrefix + a.Challenge.Token
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != string(a.KeyAuthorization) {
		return fmt.Errorf("status %d, %w", response.StatusCode, err)
	}
	return nil
}

// All of them take the same attempts.
func TestSupports(t *testing.T) {
	t.Parallel()
	name, addr := acme.DNS("example.com")[0], acme.Identifier{Type: acme.TypeIP, Value: "2001:db8::1"}
	for _, s := range []acme.Solver{new(http01.Solver), new(http01.Server), http01.Stateless{}, new(http01.Shared), new(http01.Webroot)} {
		for _, tt := range []struct {
			attempt *acme.Attempt
			want    bool
		}{
			{challengetest.NewAttempt(acme.HTTP01, name, token), true},
			{challengetest.NewAttempt(acme.HTTP01, addr, token), true},
			{challengetest.NewAttempt(acme.HTTP01, acme.DNS("*.example.com")[0], token), false},
			{challengetest.NewAttempt(acme.HTTP01, acme.Identifier{Type: "email", Value: "a@example.com"}, token), false},
			{challengetest.NewAttempt(acme.DNS01, name, token), false},
			{&acme.Attempt{Identifier: name}, false},
		} {
			if got := s.Supports(tt.attempt); got != tt.want {
				t.Errorf("%T: %s: %t", s, tt.attempt, got)
			}
		}
	}
}
