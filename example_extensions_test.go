package acme_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/csrtemplate"
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

// A certificate of another kind: what the CA offers, and asking for it.
func ExampleOrderRequest_profile() {
	ctx, client, account, request := exampleCA(acmetest.Options{Profiles: map[string]string{"classic": "as ever", "shortlived": "six days"}})
	defer done()

	directory, err := client.Directory(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(directory.Meta.Profiles) // names and descriptions, for people
	request.OrderRequest.Profile = "shortlived"
	cert, err := account.Obtain(ctx, request)
	fmt.Println(cert != nil, err)

	request.OrderRequest.Profile = "shrotlived"
	_, err = account.Obtain(ctx, request) // nothing is sent
	fmt.Println(errors.Is(err, acme.ErrInvalidProfile))
	// Output:
	// map[classic:as ever shortlived:six days]
	// true <nil>
	// true
}

// A series of short-term certificates: who serves them fetches the current one,
// here without an account.
func ExampleAutoRenewal() {
	ctx, client, account, request := exampleCA(acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}})
	defer done()

	var order *acme.Order
	ctx = acme.WithTrace(ctx, &acme.Trace{OrderStatus: func(o *acme.Order) { order = o }})
	request.OrderRequest.AutoRenewal = &acme.AutoRenewal{EndDate: time.Now().AddDate(0, 1, 0)} // of four days each
	request.OrderRequest.AllowCertificateGet = true
	if _, err := account.Obtain(ctx, request); err != nil {
		log.Fatal(err)
	}
	cert, err := client.Certificate(ctx, order.StarCertificateURL) // on any machine that knows the URL
	if err != nil {
		log.Fatal(err)
	}
	next := order.AutoRenewal.NextAt(cert.NotAfter) // when to fetch again
	fmt.Println(cert.NotAfter.Sub(next))

	canceled, err := account.CancelOrder(ctx, order) // instead of a revocation
	fmt.Println(canceled.Status, err)
	// Output:
	// 48h0m0s
	// canceled <nil>
}

// Names below a domain, authorized by that domain: in an order, or once for all
// orders to come.
func ExampleAccount_NewSubdomainAuthorization() {
	ctx, _, account, request := exampleCA(acmetest.Options{SubdomainAuth: true, PreValidated: true})
	defer done()

	request.OrderRequest.Identifiers = acme.DNS("a.dev.example.com", "b.dev.example.com")
	request.OrderRequest.AncestorDomains = []string{"example.com"} // challenges for it can be fulfilled, too
	cert, err := account.Obtain(ctx, request)
	fmt.Println(cert != nil, err)

	authorization, err := account.NewSubdomainAuthorization(ctx, "example.com")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(authorization.Identifier, authorization.SubdomainAuthAllowed, authorization.Status)
	// Output:
	// true <nil>
	// example.com true valid
}

// A certificate for somebody else's names, as they have allowed it.
func ExampleAccount_Delegations() {
	ctx, _, account, _ := exampleCA(acmetest.Options{
		AllowCertificateGet: true,
		Delegations: []acmetest.Delegation{{CSRTemplate: `{
			"keyTypes": [{"PublicKeyType": "id-ecPublicKey", "namedCurve": "secp256r1", "SignatureType": "ecdsa-with-SHA256"}],
			"subject": {"locality": "**"}, "extensions": {"subjectAltName": {"DNS": ["video.example.com"]}}}`}},
	})
	defer done()
	certKey := exampleKey()

	for url, err := range account.Delegations(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		delegation, err := account.Delegation(ctx, url)
		if err != nil {
			log.Fatal(err)
		}
		template, err := csrtemplate.Parse(delegation.CSRTemplate)
		if err != nil {
			log.Fatal(err)
		}
		cert, err := account.Obtain(ctx, acme.CertificateRequest{
			OrderRequest: acme.OrderRequest{Identifiers: template.Identifiers(), Delegation: delegation.URL},
			CSR:          template.NewCSR(certKey, map[string]string{"locality": "Ottawa"}),
		})
		if err != nil {
			log.Fatal(err)
		}
		chain, err := cert.Chain()
		fmt.Println(chain[0].DNSNames, err)
	}
	// Output: [video.example.com] <nil>
}

// A certificate for addresses.
func ExampleIP() {
	ctx, _, account, request := exampleCA(acmetest.Options{})
	defer done()

	request.OrderRequest.Identifiers = acme.IP(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:DB8::1"))
	cert, err := account.Obtain(ctx, request)
	if err != nil {
		log.Fatal(err)
	}
	chain, err := cert.Chain()
	fmt.Println(chain[0].IPAddresses, err)
	// Output: [192.0.2.1 2001:db8::1] <nil>
}
