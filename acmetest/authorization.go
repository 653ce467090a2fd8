package acmetest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// An authorization is §7.1.4.
type authorization struct {
	id         string
	base       string // of the request that made it
	account    *account
	identifier Identifier // without "*."
	wildcard   bool
	status     string
	expires    time.Time
	challenges []*challenge

	// preauthorized ones come from newAuthz, and are used by the orders that follow.
	preauthorized bool

	subdomains bool // it is for all that is below the domain (RFC 9444 §4.1)
}

func (a *authorization) url(base string) string { return base + pathAuthorization + a.id }

// page is the authorization object.
func (a *authorization) page(s *Server, base string) map[string]any {
	challenges := []map[string]any{}
	for _, ch := range a.challenges {
		if a.shows(ch) {
			challenges = append(challenges, ch.page(s, base))
		}
	}
	p := map[string]any{
		"status":     a.status,
		"expires":    stamp(a.expires),
		"identifier": a.identifier,
		"challenges": challenges,
	}
	if a.wildcard {
		p["wildcard"] = true
	}
	if a.subdomains {
		p["subdomainAuthAllowed"] = true
	}
	return p
}

// shows reports whether a challenge is listed: of final authorizations only those that made them so (§7.1.4, §7.5.1).
func (a *authorization) shows(ch *challenge) bool {
	switch a.status {
	case statusPending, statusExpired, statusDeactivated:
		return true
	case statusInvalid:
		return ch.status == statusInvalid
	}
	return ch.status == statusValid
}

// refresh lets an authorization expire (§7.1.6).
func (a *authorization) refresh() {
	if (a.status == statusPending || a.status == statusValid) && !time.Now().Before(a.expires) {
		a.status = statusExpired
	}
}

// Authorizations returns the URLs of the authorizations in a status, oldest first; of all for status "".
func (s *Server) Authorizations(status string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleQuietly()
	var urls []string
	for _, a := range s.authzList {
		if a.refresh(); status == "" || a.status == status {
			urls = append(urls, a.url(a.base))
		}
	}
	return urls
}

// RevokeAuthorization is the CA's way to end a valid authorization (§7.1.6). It reports whether there was one with that URL.
func (s *Server) RevokeAuthorization(authorizationURL string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.authzs[lastSegment(authorizationURL)]
	if a == nil || a.status != statusValid {
		return false
	}
	a.status = statusRevoked
	return true
}

// An authzKey says what authorizations are for.
type authzKey struct {
	identifier Identifier
	wildcard   bool
}

// authzKeyOf separates an identifier of an order from its "*." (§7.1.4).
func authzKeyOf(id Identifier) (k authzKey) {
	k.identifier = id
	if id.Type == typeDNS {
		k.identifier.Value, k.wildcard = strings.CutPrefix(id.Value, "*.")
	}
	return k
}

// find returns the newest authorization of the account that is in one of the statuses and passes the filter.
func (a *account) find(k authzKey, filter func(*authorization) bool, statuses ...string) *authorization {
	for _, authz := range slices.Backward(a.authzs[k]) {
		if authz.refresh(); slices.Contains(statuses, authz.status) && filter(authz) {
			return authz
		}
	}
	return nil
}

// addAuthorizations gives an order one authorization for each distinct identifier (§7.1.3).
func (s *Server) addAuthorizations(c *call, o *order) {
	done := map[authzKey]bool{}
	for _, id := range o.identifiers {
		a := c.account.preauthorizedFor(id)
		if a == nil {
			k, _ := o.authorized(id)
			if done[k] {
				continue
			}
			done[k] = true
			a = s.authorizationOf(c, k, o.wantsSubdomains(k))
		}
		if !slices.Contains(o.authzs, a) {
			o.authzs = append(o.authzs, a)
		}
	}
	if s.opts.Shuffle {
		s.random.Shuffle(len(o.authzs), func(i, j int) { o.authzs[i], o.authzs[j] = o.authzs[j], o.authzs[i] })
	}
}

// authorizationOf finds a valid authorization that may be used again, or makes one. For subdomains it must say so (RFC 9444 §4.1).
func (s *Server) authorizationOf(c *call, k authzKey, subdomains bool) *authorization {
	a := c.account.find(k, func(a *authorization) bool {
		return (s.opts.ReuseAuthorizations || a.preauthorized) && (a.subdomains || !subdomains)
	}, statusValid)
	if a == nil {
		a = s.makeAuthorization(c, k)
		a.subdomains = subdomains
	}
	return a
}

// makeAuthorization makes an authorization with its challenges.
func (s *Server) makeAuthorization(c *call, k authzKey) *authorization {
	a := &authorization{
		id:         randomID(9),
		base:       c.base,
		account:    c.account,
		identifier: k.identifier,
		wildcard:   k.wildcard,
		status:     statusPending,
		expires:    time.Now().Add(s.opts.orderLifetime()),
	}
	if s.opts.PreValidated {
		a.status, a.expires = statusValid, time.Now().Add(s.opts.authorizationLifetime())
	} else {
		for _, typ := range s.challengeTypes(k) {
			ch := &challenge{id: randomID(9), authz: a, typ: typ, token: randomID(32), second: randomID(16), status: statusPending}
			a.challenges = append(a.challenges, ch)
			s.challenges[ch.id] = ch
		}
	}
	s.authzs[a.id] = a
	s.authzList = append(s.authzList, a)
	c.account.authzs[k] = append(c.account.authzs[k], a)
	return a
}

// newAuthz is §7.4.1.
func (s *Server) newAuthz(c *call) (*answer, *refusal) {
	if r := s.checkTerms(c, c.account); r != nil {
		return nil, r
	}
	body, r := c.payload(append([]string{"identifier"}, s.opts.Extensions...)...)
	if r != nil {
		return nil, r
	}
	var more []string
	if s.opts.SubdomainAuth {
		more = append(more, "subdomainAuthAllowed") // RFC 9444 §4.2: inside the identifier
	}
	id, o, r := parseIdentifier(body["identifier"], more...)
	if r != nil {
		return nil, r
	}
	subdomains, _, r := member[bool](o, "subdomainAuthAllowed")
	if r != nil {
		return nil, r
	}
	if strings.HasPrefix(id.Value, "*.") {
		return nil, refuse(http.StatusBadRequest, "malformed", "a wildcard cannot be pre-authorized (§7.4.1)")
	}
	if r := s.checkIdentifier(id); r != nil {
		return nil, r
	}
	k, status := authzKeyOf(id), http.StatusOK
	same := func(a *authorization) bool { return a.preauthorized && a.subdomains == subdomains }
	a := c.account.find(k, same, statusValid, statusPending) // erratum 5861
	if a == nil {
		a, status = s.makeAuthorization(c, k), http.StatusCreated
		a.preauthorized, a.subdomains = true, subdomains
	}
	ans := jsonAnswer(status, a.page(s, c.base))
	ans.header.Set("Location", a.url(c.base))
	return ans, nil
}

// authorizationPage is the authorization resource: POST-as-GET and deactivation (§7.5.2).
func (s *Server) authorizationPage(c *call) (*answer, *refusal) {
	a := s.authzs[c.id]
	if a == nil {
		return nil, notFound(c.url)
	}
	if a.account != c.account {
		return nil, unauthorized("this authorization is another account's")
	}
	a.refresh()
	if len(c.jws.payload) > 0 {
		if r := a.deactivate(c); r != nil {
			return nil, r
		}
	}
	ans := jsonAnswer(http.StatusOK, a.page(s, c.base))
	if a.status == statusPending {
		s.retryAfter(ans)
	}
	return ans, nil
}

// deactivate is §7.5.2. A pending authorization may be given up too, though the diagram of §7.1.6 has no arrow for that.
func (a *authorization) deactivate(c *call) *refusal {
	o, r := c.payload("status")
	if r != nil {
		return r
	}
	status, r := required[string](o, "status")
	if r != nil {
		return r
	}
	if status != statusDeactivated {
		return malformed("an authorization's status can be changed to %q only, not to %q (§7.5.2)", statusDeactivated, status)
	}
	switch a.status {
	case statusPending, statusValid, statusDeactivated:
		a.status = statusDeactivated
		return nil
	}
	return refuse(http.StatusBadRequest, "malformed", "the authorization is %s", a.status)
}
