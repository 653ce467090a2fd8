//go:build cgo

package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "hsm:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// Settings say which keys to use, and which certificate to get, from where.
type settings struct {
	ca.Settings
	module, token, pinFile string
	rsa                    bool
	listen                 string
}

func parse(args []string, w io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("hsm", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.module, "module", "", "PKCS#11 `library` of the module; none: SoftHSM's, where distributions have it")
	flags.StringVar(&s.token, "token", "", "`label` of the token with the keys; none: a new one of SoftHSM, which is gone afterwards")
	flags.StringVar(&s.pinFile, "pin-file", "", "`file` with the PIN of the token's user")
	flags.BoolVar(&s.rsa, "rsa", false, "make RSA keys, not ones of the curve P-256")
	flags.StringVar(&s.listen, "http", ":80", "`address` to answer http-01 challenges at; the CA asks port 80 of each name")
	if err := s.Parse(flags, args, "shop.example", "www.shop.example"); err != nil {
		return s, err
	}
	switch {
	case (s.token == "") != (s.pinFile == ""):
		return s, errors.New("-token and -pin-file need each other")
	case s.Directory != "" && s.token == "":
		return s, errors.New("-directory needs a -token: the keys of a temporary one would be lost")
	}
	return s, nil
}

func run(ctx context.Context, args []string, w io.Writer) (err error) {
	s, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	token, err := openToken(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, token.close()) }()
	fmt.Fprintf(w, "using the token %q of %s\n", token.label, token.module)
	accountKey, err := token.key("acme account", s.rsa)
	if err != nil {
		return err
	}
	certKey, err := token.key("acme certificate", s.rsa)
	if err != nil {
		return err
	}
	for _, k := range []*key{accountKey, certKey} {
		fmt.Fprintln(w, k)
	}
	at, err := s.Connect("acme-hsm/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	cert, err := obtain(ctx, s, at, accountKey, certKey, w)
	if err != nil {
		return err
	}
	if err := s.Files.Write("certificate.pem", cert.PEM); err != nil {
		return err
	}
	if err := handshake(ctx, cert, certKey, at.Issuers, w); err != nil {
		return err
	}
	_, err = w.Write(cert.PEM)
	return err
}

// obtain does what a program with keys in files does, too.
func obtain(ctx context.Context, s settings, at *ca.CA, accountKey, certKey crypto.Signer, w io.Writer) (*acme.Certificate, error) {
	listener, err := at.ListenHTTP(ctx, s.listen)
	if err != nil {
		return nil, err
	}
	defer listener.Close() //nolint:errcheck // on the way out
	var solver http01.Solver
	server := &http.Server{Handler: &solver, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()      //nolint:errcheck // on the way out

	account, err := at.Register(ctx, accountKey)
	if err != nil {
		return nil, err
	}
	was := "found"
	if account.Created() {
		was = "created"
	}
	fmt.Fprintf(w, "account %s (%s)\n", account.URL(), was)
	return account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: s.Identifiers},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{&solver},
	})
}

// handshake shows that a server can use the certificate with the key in the token.
// The chain is checked up to the roots of the CA, where they are known.
func handshake(ctx context.Context, cert *acme.Certificate, key crypto.Signer, roots *x509.CertPool, w io.Writer) error {
	chain, err := cert.Chain()
	if err != nil {
		return err
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		pair.Certificate = append(pair.Certificate, c.Raw)
	}
	names := chain[0].DNSNames
	for _, addr := range chain[0].IPAddresses {
		names = append(names, addr.String())
	}
	near, far := net.Pipe()
	defer near.Close() //nolint:errcheck // nothing is left in it
	defer far.Close()  //nolint:errcheck // nothing is left in it
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}).HandshakeContext(ctx)
	}()
	client := tls.Client(near, &tls.Config{
		RootCAs: roots, ServerName: names[0], MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: roots == nil, // a CA for tests is trusted by nobody
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("a TLS handshake with the certificate: %w", err)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("a TLS handshake with the key in the token: %w", err)
	}
	fmt.Fprintf(w, "certificate for %v of %s, used for a TLS handshake\n", names, chain[0].Issuer)
	return nil
}
