package caa_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

func TestParseValue(t *testing.T) {
	t.Parallel()
	type params = []caa.Parameter
	for _, tt := range []struct {
		in         string
		issuer     string
		parameters params
	}{
		{"ca.example", "ca.example", nil},
		{" \tca.example\t ", "ca.example", nil},
		{"ca.example;", "ca.example", nil},
		{"ca.example ; ", "ca.example", nil},
		{"", "", nil},
		{";", "", nil},
		{" ; ", "", nil},
		{"; account=1", "", params{{"account", "1"}}},
		{"CA.Example; a=1", "CA.Example", params{{"a", "1"}}},
		{"ca--1.example;a=", "ca--1.example", params{{"a", ""}}},
		{"ca.example;\ta-1 = 2 ;b=c=d,\t;c= e ", "ca.example", params{{"a-1", "2"}, {"b", "c=d,"}, {"c", "e"}}},
		{`ca.example; a=!"#$%&'()*+,-./0:<=>?@[\]^_{|}~`, "ca.example", params{{"a", `!"#$%&'()*+,-./0:<=>?@[\]^_{|}~`}}},
		{"c", "c", nil},
	} {
		got, err := caa.ParseValue(tt.in)
		if want := (caa.Value{Issuer: tt.issuer, Parameters: tt.parameters}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v, want %#v", tt.in, got, err, want)
		}
	}
}

func TestParseValueRefuses(t *testing.T) {
	t.Parallel()
	for in, reason := range map[string]string{
		"%%%%%":                              "no domain name",
		"ca.example.":                        "label \"\"",
		".":                                  "label \"\"",
		"-ca.example":                        "label \"-ca\"",
		"ca-.example":                        "label \"ca-\"",
		"ca_1.example":                       "label \"ca_1\"",
		"*.example":                          "label \"*\"",
		"ca .example":                        "label \"ca \"",
		"bücher.example":                     "label",
		"ca.example a=1":                     "label",
		"ca.example\n":                       "label",
		strings.Repeat("a.", 127) + "a":      "255 octets",
		strings.Repeat("a", 64) + ".example": "label",
		"ca.example; a=1;":                   "semicolon is at the end",
		"ca.example;; a=1":                   "empty",
		"ca.example; ;":                      "empty",
		"ca.example; a":                      "no =",
		"ca.example; =1":                     "no tag",
		"ca.example; -a=1":                   "no tag",
		"ca.example; a_b=1":                  "no tag",
		"ca.example; ä=1":                    "no tag",
		"ca.example; a=1 2":                  "visible ASCII",
		"ca.example; a=ä":                    "visible ASCII",
		"ca.example; a=\x7f":                 "visible ASCII",
		"ca.example; a=\x00":                 "visible ASCII",
		"ca.example; a=\xff":                 "visible ASCII",
		"ca.example; a=1; a=1":               "twice",
		"ca.example; accounturi=x:1; AccountURI=x:": "twice",
	} {
		got, err := caa.ParseValue(in)
		syntax, ok := errors.AsType[*caa.SyntaxError](err)
		if !ok || syntax.Input != in || !strings.Contains(err.Error(), reason) || len(err.Error()) > 1000 {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
}

// The account URL goes into the value exactly as the server gave it.
func TestPinAccount(t *testing.T) {
	conformance.Claim(t, "8657-3.1-01")
	t.Parallel()
	ca := acmetest.NewServer(t, acmetest.Options{CAAIdentities: []string{"ca.example"}})
	client := acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	odd := ""
	ca.Update(func(o *acmetest.Options) {
		o.Fault = acmetest.FaultAlways(acmetest.KindNewAccount, acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
			odd = h.Get("Location") + "?Id=%2f%2F"
			h.Set("Location", odd)
			return status, body
		}})
	})
	account, err := client.NewAccount(t.Context(), key, acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	directory, err := client.Directory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	value, err := caa.Pin(directory.Meta.CAAIdentities[0], account.URL(), acme.DNS01, acme.HTTP01)
	if want := "ca.example; accounturi=" + odd + "; validationmethods=dns-01,http-01"; err != nil || odd == "" || value.String() != want {
		t.Errorf("%q, %v, want %q", value, err, want)
	}
}

func TestPin(t *testing.T) {
	conformance.Claim(t, "8657-3-01", "8657-4-01")
	t.Parallel()
	for _, tt := range []struct {
		issuer, uri string
		methods     []acme.ChallengeType
		want        string // or what the error says, after "!"
	}{
		{"ca.example", "https://ca.example/acct/1", nil, "ca.example; accounturi=https://ca.example/acct/1"},
		{"ca.example", "urn:example:account-id:1234", []acme.ChallengeType{acme.DNS01}, "ca.example; accounturi=urn:example:account-id:1234; validationmethods=dns-01"},
		{"CA.example", "", []acme.ChallengeType{acme.HTTP01, acme.TLSALPN01, "ca-Phone1"}, "ca.example; validationmethods=http-01,tls-alpn-01,ca-Phone1"},
		{"ca.example", "", nil, "ca.example"},
		{"", "https://ca.example/acct/1", nil, "!caaIdentities"},
		{"ca.example.", "https://ca.example/acct/1", nil, "!no domain name"},
		{"ca.example; accounturi=x:y", "https://ca.example/acct/1", nil, "!no domain name"},
		{"ca.example", "https://ca.example/acct;1", nil, "!no semicolon"},
		{"ca.example", "https://ca.example/acct/1; accounturi=x:y", nil, "!no semicolon"},
		{"ca.example", "https://ca.example/a b", nil, "!visible ASCII"},
		{"ca.example", `https://ca.example/"`, nil, "!no URI"},
		{"ca.example", "https://", nil, "!no URI"},
		{"ca.example", "/acct/1", nil, "!no URI"},
		{"ca.example", "ca.example", nil, "!no URI"},
		{"ca.example", "https://ca.example/%zz", nil, "!no URI"},
		{"ca.example", "", []acme.ChallengeType{"dns_01"}, "!no list of labels"},
		{"ca.example", "", []acme.ChallengeType{acme.DNS01, ""}, "!no list of labels"},
		{"ca.example", "", []acme.ChallengeType{"dns-01 "}, "!visible ASCII"},
	} {
		value, err := caa.Pin(tt.issuer, tt.uri, tt.methods...)
		if says, bad := strings.CutPrefix(tt.want, "!"); bad {
			if _, ok := errors.AsType[*caa.SyntaxError](err); !ok || !strings.Contains(err.Error(), says) || !reflect.DeepEqual(value, caa.Value{}) {
				t.Errorf("%v: %v, %v", tt, value, err)
			}
			continue
		}
		again, parseErr := caa.ParseValue(value.String())
		if err != nil || value.String() != tt.want || parseErr != nil || !reflect.DeepEqual(again, value) || strings.Count(value.String(), "accounturi") > 1 {
			t.Errorf("%v: %q, %v; read again: %v, %v", tt, value, err, again, parseErr)
		}
	}
	account := caa.Parameter{Tag: caa.ParameterAccountURI, Value: "x:1"}
	if value, err := caa.NewValue("ca.example", account, account); err == nil {
		t.Errorf("two accounts: %v", value)
	}
	if value, err := caa.NewValue("", caa.Parameter{Tag: "a", Value: "1"}); err != nil || value.String() != "; a=1" {
		t.Errorf("without an issuer: %v, %v", value, err)
	}
}

func TestParameter(t *testing.T) {
	t.Parallel()
	value, err := caa.ParseValue("ca.example; AccountURI=x:1; empty=")
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string][]any{"accounturi": {"x:1", true}, "EMPTY": {"", true}, "other": {"", false}} {
		if got, ok := value.Parameter(tag); !slices.Equal([]any{got, ok}, want) {
			t.Errorf("%s: %q, %t", tag, got, ok)
		}
	}
}

// What is read is written so that it reads the same.
func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"ca.example", ";", " ca.example ; a = b ;c=", "%%%%%", "ca.example; accounturi=https://ca.example/1; validationmethods=dns-01,http-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := caa.ParseValue(s)
		if err != nil {
			if _, ok := errors.AsType[*caa.SyntaxError](err); !ok || len(err.Error()) > 6000 {
				t.Fatalf("%T, %d octets", err, len(err.Error()))
			}
			return
		}
		again, err := caa.ParseValue(v.String())
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Errorf("%q is %#v, which is written %q, and read: %#v, %v", s, v, v, again, err)
		}
		q := caa.Request{Identities: []string{"ca.example"}, AccountURL: "https://ca.example/1", Methods: []acme.ChallengeType{acme.DNS01}}
		if _, err := q.Check("example.com", []caa.Record{{Tag: caa.TagIssue, Value: s}}); err == nil && !strings.EqualFold(v.Issuer, "ca.example") {
			t.Errorf("%q admits ca.example", s)
		}
	})
}
