package dnspersist01

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// AnyDomain stands for the domain name in a [HashedURI] that is the same for all of
// them. It makes records easier to write, and to tell who has them in common.
const AnyDomain = "*"

const thumbprintLength = 43 // of SHA-256 in base64url

// HashedURI returns the URI by which a record of draft 02 names an account
// (section 4.1): the prefix is accountHashPrefix of the server's directory, the
// domain is that of the record, or [AnyDomain], and the thumbprint is that of the
// account's current key, [acme.Account.Thumbprint]. The algorithm is sha-256, which
// all servers support.
func HashedURI(prefix, domain, thumbprint, accountURL string) (string, error) {
	if domain != AnyDomain {
		var err error
		if domain, err = normalName(domain); err != nil {
			return "", err
		}
	}
	switch {
	case prefix == "":
		return "", fmt.Errorf("dnspersist01: %w: the server's directory has no accountHashPrefix (section 4.1)", errors.ErrUnsupported)
	case len(thumbprint) != thumbprintLength:
		return "", fmt.Errorf("dnspersist01: the thumbprint %q has %d characters, not %d", thumbprint, len(thumbprint), thumbprintLength)
	case accountURL == "":
		return "", errors.New("dnspersist01: no account URL")
	}
	input := append([]byte{byte(len(domain))}, domain+thumbprint+accountURL...)
	digest := sha256.Sum256(input)
	return prefix + "sha-256/" + base64.RawURLEncoding.EncodeToString(digest[:]), nil
}

// A subject is whose record is wanted, and for which name.
type subject struct {
	accountURL string
	thumbprint string
	name       string // without "*."
	wildcard   bool
}

// wanted returns the record for a subject, in the form that is hashed or not.
func (s *Solver) wanted(who subject, hashed bool) (Record, error) {
	r := Record{Issuer: s.issuer(), AccountURI: who.accountURL, Wildcard: who.wildcard || s.Wildcard}
	if !hashed {
		if s.AccountURI != "" {
			r.AccountURI = s.AccountURI
		}
		return r, nil
	}
	if len(s.Meta.Raw) == 0 {
		return r, errors.New("dnspersist01: Solver.Meta is not set: a record of draft 02 needs the accountHashPrefix of the server's directory (section 4.1)")
	}
	domain := who.name
	if s.AnyDomain {
		domain = AnyDomain
	}
	var err error
	r.AccountURI, err = HashedURI(parseMeta(s.Meta).accountHashPrefix, domain, who.thumbprint, who.accountURL)
	return r, err
}

// issuer is the name that records have.
func (s *Solver) issuer() string { return strings.ToLower(strings.TrimSuffix(s.Issuer, ".")) }

// Prepare returns the TXT record to make for a name, or for its wildcard, before
// anything was ordered, at a server of draft 02 (section 4.5). It first asks the
// server for the account, at exactly its URL, and whether it is valid, as must be
// done before somebody else is given the record to publish.
//
// Meta must be set, and have issuerDomainNames with the Issuer among them; if the
// server's directory does not, the error is errors.ErrUnsupported.
func (s *Solver) Prepare(ctx context.Context, account *acme.Account, name string) (dnstxt.Record, error) {
	meta := parseMeta(s.Meta)
	switch {
	case !meta.isComplete():
		return dnstxt.Record{}, fmt.Errorf("dnspersist01: %w: the directory in Solver.Meta has no issuerDomainNames or no accountHashPrefix, so what a record "+
			"should say is not known before there is a challenge (section 3.2); in the drafts before 02 it has the account URL", errors.ErrUnsupported)
	case !slices.Contains(meta.issuers, s.issuer()):
		return dnstxt.Record{}, fmt.Errorf("dnspersist01: Solver.Issuer is %q, and the directory's issuerDomainNames are %q", s.Issuer, meta.issuers)
	}
	who, err := subjectOf(account, name)
	if err != nil {
		return dnstxt.Record{}, err
	}
	r, err := s.wanted(who, true)
	if err != nil {
		return dnstxt.Record{}, err
	}
	info, err := account.Info(ctx)
	if err != nil {
		return dnstxt.Record{}, fmt.Errorf("dnspersist01: the account is verified before a record names it (section 4.5): %w", err)
	}
	if info.Status != acme.StatusValid {
		return dnstxt.Record{}, fmt.Errorf("dnspersist01: the account %s is %q, so that no record should name it (section 4.5)", account.URL(), info.Status)
	}
	return s.lasting(r).TXT(name)
}

func subjectOf(account *acme.Account, name string) (subject, error) {
	base, err := normalName(name)
	return subject{account.URL(), account.Thumbprint(), base, strings.HasPrefix(name, "*.")}, err
}
