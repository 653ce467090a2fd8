package acmetest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// capture is a Validate that remembers.
func capture(v *acmetest.Validation) func(context.Context, acmetest.Validation) error {
	return func(_ context.Context, got acmetest.Validation) error {
		*v = got
		return nil
	}
}

func TestValidation(t *testing.T) {
	t.Parallel()
	var got acmetest.Validation
	s, c := setup(t, acmetest.Options{Validate: capture(&got)})
	order := c.order(t, "*.example.com")
	authz := order.strings("authorizations")[0]
	ch := c.challengeOf(t, authz, "dns-01")
	res := c.must(t, 200, ch, m{"proof": "x"})
	if res.str("status") != "valid" || res.str("validated") == "" || !slices.Equal(res.links("up"), []string{authz}) {
		t.Errorf("%s %v", res.body, res.header)
	}
	want := acmetest.Validation{
		Identifier: acmetest.Identifier{Type: "dns", Value: "example.com"}, Wildcard: true, Type: "dns-01", Token: res.str("token"),
		KeyAuthorization: res.str("token") + "." + thumbprintOf(c.key.Public()), AccountURL: c.kid,
	}
	if string(got.Response) != `{"proof":"x"}` {
		t.Errorf("response %s", got.Response)
	}
	if got.Response = nil; got.Identifier != want.Identifier || got.KeyAuthorization != want.KeyAuthorization || !got.Wildcard ||
		got.AccountURL != want.AccountURL || got.Token != want.Token || got.Type != want.Type {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	c.refused(t, 400, "malformed", ch, m{}) // a final challenge
	if len(s.Violations()) != 0 {
		t.Errorf("violations %v", s.Violations())
	}
	if a := s.Authorizations("valid"); !slices.Equal(a, []string{authz}) {
		t.Errorf("valid: %v", a)
	}
	res = c.must(t, 200, order.header.Get("Location"), nil)
	if res.str("status") != "ready" {
		t.Errorf("order: %s", res.body)
	}
}

func TestValidationFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"plain":   {errors.New("nobody there"), acmetest.ErrorURN + "incorrectResponse"},
		"problem": {&acmetest.Problem{Type: acmetest.ErrorURN + "dns", Detail: "SERVFAIL"}, acmetest.ErrorURN + "dns"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := setup(t, acmetest.Options{Validate: func(context.Context, acmetest.Validation) error {
				return errors.Join(tt.err)
			}})
			order := c.order(t, "example.com", "example.net")
			authz := order.strings("authorizations")[0]
			res := c.must(t, 200, c.challengeOf(t, authz, "http-01"), m{})
			if e, _ := res.object["error"].(map[string]any); res.str("status") != "invalid" || e["type"] != tt.want {
				t.Errorf("challenge: %s", res.body)
			}
			res = c.must(t, 200, authz, nil)
			if list, _ := res.object["challenges"].([]any); res.str("status") != "invalid" || len(list) != 1 {
				t.Errorf("authorization: %s", res.body)
			}
			res = c.must(t, 200, order.header.Get("Location"), nil)
			if res.str("status") != "invalid" || res.object["error"] == nil {
				t.Errorf("order: %s", res.body)
			}
			c.refused(t, 403, "orderNotReady", order.str("finalize"), csrOf(t, newKey(t), "example.com", "example.net"))
			if len(s.Authorizations("")) != 2 || len(s.Authorizations("pending")) != 1 || len(s.Authorizations("invalid")) != 1 {
				t.Errorf("%v", s.Authorizations(""))
			}
		})
	}
}

func TestValidationTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s, c := setup(t, acmetest.Options{
			ValidationTime: time.Minute,
			RetryAfter:     "Sat, 01 Jan 2000 00:00:10 GMT",
			Validate: func(context.Context, acmetest.Validation) error {
				calls.Add(1)
				return nil
			},
		})
		order := c.order(t, "example.com")
		orderURL, authz := order.header.Get("Location"), order.strings("authorizations")[0]
		ch := c.challengeOf(t, authz, "http-01")
		for range 2 { // the second changes nothing
			res := c.must(t, 200, ch, m{})
			if res.str("status") != "processing" || res.header.Get("Retry-After") != "Sat, 01 Jan 2000 00:00:10 GMT" {
				t.Errorf("%s %v", res.body, res.header)
			}
			pause(t, 29*time.Second)
		}
		if res := c.must(t, 200, orderURL, nil); res.str("status") != "pending" || res.header.Get("Retry-After") == "" || calls.Load() != 0 {
			t.Errorf("%s %v, %d calls", res.body, res.header, calls.Load())
		}
		pause(t, 2*time.Second)
		if res := c.must(t, 200, orderURL, nil); res.str("status") != "ready" || res.header.Get("Retry-After") != "" || calls.Load() != 1 {
			t.Errorf("%s %v, %d calls", res.body, res.header, calls.Load())
		}
		if len(s.Authorizations("valid")) != 1 {
			t.Error("not valid")
		}
	})
}

// Without a Validate, accessors see results that no request has fetched yet.
func TestAccessorsSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{ValidationTime: time.Minute, IssuanceTime: time.Minute})
		order := c.order(t, "example.com")
		c.must(t, 200, c.challengeOf(t, order.strings("authorizations")[0], "http-01"), m{})
		pause(t, time.Minute)
		if len(s.Authorizations("valid")) != 1 || s.Orders()[0].Status != "ready" {
			t.Errorf("%v %+v", s.Authorizations(""), s.Orders())
		}
		c.must(t, 200, order.str("finalize"), csrOf(t, newKey(t), "example.com"))
		if o := s.Orders()[0]; o.Status != "processing" || o.CertificateURL != "" {
			t.Errorf("%+v", o)
		}
		pause(t, time.Minute)
		if o := s.Orders()[0]; len(s.Issued()) != 1 || o.Status != "valid" || o.CertificateURL == "" || o.AccountURL != c.kid {
			t.Errorf("%+v", o)
		}
	})
}

func TestValidationAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failures := 2
		s, c := setup(t, acmetest.Options{
			ValidationTime:     10 * time.Second,
			ValidationAttempts: 3,
			Validate: func(context.Context, acmetest.Validation) error {
				if failures--; failures >= 0 {
					return errors.New("not yet")
				}
				return nil
			},
		})
		order := c.order(t, "example.com")
		ch := c.challengeOf(t, order.strings("authorizations")[0], "http-01")
		c.must(t, 200, ch, m{})
		pause(t, 10*time.Second)
		res := c.must(t, 200, ch, nil)
		if res.str("status") != "processing" || res.object["error"] == nil { // erratum 5732
			t.Errorf("after one attempt: %s", res.body)
		}
		if res := c.must(t, 200, ch, m{}); res.str("status") != "processing" || failures != 0 { // §8.2: a retry at once
			t.Errorf("after a retry: %s, %d failures to come", res.body, failures)
		}
		pause(t, 10*time.Second)
		if res := c.must(t, 200, ch, nil); res.str("status") != "valid" || res.object["error"] != nil {
			t.Errorf("at last: %s", res.body)
		}
		failures = 3
		order = c.order(t, "example.net")
		ch = c.challengeOf(t, order.strings("authorizations")[0], "http-01")
		c.must(t, 200, ch, m{})
		for range 3 {
			pause(t, 10*time.Second)
			res = c.must(t, 200, ch, nil)
		}
		if res.str("status") != "invalid" || len(s.Authorizations("invalid")) != 1 {
			t.Errorf("given up: %s", res.body)
		}
	})
}

// A client that goes away while it is being validated does not fail the challenge.
func TestValidationSurvivesCancellation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, c := setup(t, acmetest.Options{Validate: func(ctx context.Context, _ acmetest.Validation) error {
			if calls++; calls > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		order := c.order(t, "example.com")
		ch := c.challengeOf(t, order.strings("authorizations")[0], "http-01")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.send(ctx, ch, c.signed(t, ch, m{})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err %v", err)
		}
		if res := c.must(t, 200, ch, nil); res.str("status") != "valid" {
			t.Errorf("%s", res.body)
		}
	})
}

func TestSecondChallengeOfAuthorization(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	order := c.order(t, "example.com")
	authz := order.strings("authorizations")[0]
	first, second := c.challengeOf(t, authz, "http-01"), c.challengeOf(t, authz, "dns-01")
	c.must(t, 200, first, m{})
	c.refused(t, 400, "malformed", second, m{})
	res := c.must(t, 200, authz, nil)
	if list, _ := res.object["challenges"].([]any); len(list) != 1 || list[0].(map[string]any)["url"] != first {
		t.Errorf("%s", res.body)
	}
	c.refused(t, 400, "malformed", first, []byte(`[]`))
}

func TestAuthorizationEnds(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	for status, end := range map[string]func(authz string){
		"deactivated": func(authz string) { c.must(t, 200, authz, m{"status": "deactivated"}) },
		"revoked":     func(authz string) { s.RevokeAuthorization(authz) },
	} {
		url, order := c.ready(t, "dns-01", "example.com", "example.org")
		authz := order.strings("authorizations")[1]
		end(authz)
		if res := c.must(t, 200, authz, nil); res.str("status") != status {
			t.Errorf("authorization: %s", res.body)
		}
		if res := c.must(t, 200, url, nil); res.str("status") != "invalid" || !strings.Contains(string(res.body), status) {
			t.Errorf("order: %s", res.body)
		}
	}
	authz := c.order(t, "example.com").strings("authorizations")[0]
	if s.RevokeAuthorization(authz) || s.RevokeAuthorization("x") {
		t.Error("RevokeAuthorization of a pending one, or none")
	}
	for _, payload := range []string{`{}`, `{"status":"valid"}`, `{"Status":"deactivated"}`, `{"status":"deactivated","x":1}`} {
		c.refused(t, 400, "malformed", authz, []byte(payload))
	}
	for range 2 { // pending, and again
		c.must(t, 200, authz, m{"status": "deactivated"})
	}
	revoked := s.Authorizations("revoked")[0]
	c.refused(t, 400, "malformed", revoked, m{"status": "deactivated"})
}

func TestPreauthorization(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{})
	newAuthz := c.url(t, "newAuthz")
	id := func(value string) m { return m{"identifier": identifiers(value)[0]} }
	res := c.must(t, 201, newAuthz, id("example.com"))
	authz := res.header.Get("Location")
	if res.str("status") != "pending" {
		t.Errorf("%s", res.body)
	}
	if again := c.must(t, 200, newAuthz, id("example.com")); again.header.Get("Location") != authz { // erratum 5861
		t.Errorf("again: %v", again.header)
	}
	c.must(t, 200, c.challengeOf(t, authz, "http-01"), m{})
	if order := c.order(t, "example.com"); order.str("status") != "ready" || !slices.Equal(order.strings("authorizations"), []string{authz}) {
		t.Errorf("order: %s", order.body)
	}
	if order := c.order(t, "*.example.com"); order.str("status") != "pending" {
		t.Errorf("order: %s", order.body)
	}
	c.refused(t, 400, "malformed", newAuthz, id("*.example.com"))
	for _, payload := range []string{`{}`, `{"type":"dns","value":"example.com"}`, `{"identifier":"example.com"}`, `{"Identifier":{}}`} {
		c.refused(t, 400, "malformed", newAuthz, []byte(payload))
	}
}

func TestPreValidated(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{PreValidated: true})
	order := c.order(t, "example.com")
	if order.str("status") != "ready" {
		t.Errorf("%s", order.body)
	}
	res := c.must(t, 200, order.strings("authorizations")[0], nil)
	if list, ok := res.object["challenges"].([]any); res.str("status") != "valid" || !ok || len(list) != 0 {
		t.Errorf("%s", res.body)
	}
	c.issue(t, "example.com")
}

func TestChallengeTypesAndFields(t *testing.T) {
	t.Parallel()
	_, c := setup(t, acmetest.Options{
		ChallengeTypes:  []string{"dns-persist-01", "http-01"},
		ChallengeFields: map[string]map[string]any{"dns-persist-01": {"issuer-domain-names": []string{"ca.test"}}},
	})
	res := c.must(t, 200, c.order(t, "*.example.com").strings("authorizations")[0], nil)
	list, _ := res.object["challenges"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["type"] != "dns-persist-01" || list[0].(map[string]any)["issuer-domain-names"] == nil {
		t.Errorf("%s", res.body)
	}
}
