package csrtemplate

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// Tags of alternative names (RFC 5280 §4.2.1.6), and their class (X.690 §8.1.2).
const (
	tagEmail, tagDNS, tagURI, tagIP = 1, 2, 6, 7

	contextSpecific = 0x80
)

// names are the subject alternative names of a request as they are in it, but for
// capitals of DNS names. crypto/x509 writes and reads URIs in a form of its own, which
// is not the literal value that RFC 9115 §4.1 wants, and passes over other kinds.
type names struct{ dns, email, uri []string }

// namesOf reads the names of a request, and refuses kinds that no template has, and
// what is no domain name: a wildcard of the template stands for names alone.
func namesOf(csr *x509.CertificateRequest) (n names, err error) {
	i := slices.IndexFunc(csr.Extensions, func(e pkix.Extension) bool { return e.Id.String() == oidSubjectAltName })
	if i < 0 {
		return n, nil
	}
	var list []asn1.RawValue
	if rest, err := asn1.Unmarshal(csr.Extensions[i].Value, &list); err != nil || len(rest) > 0 {
		return n, fmt.Errorf("the subject alternative names cannot be read")
	}
	for _, name := range list {
		value := string(name.Bytes)
		switch octet := name.FullBytes[0]; octet { // class, constructed, tag
		case contextSpecific | tagDNS:
			id, err := acme.Identifier{Type: acme.TypeDNS, Value: value}.Normalize()
			if err == nil && id.Value != strings.ToLower(value) {
				err = fmt.Errorf("%s should be %s", quoted(value), quoted(id.Value))
			}
			if err != nil {
				return n, fmt.Errorf("DNS: %w", err)
			}
			n.dns = append(n.dns, id.Value)
		case contextSpecific | tagEmail:
			n.email = append(n.email, value)
		case contextSpecific | tagURI:
			n.uri = append(n.uri, value)
		case contextSpecific | tagIP:
			return n, fmt.Errorf("IP addresses, which no template has")
		default:
			return n, fmt.Errorf("a subject alternative name of kind %#x, which no template has", octet)
		}
	}
	return n, nil
}

// extension makes the extension with the names, none if there are none.
func (n names) extension() ([]pkix.Extension, error) {
	var list []asn1.RawValue
	for _, kind := range []struct {
		tag    int
		values []string
	}{{tagDNS, n.dns}, {tagEmail, n.email}, {tagURI, n.uri}} {
		for _, value := range kind.values {
			list = append(list, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: kind.tag, Bytes: []byte(value)})
		}
	}
	if list == nil {
		return nil, nil
	}
	der, err := asn1.Marshal(list)
	return []pkix.Extension{{Id: objectID(oidSubjectAltName), Value: der}}, err
}
