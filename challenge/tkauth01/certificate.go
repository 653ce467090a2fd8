package tkauth01

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/certext"
)

// NewCSR is [acme.NewCSR] with basic constraints: those of a certification authority
// where ca is set, which must be the same as [Solver].CA (RFC 9448 §6).
func NewCSR(key crypto.Signer, ca bool) func(context.Context, []acme.Identifier) ([]byte, error) {
	return func(_ context.Context, ids []acme.Identifier) ([]byte, error) {
		if key == nil {
			return nil, fmt.Errorf("tkauth01: CSR: %w", acme.ErrNoKey)
		}
		extensions, err := acme.CSRExtensions(ids)
		if err != nil {
			return nil, err
		}
		constraints, err := certext.BasicConstraints(ca)
		if err != nil {
			return nil, err
		}
		template := &x509.CertificateRequest{ExtraExtensions: append(extensions, constraints)}
		return x509.CreateCertificateRequest(rand.Reader, template, key)
	}
}

// CertificateURL returns the URL by which anybody can get the certificate of a valid
// order, without an account (RFC 9448 §7): what goes into the x5u parameter of a JWS
// that is signed with the certificate's key. It is "" if the server has none.
func CertificateURL(o *acme.Order) string {
	var members struct {
		X5U string `json:"x5u"`
	}
	if err := json.Unmarshal(o.Raw, &members); err != nil {
		return ""
	}
	if u, err := url.Parse(members.X5U); err != nil || u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return members.X5U
}
