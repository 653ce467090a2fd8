package tlsalpn01_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
)

// A socket opens listeners at a free port, and keeps the last one.
type socket struct {
	mu sync.Mutex
	l  net.Listener
}

func (s *socket) listen(ctx context.Context, _, address string) (net.Listener, error) {
	if address != ":443" {
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

func overTCP(ctx context.Context, addr string) func(*tls.Config) (tls.ConnectionState, error) {
	return func(client *tls.Config) (tls.ConnectionState, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		return shakeHands(ctx, conn, client)
	}
}

func TestServerClosesAtOnce(t *testing.T) {
	t.Parallel()
	var s socket
	server := tlsalpn01.Server{Listen: s.listen}
	a := attempt("a.example", token)
	cleanup := present(t, &server, a)
	closesAtOnce(t, s.addr(), a)
	for _, client := range []*tls.Config{hello("b.example"), {ServerName: "a.example"}, {ServerName: "a.example", NextProtos: []string{"h2"}}} {
		if _, err := overTCP(t.Context(), s.addr())(client); err == nil {
			t.Errorf("%q for %q is served", client.NextProtos, client.ServerName)
		}
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr()); err == nil {
		t.Error("the port is open after the cleanup")
	}
}

func TestServerErrors(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := tlsalpn01.Server{Addr: taken.Addr().String()}
	cleanup, err := server.Present(t.Context(), []*acme.Attempt{attempt("a.example", token)})
	if err == nil || !strings.Contains(err.Error(), "tlsalpn01: tls-alpn-01 for a.example: listen tcp "+taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	taken.Close()
	if err := present(t, &server, attempt("a.example", "other"))(t.Context()); err != nil { // which the name is free for
		t.Error(err)
	}

}

func TestListenerThatCloses(t *testing.T) {
	t.Parallel()
	var s socket
	server := tlsalpn01.Server{Listen: s.listen}
	cleanup := present(t, &server, attempt("a.example", token))
	s.l.Close()
	var err error
	for err == nil { // until it is noticed
		var another acme.Cleanup
		if another, err = server.Present(t.Context(), []*acme.Attempt{attempt("b.example", token)}); another != nil {
			_ = another(t.Context())
		}
	}
	for _, err := range []error{err, cleanup(t.Context())} {
		if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "tlsalpn01: ") {
			t.Errorf("got %v", err)
		}
	}
	if err := present(t, &server)(t.Context()); err != nil { // of nothing, for which no port is opened
		t.Error(err)
	}
}
