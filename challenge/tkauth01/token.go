package tkauth01

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxToken = 64 << 10 // octets
	skew     = 5 * time.Minute

	alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_." // of a compact JWT
)

// A Token is what an authority token says (RFC 9447 §4, RFC 9448 §5). Its signature
// was not verified.
type Token struct {
	Algorithm string    // "ES256"
	X5U       string    // URL of the certificate that signed, if the header says so
	Issuer    string    // URL of the token authority, optional
	ID        string    // "jti"
	Expires   time.Time // "exp"
	ATC       ATC
}

// An ATC is the claim "atc", and what a token is requested with.
type ATC struct {
	Type        string `json:"tktype"`
	Value       string `json:"tkvalue"`
	CA          bool   `json:"ca,omitzero"`
	Fingerprint string `json:"fingerprint"`
}

// atc returns the claim that a token for the request has.
func (r Request) atc() ATC {
	return ATC{Type: string(r.Identifier.Type), Value: r.Identifier.Value, CA: r.CA, Fingerprint: r.Fingerprint}
}

// ParseToken reads a token in compact form without verifying its signature. It fails
// if there is no such token, if it is not signed with a public key, and if a claim
// that must be there is not: jti, exp, and atc with tktype, tkvalue and fingerprint
// (RFC 9447 §4). The error does not show the token.
func ParseToken(token string) (*Token, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 || parts[2] == "" || strings.Trim(token, alphabet) != "" {
		return nil, errors.New("it is no signed JWT in compact form")
	}
	var header struct {
		Alg string `json:"alg"`
		X5U string `json:"x5u"`
	}
	var claims struct {
		Iss string           `json:"iss"`
		Jti string           `json:"jti"`
		Exp *float64         `json:"exp"`
		ATC *json.RawMessage `json:"atc"`
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, fmt.Errorf("its header cannot be read: %w", err)
	}
	if err := decode(parts[1], &claims); err != nil {
		return nil, fmt.Errorf("its claims cannot be read: %w", err)
	}
	switch {
	case header.Alg == "" || strings.EqualFold(header.Alg, "none") || strings.HasPrefix(header.Alg, "HS"):
		return nil, fmt.Errorf("the algorithm %.20q is no signature (RFC 9448 §5)", header.Alg)
	case claims.Jti == "":
		return nil, errors.New("it has no jti (RFC 9447 §4)")
	case claims.Exp == nil || *claims.Exp < 0 || *claims.Exp > 1<<53:
		return nil, errors.New("it has no exp (RFC 9447 §4)")
	case claims.ATC == nil:
		return nil, errors.New("it has no atc (RFC 9447 §4)")
	}
	t := &Token{Algorithm: header.Alg, X5U: header.X5U, Issuer: claims.Iss, ID: claims.Jti, Expires: time.Unix(int64(*claims.Exp), 0)}
	if err := json.Unmarshal(*claims.ATC, &t.ATC); err != nil {
		return nil, fmt.Errorf("its atc cannot be read: %w", err)
	}
	for name, value := range map[string]string{"tktype": t.ATC.Type, "tkvalue": t.ATC.Value, "fingerprint": t.ATC.Fingerprint} {
		if value == "" {
			return nil, fmt.Errorf("its atc has no %s (RFC 9447 §4)", name)
		}
	}
	return t, nil
}

func decode(part string, v any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// Check reports whether a CA would take the token for what was requested, as far as
// that shows without keys (RFC 9448 §6): it is for the identifier, for the account,
// for the same kind of certificate, and has not expired. Clocks may differ by five
// minutes.
func (t *Token) Check(r Request, now time.Time) error {
	want := r.atc()
	switch got := t.ATC; {
	case got.Type != want.Type:
		return fmt.Errorf("its tktype is %.50q, not %q", got.Type, want.Type)
	case got.Value != want.Value:
		return fmt.Errorf("its tkvalue is %.100q, not %.100q", got.Value, want.Value)
	case !sameFingerprint(got.Fingerprint, want.Fingerprint):
		return fmt.Errorf("its fingerprint is %.110q, which is another account's", got.Fingerprint)
	case got.CA != want.CA:
		return fmt.Errorf("its ca is %t, not %t", got.CA, want.CA)
	case now.Add(-skew).After(t.Expires):
		return fmt.Errorf("it has expired at %s", t.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// sameFingerprint compares fingerprints; hexadecimal digits may be of either case.
func sameFingerprint(a, b string) bool {
	algorithm, digits, _ := strings.Cut(a, " ")
	algorithm2, digits2, _ := strings.Cut(b, " ")
	return algorithm == algorithm2 && strings.EqualFold(digits, digits2)
}
