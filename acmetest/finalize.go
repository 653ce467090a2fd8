package acmetest

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"slices"
	"time"
)

// An issuance is a finalized order on its way to a certificate.
type issuance struct {
	csr        *x509.CertificateRequest
	extensions []pkix.Extension // for the certificate, if there is more in it than names and addresses
	due        time.Time
}

// finalize is §7.4.
func (s *Server) finalize(c *call) (*answer, *refusal) {
	o, r := s.ownOrder(c)
	if r != nil {
		return nil, r
	}
	body, r := c.payload(append([]string{"csr", memberOnionCAA}, s.opts.Extensions...)...)
	if r != nil {
		return nil, r
	}
	text, r := required[string](body, "csr")
	if r != nil {
		return nil, r
	}
	if o.status != statusReady {
		return nil, refuse(http.StatusForbidden, "orderNotReady", "the order is %s", o.status)
	}
	csr, r := s.checkCSR(o, text)
	if r == nil {
		r = s.checkOnionCAA(o, body)
	}
	if r != nil {
		return nil, r // the order stays ready
	}
	o.status = statusProcessing
	o.issue.csr, o.issue.due = csr, time.Now().Add(s.opts.IssuanceTime)
	s.issuing = append(s.issuing, o)
	s.issueDue()
	a := jsonAnswer(http.StatusOK, o.page(c.base))
	s.optionalLocation(a, o.url(c.base))
	s.retryAfter(a)
	return a, nil
}

// checkCSR decodes a CSR and compares it with the order.
func (s *Server) checkCSR(o *order, text string) (*x509.CertificateRequest, *refusal) {
	der, err := decode64(text)
	if err != nil {
		return nil, malformed("csr is not base64url without padding (§6.1)")
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, badCSR("cannot read the CSR: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, badCSR("the signature of the CSR does not verify: %v", err)
	}
	if key, ok := csr.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < minRSABits {
		return nil, badCSR("an RSA key of %d bits is too small", key.N.BitLen())
	}
	if s.accountByKey[thumbprint(csr.PublicKey)] != nil {
		return nil, badCSR("the key of the CSR is an account key (§11.1)")
	}
	if r := checkOnionKey(csr.PublicKey, o.identifiers); r != nil {
		return nil, r
	}
	if r := o.checkTemplate(csr); r != nil {
		return nil, r
	}
	return csr, s.checkNames(o, csr)
}

func badCSR(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, "badCSR", format, args...)
}

// issueDue issues the certificates whose time has come. The lock is held.
func (s *Server) issueDue() {
	now := time.Now()
	s.issuing = slices.DeleteFunc(s.issuing, func(o *order) bool {
		if o.refresh(); o.status != statusProcessing {
			return true // an authorization failed in the meantime
		}
		if now.Before(o.issue.due) {
			return false
		}
		if s.opts.IssuanceError != nil {
			o.fail(s.opts.IssuanceError)
			return true
		}
		s.issue(o)
		return true
	})
}

// issue makes the certificate of an order.
func (s *Server) issue(o *order) {
	if !s.issuable(o) {
		o.status = statusInvalid
		return
	}
	if err := s.issueFor(o); err != nil {
		o.fail(&Problem{Type: ErrorURN + "serverInternal", Detail: err.Error(), Status: http.StatusInternalServerError})
		return
	}
	o.status = statusValid
}

// issueFor makes the certificate of an order, or the first of its series.
func (s *Server) issueFor(o *order) error {
	if o.series != nil {
		return s.begin(o)
	}
	notBefore, notAfter := o.validFrom(), o.notAfter
	if notAfter.IsZero() {
		notAfter = notBefore.Add(s.opts.certificateLifetime())
	}
	if !notAfter.After(notBefore) { // notBefore being now, which is later than when it was checked
		return errors.New("notAfter has passed")
	}
	c, err := s.ca().leaf(o, notBefore, notAfter)
	if err != nil {
		return err
	}
	s.certificates[c.id] = c
	s.certList = append(s.certList, c)
	o.certificate = c
	return nil
}
