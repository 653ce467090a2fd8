package onion_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// Addresses of RFC 9799.
const (
	bbc   = "bbcweb3hytmzhn5d532owbu6oqadra5z3ar726vq5kgwwn6aucdccrad.onion"
	other = "5anebu2glyc235wbbop3m2ukzlaptpkq333vdtdvcjpigyb7x2i2m2qd.onion"
)

func TestKey(t *testing.T) {
	t.Parallel()
	for _, address := range []string{bbc, other} {
		for _, prefix := range []string{"", "www.", "*.", "a.b."} {
			key, err := onion.Key(prefix + address)
			if err != nil || onion.Name(key) != address || onion.Address(prefix+address) != address || !onion.IsName(prefix+address) {
				t.Errorf("%s%s: %x, %v", prefix, address, key, err)
			}
		}
	}
	for name, says := range map[string]string{
		"expyuzz4wqqyqhjn.onion":             "version 2",
		"onion":                              "not 5",
		".onion":                             "not 0",
		"www.onion":                          "not 3",
		"example.com":                        "does not end",
		bbc + ".example":                     "does not end",
		strings.ToUpper(bbc[:56]) + ".onion": "other characters",
		"1" + bbc[1:]:                        "other characters",
		"c" + bbc[1:]:                        "checksum",
		bbc[:55] + "c.onion":                 "version 2,",
		"x" + bbc:                            "not 57",
		"bücher" + bbc[7:]:                   "other characters",
		"\nbcweb3hytmzhn5d532owbu6oqadra5z3ar726vq5kgwwn6aucdccra\n.onion": "other characters",
	} {
		if key, err := onion.Key(name); err == nil || key != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %x, %v", name, key, err)
		}
	}
	if onion.IsName("example.com") || onion.IsName("xonion") || !onion.IsName("onion") {
		t.Error("IsName")
	}
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := onion.Key(onion.Name(public)); err != nil || !key.Equal(public) {
		t.Errorf("%x, %v", key, err)
	}
}

func FuzzKey(f *testing.F) {
	f.Add(bbc)
	f.Add("www." + other)
	f.Add("expyuzz4wqqyqhjn.onion")
	f.Add("\r" + bbc[1:])
	f.Fuzz(func(t *testing.T, name string) {
		if key, err := onion.Key(name); err == nil && !strings.HasSuffix(name, onion.Name(key)) {
			t.Errorf("%q: %x, whose name is %s", name, key, onion.Name(key))
		}
	})
}
