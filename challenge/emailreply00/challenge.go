package emailreply00

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// A Challenge is what an ACME client knows of a challenge before the mail has come
// (RFC 8823 §3). It prints without the token and the thumbprint.
type Challenge struct {
	Address    string // that is to be certified, and gets the mail
	From       string // where the mail comes from
	Token      string // token-part2, base64url
	Thumbprint string // of the account key (RFC 7638)
}

// NewChallenge reads the challenge of an attempt. It fails if its token is not
// base64url, or if its "from" is no address.
func NewChallenge(a *acme.Attempt) (Challenge, error) {
	var members struct {
		From string `json:"from"`
	}
	fail := func(format string, args ...any) (Challenge, error) {
		return Challenge{}, fmt.Errorf("emailreply00: %s: %w", a, fmt.Errorf(format, args...))
	}
	if a.Challenge == nil {
		return fail("there is no challenge")
	}
	if err := json.Unmarshal(a.Challenge.Raw, &members); err != nil {
		return fail("the challenge cannot be read: %w", err)
	}
	c := Challenge{Address: a.Identifier.Value, From: members.From, Token: a.Challenge.Token, Thumbprint: a.Thumbprint}
	switch {
	case !isAddress(c.Address):
		return fail("the identifier is no mail address")
	case !isAddress(c.From):
		return fail("the challenge's from is %.100q, which is no mail address (RFC 8823 §3)", c.From)
	case c.Token == "" || len(c.Token) > maxPart || strings.Trim(c.Token, alphabet) != "":
		return fail("the challenge has no token of base64url characters")
	case c.Thumbprint == "":
		return fail("the attempt has no thumbprint")
	}
	return c, nil
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" // of base64url

// key tells challenges apart: the token is the challenge's own.
func (c Challenge) key() string { return "challenge " + c.Token + " " + c.From + " " + c.Address }

// String names the address.
func (c Challenge) String() string { return "email-reply-00 for " + c.Address }

// GoString names the address.
func (c Challenge) GoString() string { return c.String() }

// LogValue names the address.
func (c Challenge) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A Join is a way to make one token of the two parts. RFC 8823 does not say in so many
// words which one it means, and CAs differ.
type Join int

// Ways to join the parts.
const (
	// JoinText joins the parts as text, that of the mail first and without the
	// padding that its base64url may have: what the RFC says if one takes it
	// literally (§3), and what RFC 9891 does in its place.
	JoinText Join = iota

	// JoinPadded joins them as text with the padding, as the RFC's example has it.
	JoinPadded

	// JoinOctets decodes the parts, and encodes the octets of both.
	JoinOctets
)

const minOctets = 16 // 128 bits (RFC 8823 §3.1)

// KeyAuthorization returns the key authorization for the part of the token that came
// by mail (RFC 8823 §3, step 6). White space in the part is ignored. It fails if the
// part is not base64url, or shorter than 128 bits.
func (c Challenge) KeyAuthorization(part1 string, j Join) (acme.KeyAuthorization, error) {
	part1 = withoutSpace(part1)
	octets, err := decodePart(part1)
	if err != nil {
		return "", fmt.Errorf("emailreply00: %w", err)
	}
	var token string
	switch j {
	case JoinText:
		token = strings.TrimRight(part1, "=") + c.Token
	case JoinPadded:
		token = part1 + c.Token
	case JoinOctets:
		rest, err := base64.RawURLEncoding.DecodeString(c.Token)
		if err != nil {
			return "", fmt.Errorf("emailreply00: the challenge's token is not the base64url of octets: %w", err)
		}
		token = base64.RawURLEncoding.EncodeToString(append(octets, rest...))
	default:
		return "", fmt.Errorf("emailreply00: there is no Join %d", j)
	}
	return acme.KeyAuthorization(token + "." + c.Thumbprint), nil
}

// decodePart decodes token-part1, with padding or without.
func decodePart(part1 string) ([]byte, error) {
	text := strings.TrimRight(part1, "=")
	octets, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil || len(part1)-len(text) > 2 || len(part1) > maxPart || strings.ContainsAny(text, "\r\n"):
		return nil, errors.New("the token in the subject is no base64url") // it is not shown: it may be one, almost
	case len(octets) < minOctets:
		return nil, errors.New("the token in the subject has less than 128 bits (RFC 8823 §3.1)")
	}
	return octets, nil
}

const maxPart = 1024 // octets of a token

func withoutSpace(s string) string {
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
}

// Check reports whether a mail is the challenge's, by its addresses (RFC 8823 §3.1).
func (c Challenge) Check(m *Message) error {
	switch {
	case !sameAddress(m.From, c.From):
		return fmt.Errorf("emailreply00: the mail is from %.100q, not %s (RFC 8823 §3.1)", m.From, c.From)
	case !sameAddress(m.To, c.Address):
		return fmt.Errorf("emailreply00: the mail is for %.100q, not %s (RFC 8823 §3.1)", m.To, c.Address)
	}
	return nil
}

// isAddress reports whether s is a mail address alone, as it stands in a mail. One with
// quotation marks is not: nobody has one.
func isAddress(s string) bool {
	if _, err := (acme.Identifier{Type: acme.TypeEmail, Value: s}).Normalize(); err != nil || len(s) > maxAddress {
		return false
	}
	a, err := mail.ParseAddress("<" + s + ">")
	return err == nil && a.Address == s
}

const maxAddress = 320 // octets

// sameAddress compares addresses. Letters before the @ are what they are; domains may
// be in other letters, or have U-labels for A-labels.
func sameAddress(a, b string) bool {
	x, err := acme.Identifier{Type: acme.TypeEmail, Value: a}.Normalize()
	if err != nil {
		return false
	}
	y, err := acme.Identifier{Type: acme.TypeEmail, Value: b}.Normalize()
	return err == nil && x == y
}
