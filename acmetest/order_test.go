package acmetest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{RejectIdentifiers: []string{"bad.example"}, IdentifierTypes: []string{"permanent-identifier"}})
	for value, problem := range map[string]string{
		"example.com":                    "",
		"localhost":                      "",
		"*.example.com":                  "",
		"xn--bcher-kva.example":          "",
		"xn--p1ai":                       "",
		"a-b.3com.example":               "",
		"192.0.2.1":                      "",
		"2001:db8::1":                    "",
		"bad.example":                    "rejectedIdentifier",
		"*.com":                          "rejectedIdentifier",
		"Example.com":                    "malformed",
		"bücher.example":                 "malformed",
		"_acme.example.com":              "malformed",
		"example.com.":                   "malformed",
		".example.com":                   "malformed",
		"exam ple.com":                   "malformed",
		"-a.example":                     "malformed",
		"a-.example":                     "malformed",
		"ab--c.example":                  "malformed",
		"*":                              "malformed",
		"*.*.example.com":                "malformed",
		"www.*.example.com":              "malformed",
		"w*.example.com":                 "malformed",
		"xn--.example":                   "malformed",
		"xn--abc-.example":               "malformed",
		"xn--zzzzzzzzzzzzzzzzzz.example": "malformed",
		"xn---a.example":                 "malformed",
		"example.123":                    "malformed",
		"":                               "malformed",
		strings.Repeat("a", 64):          "malformed",
		strings.Repeat("abcdefg.", 40) + "example": "malformed",
		"2001:DB8::1":      "malformed",
		"2001:db8:0::1":    "malformed",
		"::ffff:192.0.2.1": "",
	} {
		res := c.post(t, c.url(t, "newOrder"), m{"identifiers": identifiers(value)})
		if res.problem() != problem {
			t.Errorf("%q: %d %s", value, res.status, res.body)
		}
	}
	for _, id := range []acmetest.Identifier{{Type: "ip", Value: "192.0.2.01"}, {Type: "ip", Value: "fe80::1%eth0"}, {Type: "ip", Value: "example.com"}} {
		c.refused(t, 400, "malformed", c.url(t, "newOrder"), m{"identifiers": []acmetest.Identifier{id}})
	}
	c.refused(t, 400, "unsupportedIdentifier", c.url(t, "newOrder"), m{"identifiers": []m{{"type": "email", "value": "a@example.com"}}})
	c.must(t, 201, c.url(t, "newOrder"), m{"identifiers": []m{{"type": "permanent-identifier", "value": "1"}}})
}

func TestSubproblems(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{RejectIdentifiers: []string{"bad.example"}})
	res := c.refused(t, 400, "compound", c.url(t, "newOrder"), m{"identifiers": []m{
		{"type": "dns", "value": "ok.example"}, {"type": "dns", "value": "bad.example"}, {"type": "tn", "value": "1"},
	}})
	var got []string
	list, _ := res.object["subproblems"].([]any)
	for _, e := range list {
		sub := e.(map[string]any)
		id, _ := sub["identifier"].(map[string]any)
		got = append(got, strings.TrimPrefix(sub["type"].(string), acmetest.ErrorURN)+" "+id["value"].(string))
	}
	if !slices.Equal(got, []string{"rejectedIdentifier bad.example", "unsupportedIdentifier 1"}) {
		t.Errorf("%v in %s", got, res.body)
	}
}

func TestOrderMembers(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{Profiles: map[string]string{"short": "6 days"}})
	newOrder := c.url(t, "newOrder")
	const ids = `"identifiers":[{"type":"dns","value":"example.com"}]`
	for _, payload := range []string{
		`{}`, `{"identifiers":[]}`, `{"identifiers":null}`, `{"identifiers":{}}`, `{"Identifiers":[{"type":"dns","value":"example.com"}]}`,
		`{"identifiers":["example.com"]}`, `{"identifiers":[{"type":"dns"}]}`, `{"identifiers":[{"value":"example.com"}]}`,
		`{"identifiers":[{"type":"dns","Value":"example.com"}]}`, `{"identifiers":[{"type":"dns","value":"example.com","wildcard":false}]}`,
		`{` + ids + `,"Profile":"short"}`, `{` + ids + `,"expires":"0001-01-01T00:00:00Z"}`, `{` + ids + `,"authorizations":null}`,
		`{` + ids + `,"notBefore":"tomorrow"}`, `{` + ids + `,"notAfter":0}`, `{` + ids + `,"replaces":"nonsense"}`, `{` + ids + `,"status":""}`,
		`{` + ids + `,"notBefore":"2030-01-02T00:00:00Z","notAfter":"2030-01-01T00:00:00Z"}`,
	} {
		c.refused(t, 400, "malformed", newOrder, []byte(payload))
	}
	c.refused(t, 400, "invalidProfile", newOrder, []byte(`{`+ids+`,"profile":"long"}`))
	res := c.must(t, 201, newOrder, []byte(`{`+ids+`,"profile":"short","replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}`))
	for range 2 {
		if res.str("profile") != "short" || res.str("replaces") != "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" {
			t.Errorf("order: %s", res.body)
		}
		res = c.must(t, 200, s.Orders()[0].URL, nil)
	}
	s.Update(func(o *acmetest.Options) {
		o.OmitFromDirectory, o.Extensions = []string{"renewalInfo"}, []string{"auto-renewal"}
	})
	c.refused(t, 400, "malformed", newOrder, []byte(`{`+ids+`,"replaces":"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}`))
	res = c.must(t, 201, newOrder, []byte(`{`+ids+`,"auto-renewal":{"lifetime":5}}`))
	if ext, _ := res.object["auto-renewal"].(map[string]any); ext["lifetime"] != 5.0 {
		t.Errorf("extension: %s", res.body)
	}
}

func TestOrderObject(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	res := c.must(t, 201, c.url(t, "newOrder"), m{
		"identifiers": identifiers("example.com", "*.example.com", "example.com", "192.0.2.1"),
		"notBefore":   "2030-01-01T00:04:00+04:00",
		"notAfter":    "2030-01-08T00:04:00+04:00",
	})
	if res.str("status") != "pending" || res.str("notBefore") != "2029-12-31T20:04:00Z" || res.str("notAfter") != "2030-01-07T20:04:00Z" {
		t.Errorf("order: %s", res.body)
	}
	if _, err := time.Parse(time.RFC3339, res.str("expires")); err != nil {
		t.Error(err)
	}
	want := map[string][]string{
		"example.com false": {"http-01", "dns-01", "tls-alpn-01"},
		"example.com true":  {"dns-01"},
		"192.0.2.1 false":   {"http-01", "tls-alpn-01"},
	}
	authzs := res.strings("authorizations")
	if len(authzs) != len(want) {
		t.Errorf("%d authorizations", len(authzs))
	}
	tokens := map[string]bool{}
	for _, u := range authzs {
		authz := c.must(t, 200, u, nil)
		id, _ := authz.object["identifier"].(map[string]any)
		wildcard, present := authz.object["wildcard"].(bool)
		if present && !wildcard {
			t.Errorf("wildcard is there and false: %s", authz.body)
		}
		key := id["value"].(string) + " " + map[bool]string{true: "true", false: "false"}[wildcard]
		var types []string
		list, _ := authz.object["challenges"].([]any)
		for _, e := range list {
			ch := e.(map[string]any)
			types = append(types, ch["type"].(string))
			token := ch["token"].(string)
			if tokens[token] || len(token) < 22 || ch["status"] != "pending" {
				t.Errorf("challenge: %v", ch)
			}
			tokens[token] = true
		}
		if !slices.Equal(types, want[key]) {
			t.Errorf("%s: %v", key, types)
		}
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{OrderLifetime: time.Hour, AuthorizationLifetime: 24 * time.Hour, ReuseAuthorizations: true})
		order := c.order(t, "example.com")
		url := order.header.Get("Location")
		pause(t, time.Hour-time.Second)
		if res := c.must(t, 200, url, nil); res.str("status") != "pending" {
			t.Errorf("%s", res.body)
		}
		pause(t, time.Second)
		if res := c.must(t, 200, url, nil); res.str("status") != "invalid" || len(s.Authorizations("expired")) != 1 {
			t.Errorf("%s", res.body)
		}
		// A valid authorization outlives its order, until it expires too.
		url, _ = c.ready(t, "dns-01", "example.com")
		pause(t, 2*time.Hour)
		if res := c.must(t, 200, url, nil); res.str("status") != "invalid" {
			t.Errorf("%s", res.body)
		}
		order = c.order(t, "example.com")
		if order.str("status") != "ready" || order.strings("authorizations")[0] != s.Authorizations("valid")[0] {
			t.Errorf("not reused: %s", order.body)
		}
		pause(t, 22*time.Hour)
		if order := c.order(t, "example.com"); order.str("status") != "pending" {
			t.Errorf("expired, but reused: %s", order.body)
		}
	})
}

func TestOrderNeedsAllAuthorizations(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	order := c.order(t, "example.com", "example.org")
	url := order.header.Get("Location")
	for i, want := range []string{"pending", "ready"} {
		c.must(t, 200, c.challengeOf(t, order.strings("authorizations")[i], "dns-01"), m{})
		if res := c.must(t, 200, url, nil); res.str("status") != want {
			t.Errorf("after %d: %s", i+1, res.body)
		}
	}
}

func TestReuseOrdersAndShuffle(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{ReuseOrders: true, Shuffle: true, Seed: 7})
	names := []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	first, second := c.order(t, names...), c.order(t, names[4], names[3], names[2], names[1], names[0])
	if first.header.Get("Location") != second.header.Get("Location") || len(s.Orders()) != 1 {
		t.Errorf("not reused: %v %v", first.header, second.header)
	}
	ids := s.Orders()[0].Identifiers
	if slices.Equal(ids, identifiers(names...)) {
		t.Errorf("not shuffled: %v", ids)
	}
	if other := c.order(t, "a.example"); other.header.Get("Location") == first.header.Get("Location") {
		t.Error("reused for other identifiers")
	}
	c.issue(t, names...)
	if c.order(t, names...); len(s.Orders()) != 3 {
		t.Errorf("a valid order was reused: %+v", s.Orders())
	}
}

// An order is reused for one that asks for the same in every respect; what it replaces is shown (RFC 9773 §5).
func TestReuseOrdersOfTheSameRequest(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{
		ReuseOrders: true, SubdomainAuth: true, AutoRenewal: &acmetest.AutoRenewal{}, AllowCertificateGet: true, Extensions: []string{"note"},
		Delegations: []acmetest.Delegation{{CSRTemplate: `{` + p256Template + `,"extensions":{"subjectAltName":{"DNS":["**"]}}}`}},
	})
	const name = "www.example.com"
	c.issue(t, name)
	newOrder := c.url(t, "newOrder")
	series := m{"end-date": time.Now().Add(48 * time.Hour), "lifetime": 86400}
	var urls []string
	for _, tt := range []struct {
		more  m
		alone bool // it is never reused
	}{
		{m{"auto-renewal": series}, true},
		{m{"delegation": "https://ca.test/delegation/1", "allow-certificate-get": true}, true},
		{m{}, false},
		{m{"allow-certificate-get": true}, false},
		{m{"replaces": certID(s.Issued()[0])}, false}, // the second time it is replaced by this very order
		{m{"replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"}, false},
		{m{"note": 1}, false},
		{m{"note": 2}, false},
		{m{"identifiers": []m{{"type": "dns", "value": name, "ancestorDomain": "example.com"}}}, false},
	} {
		if tt.more["identifiers"] == nil {
			tt.more["identifiers"] = identifiers(name)
		}
		order := c.must(t, 201, newOrder, tt.more)
		again := c.must(t, 201, newOrder, tt.more)
		if url := order.header.Get("Location"); slices.Contains(urls, url) || (again.header.Get("Location") == url) == tt.alone {
			t.Errorf("%v: %s, %v", tt.more, order.body, again.header)
		}
		if replaces, _ := tt.more["replaces"].(string); order.str("replaces") != replaces || again.str("replaces") != replaces {
			t.Errorf("%v: %s, %s", tt.more, order.body, again.body)
		}
		urls = append(urls, order.header.Get("Location"), again.header.Get("Location"))
	}
	c.refused(t, 400, "malformed", newOrder, m{"identifiers": identifiers(name), "replaces": "%%%"})
	c.refused(t, 409, "alreadyReplaced", newOrder, m{"identifiers": identifiers(name, "example.org"), "replaces": certID(s.Issued()[0])})
}

// An order whose end has passed gets no certificate: one without notBefore begins when it is issued, and a series as well.
func TestNotAfterHasPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{PreValidated: true, IssuanceTime: time.Hour, AutoRenewal: &acmetest.AutoRenewal{}})
		order := func(notAfter time.Duration) m {
			return m{"identifiers": identifiers("example.com"), "notAfter": time.Now().Add(notAfter)}
		}
		series := func(end time.Duration) m {
			return m{"identifiers": identifiers("example.com"), "auto-renewal": m{"end-date": time.Now().Add(end), "lifetime": 60}}
		}
		newOrder := c.url(t, "newOrder")
		for _, notAfter := range []time.Duration{-time.Hour, 0} {
			c.refused(t, 400, "malformed", newOrder, order(notAfter))
		}
		want := map[string]string{}
		for end, status := range map[time.Duration]string{time.Hour: "invalid", time.Hour + time.Second: "valid"} {
			for _, body := range []m{order(end), series(end)} {
				res := c.must(t, 201, newOrder, body)
				c.finished(t, res, "example.com")
				want[res.header.Get("Location")] = status
			}
		}
		pause(t, time.Hour)
		for url, status := range want {
			if res := c.must(t, 200, url, nil); res.str("status") != status {
				t.Errorf("%s, want %s", res.body, status)
			}
		}
		if len(s.Issued()) != 2 || len(s.Violations()) != 0 {
			t.Errorf("%d certificates, %v", len(s.Issued()), s.Violations())
		}
	})
}
