package http01_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/internal/fakedns"
)

// A network is who answers at which address and port.
type network map[string]http.Handler

func (n network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	handler, ok := n[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused by " + address)}
	}
	client, server := net.Pipe()
	var conn net.Conn = server
	if strings.HasSuffix(address, ":443") {
		conn = tls.Server(server, serverTLS())
	}
	go (&http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}).Serve(&once{conn: conn}) //nolint:gosec // in the process
	context.AfterFunc(ctx, func() { server.Close() })
	return client, nil
}

// serverTLS is a configuration with a certificate that nobody trusts.
var serverTLS = sync.OnceValue(func() *tls.Config {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return &tls.Config{Certificates: server.TLS.Certificates}
})

// once is a listener with one connection.
type once struct {
	conn net.Conn
	mu   sync.Mutex
}

func (o *once) Accept() (net.Conn, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.conn == nil {
		return nil, net.ErrClosed
	}
	conn := o.conn
	o.conn = nil
	return conn, nil
}

func (o *once) Close() error   { return nil }
func (o *once) Addr() net.Addr { return &net.TCPAddr{} }

// says is a handler with one answer.
func says(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// redirects is a handler that sends everybody somewhere.
func redirects(status int, to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.ReplaceAll(to, "PATH", r.URL.Path), status)
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	var solver http01.Solver
	present(t, &solver, token)
	good := http.Handler(&solver)
	onlyHost := func(host string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host != host {
				http.Error(w, "unknown host "+r.Host, http.StatusMisdirectedRequest)
				return
			}
			good.ServeHTTP(w, r)
		})
	}
	const v4, v6, https4, other = "192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.1:443", "192.0.2.9:80"
	for _, tt := range []struct {
		name    string
		id      string
		network network
		says    []string
	}{
		{"all is well", "a.example", network{v4: onlyHost("a.example"), v6: onlyHost("a.example")}, nil},
		{"an IPv4 address", "192.0.2.1", network{v4: onlyHost("192.0.2.1")}, nil},
		{"an IPv6 address", "2001:db8::1", network{v6: onlyHost("[2001:db8::1]")}, nil},
		{"white space at the end", "four.example", network{v4: says(200, token+"."+thumbprint+" \r\n\t\n")}, nil},
		{"a redirect to https", "four.example", network{v4: redirects(301, "https://four.examplePATH"), https4: redirects(302, "http://other.examplePATH?a=b"), other: good}, nil},
		{"307 and 308", "four.example", network{v4: redirects(307, "http://b.example:80PATH"), "192.0.2.2:80": redirects(308, "http://other.examplePATH"), other: good}, nil},
		{"ten redirects", "four.example", network{v4: chain(10, good)}, nil},
		{"eleven redirects", "four.example", network{v4: chain(11, good)}, []string{"redirected more than 10 times", "http://four.example/.well-known/acme-challenge/TOKEN"}},
		{"a circle", "four.example", network{v4: redirects(302, "http://four.examplePATH")}, []string{"redirected more than 10 times"}},
		{"303", "four.example", network{v4: redirects(303, "http://other.examplePATH"), other: good}, []string{"with status 303"}},
		{"another port", "four.example", network{v4: redirects(302, "http://other.example:8080PATH")}, []string{`redirected to "http://other.example:8080/`, "the ports 80 and 443 only"}},
		{"another scheme", "four.example", network{v4: redirects(302, "ftp://u:secret@other.examplePATH")}, []string{`redirected to "ftp://u:xxxxx@other.example/`, "http and https only"}},
		{"a redirect to nowhere", "four.example", network{v4: redirects(302, "http://none.examplePATH")}, []string{"looking up its addresses", "no such host"}},
		{"a redirect to nobody", "four.example", network{v4: redirects(302, "https://four.examplePATH")}, []string{"connection refused by 192.0.2.1:443"}},
		{"IPv6 leads elsewhere", "a.example", network{v4: good, v6: says(200, "<html>\nparked")},
			[]string{"at 2001:db8::1: the answer of http://a.example/.well-known/acme-challenge/TOKEN: found status 200 with \"<html>\\nparked\", expected status 200 with the key authorization"}},
		{"nobody is there", "a.example", network{}, []string{"at 192.0.2.1: asking for http://a.example/", "at 2001:db8::1: asking for", "connection refused"}},
		{"no such name", "none.example", network{}, []string{"looking up its addresses", "no such host"}},
		{"no name at all", "a b", network{}, []string{"looking up its addresses"}},
		{"not found", "four.example", network{v4: http.NotFoundHandler()}, []string{`found status 404 with "404 page not found\n", expected status 200`}},
		{"another program", "four.example", network{v4: new(http01.Solver)}, []string{"found status 404"}},
		{"nothing", "four.example", network{v4: says(200, "")}, []string{"found status 200 with nothing, expected"}},
		{"right, but 500", "four.example", network{v4: says(500, token+"."+thumbprint)}, []string{"found status 500 with \"TOKEN." + thumbprint[:10]}},
		{"another account's key", "four.example", network{v4: http01.Stateless{Thumbprint: "other-thumbprint"}},
			[]string{`found the key authorization of another account, whose key has the thumbprint "other-thumbprint", expected "` + thumbprint + `"`}},
		{"more than the key authorization", "four.example", network{v4: says(200, token+"."+thumbprint+"<!-- -->")}, []string{"found status 200 with \"TOKEN."}},
		{"in front of it", "four.example", network{v4: says(200, " "+token+"."+thumbprint)}, []string{"found status 200 with \" TOKEN."}},
		{"a great deal", "four.example", network{v4: says(200, strings.Repeat("\x1b[31m"+token, 1<<20))}, []string{`found status 200 with "\x1b[31mTOKEN`}},
		{"a cut token", "four.example", network{v4: says(200, strings.Repeat(" ", 60)+token)}, []string{"found status 200"}},
		{"it hangs up", "four.example", network{v4: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })}, []string{"asking for http://four.example/", "EOF"}},
		{"it hangs up half way", "four.example", network{v4: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, token)
		})}, []string{"reading the answer of http://four.example/", "EOF"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			both := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
			checker := http01.Checker{
				Resolver: fakedns.Resolver(map[string][]netip.Addr{
					"a.example": both, "four.example": both[:1], "b.example": {netip.MustParseAddr("192.0.2.2")},
					"other.example": {netip.MustParseAddr("192.0.2.8"), netip.MustParseAddr("192.0.2.9")}, // the first is not there
				}),
				DialContext: tt.network.dial,
			}
			id := acme.Identifier{Type: acme.TypeDNS, Value: tt.id}
			if _, err := netip.ParseAddr(tt.id); err == nil {
				id.Type = acme.TypeIP
			}
			err := checker.Check(t.Context(), challengetest.NewAttempt(acme.HTTP01, id, token))
			if (err == nil) != (tt.says == nil) {
				t.Errorf("got %v", err)
			}
			text := fmt.Sprint(err)
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
			if strings.Contains(text, token[:10]) || len(text) > 1200 || strings.Contains(text, "\x1b") || strings.Contains(text, "secret") {
				t.Errorf("the error has the token or a secret, or is too long: %q", text)
			}
		})
	}
}

// chain is a handler that redirects a number of times before it lets the last one
// answer.
func chain(n int, last http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hop := len(r.URL.RawQuery); hop < n {
			http.Redirect(w, r, "http://four.example"+r.URL.Path+"?"+strings.Repeat("x", hop+1), http.StatusFound)
			return
		}
		last.ServeHTTP(w, r)
	})
}

// A server that sends its answer drop by drop is given up.
func TestCheckIsPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var solver http01.Solver
		present(t, &solver, token)
		slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				<-time.After(time.Second)
			}
		})
		checker := http01.Checker{DialContext: network{"192.0.2.1:80": slow}.dial}
		began := time.Now()
		a := challengetest.NewAttempt(acme.HTTP01, acme.IP(netip.MustParseAddr("192.0.2.1"))[0], token)
		err := checker.Check(t.Context(), a)
		if took := time.Since(began); took != 10*time.Second || !strings.Contains(fmt.Sprint(err), "at 192.0.2.1: no answer within 10s") {
			t.Errorf("after %v: %v", took, err)
		}
		<-time.After(time.Minute) // until the server has noticed
	})
}

// With nothing set, it looks at the real port; an attempt that cannot pass is not
// looked for.
func TestCheckOfThisMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := challengetest.NewAttempt(acme.HTTP01, acme.IP(netip.MustParseAddr("127.0.0.1"))[0], token)
	if err := http01.Check(ctx, a); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at 127.0.0.1: asking for http://127.0.0.1/") {
		t.Errorf("got %v", err)
	}
	if err := http01.Check(ctx, attempt("../up")); !strings.Contains(fmt.Sprint(err), "not base64url") {
		t.Errorf("got %v", err)
	}
}
