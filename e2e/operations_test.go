package e2e_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/needs"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// Every reason, by the account's key and by the certificate's.
func TestRevocation(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	ways := map[string]func(*x509.Certificate, acme.RevocationReason) error{
		"account": func(cert *x509.Certificate, reason acme.RevocationReason) error {
			return e.account.RevokeCertificate(e.context(), cert.Raw, reason)
		},
		"certificate": func(cert *x509.Certificate, reason acme.RevocationReason) error {
			return e.client.RevokeCertificate(e.context(), e.certKey, cert.Raw, reason)
		},
	}
	for name, revoke := range ways {
		for _, reason := range []acme.RevocationReason{
			acme.ReasonUnspecified, acme.ReasonKeyCompromise, acme.ReasonCACompromise, acme.ReasonAffiliationChanged, acme.ReasonSuperseded,
			acme.ReasonCessationOfOperation, acme.ReasonCertificateHold, acme.ReasonRemoveFromCRL, acme.ReasonPrivilegeWithdrawn, acme.ReasonAACompromise,
		} {
			cert := e.revocable("a.example")
			if err := revoke(cert, reason); err != nil {
				t.Errorf("by the key of the %s, reason %d: %v", name, reason, err)
			}
			if got, revoked := e.server.Revoked(cert); !revoked || got != int(reason) {
				t.Errorf("by the key of the %s, reason %d: revoked %t, reason %d", name, reason, revoked, got)
			}
			for again, revoke := range ways {
				if err := revoke(cert, reason); !errors.Is(err, acme.ErrAlreadyRevoked) {
					t.Errorf("by the key of the %s, then by that of the %s: %v", name, again, err)
				}
			}
		}
	}
	cert := e.revocable("b.example")
	other, err := e.client.NewAccount(e.context(), testkit.Key(t), acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.RevokeCertificate(e.context(), cert.Raw, acme.ReasonSuperseded); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("another account's: %v", err)
	}
}

// revocable obtains a certificate that Pebble will find again: it loses those
// whose serial number begins with a zero octet in DER.
func (e *environment) revocable(name string) *x509.Certificate {
	e.Helper()
	for {
		cert, err := e.account.Obtain(e.context(), e.request(acme.DNS(name)...))
		if leaf := e.check(cert, err, name); leaf.SerialNumber.BitLen()%8 != 0 {
			return leaf
		}
	}
}

// An authorization that is given up: a pending one, which ends the order, and a
// valid one, which would have been used again.
func TestDeactivateAuthorization(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, AuthorizationReuse: 100})
	ctx := e.context()
	o, err := e.account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("a.example")})
	if err != nil {
		t.Fatal(err)
	}
	deactivate := func(o *acme.Order) {
		t.Helper()
		url := o.AuthorizationURLs[0]
		if err := e.account.DeactivateAuthorization(ctx, url); err != nil {
			t.Fatal(err)
		}
		z, err := e.account.Authorization(ctx, url)
		if err != nil || z.Status != acme.StatusDeactivated {
			t.Errorf("%+v, %v", z, err)
		}
	}
	deactivate(o)
	_, err = e.account.Complete(ctx, o, e.request())
	if failed, ok := errors.AsType[*acme.AuthorizationError](err); !ok || failed.Authorization.Status != acme.StatusDeactivated {
		t.Errorf("an order without it: %v", err)
	}
	obtain := func() (used *acme.Order, challenges int) {
		clear(e.counts)
		ctx := acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { used = o }})
		cert, err := e.account.Obtain(ctx, e.request(acme.DNS("a.example")...))
		e.check(cert, err, "a.example")
		return used, e.counts[acme.OpRespondChallenge]
	}
	if _, n := obtain(); n != 1 {
		t.Errorf("first: %d challenges", n)
	}
	used, n := obtain()
	if n != 0 {
		t.Errorf("again: %d challenges", n)
	}
	deactivate(used)
	if _, n := obtain(); n != 1 {
		t.Errorf("after it was given up: %d challenges", n)
	}
}

// Addresses of both families, by http-01 and by tls-alpn-01 (RFC 8738), beside a
// name.
func TestAddresses(t *testing.T) {
	t.Parallel()
	needs.IPv6(t)
	e := start(t, pebble.Options{Strict: true})
	listener, err := e.server.ListenTLS()
	if err != nil {
		t.Fatal(err)
	}
	var alpn tlsalpn01.Solver
	web := &http.Server{TLSConfig: alpn.Wrap(nil), ReadHeaderTimeout: time.Minute}
	go func() { _ = web.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { web.Close() })
	addrs := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	for name, solver := range map[string]acme.Solver{"http-01": e.solver, "tls-alpn-01": &alpn} {
		for _, ids := range [][]acme.Identifier{acme.IP(addrs...), slices.Concat(acme.DNS("a.example"), acme.IP(addrs...))} {
			req := e.request(ids...)
			req.Solvers = []acme.Solver{solver}
			cert, err := e.account.Obtain(e.context(), req)
			leaf := e.check(cert, err)
			if err := cert.Match(ids, e.certKey.Public()); err != nil || leaf.Subject.CommonName != "" {
				t.Errorf("%s: %v, common name %q", name, err, leaf.Subject.CommonName)
			}
		}
	}
}

// One of four chains, by its root; the default one where there is none such.
func TestChainChoice(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true, AlternateRoots: 3, ChainLength: 2})
	choose := func(names ...string) *acme.Certificate {
		req := e.request(acme.DNS("a.example")...)
		req.Chain = acme.PreferRoot(names...)
		cert, err := e.account.Obtain(e.context(), req)
		e.check(cert, err, "a.example")
		return cert
	}
	leadsTo := func(cert *acme.Certificate) (roots []int) {
		chain, err := cert.Chain()
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			if chain[len(chain)-1].CheckSignatureFrom(e.server.Root(i)) == nil {
				roots = append(roots, i)
			}
		}
		return roots
	}
	for i := range 4 {
		if got := leadsTo(choose("none such", e.server.Root(i).Subject.CommonName)); !slices.Equal(got, []int{i}) {
			t.Errorf("chose root %d, got %v", i, got)
		}
	}
	if got := leadsTo(choose("none such")); !slices.Equal(got, []int{0}) {
		t.Errorf("the default: %v", got)
	}
}

// Pebble answers 200 when the new key is another account's, and changes nothing.
func TestChangeKeyInUse(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	taken := testkit.Key(t)
	another := &acme.Client{DirectoryURL: e.server.DirectoryURL(), HTTPClient: e.server.Client()} // this one would know
	other, err := another.NewAccount(e.context(), taken, acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.account.ChangeKey(e.context(), taken); !errors.Is(err, acme.ErrKeyInUse) {
		t.Errorf("got %v", err)
	}
	for name, account := range map[string]*acme.Account{"changed": e.account, "other": other} {
		if _, err := account.Info(e.context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The window of a certificate moves, as in an incident, or is none at all.
func TestRenewalWindow(t *testing.T) {
	t.Parallel()
	e := start(t, pebble.Options{Strict: true})
	cert := e.revocable("a.example")
	id, err := acme.NewCertID(cert)
	if err != nil {
		t.Fatal(err)
	}
	first, err := e.client.RenewalInfo(e.context(), id)
	if err != nil || !first.Start.After(time.Now()) || !first.End.After(first.Start) || first.RetryAfter.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	start := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	moved := fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q},"explanationURL":"https://ca.example/incident"}`,
		start.Format(time.RFC3339), start.Add(30*time.Minute).Format(time.RFC3339))
	if err := e.server.SetRenewalInfo(cert, moved); err != nil {
		t.Fatal(err)
	}
	second, err := e.client.RenewalInfo(e.context(), id)
	if err != nil || !second.Start.Equal(start) || !second.End.Equal(start.Add(30*time.Minute)) || second.ExplanationURL != "https://ca.example/incident" {
		t.Errorf("%+v, %v", second, err)
	}
	for _, odd := range []string{`{"suggestedWindow":{}}`, `{"suggestedWindow":{"start":"tomorrow"}}`, `[]`, `{`} {
		if err := e.server.SetRenewalInfo(cert, odd); err != nil {
			t.Fatal(err)
		}
		if info, err := e.client.RenewalInfo(e.context(), id); !errors.Is(err, acme.ErrMalformedResponse) {
			t.Errorf("%s: %+v, %v", odd, info, err)
		}
	}
}
