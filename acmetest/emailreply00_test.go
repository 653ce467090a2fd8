package acmetest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

func TestValidateEmailReply00(t *testing.T) {
	t.Parallel()
	// The tokens of RFC 8823, and the digest that the text, taken literally, gives with the key of RFC 8037 Appendix A.
	const part1, part2 = "LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3sME", "DGyRejmCefe7v4NfDGDKfA"
	sum := sha256.Sum256([]byte(part1 + part2 + "." + tkThumbprint))
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	if digest != "WfPZkMuOlXtvgAR1MDhbmmK-Hoi_H0It3NN5W_HaJqY" {
		t.Fatal(digest)
	}
	const header = "From: alexey@example.com\r\nTo: challenge@ca.test\r\nSubject: Re: ACME: " + part1 + "\r\n"
	block := "-----BEGIN ACME RESPONSE-----\r\n" + digest + "\r\n-----END ACME RESPONSE-----\r\n"
	good := header + "Content-Type: text/plain\r\n\r\n" + block
	alternative := header + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b\r\nContent-Type: text/plain\r\n\r\n" + block + "\r\n--b--\r\n"
	edit := func(old, replacement string) []string { return []string{strings.Replace(good, old, replacement, 1)} }
	for name, tt := range map[string]struct {
		replies  []string
		response string
		want     string
	}{
		"good":            {[]string{good}, `{}`, ""},
		"alternative":     {[]string{alternative}, `{}`, ""},
		"no prefix":       {edit("Re: ", ""), `{}`, ""},
		"other prefix":    {edit("Re: ", "AW: "), `{}`, ""},
		"folded":          {edit(part1, part1[:20]+"\r\n "+part1[20:]), `{}`, ""},
		"encoded":         {edit("Re: ACME: "+part1, "=?utf-8?Q?Re:_ACME:_"+part1+"?="), `{}`, ""},
		"broken digest":   {edit(digest, digest[:20]+"\r\n"+digest[20:]), `{}`, ""},
		"more text":       {edit(block, "Hello\r\n"+block+"> Bye\r\n"), `{}`, ""},
		"no reply":        {nil, `{}`, "0 replies"},
		"two replies":     {[]string{good, good}, `{}`, "2 replies"},
		"response":        {[]string{good}, `{"x":1}`, "unknown member"},
		"from":            {edit("alexey@", "Alexey@"), `{}`, "From is"},
		"two from":        {edit("alexey@example.com", "alexey@example.com, b@example.com"), `{}`, "From is"},
		"to":              {edit("challenge@", "x@"), `{}`, "To is"},
		"subject":         {edit(part1, part1[1:]), `{}`, "not that of the challenge"},
		"list":            {edit("From:", "List-Id: <x>\r\nFrom:"), `{}`, "mailing list"},
		"twice":           {edit("From:", "To: challenge@ca.test\r\nFrom:"), `{}`, "there twice"},
		"digest":          {edit(digest, part1), `{}`, "the digest"},
		"no block":        {edit("BEGIN", "START"), `{}`, "no ACME response"},
		"line feeds":      {[]string{strings.ReplaceAll(good, "\r\n", "\n")}, `{}`, "CRLF"},
		"a bare return":   {edit(digest, digest+"\r"), `{}`, "CRLF"},
		"html":            {edit("text/plain", "text/html"), `{}`, "text/html"},
		"no content type": {edit("Content-Type: text/plain\r\n", ""), `{}`, "content type"},
		"html parts":      {[]string{strings.Replace(alternative, "text/plain", "text/html", 1)}, `{}`, "no text/plain"},
		"no mail":         {[]string{"x"}, `{}`, "malformed"},
	} {
		sent := func(to string) [][]byte {
			if to != "challenge@ca.test" {
				t.Errorf("%s: asked for the mails to %s", name, to)
			}
			var mails [][]byte
			for _, r := range tt.replies {
				mails = append(mails, []byte(r))
			}
			return mails
		}
		err := acmetest.ValidateEmailReply00(sent)(t.Context(), acmetest.Validation{
			Identifier: acmetest.Identifier{Type: "email", Value: "alexey@example.com"}, Type: "email-reply-00", Token: part2, MailToken: part1,
			Thumbprint: tkThumbprint, Challenge: []byte(`{"from":"challenge@ca.test"}`), Response: []byte(tt.response),
		})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := acmetest.ValidateEmailReply00(nil)(t.Context(), acmetest.Validation{Type: "http-01"}); err == nil {
		t.Error("validated http-01")
	}
}

// TestChallengeMails: a mail for each pending authorization of an address, the same each time.
func TestChallengeMails(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{ChallengeTypes: []string{"email-reply-00"}, IdentifierTypes: []string{"email"}})
	address := func(value string) m {
		return m{"identifiers": []any{m{"type": "email", "value": value}}}
	}
	res := c.must(t, 201, c.url(t, "newOrder"), address("alexey@example.com"))
	c.must(t, 201, c.url(t, "newOrder"), address("other@example.com"))
	mails := s.ChallengeMails("alexey@example.com")
	if len(mails) != 1 || len(s.ChallengeMails("nobody@example.com")) != 0 {
		t.Fatalf("%q", mails)
	}
	challenge := c.must(t, 200, res.strings("authorizations")[0], nil).object["challenges"].([]any)[0].(map[string]any)
	text := string(mails[0])
	for _, want := range []string{
		"Auto-Submitted: auto-generated; type=acme\r\n", "\r\nFrom: " + challenge["from"].(string) + "\r\n", "\r\nTo: alexey@example.com\r\n", "\r\nSubject: ACME: ", "\r\n\r\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if again := s.ChallengeMails("alexey@example.com"); string(again[0]) != text || strings.Contains(text, challenge["token"].(string)) {
		t.Errorf("%s, then %s", text, again)
	}
	c.must(t, 200, challenge["url"].(string), m{})
	if mails := s.ChallengeMails("alexey@example.com"); len(mails) != 0 {
		t.Errorf("%q after the authorization", mails)
	}
}
