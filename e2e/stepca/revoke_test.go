package stepca_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"

	"github.com/smallstep/certificates/authority/provisioner"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func (f *fixture) revoked(cert *x509.Certificate) bool {
	f.Helper()
	revoked, err := f.ca.authority.IsRevoked(cert.SerialNumber.String())
	if err != nil {
		f.Fatal(err)
	}
	return revoked
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	byAccount := func(cert *x509.Certificate, reason acme.RevocationReason) error {
		return f.account.RevokeCertificate(f.context(), cert.Raw, reason)
	}
	byCertificate := func(cert *x509.Certificate, reason acme.RevocationReason) error {
		return f.client.RevokeCertificate(f.context(), f.certKey, cert.Raw, reason)
	}
	reasons := []acme.RevocationReason{
		acme.ReasonUnspecified, acme.ReasonKeyCompromise, acme.ReasonCACompromise, acme.ReasonAffiliationChanged, acme.ReasonSuperseded,
		acme.ReasonCessationOfOperation, acme.ReasonCertificateHold, acme.ReasonRemoveFromCRL, acme.ReasonPrivilegeWithdrawn, acme.ReasonAACompromise,
	}
	for name, revoke := range map[string]func(*x509.Certificate, acme.RevocationReason) error{"account": byAccount, "certificate": byCertificate} {
		for _, reason := range reasons {
			cert := f.obtain(acme.DNS("a.example")...)
			if f.revoked(cert) {
				t.Fatal("it is revoked before")
			}
			if err := revoke(cert, reason); err != nil || !f.revoked(cert) {
				t.Errorf("by the key of the %s, reason %d: %v", name, reason, err)
			}
			for again, revoke := range map[string]func(*x509.Certificate, acme.RevocationReason) error{"account": byAccount, "certificate": byCertificate} {
				if err := revoke(cert, reason); !errors.Is(err, acme.ErrAlreadyRevoked) {
					t.Errorf("by the key of the %s, and then that of the %s: %v", name, again, err)
				}
			}
		}
	}
}

func TestRevocationRefused(t *testing.T) {
	t.Parallel()
	f := start(t, &provisioner.ACME{})
	cert := f.obtain(acme.DNS("a.example")...)
	other, err := f.client.NewAccount(f.context(), testkit.Key(t), acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.RevokeCertificate(f.context(), cert.Raw, acme.ReasonSuperseded); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("another account's: %v", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"a.example"}}
	foreign, err := x509.CreateCertificate(rand.Reader, template, template, f.certKey.Public(), f.certKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.account.RevokeCertificate(f.context(), foreign, acme.ReasonSuperseded); err == nil {
		t.Error("a certificate of nobody's was revoked")
	}
	if err := f.account.Deactivate(f.context()); err != nil {
		t.Fatal(err)
	}
	if err := f.account.RevokeCertificate(f.context(), cert.Raw, acme.ReasonSuperseded); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("the account is gone: %v", err)
	}
	if f.revoked(cert) {
		t.Error("it is revoked all the same")
	}
	// The key of the certificate is enough (§7.6).
	if err := f.client.RevokeCertificate(f.context(), f.certKey, cert.Raw, acme.ReasonKeyCompromise); err != nil || !f.revoked(cert) {
		t.Errorf("by its key: %v", err)
	}
}
