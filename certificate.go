package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	pemChain        = "application/pem-certificate-chain"
	maxCertificates = 64 // in a chain
	maxAlternates   = 16
)

// A Certificate is a certificate chain as downloaded (§7.4.2): the end-entity
// certificate first, then those that certify it.
type Certificate struct {
	URL           string
	PEM           []byte   // as served, less what is no certificate; only CERTIFICATE blocks are in it
	AlternateURLs []string // of other chains for the same certificate

	NotBefore, NotAfter time.Time // of the end-entity certificate
}

// Chain parses the certificates of the chain, the end-entity certificate first.
func (c *Certificate) Chain() ([]*x509.Certificate, error) {
	chain, err := parseChain(c.PEM)
	if err != nil {
		return nil, wrap(err, "certificate %s", quoteIfOdd(c.URL))
	}
	return chain, nil
}

// parseChain reads a PEM file of certificates. Text around the blocks is passed
// over; a block of any other kind makes the whole file invalid (§9.1, §11.4): it
// could be a key that replaces the caller's.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	blocks, err := countBlocks(data)
	if err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, 0, blocks)
	for range blocks {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, fmt.Errorf("%w: a block of it is damaged", ErrInvalidChain)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrInvalidChain, len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// countBlocks counts the PEM blocks by their first lines, damaged ones too,
// which pem.Decode would skip.
func countBlocks(data []byte) (n int, err error) {
	const begin, certificate = "-----BEGIN", " CERTIFICATE-----"
	for {
		_, rest, found := bytes.Cut(data, []byte(begin))
		switch {
		case !found && n == 0:
			return 0, fmt.Errorf("%w: it has no certificate", ErrInvalidChain)
		case !found:
			return n, nil
		case !bytes.HasPrefix(rest, []byte(certificate)):
			line, _, _ := bytes.Cut(rest[:min(len(rest), 64)], []byte("\n"))
			return 0, fmt.Errorf("%w: it has a block %s (§11.4)", ErrInvalidChain, quote(begin+string(line)))
		case n == maxCertificates:
			return 0, fmt.Errorf("%w: more than %d certificates", ErrInvalidChain, maxCertificates)
		}
		n, data = n+1, rest
	}
}

// inOrder reports whether each certificate is followed by its issuer, going by
// the names (§9.1).
func inOrder(chain []*x509.Certificate) bool {
	for i, issuer := range chain[1:] {
		if !bytes.Equal(chain[i].RawIssuer, issuer.RawSubject) {
			return false
		}
	}
	return true
}

// onlyCertificates returns a file as it is, or if there is more in it than its
// certificates and white space, these alone: text does not belong there (§9.1,
// §11.4), and could mean something to a program that reads the file.
func onlyCertificates(data []byte, chain []*x509.Certificate) []byte {
	var only []byte
	for _, cert := range chain {
		only = append(only, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	if bytes.Equal(withoutSpace(data), withoutSpace(only)) {
		return data
	}
	return only
}

func withoutSpace(data []byte) []byte { return bytes.Join(bytes.Fields(data), nil) }

// Match reports whether the end-entity certificate is the one that was asked
// for: it is valid for all of the identifiers, and its key is pub. The error Is
// ErrCertificateMismatch. Names beyond those are let pass, since some CAs add
// "www.".
func (c *Certificate) Match(ids []Identifier, pub crypto.PublicKey) error {
	chain, err := c.Chain()
	if err != nil {
		return err
	}
	leaf := chain[0]
	if key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(pub) {
		return fmt.Errorf("%w: its key is not the CSR's", ErrCertificateMismatch)
	}
	have := sanIdentifiers(leaf.DNSNames, leaf.EmailAddresses, leaf.IPAddresses, leaf.Extensions)
	if missing := missingFrom(folded(have), folded(nameable(ids))); len(missing) > 0 {
		return fmt.Errorf("%w: it is without %s", ErrCertificateMismatch, identifierList(missing))
	}
	return nil
}

// folded returns the identifiers with those in lower case whose letters a CA may
// have changed in the certificate: mail addresses and URIs.
func folded(ids []Identifier) []Identifier {
	out := slices.Clone(ids)
	for i, id := range out {
		if id.Type == TypeEmail || id.Type == TypeBundleEID {
			out[i].Value = strings.ToLower(id.Value)
		}
	}
	return out
}

// downloadTime bounds how long a certificate is asked for that the server does
// not find.
const downloadTime = 10 * time.Second

// Certificate downloads a certificate chain (§7.4.2). No other PEM blocks may be
// in it: the error Is ErrInvalidChain. Text around the certificates is left out.
// A 404 is asked again for some seconds, since Let's Encrypt's replicas may not
// have it at once.
func (a *Account) Certificate(ctx context.Context, url string) (*Certificate, error) {
	if a.err != nil {
		return nil, wrap(a.err, "%s", OpCertificate)
	}
	return a.client.certificate(ctx, request{op: OpCertificate, method: http.MethodPost, url: url, key: a.key, account: a.url, accept: pemChain})
}

// Certificate downloads a certificate chain without an account (RFC 8739 §3.4, RFC
// 9115 §2.3.5), where the order that it is for says so: Order.AllowCertificateGet.
// Otherwise it is like [Account.Certificate].
func (c *Client) Certificate(ctx context.Context, url string) (*Certificate, error) {
	return c.certificate(ctx, request{op: OpCertificate, method: http.MethodGet, url: url, accept: pemChain})
}

func (c *Client) certificate(ctx context.Context, q request) (*Certificate, error) {
	var cert *Certificate
	start := time.Now()
	err := wait(ctx, q.url, func(int) (bool, state, error) {
		got, err := c.download(ctx, q)
		if isNotFound(err) && time.Since(start) < downloadTime {
			p, _ := asProblem(err)
			if p.RetryAfter.After(start.Add(downloadTime)) {
				return false, state{}, err
			}
			return false, state{retryAfter: p.RetryAfter, reason: p}, nil
		}
		cert = got
		return err == nil, state{}, err
	})
	if err != nil {
		return nil, err
	}
	c.log(ctx, slog.LevelInfo, "acme: certificate", urlAttr(q.url), slog.Time("acme.not_after", cert.NotAfter))
	return cert, nil
}

func (c *Client) download(ctx context.Context, q request) (*Certificate, error) {
	resp, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	// The Content-Type is not looked at: step-ca has sent none, proxies change it.
	chain, err := parseChain(resp.Body)
	if err != nil {
		return nil, wrap(err, "%s %s", q.op, q.url)
	}
	if !inOrder(chain) {
		c.log(ctx, slog.LevelWarn, "acme: certificate chain out of order", urlAttr(q.url))
	}
	leaf := chain[0]
	for name, want := range map[string]time.Time{"Cert-Not-Before": leaf.NotBefore, "Cert-Not-After": leaf.NotAfter} {
		if v := resp.Header.Get(name); v != "" && v != want.UTC().Format(http.TimeFormat) { // they are for those who cannot read certificates (RFC 8739 §3.3)
			c.log(ctx, slog.LevelWarn, "acme: "+name+" is not the certificate's", urlAttr(q.url), slog.String("acme.value", quote(v)))
		}
	}
	alternates := resp.Links("alternate")
	return &Certificate{
		URL: q.url, PEM: onlyCertificates(resp.Body, chain), AlternateURLs: alternates[:min(len(alternates), maxAlternates)],
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}, nil
}

// Certificates iterates over the chains for a certificate (§7.4.2): the default
// one, then the alternates, each downloaded when the iteration gets there. An
// alternate that fails yields its error, and the iteration goes on.
func (a *Account) Certificates(ctx context.Context, url string) iter.Seq2[*Certificate, error] {
	return func(yield func(*Certificate, error) bool) {
		cert, err := a.Certificate(ctx, url)
		if !yield(cert, err) || err != nil {
			return
		}
		for _, alternate := range cert.AlternateURLs {
			if !yield(a.Certificate(ctx, alternate)) {
				return
			}
		}
	}
}

// A RevocationReason tells why a certificate is revoked (RFC 5280 §5.3.1).
type RevocationReason int

// Revocation reasons; there are no others. Many servers take only some of them.
// ReasonUnspecified is not sent: RFC 5280 wants it left out.
const (
	ReasonUnspecified          RevocationReason = 0
	ReasonKeyCompromise        RevocationReason = 1
	ReasonCACompromise         RevocationReason = 2
	ReasonAffiliationChanged   RevocationReason = 3
	ReasonSuperseded           RevocationReason = 4
	ReasonCessationOfOperation RevocationReason = 5
	ReasonCertificateHold      RevocationReason = 6
	ReasonRemoveFromCRL        RevocationReason = 8
	ReasonPrivilegeWithdrawn   RevocationReason = 9
	ReasonAACompromise         RevocationReason = 10
)

// check finds numbers that are no reason code.
func (r RevocationReason) check() error {
	if r < ReasonUnspecified || r > ReasonAACompromise || r == 7 {
		return fmt.Errorf("%w: %d is no reason code (RFC 5280 §5.3.1)", ErrBadRevocationReason, int(r))
	}
	return nil
}

// RevokeCertificate revokes a certificate, by DER or PEM, that the account
// ordered or whose identifiers it has authorizations for (§7.6).
// errors.Is(err, ErrAlreadyRevoked) tells that it was revoked before.
func (a *Account) RevokeCertificate(ctx context.Context, cert []byte, reason RevocationReason) error {
	if a.err != nil {
		return wrap(a.err, "%s", OpRevokeCert)
	}
	return a.client.revoke(ctx, a.key, a.url, cert, reason)
}

// RevokeCertificate revokes a certificate, by DER or PEM, with the certificate's
// own key (§7.6): the way when the key is compromised and the account is gone.
func (c *Client) RevokeCertificate(ctx context.Context, key crypto.Signer, cert []byte, reason RevocationReason) error {
	k, err := newSigningKey(key)
	if err != nil {
		return wrap(err, "%s", OpRevokeCert)
	}
	return c.revoke(ctx, k, "", cert, reason)
}

func (c *Client) revoke(ctx context.Context, key *signingKey, account string, cert []byte, reason RevocationReason) error {
	if err := reason.check(); err != nil {
		return wrap(err, "%s", OpRevokeCert)
	}
	leaf, err := parseLeaf(cert)
	if err != nil {
		return wrap(err, "%s", OpRevokeCert)
	}
	if account == "" && !key.isKey(leaf.PublicKey) {
		return wrap(fmt.Errorf("%w: its key is another one", ErrCertificateMismatch), "%s", OpRevokeCert)
	}
	url, err := c.offered(ctx, OpRevokeCert, func(d *Directory) string { return d.RevokeCertURL })
	if err != nil {
		return err
	}
	body := map[string]any{"certificate": base64url(leaf.Raw)}
	if reason != ReasonUnspecified {
		body["reason"] = reason
	}
	_, err = c.signed(ctx, OpRevokeCert, key, account, url, body)
	if p, ok := asProblem(err); ok && p.repeated && p.Type == ErrAlreadyRevoked {
		return nil // the first try, whose answer was lost, had done it
	}
	return err
}

// parseLeaf reads the first certificate of a PEM file, or a DER certificate.
func parseLeaf(cert []byte) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(cert)
	switch {
	case err == nil:
		return leaf, nil
	case !bytes.Contains(cert, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%w: %w", ErrInvalidChain, err)
	}
	chain, err := parseChain(cert)
	if err != nil {
		return nil, err
	}
	return chain[0], nil
}
