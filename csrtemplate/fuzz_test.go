package csrtemplate_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/csrtemplate"
)

// FuzzCheck: of each extension, a template that has values for all admits one request
// alone, in whatever else the others differ.
func FuzzCheck(f *testing.F) {
	const san, keyUsage, extKeyUsage = 17, 15, 37
	f.Add(uint8(san), []byte("\x30\x0b\x82\x09a.example"))
	f.Add(uint8(san), []byte("\x30\x0b\x8c\x09A.example"))
	f.Add(uint8(san), []byte("\x30\x0d\x82\x09a.example\xa0\x00"))
	f.Add(uint8(keyUsage), []byte{3, 2, 7, 0x80})
	f.Add(uint8(keyUsage), []byte{3, 3, 7, 0x80, 0})
	f.Add(uint8(extKeyUsage), []byte{0x30, 10, 6, 8, 43, 6, 1, 5, 5, 7, 3, 1})
	f.Add(uint8(19), []byte{0x30, 0})
	template, err := csrtemplate.Parse([]byte(`{"keyTypes":[{"PublicKeyType":"id-ecPublicKey","namedCurve":"secp256r1","SignatureType":"ecdsa-with-SHA256"}],
		"extensions":{"subjectAltName":{"DNS":["a.example"]},"keyUsage":["digitalSignature"],"extendedKeyUsage":["serverAuth"]}}`))
	if err != nil {
		f.Fatal(err)
	}
	key := keys()["P-256"]
	good := map[uint8][]byte{san: []byte("\x30\x0b\x82\x09a.example"), keyUsage: {3, 2, 7, 0x80}, extKeyUsage: {0x30, 10, 6, 8, 43, 6, 1, 5, 5, 7, 3, 1}}
	f.Fuzz(func(t *testing.T, arc uint8, value []byte) {
		request := &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, int(arc)}, Value: value}}}
		for other, value := range good {
			if other != arc {
				request.ExtraExtensions = append(request.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, int(other)}, Value: value})
			}
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, request, key)
		if err != nil {
			return
		}
		err = template.Check(der)
		want := bytes.Equal(value, good[arc]) && good[arc] != nil
		const header = 4 // octets in front of the name; the name has no case
		want = want || arc == san && bytes.HasPrefix(value, good[san][:header]) && bytes.EqualFold(value[header:], good[san][header:])
		if (err == nil) != want || err != nil && !errors.Is(err, acme.ErrCSRMismatch) {
			t.Errorf("%d %x: %v", arc, value, err)
		}
	})
}
