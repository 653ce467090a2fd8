// Package csrtemplate reads CSR templates, makes the certificate signing request
// that one asks for, and checks requests against it (RFC 9115 §4).
//
// Whoever may order certificates for names of somebody else, like a content delivery
// network for its customers, gets a template with the delegation: what the request
// must have, may have, and must not have. Each field of a template is a value to be
// used as it is, "**" for one that the holder has to give, or "*" for one that it
// may give:
//
//	delegation, err := account.Delegation(ctx, url)
//	…
//	template, err := csrtemplate.Parse(delegation.CSRTemplate)
//	…
//	cert, err := account.Obtain(ctx, acme.CertificateRequest{
//		OrderRequest: acme.OrderRequest{Identifiers: template.Identifiers(), Delegation: delegation.URL},
//		CSR:          template.NewCSR(certKey, map[string]string{"locality": "Ottawa"}),
//	})
//
// Templates come from a server, and are not trusted: what is larger than templates
// are, what is not known and what makes no sense is an error.
package csrtemplate

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// Wildcards of a template's fields.
const (
	Mandatory = "**" // the holder must give a value
	Optional  = "*"  // the holder may give one
)

// A Template is a CSR template (RFC 9115 §4.1). It is plain data; get one from
// [Parse].
type Template struct {
	// KeyTypes are the keys and signatures that are allowed.
	KeyTypes []KeyType

	// Subject maps fields of the subject to values or wildcards: country,
	// stateOrProvince, locality, organization, organizationalUnit, emailAddress and
	// commonName. Other fields must not be in the request.
	Subject map[string]string

	// DNS are the names, in the form that they have on the wire, and a wildcard for
	// each further one that must or may be there.
	DNS []string

	Email []string // addresses
	URI   []string // as they are, to the letter

	KeyUsage    x509.KeyUsage           // 0: the request must not have the extension
	ExtKeyUsage []asn1.ObjectIdentifier // empty: the request must not have the extension
}

// A KeyType is one combination of key and signature, in the words of RFC 9115
// Appendix A.
type KeyType struct {
	PublicKeyType   string // "rsaEncryption" or "id-ecPublicKey"
	PublicKeyLength int    // bits of an RSA key
	NamedCurve      string // "secp256r1", "secp384r1", "secp521r1"
	SignatureType   string // "ecdsa-with-SHA256", "sha256WithRSAEncryption", "sha256WithRSAandMGF1", …
}

// Identifiers returns the names and addresses that the template has as values: all
// that must be ordered (RFC 9115 §2.3.2). Names for wildcards are the caller's to add.
func (t *Template) Identifiers() []acme.Identifier {
	var ids []acme.Identifier
	for _, name := range t.DNS {
		if !isWildcard(name) {
			ids = append(ids, acme.Identifier{Type: acme.TypeDNS, Value: name})
		}
	}
	for _, address := range t.Email {
		ids = append(ids, acme.Identifier{Type: acme.TypeEmail, Value: address})
	}
	return ids
}

func isWildcard(s string) bool { return s == Mandatory || s == Optional }

// attributes are the fields of a subject, in the order in which they are in a
// request, with their object identifiers.
func attributes() [][2]string {
	return [][2]string{
		{"country", "2.5.4.6"}, {"stateOrProvince", "2.5.4.8"}, {"locality", "2.5.4.7"}, {"organization", "2.5.4.10"},
		{"organizationalUnit", "2.5.4.11"}, {"commonName", "2.5.4.3"}, {"emailAddress", "1.2.840.113549.1.9.1"},
	}
}

// usages are the names of the bits of a key usage, from the first.
func usages() []string {
	return []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	}
}

// purpose returns the object identifier of an extended key usage, by name or number;
// nil if it is neither.
func purpose(name string) asn1.ObjectIdentifier {
	const pkix = "1.3.6.1.5.5.7.3."
	switch name {
	case "serverAuth":
		name = pkix + "1"
	case "clientAuth":
		name = pkix + "2"
	case "codeSigning":
		name = pkix + "3"
	case "emailProtection":
		name = pkix + "4"
	case "timeStamping":
		name = pkix + "8"
	case "OCSPSigning":
		name = pkix + "9"
	}
	return objectID(name)
}

// algorithm returns the signature algorithm of a combination that makes sense
// (RFC 9115 Appendix A), 0 for all others.
func (k KeyType) algorithm() x509.SignatureAlgorithm {
	switch strings.Join([]string{k.PublicKeyType, k.NamedCurve, k.SignatureType}, " ") {
	case "rsaEncryption  sha256WithRSAEncryption":
		return x509.SHA256WithRSA
	case "rsaEncryption  sha384WithRSAEncryption":
		return x509.SHA384WithRSA
	case "rsaEncryption  sha512WithRSAEncryption":
		return x509.SHA512WithRSA
	case "rsaEncryption  sha256WithRSAandMGF1":
		return x509.SHA256WithRSAPSS
	case "rsaEncryption  sha384WithRSAandMGF1":
		return x509.SHA384WithRSAPSS
	case "rsaEncryption  sha512WithRSAandMGF1":
		return x509.SHA512WithRSAPSS
	case "id-ecPublicKey secp256r1 ecdsa-with-SHA256":
		return x509.ECDSAWithSHA256
	case "id-ecPublicKey secp384r1 ecdsa-with-SHA384":
		return x509.ECDSAWithSHA384
	case "id-ecPublicKey secp521r1 ecdsa-with-SHA512":
		return x509.ECDSAWithSHA512
	}
	return x509.UnknownSignatureAlgorithm
}
