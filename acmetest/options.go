package acmetest

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Options says what kind of CA a [Server] is. The zero value is a fast, friendly, correct CA that validates everything and
// issues at once. Use [Server.Update] to change options while a server runs.
type Options struct {
	// TermsOfService is the URL of the terms in the directory. Not empty: newAccount requests must agree to it (§7.3), and
	// accounts that agreed to another URL are stopped at newOrder until [Server.AgreeToTerms] (§7.3.3).
	TermsOfService string

	// Website and CAAIdentities are passed on in the directory (§7.1.1).
	Website       string
	CAAIdentities []string

	// ExternalAccounts maps key identifiers to MAC keys (§7.3.4). Not nil: a binding that is sent is verified completely and
	// reflected. Nil: bindings are ignored, as the RFC allows.
	ExternalAccounts map[string][]byte

	// ExternalAccountRequired refuses newAccount requests without a binding.
	ExternalAccountRequired bool

	// Profiles maps the names of the certificate profiles on offer to their descriptions (draft-ietf-acme-profiles).
	// A profile that is not on the list is refused with invalidProfile.
	Profiles map[string]string

	// DefaultProfile is the profile of orders that ask for none; the order object shows it.
	DefaultProfile string

	// SubdomainAuth authorizes subdomains by their ancestors (RFC 9444): an identifier of newOrder may have an ancestorDomain,
	// one of newAuthz subdomainAuthAllowed. Where an order names an ancestor, ChooseAncestor says which domain between it and
	// the name is authorized; the ancestor itself if ChooseAncestor is nil.
	SubdomainAuth  bool
	ChooseAncestor func(name, ancestor string) string

	// AutoRenewal, if not nil, offers series of short-term certificates (RFC 8739). The next one is there when half of the
	// lifetime is over.
	AutoRenewal *AutoRenewal

	// AllowCertificateGet lets certificates be fetched without an account, where the order asks for it (RFC 9115 §2.3.5).
	AllowCertificateGet bool

	// Delegations, if not nil, make the server that of an identifier owner: its accounts may order for these names without
	// authorizations (RFC 9115). The certificates are at another server, https://issuer.test, which [Server.HTTPClient] finds
	// here; it gives them away without an account if AllowCertificateGet or AutoRenewal.AllowCertificateGet is set, else such
	// orders become invalid.
	Delegations []Delegation

	// AlternateChains is the number of further roots that cross-sign the intermediate. Each is one more
	// Link rel="alternate" at a certificate (§7.4.2).
	AlternateChains int

	// OnionCAARequired wants onionCAA in finalize requests of orders with onion names (RFC 9799 §6.4.1), and says so in the
	// directory. Without it, it is checked where it is sent.
	OnionCAARequired bool

	// MetaFields adds members to the "meta" object of the directory.
	MetaFields map[string]any

	// OmitFromDirectory names members that the directory does not have: "revokeCert", "keyChange", "newAuthz",
	// "renewalInfo", "meta" and so on. The resources behind them answer 404.
	OmitFromDirectory []string

	// ChallengeTypes are the types offered, in this order. Nil: http-01, dns-01 and tls-alpn-01, and for onion
	// names onion-csr-01, http-01 and tls-alpn-01. Whatever is set, wildcards
	// are not offered http-01 and tls-alpn-01, nor IP addresses dns-01 (RFC 8738 §7), and email-reply-00, tkauth-01, bp-nodeid-00
	// and device-attest-01 are offered for the identifier types that they are for.
	ChallengeTypes []string

	// ChallengeFields adds members to the challenge objects of a type, for challenge types that have more than a token. A nil
	// value takes a member out.
	ChallengeFields map[string]map[string]any

	// IdentifierTypes are accepted beside "dns" and "ip". The values of "email" (RFC 8823), "TNAuthList" (RFC 9448),
	// "JWTClaimConstraints", "EnhancedJWTClaimConstraints", "bundleEID" (RFC 9891), "permanent-identifier" and
	// "hardware-module" are checked and looked for in the CSR, which may leave the last two out; those of other types are not.
	IdentifierTypes []string

	// RejectIdentifiers are values the CA does not issue for: rejectedIdentifier with a subproblem each.
	RejectIdentifiers []string

	// Extensions names members that newAccount, newOrder, newAuthz, finalize and revokeCert requests may have beyond those
	// of RFC 8555, RFC 9773 and profiles. Those of an order are reflected in the order object.
	Extensions []string

	// ReuseAuthorizations puts valid authorizations of the same account and identifier into new orders. Those obtained by
	// newAuthz are always reused (§7.4.1). For an ancestor domain it takes one that is for subdomains (RFC 9444 §4.1).
	ReuseAuthorizations bool

	// ReuseOrders answers newOrder with the account's pending or ready order for the same identifiers, if there is one that was
	// asked for in the same way. Auto-renewal and delegated orders are always new.
	ReuseOrders bool

	// PreValidated authorizations are born valid, without challenges, and orders ready.
	PreValidated bool

	// Shuffle lists the identifiers and authorizations of an order in another order than that of the request (§7.4).
	Shuffle bool

	// Validate decides about a challenge the client has responded to. Nil: every validation succeeds. An error that is (in
	// the sense of errors.As) a *[Problem] becomes the challenge's error, any other error an incorrectResponse. It is called
	// concurrently and with no lock held, with the context of the request that made the result due; if that context ends
	// first, the validation is tried again at a later request.
	Validate func(ctx context.Context, v Validation) error

	// ValidationTime is how long a challenge is "processing". The result is settled by the first request that arrives after
	// it. Zero: before the challenge request is answered.
	ValidationTime time.Duration

	// ValidationAttempts is how often Validate may fail before the challenge is invalid (§8.2). Until then the challenge is
	// processing, with the error of the last attempt. 0 and 1: the first failure is final.
	ValidationAttempts int

	// IssuanceTime is how long an order is "processing" after finalize. Zero: finalize answers "valid".
	IssuanceTime time.Duration

	// IssuanceError, if not nil, makes orders invalid, with this error, where a certificate would be issued.
	IssuanceError *Problem

	// OrderLifetime, AuthorizationLifetime and CertificateLifetime say how long new ones live, when the client does not.
	// Zero: 7, 30 and 90 days. A pending authorization lives as long as an order.
	OrderLifetime         time.Duration
	AuthorizationLifetime time.Duration
	CertificateLifetime   time.Duration

	// OrdersPerPage is the size of a page of an account's orders list (§7.1.2.1). Zero: 10.
	OrdersPerPage int

	// RenewalWindow is the suggestedWindow of a certificate (RFC 9773 §4.2). Nil: the middle of its last third.
	RenewalWindow func(leaf *x509.Certificate) (start, end time.Time)

	// Latency is added to every request: half on the way to the CA, half on the way back.
	Latency time.Duration

	// BadNonce is the share of good nonces, from 0 to 1, that are rejected all the same. Which ones depends on
	// Seed, so a sequence of requests meets the same fate each time. The nonce of a badNonce answer is
	// not spared, so a client sees several in a row.
	BadNonce float64

	// Seed is where BadNonce and Shuffle start from. It is read by [NewServer] only.
	Seed uint64

	// OmitLocation sends no Location but where RFC 8555 promises one: newAccount, newOrder, newAuthz and the conflict of
	// keyChange.
	OmitLocation bool

	// OmitNonceOnErrors sends error answers, badNonce included, without Replay-Nonce, as some CAs do.
	OmitNonceOnErrors bool

	// RetryAfter is the value of a Retry-After header, sent as it is. It goes with orders that are pending or processing,
	// with authorizations that are pending, with challenges that are pending or processing, and with every accepted
	// finalize, whatever its status. It does not go with newOrder and newAuthz.
	RetryAfter string

	// Fault is asked for every request after it was parsed and before it is acted on; nil means no fault. It is called
	// concurrently and with no lock held. Ready-made ones: [FaultOnce], [FaultKind], [FaultAt] and others.
	Fault func(r Request) *Fault

	// Strict fails the test for each of the [Server.Violations], when the server is closed.
	Strict bool
}

// A Validation is what [Options].Validate decides about.
type Validation struct {
	Identifier Identifier // never with "*."
	Wildcard   bool       // the order asked for "*." and Identifier
	Type       string     // the challenge type, "http-01"
	Token      string     // of bp-nodeid-00 its token-chal

	// KeyAuthorization is what the client must prove to know (§8.1), where the token is all of it.
	KeyAuthorization string

	// MailToken is the part of the token that [Server.ChallengeMails] has, of email-reply-00 (RFC 8823 §3).
	MailToken string

	AccountURL string
	Thumbprint string          // of the account key (RFC 7638)
	Challenge  json.RawMessage // the challenge object, as it was served
	Response   json.RawMessage // the payload of the client's response, usually {}
}

// An Identifier names what a certificate is for (§9.7.7).
type Identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// clone separates the options from the caller's maps and slices, because they are read while requests are served.
func (o Options) clone() Options {
	o.CAAIdentities = slices.Clone(o.CAAIdentities)
	o.ExternalAccounts = maps.Clone(o.ExternalAccounts)
	o.Profiles = maps.Clone(o.Profiles)
	o.OmitFromDirectory = slices.Clone(o.OmitFromDirectory)
	o.ChallengeTypes = slices.Clone(o.ChallengeTypes)
	o.ChallengeFields = maps.Clone(o.ChallengeFields)
	o.MetaFields = maps.Clone(o.MetaFields)
	o.IdentifierTypes = slices.Clone(o.IdentifierTypes)
	o.RejectIdentifiers = slices.Clone(o.RejectIdentifiers)
	o.Extensions = slices.Clone(o.Extensions)
	o.Delegations = slices.Clone(o.Delegations)
	return o
}

// omits reports whether the directory lacks the member name.
func (o *Options) omits(name string) bool { return slices.Contains(o.OmitFromDirectory, name) }

func (o *Options) orderLifetime() time.Duration { return orDays(o.OrderLifetime, 7) }
func (o *Options) authorizationLifetime() time.Duration {
	return orDays(o.AuthorizationLifetime, 30)
}
func (o *Options) certificateLifetime() time.Duration { return orDays(o.CertificateLifetime, 90) }

func orDays(d time.Duration, days int) time.Duration {
	if d != 0 {
		return d
	}
	return time.Duration(days) * 24 * time.Hour
}
