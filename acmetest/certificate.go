package acmetest

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
)

// A certificate is an issued one, with what the CA knows about it.
type certificate struct {
	id         string
	order      *order
	leaf       *x509.Certificate
	revoked    bool
	reason     int    // noReason if the request had none
	replacedBy *order // RFC 9773 §5
}

func (c *certificate) url(base string) string { return base + pathCertificate + c.id }

// Issued returns the end-entity certificates issued so far, oldest first.
func (s *Server) Issued() []*x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settleQuietly()
	var leaves []*x509.Certificate
	for _, c := range s.certList {
		leaves = append(leaves, c.leaf)
	}
	return leaves
}

// Root returns a trust anchor of the issued certificates: 0 is the default chain's, 1 and so on are those of the alternates.
// It panics if there are not that many.
func (s *Server) Root(i int) *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i < 0 || i > s.opts.AlternateChains {
		panic("acmetest: there is no root " + strconv.Itoa(i))
	}
	return s.ca().chain(i).root
}

// Roots returns all trust anchors, of the default chain and of the alternates.
func (s *Server) Roots() *x509.CertPool {
	s.mu.Lock()
	defer s.mu.Unlock()
	pool := x509.NewCertPool()
	for i := range s.opts.AlternateChains + 1 {
		pool.AddCert(s.ca().chain(i).root)
	}
	return pool
}

// ca returns the keys and certificates that sign, which are made when first needed. The lock is held.
func (s *Server) ca() *authority {
	if s.authority == nil {
		s.authority = newAuthority()
	}
	return s.authority
}

// certificatePage is the certificate resource (§7.4.2): the default chain at the URL itself, alternates below it.
func (s *Server) certificatePage(c *call) (*answer, *refusal) {
	id, number, alternate := strings.Cut(c.id, "/")
	n := 0
	if alternate {
		var err error
		if n, err = strconv.Atoi(number); err != nil || n < 1 || n > s.opts.AlternateChains {
			return nil, notFound(c.url)
		}
	}
	cert, r := s.certificateFor(c, id)
	if r != nil {
		return nil, r
	}
	a := &answer{
		status: http.StatusOK,
		header: http.Header{"Content-Type": {chainType}},
		body:   chainPEM(cert.leaf, s.ca().chain(n).intermediate),
	}
	if cert.order.series != nil { // RFC 8739 §3.3
		a.header.Set("Cert-Not-Before", cert.leaf.NotBefore.UTC().Format(http.TimeFormat))
		a.header.Set("Cert-Not-After", cert.leaf.NotAfter.UTC().Format(http.TimeFormat))
	}
	for i := range s.opts.AlternateChains + 1 {
		switch i {
		case n:
		case 0:
			addLink(a.header, c.base+pathCertificate+id, "alternate")
		default:
			addLink(a.header, c.base+pathCertificate+id+"/"+strconv.Itoa(i), "alternate")
		}
	}
	return a, nil
}

// certificateFor finds the certificate at a URL, and who may have it: the account, and where that was agreed upon everybody (RFC
// 8739 §3.4, RFC 9115 §2.3.5).
func (s *Server) certificateFor(c *call, id string) (*certificate, *refusal) {
	cert, o := s.certificates[id], s.orders[id]
	switch {
	case cert != nil:
		o = cert.order
	case o == nil || o.series == nil || o.series.certificates == nil:
		return nil, notFound(c.url)
	}
	if c.method == http.MethodPost && o.account != c.account {
		return nil, unauthorized("this certificate is another account's")
	}
	if c.method != http.MethodPost && !o.getAllowed {
		r := violation(http.StatusMethodNotAllowed, "malformed", "%s is not allowed on this certificate (§6.3, RFC 8739 §3.4)", c.method)
		r.header.Set("Allow", http.MethodPost)
		return nil, r
	}
	if r := c.asGet(); r != nil {
		return nil, r
	}
	if cert != nil {
		return cert, nil
	}
	return s.current(o)
}

// chainPEM is application/pem-certificate-chain (§9.1).
func chainPEM(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes it all
	}
	return b.Bytes()
}
