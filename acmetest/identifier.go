package acmetest

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const (
	typeDNS = "dns"
	typeIP  = "ip" // RFC 8738
)

// parseIdentifier decodes an identifier object, which has exactly the two members of §9.7.7, and those of extensions that may be
// there.
func parseIdentifier(raw []byte, more ...string) (id Identifier, o object, r *refusal) {
	if o, r = parseMembers(raw, append([]string{"type", "value"}, more...)...); r != nil {
		return id, nil, r
	}
	if id.Type, r = required[string](o, "type"); r != nil {
		return id, nil, r
	}
	id.Value, r = required[string](o, "value")
	return id, o, r
}

// checkIdentifiers refuses those the CA cannot issue for, with a subproblem each (§6.7.1).
func (s *Server) checkIdentifiers(ids []Identifier) *refusal {
	var refused []*refusal
	var subproblems []Subproblem
	for _, id := range ids {
		if r := s.checkIdentifier(id); r != nil {
			refused = append(refused, r)
			subproblems = append(subproblems, Subproblem{Type: r.problem.Type, Detail: r.problem.Detail, Identifier: id})
		}
	}
	if len(refused) == 0 {
		return nil
	}
	all := refused[0]
	for _, r := range refused {
		if r.problem.Type != all.problem.Type {
			all = refuse(http.StatusBadRequest, "compound", "")
			break
		}
	}
	all.violation = slices.ContainsFunc(refused, func(r *refusal) bool { return r.violation })
	all.problem.Detail = "cannot issue for some identifiers: " + refused[0].problem.Detail
	all.problem.Subproblems = subproblems
	return all
}

// checkIdentifier is the check of one identifier, as it stands in an order.
func (s *Server) checkIdentifier(id Identifier) *refusal {
	switch {
	case slices.Contains(s.opts.RejectIdentifiers, id.Value):
		return refuse(http.StatusForbidden, "rejectedIdentifier", "this CA will not issue for %q", id.Value)
	case id.Type == typeDNS:
		return checkDNS(id.Value)
	case id.Type == typeIP:
		addr, err := netip.ParseAddr(id.Value)
		if err != nil || addr.Zone() != "" || addr.String() != id.Value {
			return malformed("%q is not the canonical form of an IP address (RFC 8738 §3)", id.Value)
		}
	case !slices.Contains(s.opts.IdentifierTypes, id.Type):
		return refuse(http.StatusBadRequest, "unsupportedIdentifier", "identifiers of type %q are not supported", id.Type)
	default:
		return checkOther(id)
	}
	return nil
}

// checkDNS accepts a domain name in the form in which it appears in a certificate (§7.1.4), which the wildcard of §7.1.3 may
// precede.
func checkDNS(name string) *refusal {
	bare := strings.TrimPrefix(name, "*.")
	bad := func(format string, args ...any) *refusal {
		return refuse(http.StatusBadRequest, "malformed", format, args...)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }) {
		return malformed("%q is not in the form it has in a certificate: use A-labels (§7.1.4)", name)
	}
	if len(bare) > 253 {
		return bad("the name %q is too long", name)
	}
	labels := strings.Split(bare, ".")
	for _, label := range labels {
		if why := checkLabel(label); why != "" {
			return bad("%q in DNS name %q: %s", label, name, why)
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return bad("the DNS name %q ends in a number; is it an IP address?", name)
	}
	if labels[len(labels)-1] == "onion" {
		if _, err := onionKey(bare); err != nil {
			return malformed("%v", err)
		}
	}
	if bare != name && len(labels) == 1 {
		return refuse(http.StatusForbidden, "rejectedIdentifier", "the wildcard %q covers a top-level domain", name)
	}
	return nil
}

// checkLabel says what is wrong with a label, if anything.
func checkLabel(label string) string {
	isLDH := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' }
	switch {
	case label == "":
		return "the label is empty"
	case len(label) > 63:
		return "the label is too long"
	case strings.ToLower(label) != label:
		return "the label has upper-case letters"
	case strings.ContainsFunc(label, func(r rune) bool { return !isLDH(r) }):
		return "the label has other characters than a to z, 0 to 9 and -"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "the label begins or ends with -"
	case strings.HasPrefix(label, "xn--"):
		if !isPunycode(label[len("xn--"):]) {
			return "the label is not a properly encoded A-label (§7.1.4)"
		}
	case len(label) >= 4 && label[2:4] == "--":
		return "the label has -- in third and fourth place (RFC 5891 §4.2.3.1)"
	}
	return ""
}
