package http01

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

// A Store keeps answers where all replicas find them: in Redis, etcd, a table of
// an SQL database, a folder of a file system that they share. It must be safe
// for concurrent use, heed the context, and let a replica find what another one
// has put as soon as Put has returned.
//
// One token may have several answers, one for each holder: orders of different
// replicas may share an authorization, and the answer stays until both are
// done with it. The answers are the same then. So the key of an answer is the
// token and the holder, both of which are base64url and no longer than 255
// characters, and Get looks for the token alone.
//
// A store that cannot look for a part of a key may leave the holder out of it,
// if it has expiry and its Delete does nothing.
type Store interface {
	// Put keeps an answer, for its TTL at least.
	Put(ctx context.Context, a Answer) error

	// Get returns the key authorization of one of a token's answers, and "" if
	// it has none. An error says that this could not be found out.
	Get(ctx context.Context, token string) (acme.KeyAuthorization, error)

	// Delete removes the answer with the token and the holder of a. That there
	// is none is no error.
	Delete(ctx context.Context, a Answer) error
}

// An Answer is what a [Store] keeps for an attempt.
type Answer struct {
	Token            string
	Holder           string // who wants it served: a random name, new for each attempt
	KeyAuthorization acme.KeyAuthorization
	TTL              time.Duration // after which it may go, for it was left behind
}

const hidden = "[answer to a challenge]"

// String hides what is in the answer.
func (a Answer) String() string { return hidden }

// GoString hides what is in the answer.
func (a Answer) GoString() string { return hidden }

// LogValue hides what is in the answer.
func (a Answer) LogValue() slog.Value { return slog.StringValue(hidden) }

const (
	defaultTTL = 24 * time.Hour
	storeTime  = 5 * time.Second // within which a request is answered; CAs wait for 10 s
)

// Shared answers from a [Store] that replicas share: any of them may be asked,
// and any of them may place orders. A literal with a Store is ready to use.
type Shared struct {
	Store Store // required

	// TTL is how long the store keeps an answer that its process did not live to
	// remove; 0 means a day, which is longer than servers take to look.
	TTL time.Duration

	// Logger is told when the store fails to answer a request; nil means nobody.
	Logger *slog.Logger
}

// Supports reports whether a is an http-01 challenge for a name that is no
// wildcard, or for an address.
func (s *Shared) Supports(a *acme.Attempt) bool { return supports(a) }

// Present puts the answers into the store, 8 at a time, and its cleanup deletes
// them. It fails, and does nothing, if an attempt's token is not base64url or
// its key authorization not the token's; the store's errors come back wrapped.
func (s *Shared) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	if _, err := s.store(); err != nil {
		return nil, err
	}
	if err := checkAll(batch, check); err != nil {
		return nil, err
	}
	return acme.Each(s.Supports, s.present).Present(ctx, batch)
}

func (s *Shared) present(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
	ttl := s.TTL
	if ttl <= 0 {
		ttl = defaultTTL
	}
	put := Answer{Token: a.Challenge.Token, Holder: rand.Text(), KeyAuthorization: a.KeyAuthorization, TTL: ttl}
	name := a.String() // a is not to be kept
	remove := func(ctx context.Context) error {
		if err := s.Store.Delete(ctx, put); err != nil {
			return fmt.Errorf("http01: %s: deleting the answer from the store: %w", name, err)
		}
		return nil
	}
	if err := s.Store.Put(ctx, put); err != nil {
		return remove, fmt.Errorf("http01: %s: putting the answer into the store: %w", name, err) // it may be there
	}
	return remove, nil
}

// ServeHTTP answers a validation request, on any host. What is no known
// challenge is 404. While the store fails, all that could be one is 503.
func (s *Shared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := requested(r)
	if !ok {
		answer(w, r, "")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTime)
	defer cancel()
	var found acme.KeyAuthorization
	store, err := s.store()
	if err == nil {
		found, err = store.Get(ctx, token)
	}
	if err == nil && found != "" && !isFor(found, token) {
		err = fmt.Errorf("the store has %d octets that are no answer to the token that was asked for", len(found))
	}
	if err != nil {
		if s.Logger != nil {
			s.Logger.WarnContext(ctx, "http01: a challenge could not be answered", slog.Any("error", err))
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the answer cannot be looked up at the moment", http.StatusServiceUnavailable)
		return
	}
	answer(w, r, string(found))
}

func (s *Shared) store() (Store, error) {
	if s.Store == nil {
		return nil, errors.New("http01: Shared.Store is nil: it has to keep the answers")
	}
	return s.Store, nil
}

// isFor reports whether a key authorization is one for the token.
func isFor(k acme.KeyAuthorization, token string) bool {
	thumbprint, ok := strings.CutPrefix(string(k), token+".")
	return ok && isBase64URL(thumbprint) && len(thumbprint) <= maxToken
}
