package acme_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// The first program of the README, but for the two keys.
func Example() { //nolint:testableexamples // it would ask a real CA; TestReadme compares it
	var ctx, accountKey, certKey = context.Background(), crypto.Signer(nil), crypto.Signer(nil)

	client := &acme.Client{
		DirectoryURL: acme.LetsEncryptStaging,
		UserAgent:    "example/1.0 (+https://example.com)",
	}
	account, err := client.NewAccount(ctx, accountKey, acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		log.Fatal(err)
	}
	var solver http01.Solver
	go http.ListenAndServe(":80", &solver)

	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com", "www.example.com")},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{&solver},
	})
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(cert.PEM) // store it, with certKey; and store accountKey and account.URL()
}

// An order's URL is all that has to be stored to go on after a crash.
func ExampleAccount_Complete() {
	ctx, account, request := exampleAccount()
	defer done()
	var stored string
	store := func(url string) { stored = url }

	// The first process dies when it has an order.
	func() {
		ctx, kill := context.WithCancel(ctx)
		traced := acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { store(o.URL) }, OrderStatus: func(*acme.Order) { kill() }})
		_, err := account.Obtain(traced, request)
		fmt.Println("died:", errors.Is(err, context.Canceled))
	}()

	// The next one goes on with that order, if it is of any use yet.
	ctx = acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { store(o.URL) }})

	cert, err := account.Complete(ctx, &acme.Order{URL: stored}, request)
	if acme.OrderLost(err) { // else go on with it later
		cert, err = account.Obtain(ctx, request)
	}
	if err != nil {
		log.Fatal(err)
	}
	chain, err := cert.Chain()
	fmt.Println(chain[0].DNSNames, err)
	// Output:
	// died: true
	// [example.com] <nil>
}

// The steps of an issuance, one by one.
func ExampleAccount_NewOrder() {
	ctx, account, request := exampleAccount()
	defer done()

	order, err := account.NewOrder(ctx, acme.OrderRequest{Identifiers: acme.DNS("example.com")})
	if err != nil {
		log.Fatal(err)
	}
	for _, url := range order.AuthorizationURLs {
		authorization, err := account.Authorization(ctx, url)
		if err != nil {
			log.Fatal(err)
		}
		for _, challenge := range authorization.Challenges {
			if challenge.Type != acme.HTTP01 {
				continue
			}
			publish(challenge.Token, account.KeyAuthorization(challenge.Token))
			if _, err := account.RespondChallenge(ctx, challenge.URL, nil); err != nil {
				log.Fatal(err)
			}
		}
	}
	if order, err = account.WaitOrder(ctx, order.URL, acme.StatusReady); err != nil {
		log.Fatal(err)
	}
	csr, err := request.CSR(ctx, order.Identifiers)
	if err != nil {
		log.Fatal(err)
	}
	if order, err = account.FinalizeOrder(ctx, order, csr); err != nil {
		log.Fatal(err)
	}
	if order, err = account.WaitOrder(ctx, order.URL, acme.StatusValid); err != nil {
		log.Fatal(err)
	}
	cert, err := account.Certificate(ctx, order.CertificateURL)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := cert.Chain()
	fmt.Println(chain[0].DNSNames, err)
	// Output: [example.com] <nil>
}

// Errors tell what to do next.
func ExampleProblem() {
	err := error(&acme.OrderError{Order: &acme.Order{
		Error: &acme.Problem{Type: acme.ErrRateLimited, Detail: "too many certificates", RetryAfter: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)},
	}})

	if problem, ok := errors.AsType[*acme.Problem](err); ok && errors.Is(err, acme.ErrRateLimited) {
		fmt.Println("again at", problem.RetryAfter.Format(time.DateTime))
	}
	// Output: again at 2030-01-02 03:04:05
}

// Progress, as a person would follow it.
func ExampleWithTrace() {
	ctx, account, request := exampleAccount()
	defer done()

	ctx = acme.WithTrace(ctx, &acme.Trace{
		Present:     func(batch []*acme.Attempt) { fmt.Println("presenting", batch) },
		OrderStatus: func(o *acme.Order) { fmt.Println("order is", o.Status) },
	})
	if _, err := account.Obtain(ctx, request); err != nil {
		log.Fatal(err)
	}
	// Output:
	// order is pending
	// presenting [http-01 for example.com]
	// order is ready
	// order is valid
}

// A solver made of a function for one challenge.
func ExampleEach() {
	_, account, _ := exampleAccount()
	defer done()

	solver := acme.Each(
		func(a *acme.Attempt) bool { return a.Challenge.Type == acme.DNS01 },
		func(_ context.Context, a *acme.Attempt) (acme.Cleanup, error) {
			fmt.Println("set a TXT record at _acme-challenge." + a.Identifier.Value)
			return func(context.Context) error { fmt.Println("and remove it"); return nil }, nil
		},
	)
	cleanup, err := solver.Present(context.Background(), []*acme.Attempt{{
		AccountURL: account.URL(), Identifier: acme.DNS("example.com")[0], Challenge: &acme.Challenge{Type: acme.DNS01},
	}})
	fmt.Println(err, cleanup(context.Background()))
	// Output:
	// set a TXT record at _acme-challenge.example.com
	// and remove it
	// <nil> <nil>
}

// A chain that old devices trust, if the CA offers one.
func ExamplePreferRoot() {
	ctx, account, request := exampleAccount() // its CA has an alternate chain
	defer done()

	request.Chain = acme.PreferRoot("acmetest Root 1")
	cert, err := account.Obtain(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := cert.Chain()
	fmt.Println(chain[len(chain)-1].Issuer.CommonName, err)
	// Output: acmetest Root 1 <nil>
}

// What a CA's web page shows, as it is.
func ExampleNewExternalAccount() {
	external, err := acme.NewExternalAccount("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
	fmt.Println(external, err) // for AccountRequest.ExternalAccount
	_, err = acme.NewExternalAccount("kid-1", "c2VjcmV0")
	fmt.Println(err)
	// Output:
	// ExternalAccount(kid-1) <nil>
	// acme: external account: invalid MAC key of an external account: it has 6 octets, and HS256 needs 32 (RFC 7518 §3.2)
}
