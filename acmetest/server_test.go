package acmetest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestDirectory(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, acmetest.Options{
		TermsOfService: "https://ca.test/terms", Website: "https://ca.test/", CAAIdentities: []string{"ca.test"},
		Profiles: map[string]string{"classic": "the usual"},
	})
	c := newClient(t, s.HTTPClient(), s.DirectoryURL())
	meta, _ := c.dir["meta"].(map[string]any)
	if len(c.dir) != 8 || meta["website"] != "https://ca.test/" || meta["termsOfService"] != "https://ca.test/terms" || meta["profiles"] == nil {
		t.Errorf("%v", c.dir)
	}
	if _, ok := meta["externalAccountRequired"]; ok {
		t.Errorf("%v", meta)
	}
	s.Update(func(o *acmetest.Options) {
		o.OmitFromDirectory = []string{"revokeCert", "keyChange", "meta", "newAuthz"}
	})
	dir := c.get(t, s.DirectoryURL())
	if len(dir.object) != 4 || dir.object["revokeCert"] != nil || dir.object["meta"] != nil || dir.header.Get("Content-Type") != "application/json" {
		t.Errorf("%s", dir.body)
	}
	c.refused(t, 404, "malformed", c.url(t, "keyChange"), nil)
	s.Update(func(o *acmetest.Options) { *o = acmetest.Options{} })
	if dir := c.get(t, s.DirectoryURL()); dir.object["meta"] != nil || len(dir.object) != 7 {
		t.Errorf("%s", dir.body)
	}
}

func TestOmitLocationAndNonce(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{OmitLocation: true, OmitNonceOnErrors: true})
	order := c.order(t, "example.com")
	url := order.header.Get("Location")
	res := c.must(t, 201, c.url(t, "newAuthz"), m{"identifier": identifiers("example.com")[0]})
	if url == "" || res.header.Get("Location") == "" {
		t.Errorf("%v %v", order.header, res.header)
	}
	c.must(t, 200, c.challengeOf(t, order.strings("authorizations")[0], "http-01"), m{})
	for _, u := range []string{url, c.kid} {
		if res := c.must(t, 200, u, nil); res.header.Get("Location") != "" {
			t.Errorf("%s: %v", u, res.header)
		}
	}
	res = c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.com"))
	if res.header.Get("Location") != "" {
		t.Errorf("finalize: %v", res.header)
	}
	body := c.signed(t, c.kid, nil)
	for i := range 2 {
		res, err := c.send(t.Context(), c.kid, body)
		if err != nil || (res.header.Get("Replay-Nonce") == "") != (i == 1) {
			t.Errorf("%d: %v %v", i, res, err)
		}
	}
	if len(s.Violations()) != 1 {
		t.Errorf("%v", s.Violations())
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, acmetest.Options{})
	c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
	c.issue(t, "example.com")
	var kinds []acmetest.Kind
	for _, r := range s.Requests() {
		kinds = append(kinds, r.Kind)
	}
	want := []acmetest.Kind{
		acmetest.KindDirectory, acmetest.KindNewNonce, acmetest.KindNewAccount, acmetest.KindNewOrder, acmetest.KindAuthorization,
		acmetest.KindAuthorization, acmetest.KindChallenge, acmetest.KindOrder, acmetest.KindFinalize, acmetest.KindOrder, acmetest.KindCertificate,
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v\nwant %v", kinds, want)
	}
	if s.Count("") != len(want) || s.Count(acmetest.KindOrder) != 2 || s.Count(acmetest.KindUnknown) != 0 {
		t.Errorf("%d requests", s.Count(""))
	}
	all := s.Requests() // a copy
	all[0].Header.Set("User-Agent", "changed")
	all[2].Payload[0] = 'x'
	if r := s.Requests(); r[0].Header.Get("User-Agent") == "changed" || r[2].Payload[0] == 'x' {
		t.Error("the record can be changed")
	}
	if s.Reset(); s.Count("") != 0 || len(s.Issued()) != 1 {
		t.Error("Reset")
	}
	c.get(t, "https://ca.test/orders")
	if r := last(s); r.Kind != acmetest.KindUnknown || r.Status != 404 || r.ProblemType != acmetest.ErrorURN+"malformed" || r.Protected != nil {
		t.Errorf("%+v", r)
	}
}

// A violation knows how it was answered, and is a copy.
func TestViolationIsAnswered(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	c.refused(t, 400, "malformed", c.url(t, "newOrder"), m{"Identifiers": identifiers("example.com")})
	s.Violations()[0].Request.Payload[0] = 'x'
	if r := s.Violations()[0].Request; r.Status != 400 || r.ProblemType != acmetest.ErrorURN+"malformed" || r.Payload[0] != '{' {
		t.Errorf("%+v", r)
	}
}

// A tb is a testing.TB that collects what is reported.
type tb struct {
	testing.TB
	errors  []string
	cleanup []func()
}

func (t *tb) Helper()                   {}
func (t *tb) Cleanup(f func())          { t.cleanup = append(t.cleanup, f) }
func (t *tb) Errorf(f string, a ...any) { t.errors = append(t.errors, fmt.Sprintf(f, a...)) }

func TestStrict(t *testing.T) {
	t.Parallel()
	for strict, want := range map[bool]int{false: 0, true: 1} {
		fake := &tb{TB: t}
		s := acmetest.NewServer(fake, acmetest.Options{Strict: strict})
		c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
		c.refused(t, 400, "malformed", c.kid, m{"Contact": []string{}})
		c.refused(t, 403, "rejectedIdentifier", c.url(t, "newOrder"), m{"identifiers": identifiers("*.com")}) // no violation
		for _, f := range fake.cleanup {
			f()
		}
		s.Close() // reports only once
		if len(fake.errors) != want || want == 1 && !strings.Contains(fake.errors[0], `unknown member "Contact"`) {
			t.Errorf("%v: %q", strict, fake.errors)
		}
		if v := s.Violations(); len(v) != 1 || v[0].Request.Kind != acmetest.KindAccount {
			t.Errorf("%v", v)
		}
	}
}

func TestRootPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	acmetest.NewServer(t, acmetest.Options{AlternateChains: 1}).Root(2)
}

func TestUpdateSeparatesOptions(t *testing.T) {
	t.Parallel()
	profiles := map[string]string{"a": ""}
	s, c := setup(t, acmetest.Options{Profiles: profiles})
	profiles["b"] = ""
	order := m{"identifiers": identifiers("example.com"), "profile": "b"}
	c.refused(t, 400, "invalidProfile", c.url(t, "newOrder"), order)
	s.Update(func(o *acmetest.Options) { o.Profiles = profiles })
	c.must(t, http.StatusCreated, c.url(t, "newOrder"), order)
}
