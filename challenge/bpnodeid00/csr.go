package bpnodeid00

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/certext"
)

// NewCSR is [acme.NewCSR] for bundle security certificates: the CSR asks for the
// extended key usage id-kp-bundleSecurity (RFC 9891 §5) as well.
//
// For a certificate that is for signing alone, usage is
// [x509.KeyUsageDigitalSignature], [x509.KeyUsageContentCommitment] or both of them,
// for encryption alone [x509.KeyUsageKeyEncipherment] or [x509.KeyUsageKeyAgreement],
// as the key's algorithm has it. 0 asks for one that is for both (RFC 9891 §5.2).
func NewCSR(key crypto.Signer, usage x509.KeyUsage) func(context.Context, []acme.Identifier) ([]byte, error) {
	return func(_ context.Context, ids []acme.Identifier) ([]byte, error) {
		if key == nil {
			return nil, fmt.Errorf("bpnodeid00: CSR: %w", acme.ErrNoKey)
		}
		extensions, err := acme.CSRExtensions(ids)
		if err != nil {
			return nil, err
		}
		purpose, err := certext.ExtKeyUsage(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 35}) // RFC 9174 §4.4.2.1
		if err != nil {
			return nil, err
		}
		extensions = append(extensions, purpose)
		if usage != 0 {
			bits, err := certext.KeyUsage(usage)
			if err != nil {
				return nil, fmt.Errorf("bpnodeid00: CSR: %w (RFC 9891 §5.2)", err)
			}
			extensions = append(extensions, bits)
		}
		return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: extensions}, key)
	}
}
