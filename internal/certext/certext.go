// Package certext makes the extensions that certificate requests of some challenge
// types ask for beside their names (RFC 5280 §4.2.1).
package certext

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/bits"
)

// The object identifiers of the extensions.
const (
	arcKeyUsage         = 15
	arcBasicConstraints = 19
	arcExtKeyUsage      = 37
)

func id(arc int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 5, 29, arc} }

// KeyUsage makes the key usage extension of an end-entity certificate that is for
// signing, with digital signature or content commitment (which RFC 8823 and RFC 9891
// call nonRepudiation) or both, for encryption, with key encipherment or key
// agreement, or for both. Other usages are an error.
func KeyUsage(usage x509.KeyUsage) (pkix.Extension, error) {
	const (
		signing    = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
		encryption = x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
	)
	if usage == 0 || usage&^(signing|encryption) != 0 || usage&encryption == encryption {
		return pkix.Extension{}, errors.New("the key usage is neither for signing (digital signature, content commitment) nor for encryption (key encipherment, or key agreement)")
	}
	// Bit 0 of a BIT STRING is the highest of the first octet.
	octets := []byte{bits.Reverse8(byte(usage))} //nolint:gosec // the bits that are let pass are the lowest five
	value, err := asn1.Marshal(asn1.BitString{Bytes: octets, BitLength: bits.Len(uint(usage))})
	return pkix.Extension{Id: id(arcKeyUsage), Critical: true, Value: value}, err
}

// ExtKeyUsage makes the extended key usage extension.
func ExtKeyUsage(purposes ...asn1.ObjectIdentifier) (pkix.Extension, error) {
	value, err := asn1.Marshal(purposes)
	return pkix.Extension{Id: id(arcExtKeyUsage), Value: value}, err
}

// BasicConstraints makes the basic constraints extension, of a certification
// authority or of an end entity.
func BasicConstraints(ca bool) (pkix.Extension, error) {
	value, err := asn1.Marshal(struct {
		CA bool `asn1:"optional"`
	}{ca})
	return pkix.Extension{Id: id(arcBasicConstraints), Critical: true, Value: value}, err
}
