package emailreply00_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
)

// The challenge mail is that of the RFC, less the bodies and the DKIM signature.
const challengeMail = "Auto-Submitted: auto-generated; type=acme\r\n" +
	"Date: Sat, 5 Dec 2020 10:08:55 +0100\r\n" +
	"Message-ID: <A2299BB.FF7788@example.org>\r\n" +
	"From: acme-generator@example.org\r\n" +
	"To: alexey@example.com\r\n" +
	"Subject: ACME: LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3sME=\r\n" +
	"Content-Type: text/plain\r\nMIME-Version: 1.0\r\n\r\n"

func Example() {
	inbox := [][]byte{[]byte("Subject: hello\r\n\r\n"), []byte(challengeMail)}
	solver := &emailreply00.Solver{
		Mails: func(_ context.Context, from, to string) iter.Seq2[[]byte, error] {
			return func(yield func([]byte, error) bool) {
				for _, mail := range inbox {
					if !yield(mail, nil) {
						return
					}
				}
			}
		},
		Verify: func(_ context.Context, m *emailreply00.Message) error {
			if !strings.HasSuffix(m.From, "@example.org") {
				return errors.New("verify the DKIM signature here")
			}
			return nil
		},
		Send: func(_ context.Context, r *emailreply00.Reply) error {
			_, mail, _ := strings.Cut(string(r.Raw), "In-Reply-To")
			fmt.Print("In-Reply-To", strings.ReplaceAll(mail, "\r\n", "\n"))
			return nil
		},
	}

	// The library calls Present, and responds to the challenge when the mail is sent.
	a := &acme.Attempt{
		Identifier: acme.Identifier{Type: acme.TypeEmail, Value: "alexey@example.com"},
		Challenge: &acme.Challenge{Type: acme.EmailReply00, Token: "DGyRejmCefe7v4NfDGDKfA", Raw: []byte(
			`{"type": "email-reply-00", "from": "acme-generator@example.org", "token": "DGyRejmCefe7v4NfDGDKfA"}`)},
		Thumbprint: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
	}
	if _, err := solver.Present(context.Background(), []*acme.Attempt{a}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// In-Reply-To: <A2299BB.FF7788@example.org>
	// References: <A2299BB.FF7788@example.org>
	// From: <alexey@example.com>
	// To: <acme-generator@example.org>
	// Subject: Re: ACME: LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3sME=
	// MIME-Version: 1.0
	// Content-Type: text/plain; charset=us-ascii
	// Content-Transfer-Encoding: 7bit
	//
	// -----BEGIN ACME RESPONSE-----
	// WfPZkMuOlXtvgAR1MDhbmmK-Hoi_H0It3NN5W_HaJqY
	// -----END ACME RESPONSE-----
}
