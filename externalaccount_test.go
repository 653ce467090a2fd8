package acme_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// CAs hand out MAC keys in all forms of base64.
func TestNewExternalAccount(t *testing.T) {
	conformance.Claim(t, "8555-7.3.4-07")
	t.Parallel()
	octets := strings.Repeat("\xfb\xff\x01", 11)[:32] // "-_8B" or "+/8B"
	for name, text := range map[string]string{
		"base64url":        "-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8",
		"base64url padded": "-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8=",
		"base64":           "+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8",
		"base64 padded":    "+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8B+/8=",
		"white space":      " -_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8\r\n",
	} {
		e, err := acme.NewExternalAccount(" kid-1\n", text)
		if err != nil || e.KeyID != "kid-1" || string(e.MACKey) != octets {
			t.Errorf("%s: got %v, %v", name, e, err)
		}
	}
	for name, tt := range map[string]struct {
		text, want string
	}{
		"both alphabets": {"-_8B+/8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8", "base64"},
		"not base64":     {"correct horse battery staple, more than once", "base64"},
		"two lines":      {"-_8B-_8B-_8B-_8B-_8B-\n_8B-_8B-_8B-_8B-_8B-_8", "base64"},
		"padded thrice":  {"-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8===", "base64"},
		"too short":      {"c2VjcmV0", "6 octets"},
	} {
		_, err := acme.NewExternalAccount("kid-1", tt.text)
		if !errors.Is(err, acme.ErrInvalidMACKey) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "_8B") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, tt := range [][2]string{{"", "-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8"}, {"kid-1", ""}} {
		if _, err := acme.NewExternalAccount(tt[0], tt[1]); !errors.Is(err, acme.ErrNoKey) {
			t.Errorf("%q: got %v", tt, err)
		}
	}
}

// A MAC key that does not suit its algorithm is refused before anything is sent.
func TestMACKeySizes(t *testing.T) {
	conformance.Claim(t, "7518-3.2-01")
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		for alg, size := range map[string]int{"": 32, "HS256": 32, "HS384": 48, "HS512": 64, "HS1": 0} {
			eab := &acme.ExternalAccount{KeyID: "kid-1", MACKey: make([]byte, max(size-1, 1)), Algorithm: alg}
			_, err := f.client.NewAccount(t.Context(), f.key, acme.AccountRequest{ExternalAccount: eab})
			if !errors.Is(err, acme.ErrInvalidMACKey) {
				t.Errorf("%s: got %v", alg, err)
			}
		}
		if n := len(f.ca.Requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// Google's API hands out the MAC key encoded twice.
func TestMACKeyEncodedTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const text = "-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8B-_8"
		twice, err := acme.NewExternalAccount("kid-1", "LV84Qi1fOEItXzhCLV84Qi1fOEItXzhCLV84Qi1fOEItXzhCLV84Qi1fOA")
		if err != nil || string(twice.MACKey) != text {
			t.Fatalf("got %q, %v", twice.MACKey, err)
		}
		once, err := acme.NewExternalAccount("kid-1", text)
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": once.MACKey}})
		_, err = f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ExternalAccount: twice})
		if err == nil || !strings.Contains(err.Error(), "decoded once more") || strings.Contains(err.Error(), "_8B") || problemIn(t, err) == nil {
			t.Errorf("encoded twice: %v", err)
		}
		wrong := &acme.ExternalAccount{KeyID: "kid-1", MACKey: []byte(strings.Repeat("\xff", 32))}
		_, err = f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ExternalAccount: wrong})
		if err == nil || strings.Contains(err.Error(), "decoded once more") {
			t.Errorf("another key: %v", err)
		}
		if _, err = f.client.NewAccount(t.Context(), newKey(t), acme.AccountRequest{ExternalAccount: once}); err != nil {
			t.Errorf("decoded: %v", err)
		}
	})
}
