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
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/examples/internal/ca"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
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
	directory, roots    string
	domains             []string
	email               string
	agree               bool
	httpAddr, httpsAddr string
	out                 string
}

func parse(args []string, w io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("webserver", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&s.directory, "directory", "", "`URL` of the CA's directory; none: a Pebble in this process")
	flags.StringVar(&s.roots, "roots", "", "PEM `file` with roots to trust for a CA of one's own; none: the system's")
	flags.Func("domain", "`name` to serve, may be repeated", func(v string) error {
		s.domains = append(s.domains, v)
		return nil
	})
	flags.StringVar(&s.email, "email", "", "`address` at which the CA can reach you")
	flags.BoolVar(&s.agree, "agree", false, "agree to the CA's terms of service")
	flags.StringVar(&s.httpAddr, "http", ":80", "`address` for HTTP; the CA asks port 80 of each name")
	flags.StringVar(&s.httpsAddr, "https", ":443", "`address` for HTTPS; the CA asks port 443 of each name")
	flags.StringVar(&s.out, "out", "", "`folder` for keys, certificate and open order (default \"acme-data\")")
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
	case s.directory == "" && s.out != "":
		return s, errors.New("-out needs -directory: a Pebble in this process forgets its accounts")
	}
	if len(s.domains) == 0 {
		s.domains = []string{"shop.example", "www.shop.example"}
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
	at, err := ca.Connect(s.directory, s.roots, "acme-webserver/1")
	if err != nil {
		return err
	}
	defer at.Close() //nolint:errcheck // on the way out
	fmt.Fprintln(w, at.Greeting)
	if at.Pebble != nil {
		if s.out, err = os.MkdirTemp("", "webserver"); err != nil {
			return err
		}
		defer os.RemoveAll(s.out) //nolint:errcheck // on the way out
	}
	plain, secure, err := listen(ctx, s, at)
	if err != nil {
		return err
	}
	k := &keeper{files: store.Store{Folder: s.out}, ids: acme.DNS(s.domains...), client: at.Client, log: w}
	stop := serve(k, plain, secure)
	defer stop()

	// The servers run before there is a certificate: it takes them to get one.
	key, err := k.files.Key("account-key.pem")
	if err != nil {
		return err
	}
	if k.account, err = at.Register(ctx, key, s.email, s.agree); err != nil {
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
	var config net.ListenConfig
	if at.Pebble != nil {
		plain, err = at.Pebble.ListenHTTP()
	} else {
		plain, err = config.Listen(ctx, "tcp", s.httpAddr)
	}
	if err != nil {
		return nil, nil, err
	}
	if at.Pebble != nil {
		secure, err = at.Pebble.ListenTLS()
	} else {
		secure, err = config.Listen(ctx, "tcp", s.httpsAddr)
	}
	if err != nil {
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
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		http.Redirect(w, r, "https://"+host+r.URL.RequestURI(), http.StatusMovedPermanently)
	})
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s, over %s\n", r.TLS.ServerName, r.Proto)
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
