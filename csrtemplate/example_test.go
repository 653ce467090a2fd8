package csrtemplate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log"

	"github.com/seed-aa0b9f56/acme/csrtemplate"
)

// The request that an owner's template asks for.
func Example() {
	template, err := csrtemplate.Parse([]byte(`{
		"keyTypes": [{"PublicKeyType": "id-ecPublicKey", "namedCurve": "secp256r1", "SignatureType": "ecdsa-with-SHA256"}],
		"subject": {"country": "CA", "locality": "**"},
		"extensions": {"subjectAltName": {"DNS": ["abc.ido.example"]}, "extendedKeyUsage": ["serverAuth"]}
	}`)) // acme.Delegation has it
	if err != nil {
		log.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	newCSR := template.NewCSR(key, map[string]string{"locality": "Ottawa"}) // for acme.CertificateRequest.CSR
	der, err := newCSR(context.Background(), template.Identifiers())
	if err != nil {
		log.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	fmt.Println(csr.Subject, csr.DNSNames, err)

	_, err = template.NewCSR(key, nil)(context.Background(), template.Identifiers())
	fmt.Println(err)
	// Output:
	// L=Ottawa,C=CA [abc.ido.example] <nil>
	// the CSR does not match the order: subject: locality is mandatory: give a value (RFC 9115 §4.1)
}
