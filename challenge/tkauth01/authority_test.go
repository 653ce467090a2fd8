package tkauth01_test

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func wanted(ca bool) tkauth01.Request {
	return tkauth01.Request{Identifier: numbers(), Fingerprint: fingerprint, CA: ca, Authority: "https://named.example"}
}

// serve starts a token authority that is asked over TLS.
func serve(t *testing.T, h http.Handler) *tkauth01.Authority {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // one client does not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	return &tkauth01.Authority{URL: server.URL + "/at/account/7/token", HTTPClient: server.Client()}
}

// TestAuthority: the request in both forms, and the token of the answer.
func TestAuthority(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-3.1-01", "9447-5-01", "9447-5.1-01", "9447-5.1-02", "9448-5.5-01")
	const claim = `"tktype":"TNAuthList","tkvalue":"` + value + `"`
	for _, tt := range []struct {
		nested, ca bool
		want       string
	}{
		{false, false, `{` + claim + `,"fingerprint":"` + fingerprint + `"}`},
		{false, true, `{` + claim + `,"ca":true,"fingerprint":"` + fingerprint + `"}`},
		{true, false, `{"atc":{` + claim + `,"fingerprint":"` + fingerprint + `"}}`},
		{true, true, `{"atc":{` + claim + `,"ca":true,"fingerprint":"` + fingerprint + `"}}`},
	} {
		stub := &acmetest.TokenAuthority{Nested: tt.nested, Authorization: "Bearer 7"}
		var seen *http.Request
		authority := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = r
			stub.ServeHTTP(w, r)
		}))
		authority.Nested = tt.nested
		authority.Authenticate = func(r *http.Request) error { r.Header.Set("Authorization", "Bearer 7"); return nil }
		token, err := authority.Token(t.Context(), wanted(tt.ca))
		if err != nil {
			t.Fatal(err)
		}
		if requests := stub.Requests(); len(requests) != 1 || string(requests[0]) != tt.want {
			t.Errorf("requested %s, want %s", requests, tt.want)
		}
		if seen.Method != http.MethodPost || seen.TLS == nil || seen.Header.Get("Content-Type") != "application/json" || seen.URL.Path != "/at/account/7/token" {
			t.Errorf("%s %s, %v", seen.Method, seen.URL, seen.Header)
		}
		if parsed, err := tkauth01.ParseToken(token); err != nil || parsed.ATC.CA != tt.ca || parsed.ATC.Fingerprint != fingerprint {
			t.Errorf("%+v, %v", parsed, err)
		}
	}
}

// TestAuthorityURL: https alone, and the authority that the challenge names by leave
// of the program alone.
func TestAuthorityURL(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9447-7-01", "9448-4-01", "9448-4-02")
	authority := serve(t, new(acmetest.TokenAuthority))
	forbidden := errors.New("a stranger")
	for says, a := range map[string]*tkauth01.Authority{
		"": {URL: authority.URL},
		"http://authority.example/token\": want https": {URL: "http://authority.example/token"},
		"want https":                   {URL: "authority.example"},
		`"https:///token": want https`: {URL: "https:///token"},
		"without user information":     {URL: "https://me:secret@authority.example/token"},
		"Authority.URL is empty":       {},
		"token authority: parse":       {URL: "https://%zz"},
		"want https, without":          {Locate: func(string) (string, error) { return "http://127.0.0.1/", nil }},
		"named.example\": a stranger":  {URL: authority.URL, Locate: func(string) (string, error) { return "", forbidden }},
	} {
		a.HTTPClient = authority.HTTPClient
		_, err := a.Token(t.Context(), wanted(false))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
	var named []string
	located := &tkauth01.Authority{HTTPClient: authority.HTTPClient, Locate: func(tokenAuthority string) (string, error) {
		named = append(named, tokenAuthority)
		return authority.URL, nil
	}}
	without := wanted(false)
	without.Authority = ""
	for _, r := range []tkauth01.Request{wanted(false), without} {
		if _, err := located.Token(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	if len(named) != 2 || named[0] != "https://named.example" || named[1] != "" {
		t.Errorf("named %q", named)
	}
}

// TestAuthorityRefusals: 403 is about the credentials, other errors are not.
func TestAuthorityRefusals(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9448-5.5-02")
	for status, credentials := range map[int]bool{400: false, 401: true, 403: true, 404: false, 500: false, 503: false, 201: false, 307: false} {
		calls := 0
		authority := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("no\n" + strings.Repeat("x", 1000)))
		}))
		_, err := authority.Token(t.Context(), wanted(false))
		refused, ok := errors.AsType[*tkauth01.StatusError](err)
		if !ok || refused.StatusCode != status || len(refused.Body) != 300 || errors.Is(err, tkauth01.ErrCredentials) != credentials || calls != 1 {
			t.Errorf("%d: %v, %d calls", status, err, calls)
			continue
		}
		if text := err.Error(); strings.Contains(text, "credentials") != credentials || strings.Contains(text, "\n") || !strings.Contains(text, authority.URL) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// TestAuthorityAnswers: answers that have no token, and what goes wrong before.
func TestAuthorityAnswers(t *testing.T) {
	t.Parallel()
	for body, says := range map[string]string{
		`{}`: "without a token", `[]`: "without a token", ``: "without a token", `{"token":1}`: "without a token",
		`{"token":"` + strings.Repeat("x", 300<<10) + `"}`: "without a token", // cut off
	} {
		authority := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		if token, err := authority.Token(t.Context(), wanted(false)); err == nil || token != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%.30s: %v", body, err)
		}
	}
	locked := errors.New("locked")
	authority := serve(t, new(acmetest.TokenAuthority))
	authority.Authenticate = func(*http.Request) error { return locked }
	if _, err := authority.Token(t.Context(), wanted(false)); !errors.Is(err, locked) {
		t.Errorf("%v", err)
	}
	cut := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "10") }))
	if _, err := cut.Token(t.Context(), wanted(false)); err == nil {
		t.Error("an answer that was cut off")
	}
	gone := serve(t, nil)
	gone.HTTPClient = nil // does not trust the server
	if _, err := gone.Token(t.Context(), wanted(false)); err == nil {
		t.Error("a server that is not trusted")
	}
}

// TestCertificateURL reads a member of a valid order.
func TestCertificateURL(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9448-7-01")
	for raw, want := range map[string]string{
		`{"x5u":"https://ca.example/cert/7"}`: "https://ca.example/cert/7", `{}`: "", `{"x5u":"http://ca.example/"}`: "", `{"x5u":1}`: "", `{"x5u":"https:"}`: "",
	} {
		if got := tkauth01.CertificateURL(&acme.Order{Raw: json.RawMessage(raw)}); got != want {
			t.Errorf("%s: %q", raw, got)
		}
	}
}
