package stepca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// step-ca validates within the answer to the challenge, and issues within the
// answer to finalize: nothing is asked for twice.
func TestObtain(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	f.obtain(acme.DNS("a.example")...)
	want := map[acme.Operation]int{
		acme.OpDirectory: 1, acme.OpNewNonce: 1, acme.OpNewAccount: 1, acme.OpNewOrder: 1, acme.OpAuthorization: 1,
		acme.OpRespondChallenge: 1, acme.OpOrder: 1, acme.OpFinalize: 1, acme.OpCertificate: 1,
	}
	if !maps.Equal(f.counts, want) {
		t.Errorf("requests: got %v, want %v", f.counts, want)
	}
	clear(f.counts)
	f.obtain(acme.DNS("A.Example", "b.example", "bücher.example")...) // nothing of the first order is used again
	if got := f.counts[acme.OpRespondChallenge]; got != 3 {
		t.Errorf("%d challenges for three names", got)
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ids := acme.DNS("a.example", "*.a.example", "b.example")
	req := f.request(ids...)
	req.Solvers = []acme.Solver{f.dns01()}
	cert, err := f.account.Obtain(f.context(), req)
	leaf := f.check(cert, err, ids...)
	if err := leaf.VerifyHostname("x.a.example"); err != nil {
		t.Error(err)
	}
	if left := len(f.ca.txt["_acme-challenge.a.example"]) + len(f.ca.txt["_acme-challenge.b.example"]); left != 0 {
		t.Errorf("%d TXT records left", left)
	}
	req.Solvers = []acme.Solver{f.solver}
	if _, err := f.account.Obtain(f.context(), req); !isNoSolver(err, "*.a.example") {
		t.Errorf("http-01 for a wildcard: %v", err)
	}
}

func isNoSolver(err error, name string) bool {
	failed, ok := errors.AsType[*acme.NoSolverError](err)
	return ok && (failed.Authorization.Wildcard && "*."+failed.Authorization.Identifier.Value == name)
}

// Addresses of both families, by http-01 and by tls-alpn-01 (RFC 8738), beside a
// name.
func TestAddresses(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	ids := slices.Concat(acme.IP(addrs...), acme.DNS("a.example"))
	for name, solver := range map[string]acme.Solver{"http-01": f.solver, "tls-alpn-01": f.alpn} {
		req := f.request(ids...)
		req.Solvers = []acme.Solver{solver}
		cert, err := f.account.Obtain(f.context(), req)
		leaf := f.check(cert, err, ids...)
		for _, addr := range addrs {
			if err := leaf.VerifyHostname("[" + addr.String() + "]"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if cn := leaf.Subject.CommonName; cn != "" {
			t.Errorf("%s: common name %q", name, cn)
		}
	}
}

// Every kind of account key and certificate key, Ed25519 among them.
func TestKeys(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := []crypto.Signer{rsaKey, p384, p521, edwards}
	for i, key := range keys {
		if f.account, err = f.client.NewAccount(f.context(), key, acme.AccountRequest{}); err != nil {
			t.Errorf("%T: %v", key, err)
			continue
		}
		f.certKey = keys[(i+1)%len(keys)]
		cert := f.obtain(acme.DNS("a.example")...)
		if err := f.client.RevokeCertificate(f.context(), f.certKey, cert.Raw, acme.ReasonUnspecified); err != nil {
			t.Errorf("revocation with %T: %v", f.certKey, err)
		}
	}
}

// The validity of an order is that of the certificate.
func TestValidity(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	req := f.request(acme.DNS("a.example")...)
	from := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	req.OrderRequest.NotBefore, req.OrderRequest.NotAfter = from, from.Add(2*time.Hour)
	var orders []*acme.Order
	ctx := acme.WithTrace(f.context(), &acme.Trace{OrderCreated: func(o *acme.Order) { orders = append(orders, o) }})
	cert, err := f.account.Obtain(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil || !chain[0].NotBefore.Equal(from) || !chain[0].NotAfter.Equal(from.Add(2*time.Hour)) {
		t.Errorf("from %v to %v, %v", chain[0].NotBefore, chain[0].NotAfter, err)
	}
	if !orders[0].NotBefore.Equal(from) || orders[0].Expires.IsZero() {
		t.Errorf("%+v", orders[0])
	}
}

// A company's step-ca says what it wants; the stock one says nothing.
func TestDirectory(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{TermsOfService: "https://ca.example/terms", Website: "https://ca.example", CaaIdentities: []string{"ca.example"}})
	dir, err := f.client.Directory(f.context())
	if err != nil {
		t.Fatal(err)
	}
	if m := dir.Meta; m.TermsOfService != "https://ca.example/terms" || m.Website != "https://ca.example" || !slices.Equal(m.CAAIdentities, []string{"ca.example"}) || m.ExternalAccountRequired {
		t.Errorf("%+v", m)
	}
	bare := start(t, &provisioner.ACME{})
	if dir, err = bare.client.Directory(bare.context()); err != nil || dir.Meta.Raw != nil || dir.NewAuthzURL != "" || dir.RenewalInfoURL != "" || dir.KeyChangeURL == "" {
		t.Errorf("%+v, %v", dir, err)
	}
	lost := bare.newClient()
	lost.DirectoryURL = bare.ca.directory("none-such")
	if _, err := lost.Directory(bare.context()); err == nil {
		t.Error("a provisioner that is not there has a directory")
	}
}

// A provisioner that wants dns-01 alone.
func TestProvisionerChoosesChallenges(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{Challenges: []provisioner.ACMEChallenge{provisioner.DNS_01}})
	if _, err := f.account.Obtain(f.context(), f.request(acme.DNS("a.example")...)); !isOffered(err, acme.DNS01) {
		t.Errorf("http-01 alone: %v", err)
	}
	req := f.request(acme.DNS("a.example")...)
	req.Solvers = append(req.Solvers, f.dns01())
	cert, err := f.account.Obtain(f.context(), req)
	f.check(cert, err, acme.DNS("a.example")...)
}

// isOffered reports whether there was no solver, and these types to choose from,
// in alphabetical order.
func isOffered(err error, types ...acme.ChallengeType) bool {
	failed, ok := errors.AsType[*acme.NoSolverError](err)
	if !ok {
		return false
	}
	var offered []acme.ChallengeType
	for _, c := range failed.Authorization.Challenges {
		offered = append(offered, c.Type)
	}
	slices.Sort(offered)
	return slices.Equal(offered, types)
}

// 32 issuances at once on one account, on both databases that step-ca has built
// in. It refuses some of the orders with an internal error, since it changes
// pending ones while it reads them: those are asked for again.
func TestConcurrentIssuances(t *testing.T) {
	t.Parallel()
	for _, storage := range []string{"bbolt", "badgerv2"} {
		t.Run(storage, func(t *testing.T) {
			t.Parallel()
			f := startOn(t, storage, &provisioner.ACME{})
			ctx := f.context()
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() {
					if _, err := f.account.Obtain(ctx, f.request(acme.DNS(fmt.Sprintf("n%d.example", i))...)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got := f.counts[acme.OpNewNonce]; got > 32+8 {
				t.Errorf("%d newNonce requests", got)
			}
			if got := f.counts[acme.OpFinalize]; got > 32+8 {
				t.Errorf("%d finalize requests", got)
			}
			t.Logf("requests: %v", f.counts)
		})
	}
}

// http-01 has nobody to ask: the next solver gets its turn, in another order.
func TestFallback(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	deaf := acme.Each((new(http01.Solver)).Supports, func(context.Context, *acme.Attempt) (acme.Cleanup, error) { return nil, nil })
	req := f.request(acme.DNS("a.example")...)
	req.Solvers = []acme.Solver{deaf, f.dns01()}
	cert, err := f.account.Obtain(f.context(), req)
	f.check(cert, err, acme.DNS("a.example")...)
	if got := f.counts[acme.OpNewOrder]; got != 2 {
		t.Errorf("%d orders", got)
	}
}
