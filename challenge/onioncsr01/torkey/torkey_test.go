package torkey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01/torkey"
)

const header = "== ed25519v1-secret: type0 ==\x00\x00\x00"

// expand makes the file that Tor would store for a key (RFC 8032 §5.1.5).
func expand(key ed25519.PrivateKey) []byte {
	h := sha512.Sum512(key.Seed())
	h[0] &= 248
	h[31] = h[31]&127 | 64
	return append([]byte(header), h[:]...)
}

func generate(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The signatures are those of the key that was expanded: they are deterministic.
func TestSign(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		want := generate(t)
		key, err := torkey.Parse(expand(want))
		if err != nil {
			t.Fatal(err)
		}
		if !want.Public().(ed25519.PublicKey).Equal(key.Public()) || key.Name() != onioncsr01.Address(want.Public().(ed25519.PublicKey)) {
			t.Fatalf("%x, want %x", key.Public(), want.Public())
		}
		message := bytes.Repeat([]byte{byte(i)}, i*50)
		got, err := crypto.SignMessage(key, rand.Reader, message, crypto.Hash(0))
		if err != nil || !bytes.Equal(got, ed25519.Sign(want, message)) {
			t.Errorf("%x, %v", got, err)
		}
		if got, err := key.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); got != nil || err == nil {
			t.Errorf("a digest: %x", got)
		}
	}
}

// A scalar that was not clamped is the key that it is.
func TestOddScalar(t *testing.T) {
	t.Parallel()
	file := append([]byte(header), make([]byte, 64)...)
	if key, err := torkey.Parse(file); err == nil {
		t.Errorf("no key: %v", key)
	}
	file[len(header)] = 1 // one: the public key is the base point
	key, err := torkey.Parse(file)
	if err != nil || hex.EncodeToString(key.Public().(ed25519.PublicKey)) != "58"+strings.Repeat("66", 31) {
		t.Fatalf("%v, %v", key, err)
	}
	signature, err := key.Sign(nil, []byte("a"), crypto.Hash(0))
	if err != nil || !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("a"), signature) {
		t.Errorf("%x, %v", signature, err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	file := expand(generate(t))
	for _, bad := range [][]byte{nil, []byte(header), file[:95], append(bytes.Clone(file), 0), file[32:], bytes.Replace(file, []byte("secret"), []byte("public"), 1)} {
		if key, err := torkey.Parse(bad); err == nil || key != nil || strings.Contains(err.Error(), string(file[32:40])) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// write makes a HiddenServiceDir.
func write(t *testing.T, key []byte, hostname string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, data := range map[string][]byte{"hs_ed25519_secret_key": key, "hostname": []byte(hostname)} {
		if len(data) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOpen(t *testing.T) {
	t.Parallel()
	own := generate(t)
	name := onioncsr01.Address(own.Public().(ed25519.PublicKey))
	for _, hostname := range []string{name + "\n", ""} {
		if key, err := torkey.Open(write(t, expand(own), hostname)); err != nil || key.Name() != name {
			t.Errorf("%v, %v", key, err)
		}
	}
	for says, folder := range map[string]string{
		"is that of " + name:        write(t, expand(own), "expyuzz4wqqyqhjn.onion"),
		"no file hs_ed25519_secret": write(t, []byte("-----BEGIN"), name),
		"hs_ed25519_secret_key":     write(t, nil, name),
		"none":                      filepath.Join(t.TempDir(), "none"),
		"of Tor":                    write(t, bytes.Repeat([]byte("a"), 1<<20), name),
	} {
		if key, err := torkey.Open(folder); err == nil || key != nil || !strings.HasPrefix(err.Error(), "torkey: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v", says, key, err)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	own := generate(t)
	file := expand(own)
	key, err := torkey.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a", "key", key, "in", struct{ K *torkey.Key }{key})
	data, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(data), fmt.Sprintf("%v %+v %#v %s", key, key, key, key), fmt.Sprintf("%v %+v %#v", *key, struct{ K torkey.Key }{*key}, *key)} {
		for _, part := range [][]byte{file[32:64], file[64:]} {
			for _, form := range []string{string(part), hex.EncodeToString(part), base64.StdEncoding.EncodeToString(part), strings.Trim(fmt.Sprint(part), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%q has the key", text)
				}
			}
		}
		if !strings.Contains(text, key.Name()) {
			t.Errorf("%q does not have the name", text)
		}
	}
}

// A certificate for the service that a folder of Tor is of.
func TestOrder(t *testing.T) {
	t.Parallel()
	key, err := torkey.Open(write(t, expand(generate(t)), ""))
	if err != nil {
		t.Fatal(err)
	}
	ca := acmetest.NewServer(t, acmetest.Options{OnionCAARequired: true, Validate: acmetest.ValidateOnionCSR01})
	client := &acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}
	newKey := func() crypto.Signer {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	account, err := client.NewAccount(t.Context(), newKey(), acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}
	_, err = account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest:  acme.OrderRequest{Identifiers: acme.DNS(key.Name(), "www."+key.Name())},
		CSR:           acme.NewCSR(newKey()),
		FinalizeExtra: solver.OnionCAA(nil),
		Solvers:       []acme.Solver{solver},
	})
	if err != nil {
		t.Error(err)
	}
}
