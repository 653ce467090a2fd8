package acme_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// The process dies at each single request of an issuance, before the request or
// its answer arrives. Another one goes on from what was stored: the account key
// and URL, the certificate key, and the order's URL if there was one. It ends
// with one certificate and one order, or two orders where the answer to newOrder
// had not arrived.
func TestRestart(t *testing.T) {
	t.Parallel()
	for _, acted := range []bool{false, true} {
		t.Run(fmt.Sprintf("acted=%v", acted), func(t *testing.T) {
			t.Parallel()
			deaths := 0
			for n := 1; ; n++ {
				survived := false
				ok := t.Run(fmt.Sprint("request ", n), func(t *testing.T) {
					synctestRun(t, func(t *testing.T) { survived = dieAt(t, n, acted, 50*time.Millisecond) })
				})
				if survived || !ok {
					break
				}
				deaths++
			}
			if deaths < 10 {
				t.Errorf("the process died %d times only", deaths)
			}
		})
	}
}

// dieAt lets a process die at its nth request, and reports whether it was done
// before that.
func dieAt(t *testing.T, n int, acted bool, issuance time.Duration) (survived bool) {
	f := newFixture(t, acmetest.Options{Validate: failing(), ValidationTime: 50 * time.Millisecond, IssuanceTime: issuance})
	killed := errors.New("killed")
	ctx, kill := context.WithCancelCause(t.Context())
	sent := 0
	next := f.ca.Transport()
	f.client.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if sent++; sent < n {
			return next.RoundTrip(r)
		}
		if acted {
			resp, err := next.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
		}
		kill(killed)
		return nil, killed
	})}
	stored := ""
	traced := acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { stored = o.URL }})
	req := f.request("a.example.com")
	req.Concurrency = 1
	if _, err := f.account.Obtain(traced, req); err == nil {
		return true
	} else if !errors.Is(err, killed) {
		t.Fatalf("got %v", err)
	}

	account := f.newClient().Account(f.key, f.account.URL())
	var cert *acme.Certificate
	var err error
	if stored == "" {
		cert, err = account.Obtain(t.Context(), f.request("a.example.com"))
	} else {
		var o *acme.Order
		if o, err = account.Order(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		cert, err = account.Complete(t.Context(), o, f.request())
	}
	if err != nil {
		t.Fatal(err)
	}
	f.verify(cert, "a.example.com")
	orders := len(f.ca.Orders())
	if certificates := len(f.ca.Issued()); certificates != 1 || orders > 2 || orders == 2 && stored != "" {
		t.Errorf("%d certificates, %d orders, stored %q", certificates, orders, stored)
	}
	return false
}
