package stepca_test

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnsaccount01"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// What step-ca's directory does not have is an error that says so, and costs no
// order: all that is asked for is the account, where a list would be in it.
func TestNotOffered(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	ctx := f.context()
	id, err := acme.NewCertID(f.obtain(acme.DNS("a.example")...))
	if err != nil {
		t.Fatal(err)
	}
	order := func(set func(*acme.OrderRequest)) func() error {
		return func() error {
			req := acme.OrderRequest{Identifiers: acme.DNS("a.example")}
			set(&req)
			_, err := f.account.NewOrder(ctx, req)
			return err
		}
	}
	for name, tt := range map[string]struct {
		call func() error
		want error
		sent map[acme.Operation]int
	}{
		"profile": {order(func(r *acme.OrderRequest) { r.Profile = "shortlived" }), acme.ErrInvalidProfile, nil},
		"ancestor domain (RFC 9444)": {order(func(r *acme.OrderRequest) {
			r.AncestorDomains = []string{"example"}
		}), errors.ErrUnsupported, nil},
		"auto-renewal (RFC 8739)": {order(func(r *acme.OrderRequest) {
			r.AutoRenewal = &acme.AutoRenewal{EndDate: time.Now().Add(240 * time.Hour)}
		}), errors.ErrUnsupported, nil},
		"delegation (RFC 9115)": {order(func(r *acme.OrderRequest) {
			r.Delegation = f.ca.url + "/delegation/1"
		}), errors.ErrUnsupported, nil},
		"delegations (RFC 9115)": {func() (last error) {
			for _, last = range f.account.Delegations(ctx) {
			}
			return last
		}, errors.ErrUnsupported, map[acme.Operation]int{acme.OpAccount: 1}},
		"renewal information (RFC 9773)": {func() error {
			_, err := f.client.RenewalInfo(ctx, id)
			return err
		}, errors.ErrUnsupported, nil},
		"authorization in advance": {func() error {
			_, err := f.account.NewAuthorization(ctx, acme.DNS("a.example")[0])
			return err
		}, errors.ErrUnsupported, nil},
		"authorization of subdomains (RFC 9444)": {func() error {
			_, err := f.account.NewSubdomainAuthorization(ctx, "example")
			return err
		}, errors.ErrUnsupported, nil},
	} {
		clear(f.counts)
		if err := tt.call(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
		if !maps.Equal(f.counts, tt.sent) {
			t.Errorf("%s: sent %v, want %v", name, f.counts, tt.sent)
		}
	}
}

// Members of an order that step-ca does not know do no harm.
func TestIgnoredMembers(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	cert := f.obtain(acme.DNS("a.example")...)
	id, err := acme.NewCertID(cert)
	if err != nil {
		t.Fatal(err)
	}
	req := f.request(acme.DNS("a.example")...)
	req.OrderRequest.Profile, req.OrderRequest.AnyProfile = "shortlived", true
	req.OrderRequest.Replaces, req.OrderRequest.AllowCertificateGet = id, true
	var order *acme.Order
	ctx := acme.WithTrace(f.context(), &acme.Trace{OrderStatus: func(o *acme.Order) { order = o }})
	renewed, err := f.account.Obtain(ctx, req)
	f.check(renewed, err, acme.DNS("a.example")...)
	if order.Profile != "" || order.Replaces != "" || order.AllowCertificateGet {
		t.Errorf("step-ca does better than it did: %+v", order)
	}
}

// Without advice the lifetime says when to renew.
func TestRenewalWithoutAdvice(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	cert := f.obtain(acme.DNS("a.example")...)
	r := acme.NewRenewal(cert, time.Now())
	if err := f.client.UpdateRenewal(f.context(), &r); err != nil || r.Info != nil || r.AskAt.Before(time.Now().Add(time.Hour)) {
		t.Errorf("%+v, %v", r, err)
	}
	half := cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) / 2) // of a day
	if r.Due(half.Add(-3*time.Hour), 0) || !r.Due(half.Add(3*time.Hour), 0) {
		t.Errorf("due at %v, the certificate is from %v to %v", r.At(), cert.NotBefore, cert.NotAfter)
	}
}

// There is one chain. Who prefers another gets that one.
func TestChain(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	req := f.request(acme.DNS("a.example")...)
	req.Chain = acme.PreferRoot("none such")
	cert, err := f.account.Obtain(f.context(), req)
	f.check(cert, err, acme.DNS("a.example")...)
	chains := 0
	for c, err := range f.account.Certificates(f.context(), cert.URL) {
		if chains++; err != nil || !slices.Equal(c.PEM, cert.PEM) {
			t.Errorf("chain %d: %v", chains, err)
		}
	}
	if chains != 1 {
		t.Errorf("%d chains", chains)
	}
}

// Newer challenges than step-ca's: the error has those that there are.
func TestNoSuchChallenge(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	for name, tt := range map[string]struct {
		solver acme.Solver
		ids    []acme.Identifier
		want   []acme.ChallengeType
	}{
		"dns-account-01": {
			&dnsaccount01.Solver{Provider: f.ca.world, Ready: dnstxt.NoWait}, acme.DNS("a.example"),
			[]acme.ChallengeType{acme.DNS01, acme.HTTP01, acme.TLSALPN01},
		},
		"dns-persist-01": {&dnspersist01.Solver{Issuer: "ca.example"}, acme.DNS("*.a.example"), []acme.ChallengeType{acme.DNS01}},
		"dns-01, for an address": {
			&dns01.Solver{Provider: f.ca.world, Ready: dnstxt.NoWait}, acme.IP(netip.MustParseAddr("127.0.0.1")),
			[]acme.ChallengeType{acme.HTTP01, acme.TLSALPN01},
		},
	} {
		req := f.request(tt.ids...)
		req.Solvers = []acme.Solver{tt.solver}
		if _, err := f.account.Obtain(f.context(), req); !isOffered(err, tt.want...) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
