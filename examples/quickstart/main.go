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
	c, err := ca.Connect(s.directory, s.roots, "acme-quickstart/1")
	if err != nil {
		return nil, err
	}
	if c.Pebble != nil {
		listener, err := c.Pebble.ListenHTTP()
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		return &place{c, listener}, nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with -http, and have port 80 of the names lead to it)", err)
	}
	return &place{c, listener}, nil
}

// obtain registers, or finds the account, and gets the certificate.
func obtain(ctx context.Context, s settings, at *place, p *progress) (*acme.Certificate, crypto.Signer, error) {
	files := store.Store{Folder: s.out}
	accountKey, err := files.Key("account-key.pem")
	if err != nil {
		return nil, nil, err
	}
	account, err := at.Register(ctx, accountKey, s.email, s.agree)
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
		OrderRequest: acme.OrderRequest{Identifiers: identifiers(s.domains)},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{&solver},
	})
	if failed != nil {
		return nil, nil, errors.Join(failed, err)
	}
	return cert, certKey, errors.Join(err, files.Write("certificate.pem", cert.PEM), files.Remove("order-url"))
}

// issue goes on with the order of a run that was interrupted, if it still can,
// or makes a new one.
func issue(ctx context.Context, account *acme.Account, files store.Store, request acme.CertificateRequest) (*acme.Certificate, error) {
	if url := files.Read("order-url"); url != "" {
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
