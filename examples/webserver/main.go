// Command webserver is an HTTPS server that gets its own certificate, by
// tls-alpn-01 and http-01, and renews it without a restart.
//
// Without flags it gets the certificate from Pebble, a CA for tests, in its own
// process, makes a request to itself, renews, makes another request, and ends.
//
//	go run ./examples/webserver
//
// With flags it serves, for names that point to this machine, with a certificate
// of a real CA. What it must not lose is in a folder: a process that is killed at
// any moment goes on when it is started again.
//
//	go run ./examples/webserver -directory https://acme-staging-v02.api.letsencrypt.org/directory \
//	    -agree -email admin@example.com -domain example.com -domain www.example.com -out certs
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "webserver:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

type settings struct {
	ca.Settings
	httpAddr, httpsAddr string
}

func parse(args []string, w io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("webserver", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.httpAddr, "http", ":80", "`address` for HTTP; the CA asks port 80 of each name")
	flags.StringVar(&s.httpsAddr, "https", ":443", "`address` for HTTPS; the CA asks port 443 of each name")
	err = s.Parse(flags, args, "shop.example", "www.shop.example")
	return s, err
}

func run(ctx context.Context, args []string, w io.Writer) error {
	s, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := s.Connect("acme-webserver/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	if at.Pebble != nil {
		if s.Files.Folder, err = os.MkdirTemp("", "webserver"); err != nil {
			return err
		}
		defer os.RemoveAll(s.Files.Folder) //nolint:errcheck // on the way out
	}
	plain, secure, err := listen(ctx, s, at)
	if err != nil {
		return err
	}
	k := &keeper{files: s.Files, ids: s.Identifiers, client: at.Client, log: w}
	stop := serve(k, plain, secure)
	defer stop()

	// The servers run before there is a certificate: it takes them to get one.
	key, err := k.files.Key("account-key.pem")
	if err != nil {
		return err
	}
	if k.account, err = at.Register(ctx, key); err != nil {
		return err
	}
	if err := k.start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "serving https at %s\n", secure.Addr())
	if at.Pebble != nil {
		return demonstrate(ctx, k, at, secure.Addr().String())
	}
	return k.renewUntil(ctx)
}

// listen opens the ports that the CA asks.
func listen(ctx context.Context, s settings, at *ca.CA) (plain, secure net.Listener, err error) {
	if plain, err = at.ListenHTTP(ctx, s.httpAddr); err != nil {
		return nil, nil, err
	}
	if secure, err = at.ListenTLS(ctx, s.httpsAddr); err != nil {
		return nil, nil, errors.Join(err, plain.Close())
	}
	return plain, secure, nil
}

// serve answers on both ports until it is stopped: challenges on either, pages
// over TLS, and all else with a redirect to them.
func serve(k *keeper, plain, secure net.Listener) (stop func()) {
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, &k.http01)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://"+hostname(r)+r.URL.RequestURI(), http.StatusMovedPermanently)
	})
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s, over %s\n", hostname(r), r.Proto)
	})
	a := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	b := &http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second, TLSConfig: k.config()}
	go a.Serve(plain)             //nolint:errcheck // ends with Close
	go b.ServeTLS(secure, "", "") //nolint:errcheck // ends with Close
	return func() {
		a.Close() //nolint:errcheck,gosec // on the way out
		b.Close() //nolint:errcheck,gosec // on the way out
	}
}

// hostname is what a request is for, without a port. Addresses of IPv6 are in
// brackets there.
func hostname(r *http.Request) string {
	u := url.URL{Host: r.Host}
	return strings.TrimSuffix(r.Host, ":"+u.Port())
}
