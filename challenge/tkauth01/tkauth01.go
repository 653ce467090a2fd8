// Package tkauth01 fulfils tkauth-01 challenges with authority tokens (RFC 9447): a
// token authority, which knows who has a telephone number, says so to the CA in a
// JSON Web Token that the client gets from it (RFC 9448, for STIR/SHAKEN).
//
// A [Solver] asks a function of the program for the token. [Authority] is one that
// speaks the HTTPS interface of the RFCs:
//
//	authority := &tkauth01.Authority{
//		URL:          "https://authority.example.org/at/account/7/token",
//		Authenticate: func(r *http.Request) error { r.SetBasicAuth("7", password); return nil },
//	}
//	solver := &tkauth01.Solver{Token: authority.Token}
//
// Orders are for identifiers of the type [acme.TypeTNAuthList], which
// [TNAuthList.Identifier] makes of service provider codes and telephone numbers.
// Experimental, as it is a draft's (draft-ietf-acme-authority-token-jwtclaimcon): those
// of [ClaimConstraints.Identifier].
//
// The signature of a token is the CA's to verify. Everything else is checked before
// the token is sent, as a CA would refuse it for good.
package tkauth01

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

// A Solver fulfils tkauth-01 challenges of the tkauth-type "atc". It keeps nothing,
// and may be used for any number of orders and accounts at once, if Token may.
type Solver struct {
	// Token returns an authority token, a JWT in compact form, for a challenge. A
	// token may be used until it expires, also one from before the order: caching
	// them is up to Token, which must heed ctx.
	Token func(ctx context.Context, r Request) (token string, err error)

	// CA asks for tokens that let the CA issue a certificate of a certification
	// authority, to delegate numbers with. The CSR must ask for the same: see
	// [NewCSR].
	CA bool
}

// A Request says what an authority token must be for.
type Request struct {
	// Identifier's type and value are tktype and tkvalue of the token.
	Identifier acme.Identifier

	// Fingerprint is that of the account key, to which the token is bound (RFC 9447
	// §3.3): "SHA256 56:3E:CF:…", as [Fingerprint] makes it.
	Fingerprint string

	CA bool

	// Authority is the challenge's token-authority: the URL of the token authority
	// as the server has it, not to be trusted, and empty mostly. Without it, local
	// configuration tells which one it is (RFC 9448 §4).
	Authority string
}

// A Response is what a challenge is answered with (RFC 9448 §4). It prints without
// the token.
type Response struct {
	TKAuth string `json:"tkauth"`
}

// String hides the token.
func (Response) String() string { return "an authority token" }

// GoString hides the token.
func (r Response) GoString() string { return r.String() }

// LogValue hides the token.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Fingerprint returns the fingerprint of an account key, from its thumbprint
// ([acme.Account.Thumbprint]): the SHA-256 digest of RFC 8555 §8.1 in the hexadecimal
// form of the examples (RFC 9448 §5.4). It is "" for what is no thumbprint.
func Fingerprint(thumbprint string) string {
	digest, err := base64.RawURLEncoding.DecodeString(thumbprint)
	if err != nil || len(digest) != 32 {
		return ""
	}
	pairs := make([]string, len(digest))
	for i, b := range digest {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return "SHA256 " + strings.Join(pairs, ":")
}

// Supports reports whether a is a tkauth-01 challenge of the tkauth-type "atc" for an
// identifier of a type that this package has: [acme.TypeTNAuthList],
// [acme.TypeJWTClaimConstraints] and [acme.TypeEnhancedJWTClaimConstraints].
func (s *Solver) Supports(a *acme.Attempt) bool {
	switch a.Identifier.Type {
	case acme.TypeTNAuthList, acme.TypeJWTClaimConstraints, acme.TypeEnhancedJWTClaimConstraints:
		_, err := request(a)
		return err == nil
	}
	return false
}

// Present gets a token for each attempt, checks it and sets the response. It leaves
// nothing to clean up.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	if s.Token == nil {
		return nil, errors.New("tkauth01: Solver.Token is nil: it has to get the authority tokens")
	}
	cleanup, err := acme.Each(s.Supports, s.present).Present(ctx, batch)
	if err != nil {
		for _, a := range batch {
			a.Response = nil
		}
	}
	return cleanup, err
}

func (s *Solver) present(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
	fail := func(err error) (acme.Cleanup, error) { return nil, fmt.Errorf("tkauth01: %s: %w", a, err) }
	r, err := request(a)
	if err != nil {
		return fail(err)
	}
	r.CA = s.CA
	text, err := s.Token(ctx, r)
	if err != nil {
		return fail(err)
	}
	token, err := ParseToken(text)
	if err == nil {
		err = token.Check(r, time.Now())
	}
	if err != nil {
		return fail(fmt.Errorf("the token authority's token will not do: %w", err))
	}
	a.Response = Response{TKAuth: text}
	return nil, nil //nolint:nilnil // nothing is left behind
}

// request reads the challenge of an attempt (RFC 9447 §3).
func request(a *acme.Attempt) (Request, error) {
	var members struct {
		Type      string `json:"tkauth-type"`
		Authority string `json:"token-authority"`
	}
	if a.Challenge == nil || a.Challenge.Type != acme.TKAuth01 {
		return Request{}, errors.New("it is no tkauth-01 challenge")
	}
	if err := json.Unmarshal(a.Challenge.Raw, &members); err != nil {
		return Request{}, fmt.Errorf("the challenge cannot be read: %w", err)
	}
	fingerprint := Fingerprint(a.Thumbprint)
	switch {
	case members.Type != "atc":
		return Request{}, fmt.Errorf("the tkauth-type is %.50q: only atc is known (RFC 9447 §4)", members.Type)
	case fingerprint == "":
		return Request{}, errors.New("the attempt has no thumbprint")
	}
	return Request{Identifier: a.Identifier, Fingerprint: fingerprint, Authority: members.Authority}, nil
}
