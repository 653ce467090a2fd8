package onioncsr01_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
)

// The solver is put into the Solvers of a certificate request. The library then
// calls Present and sends the Response.
func Example() {
	key := ed25519.NewKeyFromSeed([]byte("the seed of the service's key...")) // of the hidden service
	name := onioncsr01.Address(key.Public().(ed25519.PublicKey))
	fmt.Println(name)
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}

	ctx := context.Background()
	a := challengetest.NewAttempt(acme.OnionCSR01, acme.DNS(name)[0], "a nonce, of octets")
	if _, err := solver.Present(ctx, []*acme.Attempt{a}); err != nil {
		fmt.Println(err)
		return
	}
	data, err := json.Marshal(a.Response)
	if err != nil {
		fmt.Println(err)
		return
	}
	var response struct{ CSR string }
	if err := json.Unmarshal(data, &response); err != nil {
		fmt.Println(err)
		return
	}
	der, err := base64.RawURLEncoding.DecodeString(response.CSR)
	if err != nil {
		fmt.Println(err)
		return
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("signed by the service:", csr.CheckSignature() == nil && key.Public().(ed25519.PublicKey).Equal(csr.PublicKey))
	fmt.Println("with the nonce:", strings.Contains(string(csr.RawTBSCertificateRequest), "a nonce, of octets"))
	// Output:
	// uu7vblht2ktdgoitltyxihpea6w4rthzwehl2equf2vl4eg4adtvenqd.onion
	// signed by the service: true
	// with the nonce: true
}

// CAA records of a hidden service, which has no DNS, go to the CA with the request
// to finalize the order. Before that, they can be checked as the CA does.
func ExampleSolver_OnionCAA() {
	key := ed25519.NewKeyFromSeed([]byte("the seed of the service's key..."))
	name := onioncsr01.Address(key.Public().(ed25519.PublicKey))
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}

	pin, err := caa.Pin("ca.example", "https://ca.example/acct/1", acme.OnionCSR01)
	if err != nil {
		fmt.Println(err)
		return
	}
	set := []caa.Record{{Flags: caa.FlagCritical, Tag: caa.TagIssue, Value: pin.String()}}
	request := caa.Request{Identities: []string{"ca.example"}, AccountURL: "https://ca.example/acct/1", Methods: []acme.ChallengeType{acme.OnionCSR01}}
	methods, err := request.Check(name, set)
	fmt.Println(methods, err)

	req := acme.CertificateRequest{
		OrderRequest:  acme.OrderRequest{Identifiers: acme.DNS(name)},
		FinalizeExtra: solver.OnionCAA(map[string][]caa.Record{name: set}),
	}
	members, err := req.FinalizeExtra(context.Background(), req.OrderRequest.Identifiers) // as Obtain does it
	if err != nil {
		fmt.Println(err)
		return
	}
	signed := members["onionCAA"].(map[string]onioncsr01.CAA)[name]
	fmt.Println(*signed.Records)
	// Output:
	// [onion-csr-01] <nil>
	// caa 128 issue "ca.example; accounturi=https://ca.example/acct/1; validationmethods=onion-csr-01"
}
