// Package http01 fulfils http-01 challenges (RFC 8555 §8.3): the server asks
// port 80 of each name for a file with the key authorization.
//
// A [Solver] is an [http.Handler] for the mux that a program has anyway:
//
//	var solver http01.Solver
//	mux.Handle(http01.PathPrefix, &solver)
//
// It opens no port. Servers follow redirects, so that the handler may also be
// where all requests are redirected to, by https. Answers are kept in the memory
// of the process: it must be the one that is asked, also behind a load balancer.
// Wildcard names need dns-01.
package http01

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/seed-aa0b9f56/acme"
)

// PathPrefix is where servers ask, followed by the token (§8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// A Solver answers http-01 challenges from memory. The zero value is ready to
// use, for any number of orders and accounts at once; it must not be copied
// after first use.
type Solver struct {
	mu      sync.RWMutex
	answers map[string]*answer // by token
}

// An answer is a key authorization and how many attempts want it served: two
// orders may share an authorization.
type answer struct {
	keyAuthorization string
	wanted           int
}

// Supports reports whether a is an http-01 challenge for a name that is no
// wildcard, or for an address.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.HTTP01 && !a.Wildcard
}

// Present makes ServeHTTP answer for the batch, at once. Its cleanup ends that.
// It fails, and does nothing, if an attempt has no token, or a key authorization
// that is not the token's, or if another account's is being served for the token.
func (s *Solver) Present(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range batch {
		if err := s.check(a); err != nil {
			return nil, fmt.Errorf("http01: %s: %w", a, err)
		}
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

// check returns an error if an attempt cannot be presented.
func (s *Solver) check(a *acme.Attempt) error {
	token := a.Challenge.Token
	switch known := s.answers[token]; {
	case token == "":
		return errors.New("the challenge has no token")
	case !strings.HasPrefix(string(a.KeyAuthorization), token+"."):
		return errors.New("the key authorization is not one for the token")
	case known != nil && known.keyAuthorization != string(a.KeyAuthorization):
		return errors.New("the token is in use, with another account's key")
	}
	return nil
}

func (s *Solver) add(token, keyAuthorization string) {
	if s.answers == nil {
		s.answers = make(map[string]*answer)
	}
	if s.answers[token] == nil {
		s.answers[token] = &answer{keyAuthorization: keyAuthorization}
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

// find returns the key authorization that is served at a path.
func (s *Solver) find(path string) (keyAuthorization string, ok bool) {
	token, ok := strings.CutPrefix(path, PathPrefix)
	if !ok {
		return "", false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.answers[token]
	if !ok {
		return "", false
	}
	return a.keyAuthorization, true
}

// ServeHTTP answers a validation request, on any host. What is no known
// challenge is 404.
func (s *Solver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	keyAuthorization, ok := s.find(r.URL.Path)
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		w.Header().Set("Content-Type", "application/octet-stream") // §8.3
		w.Header().Set("Cache-Control", "no-store")
		_, _ = io.WriteString(w, keyAuthorization) // a server that missed it asks again
	}
}
