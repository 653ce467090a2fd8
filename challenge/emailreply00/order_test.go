package emailreply00_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// to returns the mails that were sent to an address.
func (p *post) to(address string) [][]byte {
	var mails [][]byte
	for _, r := range p.replies() {
		if slices.Contains(r.To, address) {
			mails = append(mails, r.Raw)
		}
	}
	return mails
}

// newAccount makes an account with a CA whose mails arrive.
func newAccount(t *testing.T, p *post) (*acmetest.Server, *acme.Account) {
	t.Helper()
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes:  []string{"email-reply-00"},
		IdentifierTypes: []string{"email"},
		Validate:        acmetest.ValidateEmailReply00(p.to),
		Strict:          true,
	})
	p.inbox = func(_, to string) [][]byte { return ca.ChallengeMails(to) }
	return ca, testkit.Account(t, ca)
}

// TestOrder has a whole issuance, from the order to the names in the certificate, for
// addresses of all kinds.
func TestOrder(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-02", "8823-3-08", "8823-3-09", "8823-3-10")
	p := new(post)
	ca, account := newAccount(t, p)
	solver := p.solver()
	solver.Send = func(ctx context.Context, r *emailreply00.Reply) error {
		if ca.Count(acmetest.KindChallenge) > 0 {
			t.Error("a challenge was answered before all mails were")
		}
		return p.send(ctx, r)
	}
	ids := []acme.Identifier{email(address), email("josé@xn--bcher-kva.example")}
	key := testkit.Key(t)
	cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: ids},
		CSR:          emailreply00.NewCSR(key, x509.KeyUsageDigitalSignature),
		Solvers:      []acme.Solver{solver},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.Match(ids, key.Public()); err != nil {
		t.Error(err)
	}
	chain, err := cert.Chain()
	if err != nil || !slices.Equal(chain[0].EmailAddresses, []string{address}) {
		t.Errorf("addresses %v, %v", chain[0].EmailAddresses, err)
	}
	if len(p.sent) != 2 {
		t.Errorf("%d mails were sent", len(p.sent))
	}
	checkWire(t, ca)
}

// checkWire looks at the requests of the issuance.
func checkWire(t *testing.T, ca *acmetest.Server) {
	t.Helper()
	responses := 0
	for _, r := range ca.Requests() {
		switch r.Kind {
		case acmetest.KindNewOrder:
			if want := `{"identifiers":[{"type":"email","value":"` + address + `"},{"type":"email","value":"josé@xn--bcher-kva.example"}]}`; string(r.Payload) != want {
				t.Errorf("ordered %s", r.Payload)
			}
		case acmetest.KindChallenge:
			if responses++; string(r.Payload) != "{}" {
				t.Errorf("responded %s", r.Payload)
			}
		case acmetest.KindFinalize:
			var finalize struct{ CSR string }
			if err := json.Unmarshal(r.Payload, &finalize); err != nil {
				t.Error(err)
			}
			der, err := base64.RawURLEncoding.DecodeString(finalize.CSR)
			if err != nil {
				t.Error(err)
			}
			csr, err := x509.ParseCertificateRequest(der)
			if err != nil || !slices.Equal(csr.EmailAddresses, []string{address}) || len(csr.DNSNames)+len(csr.URIs)+len(csr.IPAddresses) != 0 {
				t.Errorf("the CSR has %v, %v", csr.EmailAddresses, err)
			}
		}
	}
	if responses != 2 {
		t.Errorf("%d responses", responses)
	}
}

// TestJoin: a CA that joins the token in another way refuses the digest.
func TestJoin(t *testing.T) {
	t.Parallel()
	p := new(post)
	_, account := newAccount(t, p)
	solver := p.solver()
	solver.Join = emailreply00.JoinOctets
	_, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{email(address)}},
		CSR:          acme.NewCSR(testkit.Key(t)),
		Solvers:      []acme.Solver{solver},
	})
	if !errors.Is(err, acme.ErrIncorrectResponse) || !strings.Contains(err.Error(), "email:"+address) {
		t.Errorf("%v", err)
	}
}

// TestIgnoredOrder: no mail and no response to the challenge after a check that
// failed.
func TestIgnoredOrder(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.1-06")
	p := new(post)
	ca, account := newAccount(t, p)
	solver := p.solver()
	ctx, cancel := context.WithCancel(t.Context())
	forged := errors.New("forged")
	solver.Verify = func(context.Context, *emailreply00.Message) error {
		cancel() // nobody waits for another mail
		return forged
	}
	_, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{email(address)}},
		CSR:          acme.NewCSR(testkit.Key(t)),
		Solvers:      []acme.Solver{solver},
	})
	if !errors.Is(err, context.Canceled) || len(p.sent) != 0 || ca.Count(acmetest.KindChallenge) != 0 {
		t.Errorf("%v, %d mails, %d responses", err, len(p.sent), ca.Count(acmetest.KindChallenge))
	}
}

// TestWildcard: an address with a wildcard is not ordered.
func TestWildcard(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-01")
	ca, account := newAccount(t, new(post))
	for _, value := range []string{"*@example.org", "a*b@example.org", "a@*.example.org"} {
		_, err := account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{email(value)}})
		if !errors.Is(err, acme.ErrInvalidIdentifier) {
			t.Errorf("%s: %v", value, err)
		}
	}
	if n := ca.Count(acmetest.KindNewOrder); n != 0 {
		t.Errorf("%d orders", n)
	}
}

func TestCSR(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.3-01")
	key, ids := testkit.Key(t), []acme.Identifier{email(address)}
	usageOf := func(der []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.CheckSignature() != nil || !slices.Equal(csr.EmailAddresses, []string{address}) {
			t.Fatal(err)
		}
		for _, e := range csr.Extensions {
			if e.Id.String() == "2.5.29.15" {
				return hex.EncodeToString(e.Value)
			}
		}
		return ""
	}
	for usage, want := range map[x509.KeyUsage]string{
		x509.KeyUsageDigitalSignature:                                  "03020780",
		x509.KeyUsageContentCommitment:                                 "03020640",
		x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment: "030206c0",
		x509.KeyUsageKeyEncipherment:                                   "03020520",
		x509.KeyUsageKeyAgreement:                                      "03020308",
	} {
		if got := usageOf(emailreply00.NewCSR(key, usage)(t.Context(), ids)); got != want {
			t.Errorf("%b: %s, want %s", usage, got, want)
		}
	}
	if got := usageOf(acme.NewCSR(key)(t.Context(), ids)); got != "" {
		t.Errorf("for both: %s", got)
	}
	for says, f := range map[string]func(context.Context, []acme.Identifier) ([]byte, error){
		"neither for signing": emailreply00.NewCSR(key, x509.KeyUsageCertSign), "no key": emailreply00.NewCSR(nil, x509.KeyUsageDigitalSignature),
	} {
		if der, err := f(t.Context(), ids); err == nil || der != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if _, err := emailreply00.NewCSR(key, x509.KeyUsageDigitalSignature)(t.Context(), nil); !errors.Is(err, acme.ErrNoIdentifiers) {
		t.Errorf("%v", err)
	}
}
