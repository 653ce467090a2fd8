package acmetest

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A Server is a CA. Its methods are safe for concurrent use. Make one with [NewServer].
type Server struct {
	tb testing.TB // nil is allowed

	mu           sync.Mutex // guards what follows; never held over a function of the options or a wait
	opts         Options
	random       *rand.Rand
	nonces       map[string]nonceState
	accounts     map[string]*account // by ID
	accountByKey map[string]*account // by thumbprint
	orders       map[string]*order
	orderList    []*order
	authzs       map[string]*authorization
	authzList    []*authorization
	challenges   map[string]*challenge
	validating   []*challenge // processing
	issuing      []*order     // processing
	certificates map[string]*certificate
	certList     []*certificate
	authority    *authority
	requests     []*Request
	violations   []recordedViolation
	closed       bool

	net network // the TCP side, with a lock of its own
}

// NewServer returns a CA. There is no goroutine, listener or other I/O until [Server.Client] or [Server.ClientHTTP1] is
// called; what they open is closed by t.Cleanup. t may be nil, for programs and examples that are no tests: then call
// [Server.Close].
func NewServer(t testing.TB, opts Options) *Server { //nolint:thelper // t may be nil
	s := &Server{
		tb:           t,
		opts:         opts.clone(),
		random:       rand.New(rand.NewPCG(opts.Seed, 0)),
		nonces:       map[string]nonceState{},
		orders:       map[string]*order{},
		authzs:       map[string]*authorization{},
		challenges:   map[string]*challenge{},
		certificates: map[string]*certificate{},
	}
	s.ForgetAccounts()
	if t != nil {
		t.Helper()
		t.Cleanup(s.Close)
	}
	return s
}

// Close closes listener and connections, if there are any, and reports violations if [Options].Strict is set. It is called
// by the t.Cleanup of [NewServer]; a second call does nothing.
func (s *Server) Close() {
	s.net.close()
	s.mu.Lock()
	report := s.opts.Strict && s.tb != nil && !s.closed
	s.closed = true
	s.mu.Unlock()
	if !report {
		return
	}
	s.tb.Helper()
	for _, v := range s.Violations() {
		s.tb.Errorf("acmetest: protocol violation: %v", v)
	}
}

// DirectoryURL returns "https://ca.test/directory". It is the same in-process and over TCP, for the clients and the
// transport of this server; behind an httptest.Server it is that server's URL + "/directory".
func (s *Server) DirectoryURL() string { return defaultBase + pathDirectory }

// Update changes options while the server runs. f is called with the server's lock held, so it must not call the server. It
// must not keep its argument, nor change what maps and slices in it hold: it replaces them.
func (s *Server) Update(f func(o *Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.opts)
	s.opts = s.opts.clone()
}

// ForgetAccounts makes the CA lose its accounts: accountDoesNotExist is the answer to them from now on.
func (s *Server) ForgetAccounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = map[string]*account{}
	s.accountByKey = map[string]*account{}
}

// latency reads an option that is needed outside the lock.
func (s *Server) latency() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Latency
}

// HTTPClient returns a client over [Server.Transport].
func (s *Server) HTTPClient() *http.Client { return &http.Client{Transport: s.Transport()} }
