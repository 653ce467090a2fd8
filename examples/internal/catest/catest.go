// Package catest has what the tests of the examples share.
package catest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

const (
	email  = "admin@example.com"
	macKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
)

// Start starts a CA as strict as there is, which wants an external account binding
// for new accounts. The flags are those that say all of it, but for -domain.
func Start(t testing.TB, opts pebble.Options) (server *pebble.Server, flags []string) {
	t.Helper()
	opts.Strict = true
	opts.ExternalAccounts, opts.ExternalAccountRequired = map[string]string{"kid-1": macKey}, true
	server, err := pebble.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	dir := t.TempDir()
	roots, macKeyFile := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "eab")
	writeRoots(t, server, roots)
	if err := os.WriteFile(macKeyFile, []byte(macKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return server, []string{
		"-directory", server.DirectoryURL(), "-roots", roots, "-email", email,
		"-eab-kid", "kid-1", "-eab-hmac-file", macKeyFile, "-out", filepath.Join(dir, "certs"), "-agree",
	}
}

// Value returns what is behind a flag.
func Value(flags []string, name string) string { return flags[slices.Index(flags, name)+1] }

// Without returns the flags without one of them, and what is behind it.
func Without(flags []string, name string) []string {
	i := slices.Index(flags, name)
	n := 2
	if name == "-agree" {
		n = 1
	}
	return slices.Delete(slices.Clone(flags), i, i+n)
}

// Read returns a file's contents, "" if there is none.
func Read(t testing.TB, files store.Store, name string) string {
	t.Helper()
	text, err := files.Read(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Block puts a folder where a file is to be written, so that it cannot be.
func Block(t testing.TB, flags []string, name string) (unblock func()) {
	t.Helper()
	at := filepath.Join(Value(flags, "-out"), name)
	if err := os.MkdirAll(filepath.Join(at, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
	}
}

// CheckAccount checks that the server has the account of the key in the folder of
// the flags, as they describe it.
func CheckAccount(t testing.TB, server *pebble.Server, flags []string) {
	t.Helper()
	files := store.Store{Folder: Value(flags, "-out")}
	if Read(t, files, "account-key.pem") == "" {
		t.Fatal("the account key was not stored")
	}
	key, err := files.Key("account-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	client := &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client()}
	account, err := client.FindAccount(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := account.Info(t.Context()); err != nil || !slices.Equal(info.Contact, []string{"mailto:" + email}) {
		t.Errorf("%+v, %v", info, err)
	}
}

// CheckCertificate checks that a certificate in the folder of the flags is for
// names, and that its key is in a file.
func CheckCertificate(t testing.TB, flags []string, certificate, key string, names ...string) {
	t.Helper()
	dir := Value(flags, "-out")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, certificate), filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{certificate, key} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// writeRoots stores what an administrator would: the CA's web certificate and its
// roots.
func writeRoots(t testing.TB, server *pebble.Server, file string) {
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

// FreePorts returns ports that nobody listens at, which are all different.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() //nolint:errcheck // it was open, which is all
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// Loopback is an address with a port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
