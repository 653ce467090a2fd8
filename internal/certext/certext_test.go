package certext

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"testing"
)

func TestExtensions(t *testing.T) {
	t.Parallel()
	ok := func(e pkix.Extension, err error) pkix.Extension {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		return e
	}
	for _, tt := range []struct {
		extension pkix.Extension
		id, value string
		critical  bool
	}{
		{ok(KeyUsage(x509.KeyUsageDigitalSignature)), "2.5.29.15", "03020780", true},
		{ok(KeyUsage(x509.KeyUsageContentCommitment)), "2.5.29.15", "03020640", true},
		{ok(KeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment)), "2.5.29.15", "030206c0", true},
		{ok(KeyUsage(x509.KeyUsageKeyEncipherment)), "2.5.29.15", "03020520", true},
		{ok(KeyUsage(x509.KeyUsageKeyAgreement)), "2.5.29.15", "03020308", true},
		{ok(KeyUsage(x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment)), "2.5.29.15", "030205a0", true},
		{ok(ExtKeyUsage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 35})), "2.5.29.37", "300a06082b06010505070323", false},
		{ok(BasicConstraints(true)), "2.5.29.19", "30030101ff", true},
		{ok(BasicConstraints(false)), "2.5.29.19", "3000", true},
	} {
		if e := tt.extension; e.Id.String() != tt.id || hex.EncodeToString(e.Value) != tt.value || e.Critical != tt.critical {
			t.Errorf("%v %t %x, want %s %s", e.Id, e.Critical, e.Value, tt.id, tt.value)
		}
	}
}

func TestKeyUsageRefuses(t *testing.T) {
	t.Parallel()
	for _, usage := range []x509.KeyUsage{
		0, x509.KeyUsageCertSign, x509.KeyUsageDataEncipherment, x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
		x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement, x509.KeyUsageDecipherOnly, -1,
	} {
		if e, err := KeyUsage(usage); err == nil {
			t.Errorf("%b: %x", usage, e.Value)
		}
	}
}
