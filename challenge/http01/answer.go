package http01

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// PathPrefix is where servers ask, followed by the token (§8.3).
const PathPrefix = "/.well-known/acme-challenge/"

// maxToken is how long a token may be. Those of CAs have 43 characters; as file
// names they have no more room than this.
const maxToken = 255

// supports is the Supports of all solvers here.
func supports(a *acme.Attempt) bool {
	isHost := a.Identifier.Type == acme.TypeDNS || a.Identifier.Type == acme.TypeIP
	return a.Challenge != nil && a.Challenge.Type == acme.HTTP01 && isHost && !a.Wildcard
}

// check returns an error if an attempt cannot be presented. The library has
// checked its tokens; but they become names of files and keys here, and not
// everybody who calls is the library.
func check(a *acme.Attempt) error {
	token := a.Challenge.Token
	thumbprint, ok := strings.CutPrefix(string(a.KeyAuthorization), token+".")
	switch {
	case token == "":
		return errors.New("the challenge has no token")
	case !isToken(token):
		return errors.New("the token is not base64url, or too long (§8.1)")
	case !ok || !isBase64URL(thumbprint):
		return errors.New("the key authorization is not one for the token")
	}
	return nil
}

// checkAll checks a batch.
func checkAll(batch []*acme.Attempt, check func(*acme.Attempt) error) error {
	for _, a := range batch {
		if err := check(a); err != nil {
			return fmt.Errorf("http01: %s: %w", a, err)
		}
	}
	return nil
}

func isToken(s string) bool { return len(s) <= maxToken && isBase64URL(s) }

func isBase64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// requested returns the token that a request asks for.
func requested(r *http.Request) (token string, ok bool) {
	token, ok = strings.CutPrefix(r.URL.Path, PathPrefix)
	return token, ok && isToken(token)
}

// answer answers a request with a key authorization, or with 404 if that is
// empty.
func answer(w http.ResponseWriter, r *http.Request, keyAuthorization string) {
	switch {
	case keyAuthorization == "":
		w.Header().Set("Cache-Control", "no-store") // it may be there in a moment
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	default:
		w.Header().Set("Content-Type", "application/octet-stream") // §8.3
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, keyAuthorization) // a server that missed it asks again
	}
}
