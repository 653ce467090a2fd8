package acmetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
)

// ValidateEmailReply00 returns an [Options].Validate for email-reply-00. It looks for the reply to the mail of
// [Server.ChallengeMails] among the mails that have been sent to an address of the CA, each as on the wire, and reads it as RFC
// 8823 §3.2 has it, but for the DKIM signature. A reply that is wrong makes the challenge invalid, also if another one is right.
func ValidateEmailReply00(sent func(to string) [][]byte) func(context.Context, Validation) error {
	return func(_ context.Context, v Validation) error {
		if v.Type != typeEmailReply00 {
			return fmt.Errorf("acmetest: ValidateEmailReply00 cannot validate %s", v.Type)
		}
		if _, r := parseMembers(v.Response); r != nil {
			return &r.problem
		}
		var object struct {
			From string `json:"from"`
		}
		if err := json.Unmarshal(v.Challenge, &object); err != nil {
			return err
		}
		digest := sha256.Sum256([]byte(v.MailToken + v.Token + "." + v.Thumbprint))
		replies := sent(object.From)
		for _, raw := range replies {
			if err := checkReply(raw, object.From, v, encode64(digest[:])); err != nil {
				return fmt.Errorf("the reply of %s: %w", v.Identifier.Value, err)
			}
		}
		if len(replies) != 1 {
			return fmt.Errorf("%d replies of %s, not one", len(replies), v.Identifier.Value)
		}
		return nil
	}
}

// checkReply reads a reply.
func checkReply(raw []byte, from string, v Validation, digest string) error {
	if n := bytes.Count(raw, []byte("\n")); n != bytes.Count(raw, []byte("\r\n")) || n != bytes.Count(raw, []byte("\r")) {
		return errors.New("a line does not end in CRLF")
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	for name, values := range m.Header {
		if strings.HasPrefix(name, "List-") || len(values) != 1 {
			return fmt.Errorf("the field %s is of a mailing list, or there twice", name)
		}
	}
	for name, want := range map[string]string{"From": v.Identifier.Value, "To": from} {
		list, err := m.Header.AddressList(name)
		if err != nil || len(list) != 1 || list[0].Address != want {
			return fmt.Errorf("%s is %q, not %s", name, m.Header.Get(name), want)
		}
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return err
	}
	_, token, found := strings.Cut(subject, "ACME:") // any prefix may come before it
	if token = strings.Join(strings.Fields(token), ""); !found || token != v.MailToken {
		return fmt.Errorf("the subject %q is not that of the challenge", subject)
	}
	text, err := plainText(m.Header.Get("Content-Type"), m.Body)
	if err != nil {
		return err
	}
	_, block, begins := strings.Cut(text, "-----BEGIN ACME RESPONSE-----\r\n")
	block, _, ends := strings.Cut(block, "-----END ACME RESPONSE-----")
	if !begins || !ends {
		return errors.New("there is no ACME response in it")
	}
	if got := strings.ReplaceAll(block, "\r\n", ""); got != digest {
		return errors.New("the digest is not that of the key authorization")
	}
	return nil
}

// plainText returns the text of a mail that is text/plain, or has that as an alternative.
func plainText(contentType string, body io.Reader) (string, error) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", fmt.Errorf("content type %q: %w", contentType, err)
	}
	switch kind {
	case "text/plain":
		text, err := io.ReadAll(io.LimitReader(body, maxRequestBytes))
		return string(text), err
	case "multipart/alternative":
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextPart()
			if err != nil {
				return "", fmt.Errorf("no text/plain in it: %w", err)
			}
			if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind == "text/plain" {
				return plainText("text/plain", part)
			}
		}
	}
	return "", fmt.Errorf("the content type is %q", kind)
}
