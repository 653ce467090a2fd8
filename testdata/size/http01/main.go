// Command http01 is ../nethttp with a certificate: it makes an account, orders,
// answers the challenges, and prints what it got.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

func main() {
	var solver http01.Solver
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") })
	http.Handle(http01.PathPrefix, &solver)
	go func() { log.Fatal(http.ListenAndServe(":80", nil)) }()

	resp, err := http.Get(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		log.Fatal(err)
	}

	client := &acme.Client{DirectoryURL: os.Args[1]}
	account, err := client.NewAccount(context.Background(), newKey(), acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		log.Fatal(err)
	}
	cert, err := account.Obtain(context.Background(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(os.Args[2:]...)},
		CSR:          acme.NewCSR(newKey()),
		Solvers:      []acme.Solver{&solver},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(cert.PEM); err != nil {
		log.Fatal(err)
	}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return key
}
