package tlsalpn01

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// Proto is the protocol that is negotiated in a validation (RFC 8737 §6.2).
const Proto = "acme-tls/1"

// A Solver answers from memory, in the process that places the orders. The zero
// value is ready to use, for any number of orders and accounts at once; it must
// not be copied after first use. It opens no port: see [Solver.Wrap].
//
// A name can have one answer at a time. An order for a name of another order
// under way waits in Present until that one is over, unless the two share the
// authorization; so the certificates with an RSA and an ECDSA key for the same
// names can be ordered at once.
type Solver struct {
	mu      sync.RWMutex
	answers map[string]*answer // by the name that the server asks for
	freed   chan struct{}      // closed when an answer goes; nil if nobody waits
}

// An answer is what a name is answered with, and how many attempts want that.
type answer struct {
	keyAuthorization acme.KeyAuthorization
	certificate      *tls.Certificate
	config           *tls.Config // for the connection
	wanted           int
}

// Supports reports whether a is a tls-alpn-01 challenge for a name that is no
// wildcard, or for an address.
func (s *Solver) Supports(a *acme.Attempt) bool {
	isHost := a.Identifier.Type == acme.TypeDNS || a.Identifier.Type == acme.TypeIP
	return a.Challenge != nil && a.Challenge.Type == acme.TLSALPN01 && isHost && !a.Wildcard
}

// Present makes a certificate for each attempt, which is served at once. Its
// cleanup ends that. It fails, and does nothing, if an attempt has no token, a
// key authorization that is not the token's, or an identifier that is neither a
// name nor an address; or if ctx ends while it waits for another order that has
// a name of the batch.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	prepared := make(map[string]*answer, len(batch))
	for _, a := range batch {
		if err := prepare(prepared, a); err != nil {
			return nil, fmt.Errorf("tlsalpn01: %s: %w", a, err)
		}
	}
	for {
		name, freed := s.tryAdd(prepared)
		if name == "" {
			break
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, fmt.Errorf("tlsalpn01: waiting for another order under way for %s: %w", name, ctx.Err())
		}
	}
	var once sync.Once // a second call must not take away what another order needs
	return func(context.Context) error {
		once.Do(func() { s.remove(prepared) })
		return nil
	}, nil
}

// prepare makes the answer to an attempt.
func prepare(prepared map[string]*answer, a *acme.Attempt) error {
	name, err := serverName(a.Identifier)
	switch token := a.Challenge.Token; {
	case err != nil:
		return err
	case token == "":
		return errors.New("the challenge has no token")
	case !strings.HasPrefix(string(a.KeyAuthorization), token+"."):
		return errors.New("the key authorization is not one for the token")
	}
	if other := prepared[name]; other != nil && other.keyAuthorization != a.KeyAuthorization {
		return errors.New("the batch has another attempt for the same name, which can have one answer only")
	}
	certificate, err := newCertificate(a)
	if err != nil {
		return err
	}
	prepared[name] = &answer{
		keyAuthorization: a.KeyAuthorization,
		certificate:      certificate,
		config: &tls.Config{
			Certificates:           []tls.Certificate{*certificate},
			NextProtos:             []string{Proto},
			MinVersion:             tls.VersionTLS12, // RFC 8737 §4
			SessionTicketsDisabled: true,             // nobody comes back
		},
	}
	return nil
}

// tryAdd serves answers, if no name has another one. Otherwise it returns such a
// name, and what is closed when trying again makes sense.
func (s *Solver) tryAdd(prepared map[string]*answer) (name string, freed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, p := range prepared {
		if known := s.answers[name]; known != nil && known.keyAuthorization != p.keyAuthorization {
			if s.freed == nil {
				s.freed = make(chan struct{})
			}
			return name, s.freed
		}
	}
	if s.answers == nil {
		s.answers = make(map[string]*answer)
	}
	for name, p := range prepared {
		if s.answers[name] == nil {
			s.answers[name] = p
		}
		s.answers[name].wanted++
	}
	return "", nil
}

func (s *Solver) remove(prepared map[string]*answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range prepared {
		if s.answers[name].wanted--; s.answers[name].wanted == 0 {
			delete(s.answers, name)
		}
	}
	if s.freed != nil {
		close(s.freed)
		s.freed = nil
	}
}

// find returns the answer to a ClientHello, nil if there is none: it must be that
// of a validation, which offers one protocol only (RFC 8737 §3).
func (s *Solver) find(hello *tls.ClientHelloInfo) *answer {
	if !isValidation(hello) {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.answers[name]
}

func isValidation(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == Proto
}

// GetCertificate returns the certificate for a validation, and nil without an
// error for everything else. It is for a [tls.Config] that has [Proto] among its
// protocols and a GetCertificate that asks here first; [Solver.Wrap] does more.
func (s *Solver) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if found := s.find(hello); found != nil {
		return found.certificate, nil
	}
	return nil, nil //nolint:nilnil // as tls.Config.GetCertificate has it: no certificate from here
}

// Wrap returns a copy of a configuration that answers validations, and does
// everything else as before: its certificates, protocols and callbacks are used
// for all other connections. A nil configuration has none of these.
//
// [Proto] is negotiated in validations only, and only while there is something
// to answer; at other times they are refused (RFC 8737 §4). If the configuration has
// [Proto] among its own protocols, they are its own affair at those times.
func (s *Solver) Wrap(config *tls.Config) *tls.Config {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	wrapped, inner := config.Clone(), config.GetConfigForClient
	if inner == nil {
		inner = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil } // the configuration itself
	}
	refusal := &tls.Config{NextProtos: []string{"nothing that anybody offers"}, MinVersion: tls.VersionTLS12}
	wrapped.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if found := s.find(hello); found != nil {
			return found.config, nil
		}
		chosen, err := inner(hello)
		// A configuration without protocols would ignore the one that is offered.
		if err == nil && isValidation(hello) && len(cmp.Or(chosen, wrapped).NextProtos) == 0 {
			return refusal, nil
		}
		return chosen, err
	}
	return wrapped
}
