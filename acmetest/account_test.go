package acmetest_test

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestAccount(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, strict(acmetest.Options{}))
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	newAccount := c.url(t, "newAccount")
	c.refused(t, 400, "accountDoesNotExist", newAccount, m{"onlyReturnExisting": true})

	res := c.must(t, http.StatusCreated, newAccount, m{"contact": []string{"mailto:a@example.com"}})
	accountURL := res.header.Get("Location")
	if res.str("status") != "valid" || !slices.Equal(res.strings("contact"), []string{"mailto:a@example.com"}) {
		t.Errorf("created: %s", res.body)
	}
	for _, payload := range []m{{"onlyReturnExisting": true}, {"contact": []string{"mailto:b@example.com"}}} {
		res := c.must(t, http.StatusOK, newAccount, payload)
		if res.header.Get("Location") != accountURL || res.strings("contact")[0] != "mailto:a@example.com" {
			t.Errorf("existing: %v %s", res.header, res.body)
		}
	}
	c.kid = accountURL
	if res := c.must(t, http.StatusOK, c.kid, nil); res.str("orders") == "" {
		t.Errorf("fetched: %s", res.body)
	}
	c.must(t, http.StatusOK, c.kid, m{})
	res = c.must(t, http.StatusOK, c.kid, m{"contact": []string{"mailto:b@example.com", "mailto:c@example.com"}})
	if len(res.strings("contact")) != 2 {
		t.Errorf("updated: %s", res.body)
	}
	if res := c.must(t, http.StatusOK, c.kid, m{"contact": []string{}}); res.object["contact"] != nil {
		t.Errorf("cleared: %s", res.body)
	}
	if res := c.must(t, http.StatusOK, c.kid, m{"status": "deactivated"}); res.str("status") != "deactivated" {
		t.Errorf("deactivated: %s", res.body)
	}
	c.refused(t, 401, "unauthorized", c.kid, nil)
	c.refused(t, 401, "unauthorized", c.url(t, "newOrder"), m{"identifiers": identifiers("example.com")})
	c.kid = ""
	c.refused(t, 401, "unauthorized", newAccount, m{"onlyReturnExisting": true})
}

func TestAddAccount(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, strict(acmetest.Options{TermsOfService: "https://ca.test/terms/1"}))
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	accountURL := s.AddAccount(c.key.Public())
	if n := s.Count(acmetest.KindNewAccount); n != 0 {
		t.Errorf("%d requests", n)
	}
	if again := s.AddAccount(c.key.Public()); again != accountURL {
		t.Errorf("two accounts for a key: %s, %s", accountURL, again)
	}
	if other := s.AddAccount(newKey(t).Public()); other == accountURL {
		t.Error("one account for two keys")
	}
	res := c.must(t, http.StatusOK, c.url(t, "newAccount"), m{"onlyReturnExisting": true})
	if c.kid = res.header.Get("Location"); c.kid != accountURL {
		t.Errorf("found %s, want %s", c.kid, accountURL)
	}
	c.issue(t, "example.com") // so it has agreed to the terms
	if res := c.must(t, http.StatusOK, c.kid, nil); res.str("status") != "valid" || res.object["contact"] != nil {
		t.Errorf("account: %s", res.body)
	}
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "[]uint8") {
			t.Errorf("a key that is none: %v", v)
		}
	}()
	s.AddAccount([]byte("key"))
}

func TestAccountMembers(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	fresh := c.another(t)
	newAccount := c.url(t, "newAccount")
	for _, payload := range []string{
		`{"Contact":[]}`, `{"contact":null}`, `{"contact":"mailto:a@example.com"}`, `{"externalAccountBinding":null}`,
		`{"orders":""}`, `{"status":"valid"}`, `{"termsOfServiceAgreed":"yes"}`, `{"onlyReturnExisting":1}`, `[]`, `{`, `null`,
	} {
		fresh.refused(t, 400, "malformed", newAccount, []byte(payload))
	}
	for _, payload := range []string{`{"status":"valid"}`, `{"Status":"deactivated"}`, `{"orders":"x"}`, `{"contact":null}`} {
		c.refused(t, 400, "malformed", c.kid, []byte(payload))
	}
	if res := fresh.post(t, newAccount, []byte(`{"Contact":[]}`)); !strings.Contains(res.str("detail"), `"Contact"`) {
		t.Errorf("the detail does not name the member: %s", res.body)
	}
	if len(s.Violations()) != 16 {
		t.Errorf("violations: %v", s.Violations())
	}
	s.Update(func(o *acmetest.Options) { o.Extensions = []string{"orders"} })
	fresh.must(t, http.StatusCreated, newAccount, []byte(`{"orders":""}`))
}

func TestContacts(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	for contact, problem := range map[string]string{
		"mailto:admin@example.com":                    "",
		"mailto:%22not%40me%22@example.com":           "invalidContact", // quoted local parts are more than a CA takes
		"mailto:a@example.com,b@example.com":          "invalidContact",
		"mailto:a@example.com?subject=hello":          "invalidContact",
		"mailto:a@example.com?":                       "invalidContact",
		"mailto:":                                     "invalidContact",
		"mailto:nobody":                               "invalidContact",
		"mailto:%zz@example.com":                      "invalidContact",
		"admin@example.com":                           "invalidContact",
		"":                                            "invalidContact",
		"mailto:Admin%20%3Cadmin@example.com%3E":      "invalidContact",
		"tel:+15551234567":                            "unsupportedContact",
		"https://example.com/contact":                 "unsupportedContact",
		"MAILTO:admin@example.com":                    "",
		"mailto:admin%2Bacme@example.com":             "",
		"mailto:very.long.local.part.x@x.example.com": "",
	} {
		res := c.post(t, c.kid, m{"contact": []string{contact}})
		if res.problem() != problem {
			t.Errorf("%q: %d %s", contact, res.status, res.body)
		}
	}
}

func TestTermsOfService(t *testing.T) {
	t.Parallel()
	const terms = "https://ca.test/terms/1"
	s := acmetest.NewServer(t, acmetest.Options{TermsOfService: terms})
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	for _, payload := range []m{{}, {"termsOfServiceAgreed": false}} {
		res := c.refused(t, 403, "userActionRequired", c.url(t, "newAccount"), payload)
		if l := res.links("terms-of-service"); !slices.Equal(l, []string{terms}) || res.str("instance") == "" {
			t.Errorf("links %v, %s", l, res.body)
		}
	}
	c.register(t).order(t, "example.com")
	s.Update(func(o *acmetest.Options) { o.TermsOfService = "https://ca.test/terms/2" })
	for _, resource := range []string{"newOrder", "newAuthz"} {
		res := c.refused(t, 403, "userActionRequired", c.url(t, resource), m{})
		if l := res.links("terms-of-service"); !slices.Equal(l, []string{"https://ca.test/terms/2"}) {
			t.Errorf("links %v", l)
		}
	}
	s.AgreeToTerms()
	c.order(t, "example.com")
}

// bindingOf makes an external account binding.
func bindingOf(mac []byte, alg jose.SignatureAlgorithm, header map[string]any, key crypto.PublicKey) json.RawMessage {
	return sign(mac, alg, header, jwkOf(key))
}

func TestExternalAccount(t *testing.T) {
	t.Parallel()
	mac := []byte(strings.Repeat("k", 64))
	s := acmetest.NewServer(t, acmetest.Options{
		ExternalAccounts:        map[string][]byte{"kid-1": mac, "short": mac[:31]},
		ExternalAccountRequired: true,
	})
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	if meta, _ := c.dir["meta"].(map[string]any); meta["externalAccountRequired"] != true {
		t.Errorf("directory: %v", c.dir)
	}
	newAccount := c.url(t, "newAccount")
	header := m{"kid": "kid-1", "url": newAccount}
	c.refused(t, 403, "externalAccountRequired", newAccount, m{})
	padded := append(bytes.Clone(mac[:31]), 0) // HMAC fills short keys up with zeros, so this has the same MAC
	for name, tt := range map[string]struct {
		binding any
		problem string
	}{
		"wrong MAC key":   {bindingOf(make([]byte, 32), jose.HS256, header, c.key.Public()), "unauthorized"},
		"short MAC key":   {bindingOf(padded, jose.HS256, m{"kid": "short", "url": newAccount}, c.key.Public()), "unauthorized"},
		"unknown kid":     {bindingOf(mac, jose.HS256, m{"kid": "kid-2", "url": newAccount}, c.key.Public()), "unauthorized"},
		"no kid":          {bindingOf(mac, jose.HS256, m{"url": newAccount}, c.key.Public()), "malformed"},
		"other url":       {bindingOf(mac, jose.HS256, m{"kid": "kid-1", "url": c.url(t, "newOrder")}, c.key.Public()), "malformed"},
		"no url":          {bindingOf(mac, jose.HS256, m{"kid": "kid-1"}, c.key.Public()), "malformed"},
		"nonce":           {bindingOf(mac, jose.HS256, m{"kid": "kid-1", "url": newAccount, "nonce": "x"}, c.key.Public()), "malformed"},
		"other key":       {bindingOf(mac, jose.HS256, header, newKey(t).Public()), "malformed"},
		"not a MAC":       {json.RawMessage(sign(c.key, jose.ES256, header, jwkOf(c.key.Public()))), "malformed"},
		"no key":          {json.RawMessage(sign(mac, jose.HS256, header, []byte("{}"))), "malformed"},
		"null":            {nil, "malformed"},
		"not a JWS":       {m{"protected": "x"}, "malformed"},
		"compact, string": {"a.b.c", "malformed"},
	} {
		res := c.post(t, newAccount, m{"externalAccountBinding": tt.binding})
		if res.problem() != tt.problem {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
	for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
		other := c.another(t)
		binding := bindingOf(mac, alg, header, other.key.Public())
		res := other.must(t, http.StatusCreated, newAccount, m{"externalAccountBinding": binding})
		if got, err := json.Marshal(res.object["externalAccountBinding"]); err != nil || string(got) != string(encode(binding)) {
			t.Errorf("%s: reflected %s", alg, got)
		}
	}
	// A CA that does not verify must not reflect (§7.3.4).
	s.Update(func(o *acmetest.Options) { o.ExternalAccounts, o.ExternalAccountRequired = nil, false })
	res := c.must(t, http.StatusCreated, newAccount, m{"externalAccountBinding": bindingOf(mac, jose.HS256, header, c.key.Public())})
	if _, ok := res.object["externalAccountBinding"]; ok {
		t.Errorf("reflected: %s", res.body)
	}
}

func TestKeyChange(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	other := c.another(t).register(t)
	keyChange := c.url(t, "keyChange")
	next := newKey(t)
	jwk := jwkOf(next.Public())
	header := m{"jwk": jwk, "url": keyChange}
	change := m{"account": c.kid, "oldKey": jwkOf(c.key.Public())}
	inner := func(key crypto.Signer, h, payload m) []byte { return sign(key, jose.ES256, h, encode(payload)) }

	for name, payload := range map[string][]byte{
		"no jwk":         inner(next, m{"url": keyChange}, change),
		"kid":            inner(next, m{"jwk": jwk, "url": keyChange, "kid": c.kid}, change),
		"nonce":          inner(next, m{"jwk": jwk, "url": keyChange, "nonce": "abc"}, change),
		"other url":      inner(next, m{"jwk": jwk, "url": c.kid}, change),
		"no url":         inner(next, m{"jwk": jwk}, change),
		"other signer":   inner(newKey(t), header, change),
		"other account":  inner(next, header, m{"account": other.kid, "oldKey": change["oldKey"]}),
		"other oldKey":   inner(next, header, m{"account": c.kid, "oldKey": jwk}),
		"no oldKey":      inner(next, header, m{"account": c.kid}),
		"no account":     inner(next, header, m{"oldKey": change["oldKey"]}),
		"unknown member": inner(next, header, m{"account": c.kid, "oldKey": change["oldKey"], "newKey": jwk}),
		"not a JWS":      encode(change),
		"POST-as-GET":    nil,
	} {
		if res := c.post(t, keyChange, payload); res.status != 400 || res.problem() != "malformed" {
			t.Errorf("%s: %d %s", name, res.status, res.body)
		}
	}
	taken := inner(other.key, m{"jwk": jwkOf(other.key.Public()), "url": keyChange}, change)
	if res := c.refused(t, 409, "malformed", keyChange, taken); res.header.Get("Location") != other.kid {
		t.Errorf("conflict: %v", res.header)
	}
	small := rsaKey(t, 1024)
	fips140.WithoutEnforcement(func() { // which signs with no such key
		c.refused(t, 400, "badPublicKey", keyChange, sign(small, jose.RS256, m{"jwk": jwkOf(small.Public()), "url": keyChange}, encode(change)))
	})

	order := c.order(t, "example.com").header.Get("Location")
	old := *c
	if res := c.must(t, http.StatusOK, keyChange, inner(next, header, change)); res.str("status") != "valid" {
		t.Errorf("changed: %s", res.body)
	}
	c.key = next
	if res := c.must(t, http.StatusOK, order, nil); res.str("status") != "pending" {
		t.Errorf("the order did not survive: %s", res.body)
	}
	old.refused(t, 400, "malformed", c.kid, nil)
	// The old key is free again, and the new one finds the account.
	old.kid, old.nonce = "", ""
	old.refused(t, 400, "accountDoesNotExist", c.url(t, "newAccount"), m{"onlyReturnExisting": true})
	found := client{http: c.http, dir: c.dir, key: next}
	if res := found.must(t, http.StatusOK, c.url(t, "newAccount"), m{"onlyReturnExisting": true}); res.header.Get("Location") != c.kid {
		t.Errorf("found %s", res.header.Get("Location"))
	}
	// Challenges use the key of the moment they are responded to (§8.3).
	var got acmetest.Validation
	s.Update(func(o *acmetest.Options) { o.Validate = capture(&got) })
	c.ready(t, "http-01", "example.net")
	if !strings.HasSuffix(got.KeyAuthorization, "."+thumbprintOf(next.Public())) {
		t.Errorf("key authorization %s", got.KeyAuthorization)
	}
}

func TestOrdersList(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{OrdersPerPage: 3})
	list := c.must(t, http.StatusOK, c.kid, nil).str("orders")
	if res := c.must(t, http.StatusOK, list, nil); string(res.body) != `{"orders":[]}` {
		t.Errorf("empty list: %s", res.body)
	}
	var want []string
	for i := range 8 {
		order := c.order(t, fmt.Sprintf("%c.example.com", 'a'+i))
		if i == 4 { // invalid orders are not listed
			c.must(t, http.StatusOK, order.strings("authorizations")[0], m{"status": "deactivated"})
			continue
		}
		want = append(want, order.header.Get("Location"))
	}
	var got []string
	for page, size := range []int{3, 3, 1} {
		res := c.must(t, http.StatusOK, list, nil)
		if n := len(res.strings("orders")); n != size {
			t.Errorf("page %d has %d", page, n)
		}
		got = append(got, res.strings("orders")...)
		next := res.links("next")
		if (len(next) == 0) != (page == 2) {
			t.Fatalf("page %d: next %v", page, next)
		}
		if len(next) > 0 {
			list = next[0]
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	other := c.another(t).register(t)
	other.refused(t, 403, "unauthorized", list, nil)
	c.refused(t, 400, "malformed", list, m{})
}

func TestForgetAndRevokeAccount(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	order := c.order(t, "example.com")
	if s.RevokeAccount(c.kid+"x") || !s.RevokeAccount(c.kid) || s.RevokeAccount(c.kid) {
		t.Error("RevokeAccount")
	}
	if res := c.refused(t, 401, "unauthorized", c.kid, nil); !strings.Contains(res.str("detail"), "revoked") {
		t.Errorf("%s", res.body)
	}
	if o := s.Orders(); len(o) != 1 || o[0].Status != "invalid" || o[0].URL != order.header.Get("Location") {
		t.Errorf("orders %+v", o)
	}
	s.ForgetAccounts()
	c.refused(t, 400, "accountDoesNotExist", c.kid, nil)
	old := c.kid
	c.kid = ""
	if c.register(t); c.kid == old {
		t.Error("the same account came back")
	}
}

func TestForeignResources(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	cert, _ := c.issue(t, "example.com")
	order := c.order(t, "example.org")
	other := c.another(t).register(t)
	authz := order.strings("authorizations")[0]
	for _, u := range []string{c.kid, order.header.Get("Location"), authz, c.challengeOf(t, authz, "dns-01"), cert} {
		other.refused(t, 403, "unauthorized", u, nil)
		if u != c.kid {
			other.refused(t, 404, "malformed", u[:strings.LastIndexByte(u, '/')+1]+"none", nil)
		}
	}
	other.refused(t, 403, "unauthorized", order.str("finalize"), csrOf(t, newKey(t), "example.org"))
}
