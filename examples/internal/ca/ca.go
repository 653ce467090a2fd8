// Package ca has what the examples have in common: the flags that name a CA and an
// account, and the way to it, or to a Pebble in the same process.
package ca

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
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

	account acme.AccountRequest
}

// Connect returns the CA with the directory, or starts one if there is none.
func (s *Settings) Connect(userAgent string) (*CA, error) {
	if s.Directory == "" {
		return startPebble(userAgent)
	}
	c := &CA{
		Greeting: "asking " + s.Directory,
		Client:   &acme.Client{DirectoryURL: s.Directory, UserAgent: userAgent},
		account:  acme.AccountRequest{TermsOfServiceAgreed: s.agree},
	}
	if s.email != "" {
		c.account.Contact = []string{"mailto:" + s.email}
	}
	var err error
	if c.account.ExternalAccount, err = s.externalAccount(); err != nil {
		return nil, err
	}
	if s.roots == "" {
		return c, nil
	}
	pem, err := os.ReadFile(s.roots)
	if err != nil {
		return nil, err
	}
	c.Issuers = x509.NewCertPool()
	if !c.Issuers.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", s.roots)
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
		account:  acme.AccountRequest{TermsOfServiceAgreed: true},
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
// told to what, and whoever lacks a binding what it takes.
func (c *CA) Register(ctx context.Context, key crypto.Signer) (*acme.Account, error) {
	account, err := c.Client.NewAccount(ctx, key, c.account)
	switch {
	case err == nil:
		return account, nil
	case errors.Is(err, acme.ErrExternalAccountRequired) && c.account.ExternalAccount == nil:
		return nil, fmt.Errorf("%w\nthe CA hands out a key ID and a MAC key: add -eab-kid and -eab-hmac-file with them", err)
	case !c.account.TermsOfServiceAgreed:
		if dir, dirErr := c.Client.Directory(ctx); dirErr == nil && dir.Meta.TermsOfService != "" {
			return nil, fmt.Errorf("%w\nread the terms of service at %s, and add -agree if you do", err, dir.Meta.TermsOfService)
		}
	}
	return nil, err
}

// ListenHTTP opens the port that the CA asks for http-01, or the address that it
// is led to.
func (c *CA) ListenHTTP(ctx context.Context, addr string) (net.Listener, error) {
	if c.Pebble != nil {
		return c.Pebble.ListenHTTP()
	}
	return listen(ctx, addr, "-http", 80)
}

// ListenTLS opens the port that the CA asks for tls-alpn-01, or the address that it
// is led to.
func (c *CA) ListenTLS(ctx context.Context, addr string) (net.Listener, error) {
	if c.Pebble != nil {
		return c.Pebble.ListenTLS()
	}
	return listen(ctx, addr, "-https", 443)
}

func listen(ctx context.Context, addr, name string, port int) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with %s, and have port %d of each name lead to it)", err, name, port)
	}
	return listener, nil
}
