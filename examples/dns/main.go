// Command dns gets a wildcard certificate: with a name and its wildcard in one
// order, by dns-01.
//
// Without flags it starts Pebble, a CA for tests with a DNS server, in its own
// process. Records go there through a provider for libdns, as there are for many
// DNS services.
//
//	go run ./examples/dns
//
// With flags it gets one from a real CA, for a zone whose server takes DNS updates
// (RFC 2136), signed with a key as tsig-keygen writes it. Account key, certificate
// key and certificate are kept in a folder.
//
//	tsig-keygen acme >acme.key   # and include that file in the server's configuration
//	go run ./examples/dns -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -domain example.com -domain '*.example.com' \
//	    -server ns1.example.com -tsig acme.key -out certs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dns:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// Settings say which certificate to get, from where, and how to change the DNS.
type settings struct {
	ca.Settings
	server, tsig string
	follow       bool
	resolvers    []string
	budget       time.Duration
}

func parse(args []string, w io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("dns", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.server, "server", "", "`address` of the DNS server to update")
	flags.StringVar(&s.tsig, "tsig", "", "`file` with the key for that, as tsig-keygen writes it; none: not signed")
	flags.BoolVar(&s.follow, "follow", false, "write where CNAME records at _acme-challenge lead to")
	flags.Func("resolver", "`address` of a resolver to wait for, instead of the servers of the zone; may be repeated", func(v string) error {
		s.resolvers = append(s.resolvers, v)
		return nil
	})
	flags.DurationVar(&s.budget, "wait", 2*time.Minute, "how long to wait for records to be seen")
	if err := s.Parse(flags, args, "shop.example", "*.shop.example"); err != nil {
		return s, err
	}
	switch {
	case s.Directory != "" && s.server == "":
		return s, errors.New("-directory needs the -server to update")
	case s.Directory == "" && s.server != "":
		return s, errors.New("-server needs a -directory: Pebble looks into its own DNS")
	}
	return s, nil
}

func run(ctx context.Context, args []string, w io.Writer) error {
	s, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := s.Connect("acme-dns-example/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	solver, err := newSolver(s, at, w)
	if err != nil {
		return err
	}
	cert, err := obtain(acme.WithTrace(ctx, progress(w)), s, at, solver)
	if err != nil {
		return err
	}
	return report(w, cert, at)
}

// newSolver puts together a provider and a way to wait.
func newSolver(s settings, at *ca.CA, w io.Writer) (*dns01.Solver, error) {
	if at.Pebble != nil {
		return pebbleSolver(at.Pebble, w), nil
	}
	key, err := readKey(s.tsig)
	if err != nil {
		return nil, err
	}
	solver := &dns01.Solver{
		Provider: shown{&rfc2136.Provider{Server: s.server, Key: key}, w},
		TTL:      time.Minute,
		Ready:    (&dnstxt.Propagation{Recursive: s.resolvers, RecursiveOnly: len(s.resolvers) > 0, Budget: s.budget}).Wait,
	}
	if s.follow {
		resolver := &dnstxt.Resolver{Servers: s.resolvers}
		solver.Alias = resolver.Follow
	}
	return solver, nil
}

// obtain finds or makes the account, and gets the certificate.
func obtain(ctx context.Context, s settings, at *ca.CA, solver acme.Solver) (*acme.Certificate, error) {
	files := s.Files
	accountKey, err := files.Key("account-key.pem")
	if err != nil {
		return nil, err
	}
	certKey, err := files.Key("certificate-key.pem")
	if err != nil {
		return nil, err
	}
	account, err := at.Register(ctx, accountKey)
	if err != nil {
		return nil, err
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: s.Identifiers},
		CSR:          acme.NewCSR(certKey),
		Solvers:      []acme.Solver{solver},
	})
	if err != nil {
		return nil, err
	}
	return cert, files.Write("certificate.pem", cert.PEM)
}

// progress shows what goes on.
func progress(w io.Writer) *acme.Trace {
	return &acme.Trace{
		OrderCreated: func(o *acme.Order) { fmt.Fprintln(w, "ordered", o.URL) },
		Presented: func(batch []*acme.Attempt, err error) {
			if err == nil {
				fmt.Fprintf(w, "%d records can be seen\n", len(batch))
			}
		},
		OrderStatus: func(o *acme.Order) { fmt.Fprintf(w, "the order is %s\n", o.Status) },
		CleanedUp: func(_ []*acme.Attempt, err error) {
			if err != nil {
				fmt.Fprintln(w, "records may be left:", err)
			}
		},
	}
}

// report shows the certificate, which Obtain has checked against the request.
func report(w io.Writer, cert *acme.Certificate, at *ca.CA) error {
	chain, err := cert.Chain()
	if err != nil {
		return err
	}
	leaf := chain[0]
	fmt.Fprintf(w, "names   %s\nissuer  %s\nexpires %s\n", strings.Join(leaf.DNSNames, " "), leaf.Issuer, leaf.NotAfter.Format(time.DateOnly))
	if at.Pebble != nil {
		_, err = w.Write(cert.PEM)
	}
	return err
}
