package acme

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// isAncestor reports whether a name is below a domain, by whole labels. A domain is
// not its own ancestor (RFC 9444 §7.2), nor its wildcard's, whose authorization is
// for that domain anyway.
func isAncestor(domain, name string) bool {
	return strings.HasSuffix(strings.TrimPrefix(name, "*."), "."+domain)
}

// normalizeAncestors brings ancestor domains to the form of names, the longest
// first, and refuses those that are no ancestor of any of the identifiers.
func normalizeAncestors(domains []string, ids []Identifier) ([]string, error) {
	out := make([]string, len(domains))
	for i, domain := range domains {
		name, err := normalizeName(domain)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: ancestor domain %s: %w", ErrInvalidIdentifier, quote(domain), err)
		case strings.HasPrefix(name, "*."):
			return nil, fmt.Errorf("%w: the ancestor domain %s is a wildcard (RFC 9444 §4.3)", ErrInvalidIdentifier, quote(domain))
		case !slices.ContainsFunc(ids, func(id Identifier) bool { return id.Type == TypeDNS && isAncestor(name, id.Value) }):
			return nil, fmt.Errorf("%w: %s is an ancestor of none of %s (RFC 9444 §4.3)", ErrInvalidOrderRequest, quote(domain), identifierList(ids))
		}
		out[i] = name
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out, nil
}

// A subordinate identifier is one with a domain above it.
type subordinate struct {
	Identifier
	AncestorDomain string `json:"ancestorDomain,omitempty"` // RFC 9444 §4.3
}

// withAncestors gives each name the nearest of the domains above it.
func withAncestors(ids []Identifier, domains []string) []subordinate {
	out := make([]subordinate, len(ids))
	for i, id := range ids {
		out[i].Identifier = id
		if id.Type != TypeDNS {
			continue
		}
		for _, domain := range domains {
			if isAncestor(domain, id.Value) {
				out[i].AncestorDomain = domain
				break
			}
		}
	}
	return out
}

// NewSubdomainAuthorization asks, before there is an order, for an authorization for
// a domain and all that is below it (RFC 9444 §4.2). Authorization.SubdomainAuthAllowed
// tells whether the server agrees; if not, it is one for the domain alone. Orders
// for names below need nothing special then. Servers that do not offer it give
// errors.ErrUnsupported.
func (a *Account) NewSubdomainAuthorization(ctx context.Context, domain string) (*Authorization, error) {
	return a.newAuthorization(ctx, DNS(domain)[0], true)
}

// withSubdomains is the identifier object for a domain and all that is below it.
func (a *Account) withSubdomains(ctx context.Context, id Identifier) (any, error) {
	dir, err := a.client.Directory(ctx)
	if err != nil {
		return nil, err
	}
	if !dir.Meta.SubdomainAuthAllowed {
		return nil, unsupported("%s: the server does not authorize subdomains (RFC 9444 §4.4)", OpNewAuthz)
	}
	return map[string]any{"type": id.Type, "value": id.Value, "subdomainAuthAllowed": true}, nil
}
