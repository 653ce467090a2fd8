package acmetest_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// cborText and cborBytes are items of up to 65535 octets (RFC 8949 §3).
func cborText(s string) string {
	return string(binary.BigEndian.AppendUint16([]byte{0x79}, uint16(len(s)))) + s
}
func cborBytes(b []byte) string {
	return string(binary.BigEndian.AppendUint16([]byte{0x59}, uint16(len(b)))) + string(b)
}
func encoded(item string) string { return base64.RawURLEncoding.EncodeToString([]byte(item)) }

// deviceOf makes a device: its key, its certificate and the pool with its maker.
func deviceOf(t *testing.T, serial string) (*ecdsa.PrivateKey, []byte, *x509.CertPool) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{SerialNumber: serial}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	makers := x509.NewCertPool()
	makers.AddCert(cert)
	return key, der, makers
}

func TestValidateDeviceAttest01(t *testing.T) {
	t.Parallel()
	const keyAuthorization = "token.thumbprint"
	key, cert, makers := deviceOf(t, "SN-1234")
	_, _, others := deviceOf(t, "SN-1234")
	digest := sha256.Sum256([]byte(keyAuthorization))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	statement := func(alg, x5c string) string {
		return "\xa3" + cborText("alg") + alg + cborText("sig") + cborBytes(signature) + cborText("x5c") + x5c
	}
	const es256 = "\x26"
	good := statement(es256, "\x81"+cborBytes(cert))
	object := func(format, statement string) string {
		return "\xa2" + cborText("fmt") + cborText(format) + cborText("attStmt") + statement
	}
	response := func(item string) string { return `{"attObj":"` + encoded(item) + `"}` }
	for name, tt := range map[string]struct {
		response string
		change   func(*acmetest.Validation)
		makers   *x509.CertPool
		want     string
	}{
		"good":              {response(object("packed", good)), nil, makers, ""},
		"other key auth":    {response(object("packed", good)), func(v *acmetest.Validation) { v.KeyAuthorization += "x" }, makers, "badAttestationStatement: the signature"},
		"other device":      {response(object("packed", good)), func(v *acmetest.Validation) { v.Identifier.Value = "SN-1" }, makers, `the device is "SN-1234"`},
		"other maker":       {response(object("packed", good)), nil, others, "badAttestationStatement: x509"},
		"other type":        {response(object("packed", good)), func(v *acmetest.Validation) { v.Type = "http-01" }, makers, "cannot validate http-01"},
		"format":            {response(object("tpm", good)), nil, makers, "the format is tpm"},
		"algorithm":         {response(object("packed", statement("\x27", "\x81"+cborBytes(cert)))), nil, makers, "alg is -8"},
		"no certificate":    {response(object("packed", statement(es256, "\x80"))), nil, makers, "no x5c"},
		"bad certificate":   {response(object("packed", statement(es256, "\x81"+cborBytes(cert[1:])))), nil, makers, "x5c: x509"},
		"authData":          {response("\xa3" + cborText("authData") + "\x40" + object("packed", good)[1:]), nil, makers, "or more than that"},
		"trailing octets":   {response(object("packed", good) + "\x00"), nil, makers, "or more than that"},
		"cut off":           {response(object("packed", good)[:40]), nil, makers, "cut off"},
		"indefinite":        {response("\xbf\xff"), nil, makers, "indefinite"},
		"twice":             {response("\xa2\x01\x02\x01\x02"), nil, makers, "twice"},
		"key":               {response("\xa1\x40\x02"), nil, makers, "as key"},
		"deep":              {response(strings.Repeat("\x81", 20) + "\x00"), nil, makers, "too deep"},
		"tag":               {response("\xc0\x00"), nil, makers, "major type 6"},
		"a list":            {response("\x80"), nil, makers, "no map"},
		"padding":           {`{"attObj":"` + base64.URLEncoding.EncodeToString([]byte("aaaa")) + `"}`, nil, makers, "no base64url"},
		"an empty response": {`{}`, nil, makers, "attObj"},
		"error":             {`{"error":"locked"}`, nil, makers, "rejectedIdentifier: the device says: locked"},
		"no object":         {`[]`, nil, makers, "not a JSON object"},
	} {
		v := acmetest.Validation{
			Identifier: acmetest.Identifier{Type: "permanent-identifier", Value: "SN-1234"}, Type: "device-attest-01",
			Token: "token", KeyAuthorization: keyAuthorization, Response: []byte(tt.response),
		}
		if tt.change != nil {
			tt.change(&v)
		}
		err := acmetest.ValidateDeviceAttest01(tt.makers)(t.Context(), v)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
