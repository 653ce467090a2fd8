package acmetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// An order is §7.1.3.
type order struct {
	id          string
	base        string // of the request that made it
	account     *account
	identifiers []Identifier
	authzs      []*authorization
	notBefore   time.Time // as requested, or zero
	notAfter    time.Time
	profile     string
	replaces    string
	extensions  object
	status      string
	expires     time.Time
	problem     *Problem
	issue       issuance // set by finalize
	certificate *certificate

	ancestors     map[Identifier]string // that are authorized (RFC 9444)
	series        *series               // of an auto-renewal order (RFC 8739)
	getAllowed    bool                  // the certificate needs no account (RFC 8739 §3.4, RFC 9115 §2.3.5)
	delegation    *Delegation           // RFC 9115
	delegationURL string
}

func (o *order) url(base string) string { return base + pathOrder + o.id }

// page is the order object.
func (o *order) page(base string) map[string]any {
	urls := make([]string, len(o.authzs))
	for i, a := range o.authzs {
		urls[i] = a.url(base)
	}
	p := map[string]any{
		"status":         o.status,
		"expires":        stamp(o.expires),
		"identifiers":    o.identifiers,
		"authorizations": urls,
		"finalize":       o.url(base) + suffixFinalize,
	}
	for name, value := range o.extensions {
		p[name] = value
	}
	optional := func(name, value string) {
		if value != "" {
			p[name] = value
		}
	}
	optional("notBefore", stamp(o.notBefore))
	optional("notAfter", stamp(o.notAfter))
	optional("profile", o.profile)
	optional("replaces", o.replaces) // RFC 9773 §5: in all answers
	if o.problem != nil {
		p["error"] = o.problem
	}
	if o.certificate != nil {
		p["certificate"] = o.certificate.url(o.certificateBase(base))
	}
	o.pageExtensions(p, base)
	return p
}

// pageExtensions adds what RFC 8739 and RFC 9115 have in an order object.
func (o *order) pageExtensions(p map[string]any, base string) {
	if o.delegationURL != "" {
		p["delegation"] = o.delegationURL
	}
	denied := o.delegation != nil && o.status == statusInvalid
	switch {
	case o.series != nil:
		object := o.series.page(o.getAllowed)
		if denied {
			object["allow-certificate-get"] = false
		}
		p["auto-renewal"] = object
		if o.status == statusValid {
			p["star-certificate"] = o.certificateBase(base) + pathCertificate + o.id
		}
	case o.getAllowed:
		p["allow-certificate-get"] = !denied
	}
}

// stamp is RFC 3339, and nothing for no time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// refresh moves the order along §7.1.6, as far as its authorizations and the time say. Issuance is issueDue's business.
func (o *order) refresh() {
	switch o.status {
	case statusPending, statusReady:
		if !time.Now().Before(o.expires) {
			o.fail(&Problem{Type: ErrorURN + "malformed", Detail: "the order has expired", Status: http.StatusForbidden})
			return
		}
	case statusProcessing:
	default:
		return
	}
	valid := 0
	for _, a := range o.authzs {
		switch a.refresh(); a.status {
		case statusValid:
			valid++
		case statusPending:
		default:
			o.fail(&Problem{
				Type:   ErrorURN + "unauthorized",
				Detail: "the authorization for " + strconv.Quote(a.identifier.Value) + " is " + a.status,
				Status: http.StatusForbidden,
			})
			return
		}
	}
	if o.status == statusPending && valid == len(o.authzs) {
		o.status = statusReady
	}
}

// fail makes an order invalid that is not final yet.
func (o *order) fail(p *Problem) {
	if o.status != statusValid && o.status != statusInvalid && o.status != statusCanceled {
		o.status, o.problem = statusInvalid, p
	}
}

// newOrder is §7.4. It takes the lock itself, because ancestor domains are chosen with no lock held.
func (s *Server) newOrder(c *call) (*answer, *refusal) {
	o, choose, r := s.takeOrder(c)
	if r != nil {
		return nil, r
	}
	o.chooseAncestors(choose)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := c.checkAccount(); r != nil { // it may have ended meanwhile
		return nil, r
	}
	if old := s.sameOrder(o); old != nil {
		a := jsonAnswer(http.StatusCreated, old.page(c.base))
		a.header.Set("Location", old.url(c.base))
		return a, nil
	}
	if r := s.checkReplaces(o); r != nil {
		return nil, r
	}
	if o.delegation == nil { // whose owner has the authorizations (RFC 9115 §2.3.2)
		s.addAuthorizations(c, o)
	}
	o.refresh()
	s.orders[o.id] = o
	s.orderList = append(s.orderList, o)
	o.account.orders = append(o.account.orders, o)
	if old := s.certificateByRenewalID(o.replaces); old != nil {
		old.replacedBy = o
	}
	a := jsonAnswer(http.StatusCreated, o.page(c.base))
	a.header.Set("Location", o.url(c.base)) // erratum 5979
	return a, nil
}

// takeOrder checks who is asking, and for what. It returns what must be called for ancestor domains.
func (s *Server) takeOrder(c *call) (*order, chooser, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := c.checkAccount(); r != nil {
		return nil, nil, r
	}
	if r := s.checkTerms(c, c.account); r != nil {
		return nil, nil, r
	}
	o, r := s.parseOrder(c)
	return o, s.opts.ChooseAncestor, r
}

// parseOrder checks the members of a newOrder request.
func (s *Server) parseOrder(c *call) (*order, *refusal) {
	known := append([]string{"identifiers", "notBefore", "notAfter", "profile"}, s.opts.Extensions...)
	if !s.opts.omits(string(KindRenewalInfo)) {
		known = append(known, "replaces") // RFC 9773 §5: only where renewalInfo is offered
	}
	if s.opts.AutoRenewal != nil {
		known = append(known, "auto-renewal")
	}
	if s.opts.AllowCertificateGet || s.opts.Delegations != nil {
		known = append(known, "allow-certificate-get")
	}
	if s.opts.Delegations != nil {
		known = append(known, "delegation")
	}
	body, r := c.payload(known...)
	if r != nil {
		return nil, r
	}
	o := &order{
		id:         randomID(9),
		base:       c.base,
		account:    c.account,
		status:     statusPending,
		expires:    time.Now().Add(s.opts.orderLifetime()),
		extensions: object{},
		ancestors:  map[Identifier]string{},
	}
	for _, name := range s.opts.Extensions {
		if value, ok := body[name]; ok {
			o.extensions[name] = value
		}
	}
	if r := s.parseOrderIdentifiers(o, body); r != nil {
		return nil, r
	}
	if r := parseOrderTimes(o, body); r != nil {
		return nil, r
	}
	if o.replaces, _, r = member[string](body, "replaces"); r != nil {
		return nil, r
	}
	if r := s.parseDelegation(c, o, body); r != nil {
		return nil, r
	}
	if raw, ok := body["auto-renewal"]; ok && s.opts.AutoRenewal != nil {
		if r := s.parseAutoRenewal(o, raw); r != nil {
			return nil, r
		}
	}
	if r := o.checkDelegation(); r != nil {
		return nil, r
	}
	profile, present, r := member[string](body, "profile")
	if _, offered := s.opts.Profiles[profile]; r == nil && present && !offered {
		r = refuse(http.StatusBadRequest, "invalidProfile", "the profile %q is not on offer", profile)
	}
	if o.profile = profile; !present {
		o.profile = s.opts.DefaultProfile // which the server may choose (draft-ietf-acme-profiles, section 4)
	}
	return o, r
}

func (s *Server) parseOrderIdentifiers(o *order, body object) *refusal {
	list, r := required[[]json.RawMessage](body, "identifiers")
	if r != nil {
		return r
	}
	if len(list) == 0 {
		return malformed("the order has no identifiers")
	}
	for _, raw := range list {
		id, ancestor, r := s.parseOrderIdentifier(raw)
		if r != nil {
			return r
		}
		if ancestor != "" {
			o.ancestors[id] = ancestor
		}
		o.identifiers = append(o.identifiers, id)
	}
	if r := s.checkIdentifiers(o.identifiers); r != nil {
		return r
	}
	if s.opts.Shuffle {
		s.random.Shuffle(len(o.identifiers), func(i, j int) {
			o.identifiers[i], o.identifiers[j] = o.identifiers[j], o.identifiers[i]
		})
	}
	return nil
}

// parseOrderTimes reads notBefore and notAfter.
func parseOrderTimes(o *order, body object) *refusal {
	for name, to := range map[string]*time.Time{"notBefore": &o.notBefore, "notAfter": &o.notAfter} {
		text, present, r := member[string](body, name)
		if r != nil {
			return r
		}
		if !present {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return malformed("%s %q is not a time of RFC 3339", name, text)
		}
		*to = t
	}
	if from := o.validFrom(); !o.notAfter.IsZero() && !o.notAfter.After(from) {
		return refuse(http.StatusBadRequest, "malformed", "notAfter is not after %s", stamp(from))
	}
	return nil
}

// validFrom is the notBefore of a certificate that is issued now.
func (o *order) validFrom() time.Time {
	if o.notBefore.IsZero() {
		return time.Now()
	}
	return o.notBefore
}

// sameOrder finds an order to reuse, if that is wanted. It comes before checkReplaces, because an order does not stand in its own
// way (RFC 9773 §5: "by a different Order"); what it replaces was checked when it was new.
func (s *Server) sameOrder(o *order) *order {
	if !s.opts.ReuseOrders {
		return nil
	}
	for _, old := range o.account.orders {
		old.refresh()
		if old.status != statusPending && old.status != statusReady {
			continue
		}
		if sameRequest(old, o) {
			return old
		}
	}
	return nil
}

// sameRequest reports whether two orders ask for the same in every respect. No auto-renewal or delegated order is like another.
func sameRequest(a, b *order) bool {
	plain := func(o *order) bool { return o.series == nil && o.delegation == nil }
	sameJSON := func(x, y json.RawMessage) bool { return bytes.Equal(x, y) }
	return plain(a) && plain(b) && sameIdentifiers(a.identifiers, b.identifiers) && maps.Equal(a.ancestors, b.ancestors) &&
		a.notBefore.Equal(b.notBefore) && a.notAfter.Equal(b.notAfter) && a.profile == b.profile && a.replaces == b.replaces &&
		a.getAllowed == b.getAllowed && maps.EqualFunc(a.extensions, b.extensions, sameJSON)
}

func sameIdentifiers(a, b []Identifier) bool {
	in := func(x, y []Identifier) bool {
		return !slices.ContainsFunc(x, func(id Identifier) bool { return !slices.Contains(y, id) })
	}
	return in(a, b) && in(b, a)
}

// ownOrder finds the order that a call is for.
func (s *Server) ownOrder(c *call) (*order, *refusal) {
	o := s.orders[c.id]
	if o == nil {
		return nil, notFound(c.url)
	}
	if o.account != c.account {
		return nil, unauthorized("this order is another account's")
	}
	o.refresh()
	return o, nil
}

// orderPage is the order resource.
func (s *Server) orderPage(c *call) (*answer, *refusal) {
	o, r := s.ownOrder(c)
	if r != nil {
		return nil, r
	}
	if o.series != nil && len(c.jws.payload) > 0 {
		r = o.cancel(c)
	} else {
		r = c.asGet()
	}
	if r != nil {
		return nil, r
	}
	a := jsonAnswer(http.StatusOK, o.page(c.base))
	s.optionalLocation(a, o.url(c.base))
	if o.status == statusPending || o.status == statusProcessing {
		s.retryAfter(a)
	}
	return a, nil
}
