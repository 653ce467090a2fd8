package csrtemplate

import (
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-aa0b9f56/acme"
)

// Bounds of a template.
const (
	maxSize    = 64 << 10
	maxEntries = 256 // of a list
	maxValue   = 1 << 10
	maxKeyBits = 16 << 10
)

// Parse reads a template, as in acme.Delegation.CSRTemplate, and checks that it makes
// sense (RFC 9115 Appendix A). What it has that is not known here is an error, since a
// request that heeds only half of a template is no use. The error Is
// [acme.ErrMalformedResponse] and names the field.
func Parse(data []byte) (*Template, error) {
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: CSR template: %w (RFC 9115 §4)", acme.ErrMalformedResponse, err)
	}
	return t, nil
}

func parse(data []byte) (*Template, error) {
	if len(data) > maxSize {
		return nil, fmt.Errorf("more than %d octets", maxSize)
	}
	m, err := object("", data, "keyTypes", "subject", "extensions")
	if err != nil {
		return nil, err
	}
	t := new(Template)
	if err := t.parseKeyTypes(m["keyTypes"]); err != nil {
		return nil, err
	}
	if raw, ok := m["subject"]; ok {
		if err := t.parseSubject(raw); err != nil {
			return nil, err
		}
	}
	return t, t.parseExtensions(m["extensions"])
}

// object splits a JSON object that may have only these members.
func object(field string, data json.RawMessage, known ...string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(data, &m); err != nil || m == nil {
		return nil, fmt.Errorf("%s is no JSON object", named(field))
	}
	for name := range m {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s has an unknown member %s", named(field), quoted(name))
		}
	}
	return m, nil
}

func named(field string) string {
	if field == "" {
		return "it"
	}
	return field
}

func quoted(s string) string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "") + "…"
	}
	return strconv.Quote(s)
}

// list reads a list of strings that is not empty.
func list(field string, data json.RawMessage) ([]string, error) {
	var values []string
	if err := json.Unmarshal(data, &values); err != nil || len(values) == 0 || len(values) > maxEntries {
		return nil, fmt.Errorf("%s is no list of 1 to %d strings", field, maxEntries)
	}
	return values, nil
}

func (t *Template) parseKeyTypes(data json.RawMessage) error {
	var entries []json.RawMessage
	if err := json.Unmarshal(data, &entries); err != nil || len(entries) == 0 || len(entries) > maxEntries {
		return fmt.Errorf("keyTypes is no list of 1 to %d objects", maxEntries)
	}
	for _, raw := range entries {
		m, err := object("keyTypes", raw, "PublicKeyType", "PublicKeyLength", "namedCurve", "SignatureType")
		if err != nil {
			return err
		}
		var k KeyType
		for name, v := range map[string]any{
			"PublicKeyType": &k.PublicKeyType, "PublicKeyLength": &k.PublicKeyLength, "namedCurve": &k.NamedCurve, "SignatureType": &k.SignatureType,
		} {
			if raw, ok := m[name]; ok && json.Unmarshal(raw, v) != nil {
				return fmt.Errorf("keyTypes: %s is of the wrong type", name)
			}
		}
		isRSA := k.NamedCurve == ""
		if k.algorithm() == 0 || isRSA != (k.PublicKeyLength > 0) || k.PublicKeyLength > maxKeyBits {
			return fmt.Errorf("keyTypes: no combination of key and signature: %s", quoted(string(raw)))
		}
		t.KeyTypes = append(t.KeyTypes, k)
	}
	return nil
}

func (t *Template) parseSubject(data json.RawMessage) error {
	var known []string
	for _, a := range attributes() {
		known = append(known, a[0])
	}
	m, err := object("subject", data, known...)
	if err != nil {
		return err
	}
	if len(m) == 0 {
		return fmt.Errorf("subject is empty")
	}
	t.Subject = map[string]string{}
	for name, raw := range m {
		var value string
		if json.Unmarshal(raw, &value) != nil {
			return fmt.Errorf("subject: %s is no string", name)
		}
		if !isWildcard(value) {
			if err := checkValue(name, value); err != nil {
				return fmt.Errorf("subject: %w", err)
			}
		}
		t.Subject[name] = value
	}
	return nil
}

// checkValue checks a value of a subject's field, the template's or the caller's.
func checkValue(name, value string) error {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	letter := func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }
	switch {
	case value == "":
		return fmt.Errorf("%s is empty", name)
	case len(value) > maxValue, strings.ContainsFunc(value, odd):
		return fmt.Errorf("%s is no text: %s", name, quoted(value))
	case name == "country" && (len(value) != 2 || strings.ContainsFunc(value, func(r rune) bool { return !letter(r) })):
		return fmt.Errorf("country %s is not two letters (RFC 5280 Appendix A)", quoted(value))
	case name == "emailAddress":
		if err := checkASCII(name, value); err != nil {
			return err
		}
		if _, err := (acme.Identifier{Type: acme.TypeEmail, Value: value}).Normalize(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Template) parseExtensions(data json.RawMessage) error {
	m, err := object("extensions", data, "keyUsage", "extendedKeyUsage", "subjectAltName")
	if err != nil {
		return err
	}
	if raw, ok := m["keyUsage"]; ok {
		values, err := list("keyUsage", raw)
		if err != nil {
			return err
		}
		for _, v := range values {
			bit := slices.Index(usages(), v)
			if bit < 0 {
				return fmt.Errorf("keyUsage %s is unknown", quoted(v))
			}
			t.KeyUsage |= 1 << bit
		}
	}
	if raw, ok := m["extendedKeyUsage"]; ok {
		values, err := list("extendedKeyUsage", raw)
		if err != nil {
			return err
		}
		for _, v := range values {
			id := purpose(v)
			if id == nil {
				return fmt.Errorf("extendedKeyUsage %s is unknown", quoted(v))
			}
			t.ExtKeyUsage = append(t.ExtKeyUsage, id)
		}
	}
	return t.parseNames(m["subjectAltName"])
}

func (t *Template) parseNames(data json.RawMessage) error {
	m, err := object("subjectAltName", data, "DNS", "Email", "URI")
	if err != nil {
		return err
	}
	if len(m) == 0 {
		return fmt.Errorf("subjectAltName is empty")
	}
	for name, to := range map[string]*[]string{"DNS": &t.DNS, "Email": &t.Email, "URI": &t.URI} {
		raw, ok := m[name]
		if !ok {
			continue
		}
		values, err := list(name, raw)
		if err != nil {
			return err
		}
		for _, v := range values {
			if v, err = normalName(name, v); err != nil {
				return err
			}
			if slices.Contains(*to, v) && !isWildcard(v) {
				return fmt.Errorf("%s %s is there twice", name, quoted(v))
			}
			*to = append(*to, v)
		}
	}
	return nil
}

// normalName brings a name to the form that it has in a request, which for a URI is
// the literal value (RFC 9115 §4.1). Only DNS names can be wildcards of the template.
func normalName(kind, value string) (string, error) {
	switch kind {
	case "DNS":
		if isWildcard(value) {
			return value, nil
		}
		id, err := acme.Identifier{Type: acme.TypeDNS, Value: value}.Normalize()
		return id.Value, err
	case "Email":
		id, err := acme.Identifier{Type: acme.TypeEmail, Value: value}.Normalize()
		if err == nil {
			err = checkASCII(kind, id.Value)
		}
		return id.Value, err
	}
	return value, checkURI(value)
}

// checkASCII refuses an address that no IA5String can be.
func checkASCII(field, address string) error {
	if strings.ContainsFunc(address, func(r rune) bool { return r > '~' }) {
		return fmt.Errorf("%s %s is not ASCII (RFC 5280 Appendix A)", field, quoted(address))
	}
	return nil
}

// checkURI refuses what is no URI (RFC 3986 §2, §3), and one whose host crypto/x509 does
// not read: a request with it could not be checked.
func checkURI(value string) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || len(value) > maxValue || strings.ContainsFunc(value, odd) {
		return fmt.Errorf("URI %s is none", quoted(value))
	}
	if _, err := url.PathUnescape(value); err != nil { // also in the query, where url.Parse takes anything
		return fmt.Errorf("URI %s is none: %w", quoted(value), err)
	}
	if strings.ContainsFunc(u.Host, odd) || u.Host != "" && strings.Contains("."+u.Hostname()+".", "..") {
		return fmt.Errorf("URI %s has a host with an empty label, or characters that no host has", quoted(value))
	}
	return nil
}

// objectID parses the dotted form of an object identifier (RFC 9115 Appendix A, with
// erratum 7336), nil if it is none.
func objectID(dotted string) asn1.ObjectIdentifier {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || n < 0 || strconv.FormatInt(n, 10) != part || len(id) > 64 {
			return nil
		}
		id = append(id, int(n))
	}
	if len(id) < 2 || id[0] > 2 || id[0] < 2 && id[1] > 39 {
		return nil
	}
	return id
}
