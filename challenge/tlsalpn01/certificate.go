package tlsalpn01

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/vantage"
)

// acmeIdentifier returns the object identifier of the extension (RFC 8737 §3).
func acmeIdentifier() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}
}

// extension returns the extension with the digest of a key authorization.
func extension(k acme.KeyAuthorization) (pkix.Extension, error) {
	digest := k.Digest()
	value, err := asn1.Marshal(digest[:])
	return pkix.Extension{Id: acmeIdentifier(), Critical: true, Value: value}, err
}

// newCertificate makes the certificate for an attempt, with a key of its own:
// self-signed, with one subject alternative name and the extension (RFC 8737 §3).
func newCertificate(a *acme.Attempt) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ext, err := extension(a.KeyAuthorization)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "ACME challenge"}, // an issuer has a name (RFC 5280 §4.1.2.4)
		NotBefore:             now.Add(-24 * time.Hour),                // nobody looks, unless a clock is wrong
		NotAfter:              now.Add(7 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{ext},
	}
	if addr, err := netip.ParseAddr(a.Identifier.Value); a.Identifier.Type == acme.TypeIP && err == nil {
		template.IPAddresses = append(template.IPAddresses, addr.Unmap().AsSlice()) // RFC 8738 §6
	} else {
		template.DNSNames = []string{a.Identifier.Value}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// serverName returns the name that the server asks for (RFC 8737 §3, RFC 8738 §6).
func serverName(id acme.Identifier) (string, error) {
	switch id.Type {
	case acme.TypeDNS:
		name := strings.ToLower(id.Value)
		if !isHostname(name) {
			return "", errors.New("the identifier is not a name in ASCII (A-labels) without a dot at its end")
		}
		return name, nil
	case acme.TypeIP:
		addr, err := netip.ParseAddr(id.Value)
		if err != nil || addr.Zone() != "" {
			return "", errors.New("the identifier is not an IP address")
		}
		return reverse(addr.Unmap()), nil
	}
	return "", errors.New("the identifier is neither a name nor an address")
}

// isHostname reports whether a name in lower case has the form of one. Names
// with underscores are none, but are asked for.
func isHostname(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(name) <= 253
}

// reverse returns the name of an address in in-addr.arpa (RFC 1034) or ip6.arpa
// (RFC 3596).
func reverse(addr netip.Addr) string {
	octets, suffix, text := addr.AsSlice(), "in-addr.arpa", func(b byte) string { return fmt.Sprintf("%d.", b) }
	if addr.Is6() {
		suffix, text = "ip6.arpa", func(b byte) string { return fmt.Sprintf("%x.%x.", b&15, b>>4) }
	}
	var name strings.Builder
	for _, octet := range slices.Backward(octets) {
		name.WriteString(text(octet))
	}
	return name.String() + suffix
}

// verify returns nil if a certificate is right for an attempt: what the server
// verifies (RFC 8737 §3). Its errors say what was found and what was expected.
func verify(cert *x509.Certificate, a *acme.Attempt) error {
	want, err := extension(a.KeyAuthorization)
	if err != nil {
		return err
	}
	var found []pkix.Extension
	for _, e := range cert.Extensions {
		if e.Id.Equal(want.Id) {
			found = append(found, e)
		}
	}
	var names []string // those of kinds that the identifier is not of have their kind before them
	for _, name := range cert.DNSNames {
		if a.Identifier.Type == acme.TypeIP {
			name = "DNS:" + name
		}
		names = append(names, name)
	}
	for _, address := range cert.EmailAddresses {
		names = append(names, "email:"+address)
	}
	for _, ip := range cert.IPAddresses { // no DNS name is written as one
		names = append(names, ip.String())
	}
	switch {
	case len(found) == 0:
		return fmt.Errorf("found a certificate for %s without the extension acmeIdentifier, expected the one of the challenge", vantage.Quote(strings.Join(names, ", "), ""))
	case len(names) != 1 || len(cert.URIs) > 0 || !strings.EqualFold(names[0], a.Identifier.Value):
		return fmt.Errorf("found a certificate for %s, expected one for %s alone", vantage.Quote(strings.Join(names, ", "), ""), vantage.Quote(a.Identifier.Value, ""))
	case len(found) != 1 || !found[0].Critical:
		return errors.New("found the extension acmeIdentifier twice or not critical, expected it once and critical")
	case !bytes.Equal(found[0].Value, want.Value):
		return fmt.Errorf("found another digest in acmeIdentifier: %s, expected %s (is there another order for the name, or an answer left of one?)",
			shorten(found[0].Value), shorten(want.Value))
	case !bytes.Equal(cert.RawSubject, cert.RawIssuer) || cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil:
		return errors.New("found a certificate that is not self-signed, expected one that is")
	}
	return nil
}

func shorten(value []byte) string { return hex.EncodeToString(value[:min(len(value), 10)]) + "…" }
