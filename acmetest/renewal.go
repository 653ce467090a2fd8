package acmetest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// renewalID is the identifier of RFC 9773 §4.1. SerialNumber.Bytes drops the leading zero octet that DER has and the RFC
// wants.
func (c *certificate) renewalID() string {
	serial := c.leaf.SerialNumber.Bytes()
	if serial[0]&0x80 != 0 {
		serial = append([]byte{0}, serial...)
	}
	return encode64(c.leaf.AuthorityKeyId) + "." + encode64(serial)
}

func (s *Server) certificateByRenewalID(id string) *certificate {
	if id == "" {
		return nil
	}
	for _, c := range s.certList {
		if c.renewalID() == id {
			return c
		}
	}
	return nil
}

// checkRenewalID checks the form of an identifier.
func checkRenewalID(id string) *refusal {
	aki, serial, ok := strings.Cut(id, ".")
	for _, part := range []string{aki, serial} {
		if b, err := decode64(part); err != nil || len(b) == 0 {
			ok = false
		}
	}
	if !ok {
		return malformed("%q is no identifier of a certificate (RFC 9773 §4.1)", id)
	}
	return nil
}

// renewalInfo is RFC 9773 §4.
func (s *Server) renewalInfo(c *call) (*answer, *refusal) {
	if r := checkRenewalID(c.id); r != nil {
		return nil, r
	}
	s.mu.Lock()
	cert, window := s.certificateByRenewalID(c.id), s.opts.RenewalWindow
	s.mu.Unlock()
	if cert == nil {
		return nil, notFound(c.url)
	}
	if time.Now().After(cert.leaf.NotAfter) {
		return nil, violation(http.StatusNotFound, "malformed", "the certificate has expired (RFC 9773 §4.3)")
	}
	start, end := middleOfLastThird(cert.leaf.NotBefore, cert.leaf.NotAfter)
	if window != nil {
		start, end = window(cert.leaf)
	}
	a := jsonAnswer(http.StatusOK, map[string]any{
		"suggestedWindow": map[string]string{"start": stamp(start), "end": stamp(end)},
	})
	a.header.Set("Retry-After", "21600")
	return a, nil
}

func middleOfLastThird(notBefore, notAfter time.Time) (start, end time.Time) {
	ninth := notAfter.Sub(notBefore) / 9
	return notAfter.Add(-2 * ninth), notAfter.Add(-ninth)
}

// checkReplaces checks what the predecessor of an order has to do with it (RFC 9773 §5). A predecessor this CA does not know
// is accepted: it may have been issued before the CA lost its memory.
func (s *Server) checkReplaces(o *order) *refusal {
	if o.replaces == "" {
		return nil
	}
	if s.opts.omits(string(KindRenewalInfo)) {
		return malformed("replaces, where the directory has no renewalInfo (RFC 9773 §5)")
	}
	if r := checkRenewalID(o.replaces); r != nil {
		return r
	}
	old := s.certificateByRenewalID(o.replaces)
	switch {
	case old == nil:
		return nil
	case old.order.account != o.account:
		return unauthorized("the replaced certificate is another account's (RFC 9773 §5)")
	case !slices.ContainsFunc(old.order.identifiers, func(id Identifier) bool { return slices.Contains(o.identifiers, id) }):
		return refuse(http.StatusBadRequest, "malformed", "the replaced certificate has no identifier in common (RFC 9773 §5)")
	case old.isReplaced():
		return refuse(http.StatusConflict, "alreadyReplaced", "the certificate was replaced before (RFC 9773 §5)")
	}
	return nil
}

// isReplaced reports whether there is an order, and not an invalid one, that replaces the certificate.
func (c *certificate) isReplaced() bool {
	if c.replacedBy == nil {
		return false
	}
	c.replacedBy.refresh()
	return c.replacedBy.status != statusInvalid
}
