package acmetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A network is the TCP side of a server. It does not exist until it is asked for.
type network struct {
	mu          sync.Mutex
	root        *x509.Certificate // of the TLS certificates; not one of those that issued certificates chain to
	http        *http.Server
	h2, h1      *http.Transport
	served      sync.WaitGroup
	connections atomic.Int64
}

// Client returns a client that reaches the server over TCP and TLS on the loopback interface. The listener is started at the
// first call. The client dials it whatever the host of a URL, trusts it, and prefers HTTP/2. All clients of a server share
// their connections.
func (s *Server) Client() *http.Client {
	s.start()
	return &http.Client{Transport: s.net.h2}
}

// ClientHTTP1 is [Server.Client] with HTTP/1.1 only, keeping many idle connections.
func (s *Server) ClientHTTP1() *http.Client {
	s.start()
	return &http.Client{Transport: s.net.h1}
}

// Connections returns how many TCP connections were accepted so far.
func (s *Server) Connections() int { return int(s.net.connections.Load()) }

// start opens the listener, once.
func (s *Server) start() {
	n := &s.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.http != nil {
		return
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0") //nolint:forbidigo // lives until Close
	if err != nil {
		panic("acmetest: cannot listen: " + err.Error())
	}
	certs := newTLSCertificates()
	n.root = certs.root
	n.http = &http.Server{
		Handler:           s,
		TLSConfig:         &tls.Config{GetCertificate: certs.get},
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are what tests are made of
		ReadHeaderTimeout: time.Minute,
	}
	counted := countingListener{listener, &n.connections}
	n.served.Go(func() { _ = n.http.ServeTLS(counted, "", "") }) // always http.ErrServerClosed
	n.h2 = n.transport(listener.Addr().String(), true)
	n.h1 = n.transport(listener.Addr().String(), false)
}

// transport dials addr whatever is asked for.
func (n *network) transport(addr string, http2 bool) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(n.root)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(http2)
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		Protocols:           protocols,
		MaxIdleConnsPerHost: 1024,
	}
}

// close undoes start, and waits for the goroutine.
func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.http == nil {
		return
	}
	n.h2.CloseIdleConnections()
	n.h1.CloseIdleConnections()
	_ = n.http.Close()
	n.served.Wait()
}

// A countingListener counts what it accepts.
type countingListener struct {
	net.Listener
	accepted *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return conn, err
}

// tlsCertificates makes a TLS certificate for whatever name a client wants to talk to.
type tlsCertificates struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey // of the root and of all certificates

	mu     sync.Mutex
	byName map[string]*tls.Certificate
}

func newTLSCertificates() *tlsCertificates {
	key := newKey()
	root := caTemplate("acmetest TLS", key.Public())
	return &tlsCertificates{
		root:   sign(root, root, key.Public(), key),
		key:    key,
		byName: map[string]*tls.Certificate{},
	}
}

// get implements tls.Config.GetCertificate. Clients that connect to an IP address send no name.
func (t *tlsCertificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name := hello.ServerName
	if cert := t.byName[name]; cert != nil {
		return cert, nil
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(),
		Subject:      pkix.Name{Organization: []string{"acmetest"}},
		NotBefore:    t.root.NotBefore,
		NotAfter:     t.root.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	if name == "" {
		template.DNSNames = []string{"localhost"}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, t.root, t.key.Public(), t.key)
	if err != nil {
		return nil, err
	}
	t.byName[name] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: t.key}
	return t.byName[name], nil
}
