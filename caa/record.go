package caa

import (
	"fmt"
	"strconv"
	"strings"
)

// Tags of properties.
const (
	TagIssue     = "issue"     // RFC 8659 §4.2
	TagIssueWild = "issuewild" // RFC 8659 §4.3
	TagIodef     = "iodef"     // RFC 8659 §4.4
)

// FlagCritical is the one flag of a record: a CA that does not know the property
// must not issue (RFC 8659 §4.1).
const FlagCritical uint8 = 1 << 7

// maxRDATA is the length of any record's data.
const maxRDATA = 1<<16 - 1

// A Record is a CAA record (RFC 8659 §4.1): a property, such as issue, and its
// value.
type Record struct {
	Flags uint8
	Tag   string // letters and digits
	Value string // any octets; of issue and issuewild see ParseValue
}

// IsCritical reports whether a CA that does not know the property must not issue.
func (r Record) IsCritical() bool { return r.Flags&FlagCritical != 0 }

// String writes the record in its canonical presentation format (RFC 8659
// §4.1.1), as it stands in a zone file: 0 issue "ca.example".
func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s \"", r.Flags, strings.ToLower(r.Tag))
	for i := range len(r.Value) { // RFC 1035 §5.1
		switch c := r.Value[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// ParseRecord reads what [Record.String] writes, and values without quotation
// marks. Errors are [*SyntaxError].
func ParseRecord(text string) (Record, error) {
	bad := func(reason string) (Record, error) { return Record{}, &SyntaxError{text, reason} }
	flags, rest := cutSpace(trim(text))
	tag, value := cutSpace(rest)
	if value == "" {
		return bad("a record has flags, a tag and a value (RFC 8659 §4.1.1)")
	}
	n, err := strconv.ParseUint(flags, 10, 8)
	if err != nil {
		return bad("the flags are no number from 0 to 255")
	}
	r := Record{Flags: uint8(n), Tag: tag}
	var reason string
	if r.Value, reason = unquote(value); reason != "" {
		return bad(reason)
	}
	if reason := r.fault(); reason != "" {
		return bad(reason)
	}
	return r, nil
}

// cutSpace cuts at the first white space.
func cutSpace(s string) (before, after string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], trim(s[i:])
	}
	return s, ""
}

// unquote reads a character-string (RFC 1035 §5.1), or says what is wrong.
func unquote(s string) (value, fault string) {
	quoted := strings.HasPrefix(s, `"`)
	if quoted {
		if len(s) < 2 || !strings.HasSuffix(s, `"`) {
			return "", "a quotation mark is missing at the end"
		}
		s = s[1 : len(s)-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			return "", "a quotation mark within the value needs a backslash"
		case !quoted && (c == ' ' || c == '\t' || c == ';'):
			return "", "a value with white space or semicolons needs quotation marks"
		case c == '\n' || c == '\r':
			return "", "a value has no line break"
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		n := 1
		if i+1 < len(s) && '0' <= s[i+1] && s[i+1] <= '9' {
			n = 3
		}
		if i+n >= len(s) {
			return "", "a backslash with nothing, or too little, after it"
		}
		if n == 3 {
			octet, err := strconv.ParseUint(s[i+1:i+4], 10, 8)
			if err != nil {
				return "", "after a backslash comes a character, or three digits up to 255"
			}
			c = byte(octet)
		} else {
			c = s[i+1]
		}
		b.WriteByte(c)
		i += n
	}
	return b.String(), ""
}

// ParseRDATA reads the data of a record as DNS messages have it (RFC 8659 §4.1),
// where a library knows the type by its number only: 257. Errors are
// [*SyntaxError].
func ParseRDATA(data []byte) (Record, error) {
	bad := func(reason string) (Record, error) { return Record{}, &SyntaxError{string(data), reason} }
	if len(data) < 2 || len(data) > maxRDATA || len(data) < 2+int(data[1]) {
		return bad("the data of a record has flags, the length of the tag, the tag and a value (RFC 8659 §4.1)")
	}
	end := 2 + int(data[1])
	r := Record{Flags: data[0], Tag: string(data[2:end]), Value: string(data[end:])}
	if reason := r.fault(); reason != "" {
		return bad(reason)
	}
	return r, nil
}

// FromRDATA reads the data of records with [ParseRDATA]. It takes what a resolver
// returns, with the error: caa.FromRDATA(resolver.CAA(ctx, name)).
func FromRDATA(data [][]byte, err error) ([]Record, error) {
	if err != nil {
		return nil, err
	}
	var set []Record
	for _, d := range data {
		r, err := ParseRDATA(d)
		if err != nil {
			return nil, err
		}
		set = append(set, r)
	}
	return set, nil
}

// RDATA returns the data of the record as DNS messages have it (RFC 8659 §4.1).
// It fails for what cannot be a record.
func (r Record) RDATA() ([]byte, error) {
	if reason := r.fault(); reason != "" {
		return nil, &SyntaxError{r.String(), reason}
	}
	data := append([]byte{r.Flags, byte(len(r.Tag))}, r.Tag...)
	return append(data, r.Value...), nil
}

// fault says what is wrong with a record, if anything.
func (r Record) fault() string {
	switch {
	case r.Tag == "" || len(r.Tag) > 255 || strings.ContainsFunc(r.Tag, func(c rune) bool { return !isLetterOrDigit(c) }):
		return "a tag has 1 to 255 letters and digits (RFC 8659 §4.1), not " + quote(r.Tag)
	case 2+len(r.Tag)+len(r.Value) > maxRDATA:
		return "the value is too long for a record"
	}
	return ""
}
