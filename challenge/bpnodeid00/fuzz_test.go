package bpnodeid00_test

import (
	"encoding/base64"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
)

// FuzzChallenge: the parts of a challenge that is taken are octets, enough of them.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"type":"bp-nodeid-00","id-chal":"dDtaviYTPUWFS3NK37YWfQ","token-chal":"tPUZNY4ONIk6LxErRFEjVw"}`))
	f.Add([]byte(`{"id-chal":"dDtaviYTPUWFS3NK37YWfQ\n","token-chal":["tPUZNY4ONIk6LxErRFEjVw"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := attempt()
		a.Challenge = &acme.Challenge{Type: acme.BPNodeID00, Raw: data}
		c, err := bpnodeid00.NewChallenge(a)
		if err != nil {
			return
		}
		for _, part := range []string{c.ID, c.Token} {
			if octets, err := base64.RawURLEncoding.DecodeString(part); err != nil || len(octets) < 16 || base64.RawURLEncoding.EncodeToString(octets) != part {
				t.Errorf("%q: %v", part, err)
			}
		}
	})
}
