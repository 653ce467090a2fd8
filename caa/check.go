package caa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// A Request is what records are checked against: whom a certificate is to be
// requested from, by which account, and how names are to be validated.
type Request struct {
	_ struct{}

	// Identities are the names that the CA takes for its own in records:
	// DirectoryMeta.CAAIdentities, or what its documentation says.
	Identities []string

	// AccountURL is Account.URL().
	AccountURL string

	// Methods are the challenge types that may be used.
	Methods []acme.ChallengeType
}

// A ForbiddenError says that records do not let a CA issue.
type ForbiddenError struct {
	Name    string   // that the certificate is for, with its "*."
	At      string   // the name that has the records, if known
	Denials []Denial // each record that has a say, none of which authorizes the request
	Advice  string   // what to change
}

// A Denial is a record and why it does not authorize a request.
type Denial struct {
	Record Record
	Reason string
}

// maxDenials bounds what an error lists: the records come from the network.
const maxDenials = 10

// Error lists the records, why each does not authorize the request, and what to
// change.
func (e *ForbiddenError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "caa: %s: the CAA records", e.Name)
	if e.At != "" {
		fmt.Fprintf(&b, " of %s", e.At)
	}
	b.WriteString(" forbid to issue")
	for i, d := range e.Denials[:min(len(e.Denials), maxDenials)] {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		fmt.Fprintf(&b, "%s %s", clip(d.Record.String()), d.Reason)
	}
	if more := len(e.Denials) - maxDenials; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String() + "; " + e.Advice
}

// Check decides as a CA does whether a relevant record set (see [Relevant]) lets
// it issue for name, with "*." in front of a wildcard (RFC 8659 §4, RFC 8657). It
// returns those of Methods that the records admit, in their order; others would
// fail. If nothing is admitted, the error is a [*ForbiddenError].
//
// No records forbid nothing. A property that is critical and not one of
// RFC 8659 forbids everything, as does a value that does not follow the grammar
// if no other property admits the request. CAs that do not support the
// parameters of RFC 8657 ignore them; here they count.
func (q *Request) Check(name string, set []Record) ([]acme.ChallengeType, error) {
	forbidden := &ForbiddenError{Name: name}
	for _, r := range set {
		if r.IsCritical() && !isKnown(r.Tag) {
			forbidden.Denials = append(forbidden.Denials, Denial{r, "is critical, and no property that every CA knows (RFC 8659 §4.5)"})
		}
	}
	if forbidden.Denials != nil {
		forbidden.Advice = "remove what is critical"
		return nil, forbidden
	}
	tag, properties := restricting(set, strings.HasPrefix(name, "*."))
	if len(properties) == 0 {
		return q.Methods, nil
	}
	var admitted []acme.ChallengeType
	anything := false
	for _, r := range properties {
		methods, reason := q.admits(r)
		if reason != "" {
			forbidden.Denials = append(forbidden.Denials, Denial{r, reason})
			continue
		}
		admitted, anything = append(admitted, methods...), true
	}
	if !anything {
		forbidden.Advice = q.advice(tag)
		return nil, forbidden
	}
	return slices.DeleteFunc(slices.Clone(q.Methods), func(m acme.ChallengeType) bool { return !slices.Contains(admitted, m) }), nil
}

func isKnown(tag string) bool {
	return slices.Contains([]string{TagIssue, TagIssueWild, TagIodef}, strings.ToLower(tag))
}

// restricting returns the properties that decide: for a wildcard those with the
// tag issuewild, if there are any, else those with the tag issue (RFC 8659 §4.3).
func restricting(set []Record, wildcard bool) (tag string, properties []Record) {
	for _, tag := range []string{TagIssueWild, TagIssue} {
		if tag == TagIssueWild && !wildcard {
			continue
		}
		for _, r := range set {
			if strings.EqualFold(r.Tag, tag) {
				properties = append(properties, r)
			}
		}
		if properties != nil {
			return tag, properties
		}
	}
	return TagIssue, nil
}

// admits returns the methods that a property admits, or says why it does not
// admit the request at all.
func (q *Request) admits(r Record) (methods []acme.ChallengeType, reason string) {
	v, err := ParseValue(r.Value)
	if err != nil {
		syntax := err.(*SyntaxError) //nolint:errorlint // what ParseValue promises
		return nil, "is malformed, and so lets nobody issue: " + syntax.Reason
	}
	isIssuer := func(identity string) bool { return strings.EqualFold(strings.TrimSuffix(identity, "."), v.Issuer) }
	switch {
	case v.Issuer == "":
		return nil, "lets nobody issue"
	case len(q.Identities) == 0:
		return nil, "may be for the CA or not: it does not say its names (caaIdentities in its directory)"
	case !slices.ContainsFunc(q.Identities, isIssuer):
		return nil, "is for a CA that is not " + list(q.Identities)
	}
	if uri, pinned := v.Parameter(ParameterAccountURI); pinned && uri != q.AccountURL {
		if reason := uriFault(uri); reason != "" {
			return nil, "lets nobody issue: " + reason
		}
		return nil, "is for another account than " + quote(q.AccountURL)
	}
	text, pinned := v.Parameter(ParameterValidationMethods)
	if !pinned {
		return q.Methods, ""
	}
	labels, fault := parseMethods(text)
	if fault != "" {
		return nil, "lets nobody issue: " + fault
	}
	methods = slices.DeleteFunc(slices.Clone(q.Methods), func(m acme.ChallengeType) bool { return !slices.Contains(labels, m) })
	if len(methods) == 0 {
		return nil, "admits other validation methods than " + list(q.Methods)
	}
	return methods, ""
}

// advice says which record would admit the request: records add up, so that one
// more is enough (RFC 8659 §4.2).
func (q *Request) advice(tag string) string {
	if len(q.Identities) == 0 {
		return "give the CA's names from its documentation"
	}
	v, err := Pin(q.Identities[0], q.AccountURL, q.Methods...)
	if err != nil {
		v = Value{Issuer: q.Identities[0]}
	}
	return "add " + Record{Tag: tag, Value: v.String()}.String() + ", or without its parameters"
}

// list names things for an error.
func list[S ~string](names []S) string {
	if len(names) == 0 {
		return "none"
	}
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return clip(strings.Join(texts, ", "))
}

// clip cuts what is long.
func clip(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	return s[:maxQuoted] + "…"
}
