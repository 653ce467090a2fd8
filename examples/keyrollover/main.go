// Command keyrollover gives an account another key, as one does from time to time,
// or when somebody leaves who had access to the old one. The account stays, with
// its orders and authorizations. A run that is killed at any moment loses nothing:
// the next one finds out which key the account has.
//
// Without flags it does so at Pebble, a CA for tests, in its own process.
//
//	go run ./examples/keyrollover
//
// With flags it changes the key in the folder of the other examples, at a real CA.
//
//	go run ./examples/keyrollover -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -out certs
package main

import (
	"context"
	"crypto"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

const (
	keyFile  = "account-key.pem"
	nextFile = "next-account-key.pem" // while a change is under way
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "keyrollover:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, args []string, w io.Writer) error {
	var s ca.Settings
	flags := flag.NewFlagSet("keyrollover", flag.ContinueOnError)
	flags.SetOutput(w)
	if err := s.ParseAccount(flags, args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	at, err := s.Connect("acme-keyrollover/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	account, key, err := current(ctx, at, s.Files, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "account %s has the key with the thumbprint %s\n", account.URL(), account.Thumbprint())

	// The new key is stored before the CA hears of it, and the old one until it
	// has forgotten that.
	next, err := s.Files.Key(nextFile)
	if err != nil {
		return err
	}
	changed, err := account.ChangeKey(ctx, next)
	if err != nil {
		return err
	}
	if err := takeOver(s.Files); err != nil {
		return err
	}
	fmt.Fprintf(w, "account %s has the key with the thumbprint %s\n", changed.URL(), changed.Thumbprint())
	if _, err := at.Client.FindAccount(ctx, key); !errors.Is(err, acme.ErrAccountDoesNotExist) {
		return fmt.Errorf("the CA still knows the old key: %w", err)
	}
	fmt.Fprintln(w, "the old key has no account any more")
	return nil
}

// current returns the account, with the key that it has. If a change was under way
// when a run was killed, it is asked for with the new key first: with the old one,
// Register would make another account.
func current(ctx context.Context, at *ca.CA, files store.Store, w io.Writer) (*acme.Account, crypto.Signer, error) {
	next, err := files.Read(nextFile)
	if err != nil {
		return nil, nil, err
	}
	if next != "" {
		key, err := files.Key(nextFile)
		if err != nil {
			return nil, nil, err
		}
		account, err := at.Client.FindAccount(ctx, key)
		if err == nil {
			fmt.Fprintln(w, "an earlier run had changed the key")
			return account, key, takeOver(files)
		}
		if !errors.Is(err, acme.ErrAccountDoesNotExist) {
			return nil, nil, err
		}
	}
	key, err := files.Key(keyFile)
	if err != nil {
		return nil, nil, err
	}
	account, err := at.Register(ctx, key)
	return account, key, err
}

// takeOver makes the new key the account's. It may be done twice.
func takeOver(files store.Store) error {
	next, err := files.Read(nextFile)
	if err != nil || next == "" { // done before
		return err
	}
	if err := files.Write(keyFile, []byte(next+"\n")); err != nil {
		return err
	}
	return files.Remove(nextFile)
}
