package pebble_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// TestConcurrent is what stops a bare Pebble within seconds.
func TestConcurrent(t *testing.T) {
	for _, test := range []struct {
		name     string
		opts     pebble.Options
		accounts int
		orders   int
	}{
		{"an account each", pebble.Options{}, 64, 64},
		{"nonces rejected", pebble.Options{NonceReject: 20}, 8, 64},
		{"authorizations reused", pebble.Options{AuthorizationReuse: 50}, 1, 32},
		{"processing shown", pebble.Options{ShowProcessing: true, Strict: true}, 8, 32},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, s, r := start(t, test.opts)
			began := time.Now()
			accounts := make([]*client, test.accounts)
			for i := range accounts {
				accounts[i] = account(ctx, t, s)
			}
			var all sync.WaitGroup
			for i := range test.orders {
				all.Go(func() {
					names := []string{fmt.Sprintf("host%d.example", i%16), "shared.example"}
					if _, _, err := accounts[i%len(accounts)].obtain(ctx, "http-01", r.solve, names...); err != nil {
						t.Errorf("%d: %v", i, err)
					}
				})
			}
			all.Wait()
			t.Logf("%d certificates, %d requests in %v", test.orders, s.Requests(), time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestConcurrentFailures has validations fail while the orders are polled.
func TestConcurrentFailures(t *testing.T) {
	ctx, s, r := start(t, pebble.Options{})
	c := account(ctx, t, s)
	wrong := func(c *client, a *authorization, ch challenge) {
		if a.Identifier.Value == "good.example" {
			r.solve(c, a, ch)
		}
	}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			o, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers(fmt.Sprintf("bad%d.example", i), "worse.example", "good.example")})
			if err != nil {
				t.Error(err)
				return
			}
			if o, err = c.authorize(ctx, o, "http-01", wrong); err != nil {
				t.Error(err)
			} else if o.Status != "invalid" {
				t.Errorf("order is %s", o.Status)
			}
		})
	}
	all.Wait()
}
