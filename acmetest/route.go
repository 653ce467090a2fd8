package acmetest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The paths of the resources. Only the directory's is known to clients; the others they learn from answers.
const (
	defaultBase = "https://ca.test"

	pathDirectory     = "/directory"
	pathNewNonce      = "/new-nonce"
	pathNewAccount    = "/new-account"
	pathNewOrder      = "/new-order"
	pathNewAuthz      = "/new-authz"
	pathRevokeCert    = "/revoke-cert"
	pathKeyChange     = "/key-change"
	pathRenewalInfo   = "/renewal-info"
	pathAccount       = "/account/"
	pathOrder         = "/order/"
	pathAuthorization = "/authorization/"
	pathChallenge     = "/challenge/"
	pathCertificate   = "/certificate/"

	suffixOrders   = "/orders"
	suffixFinalize = "/finalize"
)

// A resource is one of the directory.
type resource struct {
	kind Kind
	path string
}

// directoryMembers are the resources of the directory (§7.1.1, RFC 9773 §3).
func directoryMembers() [7]resource {
	return [...]resource{
		{KindNewNonce, pathNewNonce},
		{KindNewAccount, pathNewAccount},
		{KindNewOrder, pathNewOrder},
		{KindNewAuthz, pathNewAuthz},
		{KindRevokeCert, pathRevokeCert},
		{KindKeyChange, pathKeyChange},
		{KindRenewalInfo, pathRenewalInfo},
	}
}

// route finds out which resource a path is. id is what the path says beyond the kind.
func route(path string) (kind Kind, id string) {
	if path == pathDirectory {
		return KindDirectory, ""
	}
	for _, r := range directoryMembers() {
		if path == r.path {
			return r.kind, ""
		}
	}
	if id, ok := strings.CutPrefix(path, pathRenewalInfo+"/"); ok {
		return KindRenewalInfo, id
	}
	if id, ok := strings.CutPrefix(path, pathAccount); ok {
		if id, ok := strings.CutSuffix(id, suffixOrders); ok {
			return KindOrders, id
		}
		if id, ok := strings.CutSuffix(id, suffixDelegations); ok {
			return KindDelegations, id
		}
		return KindAccount, id
	}
	if id, ok := strings.CutPrefix(path, pathOrder); ok {
		if id, ok := strings.CutSuffix(id, suffixFinalize); ok {
			return KindFinalize, id
		}
		return KindOrder, id
	}
	for _, r := range [...]resource{
		{KindAuthorization, pathAuthorization},
		{KindChallenge, pathChallenge},
		{KindCertificate, pathCertificate},
		{KindDelegation, pathDelegation},
	} {
		if id, ok := strings.CutPrefix(path, r.path); ok {
			return r.kind, id
		}
	}
	return KindUnknown, ""
}

// checkMethod allows POST, and beside it GET and HEAD where nothing is signed (§6.3).
func checkMethod(c *call) *refusal {
	allowed := []string{http.MethodPost}
	switch c.kind {
	case KindDirectory, KindNewNonce:
		allowed = append(allowed, http.MethodGet, http.MethodHead)
	case KindCertificate: // if the order says so, which certificatePage looks at
		allowed = append(allowed, http.MethodGet, http.MethodHead)
	case KindRenewalInfo:
		allowed = []string{http.MethodGet, http.MethodHead} // RFC 9773 §4.1
	}
	if slices.Contains(allowed, c.method) {
		return nil
	}
	r := violation(http.StatusMethodNotAllowed, "malformed", "%s is not allowed on %s (§6.3)", c.method, c.kind)
	r.header.Set("Allow", strings.Join(allowed, ", "))
	return r
}

// offered reports whether the resource exists with the present options: what the directory omits, the server has not.
func (s *Server) offered(kind Kind) bool {
	if kind == KindUnknown {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	members := directoryMembers()
	listed := slices.ContainsFunc(members[:], func(r resource) bool { return r.kind == kind })
	return !listed || !s.opts.omits(string(kind))
}

// directory is §7.1.1.
func (s *Server) directory(c *call) *answer {
	dir := map[string]any{}
	for _, r := range directoryMembers() {
		if !s.opts.omits(string(r.kind)) {
			dir[string(r.kind)] = c.base + r.path
		}
	}
	if meta := s.meta(); len(meta) > 0 && !s.opts.omits("meta") {
		dir["meta"] = meta
	}
	return jsonAnswer(http.StatusOK, dir)
}

// meta is the "meta" member of the directory.
func (s *Server) meta() map[string]any {
	meta := map[string]any{}
	if s.opts.TermsOfService != "" {
		meta["termsOfService"] = s.opts.TermsOfService
	}
	if s.opts.Website != "" {
		meta["website"] = s.opts.Website
	}
	if len(s.opts.CAAIdentities) > 0 {
		meta["caaIdentities"] = s.opts.CAAIdentities
	}
	if s.opts.ExternalAccountRequired {
		meta["externalAccountRequired"] = true
	}
	if len(s.opts.Profiles) > 0 {
		meta["profiles"] = s.opts.Profiles
	}
	if s.opts.OnionCAARequired {
		meta["inBandOnionCAARequired"] = true
	}
	if s.opts.SubdomainAuth {
		meta["subdomainAuthAllowed"] = true
	}
	if s.opts.AutoRenewal != nil {
		meta["auto-renewal"] = s.opts.AutoRenewal.meta()
	}
	if s.opts.AllowCertificateGet {
		meta["allow-certificate-get"] = true
	}
	if s.opts.Delegations != nil {
		meta["delegation-enabled"] = true
	}
	maps.Copy(meta, s.opts.MetaFields)
	for _, name := range s.opts.OmitFromDirectory {
		delete(meta, name)
	}
	return meta
}
