package acmetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// An authority signs certificates: one intermediate key, and as many roots that certify it as there are chains.
type authority struct {
	key    *ecdsa.PrivateKey // of the intermediate
	chains []chain
}

type chain struct {
	root, intermediate *x509.Certificate
}

// newAuthority makes a key. P-256, because it is fast.
func newAuthority() *authority { return &authority{key: newKey()} }

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("acmetest: " + err.Error()) // never happens
	}
	return key
}

// chain returns the nth chain.
func (a *authority) chain(n int) chain {
	for len(a.chains) <= n {
		a.chains = append(a.chains, a.newChain(len(a.chains)))
	}
	return a.chains[n]
}

// newChain makes a root that certifies the intermediate key. All intermediates have the same name and key, so a leaf belongs
// to every chain.
func (a *authority) newChain(n int) chain {
	rootKey := newKey()
	root := caTemplate(fmt.Sprintf("acmetest Root %d", n), rootKey.Public())
	root = sign(root, root, rootKey.Public(), rootKey)
	intermediate := caTemplate("acmetest Intermediate", a.key.Public())
	intermediate.MaxPathLenZero = true
	return chain{root: root, intermediate: sign(intermediate, root, a.key.Public(), rootKey)}
}

// caTemplate is for roots and intermediates. They are valid for so long that no clock, not even the one of a synctest bubble
// (which starts in 2000), falls outside.
func caTemplate(name string, key crypto.PublicKey) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{Organization: []string{"acmetest"}, CommonName: name},
		NotBefore:             time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2190, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId:          keyID(key),
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign makes a certificate from templates of our own.
func sign(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, by)
	if err != nil {
		panic("acmetest: " + err.Error()) // never happens
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("acmetest: " + err.Error()) // never happens
	}
	return cert
}

// leaf issues a certificate of a finalized order.
func (a *authority) leaf(o *order, notBefore, notAfter time.Time) (*certificate, error) {
	csr := o.issue.csr
	template := &x509.Certificate{
		SerialNumber:          serialNumber(),
		Subject:               pkix.Name{CommonName: csr.Subject.CommonName},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		SubjectKeyId:          keyID(csr.PublicKey),
		BasicConstraintsValid: true,
	}
	if _, ok := csr.PublicKey.(*rsa.PublicKey); ok {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	o.name(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.chain(0).intermediate, csr.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &certificate{id: randomID(9), order: o, leaf: cert}, nil
}

// serialNumber is random and positive. Half of them need a leading zero octet in DER, which RFC 9773 §4.1 keeps.
func serialNumber() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] |= 1           // not zero, and always 16 octets
	return new(big.Int).SetBytes(b)
}

// keyID is the SubjectKeyId of a key (RFC 7093 §2, method 1).
func keyID(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil // CreateCertificate will say why
	}
	sum := sha256.Sum256(der)
	return sum[:20]
}

// name puts the identifiers of a finalized order into its certificate: names and addresses from the order, and where there are
// others all as the CSR has them, which was compared with the order. One of the others is an IPv4 address that is mapped into
// IPv6, because crypto/x509 would write it with four octets.
func (o *order) name(template *x509.Certificate) {
	seen := map[Identifier]bool{}
	for _, id := range o.identifiers {
		addr, _ := netip.ParseAddr(id.Value)
		switch {
		case seen[id]:
		case id.Type == typeDNS:
			template.DNSNames = append(template.DNSNames, id.Value)
		case id.Type == typeIP && !addr.Is4In6():
			template.IPAddresses = append(template.IPAddresses, addr.AsSlice())
		default:
			template.ExtraExtensions = o.issue.extensions
		}
		seen[id] = true
	}
}
