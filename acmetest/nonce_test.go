package acmetest_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestNonceIsGoodOnce(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	body := c.signed(t, c.kid, nil)
	for i, want := range []string{"", "badNonce", "badNonce"} {
		res, err := c.send(t.Context(), c.kid, body)
		if err != nil || res.problem() != want || res.header.Get("Replay-Nonce") == "" {
			t.Errorf("%d: %v %v", i, res, err)
		}
	}
	if v := s.Violations(); len(v) != 2 || !strings.Contains(v[0].String(), "used before") {
		t.Errorf("violations %v", v)
	}
	c.must(t, http.StatusOK, c.kid, nil) // the fresh nonce of the error works
	s.Reset()
	c.takeNonce(t)
	s.ForgetNonces()
	body = c.signed(t, c.kid, nil)
	s.ForgetNonces()
	if res, err := c.send(t.Context(), c.kid, body); err != nil || res.problem() != "badNonce" {
		t.Errorf("after ForgetNonces: %v %v", res, err)
	}
	if v := s.Violations(); len(v) != 0 {
		t.Errorf("a forgotten nonce is no violation: %v", v)
	}
}

// A nonce counts as used even if the request was bad for other reasons (§6.5).
func TestNonceOfBadRequestIsUsed(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	for name, spoil := range map[string]func(f *forgery){
		"Content-Type": func(f *forgery) { f.http = func(r *http.Request) { r.Header.Del("Content-Type") } },
		"algorithm":    func(f *forgery) { f.key, f.alg = make([]byte, 32), jose.HS256 },
		"signature":    func(f *forgery) { f.key = newKey(t) },
		"header":       func(f *forgery) { f.body = with("header", m{}) },
	} {
		f := forge(t, c)
		again := maps.Clone(f.header)
		spoil(f)
		f.send(t, c, c.url(t, "newOrder"))
		f = forge(t, c)
		f.header = again
		if res := f.send(t, c, c.url(t, "newOrder")); res.problem() != "badNonce" {
			t.Errorf("%s: %d %s", name, res.status, res.problem())
		}
	}
}

func TestBadNonceShare(t *testing.T) {
	t.Parallel()
	rejected := func(seed uint64) string {
		s := acmetest.NewServer(t, acmetest.Options{Seed: seed, BadNonce: 0.5})
		c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
		var b strings.Builder
		for range 64 {
			res, err := c.try(t, c.kid, nil)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(map[bool]string{true: "x", false: "."}[res.problem() == "badNonce"])
		}
		return b.String()
	}
	a := rejected(1)
	if n := strings.Count(a, "x"); n < 16 || n > 48 {
		t.Errorf("%d of 64 rejected", n)
	}
	if b := rejected(1); a != b {
		t.Errorf("the same seed, but\n%s\n%s", a, b)
	}
	if b := rejected(2); a == b {
		t.Error("the seed has no effect")
	}
}
