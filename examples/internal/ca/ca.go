// Package ca connects the examples to a CA: to one that is named, or to a Pebble
// in the same process.
package ca

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// A CA is what is known of one before it is asked anything.
type CA struct {
	Greeting string // for people
	Client   *acme.Client
	Issuers  *x509.CertPool // to check the chain; nil: the system's roots
	Pebble   *pebble.Server // nil: a CA that was named
}

// Connect returns the CA with a directory, or starts one if directory is empty.
// The roots are those to trust for a CA of one's own, in a PEM file; "" is the
// system's.
func Connect(directory, roots, userAgent string) (*CA, error) {
	if directory == "" {
		return startPebble(userAgent)
	}
	c := &CA{Greeting: "asking " + directory, Client: &acme.Client{DirectoryURL: directory, UserAgent: userAgent}}
	if roots == "" {
		return c, nil
	}
	pem, err := os.ReadFile(roots) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	c.Issuers = x509.NewCertPool()
	if !c.Issuers.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", roots)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: c.Issuers, MinVersion: tls.VersionTLS12}
	c.Client.HTTPClient = &http.Client{Transport: transport}
	return c, nil
}

func startPebble(userAgent string) (*CA, error) {
	server, err := pebble.Start(pebble.Options{Strict: true})
	if err != nil {
		return nil, err
	}
	return &CA{
		Greeting: "started Pebble, a CA for tests, in this process: " + server.DirectoryURL(),
		Client:   &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client(), UserAgent: userAgent},
		Issuers:  server.Roots(),
		Pebble:   server,
	}, nil
}

// Close ends a CA that was started.
func (c *CA) Close() error {
	if c.Pebble == nil {
		return nil
	}
	return c.Pebble.Close()
}

// Register makes an account for the key, or finds it. Whoever does not agree is
// told to what.
func (c *CA) Register(ctx context.Context, key crypto.Signer, email string, agree bool) (*acme.Account, error) {
	request := acme.AccountRequest{TermsOfServiceAgreed: agree || c.Pebble != nil}
	if email != "" {
		request.Contact = []string{"mailto:" + email}
	}
	account, err := c.Client.NewAccount(ctx, key, request)
	if err != nil && !request.TermsOfServiceAgreed {
		if dir, dirErr := c.Client.Directory(ctx); dirErr == nil && dir.Meta.TermsOfService != "" {
			return nil, fmt.Errorf("%w\nread the terms of service at %s, and add -agree if you do", err, dir.Meta.TermsOfService)
		}
	}
	return account, err
}
