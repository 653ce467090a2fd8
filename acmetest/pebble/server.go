package pebble

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// A Server is a running Pebble, with a DNS server beside it. Its methods are
// safe for concurrent use.
type Server struct {
	front      *front
	names      *names
	dnsAddr    string
	acme       string // the ACME server's URL, without a path
	management string
	client     *http.Client
	roots      []*x509.Certificate

	http, tls *port

	connections atomic.Int64
	open        sync.Map // net.Conn, those that the crew counts

	crew    *crew
	stops   []func() error
	closing func() error
}

// Start starts a server. Close it when it is no longer needed.
//
// Starts may run side by side, with different options. Each changes the
// environment variables whose names begin with PEBBLE_ for an instant, because
// Pebble reads some of its settings from there only; other goroutines should
// not use those.
func Start(opts Options) (*Server, error) {
	o, err := opts.check()
	if err != nil {
		return nil, fmt.Errorf("pebble: %w", err)
	}
	s := &Server{crew: new(crew), names: newNames()}
	s.closing = sync.OnceValue(s.shutdown)
	if err := s.start(o); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("pebble: %w", err)
	}
	return s, nil
}

func (s *Server) start(o Options) (err error) {
	if s.http, err = newPort(o.HTTPPort, s.crew); err != nil {
		return err
	}
	s.stops = append(s.stops, s.http.close)
	if s.tls, err = newPort(o.TLSPort, s.crew); err != nil {
		return err
	}
	s.stops = append(s.stops, s.tls.close)
	addr, stop, err := startDNS(s.names)
	if err != nil {
		return err
	}
	s.dnsAddr = addr
	s.stops = append(s.stops, stop)
	if o.Resolver == "" {
		o.Resolver = addr
	}
	management, err := s.wire(o)
	if err != nil {
		return err
	}
	return s.listen(management)
}

// wire constructs Pebble's parts, puts the front before them, and returns the
// handler of the management interface.
func (s *Server) wire(o Options) (management http.Handler, err error) {
	store := db.NewMemoryStore()
	for id, key := range o.ExternalAccounts {
		if err := store.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, fmt.Errorf("external account %q: %w", id, err)
		}
	}
	s.front = newFront(o, store, s.crew)
	authority := ca.New(s.front.logger("ca", s.front.issued), store, "", o.KeyAlgorithm, o.AlternateRoots, o.ChainLength, o.profiles())
	for i := range authority.GetNumberOfRootCerts() {
		s.roots = append(s.roots, authority.GetRootCert(i).Cert)
	}
	var web wfe.WebFrontEndImpl
	err = withEnvironment(o, func() {
		validator := va.New(s.front.logger("va", s.front.failed), s.http.number, s.tls.number, o.Strict, o.Resolver, store)
		web = wfe.New(s.front.logger("wfe", nil), store, validator, authority, o.CAAIdentities,
			o.Strict, o.ExternalAccountRequired, o.RetryAfterAuthorization, o.RetryAfterOrder)
	})
	s.front.pebble = web.Handler()
	return s.front.gated(web.ManagementHandler()), err
}

// listen starts the ACME server and the management interface.
func (s *Server) listen(management http.Handler) error {
	certificate, trusted, err := newServerCertificate()
	if err != nil {
		return err
	}
	start := func(handler http.Handler, accepted func()) (string, error) {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		server := &http.Server{
			Handler:           handler,
			TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
			ReadHeaderTimeout: time.Minute,
			ConnState:         s.connState(accepted),
			ErrorLog:          s.front.logger("http", nil),
		}
		s.stops = append(s.stops, server.Close)
		s.crew.run(func() { _ = server.ServeTLS(l, "", "") })
		return "https://" + l.Addr().String(), nil
	}
	if s.acme, err = start(s.front, func() { s.connections.Add(1) }); err != nil {
		return err
	}
	if s.management, err = start(management, func() {}); err != nil {
		return err
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 100,
	}
	s.client = &http.Client{Transport: transport}
	s.stops = append(s.stops, func() error { transport.CloseIdleConnections(); return nil })
	return nil
}

// connState counts connections while they are there, so that Close can wait
// for their end, and calls accepted for each.
func (s *Server) connState(accepted func()) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			accepted()
			if s.crew.join() {
				s.open.Store(conn, true)
			}
		case http.StateClosed, http.StateHijacked:
			if _, counted := s.open.LoadAndDelete(conn); counted {
				s.crew.leave()
			}
		}
	}
}

// Close stops the server: its listeners and connections are closed, its ports
// are free, and its goroutines have ended when Close returns. Two kinds of
// Pebble's goroutines stay, for there is no way to end them: one for each
// Server that waits for validations to do, for ever, and the validations
// under way, up to their timeout of 15 seconds for each step. Close may be
// called more than once.
func (s *Server) Close() error { return s.closing() }

func (s *Server) shutdown() error {
	if s.front != nil {
		s.front.close()
	}
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	select {
	case <-s.crew.dismiss():
	case <-time.After(10 * time.Second):
		errs = append(errs, errors.New("pebble: requests are still being served 10 s after Close"))
	}
	return errors.Join(errs...)
}

// DirectoryURL is where an ACME client starts.
func (s *Server) DirectoryURL() string { return s.acme + wfe.DirectoryPath }

// ManagementURL is Pebble's management interface, without a final slash. Below
// it are /roots/0, /intermediates/0, /cert-status-by-serial/HEX, and
// /set-renewal-info/, which [Server.SetRenewalInfo] is the short way to.
func (s *Server) ManagementURL() string { return s.management }

// Client returns a client that trusts the certificate of the server, and
// nothing else, and speaks HTTP/2 with it. It is the same client at each call,
// with no timeout; Close closes its idle connections. A program that wants a
// connection of its own clones the client's *[http.Transport].
func (s *Server) Client() *http.Client { return s.client }

// Roots returns the roots of the default chain and of the alternate ones.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, root := range s.roots {
		pool.AddCert(root)
	}
	return pool
}

// Root returns the root of the default chain for 0, and those of the
// alternate chains for the numbers above. It is nil for any other number.
func (s *Server) Root(i int) *x509.Certificate {
	if i < 0 || i >= len(s.roots) {
		return nil
	}
	return s.roots[i]
}

// Requests is the number of requests to the ACME server so far, of all kinds.
func (s *Server) Requests() int { return int(s.front.requests.Load()) }

// Connections is the number of connections to the ACME server so far.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// HTTPAddr is the address on IPv4 that http-01 challenges are asked at, if the
// name resolves to 127.0.0.1. See [Server.ListenHTTP].
func (s *Server) HTTPAddr() string { return s.http.addr() }

// TLSAddr is the same for tls-alpn-01. See [Server.ListenTLS].
func (s *Server) TLSAddr() string { return s.tls.addr() }

// ListenHTTP returns a listener at HTTPAddr and, if the machine has IPv6, at
// the same port on ::1. While a port that [Start] chose has no listener,
// connections to it are closed as they come. There is one listener at a time;
// after it is closed there may be another one.
func (s *Server) ListenHTTP() (net.Listener, error) { return s.http.listen() }

// ListenTLS is ListenHTTP for the port of tls-alpn-01. Connections come as
// they are: wrap the listener with [tls.NewListener].
func (s *Server) ListenTLS() (net.Listener, error) { return s.tls.listen() }

// SetRenewalInfo sets what the server answers when it is asked for the renewal
// information of a certificate that it issued, whether that is JSON or not.
func (s *Server) SetRenewalInfo(certificate *x509.Certificate, body string) error {
	if !s.front.gate.enter() {
		return fmt.Errorf("pebble: set renewal information: %w", http.ErrServerClosed)
	}
	defer s.front.gate.leave()
	if err := s.front.store.SetARIResponse(certificate.SerialNumber, body); err != nil {
		return fmt.Errorf("pebble: set renewal information: %w", err)
	}
	return nil
}

// Revoked reports whether a certificate was revoked, and with which reason.
func (s *Server) Revoked(certificate *x509.Certificate) (reason int, revoked bool) {
	found := s.front.store.GetRevokedCertificateBySerial(certificate.SerialNumber)
	if found == nil {
		return 0, false
	}
	if found.Reason != nil {
		reason = int(*found.Reason)
	}
	return reason, true
}
