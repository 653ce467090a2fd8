package acmetest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestValidateHTTP01(t *testing.T) {
	t.Parallel()
	const keyAuth = "token.thumbprint"
	serve := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			_ = r
		}
	}
	v := acmetest.Validation{
		Identifier: acmetest.Identifier{Type: "dns", Value: "example.com"}, Type: "http-01", Token: "token", KeyAuthorization: keyAuth,
	}
	for name, tt := range map[string]struct {
		handler http.Handler
		change  func(v *acmetest.Validation)
		want    string
	}{
		"good":        {serve(200, keyAuth), nil, ""},
		"white space": {serve(200, keyAuth+" \r\n\t"), nil, ""},
		"leading":     {serve(200, " "+keyAuth), nil, "not the key authorization"},
		"other":       {serve(200, "token.other"), nil, "not the key authorization"},
		"empty":       {http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil, "not the key authorization"},
		"not found":   {serve(404, keyAuth), nil, "status 404"},
		"redirect":    {http.RedirectHandler("/", http.StatusFound), nil, "status 302"},
		"long":        {serve(200, strings.Repeat("x", 2<<20)), nil, "not the key authorization"},
		"type":        {serve(200, keyAuth), func(v *acmetest.Validation) { v.Type = "dns-01" }, "cannot validate dns-01"},
		"bad name":    {serve(200, keyAuth), func(v *acmetest.Validation) { v.Identifier.Value = "a b" }, "invalid"},
		"request": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" && r.Host == "example.com" && r.URL.Path == "/.well-known/acme-challenge/token" && r.TLS == nil && r.RequestURI == r.URL.Path {
				_, _ = w.Write([]byte(keyAuth))
			}
		}), nil, ""},
		"IPv6": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "[2001:db8::1]" {
				_, _ = w.Write([]byte(keyAuth))
			}
		}), func(v *acmetest.Validation) { v.Identifier = acmetest.Identifier{Type: "ip", Value: "2001:db8::1"} }, ""},
	} {
		v := v
		if tt.change != nil {
			tt.change(&v)
		}
		err := acmetest.ValidateHTTP01(tt.handler)(t.Context(), v)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
