package tlsalpn01_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// newCertificate makes a certificate as a program has one.
func newCertificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A configuration that a program has does what it did for everybody but the CA,
// and is not changed.
func TestWrapKeepsTheConfiguration(t *testing.T) {
	t.Parallel()
	own, other := newCertificate(t, "own.example"), newCertificate(t, "other.example")
	byName := func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "other.example" {
			return &other, nil
		}
		return &own, nil
	}
	odd := errors.New("not today")
	configs := map[string]*tls.Config{
		"certificates":   {Certificates: []tls.Certificate{own}},
		"h2":             {Certificates: []tls.Certificate{own}, NextProtos: []string{"h2", "http/1.1"}},
		"own protocols":  {Certificates: []tls.Certificate{own}, NextProtos: []string{"mqtt", "acme/9"}},
		"GetCertificate": {GetCertificate: byName, NextProtos: []string{"h2"}},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{GetCertificate: byName, NextProtos: []string{"inner"}}, nil
		}},
		"GetConfigForClient, nil": {Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }},
		"GetConfigForClient, err": {Certificates: []tls.Certificate{own}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, odd }},
		"TLS 1.3":                 {Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13},
		"client certificates":     {Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert},
		"another for acme-tls/1":  {Certificates: []tls.Certificate{other}, NextProtos: []string{"h2", "acme-tls/1"}},
	}
	var clients []*tls.Config
	for _, protos := range [][]string{nil, {"h2", "http/1.1"}, {"http/1.1"}, {"mqtt"}, {"inner"}, {"nothing that anybody offers"}, {"acme-tls/1", "h2"}} {
		for _, name := range []string{"own.example", "other.example", "pending.example"} {
			clients = append(clients, &tls.Config{NextProtos: protos, ServerName: name})
		}
	}
	clients = append(clients, &tls.Config{ServerName: "own.example", MaxVersion: tls.VersionTLS12})
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var solver tlsalpn01.Solver
			present(t, &solver, attempt("pending.example", token))
			protos, hadCallback := slices.Clone(config.NextProtos), config.GetConfigForClient != nil
			bare, wrapped := config.Clone(), solver.Wrap(config)
			for _, client := range clients {
				want, wantErr := handshake(t.Context(), bare, client)
				got, err := handshake(t.Context(), wrapped, client)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.NegotiatedProtocol != want.NegotiatedProtocol || got.Version != want.Version || !sameCertificate(got, want) {
					t.Errorf("%q for %q: protocol %q and %v, was %q and %v", client.NextProtos, client.ServerName, got.NegotiatedProtocol, err, want.NegotiatedProtocol, wantErr)
				}
			}
			if _, err := handshake(t.Context(), wrapped, hello("pending.example")); err != nil {
				t.Errorf("the validation: %v", err)
			}
			if !slices.Equal(config.NextProtos, protos) || (config.GetConfigForClient != nil) != hadCallback {
				t.Error("the configuration was changed")
			}
			// Without a challenge it is refused, unless the program has an answer of its own.
			state, err := handshake(t.Context(), wrapped, hello("own.example"))
			if own := slices.Contains(protos, "acme-tls/1"); own != (err == nil) || !own && name != "GetConfigForClient, err" && !refused(err) {
				t.Errorf("a validation without a challenge: protocol %q, %v", state.NegotiatedProtocol, err)
			}
		})
	}
}

func sameCertificate(a, b tls.ConnectionState) bool {
	if len(a.PeerCertificates) == 0 || len(b.PeerCertificates) == 0 {
		return len(a.PeerCertificates) == len(b.PeerCertificates)
	}
	return bytes.Equal(a.PeerCertificates[0].Raw, b.PeerCertificates[0].Raw)
}

// Solvers can be wrapped one around the other.
func TestWrapTwice(t *testing.T) {
	t.Parallel()
	var inner, outer tlsalpn01.Solver
	own := newCertificate(t, "own.example")
	config := outer.Wrap(inner.Wrap(&tls.Config{Certificates: []tls.Certificate{own}}))
	a, b := attempt("a.example", token), attempt("b.example", token)
	present(t, &inner, a)
	present(t, &outer, b)
	dial := func(client *tls.Config) (tls.ConnectionState, error) { return handshake(t.Context(), config, client) }
	for _, a := range []*acme.Attempt{a, b} {
		if err := validate(t.Context(), a, dial); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if _, err := dial(hello("own.example")); !refused(err) {
		t.Errorf("without a challenge: %v", err)
	}
	if state, err := dial(&tls.Config{ServerName: "own.example"}); err != nil || state.PeerCertificates[0].DNSNames[0] != "own.example" {
		t.Errorf("without a protocol: %v", err)
	}
}

// A GetCertificate of the program's own, which asks the solver first.
func TestGetCertificate(t *testing.T) {
	t.Parallel()
	var solver tlsalpn01.Solver
	own := newCertificate(t, "own.example")
	config := &tls.Config{
		NextProtos: []string{"h2", tlsalpn01.Proto},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert, err := solver.GetCertificate(h); cert != nil || err != nil {
				return cert, err
			}
			return &own, nil
		},
	}
	a := attempt("a.example", token)
	present(t, &solver, a)
	dial := func(client *tls.Config) (tls.ConnectionState, error) { return handshake(t.Context(), config, client) }
	if err := validate(t.Context(), a, dial); err != nil {
		t.Error(err)
	}
	if state, err := dial(&tls.Config{ServerName: "a.example", NextProtos: []string{"h2"}}); err != nil || state.PeerCertificates[0].DNSNames[0] != "own.example" {
		t.Errorf("h2: %v", err)
	}
}

// An HTTP server goes on to speak HTTP/2 and HTTP/1.1, and closes the connections
// of validations at once, without a word.
func TestHTTPServer(t *testing.T) {
	conformance.Claim(t, "8737-4-01")
	t.Parallel()
	var solver tlsalpn01.Solver
	a := attempt("a.example", token)
	present(t, &solver, a)
	own := newCertificate(t, "own.example")
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }),
		TLSConfig: solver.Wrap(&tls.Config{Certificates: []tls.Certificate{own}}),
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.ServeTLS(l, "", "") }()
	defer server.Close()
	closesAtOnce(t, l.Addr().String(), a)
	for _, http2 := range []bool{true, false} {
		transport := &http.Transport{ForceAttemptHTTP2: http2, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "own.example"}}
		resp, err := (&http.Client{Transport: transport}).Get("https://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[http2]; string(body) != want || err != nil {
			t.Errorf("%s, want %s: %v", body, want, err)
		}
	}
}

// closesAtOnce validates over TCP, and waits for the end of the connection.
func closesAtOnce(t *testing.T, addr string, a *acme.Attempt) {
	t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		err := validate(t.Context(), a, func(client *tls.Config) (tls.ConnectionState, error) {
			client.MaxVersion, client.InsecureSkipVerify = version, true
			conn, err := (&tls.Dialer{Config: client}).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				return tls.ConnectionState{}, err
			}
			defer conn.Close()
			if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("TLS version %x: the server sent %d octets, and then %v", version, n, err)
			}
			return conn.(*tls.Conn).ConnectionState(), nil
		})
		if err != nil {
			t.Errorf("TLS version %x: %v", version, err)
		}
	}
}
