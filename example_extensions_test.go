package acme_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// exampleCA is exampleAccount at a CA that has something special.
func exampleCA(opts acmetest.Options) (context.Context, *acme.Client, *acme.Account, acme.CertificateRequest) {
	opts.Validate = acmetest.ValidateHTTP01(exampleSolver)
	ca := acmetest.NewServer(exampleTest, opts)
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
	account, err := client.NewAccount(context.Background(), exampleKey(), acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		log.Fatal(err)
	}
	return context.Background(), client, account, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com")},
		CSR:          acme.NewCSR(exampleKey()),
		Solvers:      []acme.Solver{exampleSolver},
	}
}

// A program that is started every minute, and renews when the CA says.
func ExampleRenewal() {
	ctx, client, account, request := exampleCA(acmetest.Options{
		RenewalWindow: func(leaf *x509.Certificate) (start, end time.Time) {
			return leaf.NotBefore, leaf.NotBefore.Add(time.Second)
		},
	})
	defer done()
	cert, err := account.Obtain(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil {
		log.Fatal(err)
	}
	stored, _ := json.Marshal(acme.NewRenewal(chain[0], time.Now().Add(-2*time.Hour))) // as it was two hours ago

	// What each run does.
	var renewal acme.Renewal
	if err := json.Unmarshal(stored, &renewal); err != nil {
		log.Fatal(err)
	}
	if err := client.UpdateRenewal(ctx, &renewal); err != nil {
		log.Print(err) // which stops nothing
	}
	if renewal.Due(time.Now().Add(2*time.Hour), time.Minute) {
		request.OrderRequest.Replaces = renewal.ID
		cert, err = account.Obtain(ctx, request)
	}
	if err != nil {
		renewal.Failed(time.Now(), err)
	}
	stored, _ = json.Marshal(renewal) // or a NewRenewal, for the new certificate

	fmt.Println(len(cert.PEM) > 0, len(stored) > 0, renewal.Failures)
	// Output: true true 0
}
