package acmetest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// ordered starts a CA and has a program order there. The caller closes the CA; what
// the examples print is its last order.
func ordered(opts acmetest.Options, order acme.OrderRequest) (*acmetest.Server, acmetest.OrderInfo) {
	p, err := newProgram(opts, nil)
	if err == nil {
		_, err = p.order(context.Background(), order, nil)
	}
	if err != nil {
		fmt.Println(err)
		return p.ca, acmetest.OrderInfo{}
	}
	orders := p.ca.Orders()
	return p.ca, orders[len(orders)-1]
}

// A CA that gives a profile to those who ask for none.
func ExampleOptions_defaultProfile() {
	opts := acmetest.Options{Profiles: map[string]string{"classic": "as ever"}, DefaultProfile: "classic"}
	ca, o := ordered(opts, acme.OrderRequest{Identifiers: acme.DNS("example.com")})
	defer ca.Close()
	fmt.Println(o.Profile)
	// Output: classic
}

// A certificate that replaces another one (RFC 9773 §5): the CA knows which.
func ExampleOrderInfo_replaces() {
	p, err := newProgram(acmetest.Options{}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	ctx, order := context.Background(), acme.OrderRequest{Identifiers: acme.DNS("example.com")}
	for range 2 {
		if _, err := p.order(ctx, order, nil); err != nil {
			fmt.Println(err)
			return
		}
		order.Replaces, err = acme.NewCertID(p.ca.Issued()[0])
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(p.ca.Orders()[1].Replaces == string(order.Replaces))
	// Output: true
}

// A CA that authorizes subdomains by a domain above them.
func ExampleOptions_subdomainAuth() {
	opts := acmetest.Options{SubdomainAuth: true, ChooseAncestor: func(name, ancestor string) string {
		fmt.Println(name, "is authorized by", ancestor)
		return ancestor
	}}
	ca, o := ordered(opts, acme.OrderRequest{Identifiers: acme.DNS("www.dev.example.com"), AncestorDomains: []string{"example.com"}})
	defer ca.Close()
	fmt.Println(o.Status)
	// Output:
	// www.dev.example.com is authorized by example.com
	// valid
}

// A CA that renews certificates by itself, of an hour at least, for a month at most.
// Time passes faster in a synctest bubble.
func ExampleAutoRenewal() {
	opts := acmetest.Options{AutoRenewal: &acmetest.AutoRenewal{MinLifetime: time.Hour, MaxDuration: 31 * 24 * time.Hour}}
	ca, o := ordered(opts, acme.OrderRequest{Identifiers: acme.DNS("example.com"), AutoRenewal: &acme.AutoRenewal{
		EndDate: time.Now().AddDate(0, 0, 7), Lifetime: 36 * time.Hour,
	}})
	defer ca.Close()
	first := ca.Issued()[0]
	fmt.Println(o.Status, first.NotAfter.Sub(first.NotBefore)) // with half of the lifetime as padding
	// Output: valid 54h0m0s
}

// A CA whose certificates anybody can fetch, of orders that ask for it.
func ExampleOptions_allowCertificateGet() {
	opts := acmetest.Options{AllowCertificateGet: true}
	ca, o := ordered(opts, acme.OrderRequest{Identifiers: acme.DNS("example.com"), AllowCertificateGet: true})
	defer ca.Close()
	fmt.Println(get(ca.HTTPClient(), o.CertificateURL)[:34])
	// Output: 200 OK -----BEGIN CERTIFICATE-----
}

// The server of somebody who lets accounts order for a name without a challenge.
func ExampleDelegation() {
	opts := acmetest.Options{AllowCertificateGet: true, Delegations: []acmetest.Delegation{{CSRTemplate: `{
		"keyTypes": [{"PublicKeyType": "id-ecPublicKey", "namedCurve": "secp256r1", "SignatureType": "ecdsa-with-SHA256"}],
		"extensions": {"subjectAltName": {"DNS": ["video.example.com"]}}}`}}}
	ca, o := ordered(opts, acme.OrderRequest{Identifiers: acme.DNS("video.example.com"), Delegation: "https://ca.test/delegation/1"})
	defer ca.Close()
	fmt.Println(o.Status, ca.Count(acmetest.KindChallenge), o.CertificateURL[:20])
	// Output: valid 0 https://issuer.test/
}
