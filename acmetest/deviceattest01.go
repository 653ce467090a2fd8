package acmetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
)

// ValidateDeviceAttest01 returns an [Options].Validate for device-attest-01 (draft-ietf-acme-device-attest). The response has
// attObj, the base64url form of a WebAuthn attestation object without authData, whose statement has the members of the format
// "packed": alg (-7, ECDSA on P-256 with SHA-256), sig, over the key authorization, and x5c. The first certificate of x5c is the
// device's: its key has signed, the subject's serialNumber is the identifier, and it leads to one of the makers. What is not
// like that is a badAttestationStatement. A response with "error", as devices send it to step-ca, is a rejectedIdentifier.
func ValidateDeviceAttest01(makers *x509.CertPool) func(context.Context, Validation) error {
	return func(_ context.Context, v Validation) error {
		if v.Type != "device-attest-01" {
			return fmt.Errorf("acmetest: ValidateDeviceAttest01 cannot validate %s", v.Type)
		}
		response, err := parseObject(v.Response)
		if err != nil {
			return err
		}
		if text, failed, _ := member[string](response, "error"); failed {
			return &Problem{Type: ErrorURN + "rejectedIdentifier", Detail: "the device says: " + text, Status: http.StatusForbidden}
		}
		text, r := required[string](response, "attObj")
		if r != nil {
			return &r.problem
		}
		if err := checkAttestation(text, v, makers); err != nil {
			return &Problem{Type: ErrorURN + "badAttestationStatement", Detail: err.Error(), Status: http.StatusForbidden}
		}
		return nil
	}
}

// checkAttestation decodes an attestation object and checks its statement.
func checkAttestation(text string, v Validation, makers *x509.CertPool) error {
	data, err := decode64(text)
	if err != nil {
		return fmt.Errorf("attObj is no base64url: %w", err)
	}
	item, rest, err := readCBOR(data)
	if err != nil {
		return err
	}
	object, _ := item.(map[any]any)
	if len(rest) > 0 || len(object) != 2 {
		return errors.New("the attestation object is no map of fmt and attStmt, or more than that")
	}
	if format, _ := object["fmt"].(string); format != "packed" {
		return fmt.Errorf("the format is %v, not packed", object["fmt"])
	}
	statement, _ := object["attStmt"].(map[any]any)
	if statement["alg"] != int64(-7) {
		return fmt.Errorf("alg is %v, not -7", statement["alg"])
	}
	device, err := deviceCertificate(statement, makers)
	if err != nil {
		return err
	}
	if got := device.Subject.SerialNumber; got != v.Identifier.Value {
		return fmt.Errorf("the device is %q, not %q", got, v.Identifier.Value)
	}
	key, _ := device.PublicKey.(*ecdsa.PublicKey)
	signature, _ := statement["sig"].([]byte)
	digest := sha256.Sum256([]byte(v.KeyAuthorization))
	if key == nil || !ecdsa.VerifyASN1(key, digest[:], signature) {
		return errors.New("the signature over the key authorization does not verify")
	}
	return nil
}

// deviceCertificate returns the first certificate of a statement, if it is one by the makers.
func deviceCertificate(statement map[any]any, makers *x509.CertPool) (*x509.Certificate, error) {
	list, _ := statement["x5c"].([]any)
	if len(list) == 0 {
		return nil, errors.New("the statement has no x5c")
	}
	var device *x509.Certificate
	between := x509.NewCertPool()
	for i, item := range list {
		der, _ := item.([]byte)
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("x5c: %w", err)
		}
		if i == 0 {
			device = cert
		} else {
			between.AddCert(cert)
		}
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	_, err := device.Verify(x509.VerifyOptions{Roots: makers, Intermediates: between, KeyUsages: usages})
	return device, err
}
