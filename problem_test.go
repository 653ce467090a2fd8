package acme_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// registry is the IANA registry "ACME Error Types".
var registry = []string{
	"accountDoesNotExist", "alreadyReplaced", "alreadyRevoked", "autoRenewalCanceled", "autoRenewalCancellationInvalid",
	"autoRenewalExpired", "autoRenewalRevocationNotSupported", "badAttestationStatement", "badCSR", "badNonce", "badPublicKey",
	"badRevocationReason", "badSignatureAlgorithm", "caa", "compound", "connection", "dns", "externalAccountRequired",
	"incorrectResponse", "invalidContact", "invalidProfile", "malformed", "onionCAARequired", "orderNotReady", "rateLimited",
	"rejectedIdentifier", "serverInternal", "tls", "unauthorized", "unknownDelegation", "unsupportedContact",
	"unsupportedIdentifier", "userActionRequired",
}

// problemTypes reads the constants of problem.go.
func problemTypes(t *testing.T) []acme.ProblemType {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []acme.ProblemType
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(v.Names[0].Name, "Err") {
			suffix, _ := strconv.Unquote(v.Values[0].(*ast.BinaryExpr).Y.(*ast.BasicLit).Value)
			types = append(types, acme.ProblemType("urn:ietf:params:acme:error:"+suffix))
		}
		return true
	})
	return types
}

func TestRegistryIsComplete(t *testing.T) {
	conformance.Claim(t, "8555-6.7-02")
	t.Parallel()
	var have []string
	for _, p := range problemTypes(t) {
		have = append(have, p.Error())
	}
	slices.Sort(have)
	if !slices.Equal(have, registry) {
		t.Errorf("constants %q, registry %q", have, registry)
	}
}

// Every type is found through every layer that wraps it, and no other is.
func TestProblemTypesThroughEveryLayer(t *testing.T) {
	conformance.Claim(t, "8555-6.7-02")
	t.Parallel()
	types := problemTypes(t)
	for i, kind := range types {
		p := &acme.Problem{Type: kind}
		sub := &acme.Problem{Type: "urn:other", Subproblems: []*acme.Subproblem{{Type: kind, Identifier: acme.DNS("a")[0]}}}
		z := &acme.Authorization{Challenges: []*acme.Challenge{{Error: p}}}
		for name, err := range map[string]error{
			"problem":            p,
			"subproblem":         sub,
			"order":              &acme.OrderError{Order: &acme.Order{Error: p}},
			"order, subproblem":  &acme.OrderError{Order: &acme.Order{Error: sub}},
			"authorization":      &acme.AuthorizationError{Authorization: z},
			"challenge":          &acme.AuthorizationError{Authorization: &acme.Authorization{}, Challenge: z.Challenges[0]},
			"answer":             &acme.AuthorizationError{Authorization: &acme.Authorization{}, Err: p},
			"authorize":          &acme.AuthorizeError{Failures: []error{errors.New("x"), &acme.AuthorizationError{Authorization: z}}},
			"solver":             &acme.SolverError{Err: p},
			"wait":               &acme.WaitError{Err: errors.New("x"), Reason: p},
			"wrapped, by a user": fmt.Errorf("renewing: %w", &acme.OrderError{Order: &acme.Order{Error: p}}),
			"joined":             errors.Join(errors.New("x"), &acme.OrderError{Order: &acme.Order{Error: p}}),
		} {
			other := types[(i+1)%len(types)]
			if !errors.Is(err, kind) || errors.Is(err, other) {
				t.Errorf("%s: Is(%s, …) is %v for itself, %v for %s", name, kind, errors.Is(err, kind), errors.Is(err, other), other)
			}
			if err.Error() == "" {
				t.Errorf("%s: no text", name)
			}
		}
	}
	if errors.Is(&acme.OrderError{Order: &acme.Order{}}, acme.ErrCAA) || errors.Unwrap(&acme.OrderError{Order: &acme.Order{}}) != nil {
		t.Error("an OrderError without a problem unwraps to something")
	}
	if errors.Is(errors.New("x"), acme.ErrRateLimited) || errors.Is(&acme.Problem{Type: acme.ErrCAA}, errors.New("caa")) {
		t.Error("unrelated errors match")
	}
}

// And on the wire: as a problem, as a subproblem, without the namespace, with
// the old one.
func TestProblemTypesOnTheWire(t *testing.T) {
	conformance.Claim(t, "8555-6.7-02")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for _, kind := range problemTypes(t) {
			if kind == acme.ErrBadNonce {
				continue // never reaches the caller but after many tries
			}
			for _, body := range []string{
				fmt.Sprintf(`{"type":%q}`, string(kind)),
				fmt.Sprintf(`{"type":%q}`, kind.Error()), // DigiCert
				fmt.Sprintf(`{"type":"urn:acme:error:%s"}`, kind.Error()),
				fmt.Sprintf(`{"type":"urn:ietf:params:acme:error:compound","subproblems":[{"type":"about:blank"},{"type":%q}]}`, string(kind)),
			} {
				f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 400, Body: []byte(body)}))
				if _, err := f.account.Info(t.Context()); !errors.Is(err, kind) {
					t.Errorf("%s: got %v", body, err)
				}
			}
		}
	})
}

func TestProblemDocument(t *testing.T) {
	conformance.Claim(t, "8555-6.7-01", "8555-6.7.1-03", "9457-3.1.2-01", "9457-3.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		const body = `{"type":"urn:ietf:params:acme:error:userActionRequired","title":"Terms","detail":"Zustimmung nötig: \"§ 5\"","status":499,
			"instance":"https://ca.test/agree","identifier":{"type":"dns","value":"top.example"},"x":[1],
			"subproblems":[{"type":"urn:ietf:params:acme:error:caa","detail":"no","identifier":{"type":"dns","value":"a.example"}},5,null]}`
		f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 403, Body: []byte(body), Header: http.Header{
			"Link": {`</terms/2>;rel="terms-of-service"`}, "Retry-After": {"60"}, "X-Request-Id": {"7"},
		}}))
		_, err := f.account.Info(t.Context())
		p := problemIn(t, err)
		if p.Title != "Terms" || p.Detail != `Zustimmung nötig: "§ 5"` || p.Status != 403 || p.Instance != "https://ca.test/agree" {
			t.Errorf("got %+v", p)
		}
		if len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "a.example" || p.Subproblems[0].Detail != "no" {
			t.Errorf("subproblems %+v", p.Subproblems)
		}
		if got := p.Links("terms-of-service"); !slices.Equal(got, []string{"https://ca.test/terms/2"}) {
			t.Errorf("terms at %q", got)
		}
		if p.Header.Get("X-Request-Id") != "7" || p.URL != f.account.URL() || p.Operation != acme.OpAccount || !p.RetryAfter.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("got %+v", p)
		}
		if string(p.Raw) != body {
			t.Errorf("Raw is %s", p.Raw)
		}
		const want = `acme: account https://ca.test/account/`
		if text := err.Error(); !strings.HasPrefix(text, want) ||
			!strings.HasSuffix(text, `: userActionRequired (HTTP 403): "Zustimmung nötig: \"§ 5\""; retry after 2000-01-01T00:01:00Z; visit "https://ca.test/agree"; a.example: caa: "no"`) {
			t.Errorf("got %s", text)
		}
	})
}

// Whatever a server sends with an error status is a Problem.
func TestOddErrorBodies(t *testing.T) {
	conformance.Claim(t, "8555-6.7-03", "8555-6.7-04", "9457-3.1-01", "9457-3.1.1-02")
	t.Parallel()
	for name, tt := range map[string]struct{ body, text string }{
		"empty":            {"", "not found (HTTP 404)"},
		"null":             {"null", `not found (HTTP 404): "null"`}, // lego panicked
		"empty object":     {"{}", `not found (HTTP 404): "{}"`},     // step-ca
		"array":            {"[]", `not found (HTTP 404): "[]"`},
		"HTML":             {"<html>\n<h1>no</h1>", `not found (HTTP 404): "<html>\n<h1>no</h1>"`},
		"gateway":          {`{"message":"Missing Authentication Token"}`, `not found (HTTP 404): "{\"message\":\"Missing Authentication Token\"}"`},
		"wrong types":      {`{"type":5,"detail":[],"title":{},"status":"x","subproblems":{}}`, `"{\"type\":5`},
		"detail alone":     {`{"detail":"gone"}`, `not found (HTTP 404): "gone"`},
		"title alone":      {`{"title":"gone"}`, `not found (HTTP 404): "gone"`},
		"about:blank":      {`{"type":"about:blank","detail":"x"}`, `about:blank (HTTP 404): "x"`},
		"URL type":         {`{"type":"https://ca.test/err/7","detail":"x"}`, `https://ca.test/err/7 (HTTP 404): "x"`},
		"other URN":        {`{"type":"urn:ca:x","detail":"x"}`, `urn:ca:x (HTTP 404): "x"`},
		"control":          {`{"type":"a\nb\u001b[2J","detail":"x\u001b[2Jy\r\n"}`, `"a\nb\x1b[2J" (HTTP 404): "x\x1b[2Jy\r\n"`},
		"binary":           {"\xff\xfe\x00", `not found (HTTP 404): "`},
		"deeply nested":    {strings.Repeat("[", 20000), `not found (HTTP 404): "[[[`},
		"long":             {`{"type":"malformed","detail":"` + strings.Repeat("ü", 100000) + `"}`, `malformed (HTTP 404): "üüü`},
		"many subproblems": {`{"type":"compound","subproblems":[` + strings.TrimSuffix(strings.Repeat(`{"type":"caa"},`, 3000), ",") + `]}`, "and 236 more"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFixture(t, acmetest.Options{})
				f.fault(acmetest.FaultAlways(acmetest.KindAccount, acmetest.Fault{Status: 404, Body: []byte(tt.body + " ")}))
				_, err := f.account.Info(t.Context())
				p := problemIn(t, err)
				if p.Status != 404 || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %s, want %s", err, tt.text)
				}
				if blank := p.Type == "" || name == "about:blank"; errors.Is(err, acme.ProblemType("about:blank")) != blank {
					t.Errorf("about:blank: %v, want %v", !blank, blank)
				}
				if len(err.Error()) > 2000 || len(p.Detail) > 5000 || len(p.Subproblems) > 256 || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
					t.Errorf("unbounded or unquoted: %d octets", len(err.Error()))
				}
			})
		})
	}
}

// What a problem is depends on its type: not on its texts, which are for people,
// nor on what is behind a type that is a URL.
func TestProblemsAreTheirTypes(t *testing.T) {
	conformance.Claim(t, "9457-3.1.1-01", "9457-3.1.1-03", "9457-3.1.4-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		const text = "badNonce: rateLimited, retry after 60 s"
		for kind, sent := range map[acme.ProblemType]int{
			acme.ErrUnauthorized: 1, acme.ErrBadNonce: 2, "https://ca.test/problems/7": 1,
		} {
			for _, detail := range []string{"", text} {
				f.ca.Reset()
				f.fault(acmetest.FaultOnce(acmetest.KindAccount, acmetest.Fault{Problem: &acmetest.Problem{Type: string(kind), Detail: detail, Status: 400}}))
				_, err := f.account.Info(t.Context())
				if repeated := err == nil; repeated != (sent == 2) || errors.Is(err, acme.ErrRateLimited) {
					t.Errorf("%s, %q: got %v", kind, detail, err)
				}
				if n := f.ca.Count(acmetest.KindAccount); n != sent {
					t.Errorf("%s, %q: sent %d times", kind, detail, n)
				}
				for _, r := range f.ca.Requests() {
					if r.Method == http.MethodGet && r.Kind != acmetest.KindDirectory {
						t.Errorf("%s: %s %s", kind, r.Method, r.URL)
					}
				}
			}
		}
	})
}

func TestClientErrorsAreDistinct(t *testing.T) {
	t.Parallel()
	if errors.Is(acme.ErrNoKey, acme.ErrNoCSR) || !errors.Is(fmt.Errorf("x: %w", acme.ErrNoKey), acme.ErrNoKey) {
		t.Error("client errors do not compare as they should")
	}
	if acme.ProblemType("").Error() == "" {
		t.Error("an empty type has no text")
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	z := &acme.Authorization{Status: acme.StatusPending, Identifier: acme.DNS("a.example")[0], Wildcard: true, Challenges: []*acme.Challenge{{Type: acme.DNS01}, {Type: "odd\n"}}}
	attempts := []*acme.Attempt{{Identifier: acme.DNS("a.example")[0], Challenge: &acme.Challenge{Type: acme.DNS01}}}
	both := append(slices.Clip(attempts), &acme.Attempt{Identifier: attempts[0].Identifier, Wildcard: true, Challenge: attempts[0].Challenge})
	for want, err := range map[string]error{
		`acme: no solver for *.a.example: the server offers dns-01, "odd\n"`:  &acme.NoSolverError{Authorization: z},
		`acme: no solver for a.example: the server offers nothing`:            &acme.NoSolverError{Authorization: &acme.Authorization{Identifier: z.Identifier}},
		`acme: order u for no identifiers is invalid`:                         &acme.OrderError{Order: &acme.Order{URL: "u", Status: "invalid"}},
		`acme: order u for a.example is invalid: caa: "no"`:                   &acme.OrderError{Order: &acme.Order{URL: "u", Status: "invalid", Identifiers: acme.DNS("a.example"), Error: &acme.Problem{Type: acme.ErrCAA, Detail: "no"}}},
		`acme: dns-01 solver failed for a.example: disk full`:                 &acme.SolverError{Attempts: attempts, Err: errors.New("disk full")},
		`acme: dns-01 solver failed for a.example, *.a.example: disk full`:    &acme.SolverError{Attempts: both, Err: errors.New("disk full")},
		`acme: order u: dns-01 solver failed for a.example: disk full; other`: &acme.AuthorizeError{OrderURL: "u", Failures: []error{&acme.SolverError{Attempts: attempts, Err: errors.New("disk full")}, errors.New("other")}},
		`acme: authorization for *.a.example is pending: x`:                   &acme.AuthorizationError{Authorization: z, Err: errors.New("acme: x")},
		`acme: waiting for u (status pending), to be asked again at 2030-01-01T00:00:00Z: caa: late`: &acme.WaitError{
			URL: "u", Status: "pending", RetryAfter: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Reason: &acme.Problem{Type: acme.ErrCAA}, Err: errors.New("late"),
		},
		`problem without a type: "d"`: &acme.Problem{Detail: "d"},
		`caa: "t"`:                    &acme.Problem{Type: acme.ErrCAA, Title: "t"},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if errors.Is(&acme.NoSolverError{Authorization: z}, acme.ErrInvalidToken) || errors.Is(&acme.NoSolverError{Authorization: z}, acme.ErrNoKey) {
		t.Error("a NoSolverError matches what it should not")
	}
	if got := (&acme.Problem{URL: "\x7f", Header: http.Header{"Link": {"</x>;rel=help"}}}).Links("help"); !slices.Equal(got, []string{"/x"}) {
		t.Errorf("links of a problem without a URL: %q", got)
	}
	if got := (acme.Attempt{Identifier: z.Identifier, Wildcard: true}).String(); got != "*.a.example" {
		t.Errorf("got %s", got)
	}
}
