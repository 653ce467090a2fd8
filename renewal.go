package acme

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// A CertID identifies a certificate for renewal information and in
// OrderRequest.Replaces (RFC 9773 §4.1).
type CertID string

// NewCertID returns the identifier of a certificate, which must have an
// authority key identifier.
func NewCertID(cert *x509.Certificate) (CertID, error) {
	if cert == nil || len(cert.AuthorityKeyId) == 0 || cert.SerialNumber == nil {
		return "", wrap(fmt.Errorf("%w: no authority key identifier (RFC 9773 §4.1)", ErrInvalidChain), "certificate identifier")
	}
	serial, err := serialOctets(cert.SerialNumber)
	if err != nil {
		return "", wrap(err, "certificate identifier")
	}
	return CertID(base64url(cert.AuthorityKeyId) + "." + base64url(serial)), nil
}

// serialOctets are the content octets of the DER integer, with a leading zero
// octet where the sign needs one.
func serialOctets(n *big.Int) ([]byte, error) {
	der, err := asn1.Marshal(n)
	if err != nil {
		return nil, err
	}
	var raw asn1.RawValue
	_, err = asn1.Unmarshal(der, &raw)
	return raw.Bytes, err
}

// A RenewalInfo is a server's advice when to renew a certificate (RFC 9773 §4.2).
type RenewalInfo struct {
	Start, End     time.Time       // of the suggested window
	ExplanationURL string          // for people, if the window has a special reason
	RetryAfter     time.Time       // when to ask again; zero if the server did not say: six hours later will do (RFC 9773 §4.3.2)
	Raw            json.RawMessage `json:",omitzero"`
}

// decode reads a renewal information object.
func (r *RenewalInfo) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	window := map[string]json.RawMessage{}
	optional(m["suggestedWindow"], &window)
	*r = RenewalInfo{
		Start:          date(window["start"]),
		End:            date(window["end"]),
		ExplanationURL: text(m["explanationURL"]),
		Raw:            append(json.RawMessage(nil), data...),
	}
	return nil
}

// RenewalInfo asks when a certificate should be renewed (RFC 9773 §4.2). Servers
// that have no advice give errors.ErrUnsupported, and a window that is none is
// ErrMalformedResponse: neither should stop a renewal.
func (c *Client) RenewalInfo(ctx context.Context, id CertID) (*RenewalInfo, error) {
	if aki, serial, ok := strings.Cut(string(id), "."); !ok || !isBase64URL(aki) || !isBase64URL(serial) {
		return nil, wrap(fmt.Errorf("%w: %s is no certificate identifier", ErrInvalidIdentifier, quote(string(id))), "%s", OpRenewalInfo)
	}
	base, err := c.offered(ctx, OpRenewalInfo, func(d *Directory) string { return d.RenewalInfoURL })
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(base, "/") + "/" + string(id)
	resp, err := c.do(ctx, request{op: OpRenewalInfo, method: http.MethodGet, url: url})
	if err != nil {
		return nil, err
	}
	info := new(RenewalInfo)
	if err := resp.decode(info); err != nil {
		return nil, wrap(err, "%s %s", OpRenewalInfo, url)
	}
	if !info.End.After(info.Start) || info.Start.IsZero() {
		return nil, wrap(fmt.Errorf("%w: the suggested window is none", ErrMalformedResponse), "%s %s", OpRenewalInfo, url)
	}
	info.RetryAfter = resp.RetryAfter
	return info, nil
}
