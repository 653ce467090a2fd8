package acme

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// An OrderRequest describes the certificate to order (§7.4). It can be used
// again, for renewals.
type OrderRequest struct {
	_ struct{}

	// Identifiers are the names and addresses of the certificate. See DNS, IP.
	Identifiers []Identifier

	// NotBefore and NotAfter ask for a validity; zero leaves it to the server.
	NotBefore, NotAfter time.Time

	// Profile asks for one of Directory.Meta.Profiles (draft-ietf-acme-profiles). One that
	// is not among them is refused without a request, a *ProfileError, but for
	// AnyProfile: a CA may have agreed on others with its customers.
	Profile    string
	AnyProfile bool

	// Replaces names the certificate that is to be replaced (RFC 9773 §5). It is
	// not sent to a server that has no renewal information.
	Replaces CertID

	// AncestorDomains are domains above those of the Identifiers for which
	// challenges can be fulfilled instead, if the server likes (RFC 9444 §4.3). Each
	// name gets the nearest of them. Solvers meet authorizations for any domain
	// between a name and that one. It is a list, and not a member of each
	// Identifier, since what a program controls is a zone; so it need not be
	// repeated, and identifiers can be compared.
	AncestorDomains []string

	// AutoRenewal orders a series of short-term certificates (RFC 8739).
	AutoRenewal *AutoRenewal

	// AllowCertificateGet asks that anyone who knows its URL can fetch the
	// certificate, without an account (RFC 8739 §3.4, RFC 9115 §2.3.5). Whether the
	// server agrees is in Order.AllowCertificateGet; one that does not offer it is
	// not asked.
	AllowCertificateGet bool

	// Delegation is the URL of a [Delegation]: the certificate is for names of
	// somebody else, who runs the server (RFC 9115 §2.3). It implies
	// AllowCertificateGet.
	Delegation string

	// Extra has members for extensions that have no field here.
	Extra map[string]any
}

// normalize returns the request with the identifiers and domains as they are on
// the wire, or an error for what a server would refuse.
func (r OrderRequest) normalize() (OrderRequest, error) {
	var err error
	if r.Identifiers, err = normalizeIdentifiers(r.Identifiers); err != nil {
		return r, err
	}
	if r.AncestorDomains, err = normalizeAncestors(r.AncestorDomains, r.Identifiers); err != nil {
		return r, err
	}
	if !r.NotAfter.IsZero() && !r.NotAfter.After(r.NotBefore) {
		return r, fmt.Errorf("%w: NotAfter is not after NotBefore", ErrInvalidOrderRequest)
	}
	if r.Replaces != "" {
		if _, _, err := r.Replaces.Parse(); err != nil {
			return r, err
		}
	}
	if r.AutoRenewal != nil {
		if !r.NotBefore.IsZero() || !r.NotAfter.IsZero() {
			return r, fmt.Errorf("%w: NotBefore or NotAfter beside AutoRenewal (RFC 8739 §3.1.1)", ErrInvalidOrderRequest)
		}
		if err := r.AutoRenewal.check(time.Now()); err != nil {
			return r, err
		}
	}
	r.AllowCertificateGet = r.AllowCertificateGet || r.Delegation != ""
	return r, r.checkExtra()
}

// checkExtra refuses members that have a field, if that is used.
func (r *OrderRequest) checkExtra() error {
	used := map[string]bool{
		"identifiers": true, "notBefore": !r.NotBefore.IsZero(), "notAfter": !r.NotAfter.IsZero(), "profile": r.Profile != "", "replaces": r.Replaces != "",
		"auto-renewal": r.AutoRenewal != nil, "allow-certificate-get": r.AllowCertificateGet, "delegation": r.Delegation != "",
	}
	for name := range r.Extra {
		if used[name] {
			return fmt.Errorf("%w: Extra has %s, which has a field", ErrInvalidOrderRequest, quote(name))
		}
	}
	return nil
}

// body makes the newOrder object of a normal request, of what is set and nothing
// else, for a server that has this directory.
func (r *OrderRequest) body(dir *Directory) (map[string]any, error) {
	meta := &dir.Meta
	body := map[string]any{"identifiers": r.Identifiers}
	if !r.NotBefore.IsZero() {
		body["notBefore"] = timestamp(r.NotBefore)
	}
	if !r.NotAfter.IsZero() {
		body["notAfter"] = timestamp(r.NotAfter)
	}
	if r.Profile != "" {
		if _, ok := meta.Profiles[r.Profile]; !ok && !r.AnyProfile {
			return nil, &ProfileError{Profile: r.Profile, Profiles: meta.Profiles}
		}
		body["profile"] = r.Profile
	}
	if r.Replaces != "" && dir.RenewalInfoURL != "" { // RFC 9773 §5
		body["replaces"] = r.Replaces
	}
	if len(r.AncestorDomains) > 0 {
		if !meta.SubdomainAuthAllowed {
			return nil, unsupported("the server does not authorize subdomains by their ancestors (RFC 9444 §4.4)")
		}
		body["identifiers"] = withAncestors(r.Identifiers, r.AncestorDomains)
	}
	if r.Delegation != "" {
		if !meta.DelegationEnabled {
			return nil, unsupported("the server does not delegate names (RFC 9115 §2.3.4)")
		}
		body["delegation"] = r.Delegation
	}
	if r.AutoRenewal == nil {
		if r.AllowCertificateGet && (meta.AllowCertificateGet || r.Delegation != "") {
			body["allow-certificate-get"] = true
		}
	} else {
		object, err := r.autoRenewal(meta.AutoRenewal, time.Now())
		if err != nil {
			return nil, err
		}
		body["auto-renewal"] = object
	}
	maps.Copy(body, r.Extra)
	return body, nil
}

// warnOf tells the operator what an order brings with it.
func (a *Account) warnOf(ctx context.Context, req *OrderRequest, o *Order) {
	if slices.ContainsFunc(req.Identifiers, isOnion) {
		a.client.log(ctx, slog.LevelWarn, "acme: certificates are published in Certificate Transparency logs, with the onion names in them (RFC 9799 §8.9)", urlAttr(o.URL))
	}
	if r := req.AutoRenewal; r != nil && time.Until(r.StartDate) > starFarInAdvance {
		a.client.log(ctx, slog.LevelWarn, "acme: auto-renewal ordered long before it starts (RFC 8739 §6.1)", urlAttr(o.URL), slog.Time("acme.start", r.StartDate))
	}
}

// A ProfileError reports a profile that the server does not advertise
// (draft-ietf-acme-profiles, section 4). Nothing was sent. errors.Is(err, ErrInvalidProfile) holds
// for it, as for the server's own refusal.
type ProfileError struct {
	Profile  string
	Profiles map[string]string // those that there are, with their descriptions
}

// Error names the profile and those that there are.
func (e *ProfileError) Error() string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(e.Profiles)) {
		names = append(names, quote(name))
	}
	offered := "none"
	if names != nil {
		offered = shorten(strings.Join(names, ", "), maxQuoted)
	}
	return fmt.Sprintf("%sthe server does not advertise the profile %s, but %s; OrderRequest.AnyProfile asks for it all the same", prefix, quote(e.Profile), offered)
}

// Is reports whether target is [ErrInvalidProfile].
func (e *ProfileError) Is(target error) bool { return target == error(ErrInvalidProfile) }
