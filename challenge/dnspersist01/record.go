package dnspersist01

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

const label = "_validation-persist." // section 4

// Parameters of a record, beside accounturi (section 4.1).
const (
	parameterPolicy       = "policy"
	parameterPersistUntil = "persistUntil"
	policyWildcard        = "wildcard"
)

// A Record is what a TXT record says (section 4.1): which CA may issue, for which
// of its accounts.
type Record struct {
	Issuer       string          // the CA's domain name
	AccountURI   string          // of the account: its URL, or in draft 02 a [HashedURI]
	Wildcard     bool            // also for wildcards and all names below
	PersistUntil time.Time       // whole seconds; zero: it does not end
	Unknown      []caa.Parameter // others, which CAs ignore
}

// Parse reads the value of a TXT record (section 4.1), in the syntax of CAA records
// (RFC 8659 §4.2). There must be one accounturi, and no parameter twice.
func Parse(value string) (Record, error) {
	bad := func(reason string) (Record, error) {
		return Record{}, fmt.Errorf("dnspersist01: %.300q: %s", value, reason)
	}
	v, err := caa.ParseValue(value)
	if err != nil {
		return Record{}, fmt.Errorf("dnspersist01: %w", err)
	}
	if v.Issuer == "" {
		return bad("it names no issuer")
	}
	r := Record{Issuer: v.Issuer}
	for _, p := range v.Parameters {
		switch {
		case strings.EqualFold(p.Tag, caa.ParameterAccountURI):
			r.AccountURI = p.Value
		case strings.EqualFold(p.Tag, parameterPolicy):
			r.Wildcard = strings.EqualFold(p.Value, policyWildcard) // others are as none
		case strings.EqualFold(p.Tag, parameterPersistUntil):
			seconds, err := strconv.ParseInt(p.Value, 10, 64)
			if err != nil {
				return bad("persistUntil is no number of seconds since 1970")
			}
			r.PersistUntil = time.Unix(min(max(seconds, 0), maxSeconds), 0) // the zero time would be no end
		default:
			r.Unknown = append(r.Unknown, p)
		}
	}
	if r.AccountURI == "" {
		return bad("it has no accounturi")
	}
	return r, nil
}

const maxSeconds = 253402300799 // the last second of the year 9999: time.Time cannot do all of int64

// Value returns the value of the TXT record (section 4.1). It fails for what cannot
// be in one.
func (r Record) Value() (string, error) {
	if r.Issuer == "" || r.AccountURI == "" {
		return "", errors.New("dnspersist01: a record needs an issuer and an account URI")
	}
	parameters := []caa.Parameter{{Tag: caa.ParameterAccountURI, Value: r.AccountURI}}
	if r.Wildcard {
		parameters = append(parameters, caa.Parameter{Tag: parameterPolicy, Value: policyWildcard})
	}
	if !r.PersistUntil.IsZero() {
		parameters = append(parameters, caa.Parameter{Tag: parameterPersistUntil, Value: strconv.FormatInt(r.PersistUntil.Unix(), 10)})
	}
	v, err := caa.NewValue(r.Issuer, append(parameters, r.Unknown...)...)
	if err != nil {
		return "", fmt.Errorf("dnspersist01: %w", err)
	}
	return v.String(), nil
}

// TXT returns the TXT record for a domain name, or its wildcard: where it is to be,
// and its value. Values may be longer than the 255 octets of a character-string;
// providers split them (see [dnstxt.Strings]).
func (r Record) TXT(name string) (dnstxt.Record, error) {
	name, err := Name(name)
	if err != nil {
		return dnstxt.Record{}, err
	}
	value, err := r.Value()
	return dnstxt.Record{Name: name, Value: value}, err
}

// Name returns where the records for a domain name are, or for its wildcard: at
// _validation-persist below it (section 4), in A-labels and with a final dot
// (section 9.2).
func Name(name string) (string, error) {
	base, err := normalName(name)
	if err != nil {
		return "", err
	}
	at, err := dnstxt.CanonicalName(label + base)
	if err != nil {
		return "", fmt.Errorf("dnspersist01: %w", err)
	}
	return at, nil
}

// normalName brings a domain name to its normal form, without "*.".
func normalName(name string) (string, error) {
	id, err := acme.DNS(name)[0].Normalize()
	if err != nil {
		return "", fmt.Errorf("dnspersist01: %w", err)
	}
	return strings.TrimPrefix(id.Value, "*."), nil
}

// zoneLine writes a record as a line of a zone file (section 9.1).
func zoneLine(r dnstxt.Record) string {
	parts := dnstxt.Strings(r.Value)
	for i, part := range parts {
		parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(part) + `"`
	}
	return r.Name + " IN TXT " + strings.Join(parts, " ")
}

// soon is when a record counts as gone already: before a validation is over.
const soon = time.Hour

// Find returns the record among the values of TXT records at a name that lets a CA
// do what the wanted record does, now and for the next hour: of the same issuer and
// account, for wildcards if that is wanted, whatever else it says. The error Is
// [acme.ErrCheckFailed], and says what was found and what is wrong with it.
func Find(values []string, wanted Record, now time.Time) (Record, error) {
	const limit = 5
	var reasons []string
	for _, value := range values {
		r, reason := match(value, wanted, now)
		if reason == "" {
			return r, nil
		}
		if len(reasons) < limit {
			reasons = append(reasons, fmt.Sprintf("%.300q %s", value, reason))
		}
	}
	if len(values) == 0 {
		reasons = []string{"no record"}
	} else if more := len(values) - len(reasons); more > 0 {
		reasons = append(reasons, fmt.Sprintf("%d more", more))
	}
	return Record{}, fmt.Errorf("dnspersist01: %w: found %s", acme.ErrCheckFailed, strings.Join(reasons, "; "))
}

// match reads a value, and says what it lacks, if anything.
func match(value string, wanted Record, now time.Time) (r Record, lacks string) {
	issuer, _, _ := strings.Cut(value, ";")
	if issuer = strings.Trim(issuer, " \t"); !strings.EqualFold(issuer, wanted.Issuer) {
		return r, "is for another issuer"
	}
	r, err := Parse(value)
	switch {
	case err != nil:
		return r, "is malformed (" + err.Error() + ")"
	case r.AccountURI != wanted.AccountURI:
		return r, "is for another account"
	case wanted.Wildcard && !r.Wildcard:
		return r, "is not for wildcards"
	case r.PersistUntil.IsZero() || r.PersistUntil.Sub(now) > soon:
		return r, ""
	case r.PersistUntil.After(now):
		return r, "ends soon, at " + r.PersistUntil.UTC().Format(time.RFC3339)
	}
	return r, "ended at " + r.PersistUntil.UTC().Format(time.RFC3339)
}
