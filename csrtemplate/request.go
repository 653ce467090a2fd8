package csrtemplate

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"maps"
	"slices"

	"github.com/seed-aa0b9f56/acme"
)

// NewCSR returns a function for acme.CertificateRequest.CSR that makes the request
// that the template asks for (RFC 9115 §4.1), with a key of one of its KeyTypes. The
// names are those of the order. subject has values for the subject's fields that are
// "**" or "*". What the template does not allow, and what is missing, is an error that
// Is [acme.ErrCSRMismatch] and names the field.
func (t *Template) NewCSR(key crypto.Signer, subject map[string]string) func(context.Context, []acme.Identifier) ([]byte, error) {
	return func(_ context.Context, ids []acme.Identifier) ([]byte, error) {
		der, err := t.request(key, subject, ids)
		if err != nil {
			return nil, fmt.Errorf("%w: %w (RFC 9115 §4.1)", acme.ErrCSRMismatch, err)
		}
		return der, nil
	}
}

func (t *Template) request(key crypto.Signer, subject map[string]string, ids []acme.Identifier) ([]byte, error) {
	if key == nil {
		return nil, acme.ErrNoKey
	}
	algorithm := t.algorithm(key.Public())
	if algorithm == x509.UnknownSignatureAlgorithm {
		return nil, fmt.Errorf("the key is none of %+v", t.KeyTypes)
	}
	name, err := t.name(subject)
	if err != nil {
		return nil, err
	}
	n, err := t.names(ids)
	if err != nil {
		return nil, err
	}
	extensions, err := n.extension()
	if err != nil {
		return nil, err
	}
	others, err := t.extensions()
	if err != nil {
		return nil, err
	}
	csr := &x509.CertificateRequest{RawSubject: name, SignatureAlgorithm: algorithm, ExtraExtensions: append(extensions, others...)}
	return x509.CreateCertificateRequest(rand.Reader, csr, key)
}

// names returns the names of an order and the template's URIs, if they are what the
// template wants.
func (t *Template) names(ids []acme.Identifier) (n names, err error) {
	for _, id := range ids {
		if id, err = id.Normalize(); err != nil {
			return n, err
		}
		switch id.Type {
		case acme.TypeDNS:
			n.dns = append(n.dns, id.Value)
		case acme.TypeEmail:
			if err := checkASCII("Email", id.Value); err != nil {
				return n, err
			}
			n.email = append(n.email, id.Value)
		default:
			return n, fmt.Errorf("templates have no identifiers of type %s", quoted(string(id.Type)))
		}
	}
	for _, uri := range t.URI {
		if err := checkURI(uri); err != nil {
			return n, err
		}
	}
	n.uri = t.URI
	return n, t.checkNames(n)
}

// algorithm returns the first signature algorithm that is allowed with a key.
func (t *Template) algorithm(key crypto.PublicKey) x509.SignatureAlgorithm {
	for _, k := range t.KeyTypes {
		switch key := key.(type) {
		case *rsa.PublicKey:
			if k.PublicKeyLength == key.N.BitLen() {
				return k.algorithm()
			}
		case *ecdsa.PublicKey:
			if k.NamedCurve == curve(key) {
				return k.algorithm()
			}
		}
	}
	return x509.UnknownSignatureAlgorithm
}

// curve returns the name that the curve of a key has in templates.
func curve(key *ecdsa.PublicKey) string {
	switch key.Curve.Params().Name {
	case "P-256":
		return "secp256r1"
	case "P-384":
		return "secp384r1"
	case "P-521":
		return "secp521r1"
	}
	return "another curve"
}

// name makes the subject, with the values that were given for wildcards.
func (t *Template) name(given map[string]string) ([]byte, error) {
	var name pkix.RDNSequence
	left := maps.Clone(given)
	for _, a := range attributes() {
		field, oid := a[0], objectID(a[1])
		value, inTemplate := t.Subject[field]
		own, isGiven := given[field]
		delete(left, field)
		switch {
		case isGiven && (!inTemplate || !isWildcard(value) && own != value):
			return nil, fmt.Errorf("subject: %s is not the holder's to choose", field)
		case !inTemplate, value == Optional && !isGiven:
			continue
		case value == Mandatory && !isGiven:
			return nil, fmt.Errorf("subject: %s is mandatory: give a value", field)
		case isWildcard(value):
			if value = own; isWildcard(own) {
				return nil, fmt.Errorf("subject: %s is still a wildcard", field)
			}
		}
		if err := checkValue(field, value); err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
		var content any = value
		if field == "emailAddress" { // RFC 5280 Appendix A
			content = asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte(value)}
		}
		name = append(name, []pkix.AttributeTypeAndValue{{Type: oid, Value: content}})
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("subject: unknown field %s", quoted(slices.Sorted(maps.Keys(left))[0]))
	}
	return asn1.Marshal(name)
}

// extensions makes the extensions beside the names.
func (t *Template) extensions() ([]pkix.Extension, error) {
	var out []pkix.Extension
	if t.KeyUsage != 0 {
		bits := asn1.BitString{Bytes: make([]byte, 2)}
		for i := range usages() {
			if t.KeyUsage&(1<<i) != 0 {
				bits.Bytes[i/8] |= 0x80 >> (i % 8)
				bits.BitLength = i + 1 // without the zeros behind the last one (X.690 §11.2.2)
			}
		}
		bits.Bytes = bits.Bytes[:(bits.BitLength+7)/8]
		der, err := asn1.Marshal(bits)
		if err != nil {
			return nil, err
		}
		out = append(out, pkix.Extension{Id: objectID(oidKeyUsage), Critical: true, Value: der})
	}
	if len(t.ExtKeyUsage) > 0 {
		der, err := asn1.Marshal(t.ExtKeyUsage)
		if err != nil {
			return nil, err
		}
		out = append(out, pkix.Extension{Id: objectID(oidExtKeyUsage), Value: der})
	}
	return out, nil
}
