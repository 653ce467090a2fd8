package onioncsr01

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// Address returns the name of the hidden service with a key: 56 characters and
// ".onion".
func Address(key ed25519.PublicKey) string { return onion.Name(key) }

// ParseAddress returns the key of the hidden service that a name is of, which may
// have subdomains and "*." in front. It checks the checksum and the version,
// which must be 3 (RFC 9799 §2).
func ParseAddress(name string) (ed25519.PublicKey, error) {
	key, err := onion.Key(name)
	if err != nil {
		return nil, fmt.Errorf("onioncsr01: no onion name %.300q: %w", name, err)
	}
	return key, nil
}

// Object identifiers.
func oidCASigningNonce() asn1.ObjectIdentifier        { return asn1.ObjectIdentifier{2, 23, 140, 41} } // RFC 9799 §3.2
func oidApplicantSigningNonce() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 140, 42} }
func oidEd25519() asn1.ObjectIdentifier               { return asn1.ObjectIdentifier{1, 3, 101, 112} } // RFC 8410 §3

// The structure of a CSR (RFC 2986 §4). The one that package x509 writes has no
// attributes of the kind that is needed.
type (
	certificationRequest struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	certificationRequestInfo struct {
		Version    int
		Subject    pkix.RDNSequence
		PublicKey  asn1.RawValue
		Attributes []attribute `asn1:"tag:0,set"`
	}
	attribute struct {
		Type   asn1.ObjectIdentifier
		Values [][]byte `asn1:"set"`
	}
)

// applicantNonceSize is more than the 64 bits that RFC 9799 §3.2 asks for.
const applicantNonceSize = 16

// NewCSR makes the CSR that answers a challenge with a nonce (RFC 9799 §3.2):
// with the key of the hidden service, signed by it, and with the server's nonce
// and a fresh one. It is DER-encoded, and of no other use.
func NewCSR(key crypto.Signer, nonce []byte) ([]byte, error) {
	public, err := publicKey(key)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("onioncsr01: %w", err)
	}
	own := make([]byte, applicantNonceSize)
	_, _ = rand.Read(own) // it never fails
	info, err := asn1.Marshal(certificationRequestInfo{
		PublicKey: asn1.RawValue{FullBytes: spki},
		Attributes: []attribute{
			{oidCASigningNonce(), [][]byte{nonce}},
			{oidApplicantSigningNonce(), [][]byte{own}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("onioncsr01: %w", err)
	}
	signature, err := sign(key, public, info)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(certificationRequest{
		Info:      asn1.RawValue{FullBytes: info},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidEd25519()},
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
}

// publicKey returns the public key of a hidden service.
func publicKey(key crypto.Signer) (ed25519.PublicKey, error) {
	if key == nil {
		return nil, fmt.Errorf("onioncsr01: %w", acme.ErrNoKey)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("onioncsr01: a hidden service has an Ed25519 key, not %T", key.Public())
	}
	return public, nil
}

// sign signs, and checks what came of it: the signer may be anything.
func sign(key crypto.Signer, public ed25519.PublicKey, message []byte) ([]byte, error) {
	signature, err := crypto.SignMessage(key, rand.Reader, message, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("onioncsr01: signing with the key of %s: %w", onion.Name(public), err)
	}
	if !ed25519.Verify(public, message, signature) {
		return nil, errors.New("onioncsr01: the key of " + onion.Name(public) + " makes signatures that do not verify")
	}
	return signature, nil
}
