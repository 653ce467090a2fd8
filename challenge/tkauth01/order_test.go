package tkauth01_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// newAccount makes an account with a CA that takes the tokens of an authority.
func newAccount(t *testing.T, authority *acmetest.TokenAuthority) (*acmetest.Server, *acme.Account) {
	t.Helper()
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes:  []string{"tkauth-01"},
		IdentifierTypes: []string{"TNAuthList", "JWTClaimConstraints", "EnhancedJWTClaimConstraints"},
		ChallengeFields: map[string]map[string]any{"tkauth-01": {"token-authority": "https://authority.example"}},
		Validate:        acmetest.ValidateTKAuth01(authority),
		Strict:          true,
	})
	return ca, testkit.Account(t, ca)
}

// extensions returns what a CSR or a certificate has, by object identifier.
func extensionsOf(t *testing.T, csr []byte) map[string]string {
	t.Helper()
	parsed, err := x509.ParseCertificateRequest(csr)
	if err != nil || parsed.CheckSignature() != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range parsed.Extensions {
		found[e.Id.String()] = hex.EncodeToString(e.Value)
	}
	return found
}

// TestOrder has a whole issuance for numbers and claim constraints, from the order
// to the extensions of the certificate, for an end entity and for a certification
// authority.
func TestOrder(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9448-3-01", "9448-3-04", "9448-4-03", "9448-6-01")
	stub := new(acmetest.TokenAuthority)
	ca, account := newAccount(t, stub)
	authority := serve(t, stub)
	constraints, err := tkauth01.ClaimConstraints{MustInclude: []string{"rph"}}.Identifier()
	if err != nil {
		t.Fatal(err)
	}
	ids := []acme.Identifier{numbers(), constraints}
	for _, isCA := range []bool{false, true} {
		ca.Reset()
		key := testkit.Key(t)
		cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
			OrderRequest: acme.OrderRequest{Identifiers: ids},
			CSR:          tkauth01.NewCSR(key, isCA),
			Solvers:      []acme.Solver{&tkauth01.Solver{Token: authority.Token, CA: isCA}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := cert.Match(ids, key.Public()); err != nil {
			t.Error(err)
		}
		chain, err := cert.Chain()
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, e := range chain[0].Extensions {
			found[e.Id.String()] = hex.EncodeToString(e.Value)
		}
		if found["1.3.6.1.5.5.7.1.26"] != "3008a00616043730394a" || found["1.3.6.1.5.5.7.1.27"] != "3009a00730051603727068" {
			t.Errorf("the certificate has %v", found)
		}
		checkWire(t, ca, isCA)
	}
}

// checkWire looks at the requests of an issuance.
func checkWire(t *testing.T, ca *acmetest.Server, isCA bool) {
	t.Helper()
	responses := 0
	for _, r := range ca.Requests() {
		var payload struct {
			Identifiers []acmetest.Identifier
			TKAuth      string
			CSR         string
		}
		if len(r.Payload) > 0 {
			if err := json.Unmarshal(r.Payload, &payload); err != nil {
				t.Error(err)
			}
		}
		switch r.Kind {
		case acmetest.KindNewOrder:
			if len(payload.Identifiers) != 2 || payload.Identifiers[0] != (acmetest.Identifier{Type: "TNAuthList", Value: value}) {
				t.Errorf("ordered %s", r.Payload)
			}
		case acmetest.KindChallenge:
			responses++
			token, err := tkauth01.ParseToken(payload.TKAuth)
			if err != nil || token.ATC.CA != isCA || string(r.Payload) != `{"tkauth":"`+payload.TKAuth+`"}` {
				t.Errorf("responded %s, %v", r.Payload, err)
			}
		case acmetest.KindFinalize:
			der, err := base64.RawURLEncoding.DecodeString(payload.CSR)
			if err != nil {
				t.Error(err)
			}
			if want := map[bool]string{false: "3000", true: "30030101ff"}[isCA]; extensionsOf(t, der)["2.5.29.19"] != want {
				t.Errorf("the CSR has %v", extensionsOf(t, der))
			}
		}
	}
	if responses != 2 {
		t.Errorf("%d responses", responses)
	}
}

// TestNothingIsSent: a token of another account stays here.
func TestNothingIsSent(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-7-02")
	stub := new(acmetest.TokenAuthority)
	ca, account := newAccount(t, stub)
	var token string
	_, err := account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{numbers()}},
		CSR:          tkauth01.NewCSR(testkit.Key(t), false),
		Solvers: []acme.Solver{&tkauth01.Solver{Token: func(_ context.Context, r tkauth01.Request) (string, error) {
			r.Fingerprint = fingerprint
			token = stub.Grant(claims(r, nil))
			return token, nil
		}}},
	})
	if err == nil || !strings.Contains(err.Error(), "another account's") || strings.Contains(err.Error(), token) || token == "" {
		t.Errorf("%v", err)
	}
	if n := ca.Count(acmetest.KindChallenge); n != 0 {
		t.Errorf("%d requests to the challenge", n)
	}
}

func TestCSR(t *testing.T) {
	t.Parallel()
	if _, err := tkauth01.NewCSR(nil, true)(t.Context(), []acme.Identifier{numbers()}); !errors.Is(err, acme.ErrNoKey) {
		t.Errorf("%v", err)
	}
	if _, err := tkauth01.NewCSR(testkit.Key(t), true)(t.Context(), nil); !errors.Is(err, acme.ErrNoIdentifiers) {
		t.Errorf("%v", err)
	}
}
