package dnstxt

import (
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme/internal/onion"
)

const (
	maxName  = 254 // octets as text, with the final dot (RFC 1035 §3.1: 255 on the wire)
	maxLabel = 63
)

// CanonicalName returns a name in lower case with a final dot, as names are
// compared. It must consist of labels of letters, digits, "-" and "_", 254
// octets at most, which keeps all that has a meaning in DNS, in zone files or in
// URLs out of what providers are given. Otherwise the error Is [ErrInvalidName], and
// for onion names, which nothing is to look up or make known (RFC 7686 §2).
func CanonicalName(name string) (string, error) {
	trimmed := strings.TrimSuffix(name, ".")
	if len(trimmed)+1 > maxName {
		return "", fmt.Errorf("%w %s: longer than 253 octets", ErrInvalidName, quote(name))
	}
	for label := range strings.SplitSeq(trimmed, ".") {
		if err := checkLabel(label); err != nil {
			return "", fmt.Errorf("%w %s: %w", ErrInvalidName, quote(name), err)
		}
	}
	lower := strings.ToLower(trimmed)
	if onion.IsName(lower) {
		return "", fmt.Errorf("%w %s: an onion name, which must not get into the DNS (RFC 7686 §2)", ErrInvalidName, quote(name))
	}
	return lower + ".", nil
}

func checkLabel(label string) error {
	switch {
	case label == "":
		return fmt.Errorf("an empty label")
	case len(label) > maxLabel:
		return fmt.Errorf("a label of more than 63 octets")
	}
	for _, c := range []byte(label) {
		if !isLabelOctet(c) {
			return fmt.Errorf("a label has letters, digits, %q and %q only, and is an A-label (xn--…) if it is international", "-", "_")
		}
	}
	return nil
}

func isLabelOctet(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// parent returns a canonical name without its first label, "." after the last.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		return "."
	}
	return rest
}

// isWithin reports whether a canonical name is a zone's apex or below it.
func isWithin(name, zone string) bool {
	return name == zone || zone == "." || strings.HasSuffix(name, "."+zone)
}

// RelativeName returns a canonical name relative to its canonical zone, as many
// interfaces want it: without the zone and the dot before it, and "@" for the
// apex.
func RelativeName(name, zone string) string {
	if name == zone {
		return "@"
	}
	return strings.TrimSuffix(name, "."+zone)
}

// absoluteName returns the canonical name of what is called name in a zone, as
// others may write it: "@", relative, or absolute with or without the final dot.
func absoluteName(name, zone string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch {
	case name == "" || name == "@":
		return zone
	case isWithin(name+".", zone):
		return name + "."
	}
	return name + "." + zone
}
