package stepca_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.step.sm/crypto/minica"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A device has a serial number, a key, and a maker who certifies both.
type device struct {
	testing.TB
	maker  *minica.CA
	serial string
	key    crypto.Signer
}

func newDevice(t testing.TB, serial string) *device {
	t.Helper()
	maker, err := minica.New(minica.WithName("maker"))
	if err != nil {
		t.Fatal(err)
	}
	return &device{TB: t, maker: maker, serial: serial, key: testkit.Key(t)}
}

func (d *device) identifier() acme.Identifier {
	return acme.Identifier{Type: acme.TypePermanentIdentifier, Value: d.serial}
}

// root is what a step-ca is told to trust.
func (d *device) root() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.maker.Root.Raw})
}

// certified returns a certificate of the maker for a key, with its issuer's.
func (d *device) certified(key crypto.PublicKey, template *x509.Certificate) [][]byte {
	d.Helper()
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, d.maker.Intermediate, key, d.maker.Signer)
	if err != nil {
		d.Fatal(err)
	}
	return [][]byte{der, d.maker.Intermediate.Raw}
}

func der(t testing.TB, value any) []byte {
	t.Helper()
	b, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An attest makes the attestation object for a request.
type attest = func(context.Context, deviceattest01.Request) ([]byte, error)

// step attests as a security key does, in the format of step-ca's makers: a
// signature over the key authorization, as CBOR, by the certified key.
func (d *device) step(_ context.Context, r deviceattest01.Request) ([]byte, error) {
	digest := r.Digest()
	signature, err := d.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	encoded, err := cbor.Marshal(signature)
	if err != nil {
		return nil, err
	}
	managed := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37476, 9000, 64, 4}, Value: der(d, struct{ ID string }{d.serial})}
	x5c := d.certified(d.key.Public(), &x509.Certificate{ExtraExtensions: []pkix.Extension{managed}})
	return deviceattest01.Object("step", map[string]any{"alg": -7, "sig": encoded, "x5c": x5c})
}

// apple attests as an iPhone does: the certificate says it all.
func (d *device) apple(_ context.Context, r deviceattest01.Request) ([]byte, error) {
	nonce := r.TokenDigest()
	oid := func(last ...int) asn1.ObjectIdentifier {
		return append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8}, last...)
	}
	x5c := d.certified(d.key.Public(), &x509.Certificate{ExtraExtensions: []pkix.Extension{
		{Id: oid(9, 1), Value: []byte(d.serial)},
		{Id: oid(11, 1), Value: nonce[:]},
	}})
	return deviceattest01.Object("apple", map[string]any{"x5c": x5c})
}

// The TPM's constants (TPM 2.0 Library, part 2).
const (
	tpmECC, tpmNull, tpmSHA256, tpmRSASSA, tpmECDSA, tpmP256 uint16 = 0x23, 0x10, 0x0b, 0x14, 0x18, 3

	tpmGenerated, tpmCertify = uint32(0xff544347), uint16(0x8017)
	// They are fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth and sign.
	tpmAttributes uint32 = 1<<1 | 1<<4 | 1<<5 | 1<<6 | 1<<18
)

// tpmBytes are octets with their length in front.
type tpmBytes []byte

func pack(values ...any) []byte {
	var b []byte
	for _, v := range values {
		if sized, ok := v.(tpmBytes); ok {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(sized))), sized...)
			continue
		}
		b, _ = binary.Append(b, binary.BigEndian, v) // values of fixed size
	}
	return b
}

// tpm attests as a TPM does: its attestation key certifies the device's key, and
// the maker the attestation key.
func (d *device) tpm(_ context.Context, r deviceattest01.Request) ([]byte, error) {
	ak, err := rsa.GenerateKey(rand.Reader, 2048) // step-ca takes no other kind
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(d.key.Public())
	if err != nil {
		return nil, err
	}
	point := public[len(public)-64:]
	pubArea := pack(tpmECC, tpmSHA256, tpmAttributes, tpmBytes(nil), tpmNull, tpmECDSA, tpmSHA256, tpmP256, tpmNull, tpmBytes(point[:32]), tpmBytes(point[32:]))
	digest, name := r.Digest(), sha256.Sum256(pubArea)
	nameOf := tpmBytes(pack(tpmSHA256, name))
	certInfo := pack(tpmGenerated, tpmCertify, nameOf, tpmBytes(digest[:]), uint64(1), uint32(0), uint32(0), uint8(1), uint64(1), nameOf, nameOf)
	hashed := sha256.Sum256(certInfo)
	signature, err := ak.Sign(rand.Reader, hashed[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return deviceattest01.Object("tpm", map[string]any{
		"ver": "2.0", "alg": -257, "x5c": d.certified(ak.Public(), d.attestationTemplate()),
		"sig": pack(tpmRSASSA, tpmSHA256, tpmBytes(signature)), "certInfo": certInfo, "pubArea": pubArea,
	})
}

// attestationTemplate is that of a certificate for an attestation key, as
// WebAuthn §8.3.1 wants it.
func (d *device) attestationTemplate() *x509.Certificate {
	d.Helper()
	oid := func(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 23, 133, 2, last} }
	tpm := der(d, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: oid(1), Value: "id:FFFFF1D0"}, {Type: oid(2), Value: "model"}, {Type: oid(3), Value: "id:13"},
	}}.ToRDNSequence())
	// The identifier is as in a CSR.
	extensions, err := acme.CSRExtensions([]acme.Identifier{d.identifier()})
	if err != nil {
		d.Fatal(err)
	}
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(extensions[0].Value, &names); err != nil {
		d.Fatal(err)
	}
	names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: tpm})
	return &x509.Certificate{
		BasicConstraintsValid: true,
		UnknownExtKeyUsage:    []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: der(d, names)}},
	}
}
