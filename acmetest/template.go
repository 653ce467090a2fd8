package acmetest

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// A template is a CSR template (RFC 9115 §4).
type template struct {
	KeyTypes []struct {
		PublicKeyType, SignatureType, NamedCurve string
		PublicKeyLength                          int
	}
	Subject    map[string]string
	Extensions struct {
		KeyUsage, ExtendedKeyUsage []string
		SubjectAltName             struct{ DNS, Email, URI []string }
	}
}

func parseTemplate(text string) (t template, r *refusal) {
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return t, refuse(http.StatusInternalServerError, "serverInternal", "Options.Delegations: %v", err)
	}
	return t, nil
}

// subjectIDs maps the names of a template's subject to attribute types.
func subjectIDs() map[string]string {
	return map[string]string{
		"country": "2.5.4.6", "stateOrProvince": "2.5.4.8", "locality": "2.5.4.7", "organization": "2.5.4.10",
		"organizationalUnit": "2.5.4.11", "commonName": "2.5.4.3", "emailAddress": "1.2.840.113549.1.9.1",
	}
}

// checkTemplate compares a CSR with the template of a delegated order: it has what the template has, and nothing else (RFC 9115
// §4.1).
func (o *order) checkTemplate(csr *x509.CertificateRequest) *refusal {
	if o.delegation == nil {
		return nil
	}
	t, r := parseTemplate(o.delegation.CSRTemplate)
	if r != nil {
		return r
	}
	why := t.checkKey(csr)
	if why == "" {
		why = t.checkSubject(csr)
	}
	if why == "" {
		why = t.checkExtensions(csr)
	}
	if why != "" {
		return violation(http.StatusForbidden, "badCSR", "the CSR breaks the template: %s (RFC 9115 §4.1)", why)
	}
	return nil
}

func (t *template) checkKey(csr *x509.CertificateRequest) string {
	for _, k := range t.KeyTypes {
		switch key := csr.PublicKey.(type) {
		case *rsa.PublicKey:
			hash, _ := strings.CutSuffix(k.SignatureType, "WithRSAEncryption")
			if k.PublicKeyType == "rsaEncryption" && key.N.BitLen() == k.PublicKeyLength && csr.SignatureAlgorithm.String() == strings.ToUpper(hash)+"-RSA" {
				return ""
			}
		case *ecdsa.PublicKey:
			curve := map[string]string{"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[k.NamedCurve]
			hash, _ := strings.CutPrefix(k.SignatureType, "ecdsa-with-")
			if k.PublicKeyType == "id-ecPublicKey" && key.Params().Name == curve && csr.SignatureAlgorithm.String() == "ECDSA-"+hash {
				return ""
			}
		}
	}
	return "its key and signature are none of keyTypes"
}

func (t *template) checkSubject(csr *x509.CertificateRequest) string {
	has := map[string]string{}
	for _, a := range csr.Subject.Names {
		has[a.Type.String()], _ = a.Value.(string)
	}
	for name, want := range t.Subject {
		id := subjectIDs()[name]
		got, present := has[id]
		delete(has, id)
		if want != "*" && !present || want == "**" && got == "" || strings.Trim(want, "*") != "" && got != want {
			return "subject " + name
		}
	}
	for id := range has {
		return "subject " + id
	}
	return ""
}

func (t *template) checkExtensions(csr *x509.CertificateRequest) string {
	var usage, purposes []string
	for _, e := range csr.Extensions {
		switch e.Id.String() {
		case sanID:
		case "2.5.29.15":
			var bits asn1.BitString
			_, _ = asn1.Unmarshal(e.Value, &bits) // none, if it cannot be read
			for i, name := range []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly"} {
				if bits.At(i) == 1 {
					usage = append(usage, name)
				}
			}
		case "2.5.29.37":
			var ids []asn1.ObjectIdentifier
			_, _ = asn1.Unmarshal(e.Value, &ids) // none, if they cannot be read
			names := map[string]string{"1": "serverAuth", "2": "clientAuth", "3": "codeSigning", "4": "emailProtection", "8": "timeStamping", "9": "OCSPSigning"}
			for _, id := range ids {
				name := id.String()
				if short, ok := strings.CutPrefix(name, "1.3.6.1.5.5.7.3."); ok && names[short] != "" {
					name = names[short]
				}
				purposes = append(purposes, name)
			}
		default:
			return "extension " + e.Id.String()
		}
	}
	var uris []string
	for _, u := range csr.URIs {
		uris = append(uris, u.String())
	}
	san := t.Extensions.SubjectAltName
	for name, pair := range map[string][2][]string{
		"keyUsage": {t.Extensions.KeyUsage, usage}, "extendedKeyUsage": {t.Extensions.ExtendedKeyUsage, purposes},
		"DNS": {san.DNS, csr.DNSNames}, "Email": {san.Email, csr.EmailAddresses}, "URI": {san.URI, uris},
	} {
		if !fulfils(pair[0], pair[1]) {
			return name
		}
	}
	return ""
}

// fulfils reports whether a list has all literal values of the wanted one, something for each "**", and nothing beyond but where
// there is a wildcard.
func fulfils(want, have []string) bool {
	rest, mandatory, optional := slices.Clone(have), 0, false
	for _, w := range want {
		switch w {
		case "**":
			mandatory++
		case "*":
			optional = true
		default:
			i := slices.Index(rest, w)
			if i < 0 {
				return false
			}
			rest = slices.Delete(rest, i, i+1)
		}
	}
	return len(rest) >= mandatory && (len(rest) == mandatory || optional)
}
