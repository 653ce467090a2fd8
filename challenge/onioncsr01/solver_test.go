package onioncsr01_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

// responseOf returns the CSR that an attempt is answered with.
func responseOf(a *acme.Attempt) ([]byte, error) {
	data, err := json.Marshal(a.Response)
	if err != nil {
		return nil, err
	}
	var object map[string]string
	if err := json.Unmarshal(data, &object); err != nil || len(object) != 1 {
		return nil, errors.New("the response is " + string(data))
	}
	return base64.RawURLEncoding.DecodeString(object["csr"])
}

// Making the keys takes long.
var onionKeys = sync.OnceValue(challengetest.OnionKeys)

func TestSolver(t *testing.T) {
	t.Parallel()
	var keys []crypto.Signer
	for _, key := range onionKeys() {
		keys = append(keys, key)
	}
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver { return &onioncsr01.Solver{Keys: keys} },
		func(_ context.Context, a *acme.Attempt) error {
			csr, err := responseOf(a)
			if err != nil {
				return err
			}
			parsed, err := x509.ParseCertificateRequest(csr)
			if err != nil {
				return err
			}
			key, err := onioncsr01.ParseAddress(a.Identifier.Value)
			if err != nil || !key.Equal(parsed.PublicKey) {
				return errors.New("another key")
			}
			return parsed.CheckSignature()
		})
}

func TestSupports(t *testing.T) {
	t.Parallel()
	keys := onionKeys()
	name := func(i int) string { return onioncsr01.Address(keys[i].Public().(ed25519.PublicKey)) }
	solver := onioncsr01.Solver{Keys: []crypto.Signer{keys[0], keys[1]}}
	for _, tt := range []struct {
		typ  acme.ChallengeType
		id   acme.Identifier
		want bool
	}{
		{acme.OnionCSR01, acme.DNS(name(0))[0], true},
		{acme.OnionCSR01, acme.DNS("www." + name(1))[0], true},
		{acme.OnionCSR01, acme.DNS("*." + name(1))[0], true},
		{acme.OnionCSR01, acme.DNS(name(2))[0], false},
		{acme.OnionCSR01, acme.DNS("example.com")[0], false},
		{acme.OnionCSR01, acme.Identifier{Type: "other", Value: name(0)}, false},
		{acme.HTTP01, acme.DNS(name(0))[0], false},
	} {
		if got := solver.Supports(challengetest.NewAttempt(tt.typ, tt.id, "token")); got != tt.want {
			t.Errorf("%s for %s: %t", tt.typ, tt.id, got)
		}
	}
	if solver.Supports(&acme.Attempt{Identifier: acme.DNS(name(0))[0]}) {
		t.Error("an attempt without a challenge")
	}
}
