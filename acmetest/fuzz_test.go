package acmetest_test

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// FuzzValidate: whatever a client answers a challenge with, the CA does not panic, and
// does not take it, as it was made without a key.
func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"attObj":"omNmbXRmcGFja2VkZ2F0dFN0bXSjY2FsZyZjc2lnQGN4NWOA"}`))
	f.Add([]byte(`{"error":"x"}`))
	f.Add([]byte(`{"csr":"MAA"}`))
	f.Add([]byte(`{"tkauth":"eyJhbGciOiJFUzI1NiJ9.e30.AA"}`))
	f.Add([]byte("Subject: Re: ACME: x\r\nFrom: <a@example.com>\r\nIn-Reply-To: <1@ca.test>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n-----BEGIN ACME RESPONSE-----\r\nx\r\n-----END ACME RESPONSE-----\r\n--b--\r\n"))
	f.Add([]byte("ca.test; accounturi=https://ca.test/account/2; persistUntil=1"))
	f.Add([]byte("\x82\x18\xff\xa3\x01\x41\x00\x03\x26\x04\x40"))
	f.Fuzz(func(t *testing.T, data []byte) {
		v := acmetest.Validation{
			Identifier: acmetest.Identifier{Type: "dns", Value: "5anebu2glyc235wbbop3m2ukzlaptpkq333vdtdvcjpigyb7x2i2m2qd.onion"}, Token: "t", KeyAuthorization: "t.x",
			MailToken: "m", AccountURL: "https://ca.test/account/1", Thumbprint: tkThumbprint, Response: data,
			Challenge: []byte(`{"from":"ca@ca.test","issuer-domain-names":["ca.test"],"accounturi":"https://ca.test/account/1","nonce":"bI6/MRqV4gw=","id-chal":"AA"}`),
		}
		for typ, validate := range map[string]func(context.Context, acmetest.Validation) error{
			"device-attest-01": acmetest.ValidateDeviceAttest01(x509.NewCertPool()),
			"onion-csr-01":     acmetest.ValidateOnionCSR01,
			"tkauth-01":        acmetest.ValidateTKAuth01(new(acmetest.TokenAuthority)),
			"email-reply-00":   acmetest.ValidateEmailReply00(func(string) [][]byte { return [][]byte{data} }),
			"dns-persist-01":   acmetest.ValidateDNSPersist01(func(string) []string { return []string{string(data)} }, ""),
			"bp-nodeid-00":     acmetest.ValidateBPNodeID00(func(context.Context, acmetest.Bundle) ([]byte, error) { return data, nil }),
		} {
			v.Type = typ
			if err := validate(t.Context(), v); err == nil && typ != "dns-persist-01" { // whose record has no secret
				t.Errorf("%s: taken: %q", typ, data)
			}
		}
	})
}
