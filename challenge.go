package acme

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// A ChallengeType names a way to prove control of an identifier. The set is
// open.
type ChallengeType string

// Challenge types of the IANA registry and of drafts.
const (
	HTTP01         ChallengeType = "http-01"          // §8.3
	DNS01          ChallengeType = "dns-01"           // §8.4
	TLSALPN01      ChallengeType = "tls-alpn-01"      // RFC 8737
	EmailReply00   ChallengeType = "email-reply-00"   // RFC 8823
	TKAuth01       ChallengeType = "tkauth-01"        // RFC 9447
	OnionCSR01     ChallengeType = "onion-csr-01"     // RFC 9799
	BPNodeID00     ChallengeType = "bp-nodeid-00"     // RFC 9891
	DeviceAttest01 ChallengeType = "device-attest-01" // draft-ietf-acme-device-attest
	DNSAccount01   ChallengeType = "dns-account-01"   // draft-ietf-acme-dns-account-label
	DNSPersist01   ChallengeType = "dns-persist-01"   // draft-ietf-acme-dns-persist
)

// A KeyAuthorization binds a challenge's token to an account key (§8.1). It is
// meant to be published; convert it with string(k).
type KeyAuthorization string

// Digest returns the SHA-256 digest: its base64url form is the TXT record of
// dns-01 (§8.4), its octets go into the certificate of tls-alpn-01 (RFC 8737 §3).
func (k KeyAuthorization) Digest() [sha256.Size]byte { return sha256.Sum256([]byte(k)) }

// LogValue hides the key authorization from logs.
func (k KeyAuthorization) LogValue() slog.Value { return slog.StringValue("[key authorization]") }

// A Challenge is a challenge as the server has it (§8). It is plain data.
type Challenge struct {
	URL        string
	Type       ChallengeType
	Status     Status          // StatusPending if the server did not say (§8)
	Token      string          // base64url; empty if the type has none, or if the server's is not base64url
	Validated  time.Time       // zero until then
	Error      *Problem        // of the last validation, also while the server goes on trying
	RetryAfter time.Time       // when to read it again, if the server said
	Raw        json.RawMessage `json:",omitzero"`

	refused string // a token that is not base64url
}

// decode reads a challenge object. A token that is not base64url is left
// out: tokens end up in paths and names, and made files of an attacker's choice
// in other clients (CVE-2026-40611).
func (c *Challenge) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*c = Challenge{
		URL:       link(m["url"]),
		Type:      ChallengeType(text(m["type"])),
		Status:    Status(text(m["status"])),
		Validated: date(m["validated"]),
		Raw:       append(json.RawMessage(nil), data...),
	}
	if c.Status == "" {
		c.Status = StatusPending
	}
	c.Error = embeddedProblem(m["error"])
	if token := text(m["token"]); isBase64URL(token) {
		c.Token = token
	} else {
		c.refused = token
	}
	return nil
}

// isOpen reports whether a challenge may still become valid.
func (c *Challenge) isOpen() bool { return c.Status != StatusValid && c.Status != StatusInvalid }

// RespondChallenge tells the server that a challenge can be validated (§7.5.1).
// The response is what the challenge's type wants, encoded as JSON; nil stands
// for {}, which http-01, dns-01 and tls-alpn-01 want. Do not respond to a
// challenge of an authorization that is valid already.
//
// If the answer is lost, the challenge is read, and the response is sent again
// only if it had not arrived. A challenge that comes back pending or processing
// with an Error is one that the server failed to validate and will try again.
func (a *Account) RespondChallenge(ctx context.Context, url string, response any) (*Challenge, error) {
	if response == nil {
		response = struct{}{}
	}
	c, err := a.challenge(ctx, OpRespondChallenge, url, response)
	if err == nil || !isTransient(err) && !errors.Is(err, ErrMalformedResponse) || ctx.Err() != nil {
		return c, err
	}
	if read, lookErr := a.challenge(ctx, OpChallenge, url, nil); lookErr != nil || read.Status != StatusPending || read.Error != nil {
		if lookErr != nil {
			return nil, err
		}
		return read, nil
	}
	if !a.client.mayRepeat(ctx, 1, err) {
		return nil, err
	}
	return a.challenge(ctx, OpRespondChallenge, url, response)
}

// challenge sends to a challenge's URL and reads the challenge.
func (a *Account) challenge(ctx context.Context, op Operation, url string, body any) (*Challenge, error) {
	resp, err := a.post(ctx, op, url, body)
	if err != nil {
		return nil, err
	}
	c := new(Challenge)
	if len(resp.Body) > 0 {
		if err := resp.decode(c); err != nil {
			return nil, wrap(err, "%s %s", op, url)
		}
	}
	if c.Status == "" {
		c.Status = StatusProcessing // accepted without a word
	}
	c.URL, c.RetryAfter = url, resp.RetryAfter
	a.client.log(ctx, slog.LevelInfo, "acme: challenge", urlAttr(url), typeAttr(c.Type), statusAttr(c.Status))
	return c, nil
}
