// Package catest has what the tests of the examples share.
package catest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"os"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// WriteRoots stores what an administrator would: the CA's web certificate and its
// roots.
func WriteRoots(t testing.TB, server *pebble.Server, file string) {
	t.Helper()
	u, err := url.Parse(server.DirectoryURL())
	if err != nil {
		t.Fatal(err)
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // only to learn the certificate
	conn, err := dialer.DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // all that was of interest is known
	var data []byte
	for _, c := range []*x509.Certificate{conn.(*tls.Conn).ConnectionState().PeerCertificates[0], server.Root(0)} {
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
