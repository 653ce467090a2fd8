package emailreply00_test

import (
	"net/mail"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
)

// FuzzChallenge: where a challenge that is taken says its mail comes from is an address
// alone, in which nothing more can be written into a reply.
func FuzzChallenge(f *testing.F) {
	f.Add([]byte(`{"type":"email-reply-00","from":"acme@example.org"}`), part2)
	f.Add([]byte(`{"from":"a <b@example.org>, c@example.org\r\nBcc: d@example.org"}`), part2)
	f.Add([]byte(`{"from":["a@example.org"]}`), "")
	f.Add([]byte(`{"from":"a@example.org."}`), part2)
	f.Fuzz(func(t *testing.T, data []byte, token string) {
		c, err := emailreply00.NewChallenge(&acme.Attempt{
			Identifier: email(address), Challenge: &acme.Challenge{Type: acme.EmailReply00, Token: token, Raw: data}, Thumbprint: thumbprint,
		})
		if err != nil {
			return
		}
		if a, err := mail.ParseAddress("<" + c.From + ">"); err != nil || a.Address != c.From {
			t.Errorf("%q: %v, %v", c.From, a, err)
		}
		if k, err := c.KeyAuthorization(part1, emailreply00.JoinText); err != nil || string(k) != part1+token+"."+thumbprint {
			t.Errorf("%q: %v", token, err)
		}
	})
}
