package acmetest

import (
	"encoding/json"
	"net/http"
)

// keyChange is §7.3.5, in the order of its steps.
func (s *Server) keyChange(c *call) (*answer, *refusal) {
	if len(c.jws.payload) == 0 {
		return nil, malformed("keyChange needs a payload; this is a POST-as-GET")
	}
	inner, r := parseJWS(c.jws.payload) // step 2
	if r != nil {
		r.problem.Detail = "inner JWS: " + r.problem.Detail
		return nil, r
	}
	if r := checkInner(c, inner); r != nil {
		r.problem.Detail = "inner JWS: " + r.problem.Detail
		return nil, r
	}
	newKey, r := inner.key()
	if r != nil {
		return nil, r
	}
	if r := inner.verify(newKey); r != nil { // step 4
		r.problem.Detail = "inner JWS: " + r.problem.Detail
		return nil, r
	}
	if r := checkKeyChange(c, inner.payload); r != nil {
		return nil, r
	}
	if other := s.accountByKey[thumbprint(newKey)]; other != nil { // step 9
		r := refuse(http.StatusConflict, "malformed", "the new key belongs to an account already (§7.3.5)")
		r.header.Set("Location", other.url(c.base))
		return nil, r
	}
	delete(s.accountByKey, c.account.thumbprint)
	c.account.key, c.account.thumbprint = newKey, thumbprint(newKey)
	s.accountByKey[c.account.thumbprint] = c.account
	return jsonAnswer(http.StatusOK, c.account.page(s, c.base)), nil
}

// checkInner checks the header of the inner JWS: steps 3 and 6, and what the RFC says above them.
func checkInner(c *call, inner *jws) *refusal {
	_, hasNonce := inner.header["nonce"]
	_, hasKid := inner.header["kid"]
	switch {
	case inner.jwk == nil:
		return malformed("it has no jwk")
	case hasKid:
		return malformed("it has a kid")
	case hasNonce:
		return malformed("it has a nonce")
	case inner.url != c.jws.url:
		return malformed("its url is %q, that of the request %q", inner.url, c.jws.url)
	}
	return inner.checkAlgorithm()
}

// checkKeyChange checks the keyChange object: steps 5, 7 and 8.
func checkKeyChange(c *call, payload []byte) *refusal {
	o, r := parseMembers(payload, "account", "oldKey")
	if r != nil {
		return r
	}
	account, r := required[string](o, "account")
	if r != nil {
		return r
	}
	raw, r := required[json.RawMessage](o, "oldKey")
	if r != nil {
		return r
	}
	oldKey, r := parseJWK(raw)
	if r != nil {
		return r
	}
	if account != c.jws.kid {
		return malformed("account is %q, kid of the request %q (§7.3.5)", account, c.jws.kid)
	}
	if thumbprint(oldKey) != c.account.thumbprint {
		return malformed("oldKey is not the key of the account (§7.3.5)")
	}
	return nil
}
