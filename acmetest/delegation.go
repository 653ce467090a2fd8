package acmetest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A Delegation is what the accounts of an identifier owner may order, in [Options] (RFC 9115 §2.3.1.3).
type Delegation struct {
	CSRTemplate string // JSON (RFC 9115 §4)
	CNAMEMap    map[string]string
}

const (
	pathDelegation    = "/delegation/"
	suffixDelegations = "/delegations"

	// issuerBase is where the certificates of delegated orders are: at a CA that knows no account (RFC 9115 §2.3.2).
	issuerBase = "https://issuer.test"
)

// delegationByURL finds a delegation by its URL.
func (s *Server) delegationByURL(base, url string) *Delegation {
	number, ok := strings.CutPrefix(url, base+pathDelegation)
	if n, err := strconv.Atoi(number); ok && err == nil && n >= 1 && n <= len(s.opts.Delegations) {
		return &s.opts.Delegations[n-1]
	}
	return nil
}

// delegationsPage is the list of an account's delegations, in pages like those of orders (RFC 9115 §2.3.1.2).
func (s *Server) delegationsPage(c *call) (*answer, *refusal) {
	if c.id != c.account.id {
		return nil, unauthorized("these are another account's delegations")
	}
	if r := c.asGet(); r != nil {
		return nil, r
	}
	size, start := s.page(c)
	end := min(start+size, len(s.opts.Delegations))
	urls := []string{}
	for i := start; i < end; i++ {
		urls = append(urls, c.base+pathDelegation+strconv.Itoa(i+1))
	}
	a := jsonAnswer(http.StatusOK, map[string]any{"delegations": urls})
	if end < len(s.opts.Delegations) {
		addLink(a.header, c.account.url(c.base)+suffixDelegations+"?cursor="+strconv.Itoa(end), "next")
	}
	return a, nil
}

// delegationPage is a delegation (RFC 9115 §2.3.1.3).
func (s *Server) delegationPage(c *call) (*answer, *refusal) {
	if r := c.asGet(); r != nil {
		return nil, r
	}
	d := s.delegationByURL(c.base, c.url)
	if d == nil {
		return nil, notFound(c.url)
	}
	p := map[string]any{"csr-template": json.RawMessage(d.CSRTemplate)}
	if len(d.CNAMEMap) > 0 {
		p["cname-map"] = d.CNAMEMap
	}
	return jsonAnswer(http.StatusOK, p), nil
}

// parseDelegation reads what RFC 9115 adds to newOrder: "delegation", and outside of auto-renewal orders
// "allow-certificate-get".
func (s *Server) parseDelegation(c *call, o *order, body object) *refusal {
	url, present, r := member[string](body, "delegation")
	if r != nil {
		return r
	}
	if present {
		if o.delegation = s.delegationByURL(c.base, url); o.delegation == nil {
			return refuse(http.StatusForbidden, "unknownDelegation", "there is no delegation %q (RFC 9115 §2.3.1.3)", url)
		}
		o.delegationURL = url
	}
	if o.getAllowed, _, r = member[bool](body, "allow-certificate-get"); r != nil {
		return r
	}
	if o.getAllowed && !s.opts.AllowCertificateGet && !present {
		return malformed("allow-certificate-get, which the directory does not offer (RFC 9115 §2.3.5)")
	}
	return nil
}

// checkDelegation wants of a delegated order what RFC 9115 §2.3.2 and §2.3.3 there want.
func (o *order) checkDelegation() *refusal {
	if o.delegation == nil {
		return nil
	}
	if !o.getAllowed {
		return malformed("a delegated order without allow-certificate-get (RFC 9115 §2.3.2)")
	}
	t, r := parseTemplate(o.delegation.CSRTemplate)
	if r != nil {
		return r
	}
	for _, name := range t.Extensions.SubjectAltName.DNS {
		if strings.Trim(name, "*") != "" && !slices.Contains(o.identifiers, Identifier{Type: typeDNS, Value: name}) {
			return malformed("the order lacks %q, which is delegated (RFC 9115 §2.3.2)", name)
		}
	}
	o.status = statusReady
	return nil
}

// issuable reports whether the CA behind the owner gives certificates away without an account; if not, the order fails (RFC
// 9115 §2.3.2).
func (s *Server) issuable(o *order) bool {
	switch {
	case o.delegation == nil:
		return true
	case o.series != nil:
		return s.opts.AutoRenewal != nil && s.opts.AutoRenewal.AllowCertificateGet
	}
	return s.opts.AllowCertificateGet
}

// certificateBase is the server that an order's certificate is at.
func (o *order) certificateBase(base string) string {
	if o.delegation != nil && base == defaultBase {
		return issuerBase
	}
	return base
}
