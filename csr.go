package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// NewCSR returns a function for CertificateRequest.CSR that makes a minimal CSR
// for key: the identifiers as subject alternative names and nothing else, as CAs
// want it (a common name with an address in it is refused by Let's Encrypt, a
// key usage by Google). The key must not be the account key.
func NewCSR(key crypto.Signer) func(context.Context, []Identifier) ([]byte, error) {
	return func(_ context.Context, ids []Identifier) ([]byte, error) {
		if key == nil {
			return nil, wrap(ErrNoKey, "CSR")
		}
		ids, err := normalizeIdentifiers(ids)
		if err != nil {
			return nil, wrap(err, "CSR")
		}
		var template x509.CertificateRequest
		for _, id := range ids {
			switch id.Type {
			case TypeDNS:
				template.DNSNames = append(template.DNSNames, id.Value)
			case TypeIP:
				template.IPAddresses = append(template.IPAddresses, net.IP(netip.MustParseAddr(id.Value).AsSlice()))
			default:
				return nil, unsupported("a CSR for %s needs a function of your own", id)
			}
		}
		return x509.CreateCertificateRequest(rand.Reader, &template, key)
	}
}

// checkCSR finds what a server would refuse (§7.4), and what must not be (§11.1).
func (a *Account) checkCSR(der []byte, ids []Identifier) error {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fmt.Errorf("%w: it cannot be parsed: %w", ErrCSRMismatch, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("%w: %w", ErrCSRMismatch, err)
	}
	if a.key.isKey(csr.PublicKey) {
		return ErrAccountKeyInCSR
	}
	have := sanIdentifiers(csr.DNSNames, csr.IPAddresses)
	if cn := csr.Subject.CommonName; cn != "" && len(have) == 0 {
		have = DNS(cn) // enough by §7.4, though most servers want a SAN
	} else if cn != "" && len(missingFrom(have, append(DNS(cn), Identifier{TypeIP, cn}))) == 2 {
		have = append(have, DNS(cn)...)
	}
	known := nameable(ids)
	if missing := missingFrom(have, known); len(missing) > 0 {
		return fmt.Errorf("%w: it is without %s", ErrCSRMismatch, identifierList(missing))
	}
	if extra := missingFrom(known, have); len(extra) > 0 {
		return fmt.Errorf("%w: it has %s, which was not ordered", ErrCSRMismatch, identifierList(extra))
	}
	return nil
}

// nameable returns the identifiers that show as a name or an address in a CSR
// or a certificate; others are the caller's business.
func nameable(ids []Identifier) []Identifier {
	var out []Identifier
	for _, id := range ids {
		if id.Type == TypeDNS || id.Type == TypeIP {
			out = append(out, id)
		}
	}
	return out
}

// sanIdentifiers turns subject alternative names into identifiers.
func sanIdentifiers(names []string, ips []net.IP) []Identifier {
	ids := make([]Identifier, 0, len(names)+len(ips))
	for _, name := range names {
		ids = append(ids, Identifier{TypeDNS, strings.ToLower(name)})
	}
	for _, ip := range ips {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			ids = append(ids, IP(addr)...)
		}
	}
	return ids
}
