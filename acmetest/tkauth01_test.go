package acmetest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

const (
	tkThumbprint  = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" // of RFC 8037 §A.3, where it is in hexadecimal too
	tkFingerprint = "SHA256 90:FA:CA:FE:A9:B1:55:66:98:54:0F:70:C0:11:7A:22:EA:37:BD:5C:F3:ED:3C:47:09:3C:17:07:28:2B:4B:89"
)

func TestValidateTKAuth01(t *testing.T) {
	t.Parallel()
	var authority, other acmetest.TokenAuthority
	atc := func(change string, value any) m {
		claim := m{"tktype": "TNAuthList", "tkvalue": "MAigBhYENzA5Sg", "fingerprint": tkFingerprint}
		if change != "" {
			claim[change] = value
		}
		return claim
	}
	soon := time.Now().Add(time.Minute).Unix()
	grant := func(claims m) string { return `{"tkauth":"` + authority.Grant(claims) + `"}` }
	for name, tt := range map[string]struct {
		response string
		typ      string
		want     string
	}{
		"good":          {grant(m{"exp": soon, "jti": "1", "atc": atc("", nil)}), "", ""},
		"ca":            {grant(m{"exp": soon, "jti": "1", "atc": atc("ca", true)}), "", ""},
		"type":          {grant(m{"exp": soon, "jti": "1", "atc": atc("", nil)}), "dns-01", "cannot validate dns-01"},
		"expired":       {grant(m{"exp": time.Now().Add(-time.Second).Unix(), "jti": "1", "atc": atc("", nil)}), "", "has expired"},
		"no exp":        {grant(m{"jti": "1", "atc": atc("", nil)}), "", "has expired"},
		"no jti":        {grant(m{"exp": soon, "atc": atc("", nil)}), "", "no jti"},
		"no atc":        {grant(m{"exp": soon, "jti": "1"}), "", "atc: "},
		"tktype":        {grant(m{"exp": soon, "jti": "1", "atc": atc("tktype", "TnAuthList")}), "", `tktype is "TnAuthList"`},
		"tkvalue":       {grant(m{"exp": soon, "jti": "1", "atc": atc("tkvalue", "MAigBhYENzA5Sg==")}), "", "tkvalue is"},
		"fingerprint":   {grant(m{"exp": soon, "jti": "1", "atc": atc("fingerprint", tkThumbprint)}), "", "fingerprint is"},
		"text as ca":    {grant(m{"exp": soon, "jti": "1", "atc": atc("ca", "true")}), "", "wrong type"},
		"authority":     {`{"tkauth":"` + other.Grant(m{"exp": soon, "jti": "1", "atc": atc("", nil)}) + `"}`, "", "does not verify"},
		"no token":      {`{"tkauth":"a.b"}`, "", "2 parts"},
		"no base64url":  {`{"tkauth":"e30=.e30.e30"}`, "", "illegal base64"},
		"no header":     {`{"tkauth":"W10.e30.e30"}`, "", "not a JSON object"},
		"other header":  {`{"tkauth":"e30.e30.e30"}`, "", "not ES256"},
		"no response":   {`{}`, "", "missing"},
		"more response": {`{"tkauth":"x","TkAuth":"y"}`, "", "unknown member"},
	} {
		typ := tt.typ
		if typ == "" {
			typ = "tkauth-01"
		}
		err := acmetest.ValidateTKAuth01(&authority)(t.Context(), acmetest.Validation{
			Identifier: acmetest.Identifier{Type: "TNAuthList", Value: "MAigBhYENzA5Sg"}, Type: typ, Thumbprint: tkThumbprint, Response: []byte(tt.response),
		})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenAuthority(t *testing.T) {
	t.Parallel()
	const flat = `{"tktype":"TNAuthList","tkvalue":"x","ca":false,"fingerprint":"y"}`
	for name, tt := range map[string]struct {
		authority   *acmetest.TokenAuthority
		method      string
		contentType string
		body        string
		status      int
	}{
		"good":         {&acmetest.TokenAuthority{Authorization: "Basic eDp5"}, "POST", "application/json", flat, 200},
		"nested":       {&acmetest.TokenAuthority{Nested: true}, "POST", "application/json", `{"atc":` + flat + `}`, 200},
		"not nested":   {&acmetest.TokenAuthority{Nested: true}, "POST", "application/json", flat, 400},
		"nested there": {&acmetest.TokenAuthority{}, "POST", "application/json", `{"atc":` + flat + `}`, 400},
		"credentials":  {&acmetest.TokenAuthority{Authorization: "Basic other"}, "POST", "application/json", flat, 403},
		"method":       {&acmetest.TokenAuthority{}, "GET", "application/json", flat, 415},
		"content type": {&acmetest.TokenAuthority{}, "POST", "text/plain", flat, 415},
		"no value":     {&acmetest.TokenAuthority{}, "POST", "application/json", `{"tktype":"TNAuthList","fingerprint":"y"}`, 400},
	} {
		r := httptest.NewRequest(tt.method, "https://authority.test/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.contentType)
		r.Header.Set("Authorization", "Basic eDp5")
		w := httptest.NewRecorder()
		tt.authority.ServeHTTP(w, r)
		var answer struct{ Token string }
		if w.Code == http.StatusOK && (json.Unmarshal(w.Body.Bytes(), &answer) != nil || strings.Count(answer.Token, ".") != 2) || w.Code != tt.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if requests := tt.authority.Requests(); len(requests) != 1 || string(requests[0]) != tt.body {
			t.Errorf("%s: requests %s", name, requests)
		}
	}
}
