package acmetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	typeOnionCSR01 = "onion-csr-01" // RFC 9799
	memberOnionCAA = "onionCAA"     // of finalize requests (RFC 9799 §6.4)
)

func isOnion(id Identifier) bool { return id.Type == typeDNS && strings.HasSuffix(id.Value, ".onion") }

// onionAddress is the name of the hidden service, without what is below it.
func onionAddress(name string) string {
	labels := strings.Split(name, ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// onionKey decodes an address of version 3 (tor-spec, "Special Hostnames in Tor"): PUBKEY, CHECKSUM, VERSION.
func onionKey(name string) (ed25519.PublicKey, error) {
	label, _, _ := strings.Cut(onionAddress(name), ".")
	raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(label))
	if err != nil || len(label) != 56 || len(raw) != 35 || raw[34] != 3 {
		return nil, fmt.Errorf("%q is no onion address of version 3 (RFC 9799 §2)", name)
	}
	sum := sha3.Sum256(slices.Concat([]byte(".onion checksum"), raw[:32], raw[34:]))
	if !bytes.Equal(sum[:2], raw[32:34]) {
		return nil, fmt.Errorf("the checksum in %q is wrong", name)
	}
	return raw[:32], nil
}

// ValidateOnionCSR01 is an [Options].Validate for onion-csr-01 (RFC 9799 §3.2): the response has a CSR with the key of the onion
// name, signed by it, and with the nonces of both sides. Challenges of other types fail.
func ValidateOnionCSR01(_ context.Context, v Validation) error {
	if v.Type != typeOnionCSR01 {
		return fmt.Errorf("acmetest: ValidateOnionCSR01 cannot validate %s", v.Type)
	}
	key, err := onionKey(v.Identifier.Value)
	if err != nil {
		return err
	}
	response, err := parseObject(v.Response)
	if err != nil {
		return err
	}
	if r := response.only("csr"); r != nil {
		return &r.problem
	}
	text, r := required[string](response, "csr")
	if r != nil {
		return &r.problem
	}
	der, err := decode64(text)
	if err != nil {
		return fmt.Errorf("csr is not base64url without padding: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fmt.Errorf("cannot read the CSR: %w", err)
	}
	if !key.Equal(csr.PublicKey) {
		return errors.New("the key of the CSR is not that of the onion name")
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("the signature of the CSR does not verify: %w", err)
	}
	return checkNonces(csr.RawTBSCertificateRequest, v.Challenge)
}

// checkNonces looks at the attributes of a CSR: caSigningNonce must be the challenge's, and applicantSigningNonce have 64 bits.
func checkNonces(info, challenge []byte) error {
	var object struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(challenge, &object); err != nil {
		return err
	}
	nonce, err := base64.StdEncoding.DecodeString(object.Nonce)
	if err != nil {
		return err
	}
	values, err := octetAttributes(info)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(values["2.23.140.41"], nonce):
		return fmt.Errorf("caSigningNonce is %x, not %x", values["2.23.140.41"], nonce)
	case len(values["2.23.140.42"]) < 8:
		return fmt.Errorf("applicantSigningNonce has %d octets", len(values["2.23.140.42"]))
	}
	return nil
}

// octetAttributes returns the attributes of a CertificationRequestInfo (RFC 2986 §4.1) that are one OCTET STRING.
func octetAttributes(info []byte) (map[string][]byte, error) {
	var parsed struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes []struct {
			Type   asn1.ObjectIdentifier
			Values []asn1.RawValue `asn1:"set"`
		} `asn1:"tag:0,set"`
	}
	if _, err := asn1.Unmarshal(info, &parsed); err != nil {
		return nil, fmt.Errorf("cannot read the attributes of the CSR: %w", err)
	}
	values := map[string][]byte{}
	for _, a := range parsed.Attributes {
		name := a.Type.String()
		if _, twice := values[name]; twice || len(a.Values) != 1 {
			return nil, fmt.Errorf("the attribute %s has not one value", name)
		}
		if v := a.Values[0]; v.Class == asn1.ClassUniversal && v.Tag == asn1.TagOctetString {
			values[name] = v.Bytes
		}
	}
	return values, nil
}

// checkOnionKey refuses a CSR with the key of an onion name, which must not be used for the certificate (RFC 9799 §3.2).
func checkOnionKey(key crypto.PublicKey, ids []Identifier) *refusal {
	held, ok := key.(ed25519.PublicKey)
	for _, id := range ids {
		if own, err := onionKey(id.Value); ok && isOnion(id) && err == nil && own.Equal(held) {
			r := badCSR("the key of the CSR is that of %s (RFC 9799 §3.2)", id.Value)
			r.violation = true
			return r
		}
	}
	return nil
}

// checkOnionCAA looks at the record sets that a finalize request brings for the onion names in an order (RFC 9799 §6.4).
func (s *Server) checkOnionCAA(o *order, body object) *refusal {
	sets, present, r := member[map[string]json.RawMessage](body, memberOnionCAA)
	if r != nil {
		return r
	}
	wanted := map[string]bool{}
	for _, id := range o.identifiers {
		if isOnion(id) {
			wanted[onionAddress(id.Value)] = true
		}
	}
	for name := range wanted {
		if _, ok := sets[name]; !ok && (present || s.opts.OnionCAARequired) {
			return refuse(http.StatusForbidden, "onionCAARequired", "there is no onionCAA for %s (RFC 9799 §6.4.1)", name)
		}
	}
	for name, raw := range sets {
		if !wanted[name] {
			return malformed("onionCAA has %q, which is no onion name of the order", name)
		}
		if r := checkSignedCAA(name, raw); r != nil {
			return r
		}
	}
	return nil
}

// checkSignedCAA checks the record set of one name.
func checkSignedCAA(name string, raw json.RawMessage) *refusal {
	set, r := parseMembers(raw, "caa", "expiry", "signature")
	if r != nil {
		return r
	}
	text, ok := "", string(set["caa"]) == "null"
	if !ok {
		if text, r = required[string](set, "caa"); r != nil {
			return r
		}
		line := regexp.MustCompile(`^caa \d{1,3} [a-zA-Z0-9]+ \S.*$`)
		for l := range strings.SplitSeq(text, "\n") {
			if !line.MatchString(l) {
				return malformed("caa of %s has the line %q", name, l)
			}
		}
	}
	expiry, r := required[int64](set, "expiry")
	if r != nil {
		return r
	}
	if left := time.Until(time.Unix(expiry, 0)); left <= 0 || left > 8*time.Hour {
		return malformed("the expiry of the CAA records of %s is %v away (RFC 9799 §6.4)", name, left)
	}
	encoded, r := required[string](set, "signature")
	if r != nil {
		return r
	}
	signature, err := decode64(encoded)
	key, keyErr := onionKey(name)
	if err != nil || keyErr != nil || !ed25519.Verify(key, fmt.Appendf(nil, "onion-caa|%d|%s", expiry, text), signature) {
		return malformed("the signature of the CAA records of %s does not verify (RFC 9799 §6.4)", name)
	}
	return nil
}
