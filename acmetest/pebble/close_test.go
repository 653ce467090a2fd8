package pebble_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/internal/leak"
)

// TestClose uses a server in every way and looks what is left of it.
// It does not run beside tests that have goroutines of their own.
func TestClose(t *testing.T) {
	before := leak.Goroutines()
	for range 3 {
		s, err := pebble.Start(pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.ListenHTTP()
		if err != nil {
			t.Fatal(err)
		}
		r := new(responder)
		web := &http.Server{Handler: r}
		served := make(chan error)
		go func() { served <- web.Serve(l) }()
		unused, err := s.ListenTLS()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		c := account(ctx, t, s)
		if _, _, err := c.obtain(ctx, "http-01", r.solve, "close.example"); err != nil {
			t.Fatal(err)
		}
		idle, err := net.Dial("tcp", hostOf(t, s.DirectoryURL()))
		if err != nil {
			t.Fatal(err)
		}
		addresses := []string{
			hostOf(t, s.DirectoryURL()), hostOf(t, s.ManagementURL()), s.DNSAddr(), s.HTTPAddr(), s.TLSAddr(),
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		cancel()
		for _, address := range addresses {
			again, err := net.Listen("tcp", address)
			if err != nil {
				t.Errorf("the port is not free: %v", err)
				continue
			}
			again.Close()
		}
		if err := <-served; err == nil {
			t.Error("the solver is still being served")
		}
		if _, err := unused.Accept(); err == nil {
			t.Error("a connection after Close")
		}
		if _, err := s.ListenHTTP(); err == nil {
			t.Error("a listener after Close")
		}
		if err := s.SetRenewalInfo(s.Root(0), ""); err == nil {
			t.Error("renewal information after Close")
		}
		if _, err := newClient(t.Context(), s); err == nil {
			t.Error("a directory after Close")
		}
		idle.Close()
		web.Close()
	}
	patience, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if left := leak.Wait(patience, before, "va.VAImpl.processTasks"); left != nil {
		t.Fatalf("%d goroutines left:\n%s", len(left), strings.Join(left, "\n\n"))
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// TestCloseWhileBusy closes a server in the middle of everything.
func TestCloseWhileBusy(t *testing.T) {
	t.Parallel()
	for range 5 {
		s, err := pebble.Start(pebble.Options{ShowProcessing: true})
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.ListenHTTP()
		if err != nil {
			t.Fatal(err)
		}
		r := new(responder)
		go http.Serve(l, r)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				c, err := newAccount(ctx, s)
				for err == nil {
					_, _, err = c.obtain(ctx, "http-01", r.solve, "busy.example")
				}
			})
		}
		<-time.After(100 * time.Millisecond)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		if ctx.Err() != nil {
			t.Error("a client was left waiting")
		}
		cancel()
	}
}

// TestManyServers starts servers side by side, with different options.
func TestManyServers(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			s, err := pebble.Start(pebble.Options{AlwaysValid: true, NonceReject: i % 2 * 100})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			if i%2 == 0 {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
			}
			defer cancel()
			if _, err := newAccount(ctx, s); (err == nil) != (i%2 == 0) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
}

func TestListeners(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	s, err := pebble.Start(pebble.Options{HTTPPort: free})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	// A port that the caller chose is the caller's, with us or without.
	own, err := net.Listen("tcp", s.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.ListenHTTP(); err == nil {
		t.Errorf("two listeners at %v", l.Addr())
	}
	own.Close()

	for _, listen := range []func() (net.Listener, error){s.ListenHTTP, s.ListenTLS, s.ListenHTTP, s.ListenTLS} {
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listen(); err == nil {
			t.Error("two listeners at once")
		}
		dial, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		dial.Close()
		for range 2 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// With no listener, connections to a port that we chose end at once.
	dial, err := net.Dial("tcp", s.TLSAddr())
	if err != nil {
		t.Fatal(err)
	}
	_ = dial.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := dial.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("Read: %v", err)
	}
	dial.Close()
}
