package acme

import (
	"bytes"
	"crypto/x509"
	"iter"
)

// PreferRoot returns a function for CertificateRequest.Chain that takes the
// chain which leads to a root with one of these names, the first of them if it
// can be had. A name is a common name ("ISRG Root X1"), or a whole
// distinguished name as pkix.Name prints it. The root itself need not be in the
// chain: the issuer of the last certificate counts (§7.4.2).
//
// If no chain matches, it is the default one. Alternates are downloaded one
// after the other until there is nothing better to find; one that cannot be had
// is passed over.
func PreferRoot(names ...string) func(iter.Seq2[*Certificate, error]) *Certificate {
	return prefer(names, func(chain []*x509.Certificate, name string) bool {
		last := chain[len(chain)-1]
		return isNamed(last.Issuer.CommonName, last.Issuer.String(), name)
	})
}

// PreferIssuer is like PreferRoot, but takes a chain in which any certificate,
// be it the end-entity certificate or an intermediate one, was issued by one of
// the names.
func PreferIssuer(names ...string) func(iter.Seq2[*Certificate, error]) *Certificate {
	return prefer(names, func(chain []*x509.Certificate, name string) bool {
		for _, cert := range chain {
			if isNamed(cert.Issuer.CommonName, cert.Issuer.String(), name) {
				return true
			}
		}
		return false
	})
}

// PreferKeyID is like PreferRoot, but takes a chain with an issuer that has one
// of these subject key identifiers: names of CAs are used again, keys are not.
func PreferKeyID(ids ...[]byte) func(iter.Seq2[*Certificate, error]) *Certificate {
	return prefer(ids, func(chain []*x509.Certificate, id []byte) bool {
		for i, cert := range chain {
			if bytes.Equal(cert.AuthorityKeyId, id) || i > 0 && bytes.Equal(cert.SubjectKeyId, id) {
				return len(id) > 0
			}
		}
		return false
	})
}

func isNamed(commonName, name, want string) bool {
	return want != "" && (commonName == want || name == want)
}

// prefer looks for the chain that matches what comes first in wanted.
func prefer[T any](wanted []T, matches func([]*x509.Certificate, T) bool) func(iter.Seq2[*Certificate, error]) *Certificate {
	return func(chains iter.Seq2[*Certificate, error]) *Certificate {
		var best *Certificate
		left := wanted // what would be better
		for cert, err := range chains {
			if err != nil {
				continue
			}
			chain, err := cert.Chain()
			if err != nil {
				continue
			}
			for i, want := range left {
				if matches(chain, want) {
					best, left = cert, left[:i]
					break
				}
			}
			if len(left) == 0 {
				break
			}
		}
		return best
	}
}
