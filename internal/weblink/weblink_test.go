package weblink_test

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/weblink"
)

func TestFind(t *testing.T) {
	conformance.Claim(t, "8288-3-01", "8288-3.1-01", "8288-3.2-01", "8288-3.3-01", "8288-3.3-02")
	t.Parallel()
	const rel = "alternate"
	for _, tt := range []struct {
		name   string
		values []string
		want   []string
	}{
		{"none", nil, nil},
		{"plain", []string{`<https://ca.test/a>;rel="alternate"`}, []string{"https://ca.test/a"}},
		{"unquoted", []string{`<https://ca.test/a>; rel=alternate`}, []string{"https://ca.test/a"}},
		{"parameter before rel", []string{`<https://ca.test/a>; title="x"; rel="alternate"`}, []string{"https://ca.test/a"}},
		{"comma-joined", []string{`<https://ca.test/dir>;rel="index", <https://ca.test/a>;rel="alternate"`}, []string{"https://ca.test/a"}},
		{"several fields", []string{`<https://ca.test/a>;rel="alternate"`, `<https://ca.test/b>;rel="alternate"`}, []string{"https://ca.test/a", "https://ca.test/b"}},
		{"relative", []string{`</alt/1>;rel="alternate"`, `<2>;rel="alternate"`}, []string{"https://ca.test/alt/1", "https://ca.test/cert/2"}},
		{"absolute, as served", []string{`<HTTPS://CA.test:443/./%7ea//b/../c%2f?x=a%20b>;rel="alternate"`}, []string{"HTTPS://CA.test:443/./%7ea//b/../c%2f?x=a%20b"}},
		{"several types", []string{`<a>; rel="start alternate"`}, []string{"https://ca.test/cert/a"}},
		{"case", []string{`<a>; REL="Alternate"`}, []string{"https://ca.test/cert/a"}},
		{"first rel counts", []string{`<a>; rel="index"; rel="alternate"`}, nil},
		{"comma and semicolon in the target", []string{`<a,b;c>; rel="alternate"`}, []string{"https://ca.test/cert/a,b;c"}},
		{"comma in a quoted title", []string{`<a>; title="x, <y>; rel=index"; rel="alternate"`}, []string{"https://ca.test/cert/a"}},
		{"escaped quote", []string{`<a>; title="\""; rel="alternate"`}, []string{"https://ca.test/cert/a"}},
		{"anchor", []string{`<a>; rel="alternate"; anchor="#foo"`}, nil},
		{"flag parameter", []string{`<a>; crossorigin; rel=alternate`}, []string{"https://ca.test/cert/a"}},
		{"space before equals", []string{`<a> ; rel = "alternate"`}, []string{"https://ca.test/cert/a"}},
		{"unclosed target", []string{`<a; rel="alternate"`}, nil},
		{"unclosed quote", []string{`<a>; rel="alternate`}, []string{"https://ca.test/cert/a"}},
		{"trailing backslash", []string{`<a>; title="\`}, nil},
		{"not a URL", []string{`<:>; rel="alternate"`}, nil},
		{"rubbish between", []string{`x <a>; rel=alternate y <b>; rel=alternate`}, []string{"https://ca.test/cert/a"}},
		{"empty elements", []string{`, ,<a>; rel=alternate,,`}, []string{"https://ca.test/cert/a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := &url.URL{Scheme: "https", Host: "ca.test", Path: "/cert/1"}
			if got := weblink.Find(tt.values, rel, base, 10); !slices.Equal(got, tt.want) {
				t.Errorf("Find(%q) = %q, want %q", tt.values, got, tt.want)
			}
		})
	}
}

// The examples of RFC 8288 §3.5, and one of RFC 8555 §7.1.2.1.
func TestVectorLinks(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/vectors/links.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Fields  []string
		Base    string
		Targets map[string][]string
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	for _, v := range vectors {
		base, err := url.Parse(v.Base)
		if err != nil {
			t.Fatal(err)
		}
		for rel, want := range v.Targets {
			if got := weblink.Find(v.Fields, rel, base, 10); !slices.Equal(got, want) {
				t.Errorf("%q, %s: %q, want %q", v.Fields, rel, got, want)
			}
		}
	}
}

func TestParseIsBounded(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("<a>;rel=next,", 10000)
	if got := len(weblink.Parse([]string{many, many}, 10)); got != 10 {
		t.Errorf("Parse returned %d links, want 10", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`<https://ca.test/dir>;rel="index", </a>;title="\"x";rel=alternate`)
	f.Add(`<;rel="`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range weblink.Parse([]string{s}, 10) {
			if !strings.Contains(s, l.Target) {
				t.Errorf("Parse(%q) made up the target %q", s, l.Target)
			}
		}
	})
}
