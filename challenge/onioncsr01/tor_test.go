package onioncsr01_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A proxy stands for Tor: a SOCKS server (RFC 1928) that knows one name.
type proxy struct {
	*testing.T
	target string // where the name leads to

	mu    sync.Mutex
	names []string // that it was asked for
	err   error
}

// serve serves connections until the listener is closed.
func (p *proxy) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			err := p.connect(conn)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.err = errors.Join(p.err, err)
		}()
	}
}

// connect does what one client asks for. It takes names only, no addresses.
func (p *proxy) connect(conn net.Conn) error {
	head := make([]byte, 2)
	if _, err := io.ReadFull(conn, head); err != nil || head[0] != 5 {
		return fmt.Errorf("greeting %v, %w", head, err)
	}
	if _, err := io.CopyN(io.Discard, conn, int64(head[1])); err != nil {
		return err
	}
	if _, err := conn.Write([]byte{5, 0}); err != nil {
		return err
	}
	request := make([]byte, 5)
	if _, err := io.ReadFull(conn, request); err != nil || request[1] != 1 || request[3] != 3 {
		return fmt.Errorf("request %v, which is not CONNECT to a name: %w", request, err)
	}
	address := make([]byte, int(request[4])+2)
	if _, err := io.ReadFull(conn, address); err != nil {
		return err
	}
	p.mu.Lock()
	p.names = append(p.names, string(address[:len(address)-2]))
	p.mu.Unlock()
	there, err := (&net.Dialer{Timeout: time.Minute}).DialContext(p.Context(), "tcp", p.target)
	if err != nil {
		return err
	}
	defer there.Close()
	if _, err := conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(there, conn)
		_ = there.Close()
	}()
	_, _ = io.Copy(conn, there)
	return nil
}

// selfSigned makes a certificate for a name.
func selfSigned(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key := testkit.Key(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// An ACME server that is a hidden service itself: nothing but the proxy learns its
// name, and nothing goes past the proxy.
func TestOverTor(t *testing.T) {
	conformance.Claim(t, "9799-5-01", "9799-8.9-01")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	const host = "bbcweb3hytmzhn5d532owbu6oqadra5z3ar726vq5kgwwn6aucdccrad.onion"
	server := httptest.NewUnstartedServer(f.ca)
	cert, roots := selfSigned(t, host)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	tor := &proxy{T: t, target: server.Listener.Addr().String()}
	go tor.serve(listener)

	transport := &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "socks5h", Host: listener.Addr().String()}),
		TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	defer transport.CloseIdleConnections()
	directory, _ := url.Parse(f.ca.DirectoryURL())
	f.client = &acme.Client{DirectoryURL: "https://" + host + directory.Path, HTTPClient: &http.Client{Transport: transport}}
	f.account = f.register()
	if _, err := f.account.Obtain(t.Context(), f.request("www."+f.name)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(f.account.URL(), "https://"+host+"/") {
		t.Errorf("the account is %s", f.account.URL())
	}
	tor.mu.Lock()
	defer tor.mu.Unlock()
	for _, name := range tor.names {
		if name != host {
			t.Errorf("asked for %s", name)
		}
	}
	if len(tor.names) == 0 || tor.err != nil {
		t.Errorf("the proxy was asked for %q: %v", tor.names, tor.err)
	}
}
