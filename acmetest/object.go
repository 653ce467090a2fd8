package acmetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// An object is a JSON object with its member names exactly as they were sent. Structs will not do: encoding/json matches
// their fields whatever the case, and so hides a client that sends "Profile" for "profile".
type object map[string]json.RawMessage

// parseObject reads exactly one JSON object and refuses duplicate members.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) { // §5
		return nil, errors.New("it is not UTF-8")
	}
	w := walker{rest: data}
	if !w.skip('{') {
		return nil, errors.New("it is not a JSON object")
	}
	o := object{}
	for more := !w.skip('}'); more; more = !w.skip('}') {
		if len(o) > 0 && !w.skip(',') {
			return nil, errors.New("a comma is missing")
		}
		raw, err := w.value()
		if err != nil {
			return nil, err
		}
		var name string
		if raw[0] != '"' || unmarshal(raw, &name) != nil || !w.skip(':') {
			return nil, fmt.Errorf("%.40q is not the name of a member", raw)
		}
		if _, twice := o[name]; twice {
			return nil, fmt.Errorf("member %q is there twice", name)
		}
		if o[name], err = w.value(); err != nil {
			return nil, err
		}
	}
	if w.skipSpace(); len(w.rest) > 0 {
		return nil, errors.New("something follows the JSON object")
	}
	return o, nil
}

// A walker walks over JSON text, much faster than a json.Decoder: nearly all of what clients send is long plain strings.
type walker struct{ rest []byte }

func (w *walker) skipSpace() { w.rest = bytes.TrimLeft(w.rest, " \t\r\n") }

// skip takes the character c, if it comes next.
func (w *walker) skip(c byte) bool {
	w.skipSpace()
	found := len(w.rest) > 0 && w.rest[0] == c
	if found {
		w.rest = w.rest[1:]
	}
	return found
}

// value takes a value, which encoding/json has checked if it is not a plain string.
func (w *walker) value() (json.RawMessage, error) {
	w.skipSpace()
	end := valueEnd(w.rest)
	raw := json.RawMessage(w.rest[:end:end])
	w.rest = w.rest[end:]
	if !isPlain(raw) && !json.Valid(raw) {
		return nil, fmt.Errorf("%.40q is not JSON", raw)
	}
	return raw, nil
}

// valueEnd returns the length of the value that data begins with, or of what may be taken for one.
func valueEnd(data []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			if quoted = !quoted; quoted {
				i += plainLength(data[i+1:])
			} else if depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && strings.IndexByte(", :\t\r\n", c) >= 0:
			return i
		}
	}
	return len(data)
}

// plainLength returns how far the next character is that matters in a string.
func plainLength(data []byte) int { return max(bytes.IndexAny(data, `"\`), 0) }

// isPlain reports whether raw is a string without escapes.
func isPlain(raw []byte) bool {
	last := len(raw) - 1
	if last < 1 || raw[0] != '"' || raw[last] != '"' {
		return false
	}
	for _, c := range raw[1:last] {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unmarshal is json.Unmarshal, with a short cut for plain strings.
func unmarshal(raw json.RawMessage, v any) error {
	if to, ok := v.(*string); ok && isPlain(raw) {
		*to = string(raw[1 : len(raw)-1])
		return nil
	}
	return json.Unmarshal(raw, v)
}

// parseMembers reads an object that may have only the members known.
func parseMembers(data []byte, known ...string) (object, *refusal) {
	o, err := parseObject(data)
	if err != nil {
		return nil, malformed("cannot read the object: %v", err)
	}
	return o, o.only(known...)
}

// only refuses members that are not known. RFC 8555 lets servers ignore them; a test CA that does the same hides typing
// errors.
func (o object) only(known ...string) *refusal {
	for name := range o {
		if slices.Contains(known, name) {
			continue
		}
		for _, k := range known {
			if strings.EqualFold(k, name) {
				return malformed("unknown member %q (member names are case-sensitive: %q)", name, k)
			}
		}
		return malformed("unknown member %q", name)
	}
	return nil
}

// member decodes the member name of o. A null is as wrong as any other type.
func member[T any](o object, name string) (value T, present bool, r *refusal) {
	raw, present := o[name]
	if !present {
		return value, false, nil
	}
	if err := unmarshal(raw, &value); err != nil || string(raw) == "null" {
		return value, true, malformed("member %q has the wrong type", name)
	}
	return value, true, nil
}

// required is member for members that must be there.
func required[T any](o object, name string) (T, *refusal) {
	value, present, r := member[T](o, name)
	if r == nil && !present {
		r = malformed("member %q is missing", name)
	}
	return value, r
}

// decode64 is base64url without padding (§6.1), and without the line breaks that encoding/base64 tolerates.
func decode64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// isBase64URL reports whether s has no other characters than those of base64url.
func isBase64URL(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
