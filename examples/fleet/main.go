// Command fleet runs replicas behind a load balancer that sends each request to
// one of them at random, and gets certificates by http-01: whichever replica the
// CA's request comes to answers it.
//
// By default no replica keeps anything: each answers from the thumbprint of the
// account's key. With -shared they answer from a store that they share, here one
// in memory; in production it is a database that all of them reach.
//
//	go run ./examples/fleet
//	go run ./examples/fleet -shared -replicas 5 -certificates 20
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

func run(ctx context.Context, args []string, w io.Writer) error {
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(w)
	replicas := flags.Int("replicas", 3, "`number` of replicas")
	certificates := flags.Int("certificates", 5, "`number` of certificates to get")
	shared := flags.Bool("shared", false, "answer from a shared store, not from the account's thumbprint")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0 || *replicas < 1 || *certificates < 1:
		return errors.New("no arguments, please, and numbers above 0")
	}
	at, err := ca.Connect("", "", "acme-fleet/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	account, err := at.Register(ctx, key, "", true)
	if err != nil {
		return err
	}
	how := "the account's thumbprint"
	if *shared {
		how = "a shared store"
	}
	fmt.Fprintf(w, "%d replicas answer from %s\n", *replicas, how)

	f := newFleet(*replicas, account.Thumbprint(), *shared)
	listener, err := at.Pebble.ListenHTTP()
	if err != nil {
		return err
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener) //nolint:errcheck // ends with Close
	defer server.Close()      //nolint:errcheck // on the way out
	for i := range *certificates {
		from := i % *replicas // each replica places orders
		name := fmt.Sprintf("shop%d.example", i+1)
		if err := obtain(ctx, account, name, f.replicas[from]); err != nil {
			return err
		}
		fmt.Fprintf(w, "replica %d got a certificate for %s\n", from+1, name)
	}
	for i := range f.answered {
		fmt.Fprintf(w, "replica %d was asked %d times\n", i+1, f.answered[i].Load())
	}
	return nil
}

func obtain(ctx context.Context, account *acme.Account, name string, solver acme.Solver) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	_, err = account.Obtain(ctx, acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(name)},
		CSR:          acme.NewCSR(key),
		Solvers:      []acme.Solver{solver},
	})
	return err
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
	answers sync.Map // of http01.Answer by [2]string, token and holder
}

func (m *memory) Put(_ context.Context, a http01.Answer) error {
	m.answers.Store([2]string{a.Token, a.Holder}, a)
	return nil
}

func (m *memory) Get(_ context.Context, token string) (found acme.KeyAuthorization, err error) {
	m.answers.Range(func(_, value any) bool {
		if a := value.(http01.Answer); a.Token == token {
			found = a.KeyAuthorization
		}
		return found == ""
	})
	return found, nil
}

func (m *memory) Delete(_ context.Context, a http01.Answer) error {
	m.answers.Delete([2]string{a.Token, a.Holder})
	return nil
}
