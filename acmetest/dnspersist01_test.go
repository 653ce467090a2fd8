package acmetest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestValidateDNSPersist01(t *testing.T) {
	t.Parallel()
	const (
		draft00  = `{"issuer-domain-names":["authority.example","ca.example.net"]}`
		draft01  = `{"issuer-domain-names":["authority.example"],"accounturi":"urn:account:123"}`
		draft02  = `{"issuerDomainNames":["authority.example"]}`
		plain    = "authority.example; accounturi=https://ca.example/acct/123"
		hashed   = "authority.example; accounturi=https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
		anywhere = "authority.example; accounturi=https://ca.example/account-hash/sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"
	)
	for _, tt := range []struct {
		challenge string
		wildcard  bool
		values    []string
		says      string
	}{
		{draft00, false, []string{plain}, ""},
		{draft00, false, []string{"v=spf1 -all", "other.example; accounturi=x:1", "ca.example.net;accounturi=https://ca.example/acct/123;x=y"}, ""},
		{draft00, true, []string{plain, plain + "; policy=WildCard"}, ""},
		{draft00, true, []string{plain}, "policy is not wildcard"},
		{draft00, true, []string{plain + "; policy=other"}, "policy is not wildcard"},
		{draft00, false, nil, "no record at _validation-persist.example.com"},
		{draft00, false, []string{"other.example; accounturi=https://ca.example/acct/123"}, "no record"},
		{draft00, false, []string{"authority.example"}, `accounturi is ""`},
		{draft00, false, []string{plain + "4"}, "accounturi is"},
		{draft00, false, []string{plain + "; accounturi=https://ca.example/acct/123"}, "twice"},
		{draft00, false, []string{plain + ";"}, "no parameter"},
		{draft00, false, []string{plain + "; persistUntil=x"}, "invalid syntax"},
		{draft00, false, []string{plain + fmt.Sprintf("; persistUntil=%d", time.Now().Add(-time.Minute).Unix())}, "over"},
		{draft00, false, []string{plain + fmt.Sprintf("; persistUntil=%d", time.Now().Add(time.Minute).Unix())}, ""},
		{draft00, false, []string{hashed}, "accounturi is"},
		{draft01, false, []string{plain}, ""},
		{draft01, false, []string{"authority.example; accounturi=urn:account:123"}, ""},
		{draft02, false, []string{hashed}, ""},
		{draft02, false, []string{anywhere}, ""},
		{draft02, true, []string{hashed + "; policy=wildcard"}, ""},
		{draft02, false, []string{plain}, "accounturi is"},
		{draft02, false, []string{strings.Replace(hashed, "5SQ", "5SR", 1)}, "accounturi is"},
	} {
		validate := acmetest.ValidateDNSPersist01(func(name string) []string {
			if name != "_validation-persist.example.com" {
				t.Errorf("asked for %s", name)
			}
			return tt.values
		}, "https://ca.example/account-hash/")
		v := acmetest.Validation{
			Type: "dns-persist-01", Identifier: acmetest.Identifier{Type: "dns", Value: "example.com"}, Wildcard: tt.wildcard,
			AccountURL: "https://ca.example/acct/123", Thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
			Challenge: json.RawMessage(tt.challenge), Response: json.RawMessage("{}"),
		}
		if err := validate(t.Context(), v); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s, %q: %v", tt.challenge, tt.values, err)
		}
		v.Response = json.RawMessage(`{"keyAuthorization":""}`)
		if err := validate(t.Context(), v); err == nil {
			t.Error("a response with members")
		}
	}
	if err := acmetest.ValidateDNSPersist01(nil, "")(t.Context(), acmetest.Validation{Type: "dns-01"}); err == nil {
		t.Error("another type")
	}
}

// The challenge of each draft.
func TestDNSPersist01Challenges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fields map[string]any
		want   string
	}{
		{nil, "accounturi issuer-domain-names status type url"},
		{map[string]any{"accounturi": nil}, "issuer-domain-names status type url"},
		{map[string]any{"accounturi": nil, "issuer-domain-names": nil, "issuerDomainNames": []string{"ca.test"}}, "issuerDomainNames status type url"},
	} {
		s := acmetest.NewServer(t, acmetest.Options{
			ChallengeTypes: []string{"dns-persist-01"}, ChallengeFields: map[string]map[string]any{"dns-persist-01": tt.fields},
			CAAIdentities: []string{"ca.test", "ca.example"}, MetaFields: map[string]any{"accountHashPrefix": "https://ca.test/hash/"},
		})
		c := newClient(t, s.HTTPClient(), s.DirectoryURL()).register(t)
		authz := c.must(t, 200, c.order(t, "a.example.com").object["authorizations"].([]any)[0].(string), nil)
		ch := authz.object["challenges"].([]any)[0].(map[string]any)
		var members []string
		for _, name := range []string{"accounturi", "issuer-domain-names", "issuerDomainNames", "status", "token", "type", "url"} {
			if _, ok := ch[name]; ok {
				members = append(members, name)
			}
		}
		if got := strings.Join(members, " "); got != tt.want || c.dir["meta"].(map[string]any)["accountHashPrefix"] != "https://ca.test/hash/" {
			t.Errorf("%v, meta %v", ch, c.dir["meta"])
		}
		if uri, ok := ch["accounturi"]; ok && uri != c.kid {
			t.Errorf("%v, not %s", uri, c.kid)
		}
		if issuers, ok := ch["issuer-domain-names"]; ok && fmt.Sprint(issuers) != "[ca.test ca.example]" {
			t.Errorf("%v", issuers)
		}
	}
}
