package challengetest

import (
	"crypto/ed25519"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// TestNewAttempt reads attempts' challenges as acme does.
func TestNewAttempt(t *testing.T) {
	for _, typ := range append(constants(), "new-01") {
		for _, k := range kinds(typ) {
			a := NewAttempt(typ, k.nth(7), newToken(1))
			var read acme.Challenge
			if err := json.Unmarshal(a.Challenge.Raw, &read); err != nil {
				t.Fatal(err)
			}
			if c := a.Challenge; read.URL != c.URL || read.Type != typ || read.Token != c.Token || read.Status != acme.StatusPending {
				t.Errorf("%s: read %+v, have %+v", a, read, c)
			}
			if a.Wildcard != strings.HasPrefix(k.name, wildcard) || strings.Contains(a.Identifier.Value, "*") {
				t.Errorf("%s for %s", a, k.name)
			}
			if want := acme.KeyAuthorization(a.Challenge.Token + "." + thumbprint); a.Challenge.Token != "" && a.KeyAuthorization != want {
				t.Errorf("%s: key authorization %s", a, string(a.KeyAuthorization))
			}
			if a.Challenge.Token == "" && a.KeyAuthorization != "" {
				t.Errorf("%s: a key authorization without a token", a)
			}
		}
	}
}

func TestNewToken(t *testing.T) {
	format := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	for n := range int64(6) {
		a, b := newToken(n), newToken(n)
		if !format.MatchString(a) || a == b || a[0] != "-_A"[n%3] {
			t.Errorf("token %d is %q, then %q", n, a, b)
		}
	}
}

func TestKinds(t *testing.T) {
	want := []string{
		"n7.example.com", "*.n7.example.com", "192.0.2.7", "2001:db8::7", "n7@example.com", "SN00000007",
		"HW00000007", "dtn://n7.example.com/", "MA-iDRYLMTIwMjU1NTAwMDc",
	}
	for i, k := range kinds(acme.DNS01) {
		if id := k.nth(7); id.Value != want[i] || id.Type == "" {
			t.Errorf("%s is %+v, want %s", k.name, id, want[i])
		}
		if k.nth(300) == k.nth(301) {
			t.Errorf("%s: twice %s", k.name, k.nth(300))
		}
	}
	public := OnionKeys()[7].Public().(ed25519.PublicKey)
	for i, k := range kinds(acme.OnionCSR01) {
		if got := k.nth(7).Value; got != []string{"", "*."}[i]+onion.Name(public) {
			t.Errorf("%s is %s", k.name, got)
		}
	}
}
