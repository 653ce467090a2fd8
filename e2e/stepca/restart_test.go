package stepca_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
)

// The program dies after each single request of an issuance; another one goes on
// from what was stored, and there is one order and one certificate.
func TestRestart(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ids := acme.DNS("a.example", "b.example")
	var last int
	for died, n := true, 1; died; n++ {
		clear(f.counts)
		ctx, kill := context.WithCancel(f.context())
		var stored string
		requests := 0
		ctx = acme.WithTrace(ctx, &acme.Trace{
			OrderCreated: func(o *acme.Order) { stored = o.URL },
			Request: func(acme.RequestInfo) {
				if requests++; requests == n {
					kill()
				}
			},
		})
		req := f.request(ids...)
		req.Concurrency = 1
		cert, err := f.account.Obtain(ctx, req)
		died = errors.Is(err, context.Canceled)
		kill()
		if !died {
			f.check(cert, err, ids...)
			break
		}
		last = n
		account := f.newClient().Account(f.key, f.account.URL())
		if stored == "" { // the answer to newOrder came, and was not read
			cert, err = account.Obtain(f.context(), f.request(ids...))
		} else {
			var o *acme.Order
			if o, err = account.Order(f.context(), stored); err != nil {
				t.Fatalf("after %d requests: %v", n, err)
			}
			cert, err = account.Complete(f.context(), o, f.request())
		}
		f.check(cert, err, ids...)
		if orders := f.counts[acme.OpNewOrder]; stored != "" && orders != 1 || orders > 2 || f.counts[acme.OpFinalize] != 1 {
			t.Errorf("died after %d requests: %d orders, finalized %d times", n, orders, f.counts[acme.OpFinalize])
		}
	}
	if last < 8 {
		t.Errorf("died in %d places only", last)
	}
}

// The CA goes down at any moment of an issuance, and comes back with its
// database: the order is gone on with.
func TestCARestart(t *testing.T) {
	t.Parallel()
	for _, storage := range []string{"bbolt", "badgerv2"} {
		for _, moment := range []acme.Status{acme.StatusPending, acme.StatusReady, acme.StatusValid} {
			t.Run(fmt.Sprint(storage, " ", moment), func(t *testing.T) {
				t.Parallel()
				f := startOn(t, storage, &provisioner.ACME{})
				ids := acme.DNS("a.example")
				var order *acme.Order
				ctx := acme.WithTrace(f.context(), &acme.Trace{
					OrderCreated: func(o *acme.Order) { order = o },
					OrderStatus: func(o *acme.Order) {
						if order = o; o.Status == moment {
							f.ca.down()
						}
					},
				})
				var err error
				if moment == acme.StatusPending {
					if order, err = f.account.NewOrder(ctx, acme.OrderRequest{Identifiers: ids}); err == nil {
						f.ca.down()
						_, err = f.account.Complete(ctx, order, f.request())
					}
				} else {
					_, err = f.account.Obtain(ctx, f.request(ids...))
				}
				if err == nil || order == nil || order.Status != moment {
					t.Fatalf("the CA is down: %v, order %v", err, order)
				}
				if _, ok := errors.AsType[*acme.AuthorizeError](err); ok {
					t.Errorf("the order counts as failed: %v", err)
				}
				f.ca.up()
				// The same client, with nonces of before, and a new one.
				if order, err = f.account.Order(f.context(), order.URL); err != nil || order.Status != moment {
					t.Fatalf("order %+v, %v", order, err)
				}
				cert, err := f.newClient().Account(f.key, f.account.URL()).Complete(f.context(), order, f.request())
				f.check(cert, err, ids...)
				if f.counts[acme.OpNewOrder] != 1 {
					t.Errorf("%d orders", f.counts[acme.OpNewOrder])
				}
			})
		}
	}
}
