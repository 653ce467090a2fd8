package dnspersist01_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

// vectors is testdata/vectors/dnspersist.json.
func vectors(t *testing.T) (v struct {
	HashedURIs []struct{ Domain, Thumbprint, AccountURL, AccountHashPrefix, URI string }
	Records    []struct {
		Domain, Issuer, AccountURI string
		Wildcard                   bool
		PersistUntil               int64
		Name, Value                string
	}
}) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/dnspersist.json")
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil || len(v.HashedURIs) == 0 || len(v.Records) == 0 {
		t.Fatalf("%v, %+v", err, v)
	}
	return v
}

// The examples of the drafts' section 10.
func TestRecord(t *testing.T) {
	conformance.Claim(t, "persist-3-01", "persist-4.1-01", "persist-4.1-02", "persist-4.1-04")
	t.Parallel()
	for _, v := range vectors(t).Records {
		r := dnspersist01.Record{Issuer: v.Issuer, AccountURI: v.AccountURI, Wildcard: v.Wildcard}
		if v.PersistUntil != 0 {
			r.PersistUntil = time.Unix(v.PersistUntil, 0)
		}
		txt, err := r.TXT(v.Domain)
		if err != nil || txt != (dnstxt.Record{Name: v.Name, Value: v.Value}) {
			t.Errorf("%+v, %v, want %s", txt, err, v.Value)
		}
		if got, err := dnspersist01.Parse(v.Value); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %+v, %v", v.Value, got, err)
		}
		strict, err := caa.ParseValue(txt.Value) // one of each parameter, no semicolon at the end
		if uri, ok := strict.Parameter("accounturi"); err != nil || !ok || uri != v.AccountURI || strict.Issuer != v.Issuer {
			t.Errorf("%s: %v, %v", txt.Value, strict, err)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]dnspersist01.Record{
		"ca.example;accounturi=x:1": {Issuer: "ca.example", AccountURI: "x:1"},
		"   ca.example   ;   accounturi   =   x:1   ;   policy   =   wildcard   ;   persistUntil   =   4102444800   ": {
			Issuer: "ca.example", AccountURI: "x:1", Wildcard: true, PersistUntil: time.Unix(4102444800, 0)},
		"ca.example; ACCOUNTURI=x:1; Policy=WildCard; PERSISTUNTIL=-62135596800": {Issuer: "ca.example", AccountURI: "x:1", Wildcard: true, PersistUntil: time.Unix(0, 0)},
		"ca.example; policy=other; accounturi=x:1":                               {Issuer: "ca.example", AccountURI: "x:1"},
		"ca.example; policy=; accounturi=x:1; new=a; newer=":                     {Issuer: "ca.example", AccountURI: "x:1", Unknown: []caa.Parameter{{Tag: "new", Value: "a"}, {Tag: "newer"}}},
		"ca.example; accounturi=x:1; persistUntil=9223372036854775807":           {Issuer: "ca.example", AccountURI: "x:1", PersistUntil: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Local()},
	} {
		if got, err := dnspersist01.Parse(value); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", value, got, err)
		}
	}
	for value, says := range map[string]string{
		"":                            "no issuer",
		"; accounturi=x:1":            "no issuer",
		"v=spf1 -all":                 "no domain name",
		"ca.example":                  "no accounturi",
		"ca.example; accounturi=":     "no accounturi",
		"ca.example; accounturi=x:1;": "semicolon",
		"ca.example; accounturi=x:1; accounturi=x:1":          "twice",
		"ca.example; accounturi=x:1; policy=a; Policy=b":      "twice",
		"ca.example; accounturi=x:1; persistUntil=":           "persistUntil",
		"ca.example; accounturi=x:1; persistUntil=1e9":        "persistUntil",
		"ca.example; accounturi=x:1; persistUntil=0x10":       "persistUntil",
		"ca.example; accounturi=x:1; persistUntil=1.5":        "persistUntil",
		"ca.example; accounturi=x:1; persistUntil=2024-07-26": "persistUntil",
	} {
		got, err := dnspersist01.Parse(value)
		if err == nil || !reflect.DeepEqual(got, dnspersist01.Record{}) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), fmt.Sprintf("%q", value)) {
			t.Errorf("%s: %+v, %v", value, got, err)
		}
	}
}

// What cannot be written down is an error.
func TestValueRefuses(t *testing.T) {
	t.Parallel()
	for says, r := range map[string]dnspersist01.Record{
		"needs an issuer": {AccountURI: "x:1"},
		"account URI":     {Issuer: "ca.example"},
		"no domain name":  {Issuer: "ca.example; accounturi=y:2", AccountURI: "x:1"},
		"no semicolon":    {Issuer: "ca.example", AccountURI: "x:1;policy=wildcard"},
		"no URI":          {Issuer: "ca.example", AccountURI: "1"},
		"twice":           {Issuer: "ca.example", AccountURI: "x:1", Unknown: []caa.Parameter{{Tag: "accountURI", Value: "x:2"}}},
		"policy is there": {Issuer: "ca.example", AccountURI: "x:1", Wildcard: true, Unknown: []caa.Parameter{{Tag: "Policy", Value: "a"}}},
		"no tag":          {Issuer: "ca.example", AccountURI: "x:1", Unknown: []caa.Parameter{{Tag: "a b", Value: "a"}}},
	} {
		if value, err := r.Value(); err == nil || value != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %q, %v", says, value, err)
		}
		if txt, err := r.TXT("example.com"); err == nil || txt.Value != "" {
			t.Errorf("%s: %v, %v", says, txt, err)
		}
	}
}

// A record of more than 255 octets is sent in strings that are short enough.
func TestLongRecord(t *testing.T) {
	conformance.Claim(t, "persist-9.1-01")
	t.Parallel()
	r := dnspersist01.Record{Issuer: "ca.example", AccountURI: "https://ca.example/" + strings.Repeat("0123456789", 60), Wildcard: true}
	txt, err := r.TXT("example.com")
	if err != nil {
		t.Fatal(err)
	}
	split := dnstxt.Strings(txt.Value)
	if len(split) != 3 || slices.ContainsFunc(split, func(s string) bool { return len(s) > 255 }) {
		t.Errorf("%q", split)
	}
	if got, err := dnspersist01.Parse(strings.Join(split, "")); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	// So does what a person is told to write.
	solver := dnspersist01.Solver{Issuer: "ca.example", AccountURI: r.AccountURI, Wildcard: true, Lookup: new(zone).lookup}
	a := attempt("example.com", `"accounturi":"`+r.AccountURI+`","issuer-domain-names":["ca.example"]`)
	if err := solver.Check(t.Context(), a); err == nil || !strings.Contains(err.Error(), `_validation-persist.example.com. IN TXT "`+strings.Join(split, `" "`)+`"`) {
		t.Error(err)
	}
}

func TestName(t *testing.T) {
	conformance.Claim(t, "persist-9.2-01")
	t.Parallel()
	for name, want := range map[string]string{
		"example.com":                    "_validation-persist.example.com.",
		"EXAMPLE.com.":                   "_validation-persist.example.com.",
		"*.example.com":                  "_validation-persist.example.com.",
		"üÑICODE-example.com.":           "_validation-persist.xn--icode-example-hkb8n.com.", // the draft's own answer is wrong
		"ünicode-example.com":            "_validation-persist.xn--nicode-example-fsb.com.",
		"u\u0308nicode-example.com":      "_validation-persist.xn--nicode-example-fsb.com.", // not in NFC
		"xn--nicode-example-fsb.com":     "_validation-persist.xn--nicode-example-fsb.com.",
		"a b.example":                    "",
		"a/../b.example":                 "",
		"*.*.example":                    "",
		"":                               "",
		strings.Repeat("a.", 120) + "aa": "", // too long with the label
	} {
		got, err := dnspersist01.Name(name)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	now := time.Unix(1721952000, 0)
	wanted := dnspersist01.Record{Issuer: "ca.example", AccountURI: "x:1"}
	wildcard := wanted
	wildcard.Wildcard = true
	for _, tt := range []struct {
		values []string
		wanted dnspersist01.Record
		says   string
	}{
		{[]string{"ca.example; accounturi=x:1"}, wanted, ""},
		{[]string{"ca.example; accounturi=x:1; policy=wildcard; new=1"}, wanted, ""},
		{[]string{"CA.Example; accounturi=x:1"}, wanted, ""},
		{[]string{"ca.example; accounturi=x:1"}, dnspersist01.Record{Issuer: "CA.example", AccountURI: "x:1"}, ""},
		{[]string{"ca.example; accounturi=x:1; policy=wildcard"}, wildcard, ""},
		{[]string{"other.example; accounturi=x:2", "google-site-verification=1", "ca.example; accounturi=x:2", "ca.example; accounturi=x:1"}, wanted, ""},
		{[]string{"ca.example; accounturi=x:1; persistUntil=1721955601"}, wanted, ""},
		{nil, wanted, "found no record"},
		{[]string{"other.example; accounturi=x:1"}, wanted, `"other.example; accounturi=x:1" is for another issuer`},
		{[]string{"ca.example; accounturi=X:1"}, wanted, "is for another account"},
		{[]string{"ca.example; accounturi=x:1; policy=other"}, wildcard, "is not for wildcards"},
		{[]string{"ca.example; accounturi=x:1;"}, wanted, "is malformed"},
		{[]string{"ca.example; accounturi=x:1; persistUntil=1721955600"}, wanted, "ends soon, at 2024-07-26T01:00:00Z"},
		{[]string{"ca.example; accounturi=x:1; persistUntil=1721952000"}, wanted, "ended at 2024-07-26T00:00:00Z"},
		{[]string{"a", "b", "c", "d", "e", "f", "g"}, wanted, `"e" is for another issuer; 2 more`},
		{[]string{strings.Repeat("a", 1<<20)}, wanted, "another issuer"},
	} {
		got, err := dnspersist01.Find(tt.values, tt.wanted, now)
		if tt.says == "" {
			if err != nil || !strings.EqualFold(got.Issuer, "ca.example") || got.AccountURI != "x:1" {
				t.Errorf("%q: %+v, %v", tt.values, got, err)
			}
		} else if !errors.Is(err, acme.ErrCheckFailed) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 2000 {
			t.Errorf("%.300q: %+v, %.500v", tt.values, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"authority.example; accounturi=https://ca.example/acct/123; policy=wildcard; persistUntil=1721952000",
		"ca.example;accounturi=x:1;new=", "ca.example; accounturi=x:1; persistUntil=-9223372036854775808", "v=spf1 -all",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r, err := dnspersist01.Parse(value)
		if err != nil {
			return
		}
		again, err := r.Value()
		if err != nil { // an account that is no URI
			if !strings.Contains(err.Error(), "no URI") && !strings.Contains(err.Error(), "no list of labels") {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		r.Issuer = strings.ToLower(r.Issuer)
		if read, err := dnspersist01.Parse(again); err != nil || !reflect.DeepEqual(read, r) {
			t.Errorf("%q is %+v, which is written %q, and read: %+v, %v", value, r, again, read, err)
		}
		if _, err := dnspersist01.Find([]string{value}, dnspersist01.Record{Issuer: "ca.example", AccountURI: "x:1"}, time.Unix(0, 0)); err == nil && (r.Issuer != "ca.example" || r.AccountURI != "x:1") {
			t.Errorf("%q lets another account", value)
		}
	})
}
