//go:build cgo

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
)

// needSoftHSM skips the test where there is no SoftHSM, and restores what the
// program tells it by the environment: so tests do not run in parallel.
func needSoftHSM(t *testing.T) (module string) {
	t.Helper()
	module, err := softHSM()
	if err != nil {
		t.Skipf("SoftHSM is needed: apt-get install softhsm2 (Debian), or brew install softhsm: %v", err)
	}
	t.Setenv("SOFTHSM2_CONF", "")
	return module
}

// A certificate with keys of each kind, in a token that is gone afterwards.
func TestTemporaryToken(t *testing.T) {
	needSoftHSM(t)
	t.Setenv("TMPDIR", t.TempDir())
	for kind, args := range map[string][]string{"P-256": nil, "RSA 2048": {"-rsa"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("%s: %v\n%s", kind, err, &out)
		}
		for _, want := range []string{
			`key "acme account": ` + kind + ", made now, which never leaves the token", `key "acme certificate": ` + kind + ", made now, which never leaves the token",
			"(created)", "shop.example", "used for a TLS handshake", "-----BEGIN CERTIFICATE-----",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", kind, want, &out)
			}
		}
		if strings.Contains(out.String(), "PRIVATE KEY") {
			t.Errorf("%s: a private key in\n%s", kind, &out)
		}
		if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", kind, left, err)
		}
	}
}

// newToken makes a token that stays for the test, and a file with its PIN.
func newToken(t *testing.T) (made *token, pinFile string) {
	t.Helper()
	made = &token{module: needSoftHSM(t)}
	pin, err := made.create()
	t.Cleanup(func() { _ = made.remove() })
	if err != nil {
		t.Fatal(err)
	}
	pinFile = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pinFile, []byte(pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return made, pinFile
}

// The way to a real CA: a token that stays, and the same account the next time.
func TestTokenThatStays(t *testing.T) {
	made, pinFile := newToken(t)
	port := catest.FreePorts(t, 1)[0]
	_, flags := catest.Start(t, pebble.Options{NonceReject: 20, HTTPPort: port})
	certificate := filepath.Join(catest.Value(flags, "-out"), "certificate.pem")
	args := append(flags, "-module", made.module, "-token", made.label, "-pin-file", pinFile,
		"-domain", "a.example", "-domain", "127.0.0.1", "-http", catest.Loopback(port))
	var publicKeys []any
	for _, want := range [][]string{{"made now", "(created)"}, {"never leaves", "(found)"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		for _, text := range append(want, `using the token "`+made.label+`"`) {
			if !strings.Contains(out.String(), text) {
				t.Errorf("no %q in\n%s", text, &out)
			}
		}
		data, err := os.ReadFile(certificate)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "a.example" {
			t.Fatalf("%v, %v", leaf, err)
		}
		publicKeys = append(publicKeys, leaf.PublicKey)
	}
	if !publicKeys[0].(interface{ Equal(crypto.PublicKey) bool }).Equal(publicKeys[1]) {
		t.Error("the second certificate has another key")
	}
	if err := os.WriteFile(pinFile, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), made.label) || !strings.Contains(err.Error(), "PIN") {
		t.Errorf("a wrong PIN: %v", err)
	}
}

// Many orders at once, with all their signatures made in the token, and the account
// goes over to another key in it.
func TestConcurrentOrders(t *testing.T) {
	made, pinFile := newToken(t)
	tok, err := openToken(settings{module: made.module, token: made.label, pinFile: pinFile})
	if err != nil {
		t.Fatal(err)
	}
	defer tok.close() //nolint:errcheck // the test is over
	server, err := pebble.Start(pebble.Options{Strict: true, NonceReject: 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	listener, err := server.ListenHTTP()
	if err != nil {
		t.Fatal(err)
	}
	var solver http01.Solver
	web := &http.Server{Handler: &solver, ReadHeaderTimeout: time.Minute}
	go web.Serve(listener)
	defer web.Close()
	newKey := func(label string, wantRSA bool) *key {
		k, err := tok.key(label, wantRSA)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	first, second, certKey := newKey("first", false), newKey("second", true), newKey("certificate", false)
	client := &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client()}
	account, err := client.NewAccount(t.Context(), first, acme.AccountRequest{TermsOfServiceAgreed: true})
	if err != nil {
		t.Fatal(err)
	}
	obtain := func(ctx context.Context) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				cert, err := account.Obtain(ctx, acme.CertificateRequest{
					OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("n" + strconv.Itoa(i) + ".example")},
					CSR:          acme.NewCSR(certKey), Solvers: []acme.Solver{&solver},
				})
				if err != nil {
					t.Error(err)
				} else if err := handshake(ctx, cert, certKey, nil, io.Discard); err != nil { // a CA for tests is trusted by nobody
					t.Error(err)
				} else if err := handshake(ctx, cert, certKey, x509.NewCertPool(), io.Discard); err == nil {
					t.Error("a chain to none of the roots")
				}
			})
		}
		wg.Wait()
	}
	obtain(t.Context())
	if account, err = account.ChangeKey(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	obtain(t.Context())
}

func TestMistakes(t *testing.T) {
	module, err := softHSM()
	if err != nil {
		module = "/none.so"
	}
	for says, args := range map[string][]string{
		"unexpected argument":     {"a"},
		"need each other":         {"-token", "a"},
		"-eab-hmac-file need":     {"-token", "a", "-pin-file", "b", "-directory", "https://ca.example/", "-domain", "a.example", "-eab-kid", "a"},
		"at least one -domain":    {"-token", "a", "-pin-file", "b", "-directory", "https://ca.example/"},
		"needs a -token":          {"-directory", "https://ca.example/", "-domain", "a.example"},
		"no such file":            {"-module", module, "-token", "a", "-pin-file", filepath.Join(t.TempDir(), "none")},
		"cannot be loaded":        {"-module", filepath.Join(t.TempDir(), "none.so")},
		"flag provided but not d": {"-none"},
	} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-h"}, new(bytes.Buffer)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(errNoSoftHSM.Error(), "apt-get install softhsm2") || errors.Is(err, errNoSoftHSM) != (err != nil) {
		t.Error(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
