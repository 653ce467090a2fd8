package challengetest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/onion"
)

const (
	accountURL = "https://ca.example/account/1"
	thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of RFC 7638 §3.1
)

// NewAttempt returns an attempt at a pending challenge as it comes from a
// server, for tests of a solver besides [TestSolver]. The identifier of a
// wildcard has "*." in front.
//
// The key authorization is the token, a dot, and the same thumbprint in all
// attempts. Without a token there is none, and types that have no token
// (dns-persist-01, onion-csr-01, bp-nodeid-00) never get one.
func NewAttempt(typ acme.ChallengeType, id acme.Identifier, token string) *acme.Attempt {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s %s %s", typ, id.Value, clip(token)))
	members := map[string]any{
		"type":   typ,
		"url":    fmt.Sprintf("https://ca.example/challenge/%x", digest[:8]),
		"status": acme.StatusPending,
	}
	maps.Copy(members, membersOf(typ, token))
	raw, err := json.Marshal(members)
	if err != nil {
		panic(err) // there are only strings
	}
	challenge := &acme.Challenge{URL: members["url"].(string), Type: typ, Status: acme.StatusPending, Raw: raw}
	challenge.Token, _ = members["token"].(string)
	a := &acme.Attempt{AccountURL: accountURL, Identifier: id, Challenge: challenge, Thumbprint: thumbprint}
	a.Identifier.Value, a.Wildcard = strings.CutPrefix(id.Value, "*.")
	if challenge.Token != "" {
		a.KeyAuthorization = acme.KeyAuthorization(challenge.Token + "." + thumbprint)
	}
	return a
}

// membersOf returns the members of a challenge that depend on its type.
func membersOf(typ acme.ChallengeType, token string) map[string]any {
	switch typ {
	case acme.EmailReply00: // RFC 8823 §3: an address for each challenge, as in the RFC's example
		digest := sha256.Sum256([]byte(token))
		return map[string]any{"token": token, "from": fmt.Sprintf("acme-challenge+%x@ca.example", digest[:8])}
	case acme.TKAuth01: // RFC 9447 §3
		return map[string]any{"token": token, "tkauth-type": "atc", "token-authority": "https://authority.example"}
	case acme.OnionCSR01: // RFC 9799 §3.2
		return map[string]any{"nonce": base64.StdEncoding.EncodeToString([]byte(token))}
	case acme.BPNodeID00: // RFC 9891 §3.1
		return map[string]any{"id-chal": "dDtaviYTPUWFS3NK37YWfQ", "token-chal": token}
	case acme.DNSPersist01: // draft-ietf-acme-dns-persist: the names of several versions
		names := []string{"ca.example"}
		return map[string]any{"accounturi": accountURL, "issuer-domain-names": names, "issuerDomainNames": names}
	default:
		return map[string]any{"token": token}
	}
}

// newToken returns a token as servers make them. The nth begins with a
// character that depends on n: those that are special elsewhere come first.
func newToken(n int64) string {
	random := make([]byte, sha256.Size)
	_, _ = rand.Read(random) // it never fails
	return string("-_A"[n%3]) + base64.RawURLEncoding.EncodeToString(random)[1:]
}

// clone copies an attempt, as another order gets it.
func clone(a *acme.Attempt) *acme.Attempt {
	c, challenge := *a, *a.Challenge
	challenge.Raw = bytes.Clone(challenge.Raw)
	c.Challenge = &challenge
	return &c
}

// A kind is a sort of identifier.
type kind struct {
	name string
	nth  func(n int64) acme.Identifier
}

const (
	plainName = "a plain name"
	wildcard  = "a wildcard"
)

// kinds returns the sorts of identifiers that a solver may support. Onion names are
// for one challenge type, though others may take them for names like any other.
func kinds(typ acme.ChallengeType) []kind {
	if typ == acme.OnionCSR01 {
		return []kind{
			{"an onion name", func(n int64) acme.Identifier { return acme.DNS(onionName(n))[0] }},
			{"a wildcard of an onion name", func(n int64) acme.Identifier { return acme.DNS("*." + onionName(n))[0] }},
		}
	}
	format := func(typ acme.IdentifierType, format string) func(int64) acme.Identifier {
		return func(n int64) acme.Identifier { return acme.Identifier{Type: typ, Value: fmt.Sprintf(format, n)} }
	}
	return []kind{
		{plainName, format(acme.TypeDNS, "n%d.example.com")},
		{wildcard, format(acme.TypeDNS, "*.n%d.example.com")},
		{"an IPv4 address", func(n int64) acme.Identifier { return address([]byte{192, 0, 2, byte(n)}) }},
		{"an IPv6 address", func(n int64) acme.Identifier {
			return address([]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n)})
		}},
		{"a mail address", format("email", "n%d@example.com")},
		{"a permanent identifier", format("permanent-identifier", "SN%08d")},
		{"a hardware module", format("hardware-module", "HW%08d")},
		{"a node of a delay-tolerant network", format("bundleEID", "dtn://n%d.example.com/")},
		{"telephone numbers", func(n int64) acme.Identifier {
			return acme.Identifier{Type: "TNAuthList", Value: telephoneNumber(n)}
		}},
	}
}

// maxOnions is the number of hidden services that there are keys for: more than a
// subtest has attempts.
const maxOnions = 512

// OnionKeys returns the keys of the hidden services whose names the suite orders
// certificates for (RFC 9799). They are the same each time, and no secret.
func OnionKeys() []ed25519.PrivateKey {
	keys := make([]ed25519.PrivateKey, maxOnions)
	for n := range keys {
		keys[n] = onionKey(int64(n))
	}
	return keys
}

func onionKey(n int64) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "challengetest %d", n%maxOnions))
	return ed25519.NewKeyFromSeed(seed[:])
}

func onionName(n int64) string { return onion.Name(onionKey(n).Public().(ed25519.PublicKey)) }

func address(octets []byte) acme.Identifier {
	addr, _ := netip.AddrFromSlice(octets)
	return acme.IP(addr)[0]
}

// telephoneNumber returns a TNAuthList with one number (RFC 8226 §9), in
// base64url.
func telephoneNumber(n int64) string {
	number := fmt.Sprintf("1202555%04d", n%10000)
	der := append([]byte{0x30, 15, 0xa2, 13, 0x16, 11}, number...)
	return base64.RawURLEncoding.EncodeToString(der)
}
