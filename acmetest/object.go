package acmetest

import (
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

// A memberName is the name of a member, as it was sent. Each is another key, so that a map keeps members that are there
// twice.
type memberName struct {
	text string
	id   *byte
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *memberName) UnmarshalText(text []byte) error {
	*m = memberName{string(text), new(byte)}
	return nil
}

// parseObject reads exactly one JSON object and refuses duplicate members.
func parseObject(data []byte) (object, error) {
	if !utf8.Valid(data) { // §5
		return nil, errors.New("it is not UTF-8")
	}
	var members map[memberName]json.RawMessage
	err := json.Unmarshal(data, &members)
	if _, other := errors.AsType[*json.UnmarshalTypeError](err); other || err == nil && members == nil {
		return nil, errors.New("it is not a JSON object")
	}
	if err != nil {
		return nil, err
	}
	o := make(object, len(members))
	for name, raw := range members {
		if _, twice := o[name.text]; twice {
			return nil, fmt.Errorf("member %q is there twice", name.text)
		}
		o[name.text] = raw
	}
	return o, nil
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
	if err := json.Unmarshal(raw, &value); err != nil || string(raw) == "null" {
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
