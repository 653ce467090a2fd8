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
//
// CAs that want an external account binding hand out a key ID and a MAC key: add
// -eab-kid ID -eab-hmac-file FILE.
package main

import (
	"context"
	"crypto"
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
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
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

type settings struct {
	ca.Settings
	listen string
}

func parse(args []string, w io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.listen, "http", ":80", "`address` to answer http-01 challenges at; the CA asks port 80 of each name")
	err = s.Parse(flags, args, "shop.example", "www.shop.example", "bücher.example")
	return s, err
}

func run(ctx context.Context, args []string, w io.Writer, terminal bool) error {
	s, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := connect(ctx, s)
	if err != nil {
		return err
	}
	defer at.Close()          //nolint:errcheck // on the way out
	defer at.listener.Close() //nolint:errcheck // on the way out
	p := newProgress(w, terminal)
	p.step("%s", at.Greeting)
	cert, key, err := obtain(acme.WithTrace(ctx, p.trace()), s, at, p)
	if err != nil {
		p.end()
		return err
	}
	return p.report(cert, key, at.Issuers)
}

// A place is a CA, and where its http-01 requests come to.
type place struct {
	*ca.CA
	listener net.Listener
}

func connect(ctx context.Context, s settings) (*place, error) {
	c, err := s.Connect("acme-quickstart/1")
	if err != nil {
		return nil, err
	}
	listener, err := c.ListenHTTP(ctx, s.listen)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &place{c, listener}, nil
}

// obtain registers, or finds the account, and gets the certificate.
func obtain(ctx context.Context, s settings, at *place, p *progress) (*acme.Certificate, crypto.Signer, error) {
	files := s.Files
	accountKey, err := files.Key("account-key.pem")
	if err != nil {
		return nil, nil, err
	}
	account, err := at.Register(ctx, accountKey)
	if err != nil {
		return nil, nil, err
	}
	p.account(account)

	var solver http01.Solver
	server := &http.Server{Handler: &solver, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(at.listener) //nolint:errcheck // ends with Close
	defer server.Close()         //nolint:errcheck // on the way out
	p.step("answering http-01 challenges at %s", at.listener.Addr())

	// The key is stored before the order is made, and the order's URL before
	// anything is done with it: a run that dies loses nothing.
	certKey, err := files.Key("certificate-key.pem")
	if err != nil {
		return nil, nil, err
	}
	ctx = acme.WithTrace(ctx, &acme.Trace{OrderCreated: func(o *acme.Order) { err = files.Write("order-url", []byte(o.URL)) }})
	cert, failed := issue(ctx, account, files, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: s.Identifiers},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{&solver},
	})
	if failed != nil {
		return nil, nil, errors.Join(failed, err)
	}
	if err := errors.Join(err, files.Write("certificate.pem", cert.PEM)); err != nil {
		return nil, nil, err // the next run finds the certificate with the order
	}
	return cert, certKey, files.Remove("order-url")
}

// issue goes on with the order of a run that was interrupted, if it still can,
// or makes a new one.
func issue(ctx context.Context, account *acme.Account, files store.Store, request acme.CertificateRequest) (*acme.Certificate, error) {
	url, err := files.Read("order-url")
	if err != nil {
		return nil, err
	}
	if url != "" {
		cert, err := account.Complete(ctx, &acme.Order{URL: url}, request)
		if !acme.OrderLost(err) {
			return cert, err
		}
	}
	return account.Obtain(ctx, request)
}
