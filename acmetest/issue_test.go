package acmetest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// strict fails the test if the client below breaks the RFC.
func strict(o acmetest.Options) acmetest.Options {
	o.Strict = true
	return o
}

func TestIssueInBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := acmetest.NewServer(t, strict(acmetest.Options{
			Latency:        100 * time.Millisecond,
			ValidationTime: 3 * time.Hour,
			IssuanceTime:   24 * time.Hour,
		}))
		start := time.Now()
		c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
		c.pause = 10 * time.Minute
		_, chain := c.issue(t, "example.com", "*.example.com", "192.0.2.1", "2001:db8::1")
		if d := time.Since(start); d < 27*time.Hour || d > 28*time.Hour {
			t.Errorf("took %v", d)
		}
		for _, name := range []string{"example.com", "www.example.com", "192.0.2.1", "2001:db8::1"} {
			verify(t, chain, name, s.Roots())
		}
		if len(chain) != 2 || len(s.Issued()) != 1 || !chain[0].Equal(s.Issued()[0]) {
			t.Errorf("chain of %d, issued %d", len(chain), len(s.Issued()))
		}
	})
}

func TestLatencyIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := acmetest.NewServer(t, acmetest.Options{Latency: 100 * time.Millisecond})
		start := time.Now()
		newClient(t, s.HTTPClient(), s.DirectoryURL())
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("the directory took %v", d)
		}
	})
}

func TestIssueOverTCP(t *testing.T) {
	t.Parallel()
	for name, pick := range map[string]func(*acmetest.Server) *http.Client{
		"HTTP/2.0": (*acmetest.Server).Client,
		"HTTP/1.1": (*acmetest.Server).ClientHTTP1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := acmetest.NewServer(t, strict(acmetest.Options{Latency: time.Millisecond}))
			h := pick(s)
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.DirectoryURL(), http.NoBody)
			res, err := h.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.Proto != name {
				t.Errorf("protocol %s", res.Proto)
			}
			c := newClient(t, h, s.DirectoryURL()).register(t)
			_, chain := c.issue(t, "example.com")
			verify(t, chain, "example.com", s.Roots())
			if n := s.Connections(); n < 1 || n > 2 { // the first body was not read: maybe a second
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestBehindHTTPTest(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, strict(acmetest.Options{}))
	h := httptest.NewServer(s)
	defer h.Close()
	c := newClient(t, h.Client(), h.URL+"/directory").register(t)
	if !strings.HasPrefix(c.kid, h.URL+"/") {
		t.Errorf("account URL %s", c.kid)
	}
	c.issue(t, "example.com")
}

func TestOtherHosts(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, acmetest.Options{})
	for _, host := range []string{"acme.example.org", "127.0.0.1", "localhost:4430"} {
		c := newClient(t, s.Client(), "https://"+host+"/directory").register(t)
		if !strings.HasPrefix(c.kid, "https://"+host+"/") {
			t.Errorf("account URL %s", c.kid)
		}
	}
}

func TestConcurrentIssuance(t *testing.T) {
	t.Parallel()
	var validated atomic.Int64
	s := acmetest.NewServer(t, strict(acmetest.Options{
		BadNonce: 0.2,
		Validate: func(context.Context, acmetest.Validation) error {
			validated.Add(1)
			return nil
		},
		Fault: acmetest.FaultEvery(acmetest.KindOrder, 7, acmetest.Fault{Delay: time.Millisecond}),
	}))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			h := s.HTTPClient()
			if i%16 == 0 {
				h = s.Client()
			}
			c := newClient(t, h, s.DirectoryURL()).register(t)
			name := fmt.Sprintf("host%d.example.com", i)
			_, chain := c.issue(t, name)
			verify(t, chain, name, s.Roots())
		})
	}
	wg.Wait()
	if validated.Load() != 64 || len(s.Issued()) != 64 || len(s.Orders()) != 64 {
		t.Errorf("%d validated, %d issued, %d orders", validated.Load(), len(s.Issued()), len(s.Orders()))
	}
}

func TestNoGoroutineLeft(t *testing.T) {
	// Not parallel: it counts goroutines.
	before := runtime.NumGoroutine()
	t.Run("server", func(t *testing.T) {
		s := acmetest.NewServer(t, acmetest.Options{})
		newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t).issue(t, "example.com")
		if n := runtime.NumGoroutine(); n > before+1 { // the subtest itself
			t.Errorf("%d goroutines without a listener, %d before", n, before)
		}
		newClient(t, s.Client(), s.DirectoryURL()).register(t)
		newClient(t, s.ClientHTTP1(), s.DirectoryURL()).register(t)
	})
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		pause(t, time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines left, %d before\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
}

func BenchmarkIssue(b *testing.B) {
	for b.Loop() {
		s := acmetest.NewServer(nil, acmetest.Options{})
		newClient(b, s.HTTPClient(), s.DirectoryURL()).register(b).issue(b, "example.com")
	}
}
