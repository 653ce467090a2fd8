package caa

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// Parameters of RFC 8657.
const (
	ParameterAccountURI        = "accounturi"        // §3
	ParameterValidationMethods = "validationmethods" // §4
)

// A Value is the value of an issue or issuewild property (RFC 8659 §4.2): a CA,
// and conditions for it. TXT records of dns-persist-01 have the same form.
type Value struct {
	Issuer     string      // the CA's domain name; empty: nobody may issue
	Parameters []Parameter // no tag twice
}

// A Parameter is a condition. Its meaning is for the CA to say, but for those
// that RFC 8657 defines.
type Parameter struct {
	Tag, Value string
}

// A SyntaxError says that something does not follow its grammar. A CA treats a
// property whose value does not as one that lets nobody issue (RFC 8659 §4.2).
type SyntaxError struct {
	Input  string // the value or record
	Reason string
}

// Error quotes the input, or the beginning of a long one.
func (e *SyntaxError) Error() string { return "caa: " + quote(e.Input) + ": " + e.Reason }

// Pin returns the value that lets issuer issue for one account (RFC 8657 §3),
// and if methods are given, only after validation by one of those (§4). The
// issuer is one of DirectoryMeta.CAAIdentities. The accountURI is Account.URL(),
// exactly as the server gave it; empty, it pins no account, and methods only.
//
// It fails if something cannot be written down: a URL with a semicolon, say.
func Pin(issuer, accountURI string, methods ...acme.ChallengeType) (Value, error) {
	var parameters []Parameter
	if accountURI != "" {
		parameters = append(parameters, Parameter{ParameterAccountURI, accountURI})
	}
	if len(methods) > 0 {
		labels := make([]string, len(methods))
		for i, m := range methods {
			labels[i] = string(m)
		}
		parameters = append(parameters, Parameter{ParameterValidationMethods, strings.Join(labels, ",")})
	}
	if issuer == "" {
		return Value{}, &SyntaxError{issuer, "no issuer: it is one of the directory's caaIdentities"}
	}
	return NewValue(issuer, parameters...)
}

// NewValue returns a value of parts that were checked: each follows its grammar,
// no tag is there twice, and the parameters of RFC 8657 are what they should be.
func NewValue(issuer string, parameters ...Parameter) (Value, error) {
	v := Value{strings.ToLower(issuer), parameters}
	if reason := nameFault(issuer); issuer != "" && reason != "" {
		return Value{}, &SyntaxError{issuer, "no domain name of an issuer: " + reason}
	}
	if reason := v.fault(); reason != "" {
		return Value{}, &SyntaxError{v.String(), reason}
	}
	for _, p := range parameters {
		reason := ""
		switch strings.ToLower(p.Tag) {
		case ParameterAccountURI:
			reason = uriFault(p.Value)
		case ParameterValidationMethods:
			_, reason = parseMethods(p.Value)
		}
		if reason != "" {
			return Value{}, &SyntaxError{v.String(), reason}
		}
	}
	return v, nil
}

// ParseValue reads a value, exactly as the grammar of RFC 8659 §4.2 has it: no
// semicolon at the end, no white space within a parameter's value. A tag that is
// there twice is an error, too: no CA is known to take that. Errors are
// [*SyntaxError].
//
// What parameters mean is not looked at, see [Request.Check].
func ParseValue(s string) (Value, error) {
	issuer, rest, more := strings.Cut(s, ";")
	v := Value{Issuer: trim(issuer)}
	if reason := nameFault(v.Issuer); v.Issuer != "" && reason != "" {
		return Value{}, &SyntaxError{s, "no domain name of an issuer in front: " + reason}
	}
	if more && trim(rest) != "" {
		for text := range strings.SplitSeq(rest, ";") {
			if trim(text) == "" {
				return Value{}, &SyntaxError{s, "a parameter is empty, or a semicolon is at the end"}
			}
			tag, value, ok := strings.Cut(text, "=")
			if !ok {
				return Value{}, &SyntaxError{s, quote(trim(text)) + " is no parameter: it has no ="}
			}
			v.Parameters = append(v.Parameters, Parameter{trim(tag), trim(value)})
		}
	}
	if reason := v.fault(); reason != "" {
		return Value{}, &SyntaxError{s, reason}
	}
	return v, nil
}

// String writes the value as it goes into a record. That of the zero value is
// ";": nobody may issue.
func (v Value) String() string {
	if v.Issuer == "" && len(v.Parameters) == 0 {
		return ";"
	}
	var b strings.Builder
	b.WriteString(v.Issuer)
	for _, p := range v.Parameters {
		b.WriteString("; " + p.Tag + "=" + p.Value)
	}
	return b.String()
}

// Parameter returns the value of a parameter, and whether there is one. Tags are
// compared whatever their case.
func (v Value) Parameter(tag string) (value string, ok bool) {
	for _, p := range v.Parameters {
		if strings.EqualFold(p.Tag, tag) {
			return p.Value, true
		}
	}
	return "", false
}

// fault says what is wrong with the parameters, if anything.
func (v Value) fault() string {
	seen := make(map[string]bool, len(v.Parameters))
	for _, p := range v.Parameters {
		tag := strings.ToLower(p.Tag)
		switch {
		case !isLabel(p.Tag):
			return quote(p.Tag) + " is no tag of a parameter: letters, digits, and hyphens between them"
		case seen[tag]:
			return "the parameter " + tag + " is there twice"
		case strings.ContainsFunc(p.Value, func(r rune) bool { return r < 0x21 || r == ';' || r > 0x7e }):
			return "a parameter has visible ASCII characters but no semicolon (RFC 8659 §4.2), and " + tag + " has " + quote(p.Value)
		}
		seen[tag] = true
	}
	return ""
}

// uriFault says why something is no URI (RFC 3986), if it is none.
func uriFault(s string) string {
	isOdd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
	if u, err := url.Parse(s); err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Path == "" || strings.ContainsFunc(s, isOdd) {
		return "accounturi " + quote(s) + " is no URI (RFC 8657 §3)"
	}
	return ""
}

// parseMethods reads the value of validationmethods (RFC 8657 §4), or says what
// is wrong with it.
func parseMethods(s string) (methods []acme.ChallengeType, fault string) {
	if s == "" {
		return nil, "" // none is allowed
	}
	for label := range strings.SplitSeq(s, ",") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return !isLetterOrDigit(r) && r != '-' }) {
			return nil, "validationmethods " + quote(s) + " is no list of labels with commas between them (RFC 8657 §4)"
		}
		methods = append(methods, acme.ChallengeType(label))
	}
	return methods, ""
}

// nameFault says what is wrong with a domain name in the form of RFC 8659 §4.2,
// if anything.
func nameFault(name string) string {
	if len(name) > 253 {
		return fmt.Sprintf("it has %d octets, and may have 253", len(name))
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) || len(label) > 63 {
			return "it has the label " + quote(label)
		}
	}
	return ""
}

// isLabel reports whether s has letters and digits, and hyphens between them.
func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !isLetterOrDigit(r) && r != '-' })
}

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// trim removes white space of the grammar (WSP) at both ends.
func trim(s string) string { return strings.Trim(s, " \t") }

const maxQuoted = 300 // octets of what an error quotes

// quote quotes what comes from elsewhere, and cuts it.
func quote(s string) string {
	if len(s) <= maxQuoted {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… (%d octets)", s[:maxQuoted], len(s))
}
