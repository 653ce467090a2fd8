package bpnodeid00_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// receive has the agent answer what the CA sends.
func (g *agent) receive(_ context.Context, b acmetest.Bundle) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := errors.New("no agent is configured")
	for r := range g.configured {
		var reply bpnodeid00.Reply
		reply, err = r.Respond(bpnodeid00.Bundle{
			Source: b.Source, Destination: b.Destination, Timestamp: b.Timestamp, Sequence: b.Sequence,
			Lifetime: b.Lifetime, Trusted: true, Acknowledge: true, Payload: b.Record,
		})
		if err == nil {
			return reply.Payload, nil
		}
	}
	return nil, err
}

func newAccount(t *testing.T, g *agent) (*acmetest.Server, *acme.Account) {
	t.Helper()
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes:  []string{"bp-nodeid-00"},
		IdentifierTypes: []string{"bundleEID"},
		Validate:        acmetest.ValidateBPNodeID00(g.receive),
		Strict:          true,
	})
	return ca, testkit.Account(t, ca)
}

// TestOrder has a whole issuance for nodes of both schemes, from the order to the
// names in the certificate.
func TestOrder(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-2-01", "9891-3-01", "9891-5-01")
	g := new(agent)
	ca, account := newAccount(t, g)
	nodes := []acme.Identifier{node("dtn://n%C3%B6de/"), node("ipn:977000.0")}
	solver := &bpnodeid00.Solver{Configure: func(ctx context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
		if ca.Count(acmetest.KindChallenge) > 0 {
			t.Error("a challenge was answered before the agents were configured")
		}
		return g.configure(ctx, r)
	}}
	key := testkit.Key(t)
	cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: nodes},
		CSR:          bpnodeid00.NewCSR(key, 0),
		Solvers:      []acme.Solver{solver},
	})
	if err != nil {
		t.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.Match(nodes, key.Public()); err != nil {
		t.Error(err)
	}
	i := slices.IndexFunc(chain[0].Extensions, func(e pkix.Extension) bool { return e.Id.String() == "2.5.29.17" })
	if i < 0 {
		t.Fatal("the certificate has no names")
	}
	// Two otherNames of kind 1.3.6.1.5.5.7.8.11, as IA5Strings.
	const kind = "06082b0601050507080ba0"
	want := "303c" + "a01e" + kind + "12" + "1610" + hex.EncodeToString([]byte("dtn://n%C3%B6de/")) + "a01a" + kind + "0e" + "160c" + hex.EncodeToString([]byte("ipn:977000.0"))
	if got := hex.EncodeToString(chain[0].Extensions[i].Value); got != want {
		t.Errorf("names %s, want %s", got, want)
	}
	if n := len(g.configured); n != 0 {
		t.Errorf("%d responders are left", n)
	}
}

// TestIdentifier: what a server would have to refuse is not sent.
func TestIdentifier(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-2-01")
	ca, account := newAccount(t, new(agent))
	for _, eid := range []string{"dtn://no%ZZde/", "dtn://node%", "dtn://nöde/", "http://node/", "dtn:", "node", ""} {
		_, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{node(eid)}})
		if !errors.Is(err, acme.ErrInvalidIdentifier) {
			t.Errorf("%q: %v", eid, err)
		}
	}
	if n := ca.Count(acmetest.KindNewOrder); n != 0 {
		t.Errorf("%d orders", n)
	}
}

// TestFailure: a node whose agent does not answer.
func TestFailure(t *testing.T) {
	t.Parallel()
	_, account := newAccount(t, new(agent)) // another one than the solver's
	_, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{node("dtn://node/")}},
		CSR:          bpnodeid00.NewCSR(testkit.Key(t), 0),
		Solvers:      []acme.Solver{&bpnodeid00.Solver{Configure: new(agent).configure}},
	})
	if !errors.Is(err, acme.ErrIncorrectResponse) || !strings.Contains(err.Error(), "bundleEID:dtn://node/") {
		t.Errorf("%v", err)
	}
}

func TestCSR(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-5-02", "9891-5.2-01")
	key := testkit.Key(t)
	for usage, want := range map[x509.KeyUsage]string{
		0:                             "",
		x509.KeyUsageDigitalSignature: "03020780",
		x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment: "030206c0",
		x509.KeyUsageKeyAgreement:                                      "03020308",
		x509.KeyUsageKeyEncipherment:                                   "03020520",
	} {
		der, err := bpnodeid00.NewCSR(key, usage)(t.Context(), []acme.Identifier{node("dtn://node/")})
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.CheckSignature() != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, e := range csr.Extensions {
			found[e.Id.String()] = hex.EncodeToString(e.Value)
		}
		if found["2.5.29.15"] != want || found["2.5.29.37"] != "300a06082b06010505070323" || found["2.5.29.17"] == "" {
			t.Errorf("%b: %v", usage, found)
		}
	}
	for says, f := range map[string]func() ([]byte, error){
		"RFC 9891 §5.2": func() ([]byte, error) {
			return bpnodeid00.NewCSR(key, x509.KeyUsageCertSign)(t.Context(), []acme.Identifier{node("dtn://node/")})
		},
		"no key": func() ([]byte, error) {
			return bpnodeid00.NewCSR(nil, 0)(t.Context(), []acme.Identifier{node("dtn://node/")})
		},
		"no identifiers": func() ([]byte, error) { return bpnodeid00.NewCSR(key, 0)(t.Context(), nil) },
	} {
		if der, err := f(); err == nil || der != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
