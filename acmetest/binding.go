package acmetest

import (
	"encoding/json"
	"net/http"
	"slices"
)

// binding verifies an external account binding (§7.3.4) and returns it as the account object reflects it.
func (s *Server) binding(c *call, o object) (json.RawMessage, *refusal) {
	raw, present := o["externalAccountBinding"]
	switch {
	case present && string(raw) == "null":
		return nil, malformed(`member "externalAccountBinding" is null`)
	case !present && s.opts.ExternalAccountRequired:
		return nil, refuse(http.StatusForbidden, "externalAccountRequired", "an external account binding is required (§7.3.4)")
	case !present || s.opts.ExternalAccounts == nil:
		return nil, nil // not verified, so not reflected
	}
	inner, r := parseJWS(raw)
	if r == nil {
		r = checkBindingHeader(c, inner)
	}
	if r != nil {
		r.problem.Detail = "external account binding: " + r.problem.Detail
		return nil, r
	}
	mac, ok := s.opts.ExternalAccounts[inner.kid]
	if !ok {
		return nil, unauthorized("external account binding: there is no key %q", inner.kid)
	}
	if !inner.authenticatedBy(mac) {
		return nil, unauthorized("external account binding: the MAC does not verify with key %q", inner.kid)
	}
	bound, r := parseJWK(inner.payload)
	if r != nil || thumbprint(bound) != thumbprint(c.key) {
		return nil, malformed("external account binding: the payload is not the account key")
	}
	return raw, nil
}

// checkBindingHeader checks the criteria for the protected header of a binding.
func checkBindingHeader(c *call, inner *jws) *refusal {
	_, hasNonce := inner.header["nonce"]
	switch {
	case !slices.Contains(macAlgorithms(), inner.alg):
		return malformed("alg %q is no MAC", inner.alg)
	case hasNonce:
		return malformed("it has a nonce")
	case inner.jwk != nil:
		return malformed("it has a jwk")
	case inner.kid == "":
		return malformed("it has no kid")
	case inner.url != c.jws.url:
		return malformed("its url is %q, that of the request %q", inner.url, c.jws.url)
	}
	return nil
}
