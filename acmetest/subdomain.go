package acmetest

import (
	"encoding/json"
	"slices"
	"strings"
)

// below reports whether a name, which may be a wildcard, is subordinate to a domain: by whole labels, and not the domain itself
// (RFC 9444 §2).
func below(name, domain string) bool {
	labels, of := strings.Split(strings.TrimPrefix(name, "*."), "."), strings.Split(domain, ".")
	if len(labels) <= len(of) || domain == "" {
		return false
	}
	return strings.Join(labels[len(labels)-len(of):], ".") == domain
}

// parseOrderIdentifier decodes an identifier of newOrder, with the ancestor domain that it may have (RFC 9444 §4.3).
func (s *Server) parseOrderIdentifier(raw json.RawMessage) (id Identifier, ancestor string, r *refusal) {
	var more []string
	if s.opts.SubdomainAuth {
		more = append(more, "ancestorDomain")
	}
	id, o, r := parseIdentifier(raw, more...)
	if r != nil {
		return id, "", r
	}
	ancestor, present, r := member[string](o, "ancestorDomain")
	if r != nil || !present {
		return id, "", r
	}
	if id.Type != typeDNS || !below(id.Value, ancestor) {
		return id, "", malformed("%q is no ancestor of %q (RFC 9444 §4.3)", ancestor, id.Value)
	}
	return id, ancestor, checkDNS(ancestor)
}

// A chooser is Options.ChooseAncestor.
type chooser = func(name, ancestor string) string

// chooseAncestors replaces the ancestors that a request names by those that are authorized (RFC 9444 §4.3). The lock is not held.
func (o *order) chooseAncestors(choose chooser) {
	named := o.ancestors
	o.ancestors = map[Identifier]string{}
	for _, id := range o.identifiers {
		domain := named[id]
		if delete(named, id); domain != "" && choose != nil {
			domain = choose(id.Value, domain)
		}
		if below(id.Value, domain) { // else the policy is that the name itself shall be authorized
			o.ancestors[id] = domain
		}
	}
}

// authorized says for which domain an identifier of the order is authorized: itself, or an ancestor and all that is below it.
func (o *order) authorized(id Identifier) (k authzKey, subdomains bool) {
	k = authzKeyOf(id)
	if domain := o.ancestors[id]; domain != "" {
		k.identifier.Value = domain
		return k, true
	}
	return k, false
}

// wantsSubdomains reports whether an authorization must be for all that is below its domain, because it is an ancestor's.
func (o *order) wantsSubdomains(k authzKey) bool {
	return slices.ContainsFunc(o.identifiers, func(id Identifier) bool {
		other, subdomains := o.authorized(id)
		return subdomains && other == k
	})
}

// preauthorizedFor finds a valid authorization of an ancestor, made by newAuthz, that is for its subdomains too (RFC 9444 §4.2).
func (a *account) preauthorizedFor(id Identifier) *authorization {
	if id.Type != typeDNS {
		return nil
	}
	for k, list := range a.authzs {
		if !below(id.Value, k.identifier.Value) {
			continue
		}
		for _, authz := range list {
			if authz.refresh(); authz.preauthorized && authz.subdomains && authz.status == statusValid {
				return authz
			}
		}
	}
	return nil
}
