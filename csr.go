package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// NewCSR returns a function for CertificateRequest.CSR that makes a minimal CSR
// for key: the identifiers as [CSRExtensions] has them and nothing else, as CAs
// want it (a common name with an address in it is refused by Let's Encrypt, a
// key usage by Google). The key must not be the account key.
func NewCSR(key crypto.Signer) func(context.Context, []Identifier) ([]byte, error) {
	return func(_ context.Context, ids []Identifier) ([]byte, error) {
		if key == nil {
			return nil, wrap(ErrNoKey, "CSR")
		}
		extensions, err := CSRExtensions(ids)
		if err != nil {
			return nil, err
		}
		return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: extensions}, key)
	}
}

// checkCSR finds what a server would refuse (§7.4), and what must not be (§11.1).
func (a *Account) checkCSR(der []byte, ids []Identifier) error {
	csr, err := x509.ParseCertificateRequest(der)
	if block, _ := pem.Decode(der); err != nil && block != nil {
		return fmt.Errorf("%w: it is PEM, and DER is wanted: the Bytes of pem.Decode", ErrCSRMismatch)
	}
	if err != nil {
		return fmt.Errorf("%w: it cannot be parsed: %w", ErrCSRMismatch, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("%w: %w", ErrCSRMismatch, err)
	}
	if a.key.isKey(csr.PublicKey) {
		return ErrAccountKeyInCSR
	}
	if err := checkOnionKey(csr.PublicKey, ids); err != nil {
		return err
	}
	have := sanIdentifiers(csr.DNSNames, csr.EmailAddresses, csr.IPAddresses, csr.Extensions)
	have = append(inForm(have, ids), commonName(csr.Subject.CommonName, ids)...)
	if missing := missingFrom(have, nameable(ids)); len(missing) > 0 {
		return fmt.Errorf("%w: it is without %s", ErrCSRMismatch, identifierList(missing))
	}
	if extra := missingFrom(ids, have); len(extra) > 0 {
		return fmt.Errorf("%w: it has %s, which was not ordered", ErrCSRMismatch, identifierList(extra))
	}
	return nil
}

// nameable returns the identifiers that must be in a CSR and in the certificate.
// Those of devices may be left out, for privacy (draft-ietf-acme-device-attest), and
// types that are not known here are the caller's business.
func nameable(ids []Identifier) []Identifier {
	var out []Identifier
	for _, id := range ids {
		switch id.Type {
		case TypeDNS, TypeIP, TypeEmail, TypeBundleEID, TypeTNAuthList, TypeJWTClaimConstraints, TypeEnhancedJWTClaimConstraints:
			out = append(out, id)
		}
	}
	return out
}

// sanIdentifiers turns what is in a CSR or a certificate into identifiers.
func sanIdentifiers(names, addresses []string, ips []net.IP, extensions []pkix.Extension) []Identifier {
	ids := extensionIdentifiers(extensions)
	for _, name := range names {
		ids = append(ids, Identifier{TypeDNS, strings.ToLower(name)})
	}
	for _, address := range addresses {
		ids = append(ids, Identifier{TypeEmail, address})
	}
	for _, ip := range ips {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			ids = append(ids, IP(addr)...)
		}
	}
	return ids
}

// inForm returns the identifiers of a CSR, those of devices in the form in which
// they were ordered: in older drafts without an object identifier.
func inForm(have, ordered []Identifier) []Identifier {
	out := slices.Clone(have)
	for i, id := range out {
		if id.Type != TypePermanentIdentifier && id.Type != TypeHardwareModule {
			continue
		}
		if id.Value, _ = splitDevice(id.Value); slices.Contains(ordered, id) {
			out[i] = id
		}
	}
	return out
}

// commonName returns the name that a common name stands for, if one can: where
// names or addresses were ordered, what looks like either is one of them (§7.4), which
// most servers want to be an alternative name too. Elsewhere, and otherwise, it is
// anything: a person, a serial number, "SHAKEN 709J", "Example CDN".
func commonName(cn string, ordered []Identifier) []Identifier {
	isHost := func(id Identifier) bool { return id.Type == TypeDNS || id.Type == TypeIP }
	isOther := func(id Identifier) bool { return id.Type != TypeDNS && id.Value == cn }
	if !slices.ContainsFunc(ordered, isHost) || slices.ContainsFunc(ordered, isOther) || len(missingFrom(ordered, []Identifier{{TypeIP, cn}})) == 0 {
		return nil
	}
	_, noName := normalizeName(cn)
	_, noAddress := normalizeAddress(cn)
	if noName != nil && noAddress != nil {
		return nil
	}
	return DNS(cn)
}
