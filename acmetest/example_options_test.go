package acmetest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// A program stands for the one that is tested: it has an account at a CA.
type program struct {
	ca      *acmetest.Server
	client  *acme.Client
	account *acme.Account
}

// newProgram starts a CA and registers there.
func newProgram(opts acmetest.Options, external *acme.ExternalAccount) (*program, error) {
	ca := acmetest.NewServer(nil, opts) // in a test, pass its t
	p := &program{ca: ca, client: &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p.account, err = p.client.NewAccount(context.Background(), key, acme.AccountRequest{ExternalAccount: external})
	return p, err
}

// obtain gets a certificate, by http-01 challenges that nobody looks at.
func (p *program) obtain(ctx context.Context, names ...string) (*acme.Certificate, error) {
	return p.order(ctx, acme.OrderRequest{Identifiers: acme.DNS(names...)}, nil)
}

func (p *program) order(ctx context.Context, order acme.OrderRequest, types []acme.ChallengeType) (*acme.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	req := acme.CertificateRequest{OrderRequest: order, CSR: acme.NewCSR(key)}
	for _, typ := range append(types, acme.HTTP01) {
		supports := func(a *acme.Attempt) bool { return a.Challenge.Type == typ }
		req.Solvers = append(req.Solvers, acme.Each(supports, func(context.Context, *acme.Attempt) (acme.Cleanup, error) { return nil, nil }))
	}
	return p.account.Obtain(ctx, req)
}

// issued is what the examples print: how an issuance ended.
func issued(opts acmetest.Options) string {
	p, err := newProgram(opts, nil)
	if err != nil {
		return err.Error()
	}
	defer p.ca.Close()
	if _, err := p.obtain(context.Background(), "example.com"); err != nil {
		return err.Error()
	}
	return "issued"
}

// Half of all nonces are refused. A program should not notice.
func ExampleOptions_badNonce() {
	fmt.Println(issued(acmetest.Options{BadNonce: 0.5, Seed: 7}))
	// Output: issued
}

// Errors without a nonce, as some CAs have them, cost a newNonce request each.
func ExampleOptions_omitNonceOnErrors() {
	fmt.Println(issued(acmetest.Options{BadNonce: 0.5, OmitNonceOnErrors: true}))
	// Output: issued
}

// No Location but where the RFC promises one: the answer to finalize has none.
func ExampleOptions_omitLocation() {
	fmt.Println(issued(acmetest.Options{OmitLocation: true}))
	// Output: issued
}

// A CA that takes its time. In a synctest bubble the times may be hours.
func ExampleOptions_validationTime() {
	fmt.Println(issued(acmetest.Options{ValidationTime: time.Millisecond, IssuanceTime: time.Millisecond, Latency: time.Microsecond}))
	// Output: issued
}

// The CA says when to ask again.
func ExampleOptions_retryAfter() {
	p, err := newProgram(acmetest.Options{RetryAfter: "3600", ValidationTime: time.Hour}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctx = acme.WithTrace(ctx, &acme.Trace{Wait: func(w acme.WaitInfo) {
		fmt.Println("waits for an hour:", w.Delay >= time.Hour)
		cancel()
	}})
	_, err = p.obtain(ctx, "example.com")
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// waits for an hour: true
	// true
}

// A challenge that fails, for a reason of the test's choice.
func ExampleOptions_validate() {
	p, err := newProgram(acmetest.Options{
		Validate: func(_ context.Context, v acmetest.Validation) error {
			return &acmetest.Problem{Type: acmetest.ErrorURN + "dns", Detail: "no record for " + v.Identifier.Value}
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	_, err = p.obtain(context.Background(), "example.com")
	fmt.Println(errors.Is(err, acme.ErrDNS))
	// Output: true
}

// A challenge that fails once, and is tried again by the CA (§8.2).
func ExampleOptions_validationAttempts() {
	tries := 0
	fmt.Println(issued(acmetest.Options{
		ValidationTime:     time.Millisecond,
		ValidationAttempts: 3,
		Validate: func(context.Context, acmetest.Validation) error {
			if tries++; tries < 3 {
				return errors.New("not yet")
			}
			return nil
		},
	}), tries)
	// Output: issued 3
}

// An order that fails after all challenges have succeeded.
func ExampleOptions_issuanceError() {
	p, err := newProgram(acmetest.Options{IssuanceError: &acmetest.Problem{Type: acmetest.ErrorURN + "caa", Detail: "forbidden"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	_, err = p.obtain(context.Background(), "example.com")
	_, isOrderError := errors.AsType[*acme.OrderError](err)
	fmt.Println(isOrderError, errors.Is(err, acme.ErrCAA))
	// Output: true true
}

// A CA that wants to know its customers (§7.3.4).
func ExampleOptions_externalAccounts() {
	mac := []byte("0123456789abcdef0123456789abcdef")
	opts := acmetest.Options{ExternalAccountRequired: true, ExternalAccounts: map[string][]byte{"kid-1": mac}}
	_, err := newProgram(opts, nil)
	fmt.Println(errors.Is(err, acme.ErrExternalAccountRequired))
	_, err = newProgram(opts, &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

// Names that the CA does not issue for, each with a subproblem (§6.7.1).
func ExampleOptions_rejectIdentifiers() {
	p, err := newProgram(acmetest.Options{RejectIdentifiers: []string{"bank.example"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	_, err = p.obtain(context.Background(), "example.com", "bank.example")
	problem, _ := errors.AsType[*acme.Problem](err)
	for _, s := range problem.Subproblems {
		fmt.Println(s.Identifier, s.Type)
	}
	// Output: bank.example rejectedIdentifier
}

// An order that needs no challenges, as with CAs that know their customers.
func ExampleOptions_preValidated() {
	p, err := newProgram(acmetest.Options{PreValidated: true}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	_, err = p.obtain(context.Background(), "example.com")
	fmt.Println(err, p.ca.Count(acmetest.KindChallenge))
	// Output: <nil> 0
}

// Valid authorizations and open orders that come back.
func ExampleOptions_reuseAuthorizations() {
	p, err := newProgram(acmetest.Options{ReuseAuthorizations: true, ReuseOrders: true}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	for range 2 {
		_, err = p.obtain(context.Background(), "example.com")
		fmt.Println(err, p.ca.Count(acmetest.KindChallenge))
	}
	// Output:
	// <nil> 1
	// <nil> 1
}

// Lists in an order that is not the request's, which the RFC allows (§7.4).
func ExampleOptions_shuffle() {
	fmt.Println(issued(acmetest.Options{Shuffle: true, Seed: 1}))
	// Output: issued
}

// More chains for the same certificate (§7.4.2).
func ExampleOptions_alternateChains() {
	p, err := newProgram(acmetest.Options{AlternateChains: 2}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	cert, err := p.obtain(context.Background(), "example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(cert.AlternateURLs))
	// Output: 2
}

// Profiles, and the refusal of one that there is not.
func ExampleOptions_profiles() {
	p, err := newProgram(acmetest.Options{Profiles: map[string]string{"shortlived": "six days"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	for _, profile := range []string{"shortlived", "eternal"} {
		_, err := p.order(context.Background(), acme.OrderRequest{Identifiers: acme.DNS("example.com"), Profile: profile}, nil)
		fmt.Println(profile, err == nil)
	}
	// Output:
	// shortlived true
	// eternal false
}

// A CA without key change, renewal information or revocation.
func ExampleOptions_omitFromDirectory() {
	p, err := newProgram(acmetest.Options{OmitFromDirectory: []string{"keyChange"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = p.account.ChangeKey(context.Background(), key)
	fmt.Println(errors.Is(err, errors.ErrUnsupported))
	// Output: true
}

// A challenge of a type that the CA has to itself, with members of its own.
func ExampleOptions_challengeTypes() {
	const typ = "example-01"
	p, err := newProgram(acmetest.Options{
		ChallengeTypes:  []string{typ},
		ChallengeFields: map[string]map[string]any{typ: {"color": "blue"}},
		Validate: func(_ context.Context, v acmetest.Validation) error {
			fmt.Println("validates", v.Type, "for", v.Identifier.Value)
			return nil
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	_, err = p.order(context.Background(), acme.OrderRequest{Identifiers: acme.DNS("example.com")}, []acme.ChallengeType{typ})
	fmt.Println(err)
	// Output:
	// validates example-01 for example.com
	// <nil>
}

// A certificate that is to be renewed at once (RFC 9773).
func ExampleOptions_renewalWindow() {
	p, err := newProgram(acmetest.Options{
		RenewalWindow: func(leaf *x509.Certificate) (start, end time.Time) {
			return leaf.NotBefore.Add(-time.Hour), leaf.NotBefore
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	cert, err := p.obtain(context.Background(), "example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	chain, err := cert.Chain()
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := acme.NewCertID(chain[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := p.client.RenewalInfo(context.Background(), id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("is over:", info.End.Before(time.Now()))
	// Output: is over: true
}

// An orders list of several pages (§7.1.2.1).
func ExampleOptions_ordersPerPage() {
	p, err := newProgram(acmetest.Options{OrdersPerPage: 1}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	for _, name := range []string{"a.example", "b.example"} {
		if _, err := p.account.NewOrder(context.Background(), acme.OrderRequest{Identifiers: acme.DNS(name)}); err != nil {
			fmt.Println(err)
		}
	}
	n := 0
	for _, err := range p.account.Orders(context.Background()) {
		if err != nil {
			fmt.Println(err)
			break
		}
		n++
	}
	fmt.Println(n, "orders on", p.ca.Count(acmetest.KindOrders), "pages")
	// Output: 2 orders on 2 pages
}
