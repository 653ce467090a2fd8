// Command quickstart gets a certificate and shows each step.
//
// Without flags it starts Pebble, a CA for tests, in its own process, orders a
// certificate for three names from it, answers the http-01 challenges for real,
// and checks the chain. Nothing is stored.
//
//	go run ./examples/quickstart
//
// With flags it does the same at a real CA, for names that point to this
// machine. Keys, account and certificate are kept in a folder and used again;
// when it is interrupted, the next run goes on with the same order.
//
//	go run ./examples/quickstart -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -domain example.com -domain www.example.com -http :80 -out certs
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
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, isTerminal(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// Settings say which certificate to get, from where.
type settings struct {
	directory string
	roots     string
	domains   []string
	email     string
	agree     bool
	listen    string
	out       string
}

func parse(args []string, w io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.directory, "directory", "", "`URL` of the CA's directory; none: a Pebble in this process")
	flags.StringVar(&s.roots, "roots", "", "PEM `file` with roots to trust for a CA of one's own; none: the system's")
	flags.Func("domain", "`name` or IP address for the certificate, may be repeated", func(v string) error {
		s.domains = append(s.domains, v)
		return nil
	})
	flags.StringVar(&s.email, "email", "", "`address` at which the CA can reach you")
	flags.BoolVar(&s.agree, "agree", false, "agree to the CA's terms of service")
	flags.StringVar(&s.listen, "http", ":80", "`address` to answer http-01 challenges at; the CA asks port 80 of each name")
	flags.StringVar(&s.out, "out", "", "`folder` for keys, account and certificate (default \"acme-data\" with -directory)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.directory != "" && len(s.domains) == 0:
		return s, errors.New("-directory needs at least one -domain")
	case s.directory != "" && s.out == "":
		s.out = "acme-data"
	}
	if len(s.domains) == 0 {
		s.domains = []string{"shop.example", "www.shop.example", "bücher.example"}
	}
	return s, nil
}

func run(ctx context.Context, args []string, w io.Writer, terminal bool) error {
	s, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ca, err := connect(ctx, s)
	if err != nil {
		return err
	}
	defer ca.close()
	p := newProgress(w, terminal)
	p.step("%s", ca.greeting)
	cert, key, err := obtain(acme.WithTrace(ctx, p.trace()), s, ca, p)
	if err != nil {
		p.end()
		return err
	}
	return p.report(cert, key, ca.issuers)
}

// A ca is what is known of the CA before it is asked anything.
type ca struct {
	greeting string
	client   *acme.Client
	listener net.Listener   // that the CA's http-01 requests come to
	issuers  *x509.CertPool // to check the chain; nil: the system's roots
	close    func()
}

func connect(ctx context.Context, s settings) (*ca, error) {
	if s.directory == "" {
		return startPebble()
	}
	client := &acme.Client{DirectoryURL: s.directory, UserAgent: "acme-quickstart/1"}
	issuers, err := readRoots(s.roots)
	if err != nil {
		return nil, err
	}
	if issuers != nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{RootCAs: issuers, MinVersion: tls.VersionTLS12}
		client.HTTPClient = &http.Client{Transport: transport}
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with -http, and have port 80 of the names lead to it)", err)
	}
	return &ca{
		greeting: "asking " + s.directory,
		client:   client, listener: listener, issuers: issuers,
		close: func() { listener.Close() }, //nolint:errcheck // on the way out
	}, nil
}

func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

func startPebble() (*ca, error) {
	server, err := pebble.Start(pebble.Options{Strict: true})
	if err != nil {
		return nil, err
	}
	listener, err := server.ListenHTTP()
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &ca{
		greeting: "started Pebble, a CA for tests, in this process: " + server.DirectoryURL(),
		client:   &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client(), UserAgent: "acme-quickstart/1"},
		listener: listener,
		issuers:  server.Roots(),
		close:    func() { listener.Close(); server.Close() }, //nolint:errcheck // on the way out
	}, nil
}

// obtain registers, or finds the account, and gets the certificate.
func obtain(ctx context.Context, s settings, ca *ca, p *progress) (*acme.Certificate, crypto.Signer, error) {
	files := store{folder: s.out}
	accountKey, err := files.key("account-key.pem")
	if err != nil {
		return nil, nil, err
	}
	account, err := register(ctx, s, ca.client, accountKey)
	if err != nil {
		return nil, nil, err
	}
	p.account(account)

	var solver http01.Solver
	server := &http.Server{Handler: &solver, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(ca.listener) //nolint:errcheck // ends with Close
	defer server.Close()         //nolint:errcheck // on the way out
	p.step("answering http-01 challenges at %s", ca.listener.Addr())

	// The key is stored before the order is made, and the order's URL before
	// anything is done with it: a run that dies loses nothing.
	certKey, err := files.key("certificate-key.pem")
	if err != nil {
		return nil, nil, err
	}
	ctx = acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { err = files.write("order-url", []byte(o.URL)) }})
	cert, failed := issue(ctx, account, files, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: identifiers(s.domains)},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{&solver},
	})
	if failed != nil {
		return nil, nil, errors.Join(failed, err)
	}
	return cert, certKey, errors.Join(err, files.write("certificate.pem", cert.PEM), files.remove("order-url"))
}

func register(ctx context.Context, s settings, client *acme.Client, key crypto.Signer) (*acme.Account, error) {
	request := acme.AccountRequest{TermsOfServiceAgreed: s.agree || s.directory == ""}
	if s.email != "" {
		request.Contact = []string{"mailto:" + s.email}
	}
	account, err := client.NewAccount(ctx, key, request)
	if err != nil && !request.TermsOfServiceAgreed {
		if dir, dirErr := client.Directory(ctx); dirErr == nil && dir.Meta.TermsOfService != "" {
			return nil, fmt.Errorf("%w\nread the terms of service at %s, and add -agree if you do", err, dir.Meta.TermsOfService)
		}
	}
	return account, err
}

// issue goes on with the order of a run that was interrupted, if it still can,
// or makes a new one.
func issue(ctx context.Context, account *acme.Account, files store, request acme.CertificateRequest) (*acme.Certificate, error) {
	if url := files.read("order-url"); url != "" {
		if order, err := account.Order(ctx, url); err == nil {
			if cert, err := account.Complete(ctx, order, request); err == nil || ctx.Err() != nil {
				return cert, err
			}
		}
	}
	return account.Obtain(ctx, request)
}

func identifiers(domains []string) []acme.Identifier {
	var ids []acme.Identifier
	for _, d := range domains {
		if addr, err := netip.ParseAddr(strings.Trim(d, "[]")); err == nil {
			ids = append(ids, acme.IP(addr)...)
		} else {
			ids = append(ids, acme.DNS(d)...)
		}
	}
	return ids
}
