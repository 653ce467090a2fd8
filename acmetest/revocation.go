package acmetest

import (
	"bytes"
	"crypto/x509"
	"net/http"
)

// noReason is the reason of a revocation that gave none.
const noReason = -1

// Revoked reports whether a certificate was revoked and, if so, with which reason code; -1 if the request had none.
func (s *Server) Revoked(leaf *x509.Certificate) (reason int, revoked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.certList {
		if c.revoked && bytes.Equal(c.leaf.Raw, leaf.Raw) {
			return c.reason, true
		}
	}
	return noReason, false
}

// revokeCert is §7.6.
func (s *Server) revokeCert(c *call) (*answer, *refusal) {
	body, r := c.payload(append([]string{"certificate", "reason"}, s.opts.Extensions...)...)
	if r != nil {
		return nil, r
	}
	text, r := required[string](body, "certificate")
	if r != nil {
		return nil, r
	}
	reason, present, r := member[int](body, "reason")
	if r != nil {
		return nil, r
	}
	if !present {
		reason = noReason
	} else if r := checkReason(reason); r != nil {
		return nil, r
	}
	cert, r := s.certificateToRevoke(text)
	if r != nil {
		return nil, r
	}
	if r := mayRevoke(c, cert); r != nil {
		return nil, r
	}
	if cert.order.series != nil {
		return nil, refuse(http.StatusForbidden, "autoRenewalRevocationNotSupported", "cancel the order instead (RFC 8739 §3.1.2)")
	}
	if cert.revoked {
		return nil, refuse(http.StatusBadRequest, "alreadyRevoked", "the certificate was revoked before (§7.6)")
	}
	cert.revoked, cert.reason = true, reason
	return &answer{status: http.StatusOK}, nil
}

// checkReason accepts the codes of RFC 5280 §5.3.1; 7 is not used.
func checkReason(reason int) *refusal {
	if reason >= 0 && reason <= 10 && reason != 7 {
		return nil
	}
	return refuse(http.StatusBadRequest, "badRevocationReason", "reason %d is not allowed; 0 to 6 and 8 to 10 are (§7.6)", reason)
}

func (s *Server) certificateToRevoke(text string) (*certificate, *refusal) {
	der, err := decode64(text)
	if err != nil {
		return nil, malformed("certificate is not base64url without padding (§6.1)")
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, refuse(http.StatusBadRequest, "malformed", "cannot read the certificate: %v", err)
	}
	for _, c := range s.certList {
		if bytes.Equal(c.leaf.Raw, der) {
			return c, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "malformed", "the certificate is not one of this CA")
}

// mayRevoke wants the key of the certificate, the account that ordered it, or one with authorizations for all its names.
func mayRevoke(c *call, cert *certificate) *refusal {
	if c.account == nil {
		if thumbprint(c.key) == thumbprint(cert.leaf.PublicKey) {
			return nil
		}
		return unauthorized("the request is not signed by the key of the certificate (§7.6)")
	}
	if cert.order.account == c.account {
		return nil
	}
	for _, id := range cert.order.identifiers {
		if c.account.find(authzKeyOf(id), func(*authorization) bool { return true }, statusValid) == nil {
			return unauthorized("the account has no authorization for %q (§7.6)", id.Value)
		}
	}
	return nil
}
