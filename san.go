package acme

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Where the identifiers of each type are in a CSR and in a certificate: as a
// subject alternative name, or in an extension of their own.
const (
	oidSubjectAltName              = "2.5.29.17"
	oidTNAuthList                  = "1.3.6.1.5.5.7.1.26" // RFC 8226 §9
	oidJWTClaimConstraints         = "1.3.6.1.5.5.7.1.27" // RFC 8226 §8
	oidEnhancedJWTClaimConstraints = "1.3.6.1.5.5.7.1.33" // RFC 9118 §5

	// Kinds of otherName.
	oidPermanentIdentifier = "1.3.6.1.5.5.7.8.3"  // RFC 4043
	oidHardwareModuleName  = "1.3.6.1.5.5.7.8.4"  // RFC 4108 §5
	oidSMTPUTF8Mailbox     = "1.3.6.1.5.5.7.8.9"  // RFC 9598 §3
	oidBundleEID           = "1.3.6.1.5.5.7.8.11" // RFC 9174 §4.4.2.1

	tagOtherName, tagRFC822Name, tagDNSName, tagIPAddress = 0, 1, 2, 7 // RFC 5280 §4.2.1.6
)

// A permanentIdentifier is RFC 4043 §2.
type permanentIdentifier struct {
	Value    string                `asn1:"utf8,optional"`
	Assigner asn1.ObjectIdentifier `asn1:"optional"`
}

// A hardwareModuleName is RFC 4108 §5.
type hardwareModuleName struct {
	Type   asn1.ObjectIdentifier
	Serial []byte
}

// CSRExtensions returns the extensions that a CSR for the identifiers asks for
// (§7.4): a subject alternative name for each, in the form that its type's RFC
// wants, or for a TNAuthList (RFC 9448 §3) and JWT claim constraints an extension of
// their own. It is for CSRs that have more in them than NewCSR makes, a key usage,
// say: put it into x509.CertificateRequest.ExtraExtensions.
//
// Types that are not known here are errors.ErrUnsupported.
func CSRExtensions(ids []Identifier) ([]pkix.Extension, error) {
	ids, err := normalizeIdentifiers(ids)
	if err != nil {
		return nil, wrap(err, "CSR")
	}
	var names []asn1.RawValue
	var extensions []pkix.Extension
	for _, id := range ids {
		if at := extensionOf(id.Type); at != "" {
			if slices.ContainsFunc(extensions, func(e pkix.Extension) bool { return e.Id.String() == at }) {
				return nil, wrap(fmt.Errorf("%w: a certificate has one %s", ErrInvalidIdentifier, id.Type), "CSR")
			}
			der, _ := decodeBase64URL(id.Value) // as was checked
			extensions = append(extensions, pkix.Extension{Id: objectID(at), Value: der})
			continue
		}
		name, err := generalName(id)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if names != nil {
		der, err := asn1.Marshal(names)
		if err != nil {
			return nil, wrap(err, "CSR")
		}
		extensions = append(extensions, pkix.Extension{Id: objectID(oidSubjectAltName), Value: der})
	}
	return extensions, nil
}

// extensionOf returns the extension that identifiers of a type go into, "" for
// those that are alternative names.
func extensionOf(t IdentifierType) string {
	switch t {
	case TypeTNAuthList:
		return oidTNAuthList
	case TypeJWTClaimConstraints:
		return oidJWTClaimConstraints
	case TypeEnhancedJWTClaimConstraints:
		return oidEnhancedJWTClaimConstraints
	}
	return ""
}

// generalName makes the subject alternative name of a normal identifier.
func generalName(id Identifier) (asn1.RawValue, error) {
	switch id.Type {
	case TypeDNS:
		return implicit(tagDNSName, []byte(id.Value)), nil
	case TypeIP:
		return implicit(tagIPAddress, netip.MustParseAddr(id.Value).AsSlice()), nil
	case TypeEmail:
		if isASCII(id.Value) {
			return implicit(tagRFC822Name, []byte(id.Value)), nil // RFC 8823 §3
		}
		return otherName(oidSMTPUTF8Mailbox, id.Value, "utf8")
	case TypeBundleEID:
		return otherName(oidBundleEID, id.Value, "ia5") // RFC 9891 §5
	case TypePermanentIdentifier:
		serial, assigner := splitDevice(id.Value)
		return otherName(oidPermanentIdentifier, permanentIdentifier{serial, assigner}, "")
	case TypeHardwareModule:
		serial, kind := splitDevice(id.Value)
		if kind == nil {
			return asn1.RawValue{}, unsupported("a CSR for %s: no object identifier after a slash; leave it out with a function of your own", id)
		}
		return otherName(oidHardwareModuleName, hardwareModuleName{kind, []byte(serial)}, "")
	}
	return asn1.RawValue{}, unsupported("a CSR for %s needs a function of your own", id)
}

func implicit(tag int, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: content}
}

// otherName makes a name of a kind that has a number: [0] { kind, [0] value }.
func otherName(kind string, value any, params string) (asn1.RawValue, error) {
	id, err := asn1.Marshal(objectID(kind))
	if err != nil {
		return asn1.RawValue{}, err
	}
	der, err := asn1.MarshalWithParams(value, params)
	if err != nil {
		return asn1.RawValue{}, err
	}
	tagged, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der})
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagOtherName, IsCompound: true, Bytes: append(id, tagged...)}, err
}

// extensionIdentifiers finds the identifiers in the extensions of a CSR or a
// certificate that crypto/x509 does not: other names, and extensions of their own.
func extensionIdentifiers(extensions []pkix.Extension) []Identifier {
	var ids []Identifier
	for _, e := range extensions {
		at := e.Id.String()
		for _, t := range []IdentifierType{TypeTNAuthList, TypeJWTClaimConstraints, TypeEnhancedJWTClaimConstraints} {
			if at == extensionOf(t) {
				ids = append(ids, Identifier{t, base64url(e.Value)})
			}
		}
		var names []asn1.RawValue
		if at != oidSubjectAltName {
			continue
		}
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			continue // crypto/x509 has complained
		}
		for _, name := range names {
			if id, err := parseOtherName(name); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// parseOtherName reads an otherName of a kind that has an identifier type.
func parseOtherName(name asn1.RawValue) (id Identifier, err error) {
	var kind asn1.ObjectIdentifier
	var value asn1.RawValue
	if name.Class != asn1.ClassContextSpecific || name.Tag != tagOtherName {
		return id, errors.New("no otherName")
	}
	content, err := asn1.Unmarshal(name.Bytes, &kind)
	if err == nil {
		_, err = asn1.UnmarshalWithParams(content, &value, "tag:0")
	}
	if err != nil {
		return id, err
	}
	inner := value.Bytes // the tag is explicit
	switch at := kind.String(); at {
	case oidSMTPUTF8Mailbox:
		id.Type = TypeEmail
		id.Value, err = otherValue[string](name, at, inner, "utf8")
	case oidBundleEID:
		id.Type = TypeBundleEID
		id.Value, err = otherValue[string](name, at, inner, "ia5")
	case oidPermanentIdentifier:
		var p permanentIdentifier
		p, err = otherValue[permanentIdentifier](name, at, inner, "")
		id = Identifier{TypePermanentIdentifier, joinDevice(p.Value, p.Assigner)}
	case oidHardwareModuleName:
		var h hardwareModuleName
		h, err = otherValue[hardwareModuleName](name, at, inner, "")
		id = Identifier{TypeHardwareModule, joinDevice(string(h.Serial), h.Type)}
	default:
		err = errors.New("another kind of name")
	}
	return id, err
}

// otherValue reads the value in an otherName of a kind, which must be that of this
// value to the last octet: encoding/asn1 takes strings of other types, and passes over
// what follows.
func otherValue[T any](name asn1.RawValue, kind string, inner []byte, params string) (value T, err error) {
	if _, err := asn1.UnmarshalWithParams(inner, &value, params); err != nil {
		return value, err
	}
	same, err := otherName(kind, value, params)
	if err != nil {
		return value, err
	}
	if der, err := asn1.Marshal(same); err != nil || !bytes.Equal(der, name.FullBytes) {
		return value, errors.New("it is not in DER, or has more than a name of its kind has")
	}
	return value, nil
}

// splitDevice splits the value of a device's identifier, which in newer drafts
// is a serial number, or one with an object identifier: "serial/1.2.3".
func splitDevice(value string) (serial string, oid asn1.ObjectIdentifier) {
	i := strings.LastIndexByte(value, '/')
	if i <= 0 {
		return value, nil
	}
	if oid = objectID(value[i+1:]); oid == nil {
		return value, nil
	}
	return value[:i], oid
}

func joinDevice(serial string, oid asn1.ObjectIdentifier) string {
	if oid == nil {
		return serial
	}
	return serial + "/" + oid.String()
}

// objectID parses the dotted form of an object identifier, nil if it is none.
func objectID(dotted string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil || strconv.FormatInt(n, 10) != part || n < 0 {
			return nil
		}
		oid = append(oid, int(n))
	}
	if len(oid) < 2 || oid[0] > 2 || oid[0] < 2 && oid[1] > 39 {
		return nil
	}
	return oid
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}
