package emailreply00

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/certext"
)

// A Reply is the answer to a challenge mail, complete but for the DKIM signature.
type Reply struct {
	From string   // address of the sender, for the envelope too
	To   []string // addresses of the recipients, for the envelope too
	Raw  []byte   // the mail, with CRLF at the end of lines
}

// Reply makes the answer to a challenge mail (RFC 8823 §3.2). It does not check that
// the mail is the challenge's: see [Challenge.Check].
func (c Challenge) Reply(m *Message, j Join) (*Reply, error) {
	k, err := c.KeyAuthorization(m.Token, j)
	if err != nil {
		return nil, err
	}
	r := &Reply{From: c.Address, To: m.ReplyTo}
	if len(r.To) == 0 {
		r.To = []string{m.From}
	}
	to := make([]string, len(r.To))
	for i, a := range r.To {
		to[i] = (&mail.Address{Address: a}).String()
	}
	_, domain, _ := strings.Cut(c.Address, "@")
	var b strings.Builder
	field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	field("Date", time.Now().Format(time.RFC1123Z))
	field("Message-ID", "<"+rand.Text()+"@"+domain+">")
	if m.ID != "" {
		field("In-Reply-To", m.ID)
		field("References", m.ID)
	}
	field("From", (&mail.Address{Address: c.Address}).String())
	field("To", strings.Join(to, ",\r\n "))
	field("Subject", "Re: ACME: "+lines(m.Token, "\r\n "))
	field("MIME-Version", "1.0")
	field("Content-Type", "text/plain; charset=us-ascii")
	field("Content-Transfer-Encoding", "7bit")
	b.WriteString("\r\n" + Body(k))
	r.Raw = []byte(b.String())
	return r, nil
}

// lineLength is what a line of a mail should have at most, less what may be in front
// of a token (RFC 5322 §2.1.1).
const lineLength = 64

// lines breaks a long text.
func lines(text, newline string) string {
	var b strings.Builder
	for len(text) > lineLength {
		b.WriteString(text[:lineLength] + newline)
		text = text[lineLength:]
	}
	return b.String() + text
}

// Body returns what the answer to a challenge mail has in it: the digest of the key
// authorization between two lines that mark it (RFC 8823 §3.2). What is before and
// after it does not matter.
func Body(k acme.KeyAuthorization) string {
	digest := k.Digest()
	return "-----BEGIN ACME RESPONSE-----\r\n" +
		base64.RawURLEncoding.EncodeToString(digest[:]) + "\r\n" +
		"-----END ACME RESPONSE-----\r\n"
}

// NewCSR is [acme.NewCSR] for certificates that are for signing alone, with usage
// [x509.KeyUsageDigitalSignature], [x509.KeyUsageContentCommitment] or both of them, or
// for encryption alone, with [x509.KeyUsageKeyEncipherment] or
// [x509.KeyUsageKeyAgreement], as the key's algorithm has it (RFC 8823 §3.3).
func NewCSR(key crypto.Signer, usage x509.KeyUsage) func(context.Context, []acme.Identifier) ([]byte, error) {
	return func(_ context.Context, ids []acme.Identifier) ([]byte, error) {
		bits, err := certext.KeyUsage(usage)
		if key == nil {
			err = acme.ErrNoKey
		}
		if err != nil {
			return nil, fmt.Errorf("emailreply00: CSR: %w", err)
		}
		extensions, err := acme.CSRExtensions(ids)
		if err != nil {
			return nil, err
		}
		template := &x509.CertificateRequest{ExtraExtensions: append(extensions, bits)}
		return x509.CreateCertificateRequest(rand.Reader, template, key)
	}
}
