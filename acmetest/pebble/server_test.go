package pebble_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// start starts a server for a test, and a responder for http-01.
func start(t *testing.T, opts pebble.Options) (context.Context, *pebble.Server, *responder) {
	t.Helper()
	s, err := pebble.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.ListenHTTP()
	if err != nil {
		t.Fatal(err)
	}
	r := new(responder)
	web := &http.Server{Handler: r}
	go web.Serve(l)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return ctx, s, r
}

// account is newAccount for tests.
func account(ctx context.Context, t *testing.T, s *pebble.Server) *client {
	t.Helper()
	c, err := newAccount(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify checks a chain against a root.
func verify(t *testing.T, chain []*x509.Certificate, root *x509.Certificate, names ...string) {
	t.Helper()
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	for _, name := range names {
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHTTP01(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{Strict: true})
	c := account(ctx, t, s)
	names := []string{"one.example", "two.example", "localhost", "127.0.0.1"}
	_, chain, err := c.obtain(ctx, "http-01", r.solve, names...)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, chain, s.Root(0), names...)
	if s.Requests() < 10 || s.Connections() != 1 {
		t.Errorf("%d requests on %d connections", s.Requests(), s.Connections())
	}
}
