package dnspersist01

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
)

// A Challenge is what a dns-persist-01 challenge says beside what all do
// (section 3.1).
type Challenge struct {
	// Issuers are the names that a record may have, those that are in the normal
	// form.
	Issuers []string

	// AccountURI is the URI of the account that the server expects, in draft 01.
	// Empty in the others.
	AccountURI string

	// Hashed is true in draft 02, where the record has a [HashedURI].
	Hashed bool
}

const maxIssuers = 10 // section 3.1

// ParseChallenge reads a challenge object of any of the drafts. Draft 01 has an
// accounturi, draft 02 another name for the list of issuers, and draft 00 neither;
// one with both lists and no accounturi counts as draft 02. An error that Is
// [acme.ErrMalformedResponse] says that the list has no names or more than ten, or
// that the members are not what they should be.
func ParseChallenge(c *acme.Challenge) (Challenge, error) {
	bad := func(reason string) (Challenge, error) {
		return Challenge{}, fmt.Errorf("dnspersist01: %w: the challenge %s %s", acme.ErrMalformedResponse, c.URL, reason)
	}
	var object struct {
		Issuers    []string `json:"issuerDomainNames"`   // draft 02
		Hyphenated []string `json:"issuer-domain-names"` // drafts 00 and 01
		AccountURI string   `json:"accounturi"`          // draft 01
	}
	if err := json.Unmarshal(c.Raw, &object); err != nil {
		return bad("cannot be read: " + err.Error())
	}
	parsed := Challenge{AccountURI: object.AccountURI}
	names := object.Hyphenated
	if object.AccountURI == "" && object.Issuers != nil || names == nil {
		parsed.Hashed = object.AccountURI == ""
		names = object.Issuers
	}
	if len(names) == 0 || len(names) > maxIssuers {
		return bad(fmt.Sprintf("has %d issuer names, not 1 to %d (section 3.1)", len(names), maxIssuers))
	}
	for _, name := range names {
		if isIssuer(name) {
			parsed.Issuers = append(parsed.Issuers, name)
		}
	}
	if parsed.Issuers == nil {
		return bad(fmt.Sprintf("has no issuer name in lower-case A-labels without a final dot: %.300q (section 3.1)", names))
	}
	return parsed, nil
}

// isIssuer reports whether a name is in the normal form (section 3.1).
func isIssuer(name string) bool {
	_, err := caa.NewValue(name)
	return name != "" && err == nil && name == strings.ToLower(name)
}

// A metadata is what the directory of a server of draft 02 says (sections 3.2, 4.1).
// What is missing or nonconforming is empty.
type metadata struct {
	issuers           []string // issuerDomainNames
	accountHashPrefix string
	identities        []string // caaIdentities
}

// isComplete reports whether records can be known before there is a challenge.
func (m metadata) isComplete() bool { return len(m.issuers) > 0 && m.accountHashPrefix != "" }

// parseMeta reads the meta object.
func parseMeta(m acme.DirectoryMeta) metadata {
	var object struct {
		Issuers           json.RawMessage `json:"issuerDomainNames"`
		AccountHashPrefix json.RawMessage `json:"accountHashPrefix"`
	}
	var meta metadata
	_ = json.Unmarshal(m.Raw, &object) // if it is no object, it says nothing
	_ = json.Unmarshal(object.AccountHashPrefix, &meta.accountHashPrefix)
	if json.Unmarshal(object.Issuers, &meta.issuers) != nil || len(meta.issuers) > maxIssuers ||
		slices.ContainsFunc(meta.issuers, func(name string) bool { return !isIssuer(name) }) {
		meta.issuers = nil
	}
	for _, name := range m.CAAIdentities {
		if name = strings.ToLower(strings.TrimSuffix(name, ".")); !isIssuer(name) {
			meta.identities = nil
			break
		}
		meta.identities = append(meta.identities, name)
	}
	return meta
}

// check returns an error if a challenge of draft 02 contradicts the directory: all
// names of that must be in the challenge, and all names of the challenge among the
// caaIdentities (section 3.2), as far as these are conforming.
func (m metadata) check(c Challenge) error {
	bad := func(name, have, where string) error {
		return fmt.Errorf("dnspersist01: %w: the issuer name %q is in the %s, but not in the %s (section 3.2)", acme.ErrMalformedResponse, name, have, where)
	}
	for _, name := range m.issuers {
		if !slices.Contains(c.Issuers, name) {
			return bad(name, "directory", "challenge")
		}
	}
	for _, name := range c.Issuers {
		if m.identities != nil && !slices.Contains(m.identities, name) {
			return bad(name, "challenge", "directory's caaIdentities")
		}
	}
	return nil
}
