package acmetest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
)

// solve has a program with a solver obtain a certificate. The examples print what for,
// and how many challenges that took, or why the CA refused.
func (p *program) solve(id acme.Identifier, solver acme.Solver, more ...func(*acme.CertificateRequest)) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	req := acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{id}}, CSR: acme.NewCSR(key), Solvers: []acme.Solver{solver},
	}
	for _, change := range more {
		change(&req)
	}
	if _, err := p.account.Obtain(context.Background(), req); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.ca.Orders()[0].Identifiers[0].Type, p.ca.Count(acmetest.KindChallenge), "challenge")
}

func ExampleValidateDNSPersist01() {
	zone := map[string][]string{} // a stand-in for the DNS, with an account's record
	p, err := newProgram(acmetest.Options{
		ChallengeTypes: []string{"dns-persist-01"},
		Validate:       acmetest.ValidateDNSPersist01(func(name string) []string { return zone[name] }, ""),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	zone["_validation-persist.example.com"] = []string{"ca.test; accounturi=" + p.account.URL()}
	p.solve(acme.DNS("example.com")[0], &dnspersist01.Solver{
		Issuer: "ca.test",
		Lookup: func(context.Context, string) ([]string, error) { return zone["_validation-persist.example.com"], nil },
	})
	// Output: dns 1 challenge
}

// The challenge mails of the CA are fetched from it, and those of the program are
// kept for it.
func ExampleValidateEmailReply00() {
	sent := map[string][][]byte{}
	p, err := newProgram(acmetest.Options{
		ChallengeTypes:  []string{"email-reply-00"},
		IdentifierTypes: []string{"email"},
		Validate:        acmetest.ValidateEmailReply00(func(to string) [][]byte { return sent[to] }),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	p.solve(acme.Identifier{Type: acme.TypeEmail, Value: "user@example.com"}, &emailreply00.Solver{
		Mails: func(_ context.Context, _, to string) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				for _, mail := range p.ca.ChallengeMails(to) {
					if !yield(mail, nil) {
						return
					}
				}
			}
		},
		Verify: func(context.Context, *emailreply00.Message) error { return nil }, // the CA's mails have no DKIM signature
		Send: func(_ context.Context, r *emailreply00.Reply) error {
			sent[r.To[0]] = append(sent[r.To[0]], r.Raw)
			return nil
		},
	})
	// Output: email 1 challenge
}

// A device whose key has a certificate of its maker.
func ExampleValidateDeviceAttest01() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{SerialNumber: "SN-1234"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		fmt.Println(err)
		return
	}
	device, err := x509.ParseCertificate(der)
	if err != nil {
		fmt.Println(err)
		return
	}
	makers := x509.NewCertPool()
	makers.AddCert(device)

	p, err := newProgram(acmetest.Options{
		ChallengeTypes:  []string{"device-attest-01"},
		IdentifierTypes: []string{"permanent-identifier"},
		Validate:        acmetest.ValidateDeviceAttest01(makers),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	p.solve(acme.Identifier{Type: acme.TypePermanentIdentifier, Value: "SN-1234"}, &deviceattest01.Solver{
		Attest: func(_ context.Context, r deviceattest01.Request) ([]byte, error) {
			digest := r.Digest()
			signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				return nil, err
			}
			return deviceattest01.Object("packed", map[string]any{"alg": -7, "sig": signature, "x5c": [][]byte{der}})
		},
	})
	// Output: permanent-identifier 1 challenge
}

// An authority whose tokens the CA takes. It is an http.Handler, too.
func ExampleValidateTKAuth01() {
	authority := new(acmetest.TokenAuthority)
	p, err := newProgram(acmetest.Options{
		ChallengeTypes:  []string{"tkauth-01"},
		IdentifierTypes: []string{"TNAuthList"},
		Validate:        acmetest.ValidateTKAuth01(authority),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	numbers, err := tkauth01.TNAuthList{{SPC: "709J"}}.Identifier()
	if err != nil {
		fmt.Println(err)
		return
	}
	p.solve(numbers, &tkauth01.Solver{Token: func(_ context.Context, r tkauth01.Request) (string, error) {
		return authority.Grant(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "jti": "1", "atc": map[string]any{
			"tktype": r.Identifier.Type, "tkvalue": r.Identifier.Value, "fingerprint": r.Fingerprint,
		}}), nil
	}})
	// Output: TNAuthList 1 challenge
}

// A hidden service, at a CA that insists on its CAA records.
func ExampleValidateOnionCSR01() {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := newProgram(acmetest.Options{
		ChallengeTypes:   []string{"onion-csr-01"},
		OnionCAARequired: true,
		Validate:         acmetest.ValidateOnionCSR01,
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}
	name := acme.DNS(onioncsr01.Address(public))[0]
	p.solve(name, solver, func(req *acme.CertificateRequest) {
		req.FinalizeExtra = solver.OnionCAA(map[string][]caa.Record{name.Value: nil}) // there are none
	})
	// Output: dns 1 challenge
}

// The agent of a node answers both bundles that the CA sends.
func ExampleValidateBPNodeID00() {
	var agent *bpnodeid00.Responder
	p, err := newProgram(acmetest.Options{
		ChallengeTypes:  []string{"bp-nodeid-00"},
		IdentifierTypes: []string{"bundleEID"},
		Validate: acmetest.ValidateBPNodeID00(func(_ context.Context, b acmetest.Bundle) ([]byte, error) {
			reply, err := agent.Respond(bpnodeid00.Bundle{
				Source: b.Source, Destination: b.Destination, Timestamp: b.Timestamp, Sequence: b.Sequence,
				Lifetime: b.Lifetime, Trusted: true, Acknowledge: true, Payload: b.Record,
			})
			return slices.Clone(reply.Payload), err
		}),
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.ca.Close()
	p.solve(acme.Identifier{Type: acme.TypeBundleEID, Value: "dtn://acme-client/"}, &bpnodeid00.Solver{
		Configure: func(_ context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
			agent = r
			return func(context.Context) error { return nil }, nil
		},
	})
	// Output: bundleEID 1 challenge
}
