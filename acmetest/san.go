package acmetest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Identifier types beside "dns" and "ip" whose place in a CSR is known here.
const (
	typeEmail      = "email"                       // RFC 8823
	typeTNAuthList = "TNAuthList"                  // RFC 9448
	typeClaims     = "JWTClaimConstraints"         // draft-ietf-acme-authority-token-jwtclaimcon
	typeClaims2    = "EnhancedJWTClaimConstraints" // the same
	typeBundleEID  = "bundleEID"                   // RFC 9891
	typeDevice     = "permanent-identifier"        // draft-ietf-acme-device-attest
	typeModule     = "hardware-module"             // the same
)

const sanID = "2.5.29.17"

// extensionTypes maps the extensions that hold one identifier to its type.
func extensionTypes() map[string]string {
	return map[string]string{
		"1.3.6.1.5.5.7.1.26": typeTNAuthList, // id-pe-TNAuthList
		"1.3.6.1.5.5.7.1.27": typeClaims,     // id-pe-JWTClaimConstraints
		"1.3.6.1.5.5.7.1.33": typeClaims2,    // id-pe-eJWTClaimConstraints
	}
}

// checkOther is the check of an identifier of another type than "dns" and "ip", as far as its type has rules.
func checkOther(id Identifier) *refusal {
	switch id.Type {
	case typeEmail:
		local, domain, ok := strings.Cut(id.Value, "@")
		if !ok || local == "" || domain == "" || strings.ContainsAny(id.Value, "* <>\r\n") {
			return malformed("%q is not a mail address without a wildcard (RFC 8823 §3)", id.Value)
		}
	case typeBundleEID:
		scheme, rest, _ := strings.Cut(id.Value, ":")
		if _, err := url.PathUnescape(rest); err != nil || rest == "" {
			return malformed("%q does not percent-decode (RFC 9891 §2)", id.Value)
		}
		if scheme != "dtn" && scheme != "ipn" {
			return refuse(http.StatusForbidden, "rejectedIdentifier", "endpoints of scheme %q are not handled here", scheme)
		}
	case typeTNAuthList, typeClaims, typeClaims2:
		der, err := decode64(id.Value)
		var list []asn1.RawValue
		if err == nil {
			_, err = asn1.Unmarshal(der, &list)
		}
		if err != nil {
			return malformed("%q is not DER as base64url without padding (RFC 9448 §3)", id.Value)
		}
	}
	return nil
}

// A requested set of names is what a CSR asks for.
type requested struct {
	identifiers []Identifier
	extensions  []pkix.Extension // that hold them, for the certificate
}

// identifiersOf reads all that a CSR asks for, as identifiers.
func identifiersOf(csr *x509.CertificateRequest) (q requested, r *refusal) {
	for _, e := range csr.Extensions {
		if kind, ok := extensionTypes()[e.Id.String()]; ok {
			q.identifiers = append(q.identifiers, Identifier{Type: kind, Value: encode64(e.Value)})
			q.extensions = append(q.extensions, e)
		}
		if e.Id.String() != sanID {
			continue
		}
		q.extensions = append(q.extensions, e)
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return q, badCSR("cannot read the subject alternative names")
		}
		for _, name := range names {
			id, r := readName(name)
			if r != nil {
				return q, r
			}
			q.identifiers = append(q.identifiers, id)
		}
	}
	return q, nil
}

// readName reads a GeneralName (RFC 5280 §4.2.1.6).
func readName(name asn1.RawValue) (Identifier, *refusal) {
	octet := name.FullBytes[0] // class, constructed, tag
	switch octet {
	case 0xa0:
		return readOtherName(name.Bytes)
	case 0x81:
		return Identifier{Type: typeEmail, Value: string(name.Bytes)}, nil
	case 0x82:
		return Identifier{Type: typeDNS, Value: strings.ToLower(string(name.Bytes))}, nil // RFC 5280 §7.2
	case 0x87:
		addr, ok := netip.AddrFromSlice(name.Bytes) // an IPv4 address has four octets: one mapped into IPv6 is another
		if !ok {
			return Identifier{}, badCSR("the CSR has an address of %d octets", len(name.Bytes))
		}
		return Identifier{Type: typeIP, Value: addr.String()}, nil
	}
	return Identifier{}, badCSR("the CSR has a name of kind %#x, which no identifier type is for", octet)
}

// readOtherName reads the inside of an otherName: a type-id and, tagged, a value.
func readOtherName(der []byte) (id Identifier, r *refusal) {
	var kind asn1.ObjectIdentifier
	var tagged asn1.RawValue
	rest, err := asn1.Unmarshal(der, &kind)
	if err == nil {
		_, err = asn1.Unmarshal(rest, &tagged)
	}
	if err != nil {
		return id, badCSR("cannot read an otherName: %v", err)
	}
	switch kind.String() {
	case "1.3.6.1.5.5.7.8.9", "1.3.6.1.5.5.7.8.11": // SmtpUTF8Mailbox (RFC 9598 §3), BundleEID (RFC 9891 §5)
		id.Type = typeEmail
		if kind[len(kind)-1] == 11 {
			id.Type = typeBundleEID
		}
		_, err = asn1.Unmarshal(tagged.Bytes, &id.Value)
	case "1.3.6.1.5.5.7.8.3": // PermanentIdentifier (RFC 4043)
		var p struct {
			Value    string                `asn1:"optional,utf8"`
			Assigner asn1.ObjectIdentifier `asn1:"optional"`
		}
		_, err = asn1.Unmarshal(tagged.Bytes, &p)
		id = Identifier{Type: typeDevice, Value: p.Value}
		if p.Assigner != nil {
			id.Value += "/" + p.Assigner.String()
		}
	case "1.3.6.1.5.5.7.8.4": // HardwareModuleName (RFC 4108)
		var m struct {
			Type   asn1.ObjectIdentifier
			Serial []byte
		}
		_, err = asn1.Unmarshal(tagged.Bytes, &m)
		id = Identifier{Type: typeModule, Value: string(m.Serial) + "/" + m.Type.String()}
	default:
		return id, badCSR("the CSR has an otherName of kind %v, which no identifier type is for", kind)
	}
	if err != nil {
		return id, badCSR("cannot read an otherName of kind %v: %v", kind, err)
	}
	return id, nil
}

// checkNames wants exactly the identifiers of the order in the CSR (§7.4), each in its own place: RFC 8738 for addresses, RFC
// 8823 for mail, RFC 9448 for TNAuthLists, RFC 9891 for endpoints. Devices may be left out
// (draft-ietf-acme-device-attest). A common name counts where there are domain names, if it could be one, or an address.
func (s *Server) checkNames(o *order, csr *x509.CertificateRequest) *refusal {
	q, r := identifiersOf(csr)
	if r != nil {
		return r
	}
	hasNames := slices.ContainsFunc(o.identifiers, func(id Identifier) bool { return id.Type == typeDNS || id.Type == typeIP })
	cn := strings.ToLower(csr.Subject.CommonName) // RFC 5280 §7.2
	_, noAddress := netip.ParseAddr(cn)
	isHost := checkDNS(cn) == nil || noAddress == nil
	if isHost && hasNames && !slices.Contains(o.identifiers, Identifier{Type: typeIP, Value: cn}) {
		q.identifiers = append(q.identifiers, Identifier{Type: typeDNS, Value: cn})
	}
	for _, id := range q.identifiers {
		bare := id
		if id.Type == typeDevice || id.Type == typeModule { // drafts before -09 have no object identifier in the value
			bare.Value = id.Value[:max(strings.LastIndexByte(id.Value, '/'), 0)]
		}
		if !slices.Contains(o.identifiers, id) && !slices.Contains(o.identifiers, bare) {
			return badCSR("the CSR has %q, which the order has not", id.Value)
		}
	}
	for _, id := range o.identifiers {
		switch id.Type {
		case typeDNS, typeIP, typeEmail, typeTNAuthList, typeClaims, typeClaims2, typeBundleEID:
			if !slices.Contains(q.identifiers, id) {
				return badCSR("the CSR lacks %q, which the order has", id.Value)
			}
		}
	}
	o.issue.extensions = q.extensions
	return nil
}
