package csrtemplate

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"github.com/seed-aa0b9f56/acme"
)

// Extensions of a request (RFC 5280 §4.2.1).
const (
	oidSubjectAltName = "2.5.29.17"
	oidKeyUsage       = "2.5.29.15"
	oidExtKeyUsage    = "2.5.29.37"

	oidExtensionRequest = "1.2.840.113549.1.9.14"
)

// Check compares a request, a DER-encoded CSR that was made otherwise, with the
// template (RFC 9115 §4.1): key, signature, subject, names and extensions are as it
// has them, and there is nothing else. The error Is [acme.ErrCSRMismatch] and names the
// field.
func (t *Template) Check(csr []byte) error {
	if err := t.check(csr); err != nil {
		return fmt.Errorf("%w: CSR template: %w (RFC 9115 §4.1)", acme.ErrCSRMismatch, err)
	}
	return nil
}

func (t *Template) check(der []byte) error {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	if err := csr.CheckSignature(); err != nil {
		return err
	}
	if err := onlyExtensions(der); err != nil {
		return err
	}
	if err := t.checkKey(csr); err != nil {
		return err
	}
	if err := t.checkSubject(csr); err != nil {
		return err
	}
	n, err := namesOf(csr)
	if err != nil {
		return err
	}
	if err := t.checkNames(n); err != nil {
		return err
	}
	return t.checkExtensions(csr)
}

func (t *Template) checkKey(csr *x509.CertificateRequest) error {
	for _, k := range t.KeyTypes {
		one := Template{KeyTypes: []KeyType{k}}
		if a := one.algorithm(csr.PublicKey); a != 0 && a == csr.SignatureAlgorithm {
			return nil
		}
	}
	return fmt.Errorf("keyTypes: the key, or its signature with %v, is none of %+v", csr.SignatureAlgorithm, t.KeyTypes)
}

func (t *Template) checkSubject(csr *x509.CertificateRequest) error {
	has := map[string]string{}
	for _, a := range csr.Subject.Names {
		i := slices.IndexFunc(attributes(), func(known [2]string) bool { return known[1] == a.Type.String() })
		if i < 0 {
			return fmt.Errorf("subject: a field %v, which the template has not", a.Type)
		}
		field := attributes()[i][0]
		value, isText := a.Value.(string)
		if _, twice := has[field]; twice || !isText {
			return fmt.Errorf("subject: %s is there twice, or no text", field)
		}
		has[field] = value
	}
	for _, a := range attributes() {
		field := a[0]
		want, inTemplate := t.Subject[field]
		got, present := has[field]
		switch {
		case present && !inTemplate:
			return fmt.Errorf("subject: %s, which the template has not", field)
		case !present && inTemplate && want != Optional:
			return fmt.Errorf("subject: %s is missing", field)
		case present && isWildcard(want) && got == "":
			return fmt.Errorf("subject: %s is empty", field)
		case present && !isWildcard(want) && got != want:
			return fmt.Errorf("subject: %s is %s, not %s", field, quoted(got), quoted(want))
		}
	}
	return nil
}

// checkNames compares the names of a request that was read, or is being made.
func (t *Template) checkNames(n names) error {
	for _, kind := range []struct {
		name       string
		want, have []string
	}{{"DNS", t.DNS, n.dns}, {"Email", t.Email, n.email}, {"URI", t.URI, n.uri}} {
		if err := checkList(kind.name, kind.want, kind.have); err != nil {
			return err
		}
	}
	return nil
}

// checkList wants all values, one more for each "**", and at most one more for each
// "*".
func checkList(kind string, want, have []string) error {
	more := slices.Clone(have)
	mandatory, optional := 0, 0
	for _, w := range want {
		switch w {
		case Mandatory:
			mandatory++
		case Optional:
			optional++
		default:
			i := slices.Index(more, w)
			if i < 0 {
				return fmt.Errorf("%s: %s is missing", kind, quoted(w))
			}
			more = slices.Delete(more, i, i+1)
		}
	}
	switch {
	case len(more) < mandatory:
		return fmt.Errorf("%s: %d names of the holder's choice are missing", kind, mandatory-len(more))
	case len(more) > mandatory+optional:
		return fmt.Errorf("%s: %s is not in the template", kind, quoted(more[mandatory+optional]))
	}
	return nil
}

func (t *Template) checkExtensions(csr *x509.CertificateRequest) error {
	want, err := t.extensions()
	if err != nil {
		return err
	}
	names := 0
	for _, e := range csr.Extensions {
		at := e.Id.String()
		if at == oidSubjectAltName {
			if names++; names > 1 {
				return fmt.Errorf("two subject alternative name extensions")
			}
			continue
		}
		i := slices.IndexFunc(want, func(w pkix.Extension) bool { return w.Id.Equal(e.Id) })
		if i < 0 {
			return fmt.Errorf("an extension %s, which the template has not, or twice", at)
		}
		if !equalExtension(at, want[i].Value, e.Value) {
			return fmt.Errorf("the extension %s is another one than the template's", at)
		}
		want = slices.Delete(want, i, i+1)
	}
	if len(want) > 0 {
		return fmt.Errorf("the extension %v is missing", want[0].Id)
	}
	return nil
}

// onlyExtensions refuses attributes of a request other than the one that has the
// extensions (RFC 2986 §4.1, RFC 2985 §5.4.2), and whatever else crypto/x509 passes
// over.
func onlyExtensions(der []byte) error {
	csr, err := exactly[request](der)
	if err != nil {
		return err
	}
	for i, a := range csr.Info.Attributes {
		if i > 0 || len(a.Lists) != 1 || a.Kind.String() != oidExtensionRequest {
			return fmt.Errorf("an attribute %v, which the template has not, or twice", a.Kind)
		}
		if _, err := exactly[[]pkix.Extension](a.Lists[0].FullBytes); err != nil {
			return err
		}
	}
	return nil
}

// A request has all that a CSR has (RFC 2986 §4).
type request struct {
	Info struct {
		Version   int
		Subject   []valueSET
		PublicKey struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		Attributes []struct {
			Kind  asn1.ObjectIdentifier
			Lists []asn1.RawValue `asn1:"set"`
		} `asn1:"tag:0"`
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// A valueSET is one component of a subject: by its name encoding/asn1 knows a set.
type valueSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// exactly parses DER that has nothing beyond T: encoding/asn1 passes over what
// follows in a sequence.
func exactly[T any](der []byte) (v T, err error) {
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		return v, err
	}
	if again, err := asn1.Marshal(v); err != nil || !bytes.Equal(again, der) {
		return v, fmt.Errorf("the request is not in DER, or has elements that no request has")
	}
	return v, nil
}

// equalExtension compares values of an extension; purposes may be in any order.
func equalExtension(at string, a, b []byte) bool {
	if at != oidExtKeyUsage {
		return slices.Equal(a, b)
	}
	sorted := func(der []byte) (texts []string) {
		var ids []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(der, &ids); err != nil || len(rest) > 0 {
			return nil
		}
		for _, id := range ids {
			texts = append(texts, id.String())
		}
		slices.Sort(texts)
		return texts
	}
	return slices.Equal(sorted(a), sorted(b))
}
