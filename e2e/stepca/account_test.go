package stepca_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestAccount(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ctx := f.context()
	if again, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{}); err != nil || again.Created() || again.URL() != f.account.URL() || !f.account.Created() {
		t.Errorf("the same once more: %v, %v", again, err)
	}
	if found, err := f.client.FindAccount(ctx, f.key); err != nil || found.URL() != f.account.URL() {
		t.Errorf("find: %v, %v", found, err)
	}
	if _, err := f.client.FindAccount(ctx, testkit.Key(t)); !errors.Is(err, acme.ErrAccountDoesNotExist) {
		t.Errorf("find another: %v", err)
	}
	contact := []string{"mailto:a@b.example"}
	if info, err := f.account.Update(ctx, contact); err != nil || !slices.Equal(info.Contact, contact) {
		t.Errorf("update: %+v, %v", info, err)
	}
	// step-ca takes no contacts for no change, and answers with those that it has.
	if info, err := f.account.Update(ctx, nil); err != nil || !slices.Equal(info.Contact, contact) {
		t.Errorf("clear: %+v, %v", info, err)
	}
	if info, err := f.client.Account(f.key, f.account.URL()).Info(ctx); err != nil || info.Status != acme.StatusValid || info.OrdersURL == "" || !slices.Equal(info.Contact, contact) {
		t.Errorf("a stored account: %+v, %v", info, err)
	}
	if info, err := f.client.Account(testkit.Key(t), f.account.URL()).Info(ctx); err == nil {
		t.Errorf("another key: %+v", info)
	}
	if _, err := f.client.Account(f.key, f.account.URL()+"x").Info(ctx); !errors.Is(err, acme.ErrAccountDoesNotExist) {
		t.Errorf("another URL: %v", err)
	}
	if err := f.account.Deactivate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.account.Info(ctx); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("after: %v", err)
	}
	if _, err := f.account.Obtain(ctx, f.request(acme.DNS("a.example")...)); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("an order after: %v", err)
	}
	if _, err := f.client.FindAccount(ctx, f.key); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("find after: %v", err)
	}
}

// step-ca lists keyChange, and does not have it: 501, rejectedIdentifier.
func TestChangeKey(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	if _, err := f.account.ChangeKey(f.context(), testkit.Key(t)); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, acme.ErrKeyUnknown) {
		t.Errorf("got %v", err)
	}
	if got := f.counts[acme.OpKeyChange]; got != 1 {
		t.Errorf("asked %d times", got)
	}
	f.obtain(acme.DNS("a.example")...) // the old key holds
}

// A binding key of step-ca's is good for one account.
func TestExternalAccount(t *testing.T) {
	t.Parallel()
	p := &provisioner.ACME{RequireEAB: true}
	f := start(t, p)
	ctx := f.context()
	dir, err := f.client.Directory(ctx)
	if err != nil || !dir.Meta.ExternalAccountRequired {
		t.Errorf("directory: %+v, %v", dir, err)
	}
	clear(f.counts)
	if _, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{}); !errors.Is(err, acme.ErrExternalAccountRequired) {
		t.Errorf("without: %v", err)
	}
	var used *acme.ExternalAccount
	for _, alg := range []string{"", "HS256", "HS384", "HS512"} {
		key := f.ca.bindingKey(p)
		used = &acme.ExternalAccount{KeyID: key.ID, MACKey: key.HmacKey, Algorithm: alg}
		f.key = testkit.Key(t)
		if f.account, err = f.client.NewAccount(ctx, f.key, acme.AccountRequest{ExternalAccount: used}); err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		f.obtain(acme.DNS("a.example")...)
		bound, err := f.ca.acme.GetExternalAccountKey(ctx, p.ID, key.ID)
		if err != nil || bound.AccountID == "" || !strings.HasSuffix(f.account.URL(), "/"+bound.AccountID) {
			t.Errorf("%s: bound to %q, %v", alg, bound.AccountID, err)
		}
	}
	// The account is there: it needs none (§7.3.1).
	if again, err := f.client.NewAccount(ctx, f.key, acme.AccountRequest{}); err != nil || again.URL() != f.account.URL() {
		t.Errorf("the same once more: %v, %v", again, err)
	}
	// What is wrong with a binding is a 500 here, where others say unauthorized.
	fresh := f.ca.bindingKey(p)
	for name, bad := range map[string]acme.ExternalAccount{
		"used":        *used,
		"unknown":     {KeyID: "none", MACKey: used.MACKey},
		"another MAC": {KeyID: fresh.ID, MACKey: used.MACKey},
	} {
		_, err := f.client.NewAccount(ctx, testkit.Key(t), acme.AccountRequest{ExternalAccount: &bad})
		if !errors.Is(err, acme.ErrServerInternal) || !strings.Contains(err.Error(), bad.KeyID) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A bare array of what is pending. step-ca 0.30 must not be asked when nothing
// is: it stores that as no value, which it cannot read again, and from then on
// refuses the account the list and every order, for good.
func TestOrdersList(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	list := func() (urls []string, last error) {
		for u, err := range f.account.Orders(f.context()) {
			if last = err; err == nil {
				urls = append(urls, u)
			}
		}
		return urls, last
	}
	if urls, err := list(); err != nil || len(urls) != 0 {
		t.Errorf("without orders: %v, %v", urls, err)
	}
	var orders []string
	for _, name := range []string{"a.example", "b.example", "c.example"} {
		o, err := f.account.NewOrder(f.context(), acme.OrderRequest{Identifiers: acme.DNS(name)})
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, o.URL)
	}
	if urls, err := list(); err != nil || !slices.Equal(urls, orders) {
		t.Errorf("got %v, %v, want %v", urls, err, orders)
	}
	for _, url := range orders {
		o, err := f.account.Order(f.context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var served struct{ ID string }
		if err := json.Unmarshal(o.Raw, &served); err != nil || !strings.HasSuffix(url, "/"+served.ID) {
			t.Errorf("step-ca's own member: %q, %v", served.ID, err)
		}
		if _, err := f.account.Complete(f.context(), o, f.request()); err != nil {
			t.Fatal(err)
		}
	}
	if urls, err := list(); err != nil || len(urls) != 0 {
		t.Errorf("nothing pending: %v, %v", urls, err)
	}
	_, listError := list()
	_, orderError := f.account.NewOrder(f.context(), acme.OrderRequest{Identifiers: acme.DNS("a.example")})
	if p, ok := errors.AsType[*acme.Problem](listError); !ok || p.Status != 500 || !errors.Is(orderError, acme.ErrServerInternal) {
		t.Errorf("step-ca does better than it did, so that the warning can go: %v, %v", listError, orderError)
	}
}
