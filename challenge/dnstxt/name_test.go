package dnstxt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

func TestCanonicalName(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	long := strings.Repeat(label+".", 3)
	for _, tt := range []struct{ name, want string }{
		{"example.com", "example.com."},
		{"_acme-challenge.Example.COM.", "_acme-challenge.example.com."},
		{"xn--bcher-kva.example", "xn--bcher-kva.example."},
		{"com", "com."},
		{long + strings.Repeat("a", 61), long + strings.Repeat("a", 61) + "."},
		{long + strings.Repeat("a", 62), ""},
		{label + "a.example", ""},
		{"", ""},
		{".", ""},
		{"..", ""},
		{".example.com", ""},
		{"a..example.com", ""},
		{"example.com..", ""},
		{"*.example.com", ""},
		{"_acme-challenge.2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.Onion", ""}, // which must not get into the DNS
		{"onion.", ""},
		{"onion.example", "onion.example."},
		{"my-onion", "my-onion."},
		{"bücher.example", ""},
		{"a b.example", ""},
		{"a/../b.example", ""},
		{`a\.b.example`, ""},
		{`a"b.example`, ""},
		{"a;b.example", ""},
		{"a@b.example", ""},
		{"a\x00.example", ""},
		{"a\n.example", ""},
		{"\xff.example", ""},
	} {
		got, err := dnstxt.CanonicalName(tt.name)
		if got != tt.want || errors.Is(err, dnstxt.ErrInvalidName) != (tt.want == "") {
			t.Errorf("%q: %q, %v", tt.name, got, err)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("an error of %d octets", len(err.Error()))
		}
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 255, 256, 510, 511, 70000} {
		value := strings.Repeat("abc", n)[:n]
		split := dnstxt.Strings(value)
		if strings.Join(split, "") != value || len(split) != max(1, (n+254)/255) || slices.ContainsFunc(split, func(s string) bool { return len(s) > 255 }) {
			t.Errorf("%d octets: %d strings", n, len(split))
		}
	}
}

func TestRelativeName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, zone, want string }{
		{"_acme-challenge.www.example.com.", "example.com.", "_acme-challenge.www"},
		{"example.com.", "example.com.", "@"},
		{"notexample.com.", "example.com.", "notexample.com."},
	} {
		if got := dnstxt.RelativeName(tt.name, tt.zone); got != tt.want {
			t.Errorf("%s in %s: %q", tt.name, tt.zone, got)
		}
	}
}
