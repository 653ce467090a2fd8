package http01_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := http01.Server{Addr: taken.Addr().String()}
	cleanup, err := server.Present(t.Context(), []*acme.Attempt{attempt(token)})
	if err == nil || !strings.Contains(err.Error(), "http01: http-01 for example.com: listen tcp "+taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	taken.Close()
	if err := present(t, &server, token)(t.Context()); err != nil { // nothing is left of the first try
		t.Error(err)
	}
	if _, err := server.Present(t.Context(), []*acme.Attempt{attempt("../up")}); err == nil {
		t.Error("a token that is none was taken")
	}
	if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", server.Addr); err != nil {
		t.Errorf("the port is not free after all: %v", err)
	} else {
		l.Close()
	}
}

func TestListenerThatCloses(t *testing.T) {
	t.Parallel()
	var s socket
	server := http01.Server{Listen: s.listen}
	cleanup := present(t, &server, token)
	s.l.Close()
	var err error
	for err == nil { // until it is noticed
		var another acme.Cleanup
		if another, err = server.Present(t.Context(), []*acme.Attempt{attempt("other")}); another != nil {
			_ = another(t.Context())
		}
	}
	for _, err := range []error{err, cleanup(t.Context())} {
		if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "http01: ") {
			t.Errorf("got %v", err)
		}
	}
	cleanup = present(t, &server, token) // anew
	if err := s.served(t.Context(), attempt(token)); err != nil {
		t.Error(err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr()); err == nil {
		t.Error("the port is open after the cleanup")
	}
	if err := present(t, &server)(t.Context()); err != nil { // of nothing, for which no port is opened
		t.Error(err)
	}
}
