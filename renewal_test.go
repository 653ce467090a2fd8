package acme_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

// The example of RFC 9773, Appendix A.
const ariExample = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----`

func TestCertID(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode([]byte(ariExample))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := acme.NewCertID(cert); err != nil || id != "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" {
		t.Errorf("got %q, %v", id, err)
	}
	for _, bad := range []*x509.Certificate{nil, {}, {AuthorityKeyId: []byte{1}}, {SerialNumber: big.NewInt(1)}} {
		if _, err := acme.NewCertID(bad); !errors.Is(err, acme.ErrInvalidChain) {
			t.Errorf("%v: got %v", bad, err)
		}
	}
}

func TestRenewalInfo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		answer := func(body string) {
			f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 200, Body: []byte(body), Header: http.Header{"Retry-After": {"21600"}}}))
		}
		answer(`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"},"explanationURL":"https://ca.test/why"}`)
		info, err := f.client.RenewalInfo(t.Context(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")
		if err != nil || info.Start.Day() != 2 || info.End.Day() != 3 || info.ExplanationURL != "https://ca.test/why" || !info.RetryAfter.Equal(time.Now().Add(6*time.Hour)) {
			t.Errorf("got %+v, %v", info, err)
		}
		last := f.ca.Requests()[len(f.ca.Requests())-1]
		if last.Method != http.MethodGet || !strings.HasSuffix(last.URL, "/aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE") || strings.Contains(last.URL, "test//") {
			t.Errorf("asked %s %s", last.Method, last.URL)
		}
		for _, body := range []string{
			`{}`, `null`, `<html>`, `{"suggestedWindow":null}`, `{"suggestedWindow":{"start":"2025-01-03T04:00:00Z","end":"2025-01-02T04:00:00Z"}}`,
			`{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-02T04:00:00Z"}}`, `{"suggestedWindow":{"end":"2025-01-02T04:00:00Z"}}`, `{"suggestedWindow":[]}`,
		} {
			answer(body)
			if _, err := f.client.RenewalInfo(t.Context(), "a.b"); !errors.Is(err, acme.ErrMalformedResponse) {
				t.Errorf("%s: got %v", body, err)
			}
		}
		for _, id := range []acme.CertID{"", "a", "a.", ".b", "a.b.c", "a=.b", "../x.y"} {
			if _, err := f.client.RenewalInfo(t.Context(), id); !errors.Is(err, acme.ErrInvalidIdentifier) {
				t.Errorf("%q: got %v", id, err)
			}
		}
		f.ca.Update(func(o *acmetest.Options) { o.OmitFromDirectory = []string{"renewalInfo"} })
		if _, err := f.newClient().RenewalInfo(t.Context(), "a.b"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("not offered: %v", err)
		}
		f.fault(acmetest.FaultAlways(acmetest.KindRenewalInfo, acmetest.Fault{Status: 404}))
		if _, err := f.client.RenewalInfo(t.Context(), "a.b"); problemIn(t, err).Status != 404 {
			t.Errorf("404: %v", err)
		}
	})
}
