package dnstxt

import "strconv"

const maxString = 255 // octets (RFC 1035 §3.3)

// Strings splits a value into the character-strings of 255 octets at most that a
// TXT record consists of on the wire (RFC 1035 §3.3.14). Their concatenation is
// the value.
func Strings(value string) []string {
	var split []string
	for len(value) > maxString {
		split, value = append(split, value[:maxString]), value[maxString:]
	}
	return append(split, value)
}

// quote quotes and shortens text that others have written.
func quote(s string) string {
	const limit = 300
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
