package acme_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// What the examples need, but do not show.

// An exampleTB is the testing.TB of an example, which has none.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                   {}
func (t *exampleTB) Cleanup(f func())          { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) Fatal(args ...any)         { log.Fatal(args...) }
func (t *exampleTB) Errorf(f string, a ...any) { log.Fatalf(f, a...) }
func (t *exampleTB) Failed() bool              { return false }
func (t *exampleTB) Logf(string, ...any)       {}
func (t *exampleTB) Name() string              { return "Example" }
func (t *exampleTB) Context() context.Context  { return context.Background() }

var (
	exampleSolver = new(http01.Solver)
	exampleTest   = new(exampleTB)
)

func exampleAccount() (context.Context, *acme.Account, acme.CertificateRequest) {
	ca := acmetest.NewServer(exampleTest, acmetest.Options{Validate: acmetest.ValidateHTTP01(exampleSolver), AlternateChains: 1})
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
	account, err := client.NewAccount(context.Background(), exampleKey(), acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		log.Fatal(err)
	}
	return context.Background(), account, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com")},
		CSR:          acme.NewCSR(exampleKey()),
		Solvers:      []acme.Solver{exampleSolver},
	}
}

func exampleKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}

func publish(token string, k acme.KeyAuthorization) {
	_, err := exampleSolver.Present(context.Background(), []*acme.Attempt{{
		Challenge: &acme.Challenge{Type: acme.HTTP01, Token: token}, KeyAuthorization: k,
	}})
	if err != nil {
		log.Fatal(err)
	}
}

func done() {
	for _, f := range exampleTest.cleanups {
		f()
	}
	exampleTest.cleanups = nil
}
