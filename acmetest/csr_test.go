package acmetest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
)

func csrOf(t testing.TB, key crypto.Signer, names ...string) m {
	t.Helper()
	template := &x509.CertificateRequest{}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	return csrFrom(t, key, template)
}

func csrFrom(t testing.TB, key crypto.Signer, template *x509.CertificateRequest) m {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return m{"csr": b64(der)}
}

func subject(cn string) pkix.Name { return pkix.Name{CommonName: cn} }
