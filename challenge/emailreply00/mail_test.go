package emailreply00_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/emailreply00"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// TestVectors: the digests of all ways to join the tokens of the RFC.
func TestVectors(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-04")
	data, err := os.ReadFile("../../testdata/vectors/mailtokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, TokenPart1, TokenPart2, Thumbprint string
		Text, Padded, Octets                     string
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, v := range vectors {
		c := emailreply00.Challenge{Address: address, From: "a@example.org", Token: v.TokenPart2, Thumbprint: v.Thumbprint}
		for join, want := range map[emailreply00.Join]string{
			emailreply00.JoinText: v.Text, emailreply00.JoinPadded: v.Padded, emailreply00.JoinOctets: v.Octets,
		} {
			k, err := c.KeyAuthorization(v.TokenPart1, join)
			digest := k.Digest()
			if got := base64.RawURLEncoding.EncodeToString(digest[:]); err != nil || got != want {
				t.Errorf("%s, join %d: %s, %v, want %s", v.Name, join, got, err, want)
			}
		}
		// As a person may paste it, and as a CA sends it that heeds RFC 8555.
		for _, part1 := range []string{" " + v.TokenPart1[:9] + "\r\n " + v.TokenPart1[9:] + "\n", strings.TrimRight(v.TokenPart1, "=")} {
			k, err := c.KeyAuthorization(part1, emailreply00.JoinText)
			digest := k.Digest()
			if got := base64.RawURLEncoding.EncodeToString(digest[:]); err != nil || got != v.Text {
				t.Errorf("%q: %s, %v", part1, got, err)
			}
		}
		if k, err := c.KeyAuthorization("short", emailreply00.JoinText); err == nil || k != "" {
			t.Errorf("%s, %v", string(k), err)
		}
		c.Token = "a" // no octets
		if k, err := c.KeyAuthorization(v.TokenPart1, emailreply00.JoinOctets); err == nil || k != "" {
			t.Errorf("%s, %v", string(k), err)
		}
	}
}

func parse(t *testing.T, raw []byte) *emailreply00.Message {
	t.Helper()
	m, err := emailreply00.ParseMessage(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// reply makes a reply and reads it as a mail.
func reply(t *testing.T, raw []byte) (*emailreply00.Reply, *mail.Message) {
	t.Helper()
	c := emailreply00.Challenge{Address: address, From: "ca@example.org", Token: part2, Thumbprint: thumbprint}
	r, err := c.Reply(parse(t, raw), emailreply00.JoinText)
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(r.Raw))
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}

// TestReply looks at the fields of a reply.
func TestReply(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3-10", "8823-3.2-01", "8823-3.2-02", "8823-3.2-03", "8823-3.2-04")
	r, m := reply(t, message("ca@example.org", address, part1+"=", "MIME-Version", "List-Id: <x@y>\r\nCc: z@example.org\r\nMIME-Version"))
	for name, want := range map[string]string{
		"From": "<" + address + ">", "To": "<ca@example.org>", "Subject": "Re: ACME: " + part1 + "=", "In-Reply-To": "<A2299BB.FF7788@example.org>",
		"References": "<A2299BB.FF7788@example.org>", "Mime-Version": "1.0", "Content-Type": "text/plain; charset=us-ascii", "Content-Transfer-Encoding": "7bit",
	} {
		if got := m.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(m.Header) != 10 {
		t.Errorf("header %v", m.Header)
	}
	if date, err := m.Header.Date(); err != nil || time.Since(date) > time.Minute {
		t.Errorf("date %v, %v", date, err)
	}
	id := m.Header.Get("Message-ID")
	if _, again := reply(t, message("ca@example.org", address, part1)); !strings.HasSuffix(id, "@example.com>") || len(id) < 30 || again.Header.Get("Message-ID") == id {
		t.Errorf("Message-ID %s, and again", id)
	}
	if r.From != address || !slices.Equal(r.To, []string{"ca@example.org"}) {
		t.Errorf("envelope %s, %s", r.From, r.To)
	}
	body, err := io.ReadAll(m.Body)
	want := "-----BEGIN ACME RESPONSE-----\r\n" + digestOf(t) + "\r\n-----END ACME RESPONSE-----\r\n"
	if err != nil || string(body) != want {
		t.Errorf("body %q, want %q", body, want)
	}
	if n := bytes.Count(r.Raw, []byte("\n")); n != bytes.Count(r.Raw, []byte("\r\n")) || n != bytes.Count(r.Raw, []byte("\r")) {
		t.Errorf("a line does not end in CRLF: %q", r.Raw)
	}
	checkLines(t, r.Raw)
}

func digestOf(t *testing.T) string {
	t.Helper()
	c := emailreply00.Challenge{Address: address, From: "ca@example.org", Token: part2, Thumbprint: thumbprint}
	k, err := c.KeyAuthorization(part1, emailreply00.JoinText)
	if err != nil {
		t.Fatal(err)
	}
	digest := k.Digest()
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func checkLines(t *testing.T, raw []byte) {
	t.Helper()
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 998 {
			t.Errorf("a line of %d octets", len(line))
		}
	}
}

// TestReplyTo: where the reply goes, and what is not taken from the mail.
func TestReplyTo(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.2-01", "8823-3.2-02")
	r, m := reply(t, message("ca@example.org", address, part1, "To:", "Reply-To: \"A, B\" <a@example.net>, b@example.net\r\nTo:"))
	if !slices.Equal(r.To, []string{"a@example.net", "b@example.net"}) || m.Header.Get("To") != "<a@example.net>, <b@example.net>" {
		t.Errorf("%q, %q", r.To, m.Header.Get("To"))
	}
	for _, id := range []string{"", "x", "<>", "<a b@c>", "<a><b>", "<a<b>", "<ä@b>", "<" + strings.Repeat("x", 901) + ">"} {
		_, m := reply(t, message("ca@example.org", address, part1, "<A2299BB.FF7788@example.org>", id))
		if len(m.Header["In-Reply-To"]) != 0 || len(m.Header["References"]) != 0 {
			t.Errorf("%q was taken: %v", id, m.Header)
		}
	}
}

// TestLongToken: a subject that has to be folded, which a server puts together again.
func TestLongToken(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("A", 1000)
	r, m := reply(t, message("ca@example.org", address, long))
	if got := strings.ReplaceAll(m.Header.Get("Subject"), " ", ""); got != "Re:ACME:"+long || strings.Count(string(r.Raw), "\r\n ") != 15 {
		t.Errorf("subject %s", m.Header.Get("Subject"))
	}
	checkLines(t, r.Raw)
	if _, err := emailreply00.ParseMessage(message("ca@example.org", address, long+long)); err == nil {
		t.Error("a token of 2000 characters")
	}
}

func TestParseMessage(t *testing.T) {
	t.Parallel()
	raw := message(`"CA" <ca@example.org>`, address, part1[:9]+" "+part1[9:]+"=", "To:", "Reply-To: a@example.net\r\nTo:")
	m := parse(t, raw)
	if m.From != "ca@example.org" || m.To != address || m.Token != part1+"=" || m.ID != "<A2299BB.FF7788@example.org>" || !slices.Equal(m.ReplyTo, []string{"a@example.net"}) || !bytes.Equal(m.Raw, raw) {
		t.Errorf("%+v", m)
	}
	if _, err := emailreply00.ParseMessage([]byte("Subject: hello\r\n\r\n")); !errors.Is(err, emailreply00.ErrNoChallenge) || !strings.Contains(err.Error(), "no challenge mail") {
		t.Errorf("%v", err)
	}
	for _, quoted := range []string{`"a@example.net"@example.org`, `"a,b"@example.org`, `"a b"@example.org`, `"a\"b"@example.org`} { // what is within the marks is another address
		if m, err := emailreply00.ParseMessage(message("ca@example.org", address, part1, "To:", "Reply-To: "+quoted+"\r\nTo:")); err == nil {
			t.Errorf("%s is %q", quoted, m.ReplyTo)
		}
	}
	if _, err := emailreply00.ParseMessage(message("", address, part1)); err == nil || errors.Is(err, emailreply00.ErrNoChallenge) {
		t.Errorf("%v", err)
	}
}

// TestCheck: a mail with an internationalized domain, in both forms.
func TestCheck(t *testing.T) {
	t.Parallel()
	c := emailreply00.Challenge{Address: "josé@xn--bcher-kva.example", From: "ca@example.org"}
	m := &emailreply00.Message{From: "ca@Example.org", To: "josé@bücher.example"}
	if err := c.Check(m); err != nil {
		t.Error(err)
	}
	m.To = "josé@bucher.example"
	if err := c.Check(m); err == nil || !strings.Contains(err.Error(), "josé@bucher.example") {
		t.Errorf("%v", err)
	}
}

// TestCheckDKIM: a signature that verifies must be of the right domain, and over
// everything that matters.
func TestCheckDKIM(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.1-05")
	all := []string{
		"from", "Sender", "Reply-To", "To", "CC", "Subject", "Date", "In-Reply-To", "References", "Message-Id", "Auto-Submitted",
		"Content-Type", "Content-Transfer-Encoding", "List-Id",
	}
	m := parse(t, message("ca@example.org", address, part1))
	if err := m.CheckDKIM("EXAMPLE.org", all); err != nil {
		t.Error(err)
	}
	for _, domain := range []string{"example.com", "mail.example.org", "org", ""} {
		if err := m.CheckDKIM(domain, all); err == nil || !strings.Contains(err.Error(), "not of example.org") {
			t.Errorf("%q: %v", domain, err)
		}
	}
	for i, name := range all[:13] {
		if err := m.CheckDKIM("example.org", slices.Delete(slices.Clone(all), i, i+1)); err == nil || !strings.Contains(strings.ToLower(err.Error()), "does not cover "+strings.ToLower(name)) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestCheckSMIME(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "8823-3.1-05")
	m := parse(t, message("ca@example.org", address, part1))
	for _, tt := range []struct {
		addresses []string
		want      bool
	}{
		{[]string{"ca@example.org"}, true}, {[]string{"x@example.org", "ca@EXAMPLE.org"}, true}, {[]string{"CA@example.org"}, false}, {nil, false},
	} {
		if err := m.CheckSMIME(&x509.Certificate{EmailAddresses: tt.addresses}); (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.addresses, err)
		}
	}
}

// FuzzMessage: whatever a mail is like, the answer to it has the fields that it should
// have and no others, and goes where it should.
func FuzzMessage(f *testing.F) {
	f.Add(message("ca@example.org", address, part1))
	f.Add(message("ca@example.org", address, part1, "To:", "Reply-To: \"a\\\"b\" <\"x y\"@example.net>, =?utf-8?q?=0d=0a?= <b@c.d>\r\nTo:"))
	f.Add(message("ca@example.org", address, part1, "ACME: "+part1, "=?utf-8*de?B?QUNNRTogTGdZZW1KTHkzRjFMRGtpSnJkSUdiRXp5RkpjT3lmNnZCZHlaMVRHM3NNRQ==?="))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := emailreply00.ParseMessage(raw)
		if err != nil {
			return
		}
		c := emailreply00.Challenge{Address: address, From: "ca@example.org", Token: part2, Thumbprint: thumbprint}
		r, err := c.Reply(m, emailreply00.JoinText)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(r.Raw))
		if err != nil {
			t.Fatalf("%q: %v", r.Raw, err)
		}
		if n := len(parsed.Header); n != 10 && n != 8 || bytes.Count(r.Raw, []byte("\n")) != bytes.Count(r.Raw, []byte("\r")) {
			t.Errorf("%q", r.Raw)
		}
		to, err := parsed.Header.AddressList("To")
		if err != nil || len(to) != len(r.To) {
			t.Errorf("%q: %v, %v, want %q", r.Raw, to, err, r.To)
		}
	})
}
