package dnstxt

import (
	"strconv"
	"strings"
)

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

// quoteAll quotes some of the texts.
func quoteAll(texts []string) string {
	const limit = 8
	quoted := make([]string, 0, limit+1)
	for i, s := range texts {
		if i == limit {
			quoted = append(quoted, strconv.Itoa(len(texts)-limit)+" more")
			break
		}
		quoted = append(quoted, quote(s))
	}
	return strings.Join(quoted, ", ")
}

// unquote returns the text of a record that a provider has returned as in a zone
// file: one or more strings in quotes.
func unquote(s string) string {
	var all strings.Builder
	for rest := strings.TrimSpace(s); rest != ""; rest = strings.TrimSpace(rest) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil || quoted[0] != '"' {
			return s
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return s
		}
		all.WriteString(text)
		rest = rest[len(quoted):]
	}
	return all.String()
}
