package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
)

func parse(args ...string) (s Settings, err error) {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err = s.Parse(flags, args, "shop.example")
	return s, err
}

// register does what the examples do until there is an account.
func register(t *testing.T, args ...string) (*acme.Account, error) {
	t.Helper()
	s, err := parse(append(args, "-domain", "a.example")...)
	if err != nil {
		return nil, err
	}
	c, err := s.Connect("test/1")
	if err != nil {
		return nil, err
	}
	key, err := s.Files.Key("account-key.pem")
	if err != nil {
		return nil, err
	}
	return c.Register(t.Context(), key)
}

// What is missing is said, with the flag for it; and an account that exists needs
// none of it.
func TestRegister(t *testing.T) {
	t.Parallel()
	server, flags := catest.Start(t, pebble.Options{})
	wrong := filepath.Join(t.TempDir(), "eab")
	if err := os.WriteFile(wrong, []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), 0o600); err != nil {
		t.Fatal(err)
	}
	unbound := catest.Without(catest.Without(flags, "-eab-kid"), "-eab-hmac-file")
	for says, args := range map[string][]string{
		"add -agree":             catest.Without(flags, "-agree"),
		"add -eab-kid":           unbound,
		"certificate signed by":  catest.Without(flags, "-roots"),
		"need each other":        catest.Without(flags, "-eab-kid"),
		"-eab-hmac-file names: ": append(catest.Without(flags, "-eab-hmac-file"), "-eab-hmac-file", "c2VjcmV0"),
		"unauthorized":           append(catest.Without(flags, "-eab-hmac-file"), "-eab-hmac-file", wrong),
		"no certificate in it":   append(catest.Without(flags, "-roots"), "-roots", wrong),
	} {
		if _, err := register(t, args...); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", says, err)
		}
	}
	for i, args := range [][]string{flags, flags, catest.Without(unbound, "-agree")} {
		if account, err := register(t, args...); err != nil || account.Created() != (i == 0) {
			t.Fatalf("run %d: %v, %v", i, account, err)
		}
	}
	catest.CheckAccount(t, server, flags)
}

func TestPebble(t *testing.T) {
	t.Parallel()
	s, err := parse()
	if err != nil || len(s.Identifiers) != 1 || s.Identifiers[0] != acme.DNS("shop.example")[0] || s.Files.Folder != "" {
		t.Fatalf("%+v, %v", s, err)
	}
	c, err := s.Connect("test/1")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if account, err := c.Register(t.Context(), key); err != nil || !account.Created() {
		t.Errorf("%v, %v", account, err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := parse("-directory", "https://ca.example/", "-domain", "Bücher.example", "-domain", "[2001:DB8::1]", "-domain", "*.a.example", "-domain", "192.0.2.1")
	if err != nil || s.Files.Folder != "acme-data" || len(s.Identifiers) != 4 {
		t.Fatalf("%+v, %v", s, err)
	}
	for i, want := range []acme.Identifier{
		{Type: acme.TypeDNS, Value: "xn--bcher-kva.example"}, {Type: acme.TypeIP, Value: "2001:db8::1"},
		{Type: acme.TypeDNS, Value: "*.a.example"}, {Type: acme.TypeIP, Value: "192.0.2.1"},
	} {
		if s.Identifiers[i] != want {
			t.Errorf("%v, want %v", s.Identifiers[i], want)
		}
	}
	for says, args := range map[string][]string{
		"at least one -domain":  {"-directory", "https://ca.example/"},
		"unexpected argument":   {"a.example"},
		"invalid identifier":    {"-domain", "a..example"},
		"not defined":           {"-x"},
		"-email needs -directo": {"-email", "a@b.example"},
		"-agree needs -directo": {"-agree"},
		"-out needs -directory": {"-out", "x"},
		"-roots needs -directo": {"-roots", "x"},
		"-eab-kid needs -direc": {"-eab-kid", "x", "-eab-hmac-file", "y"},
	} {
		if _, err := parse(args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := parse("-h"); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

// A port that cannot be had is told with the flag for another one.
func TestListen(t *testing.T) {
	t.Parallel()
	var c CA
	first, err := c.ListenHTTP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := c.ListenHTTP(t.Context(), first.Addr().String()); err == nil || !strings.Contains(err.Error(), "-http, and have port 80") {
		t.Error(err)
	}
	if _, err := c.ListenTLS(t.Context(), first.Addr().String()); err == nil || !strings.Contains(err.Error(), "-https, and have port 443") {
		t.Error(err)
	}
}
