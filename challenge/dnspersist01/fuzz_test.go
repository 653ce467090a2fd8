package dnspersist01_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
)

// FuzzChallenge: of a challenge that is taken, every issuer fits into a record.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"issuer-domain-names":["ca.example","CA.example"],"accounturi":"https://ca.example/acct/123"}`))
	f.Add([]byte(`{"issuerDomainNames":["ca.example"],"issuer-domain-names":[]}`))
	f.Add([]byte(`{"issuer-domain-names":{"a":[null]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := dnspersist01.ParseChallenge(&acme.Challenge{Raw: data})
		if err != nil {
			if !errors.Is(err, acme.ErrMalformedResponse) || len(err.Error()) > 8<<10 {
				t.Errorf("%v", err)
			}
			return
		}
		if len(c.Issuers) == 0 || len(c.Issuers) > 10 || c.Hashed && c.AccountURI != "" {
			t.Errorf("%+v", c)
		}
		for _, issuer := range c.Issuers {
			value, err := dnspersist01.Record{Issuer: issuer, AccountURI: "https://ca.example/1"}.Value()
			if err != nil || !strings.HasPrefix(value, issuer+";") {
				t.Errorf("%q: %q, %v", issuer, value, err)
			}
		}
	})
}
