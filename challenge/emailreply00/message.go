package emailreply00

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"slices"
	"strings"
)

// A Message is a challenge mail (RFC 8823 §3.1).
type Message struct {
	Raw     []byte // as it was given to ParseMessage
	ID      string // Message-ID, with its brackets; empty if there is none that can be used
	From    string // address
	To      string // address
	ReplyTo []string
	Token   string // token-part1, without white space, and with padding if it has any
}

// ErrNoChallenge says that a mail is no challenge mail, by its subject: another mail,
// or an answer to one.
const ErrNoChallenge constError = "it is no challenge mail"

type constError string

func (e constError) Error() string { return string(e) }

const (
	maxHeader  = 64 << 10 // octets
	maxReplyTo = 10
)

// ParseMessage reads the header of a challenge mail, and checks of it what does not
// depend on the challenge: the subject, the addresses, Auto-Submitted, and that
// nothing of that is there twice. It does not check who the mail is from: that is
// [Challenge.Check], and a verification of signatures. The error Is ErrNoChallenge
// for mails of other kinds, by as much of the subject as can be read, whatever else
// is wrong with them.
func ParseMessage(raw []byte) (*Message, error) {
	m, err := parseMessage(raw)
	if err != nil {
		return nil, fmt.Errorf("emailreply00: %w", err)
	}
	return m, nil
}

func parseMessage(raw []byte) (*Message, error) {
	h, err := readHeader(raw)
	if err != nil {
		if subject, found := findSubject(raw); found {
			if _, other := parseSubject(subject); errors.Is(other, ErrNoChallenge) {
				return nil, other
			}
		}
		return nil, err // without a subject it might be one, cut off or mangled
	}
	m := &Message{Raw: raw}
	if m.Token, err = parseSubject(h.Get("Subject")); err != nil {
		return nil, err
	}
	for _, name := range []string{"Subject", "From", "To", "Reply-To", "Auto-Submitted", "Message-Id", "Date", "Sender"} {
		if len(h[name]) > 1 {
			return nil, fmt.Errorf("the field %s is there twice", name)
		}
	}
	if err := checkAutoSubmitted(h.Get("Auto-Submitted")); err != nil {
		return nil, err
	}
	for name, to := range map[string]*string{"From": &m.From, "To": &m.To} {
		list, err := addresses(h.Get(name))
		if err != nil || len(list) != 1 {
			return nil, fmt.Errorf("the field %s is no single address (RFC 8823 §3.1): %.100q", name, h.Get(name))
		}
		*to = list[0]
	}
	if text := h.Get("Reply-To"); text != "" {
		if m.ReplyTo, err = addresses(text); err != nil || len(m.ReplyTo) > maxReplyTo {
			return nil, fmt.Errorf("the field Reply-To is no list of up to %d addresses: %.100q", maxReplyTo, text)
		}
	}
	if id := strings.TrimSpace(h.Get("Message-Id")); isMessageID(id) {
		m.ID = id
	}
	return m, nil
}

func readHeader(raw []byte) (mail.Header, error) {
	header, err := headerOf(raw)
	if err != nil {
		return nil, err
	}
	m, err := mail.ReadMessage(bytes.NewReader(header))
	if err != nil {
		return nil, fmt.Errorf("the mail cannot be read: %w", err)
	}
	return m.Header, nil
}

// findSubject returns the subject in a header that cannot be read, or of a long one
// the beginning.
func findSubject(raw []byte) (subject string, found bool) {
	const enough = 1000 // octets, to see how it begins
	for line := range bytes.Lines(raw) {
		text := strings.TrimRight(string(line), "\r\n")
		name, value, _ := strings.Cut(text, ":")
		switch isFolded := strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t"); {
		case text == "", found && !isFolded, len(subject) > enough:
			return subject, found
		case found:
			subject += text
		case strings.EqualFold(strings.TrimRight(name, " \t"), "Subject"):
			subject, found = value, true
		}
	}
	return subject, found
}

// headerOf returns the header of a mail, which may be without a body. One that is cut
// off could hide a field, so it is refused.
func headerOf(raw []byte) ([]byte, error) {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if header, _, found := bytes.Cut(raw[:min(len(raw), maxHeader)], []byte(end)); found {
			return slices.Concat(header, []byte("\r\n\r\n")), nil
		}
	}
	if len(raw) > maxHeader {
		return nil, fmt.Errorf("the header of the mail is longer than %d octets", maxHeader)
	}
	return slices.Concat(raw, []byte("\r\n\r\n")), nil
}

// key tells challenge mails apart: a token is fresh in each (RFC 8823 §3).
func (m *Message) key() string { return "mail " + strings.TrimRight(m.Token, "=") }

// parseSubject returns the token of "ACME:" FWS token-part1 (RFC 8823 §3.1).
func parseSubject(subject string) (token string, err error) {
	text, err := decodeWords(subject)
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "ACME:")
	if token = withoutSpace(rest); !ok || rest == "" || !strings.ContainsAny(rest[:1], " \t") {
		return "", fmt.Errorf("%w: its subject does not begin with \"ACME:\"", ErrNoChallenge)
	}
	if err != nil {
		return "", err
	}
	if _, err := decodePart(token); err != nil {
		return "", err
	}
	return token, nil
}

// decodeWords decodes the encoded words of a field, also with a language (RFC 2047,
// RFC 2231 §5). With the first error about one comes what could be made of the field.
func decodeWords(field string) (text string, err error) {
	var out strings.Builder
	wasWord := false
	isSpace := func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }
	for i, word := range strings.FieldsFunc(field, isSpace) {
		inner, isWord := strings.CutPrefix(word, "=?")
		isWord = isWord && strings.HasSuffix(word, "?=")
		if i > 0 && (!isWord || !wasWord) {
			out.WriteByte(' ') // space between encoded words is none
		}
		if wasWord = isWord; isWord {
			var failure error
			if word, failure = decodeWord(inner); err == nil {
				err = failure
			}
		}
		out.WriteString(word)
	}
	return out.String(), err
}

// decodeWord decodes an encoded word, without its "=?", in the character sets that RFC
// 8823 §3.1 admits. The package mime admits more of those, and no language. With an
// error comes what the word is in a set that has ASCII in it, as most have, as far as
// it can be decoded.
func decodeWord(inner string) (text string, err error) {
	charset, rest, _ := strings.Cut(inner, "?")
	charset, _, _ = strings.Cut(charset, "*")
	if !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		err = fmt.Errorf("the subject is in the character set %.30q: only UTF-8 and US-ASCII are allowed (RFC 8823 §3.1)", charset)
	}
	text, failure := new(mime.WordDecoder).Decode("=?utf-8?" + rest)
	if failure == nil {
		return text, err
	}
	encoding, text, _ := strings.Cut(strings.TrimSuffix(rest, "?="), "?")
	if text = strings.ReplaceAll(text, "_", " "); strings.EqualFold(encoding, "b") {
		octets, _ := base64.StdEncoding.DecodeString(text)
		text = string(octets)
	}
	if err == nil {
		err = fmt.Errorf("an encoded word in the subject cannot be decoded: %w", failure)
	}
	return text, err
}

// checkAutoSubmitted is RFC 8823 §3.1: the parameter type=acme is optional.
func checkAutoSubmitted(field string) error {
	kind, _, _ := strings.Cut(field, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "auto-generated") {
		return fmt.Errorf("the field Auto-Submitted is %.60q, not auto-generated (RFC 8823 §3.1)", field)
	}
	return nil
}

// addresses reads a list of addresses. Names that go with them do not matter, in
// whatever character set they are.
func addresses(field string) ([]string, error) {
	anything := func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{CharsetReader: anything}}
	list, err := parser.ParseList(field)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range list {
		if !isAddress(a.Address) { // less its quotation marks, if it has any
			return nil, errors.New("no address")
		}
		out = append(out, a.Address)
	}
	return out, nil
}

// isMessageID reports whether an identification can be put into another mail.
func isMessageID(id string) bool {
	inner := strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">")
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' }
	return len(inner) == len(id)-2 && inner != "" && len(inner) <= maxID && !strings.ContainsFunc(inner, odd)
}

const maxID = 900 // octets, for lines of up to 998

// CheckDKIM reports whether a DKIM signature of the mail is what RFC 8823 §3.1 asks
// for: of the domain of From, and over the fields that matter. It does not verify the
// signature; give it domain and fields, the tags d= and h=, of one that was verified:
//
//	verifications, err := dkim.Verify(bytes.NewReader(m.Raw)) // github.com/emersion/go-msgauth/dkim
//	…
//	for _, v := range verifications {
//		if v.Err == nil && m.CheckDKIM(v.Domain, v.HeaderKeys) == nil {
//			return nil
//		}
//	}
//	return errors.New("no good DKIM signature")
func (m *Message) CheckDKIM(domain string, fields []string) error {
	_, own, _ := strings.Cut(m.From, "@")
	if !sameAddress("x@"+domain, "x@"+own) {
		return fmt.Errorf("emailreply00: the DKIM signature is of %.100q, not of %s (RFC 8823 §3.1)", domain, own)
	}
	var missing []string
	for _, name := range []string{
		"From", "Sender", "Reply-To", "To", "CC", "Subject", "Date", "In-Reply-To", "References", "Message-ID",
		"Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
	} {
		if !slices.ContainsFunc(fields, func(f string) bool { return strings.EqualFold(strings.TrimSpace(f), name) }) {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return fmt.Errorf("emailreply00: the DKIM signature does not cover %s (RFC 8823 §3.1)", strings.Join(missing, ", "))
	}
	return nil
}

// CheckSMIME reports whether the certificate of an S/MIME signature is for the
// address that the mail is from (RFC 8823 §3.1). The signature, which has to protect
// the header, and the chain of the certificate must have been verified.
func (m *Message) CheckSMIME(signer *x509.Certificate) error {
	if !slices.ContainsFunc(signer.EmailAddresses, func(a string) bool { return sameAddress(a, m.From) }) {
		return fmt.Errorf("emailreply00: the signer's certificate is not for %s (RFC 8823 §3.1)", m.From)
	}
	return nil
}
