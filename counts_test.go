package acme_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// Requests of one issuance, with a fresh Client and a stored account, and a
// server that validates and issues at once.
func TestRequestCounts(t *testing.T) {
	conformance.Claim(t, "8555-7.1.6-03")
	t.Parallel()
	for _, n := range []int{1, 2, 7, 8, 9, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				if _, err := f.account.Obtain(t.Context(), f.request(names(n)...)); err != nil {
					t.Fatal(err)
				}
				want := 6 + 2*n + min(n, 8) - 1
				if got := f.ca.Count(""); got > want {
					t.Errorf("%d requests for %d names, want %d at most:\n%v", got, n, want, f.kinds())
				}
				if got := f.ca.Count(acmetest.KindDirectory); got != 1 {
					t.Errorf("%d directory requests, want 1", got)
				}
			})
		})
	}
}

func (f *fixture) kinds() map[acmetest.Kind]int {
	kinds := map[acmetest.Kind]int{}
	for _, r := range f.ca.Requests() {
		kinds[r.Kind]++
	}
	return kinds
}

func TestRequestCountsConcurrency(t *testing.T) {
	t.Parallel()
	for _, k := range []int{1, 3, 20} {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{Latency: 10 * time.Millisecond})
				req := f.request(names(20)...)
				req.Concurrency = k
				if _, err := f.account.Obtain(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if got, want := f.ca.Count(""), 6+40+k-1; got > want {
					t.Errorf("%d requests, want %d at most: %v", got, want, f.kinds())
				}
			})
		})
	}
}

// An order that is ready when it is made needs neither authorizations nor
// solvers.
func TestRequestCountReady(t *testing.T) {
	conformance.Claim(t, "8555-7.1.3-07")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{PreValidated: true})
		req := f.request("example.com")
		req.Solvers = nil
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := f.ca.Count(""); got != 5 {
			t.Errorf("%d requests, want 5: %v", got, f.kinds())
		}
	})
}

// A rejected nonce costs one request and no newNonce: the answer brings a fresh
// one (x/crypto threw that away).
func TestRequestCountBadNonces(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 30} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{BadNonce: 0.2, Seed: 7})
				rejected := 0
				for range max(1, 10/n) {
					f.ca.Reset()
					f.account = f.newClient().Account(f.key, f.account.URL())
					if _, err := f.account.Obtain(t.Context(), f.request(names(n)...)); err != nil {
						t.Fatal(err)
					}
					bad := 0
					for _, r := range f.ca.Requests() {
						if r.ProblemType == string(acme.ErrBadNonce) {
							bad++
						}
					}
					rejected += bad
					k := min(n, 8)
					if got, want := f.ca.Count(""), 6+2*n+k-1+bad; got > want {
						t.Errorf("%d requests with %d nonces rejected, want %d at most: %v", got, bad, want, f.kinds())
					}
					if got := f.ca.Count(acmetest.KindNewNonce); got > k {
						t.Errorf("%d newNonce requests, want %d at most", got, k)
					}
				}
				if rejected == 0 {
					t.Error("no nonce was rejected: the test tested nothing")
				}
			})
		})
	}
}

func TestHundredNamesAtFiftyMilliseconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 50 * time.Millisecond})
		start := time.Now()
		if _, err := f.account.Obtain(t.Context(), f.request(names(100)...)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2500*time.Millisecond {
			t.Errorf("took %v, want 2.5s at most", took)
		}
		if got, want := f.ca.Count(""), 6+200+8-1; got > want {
			t.Errorf("%d requests, want %d at most: %v", got, want, f.kinds())
		}
	})
}

// 64 issuances at once that all need a nonce: no lock is held over a request.
func TestNoLockOverRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{Latency: 50 * time.Millisecond, PreValidated: true})
		obtain := func(name string) time.Duration {
			start := time.Now()
			if _, err := f.account.Obtain(t.Context(), f.request(name)); err != nil {
				t.Error(err)
			}
			return time.Since(start)
		}
		one := obtain("one.example.com")
		f.account = f.newClient().Account(f.key, f.account.URL())
		f.ca.Reset()
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 64 {
			wg.Go(func() { obtain(fmt.Sprintf("n%d.example.com", i)) })
		}
		wg.Wait()
		if took := time.Since(start); took > one*11/10 {
			t.Errorf("64 at once took %v, one took %v", took, one)
		}
		if got := f.ca.Count(acmetest.KindDirectory); got != 1 {
			t.Errorf("%d directory requests, want 1", got)
		}
		if got := f.ca.Count(acmetest.KindNewNonce); got > 64 {
			t.Errorf("%d newNonce requests, want 64 at most", got)
		}
	})
}

// One connection under HTTP/2. Under HTTP/1.1 as many as there are requests in
// flight, all kept and used again.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		client func(*acmetest.Server) *http.Client
		want   int
	}{
		{"HTTP/2", (*acmetest.Server).Client, 1},
		{"HTTP/1.1", func(s *acmetest.Server) *http.Client {
			transport := s.ClientHTTP1().Transport.(*http.Transport).Clone()
			transport.MaxConnsPerHost = 8 // else net/http dials for a request that then gets another that is free
			return &http.Client{Transport: transport}
		}, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, acmetest.Options{})
			f.client.HTTPClient = tt.client(f.ca)
			f.checkConnections(tt.want, f.ca.Connections)
		})
	}
}

func (f *fixture) checkConnections(want int, count func() int) {
	f.Helper()
	for i := range 2 {
		if _, err := f.account.Obtain(f.Context(), f.request(names(12)...)); err != nil {
			f.Fatal(err)
		}
		if got := count(); got > want {
			f.Errorf("%d connections after %d issuances, want %d at most", got, i+1, want)
		}
	}
}

// Validation that takes its time is seen soon after, without a Retry-After.
func TestPollingOvershoot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ validation, want time.Duration }{
		{0, 10 * time.Millisecond},
		{300 * time.Millisecond, 500 * time.Millisecond},
		{1200 * time.Millisecond, 1900 * time.Millisecond},
	} {
		t.Run(tt.validation.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: tt.validation})
				for i := range 5 { // intervals are jittered
					start := time.Now()
					if _, err := f.account.Obtain(t.Context(), f.request(fmt.Sprintf("n%d.example.com", i))); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(start); took > tt.want || took < tt.validation {
						t.Fatalf("took %v, want %v at most", took, tt.want)
					}
				}
			})
		})
	}
}

func TestPollsInTenSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{ValidationTime: 10 * time.Second})
		for i := range 5 {
			f.ca.Reset()
			if _, err := f.account.Obtain(t.Context(), f.request(fmt.Sprintf("n%d.example.com", i))); err != nil {
				t.Fatal(err)
			}
			// One more comes after the ten seconds.
			if got := f.ca.Count(acmetest.KindOrder); got > 12+1 {
				t.Fatalf("%d polls, want 12 at most in 10 s", got)
			}
		}
	})
}

func TestPollingHonoursRetryAfter(t *testing.T) {
	conformance.Claim(t, "8555-7.4-14")
	t.Parallel()
	for _, value := range []string{"3", "date"} {
		t.Run(value, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{ValidationTime: 10 * time.Second, IssuanceTime: 10 * time.Second})
				f.fault(func(r acmetest.Request) *acmetest.Fault {
					switch r.Kind {
					case acmetest.KindOrder, acmetest.KindChallenge, acmetest.KindFinalize:
						h := http.Header{"Retry-After": {value}}
						if value == "date" {
							h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
							h.Set("Retry-After", time.Now().UTC().Add(3*time.Second).Format(http.TimeFormat))
						}
						return &acmetest.Fault{Header: h, Edit: func(status int, _ http.Header, body []byte) (int, []byte) { return status, body }}
					}
					return nil
				})
				var times []time.Time
				ctx := acme.WithTrace(t.Context(), &acme.Trace{Request: func(r acme.RequestInfo) {
					if r.Operation == acme.OpOrder || r.Operation == acme.OpRespondChallenge || r.Operation == acme.OpFinalize {
						times = append(times, time.Now())
					}
				}})
				if _, err := f.account.Obtain(ctx, f.request("example.com")); err != nil {
					t.Fatal(err)
				}
				if len(times) < 8 {
					t.Fatalf("%d requests, want more", len(times))
				}
				for i, at := range times[1:] {
					gap := at.Sub(times[i])
					if gap > 0 && (gap < 3*time.Second || gap > 3300*time.Millisecond) {
						t.Errorf("interval %d is %v, want 3s to 3.3s", i, gap)
					}
				}
			})
		})
	}
}

// The private HTTP client of a Client keeps its connections, HTTP/1.1 ones too.
func TestOwnHTTPClientKeepsConnections(t *testing.T) {
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	server := newPlainServer(t, f.ca)
	f.client = &acme.Client{DirectoryURL: server.URL + "/directory", AllowHTTP: true}
	var err error
	if f.account, err = f.client.NewAccount(t.Context(), f.key, acme.AccountRequest{}); err != nil {
		t.Fatal(err)
	}
	f.checkConnections(8, server.connections)
}

// One signed request, both sides of it: what the client allocates, and acmetest.
func BenchmarkRequest(b *testing.B) {
	ca := acmetest.NewServer(b, acmetest.Options{})
	key := newKey(b)
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient(), UserAgent: "test/1"}
	account := client.Account(key, ca.AddAccount(key.Public()))
	order, err := account.NewOrder(b.Context(), acme.OrderRequest{Identifiers: acme.DNS("example.com")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := account.Order(b.Context(), order.URL); err != nil {
			b.Fatal(err)
		}
	}
}
