package tkauth01

import (
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// A TNAuthList says which telephone numbers a certificate is for (RFC 8226 §9).
type TNAuthList []TNEntry

// A TNEntry is a service provider code, a telephone number, or a range of numbers.
type TNEntry struct {
	SPC    string // a service provider code, for all numbers of the provider
	Number string // a number in digits, # and *, without "+"; or the first one of a range
	Count  int64  // how many numbers a range has, 2 or more; 0 for one number
}

// Identifier returns the identifier of an order for the list (RFC 9448 §3): its DER
// as base64url, without padding.
func (l TNAuthList) Identifier() (acme.Identifier, error) {
	der, err := l.Marshal()
	return acme.Identifier{Type: acme.TypeTNAuthList, Value: base64.RawURLEncoding.EncodeToString(der)}, err
}

// The kinds of entries.
const (
	tagSPC    = 0
	tagRange  = 1
	tagNumber = 2
)

// A tnRange is RFC 8226 §9; what later versions add to it is not read.
type tnRange struct {
	Start asn1.RawValue
	Count int64
}

// Marshal returns the list in DER: the value of the certificate extension
// 1.3.6.1.5.5.7.1.26. An empty list is an error, and so is an entry that the RFC does
// not have.
func (l TNAuthList) Marshal() ([]byte, error) {
	if len(l) == 0 {
		return nil, errors.New("tkauth01: the TNAuthList is empty (RFC 8226 §9)")
	}
	entries := make([]asn1.RawValue, len(l))
	for i, e := range l {
		err := e.check()
		if err == nil {
			entries[i], err = e.marshal()
		}
		if err != nil {
			return nil, fmt.Errorf("tkauth01: entry %d of the TNAuthList: %w", i+1, err)
		}
	}
	return asn1.Marshal(entries)
}

func (e TNEntry) marshal() (asn1.RawValue, error) {
	tag, value := tagSPC, any(text(asn1.TagIA5String, e.SPC))
	switch {
	case e.Count > 0:
		tag, value = tagRange, tnRange{text(asn1.TagIA5String, e.Number), e.Count}
	case e.Number != "":
		tag, value = tagNumber, text(asn1.TagIA5String, e.Number)
	}
	der, err := asn1.Marshal(value)
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: der}, err // explicit tags
}

func (e TNEntry) check() error {
	switch {
	case e.SPC != "" && (e.Number != "" || e.Count != 0):
		return errors.New("it is either a service provider code or numbers")
	case e.SPC != "":
		if strings.ContainsFunc(e.SPC, func(r rune) bool { return r > '~' || r < ' ' }) {
			return fmt.Errorf("the service provider code %.30q is not ASCII", e.SPC)
		}
		return nil
	case len(e.Number) == 0 || len(e.Number) > 15 || strings.Trim(e.Number, "0123456789#*") != "":
		return fmt.Errorf("%.30q is no telephone number: want 1 to 15 digits, # and *, without + (RFC 8226 §9)", e.Number)
	case e.Count == 1 || e.Count < 0:
		return fmt.Errorf("a range has 2 numbers or more, not %d (RFC 8226 §9)", e.Count)
	}
	return nil
}

const maxEntries = 10000

// ParseTNAuthList reads a list in DER, as it is in an extension; the value of an
// identifier is that in base64url.
func ParseTNAuthList(der []byte) (TNAuthList, error) {
	var entries []asn1.RawValue
	rest, err := asn1.Unmarshal(der, &entries)
	switch {
	case err != nil:
		return nil, fmt.Errorf("tkauth01: no TNAuthList: %w", err)
	case len(rest) > 0 || len(entries) == 0 || len(entries) > maxEntries:
		return nil, fmt.Errorf("tkauth01: no TNAuthList: %d entries, then %d octets", len(entries), len(rest))
	}
	l := make(TNAuthList, len(entries))
	for i, raw := range entries {
		if l[i], err = parseEntry(raw); err != nil {
			return nil, fmt.Errorf("tkauth01: entry %d of the TNAuthList: %w", i+1, err)
		}
	}
	return l, nil
}

func parseEntry(raw asn1.RawValue) (e TNEntry, err error) {
	if raw.Class != asn1.ClassContextSpecific || !raw.IsCompound {
		return e, errors.New("it has no tag")
	}
	var rest []byte
	var content asn1.RawValue
	switch raw.Tag {
	case tagSPC, tagNumber:
		rest, err = asn1.Unmarshal(raw.Bytes, &content)
	case tagRange:
		var r tnRange
		rest, err = asn1.Unmarshal(raw.Bytes, &r)
		if content, e.Count = r.Start, r.Count; err == nil && r.Count < 2 {
			err = fmt.Errorf("a range of %d numbers", r.Count)
		}
	default:
		err = fmt.Errorf("it has the tag %d", raw.Tag)
	}
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d octets follow", len(rest))
	}
	if err != nil {
		return e, err
	}
	to := &e.Number
	if raw.Tag == tagSPC {
		to = &e.SPC
	}
	if *to, err = untext(asn1.TagIA5String, content); err == nil {
		err = e.check()
	}
	return e, err
}

// text makes a string of a kind, and untext reads one: encoding/asn1 chooses and
// takes the kinds that it likes.
func text(tag int, s string) asn1.RawValue { return asn1.RawValue{Tag: tag, Bytes: []byte(s)} }

func untext(tag int, raw asn1.RawValue) (s string, err error) {
	if raw.Class != asn1.ClassUniversal || raw.Tag != tag {
		return "", fmt.Errorf("a string of another kind: tag %d", raw.Tag)
	}
	_, err = asn1.Unmarshal(raw.FullBytes, &s)
	return s, err
}
