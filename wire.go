package acme

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"
)

// The wire is read leniently where nothing depends on a member: what is
// missing, null, of another type or malformed leaves the zero value. Servers
// send empty dates, numbers for strings and null for lists.

// optional reads a JSON value of any type into v, or leaves v zero.
func optional[T any](raw json.RawMessage, v *T) {
	var zero T
	if len(raw) == 0 || json.Unmarshal(raw, v) != nil {
		*v = zero
	}
}

// text reads a JSON string and shortens it; anything else is "".
func text(raw json.RawMessage) string {
	var s string
	optional(raw, &s)
	return shorten(s, maxProblemText)
}

// link reads a URL. One that is too long is none.
func link(raw json.RawMessage) string {
	var s string
	if optional(raw, &s); len(s) > maxProblemText {
		return ""
	}
	return s
}

// date reads an RFC 3339 time; anything else is the zero time.
func date(raw json.RawMessage) time.Time {
	var t time.Time
	if t.UnmarshalText([]byte(strings.ToUpper(text(raw)))) != nil { // "t" and "z" will do (RFC 3339 §5.6)
		return time.Time{}
	}
	return t
}

// timestamp is a time as it is sent (RFC 3339).
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// isObject reports whether raw looks like a JSON object.
func isObject(raw []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) }

// A decoder reads itself from the wire. It is no json.Unmarshaler: programs store
// these objects, and what json.Marshal writes json.Unmarshal is to read.
type decoder interface{ decode(data []byte) error }

// members splits a JSON object.
func members(data []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	err := json.Unmarshal(data, &m)
	return m, err
}

// resolve makes a URL that a server gave absolute: some send relative ones in
// JSON and Location (RFC 3986 §5.2). What cannot be parsed stays as it is and is
// refused when it is used.
func resolve(base *url.URL, ref string) string {
	u, err := url.Parse(ref)
	if err != nil || ref == "" || u.IsAbs() || base == nil {
		return ref // absolute ones exactly as served (§6.4)
	}
	return base.ResolveReference(u).String()
}

// base64url encodes binary members (§6.1).
func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decodeBase64URL decodes what base64url has encoded, and nothing else: no
// padding, no line break, no stray bit.
func decodeBase64URL(s string) ([]byte, error) {
	if !isBase64URL(s) {
		return nil, errors.New("not base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// isBase64URL reports whether s is not empty and has only characters of the
// base64url alphabet, without padding (§6.1).
func isBase64URL(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}
