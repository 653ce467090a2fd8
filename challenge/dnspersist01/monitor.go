package dnspersist01

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// values looks records up, and returns where they are.
func (s *Solver) values(ctx context.Context, name string) (at string, values []string, err error) {
	if at, err = Name(name); err != nil {
		return "", nil, err
	}
	lookup := s.Lookup
	if lookup == nil {
		lookup = s.resolver.TXT
	}
	if values, err = lookup(ctx, at); err != nil {
		return at, nil, fmt.Errorf("dnspersist01: looking for the record at %s: %w", at, err)
	}
	return at, values, nil
}

// Check looks once whether the challenge would pass: whether there is a record for
// it. It is for [acme.Checked], around a solver of your own.
func (s *Solver) Check(ctx context.Context, a *acme.Attempt) error {
	r, err := s.Record(a)
	if err != nil {
		return err
	}
	_, found, err := s.look(ctx, a.Identifier.Value, r)
	return errors.Join(found, err)
}

// CheckOrder looks before an order whether there are records for its names, none of
// which ends within the hour, without asking the server: in the form of draft 02 if
// Meta has what that needs, else in that of the drafts before. Identifiers that are
// no names are passed over. The error joins those of all names, and Is
// [acme.ErrCheckFailed] if records are missing.
func (s *Solver) CheckOrder(ctx context.Context, account *acme.Account, ids ...acme.Identifier) error {
	var errs []error
	for _, id := range ids {
		if id.Type == acme.TypeDNS {
			errs = append(errs, s.checkName(ctx, account, id.Value))
		}
	}
	return errors.Join(errs...)
}

func (s *Solver) checkName(ctx context.Context, account *acme.Account, name string) error {
	who, err := subjectOf(account, name)
	if err != nil {
		return err
	}
	r, err := s.wanted(who, parseMeta(s.Meta).isComplete())
	if err != nil {
		return err
	}
	_, found, err := s.look(ctx, who.name, r)
	return errors.Join(found, err)
}

// Remove removes the records of an account for a name, and for its wildcard, from
// the zone that the Provider has, which ends what they allow (section 7.11): those
// with the Issuer and the account, in the form of any draft. Those of other CAs and
// accounts stay. It returns what it has removed.
//
// A Provider that is no [dnstxt.Remover] does not remove what it did not add, or
// not in this process; the error is then errors.ErrUnsupported, and lists the
// records for somebody to remove by hand. Certificates that were issued stay valid,
// and so do authorizations, for a while.
func (s *Solver) Remove(ctx context.Context, account *acme.Account, name string) ([]dnstxt.Record, error) {
	own, err := s.own(ctx, account, name)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	remover, ok := s.Provider.(dnstxt.Remover)
	if !ok {
		lines := make([]string, len(own))
		for i, r := range own {
			lines[i] = zoneLine(r)
		}
		return nil, fmt.Errorf("dnspersist01: %w: the Provider cannot remove records that it did not add: %s", errors.ErrUnsupported, strings.Join(lines, "; "))
	}
	written := slices.Clone(own)
	for i := range written {
		if s.Alias == nil {
			break
		}
		if written[i].Name, err = s.Alias(ctx, written[i].Name); err != nil {
			return nil, fmt.Errorf("dnspersist01: %w", err)
		}
	}
	if err := remover.Remove(ctx, written); err != nil {
		return nil, fmt.Errorf("dnspersist01: %w", err)
	}
	return own, nil
}

// own returns the records at a name that are of the issuer, in whatever letters, and
// an account.
func (s *Solver) own(ctx context.Context, account *acme.Account, name string) ([]dnstxt.Record, error) {
	if s.Issuer == "" {
		return nil, errors.New("dnspersist01: Solver.Issuer is not set: it says which CA's records are meant")
	}
	who, err := subjectOf(account, name)
	if err != nil {
		return nil, err
	}
	uris := []string{who.accountURL, s.AccountURI}
	if prefix := parseMeta(s.Meta).accountHashPrefix; prefix != "" {
		for _, domain := range []string{who.name, AnyDomain} {
			uri, err := HashedURI(prefix, domain, who.thumbprint, who.accountURL)
			if err != nil {
				return nil, err
			}
			uris = append(uris, uri)
		}
	}
	at, values, err := s.values(ctx, who.name)
	var own []dnstxt.Record
	for _, value := range values {
		if r, err := Parse(value); err == nil && strings.EqualFold(r.Issuer, s.issuer()) && slices.Contains(uris, r.AccountURI) {
			own = append(own, dnstxt.Record{Name: at, Value: value})
		}
	}
	return own, err
}
