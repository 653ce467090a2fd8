package http01

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// A Solver answers from memory, in the process that places the orders. The zero
// value is ready to use, for any number of orders and accounts at once; it must
// not be copied after first use. It opens no port: it is an [http.Handler].
type Solver struct {
	mu      sync.RWMutex
	answers map[string]*held // by token
}

// A held answer, and how many attempts want it served: two orders may share an
// authorization.
type held struct {
	keyAuthorization string
	wanted           int
}

// Supports reports whether a is an http-01 challenge for a name that is no
// wildcard, or for an address.
func (s *Solver) Supports(a *acme.Attempt) bool { return supports(a) }

// Present makes ServeHTTP answer for the batch, at once. Its cleanup ends that.
// It fails, and does nothing, if an attempt's token is not base64url or its key
// authorization not the token's, or if another account's is served for the token.
func (s *Solver) Present(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkAll(batch, s.check); err != nil {
		return nil, err
	}
	tokens := make([]string, len(batch))
	for i, a := range batch {
		tokens[i] = a.Challenge.Token
		s.add(tokens[i], string(a.KeyAuthorization))
	}
	var once sync.Once // a second call must not take away what another order needs
	return func(context.Context) error {
		once.Do(func() { s.remove(tokens) })
		return nil
	}, nil
}

func (s *Solver) check(a *acme.Attempt) error {
	if known := s.answers[a.Challenge.Token]; known != nil && known.keyAuthorization != string(a.KeyAuthorization) {
		return errors.New("the token is in use, with another account's key")
	}
	return check(a)
}

func (s *Solver) add(token, keyAuthorization string) {
	if s.answers == nil {
		s.answers = make(map[string]*held)
	}
	if s.answers[token] == nil {
		s.answers[token] = &held{keyAuthorization: keyAuthorization}
	}
	s.answers[token].wanted++
}

func (s *Solver) remove(tokens []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, token := range tokens {
		if s.answers[token].wanted--; s.answers[token].wanted == 0 {
			delete(s.answers, token)
		}
	}
}

// find returns the key authorization for a token, "" if there is none.
func (s *Solver) find(token string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.answers[token]; h != nil {
		return h.keyAuthorization
	}
	return ""
}

// ServeHTTP answers a validation request, on any host. What is no known
// challenge is 404.
func (s *Solver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var keyAuthorization string
	if token, ok := requested(r); ok {
		keyAuthorization = s.find(token)
	}
	answer(w, r, keyAuthorization)
}
