package http01

import (
	"context"
	"errors"
	"net/http"

	"github.com/seed-aa0b9f56/acme"
)

// Stateless answers for every order of an account from the account key's
// thumbprint alone, since a key authorization is the token with that behind it
// (§8.1). Replicas that know no orders and no keys can serve it:
//
//	mux.Handle(http01.PathPrefix, http01.Stateless{Thumbprint: thumbprint})
//
// and so can a configuration of other web servers. The replica that places the
// orders has it as its solver. What it gives away is not secret: it authorizes
// the account with that key and no other.
//
// When the account's key is changed, orders under way with the old one fail.
type Stateless struct {
	// Thumbprint is that of [acme.Account.Thumbprint].
	Thumbprint string
}

// Supports reports whether a is an http-01 challenge for a name that is no
// wildcard, or for an address.
func (s Stateless) Supports(a *acme.Attempt) bool { return supports(a) }

// Present does nothing, as the answers are always there. It fails if they would
// be the wrong ones: those of another account's key.
func (s Stateless) Present(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	return nil, checkAll(batch, s.check)
}

func (s Stateless) check(a *acme.Attempt) error {
	if err := check(a); err != nil {
		return err
	}
	if string(a.KeyAuthorization) != s.keyAuthorization(a.Challenge.Token) {
		return errors.New("Stateless.Thumbprint is not that of the account's key: it is what Account.Thumbprint returns")
	}
	return nil
}

// keyAuthorization returns the answer to a token, "" if there is no thumbprint.
func (s Stateless) keyAuthorization(token string) string {
	if !isBase64URL(s.Thumbprint) {
		return ""
	}
	return token + "." + s.Thumbprint
}

// ServeHTTP answers a validation request, on any host, for any token that is
// one (§8.1). What asks for none is 404.
func (s Stateless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var keyAuthorization string
	if token, ok := requested(r); ok {
		keyAuthorization = s.keyAuthorization(token)
	}
	answer(w, r, keyAuthorization)
}
