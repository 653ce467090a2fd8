package acmetest

import (
	"crypto"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
)

// The statuses of §7.1.6, of all kinds of objects.
const (
	statusPending     = "pending"
	statusReady       = "ready"
	statusProcessing  = "processing"
	statusValid       = "valid"
	statusInvalid     = "invalid"
	statusDeactivated = "deactivated"
	statusExpired     = "expired"
	statusRevoked     = "revoked"
)

// An account is §7.1.2.
type account struct {
	id         string
	key        crypto.PublicKey
	thumbprint string
	status     string
	contact    []string
	agreedTo   string          // the URL of the terms, when it was agreed to them
	binding    json.RawMessage // as it was sent; nil if it was not verified
	orders     []*order
	authzs     map[authzKey][]*authorization
}

func (a *account) url(base string) string { return base + pathAccount + a.id }

// page is the account object.
func (a *account) page(s *Server, base string) map[string]any {
	p := map[string]any{"status": a.status, "orders": a.url(base) + suffixOrders}
	if len(a.contact) > 0 {
		p["contact"] = a.contact
	}
	if a.agreedTo != "" {
		p["termsOfServiceAgreed"] = true
	}
	if a.binding != nil {
		p["externalAccountBinding"] = a.binding // §7.3.4: the same value as in the request
	}
	if s.opts.Delegations != nil {
		p["delegations"] = a.url(base) + suffixDelegations // RFC 9115 §2.3.1.1
	}
	return p
}

// accountByURL finds the account of a "kid", which is compared as a string with the URL that was handed out (§6.2).
func (s *Server) accountByURL(c *call, kid string) *account {
	id, ok := strings.CutPrefix(kid, c.base+pathAccount)
	if !ok {
		return nil
	}
	return s.accounts[id]
}

// newAccount is §7.3, with §7.3.1 for keys that have an account.
func (s *Server) newAccount(c *call) (*answer, *refusal) {
	known := append([]string{"contact", "termsOfServiceAgreed", "onlyReturnExisting", "externalAccountBinding"}, s.opts.Extensions...)
	o, r := c.payload(known...)
	if r != nil {
		return nil, r
	}
	onlyExisting, _, r := member[bool](o, "onlyReturnExisting")
	if r != nil {
		return nil, r
	}
	if a := s.accountByKey[thumbprint(c.key)]; a != nil {
		c.account = a
		return a.answer(s, http.StatusOK, c.base), c.checkAccount()
	}
	if onlyExisting {
		return nil, refuse(http.StatusBadRequest, "accountDoesNotExist", "there is no account with this key (§7.3.1)")
	}
	a, r := s.makeAccount(c, o)
	if r != nil {
		return nil, r
	}
	s.keepAccount(a)
	return a.answer(s, http.StatusCreated, c.base), nil
}

// keepAccount makes an account known. The lock is held.
func (s *Server) keepAccount(a *account) {
	s.accounts[a.id] = a
	s.accountByKey[a.thumbprint] = a
}

// AddAccount makes an account without a request, for tests of what comes after registration, and returns its URL, which is on
// the host of [Server.DirectoryURL]. The account has no contact and no external account, and has agreed to the terms of service.
// If key has an account already, it is that one. The key is an RSA key, one of P-256, P-384 or P-521, or Ed25519; any other panics.
func (s *Server) AddAccount(key crypto.PublicKey) string {
	if algorithmOf(key) == "" {
		panic(fmt.Sprintf("acmetest: AddAccount: a key of type %T is none of an account", key))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accountByKey[thumbprint(key)]
	if a == nil {
		a = newAccount(key)
		a.agreedTo = s.opts.TermsOfService
		s.keepAccount(a)
	}
	return a.url(defaultBase)
}

func newAccount(key crypto.PublicKey) *account {
	return &account{
		id: randomID(9), key: key, thumbprint: thumbprint(key), status: statusValid, authzs: map[authzKey][]*authorization{},
	}
}

// answer is the account object with its URL.
func (a *account) answer(s *Server, status int, base string) *answer {
	ans := jsonAnswer(status, a.page(s, base))
	ans.header.Set("Location", a.url(base))
	return ans
}

// makeAccount checks the members of a newAccount request.
func (s *Server) makeAccount(c *call, o object) (*account, *refusal) {
	a := newAccount(c.key)
	agreed, _, r := member[bool](o, "termsOfServiceAgreed")
	if r != nil {
		return nil, r
	}
	if a.contact, _, r = contacts(o); r != nil {
		return nil, r
	}
	if agreed {
		a.agreedTo = s.opts.TermsOfService
	}
	if r := s.checkTerms(c, a); r != nil {
		return nil, r
	}
	a.binding, r = s.binding(c, o)
	return a, r
}

// checkTerms stops accounts that have not agreed to the current terms (§7.3, §7.3.3).
func (s *Server) checkTerms(c *call, a *account) *refusal {
	if a.agreedTo == s.opts.TermsOfService {
		return nil
	}
	r := refuse(http.StatusForbidden, "userActionRequired", "agree to the terms of service at %s", s.opts.TermsOfService)
	r.problem.Instance = c.base + "/agreement/" + a.id
	addLink(r.header, s.opts.TermsOfService, "terms-of-service")
	return r
}

// AgreeToTerms agrees to the current terms of service for all accounts. It stands for what humans do at the "instance" URL
// of a userActionRequired problem (§7.3.3).
func (s *Server) AgreeToTerms() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		a.agreedTo = s.opts.TermsOfService
	}
}

// contacts reads and checks the member "contact" (§7.3).
func contacts(o object) (list []string, present bool, r *refusal) {
	list, present, r = member[[]string](o, "contact")
	for _, c := range list {
		if r == nil {
			r = checkContact(c)
		}
	}
	return list, present, r
}

func checkContact(contact string) *refusal {
	invalid := func(why string) *refusal {
		return refuse(http.StatusBadRequest, "invalidContact", "contact %q: %s (§7.3)", contact, why)
	}
	u, err := url.Parse(contact)
	switch {
	case err != nil || u.Scheme == "":
		return invalid("it is not a URL")
	case u.Scheme != "mailto":
		return refuse(http.StatusBadRequest, "unsupportedContact", "contact %q: only mailto is supported (§7.3)", contact)
	case u.RawQuery != "" || u.ForceQuery:
		return invalid("it has hfields")
	case strings.Contains(u.Opaque, ","):
		return invalid("it has more than one address")
	}
	address, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return invalid("it has a bad escape")
	}
	if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
		return invalid("it has no valid address")
	}
	return nil
}

// accountPage is the account resource: POST-as-GET, update (§7.3.2) and deactivation (§7.3.6).
func (s *Server) accountPage(c *call) (*answer, *refusal) {
	if c.account.url(c.base) != c.url {
		return nil, unauthorized("this is another account")
	}
	if len(c.jws.payload) == 0 {
		return jsonAnswer(http.StatusOK, c.account.page(s, c.base)), nil
	}
	o, r := c.payload("contact", "status", "termsOfServiceAgreed")
	if r != nil {
		return nil, r
	}
	// §7.3.2 has the server ignore termsOfServiceAgreed, where §7.3.3 seems to say that it may be sent.
	if _, _, r := member[bool](o, "termsOfServiceAgreed"); r != nil {
		return nil, r
	}
	status, change, r := member[string](o, "status")
	if r != nil {
		return nil, r
	}
	if change && status != statusDeactivated {
		return nil, malformed("an account's status can be changed to %q only, not to %q (§7.3.6)", statusDeactivated, status)
	}
	list, present, r := contacts(o)
	if r != nil {
		return nil, r
	}
	if present {
		c.account.contact = list
	}
	if change {
		c.account.end(statusDeactivated)
	}
	return jsonAnswer(http.StatusOK, c.account.page(s, c.base)), nil
}

// end moves an account to a final status and cancels what it had under way (§7.3.6).
func (a *account) end(status string) {
	a.status = status
	for _, o := range a.orders {
		o.fail(&Problem{Type: ErrorURN + "unauthorized", Detail: "the account is " + status, Status: http.StatusForbidden})
	}
}

// RevokeAccount is the CA's side of a deactivation (§7.1.6). It reports whether there was a valid account with that URL.
func (s *Server) RevokeAccount(accountURL string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[lastSegment(accountURL)]
	if a == nil || a.status != statusValid {
		return false
	}
	a.end(statusRevoked)
	return true
}

// lastSegment returns the ID that a URL of ours ends with.
func lastSegment(u string) string { return u[strings.LastIndexByte(u, '/')+1:] }
