package acme

import (
	"encoding/asn1"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// An IdentifierType names a kind of [Identifier]. The set is open.
type IdentifierType string

// Identifier types of the IANA registry and of drafts. Names below .onion are of
// type dns (RFC 9799 §2).
const (
	TypeDNS                         IdentifierType = "dns"                         // §9.7.7
	TypeIP                          IdentifierType = "ip"                          // RFC 8738 §3
	TypeEmail                       IdentifierType = "email"                       // RFC 8823 §3: an address
	TypeTNAuthList                  IdentifierType = "TNAuthList"                  // RFC 9448 §3: DER, as base64url
	TypeJWTClaimConstraints         IdentifierType = "JWTClaimConstraints"         // draft-ietf-acme-authority-token-jwtclaimcon: DER, as base64url
	TypeEnhancedJWTClaimConstraints IdentifierType = "EnhancedJWTClaimConstraints" // the same, of RFC 9118
	TypeBundleEID                   IdentifierType = "bundleEID"                   // RFC 9891 §2: a URI
	TypePermanentIdentifier         IdentifierType = "permanent-identifier"        // draft-ietf-acme-device-attest
	TypeHardwareModule              IdentifierType = "hardware-module"             // draft-ietf-acme-device-attest
)

// An Identifier is what a certificate vouches for (§7.1.3, §9.7.7).
type Identifier struct {
	Type  IdentifierType `json:"type"`
	Value string         `json:"value"`
}

// String returns the value, with the type in front of all but names and
// addresses.
func (id Identifier) String() string {
	if id.Type == TypeDNS || id.Type == TypeIP {
		return quoteIfOdd(id.Value)
	}
	return quoteIfOdd(string(id.Type)) + ":" + quoteIfOdd(id.Value)
}

// DNS returns identifiers for domain names. Wildcard names ("*.example.com")
// are fine. Unicode names are converted to A-labels, and all are checked, by
// [Account.NewOrder].
func DNS(names ...string) []Identifier {
	ids := make([]Identifier, len(names))
	for i, name := range names {
		ids[i] = Identifier{TypeDNS, name}
	}
	return ids
}

// IP returns identifiers for IP addresses (RFC 8738).
func IP(addrs ...netip.Addr) []Identifier {
	ids := make([]Identifier, len(addrs))
	for i, addr := range addrs {
		ids[i] = Identifier{TypeIP, addr.Unmap().String()}
	}
	return ids
}

// normalizeIdentifiers returns the identifiers in the form that they have on the
// wire, or an error that names the first one that is not what it should be.
func normalizeIdentifiers(ids []Identifier) ([]Identifier, error) {
	if len(ids) == 0 {
		return nil, ErrNoIdentifiers
	}
	out := make([]Identifier, len(ids))
	seen := make(map[Identifier]bool, len(ids))
	for i, id := range ids {
		n, err := id.Normalize()
		if err != nil {
			return nil, err
		}
		if seen[n] {
			return nil, fmt.Errorf("%w %s", ErrDuplicateIdentifier, quote(id.Value))
		}
		seen[n], out[i] = true, n
	}
	return out, nil
}

// Normalize returns the identifier in the form that it has on the wire, as in
// orders and attempts (§7.1.4, RFC 8738 §3): names in lower-case A-labels without
// a final dot, addresses in their canonical form; other types stay as they are.
// The error is [ErrInvalidIdentifier].
func (id Identifier) Normalize() (Identifier, error) {
	n, err := id.normalize()
	if err != nil {
		return Identifier{}, fmt.Errorf("%w %s: %w", ErrInvalidIdentifier, quote(id.Value), err)
	}
	return n, nil
}

// normalize brings names to lower-case A-labels without a final dot, and
// addresses to their canonical form, and checks what other types ask of a value.
// Types that are not known stay as they are.
func (id Identifier) normalize() (Identifier, error) {
	var err error
	switch {
	case id.Type == "":
		err = fmt.Errorf("it has no type")
	case id.Value == "":
		err = fmt.Errorf("it is empty")
	case id.Type == TypeDNS:
		id.Value, err = normalizeName(id.Value)
	case id.Type == TypeIP:
		id.Value, err = normalizeAddress(id.Value)
	case id.Type == TypeEmail:
		id.Value, err = normalizeEmail(id.Value)
	case id.Type == TypeBundleEID:
		err = checkEndpointID(id.Value)
	case extensionOf(id.Type) != "":
		err = checkDER(id.Value)
	}
	return id, err
}

// maxName is more than the 253 octets of a name have in any script. Package idna takes
// quadratic time for what is longer.
const maxName = 1024

func normalizeName(name string) (string, error) {
	base, wildcard := strings.CutPrefix(name, "*.")
	if err := checkNoAddress(strings.Trim(base, "[]")); err != nil {
		return "", err
	}
	switch {
	case len(base) > maxName:
		return "", fmt.Errorf("no domain name: it has %d octets", len(base))
	case strings.Contains(base, "*"):
		return "", fmt.Errorf(`a wildcard is one "*." in front (§7.1.3)`)
	case !utf8.ValidString(base):
		return "", fmt.Errorf("it is not UTF-8")
	case strings.ContainsAny(base, ":/@ "):
		return "", fmt.Errorf("a name has no scheme, port, path or space")
	}
	profile := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))
	ascii, err := profile.ToASCII(strings.TrimSuffix(base, "."))
	if err != nil {
		return "", fmt.Errorf("no domain name: %w", err)
	}
	if strings.HasSuffix(ascii, ".") { // idna lets one pass
		return "", fmt.Errorf("no domain name: an empty label at its end")
	}
	if err := checkNoAddress(ascii); err != nil { // "1.2.3.4.", and digits of other scripts
		return "", err
	}
	if err := checkOnion(ascii); err != nil {
		return "", err
	}
	if wildcard {
		ascii = "*." + ascii
	}
	return ascii, nil
}

func checkNoAddress(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return fmt.Errorf("it is an IP address: use IP, not DNS")
	}
	return nil
}

func normalizeAddress(s string) (string, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("no IP address")
	case addr.Zone() != "":
		return "", fmt.Errorf("an address for a certificate has no zone")
	}
	return addr.Unmap().String(), nil // RFC 8738 §3: RFC 5952 text
}

// normalizeEmail brings the domain of a mail address to the form of a name; the
// part before it is the mail server's business (RFC 8823 §3).
func normalizeEmail(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }
	switch {
	case strings.Contains(address, "*"):
		return "", fmt.Errorf("a mail address has no wildcard (RFC 8823 §3)")
	case !utf8.ValidString(address):
		return "", fmt.Errorf("it is not UTF-8")
	case at <= 0, strings.Contains(address[:at], "@") && address[0] != '"', strings.ContainsFunc(address, odd), strings.HasPrefix(strings.ToLower(address), "mailto:"):
		return "", fmt.Errorf("no mail address: want local@domain alone (RFC 8823 §3)")
	}
	domain, err := normalizeName(address[at+1:])
	return address[:at+1] + domain, err
}

// checkEndpointID finds what a server must refuse: an endpoint ID is a URI of one
// of the schemes of the Bundle Protocol, percent-encoded (RFC 9891 §2).
func checkEndpointID(uri string) error {
	scheme, rest, ok := strings.Cut(uri, ":")
	if scheme = strings.ToLower(scheme); !ok || rest == "" || scheme != "dtn" && scheme != "ipn" {
		return fmt.Errorf("no endpoint ID: want a URI like dtn://node/ or ipn:2.0 (RFC 9891 §2)")
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return fmt.Errorf("no endpoint ID: a character that is not percent-encoded (RFC 9891 §5)")
	}
	if _, err := url.PathUnescape(rest); err != nil {
		return fmt.Errorf("no endpoint ID: %w (RFC 9891 §2)", err)
	}
	return nil
}

// checkDER checks a value that is a sequence in DER as base64url (RFC 9448 §3).
func checkDER(value string) error {
	var elements []asn1.RawValue // which only a sequence has
	if der, err := decodeBase64URL(value); err == nil {
		if rest, err := asn1.Unmarshal(der, &elements); err == nil && len(rest) == 0 {
			return nil
		}
	}
	return fmt.Errorf("want a DER sequence as base64url, without padding (RFC 9448 §3)")
}

// missingFrom returns the identifiers of want that have is without, comparing
// normal forms. have may come from a server, and be long: only where something
// is missing at first sight is it normalized, and only up to a bound.
func missingFrom(have, want []Identifier) []Identifier {
	known := make(map[Identifier]bool, len(have))
	for _, id := range have {
		known[id] = true
	}
	isMissing := func(id Identifier) bool {
		if known[id] {
			return false
		}
		n, err := id.normalize()
		return err != nil || !known[n]
	}
	if !slices.ContainsFunc(want, isMissing) {
		return nil
	}
	for _, id := range have[:min(len(have), maxNormalized)] {
		if n, err := id.normalize(); err == nil {
			known[n] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(want), func(id Identifier) bool { return !isMissing(id) })
}

const maxNormalized = 5000 // identifiers of one list

// identifierList names identifiers for an error.
func identifierList(ids []Identifier) string {
	if len(ids) == 0 {
		return "no identifiers"
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return strings.Join(texts, ", ")
}
