// Command fleet runs replicas behind a load balancer that sends each request to
// one of them at random, and gets certificates by http-01: whichever replica the
// CA's request comes to answers it.
//
// By default no replica keeps anything: each answers from the thumbprint of the
// account's key. With -shared they answer from a store that they share, here one
// in memory; in production it is a database that all of them reach.
//
// Without other flags it starts Pebble, a CA for tests, in its own process.
//
//	go run ./examples/fleet
//	go run ./examples/fleet -shared -replicas 5 -certificates 20
//
// With flags it gets a certificate for each of some names that lead to the balancer
// from a real CA, and keeps them in a folder, with their keys and the account's.
//
//	go run ./examples/fleet -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -domain a.example.com -domain b.example.com -http :80 -out certs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

type settings struct {
	ca.Settings
	replicas, certificates int
	shared                 bool
	listen                 string
}

func parse(args []string, w io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.IntVar(&s.replicas, "replicas", 3, "`number` of replicas")
	flags.IntVar(&s.certificates, "certificates", 5, "`number` of certificates to get, where no -domain is given")
	flags.BoolVar(&s.shared, "shared", false, "answer from a shared store, not from the account's thumbprint")
	flags.StringVar(&s.listen, "http", ":80", "`address` of the load balancer; the CA asks port 80 of each name")
	if err := s.Parse(flags, args); err != nil {
		return s, err
	}
	if s.replicas < 1 || s.certificates < 1 {
		return s, errors.New("-replicas and -certificates are to be above 0")
	}
	if len(s.Identifiers) == 0 {
		for i := range s.certificates {
			s.Identifiers = append(s.Identifiers, acme.DNS(fmt.Sprintf("shop%d.example", i+1))...)
		}
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
	at, err := s.Connect("acme-fleet/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	key, err := s.Files.Key("account-key.pem")
	if err != nil {
		return err
	}
	account, err := at.Register(ctx, key)
	if err != nil {
		return err
	}
	how := "the account's thumbprint"
	if s.shared {
		how = "a shared store"
	}
	fmt.Fprintf(w, "%d replicas answer from %s\n", s.replicas, how)

	f := newFleet(s.replicas, account.Thumbprint(), s.shared)
	listener, err := at.ListenHTTP(ctx, s.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()      //nolint:errcheck // on the way out
	for i, id := range s.Identifiers {
		from := i % s.replicas // each replica places orders
		if err := obtain(ctx, account, id, f.replicas[from], s.Files); err != nil {
			return err
		}
		fmt.Fprintf(w, "replica %d got a certificate for %s\n", from+1, id)
	}
	for i := range f.answered {
		fmt.Fprintf(w, "replica %d was asked %d times\n", i+1, f.answered[i].Load())
	}
	return nil
}

// obtain gets a certificate, whose key is stored before it is ordered.
func obtain(ctx context.Context, account *acme.Account, id acme.Identifier, solver acme.Solver, files store.Store) error {
	key, err := files.Key(id.Value + "-key.pem")
	if err != nil {
		return err
	}
	cert, err := account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{id}},
		CSR:          acme.NewCSR(key),
		Solvers:      []acme.Solver{solver},
	})
	if err != nil {
		return err
	}
	return files.Write(id.Value+".pem", cert.PEM)
}

// A replica fulfils its own orders, and answers for those of all.
type replica interface {
	acme.Solver
	http.Handler
}

// A fleet is a load balancer and what is behind it.
type fleet struct {
	replicas []replica
	answered []atomic.Int64 // requests, by replica
}

func newFleet(n int, thumbprint string, shared bool) *fleet {
	f := &fleet{answered: make([]atomic.Int64, n)}
	var database memory
	for range n {
		if shared {
			f.replicas = append(f.replicas, &http01.Shared{Store: &database})
		} else {
			f.replicas = append(f.replicas, http01.Stateless{Thumbprint: thumbprint})
		}
	}
	return f
}

// ServeHTTP has one of the replicas answer.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i := mathrand.IntN(len(f.replicas)) //nolint:gosec // a load balancer needs no secrets
	f.answered[i].Add(1)
	f.replicas[i].ServeHTTP(w, r)
}

// A memory stands for a database that the replicas share.
type memory struct {
	mu      sync.Mutex
	answers map[string]map[string]http01.Answer // by token and holder
}

func (m *memory) Put(_ context.Context, a http01.Answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil {
		m.answers = map[string]map[string]http01.Answer{}
	}
	if m.answers[a.Token] == nil {
		m.answers[a.Token] = map[string]http01.Answer{}
	}
	m.answers[a.Token][a.Holder] = a
	return nil
}

func (m *memory) Get(_ context.Context, token string) (acme.KeyAuthorization, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.answers[token] {
		return a.KeyAuthorization, nil // those of all holders are the same
	}
	return "", nil
}

func (m *memory) Delete(_ context.Context, a http01.Answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if delete(m.answers[a.Token], a.Holder); len(m.answers[a.Token]) == 0 {
		delete(m.answers, a.Token)
	}
	return nil
}
