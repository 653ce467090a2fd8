package onioncsr01_test

import (
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
)

// FuzzChallenge: a nonce that is taken is as long as one must be, and a key is one.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"type":"onion-csr-01","nonce":"bI6/MRqV4gw=","authKey":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}`))
	f.Add([]byte(`{"nonce":"` + strings.Repeat("A", 1025) + `","authKey":null}`))
	f.Add([]byte(`{"nonce":"AAAAAAAAAA=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &acme.Challenge{URL: "https://ca.example/1", Raw: data}
		if nonce, err := onioncsr01.Nonce(c); err == nil && (len(nonce) < 8 || len(nonce) > 1024) || err != nil && (nonce != nil || len(err.Error()) > 1000) {
			t.Errorf("%x, %v", nonce, err)
		}
		if key, err := onioncsr01.AuthKey(c); key != nil && (len(key) != 32 || err != nil) {
			t.Errorf("%x, %v", key, err)
		}
	})
}

// FuzzParseAddress: an address that is taken is the one of its key.
func FuzzParseAddress(f *testing.F) {
	f.Add("5anebu2glyc235wbbop3m2ukzlaptpkq333vdtdvcjpigyb7x2i2m2qd.onion")
	f.Add("WWW.5ANEBU2GLYC235WBBOP3M2UKZLAPTPKQ333VDTDVCJPIGYB7X2I2M2QD.ONION")
	f.Fuzz(func(t *testing.T, name string) {
		key, err := onioncsr01.ParseAddress(name)
		if err != nil {
			return
		}
		if of := onioncsr01.Address(key); !strings.HasSuffix(strings.ToLower(name), of) {
			t.Errorf("%q has the key of %s", name, of)
		}
	})
}
