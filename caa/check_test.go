package caa_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// records reads records, one a line.
func records(t testing.TB, text string) []caa.Record {
	t.Helper()
	var set []caa.Record
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		r, err := caa.ParseRecord(line)
		if err != nil {
			t.Fatal(err)
		}
		set = append(set, r)
	}
	return set
}

// The examples of RFC 8659 §4 and RFC 8657 Appendix A, and what else a CA meets.
func TestCheck(t *testing.T) {
	t.Parallel()
	const account = "https://example.net/account/1234"
	const plain, wild = "a.example.com", "*.example.com"
	for _, tt := range []struct {
		set  string
		name string
		ca   string // which it is
		want string // the methods that are admitted, or what the error says, after "!"
	}{
		{"", plain, "example.net", "dns-01 http-01"},
		{"", wild, "example.net", "dns-01 http-01"},
		{`0 iodef "mailto:security@example.com"`, plain, "example.net", "dns-01 http-01"},
		{`0 tbs "Unknown"`, plain, "example.net", "dns-01 http-01"},
		{"0 issue ca1.example.net\n0 issue ca2.example.org", plain, "ca2.example.org", "dns-01 http-01"},
		{"0 issue ca1.example.net\n0 issue ca2.example.org", wild, "ca1.example.net", "dns-01 http-01"},
		{"0 issue ca1.example.net\n0 issue ca2.example.org", plain, "ca3.example", "!is for a CA that is not ca3.example"},
		{"0 Issue ca1.example.net\n", plain, "ca3.example", "!is for a CA that is not ca3.example"},
		{"0 ISSUE CA1.Example.NET", plain, "ca1.example.net.", "dns-01 http-01"},
		{`0 issue ";"`, plain, "example.net", "!lets nobody issue"},
		{`0 issue ""`, plain, "example.net", "!lets nobody issue"},
		{"0 issue \";\"\n0 issue example.net", plain, "example.net", "dns-01 http-01"},
		{`0 issue "%%%%%"`, plain, "example.net", "!malformed"},
		{"0 issue %%%%%\n0 issue example.net", plain, "example.net", "dns-01 http-01"},
		{`0 issue "example.net; account=230123"`, plain, "example.net", "dns-01 http-01"},
		{"0 issue ca1.example.net\n0 issuewild ca2.example.org", plain, "ca1.example.net", "dns-01 http-01"},
		{"0 issue ca1.example.net\n0 issuewild ca2.example.org", wild, "ca1.example.net", "!add 0 issuewild"},
		{"0 issue ca1.example.net\n0 issuewild ca2.example.org", plain, "ca2.example.org", "!add 0 issue "},
		{"0 issue ca1.example.net\n0 issuewild ca2.example.org", wild, "ca2.example.org", "dns-01 http-01"},
		{"0 issuewild ca2.example.org\n0 issue \";\"", wild, "ca2.example.org", "dns-01 http-01"},
		{"0 issuewild ca2.example.org\n0 issue \";\"", plain, "ca2.example.org", "!lets nobody issue"},
		{"0 issuewild ca2.example.org", plain, "ca1.example.net", "dns-01 http-01"},
		{"0 issuewild %", wild, "ca1.example.net", "!malformed"},
		{"0 issue ca1.example.net\n128 tbs Unknown", plain, "ca1.example.net", "!128 tbs \"Unknown\" is critical"},
		{"128 tbs Unknown", wild, "ca1.example.net", "!remove what is critical"},
		{"127 tbs Unknown", plain, "ca1.example.net", "dns-01 http-01"}, // reserved flags (RFC 8659 §4.1)
		{"128 issue ca1.example.net\n128 iodef mailto:a@example.com\n128 IssueWild ca1.example.net", wild, "ca1.example.net", "dns-01 http-01"},

		{"0 issue \"example.net; accounturi=" + account + "\"\n0 issue \"example.net; accounturi=https://example.net/account/2345\"", plain, "example.net", "dns-01 http-01"},
		{`0 issue "example.net; accounturi=https://example.net/account/2345"`, plain, "example.net", `!is for another account than "` + account + `"`},
		{`0 issue "other.example; accounturi=` + account + `"`, plain, "example.net", "!is for a CA that is not"},
		{`0 issue "example.net; accounturi=` + account + `/"`, plain, "example.net", "!another account"},
		{`0 issue "example.net; accounturi=HTTPS://example.net/account/1234"`, plain, "example.net", "!another account"},
		{`0 issue "example.net; accounturi="`, plain, "example.net", "!no URI"},
		{`0 issue "example.net; accounturi=1234"`, plain, "example.net", "!no URI"},
		{`0 issue "example.net; ACCOUNTURI=` + account + `"`, plain, "example.net", "dns-01 http-01"},
		{`0 issue "example.net; validationmethods=dns-01,xyz-01"`, plain, "example.net", "dns-01"},
		{"0 issue \"example.net; validationmethods=xyz-01\"\n0 issue \"example.net; validationmethods=http-01\"", plain, "example.net", "http-01"},
		{"0 issue \"example.net; accounturi=" + account + "; validationmethods=dns-01\"\n0 issue \"example.net; accounturi=https://example.net/account/2345; validationmethods=http-01\"", plain, "example.net", "dns-01"},
		{"0 issue \"example.net; accounturi=" + account + "; validationmethods=dns-01\"\n0 issue \"example.net; accounturi=https://example.net/account/2345; validationmethods=http-01\"", wild, "example.net", "dns-01"},
		{`0 issue "example.net; validationmethods=ca-foo,ca-bar"`, plain, "example.net", "!other validation methods than dns-01, http-01"},
		{`0 issue "example.net; validationmethods="`, plain, "example.net", "!other validation methods"},
		{`0 issue "example.net; validationmethods=DNS-01"`, plain, "example.net", "!other validation methods"},
		{`0 issue "example.net; validationmethods=dns-01,"`, plain, "example.net", "!no list of labels"},
		{`0 issue "example.net; validationmethods=dns_01"`, plain, "example.net", "!no list of labels"},
	} {
		q := caa.Request{Identities: []string{tt.ca}, AccountURL: account, Methods: []acme.ChallengeType{acme.DNS01, acme.HTTP01}}
		methods, err := q.Check(tt.name, records(t, tt.set))
		if says, bad := strings.CutPrefix(tt.want, "!"); bad {
			forbidden, ok := errors.AsType[*caa.ForbiddenError](err)
			if !ok || methods != nil || forbidden.Name != tt.name || len(forbidden.Denials) == 0 || !strings.Contains(err.Error(), says) {
				t.Errorf("%s for %s at %s: %v, %v", tt.set, tt.name, tt.ca, methods, err)
			}
			continue
		}
		if got := strings.Trim(fmt.Sprint(methods), "[]"); err != nil || got != tt.want {
			t.Errorf("%s for %s at %s: %s, %v", tt.set, tt.name, tt.ca, got, err)
		}
	}
}

// A property with two accounts admits none, even if both are the right one.
func TestTwoAccounts(t *testing.T) {
	conformance.Claim(t, "8657-3-01")
	t.Parallel()
	q := caa.Request{Identities: []string{"ca.example"}, AccountURL: "x:1", Methods: []acme.ChallengeType{acme.DNS01}}
	for _, value := range []string{"ca.example; accounturi=x:1; accounturi=x:1", "ca.example; accounturi=x:1; AccountURI=x:2"} {
		set := []caa.Record{{Tag: caa.TagIssue, Value: value}}
		_, err := q.Check("example.com", set)
		forbidden, ok := errors.AsType[*caa.ForbiddenError](err)
		if !ok || forbidden.Denials[0].Record != set[0] || !strings.Contains(forbidden.Denials[0].Reason, "accounturi is there twice") {
			t.Errorf("%s: %v", value, err)
		}
	}
}

// Records that the error advises admit the request.
func TestAdvice(t *testing.T) {
	t.Parallel()
	q := caa.Request{Identities: []string{"ca.example", "ca.test"}, AccountURL: "https://ca.example/1", Methods: []acme.ChallengeType{acme.DNS01, acme.HTTP01}}
	for _, name := range []string{"example.com", "*.example.com"} {
		set := records(t, "0 issue \";\"\n0 issuewild other.example")
		_, err := q.Check(name, set)
		_, advice, ok := strings.Cut(fmt.Sprint(err), "; add ")
		advice, _, _ = strings.Cut(advice, ", or without")
		if !ok {
			t.Fatal(err)
		}
		if methods, err := q.Check(name, append(set, records(t, advice)...)); err != nil || !slices.Equal(methods, q.Methods) {
			t.Errorf("%s with %s: %v, %v", name, advice, methods, err)
		}
	}
	nameless := caa.Request{AccountURL: "https://ca.example/1"}
	if _, err := nameless.Check("example.com", records(t, "0 issue other.example")); err == nil || !strings.Contains(err.Error(), "caaIdentities in its directory); give the CA's names") {
		t.Error(err)
	}
	if _, err := nameless.Check("example.com", nil); err != nil {
		t.Error(err)
	}
}

// An error stays readable, whatever the records are.
func TestForbiddenErrorIsBounded(t *testing.T) {
	t.Parallel()
	q := caa.Request{Identities: []string{"ca.example"}}
	set := slices.Repeat([]caa.Record{{Tag: caa.TagIssue, Value: strings.Repeat("\n%", 10000)}}, 1000)
	_, err := q.Check("example.com", set)
	if got := fmt.Sprint(err); len(got) > 20000 || !strings.Contains(got, "and 990 more") || strings.Contains(got, "\n") {
		t.Errorf("%d octets: %.1000s", len(got), got)
	}
}

// A zone counts the lookups.
type zone struct {
	mu      sync.Mutex
	records map[string][]caa.Record
	broken  string
	asked   []string
}

var errBroken = errors.New("SERVFAIL")

func (z *zone) lookup(_ context.Context, name string) ([]caa.Record, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked = append(z.asked, name)
	if name == z.broken {
		return nil, errBroken
	}
	return z.records[name], nil
}

func TestRelevant(t *testing.T) {
	t.Parallel()
	set := records(t, "0 issue ca.example")
	for name, want := range map[string][]string{
		"x.y.z":            {"", "x.y.z", "y.z", "z"},
		"*.x.y.z":          {"", "x.y.z", "y.z", "z"},
		"a.b.c":            {"b.c", "a.b.c", "b.c"},
		"b.c":              {"b.c", "b.c"},
		"*.b.c.":           {"b.c", "b.c"},
		"_a.b.c":           {"b.c", "_a.b.c", "b.c"},
		"a.broken.example": {"!", "a.broken.example", "broken.example"},
		"":                 {"!"},
		".":                {"!"},
		"*.":               {"!"},
		"a..b":             {"!"},
		"a b":              {"!"},
		"*.*.example":      {"!"},
		"ä.example":        {"!"},
	} {
		z := zone{records: map[string][]caa.Record{"b.c": set, "c": records(t, "0 issue other.example")}, broken: "broken.example"}
		got, at, err := caa.Relevant(t.Context(), name, z.lookup)
		if want[0] == "!" {
			if err == nil || errors.Is(err, errBroken) != (len(want) > 1) || !strings.HasPrefix(err.Error(), "caa: ") || !slices.Equal(z.asked, want[1:]) {
				t.Errorf("%q: %v, %v; asked %v", name, got, err, z.asked)
			}
			continue
		}
		if err != nil || at != want[0] || slices.Equal(got, set) != (at != "") || !slices.Equal(z.asked, want[1:]) {
			t.Errorf("%q: %v at %q, %v; asked %v", name, got, at, err, z.asked)
		}
	}
}

const onionName = "bbcweb3hytmzhn5d532owbu6oqadra5z3ar726vq5kgwwn6aucdccrad.onion" // RFC 9799 §2

func TestCheckOrder(t *testing.T) {
	t.Parallel()
	z := zone{broken: "broken.example", records: map[string][]caa.Record{
		"example.com":           records(t, "0 issue ca.example\n0 issuewild \";\""),
		"xn--bcher-kva.example": records(t, "0 issue other.example"),
	}}
	q := caa.Request{Identities: []string{"ca.example"}, Methods: []acme.ChallengeType{acme.DNS01}}
	ids := append(acme.DNS("example.com", "a.Example.com.", "b.example.com", "free.example", onionName, "www."+onionName),
		acme.Identifier{Type: acme.TypeIP, Value: "192.0.2.1"}, acme.Identifier{Type: "other", Value: "x"})
	if err := q.CheckOrder(t.Context(), z.lookup, ids...); err != nil {
		t.Error(err)
	}
	slices.Sort(z.asked)
	if want := []string{"a.example.com", "b.example.com", "com", "example", "example.com", "free.example"}; !slices.Equal(z.asked, want) && !slices.Equal(z.asked, slices.Delete(want, 2, 3)) {
		t.Errorf("asked %v", z.asked)
	}
	err := q.CheckOrder(t.Context(), z.lookup, acme.DNS("ok.example.com", "*.a.example.com", "Bücher.example", "a.broken.example", "a b")...)
	for _, want := range []string{"*.a.example.com: the CAA records of example.com forbid", "of xn--bcher-kva.example forbid", "records of broken.example, for a.broken.example: SERVFAIL", `"a b"`} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if !errors.Is(err, errBroken) || !errors.Is(err, acme.ErrInvalidIdentifier) || strings.Contains(fmt.Sprint(err), "ok.example.com") {
		t.Error(err)
	}
}

// The documentation does not promise what a CA may not keep.
func TestNoPromise(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(file.Doc.Text()), " ")
	if !strings.Contains(text, "the parameters bind nobody but a CA that says in its documentation that it heeds them (RFC 8657 §5.2)") {
		t.Error("the package does not say that parameters depend on the CA")
	}
}
