package http01_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// Solvers that know their tokens answer alike.
func TestServeHTTP(t *testing.T) {
	t.Parallel()
	var solver http01.Solver
	shared := http01.Shared{Store: new(memory)}
	for name, s := range map[string]interface {
		acme.Solver
		http.Handler
	}{"Solver": &solver, "Shared": &shared} {
		t.Run(name, func(t *testing.T) { testServeHTTP(t, s, s) })
	}
}

func testServeHTTP(t *testing.T, solver acme.Solver, handler http.Handler) {
	const prefix = http01.PathPrefix
	cleanup := present(t, solver, token, "other")
	for _, tt := range []struct {
		name   string
		method string
		target string
		status int
	}{
		{"the token", "GET", prefix + token, 200},
		{"another token", "GET", prefix + "other", 200},
		{"HEAD", "HEAD", prefix + token, 200},
		{"with a host", "GET", "http://n1.example.com" + prefix + token, 200},
		{"with a query", "GET", prefix + token + "?a=b", 200},
		{"with an empty query", "GET", prefix + token + "?", 200},
		{"an escaped path", "GET", prefix + "%65" + token[1:], 200},
		{"an unknown token", "GET", prefix + "unknown", 404},
		{"the beginning of a token", "GET", prefix + token[:42], 404},
		{"more than a token", "GET", prefix + token + "A", 404},
		{"the token in another case", "GET", prefix + strings.ToLower(token), 404},
		{"the prefix only", "GET", prefix, 404},
		{"less than the prefix", "GET", strings.TrimSuffix(prefix, "/"), 404},
		{"a nested path", "GET", prefix + token + "/" + token, 404},
		{"a final slash", "GET", prefix + token + "/", 404},
		{"an escaped slash", "GET", prefix + "%2F" + token, 404},
		{"a nested prefix", "GET", "/a" + prefix + token, 404},
		{"a path that is not clean", "GET", prefix + "a/../" + token, 404},
		{"the token alone", "GET", "/" + token, 404},
		{"the root", "GET", "/", 404},
		{"all of a server", "OPTIONS", "*", 404},
		{"POST", "POST", prefix + token, 405},
		{"PUT", "PUT", prefix + token, 405},
		{"DELETE", "DELETE", prefix + token, 405},
		{"OPTIONS", "OPTIONS", prefix + token, 405},
		{"a method in lower case", "get", prefix + token, 405},
		{"POST to an unknown token", "POST", prefix + "unknown", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.ParseRequestURI(tt.target)
			if tt.target == "*" {
				u, err = &url.URL{Path: "*"}, nil
			}
			if err != nil {
				t.Fatal(err)
			}
			resp := ask(handler, tt.method, u)
			if resp.Code != tt.status {
				t.Errorf("status %d, want %d", resp.Code, tt.status)
			}
			if allow := resp.Header().Get("Allow"); (allow == "GET, HEAD") != (tt.status == 405) {
				t.Errorf("Allow %q with status %d", allow, tt.status)
			}
			if served := strings.Contains(resp.Body.String(), "."+thumbprint); served != (tt.status == 200) {
				t.Errorf("status %d with %q", tt.status, resp.Body)
			}
		})
	}
	if err := cleanup(t.Context()); err != nil || isServed(handler, token) || isServed(handler, "other") {
		t.Errorf("error %v, or still served", err)
	}
}

// Names and addresses are asked with themselves as the host, with the port and
// without; it does not matter to the answer.
func TestHosts(t *testing.T) {
	conformance.Claim(t, "8738-5-01")
	t.Parallel()
	var solver http01.Solver
	addr := challengetest.NewAttempt(acme.HTTP01, acme.IP(netip.MustParseAddr("192.0.2.1"))[0], token)
	addr6 := challengetest.NewAttempt(acme.HTTP01, acme.IP(netip.MustParseAddr("2001:db8::1"))[0], "other")
	if _, err := solver.Present(t.Context(), []*acme.Attempt{addr, addr6}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&solver)
	defer server.Close()
	for _, host := range []string{"192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80"} {
		a := addr
		if strings.HasPrefix(host, "[") {
			a = addr6
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+http01.PathPrefix+a.Challenge.Token, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != string(a.KeyAuthorization) || err != nil {
			t.Errorf("%s: status %d, %v", host, response.StatusCode, err)
		}
	}
}

// TestAnswer looks at an answer over TCP.
func TestAnswer(t *testing.T) {
	t.Parallel()
	var solver http01.Solver
	present(t, &solver, token)
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, &solver)
	server := httptest.NewServer(mux)
	defer server.Close()
	want := string(attempt(token).KeyAuthorization)
	for _, method := range []string{"GET", "HEAD"} {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+http01.PathPrefix+token, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(want)) || (method == "GET") != (string(text) == want) {
			t.Errorf("%s: status %d, %d bytes, %s", method, resp.StatusCode, resp.ContentLength, text)
		}
		if h := resp.Header; h.Get("Content-Type") != "application/octet-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: header %v", method, h)
		}
	}
}

func TestZeroValue(t *testing.T) {
	t.Parallel()
	var solver http01.Solver
	if isServed(&solver, token) || isServed(&solver, "") {
		t.Error("a solver that was given nothing serves something")
	}
	cleanup, err := solver.Present(t.Context(), nil)
	if err != nil {
		t.Error(err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRefusal: nothing of a batch is served if one of its attempts is not right.
func TestRefusal(t *testing.T) {
	t.Parallel()
	wrong := attempt(token)
	wrong.KeyAuthorization = "A" + wrong.KeyAuthorization
	prefix := attempt(token)
	prefix.KeyAuthorization = acme.KeyAuthorization(token)
	foreign := attempt("taken")
	foreign.KeyAuthorization += "A"
	for _, tt := range []struct {
		says string
		last *acme.Attempt
	}{
		{"no token", attempt("")},
		{"not one for the token", wrong},
		{"not one for the token", prefix},
		{"another account's key", foreign},
		{"not base64url", attempt("../up")},
		{"not base64url", attempt("a=")},
		{"not base64url", attempt(strings.Repeat("a", 256))},
	} {
		var solver http01.Solver
		present(t, &solver, "taken")
		cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("first"), tt.last})
		if err == nil || cleanup != nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "http-01 for example.com") {
			t.Errorf("%s: cleanup %t, error %v", tt.says, cleanup != nil, err)
		}
		if isServed(&solver, "first") || isServed(&solver, token) || !isServed(&solver, "taken") {
			t.Errorf("%s: served what it should not, or not what it should", tt.says)
		}
	}
}

// TestCleanupTwice: it is called once; but another order would pay for a mistake.
func TestCleanupTwice(t *testing.T) {
	t.Parallel()
	var solver http01.Solver
	first, second := present(t, &solver, token), present(t, &solver, token)
	_, _ = first(t.Context()), first(t.Context())
	if !isServed(&solver, token) {
		t.Error("a cleanup that was called twice has removed the answer of another order")
	}
	if err := second(t.Context()); err != nil || isServed(&solver, token) {
		t.Errorf("error %v, or still served", err)
	}
}
