package tlsalpn01_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A whole order: the certificates are in place when the challenges are answered,
// with {}, and gone afterwards. Addresses are validated like names (RFC 8738 §4).
func TestOrder(t *testing.T) {
	conformance.Claim(t, "8737-3-06", "8738-4-01")
	t.Parallel()
	var solver tlsalpn01.Solver
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes: []string{"tls-alpn-01"},
		Validate: func(ctx context.Context, v acmetest.Validation) error {
			if string(v.Response) != "{}" || v.Type != "tls-alpn-01" {
				return fmt.Errorf("%s was answered with %s", v.Type, v.Response)
			}
			id := acme.Identifier{Type: acme.IdentifierType(v.Identifier.Type), Value: v.Identifier.Value}
			a := challengetest.NewAttempt(acme.TLSALPN01, id, v.Token)
			a.KeyAuthorization = acme.KeyAuthorization(v.KeyAuthorization)
			return validate(ctx, a, wrapped(ctx, &solver))
		},
	})
	account := testkit.Account(t, ca)
	ids := append(acme.DNS("a.example", "Bücher.example"), acme.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"))...)
	var looked atomic.Int64
	cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: ids},
		CSR:          acme.NewCSR(testkit.Key(t)),
		Solvers: []acme.Solver{acme.Checked(&solver, func(ctx context.Context, a *acme.Attempt) error {
			looked.Add(1)
			return validate(ctx, a, wrapped(ctx, &solver))
		})},
	})
	if err != nil || looked.Load() != 4 {
		t.Fatalf("%d checks: %v", looked.Load(), err)
	}
	if chain, err := cert.Chain(); err != nil || len(chain[0].DNSNames) != 2 || len(chain[0].IPAddresses) != 2 {
		t.Errorf("%v, %v", chain, err)
	}
	if _, err := handshake(t.Context(), solver.Wrap(nil), hello("a.example")); !refused(err) {
		t.Errorf("after the order: %v", err)
	}

	// The CA says what it found, if it found something else.
	_, err = account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("b.example")},
		CSR:          acme.NewCSR(testkit.Key(t)),
		Solvers:      []acme.Solver{acme.Each(solver.Supports, func(context.Context, *acme.Attempt) (acme.Cleanup, error) { return nil, nil })},
	})
	if failed, ok := errors.AsType[*acme.AuthorizationError](err); !ok || failed.Authorization.Identifier.Value != "b.example" {
		t.Errorf("got %v", err)
	}
}
