package stepca_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	stepacme "github.com/smallstep/certificates/acme"
	"github.com/smallstep/certificates/acme/api"
	"github.com/smallstep/certificates/acme/db/nosql"
	"github.com/smallstep/certificates/authority"
	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/authority/provisioner"
	"github.com/smallstep/certificates/db"
	database "github.com/smallstep/nosql"
	"go.step.sm/crypto/minica"
)

// A ca is a step-ca on a port of its own: its authority, its database in a file,
// its ACME interface, as its command wires them, but for the validation client,
// which looks names up in this process. Each test has its own.
type ca struct {
	testing.TB
	root         *x509.Certificate
	issuer       *x509.Certificate
	issuerKey    crypto.Signer
	provisioners provisioner.List
	storage      db.Config
	url          string
	*world

	mu          sync.RWMutex // held for reading while a request is served
	authority   *authority.Authority
	acme        stepacme.DB
	certificate *tls.Certificate
	handler     http.Handler // nil while it is down
}

// startCA starts a step-ca with ACME provisioners.
func startCA(t testing.TB, storage string, provisioners ...*provisioner.ACME) *ca {
	t.Helper()
	chain, err := minica.New(minica.WithName("step-ca test"))
	if err != nil {
		t.Fatal(err)
	}
	s := &ca{
		TB: t, root: chain.Root, issuer: chain.Intermediate, issuerKey: chain.Signer, world: newWorld(t),
		storage: db.Config{Type: storage, DataSource: filepath.Join(t.TempDir(), "db")},
	}
	for _, p := range provisioners {
		p.Type = "ACME"
		s.provisioners = append(s.provisioners, p)
	}
	s.up()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + listener.Addr().String()
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.RLock()
			defer s.mu.RUnlock()
			return s.certificate, nil
		},
	}}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(listener, "", "") })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
		s.down()
	})
	return s
}

// up starts the authority, on what is in the database.
func (s *ca) up() {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := &config.Config{
		DNSNames:        []string{"127.0.0.1"},
		AuthorityConfig: &config.AuthConfig{Provisioners: s.provisioners},
		DB:              &s.storage,
	}
	var err error
	if s.authority, err = authority.NewEmbedded(authority.WithConfig(cfg), authority.WithQuietInit(),
		authority.WithX509RootCerts(s.root), authority.WithX509Signer(s.issuer, s.issuerKey)); err != nil {
		s.Fatal(err)
	}
	if s.acme, err = nosql.New(s.authority.GetDatabase().(database.DB)); err != nil {
		s.Fatal(err)
	}
	if s.certificate, err = s.authority.GetTLSCertificate(); err != nil {
		s.Fatal(err)
	}
	router := chi.NewRouter()
	router.Route("/acme", func(r chi.Router) { api.Route(r) })
	s.handler = router
}

// down ends the authority: from now on connections are cut.
func (s *ca) down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handler == nil {
		return
	}
	s.handler = nil
	if err := s.authority.Shutdown(); err != nil {
		s.Error(err)
	}
}

// ServeHTTP implements [http.Handler].
func (s *ca) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.handler == nil {
		panic(http.ErrAbortHandler)
	}
	ctx := authority.NewContext(r.Context(), s.authority)
	ctx = db.NewContext(ctx, s.authority.GetDatabase())
	ctx = stepacme.NewContext(ctx, s.acme, s.world, stepacme.NewLinker(r.Host, "acme"), nil)
	s.handler.ServeHTTP(w, r.WithContext(ctx))
}

func (s *ca) directory(provisioner string) string {
	return s.url + "/acme/" + provisioner + "/directory"
}

// roots is what the programs of a company with a step-ca trust.
func (s *ca) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.root)
	return pool
}

// httpClient returns a client that trusts the CA.
func (s *ca) httpClient() *http.Client {
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: s.roots(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
	}
	s.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// bindingKey makes a key for external account binding, as the hosted step-ca's
// administrators do: the open one has no command for it. Its MAC keys have 32
// octets, which is enough for HS256 alone; this one has 64.
func (s *ca) bindingKey(p *provisioner.ACME) *stepacme.ExternalAccountKey {
	s.Helper()
	key, err := s.acme.CreateExternalAccountKey(s.Context(), p.ID, "")
	if err != nil {
		s.Fatal(err)
	}
	key.HmacKey = append(key.HmacKey, key.HmacKey...)
	if err := s.acme.UpdateExternalAccountKey(s.Context(), p.ID, key); err != nil {
		s.Fatal(err)
	}
	return key
}

func stepNonce(nonce string) stepacme.Nonce { return stepacme.Nonce(nonce) }
