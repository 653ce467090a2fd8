package acme

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// An ExternalAccount is what a CA hands out to bind an ACME account to an
// account that its holder has with it (§7.3.4). It prints without the MAC key.
type ExternalAccount struct {
	KeyID     string
	MACKey    []byte // the octets; NewExternalAccount decodes their base64 forms
	Algorithm string // "HS256", "HS384" or "HS512"; empty stands for HS256
}

// NewExternalAccount makes an ExternalAccount of a key ID and a MAC key as CAs
// show them: base64url or base64, with or without padding (§7.3.4). White space
// around them is left out. The error Is ErrInvalidMACKey if the text is neither,
// or too short.
func NewExternalAccount(keyID, macKey string) (*ExternalAccount, error) {
	octets, err := decodeMACKey(strings.TrimSpace(macKey))
	if err != nil {
		return nil, wrap(err, "external account")
	}
	e := &ExternalAccount{KeyID: strings.TrimSpace(keyID), MACKey: octets}
	if err := e.check(); err != nil {
		return nil, wrap(err, "external account")
	}
	return e, nil
}

// decodeMACKey decodes any of the base64 forms. The text is not in the errors.
func decodeMACKey(text string) ([]byte, error) {
	digits := strings.TrimRight(text, "=")
	encoding := base64.RawURLEncoding
	if strings.ContainsAny(digits, "+/") {
		encoding = base64.RawStdEncoding
	}
	if strings.ContainsAny(digits, "\r\n") || len(text)-len(digits) > 2 {
		return nil, fmt.Errorf("%w: it is not base64", ErrInvalidMACKey)
	}
	octets, err := encoding.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%w: it is neither base64url nor base64: %w", ErrInvalidMACKey, err)
	}
	return octets, nil
}

// check finds what no server takes: MAC keys shorter than the hash are refused
// by all libraries (RFC 7518 §3.2).
func (e *ExternalAccount) check() error {
	sizes := map[string]int{"": 32, "HS256": 32, "HS384": 48, "HS512": 64}
	size, ok := sizes[e.Algorithm]
	switch {
	case e.KeyID == "" || len(e.MACKey) == 0:
		return fmt.Errorf("%w: the ExternalAccount has no KeyID or no MACKey", ErrNoKey)
	case !ok:
		return fmt.Errorf("%w: an external account binding has the algorithm HS256, HS384 or HS512, not %s (§7.3.4)", ErrInvalidMACKey, quote(e.Algorithm))
	case len(e.MACKey) < size:
		return fmt.Errorf("%w: it has %d octets, and %s needs %d (RFC 7518 §3.2)", ErrInvalidMACKey, len(e.MACKey), e.algorithm(), size)
	}
	return nil
}

func (e *ExternalAccount) algorithm() string {
	if e.Algorithm == "" {
		return "HS256"
	}
	return e.Algorithm
}

// explain adds to a server's refusal what may be wrong with the external account:
// that its MAC key is encoded still (Google's API gives the base64 form of a
// base64url text), or anything at all where the server does not tell.
func (e *ExternalAccount) explain(err error) error {
	p, refused := asProblem(err)
	if e == nil || !refused || isRateLimit(p) {
		return err
	}
	hint := errors.New("the octets of the MAC key are base64 text themselves: do they have to be decoded once more?")
	if p.Type == ErrServerInternal { // all that step-ca says
		hint = errors.New("it may be that the server does not know the key ID, has bound it already, or has another MAC key for it")
	} else if _, notEncoded := decodeMACKey(string(e.MACKey)); notEncoded != nil || p.Status >= http.StatusInternalServerError {
		return err
	}
	return wrap(series{err, hint}, "external account %s", quoteIfOdd(e.KeyID))
}

// String returns the key ID alone.
func (e ExternalAccount) String() string { return "ExternalAccount(" + e.KeyID + ")" }

// GoString returns the key ID alone.
func (e ExternalAccount) GoString() string { return "acme." + e.String() }

// LogValue returns the key ID alone.
func (e ExternalAccount) LogValue() slog.Value { return slog.StringValue(e.KeyID) }

// MarshalJSON returns the key ID alone: the MAC key is not to end in a log.
func (e ExternalAccount) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"KeyID": e.KeyID})
}
