package pebble

import (
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
)

// Options says how a [Server] behaves. The zero value is a well-behaved CA:
// it validates for real and at once, rejects no good nonce, reuses no
// authorization and issues for 90 days. Most of Pebble's deliberate rudeness
// is off until it is asked for.
type Options struct {
	// Strict makes Pebble as strict as its -strict flag: a challenge is
	// answered with {} and nothing else, and no body has a "resource" member.
	Strict bool

	// NonceReject is the percentage of good nonces that are rejected as
	// badNonce, 0 to 100. 100 rejects every request that is signed.
	NonceReject int

	// AuthorizationReuse is the percentage of identifiers in a new order for
	// which a valid authorization of the same account is reused, 0 to 100.
	// 0 means never, which Pebble alone cannot do: its own 0 is 1 %.
	AuthorizationReuse int

	// ExternalAccounts maps key identifiers to MAC keys, base64url without
	// padding, that an external account binding may be made with.
	ExternalAccounts map[string]string

	// ExternalAccountRequired refuses new accounts without such a binding.
	ExternalAccountRequired bool

	// Profiles are the certificate profiles on offer, by name. Nil means one,
	// named "default". Pebble chooses at random when an order names none.
	Profiles map[string]Profile

	// RetryAfterAuthorization and RetryAfterOrder are the seconds in the
	// Retry-After header of an authorization whose challenge is being
	// validated, and of an order that is processing. Pebble tosses a coin
	// whether to send seconds or a date. 0 means no header.
	RetryAfterAuthorization, RetryAfterOrder int

	// AlternateRoots is the number of alternate chains, each with a root of
	// its own, beside the default one.
	AlternateRoots int

	// ChainLength is the number of intermediates in a chain; 0 means 1.
	ChainLength int

	// KeyAlgorithm is "ecdsa" or "rsa", for the CA's keys; "" means ecdsa,
	// which starts faster.
	KeyAlgorithm string

	// CAAIdentities are listed in the directory and are the issuer names of
	// dns-persist-01 challenges; nil means pebble.letsencrypt.org.
	CAAIdentities []string

	// BlockedDomains are refused in orders as rejectedIdentifier, and so are
	// all names below them.
	BlockedDomains []string

	// ValidationSleep lets Pebble sleep up to 4 seconds before it validates.
	ValidationSleep bool

	// AlwaysValid makes every challenge succeed without being looked at.
	AlwaysValid bool

	// OrdersPerPage is the length of a page in the list of orders; 0 means 3.
	OrdersPerPage int

	// Resolver is the address (host:port) of a DNS server to validate with.
	// It is asked over TCP. "" means the one that is part of the Server.
	Resolver string

	// HTTPPort and TLSPort are the ports that http-01 and tls-alpn-01 are
	// asked on. 0 means a free one, which [Start] opens and keeps, so that
	// nobody else can take it: get it with [Server.ListenHTTP] and
	// [Server.ListenTLS]. Any other port is left to the caller to listen on,
	// with those methods or without.
	HTTPPort, TLSPort int

	// ShowProcessing lets the order be seen in state "processing": issuance
	// waits until the order has been fetched once after it was finalized, or
	// for RetryAfterOrder and one more second. Without it finalize is
	// answered when the certificate is there, although the answer itself
	// still says "processing", as Pebble's always does.
	ShowProcessing bool

	// Log is where Pebble's log goes until Close; nil means nowhere.
	Log *log.Logger
}

// A Profile describes the certificates of an order that names it.
type Profile struct {
	// Description is shown in the directory.
	Description string
	// Validity is how long certificates last, in whole seconds; 0 means 90 days.
	Validity time.Duration
	// PromoteCommonName puts the first name into the subject, too.
	PromoteCommonName bool
}

// check returns a copy of o with defaults filled in, or what is wrong with it.
func (o Options) check() (Options, error) {
	var errs []error
	upTo := func(high int, name string, value int) {
		if value < 0 || value > high {
			errs = append(errs, fmt.Errorf("%s %d is not within 0 and %d", name, value, high))
		}
	}
	const many = 1 << 20
	upTo(100, "NonceReject", o.NonceReject)
	upTo(100, "AuthorizationReuse", o.AuthorizationReuse)
	upTo(many, "RetryAfterAuthorization", o.RetryAfterAuthorization)
	upTo(many, "RetryAfterOrder", o.RetryAfterOrder)
	upTo(100, "AlternateRoots", o.AlternateRoots)
	upTo(100, "ChainLength", o.ChainLength)
	upTo(many, "OrdersPerPage", o.OrdersPerPage)
	upTo(65535, "HTTPPort", o.HTTPPort)
	upTo(65535, "TLSPort", o.TLSPort)
	if o.KeyAlgorithm == "" {
		o.KeyAlgorithm = "ecdsa"
	}
	if o.KeyAlgorithm != "ecdsa" && o.KeyAlgorithm != "rsa" {
		errs = append(errs, fmt.Errorf("KeyAlgorithm %q is neither ecdsa nor rsa", o.KeyAlgorithm))
	}
	if o.ChainLength == 0 {
		o.ChainLength = 1
	}
	if o.OrdersPerPage == 0 {
		o.OrdersPerPage = 3
	}
	if len(o.CAAIdentities) == 0 {
		o.CAAIdentities = []string{"pebble.letsencrypt.org"}
	}
	for name, p := range o.Profiles {
		if p.Validity < 0 || p.Validity%time.Second != 0 {
			errs = append(errs, fmt.Errorf("profile %q: Validity %v is no number of seconds", name, p.Validity))
		}
	}
	o.BlockedDomains = slices.Clone(o.BlockedDomains)
	for i, name := range o.BlockedDomains {
		o.BlockedDomains[i] = strings.ToLower(name)
	}
	return o, errors.Join(errs...)
}

// profiles returns o.Profiles as Pebble wants them: at least one.
func (o Options) profiles() map[string]ca.Profile {
	if len(o.Profiles) == 0 {
		return map[string]ca.Profile{"default": {Description: "The default profile"}}
	}
	converted := make(map[string]ca.Profile, len(o.Profiles))
	for name, p := range o.Profiles {
		converted[name] = ca.Profile{
			Description:       p.Description,
			ValidityPeriod:    uint64(p.Validity / time.Second),
			PromoteCommonName: p.PromoteCommonName,
		}
	}
	return converted
}
