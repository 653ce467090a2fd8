package tlsalpn01_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/fakedns"
)

// A network is who answers at which address and port.
type network map[string]func(net.Conn)

func (n network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	serve, ok := n[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: connection refused by " + address)}
	}
	client, server := net.Pipe()
	context.AfterFunc(ctx, func() { server.Close() })
	go func() {
		defer server.Close()
		serve(server)
	}()
	return client, nil
}

// serveTLS is a server with a configuration.
func serveTLS(config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, config)
		_ = server.Handshake()
		_, _ = server.Read(make([]byte, 1))
	}
}

// challengeCertificate makes a certificate like a solver's, with a difference.
func challengeCertificate(t *testing.T, a *acme.Attempt, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := a.KeyAuthorization.Digest()
	value, err := asn1.Marshal(digest[:])
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject:         pkix.Name{CommonName: "test"},
		DNSNames:        []string{a.Identifier.Value},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}, Critical: true, Value: value}},
	}
	change(template)
	parent := *template
	if template.Issuer.CommonName != "" {
		parent.Subject = template.Issuer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	a := attempt("a.example", token)
	var solver tlsalpn01.Solver
	present(t, &solver, a, attempt("192.0.2.1", token), attempt("2001:db8::1", token))
	good := serveTLS(solver.Wrap(nil))
	odd := func(change func(*x509.Certificate)) func(net.Conn) {
		return serveTLS(&tls.Config{NextProtos: []string{"acme-tls/1"}, Certificates: []tls.Certificate{challengeCertificate(t, a, change)}})
	}
	plain := func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	}
	other := new(tlsalpn01.Solver)
	present(t, other, attempt("a.example", "other"))
	own := newCertificate(t, "own.example")
	const v4, v6 = "192.0.2.1:443", "[2001:db8::1]:443"
	for _, tt := range []struct {
		name    string
		id      string
		network network
		says    []string
	}{
		{"all is well", "a.example", network{v4: good, v6: good}, nil},
		{"one address", "only4.example", network{v4: odd(func(c *x509.Certificate) { c.DNSNames = []string{"only4.example"} })}, nil},
		{"an IPv4 address", "192.0.2.1", network{v4: good}, nil},
		{"an IPv6 address", "2001:db8::1", network{v6: good}, nil},
		{"IPv6 leads elsewhere", "a.example", network{v4: good}, []string{"at 2001:db8::1: ", "connection refused"}},
		{"nobody is there", "a.example", network{}, []string{"at 192.0.2.1: ", "at 2001:db8::1: ", "connection refused"}},
		{"no such name", "b.example", network{}, []string{"looking up its addresses", "no such host"}},
		{"not a name", "a b", network{}, []string{"not a name in ASCII"}},
		{"not TLS", "a.example", network{v4: plain, v6: good},
			[]string{"at 192.0.2.1: the TLS handshake: ", "does not look like a TLS handshake"}},
		{"it hangs up", "a.example", network{v4: func(net.Conn) {}, v6: good}, []string{"at 192.0.2.1: the TLS handshake: "}},
		{"a server without protocols", "a.example", network{v4: serveTLS(&tls.Config{Certificates: []tls.Certificate{own}}), v6: good},
			[]string{`at 192.0.2.1: the TLS handshake: found the protocol "", expected "acme-tls/1"`, "is it this program"}},
		{"a server with other protocols", "a.example", network{v4: serveTLS(&tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}}), v6: good},
			[]string{"at 192.0.2.1: the TLS handshake: ", "no application protocol", "is it this program"}},
		{"this program without the order", "a.example", network{v4: serveTLS(new(tlsalpn01.Solver).Wrap(nil)), v6: good}, []string{"or no order for a.example"}},
		{"an order for the same name", "a.example", network{v4: serveTLS(other.Wrap(nil)), v6: good},
			[]string{"at 192.0.2.1: found another digest in acmeIdentifier: 0420", "expected 0420653471d42925"}},
		{"another certificate", "a.example", network{v4: serveTLS(&tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"acme-tls/1"}}), v6: good},
			[]string{`found a certificate for "own.example" without the extension acmeIdentifier`}},
		{"one name too many", "a.example", network{v4: odd(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "b.example") }), v6: good},
			[]string{`found a certificate for "a.example, b.example", expected one for "a.example" alone`}},
		{"an address too many", "a.example", network{v4: odd(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)} }), v6: good},
			[]string{`found a certificate for "a.example, 192.0.2.1", expected`}},
		{"a URI too many", "a.example", network{v4: odd(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "a"}} }), v6: good}, []string{`expected one for "a.example" alone`}},
		{"another name", "a.example", network{v4: odd(func(c *x509.Certificate) { c.DNSNames = []string{"\x1b[31mb.example"} }), v6: good},
			[]string{`found a certificate for "\x1b[31mb.example", expected one for "a.example" alone`}},
		{"a mail address", "a.example", network{v4: odd(func(c *x509.Certificate) { c.DNSNames, c.EmailAddresses = nil, []string{"a.example"} }), v6: good},
			[]string{`found a certificate for "email:a.example", expected one for "a.example" alone`}},
		{"an address as a name", "192.0.2.1", network{v4: odd(func(c *x509.Certificate) { c.DNSNames = []string{"192.0.2.1"} })},
			[]string{`found a certificate for "DNS:192.0.2.1", expected one for "192.0.2.1" alone`}},
		{"upper case", "a.example", network{v4: odd(func(c *x509.Certificate) { c.DNSNames = []string{"A.Example"} }), v6: good}, nil},
		{"not critical", "a.example", network{v4: odd(func(c *x509.Certificate) { c.ExtraExtensions[0].Critical = false }), v6: good}, []string{"not critical"}},
		{"not self-signed", "a.example", network{v4: odd(func(c *x509.Certificate) { c.Issuer.CommonName = "somebody else" }), v6: good}, []string{"not self-signed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			both := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
			checker := tlsalpn01.Checker{
				Resolver:    fakedns.Resolver(map[string][]netip.Addr{"a.example": both, "only4.example": both[:1]}),
				DialContext: tt.network.dial,
			}
			err := checker.Check(t.Context(), attempt(tt.id, token))
			if (err == nil) != (tt.says == nil) {
				t.Errorf("got %v", err)
			}
			text := fmt.Sprint(err)
			for _, want := range tt.says {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
			if strings.Contains(text, token) || len(text) > 1200 {
				t.Errorf("the error has the token, or is too long: %q", text)
			}
		})
	}
}

// With nothing set, it looks at the real port.
func TestCheckOfThisMachine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tlsalpn01.Check(ctx, attempt("127.0.0.1", token)); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at 127.0.0.1: dial tcp 127.0.0.1:443: ") {
		t.Errorf("got %v", err)
	}
}
