package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
	"github.com/seed-aa0b9f56/acme/internal/bind"
)

// As it stands: with Pebble and a provider for libdns.
func TestDNS(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	contains(t, out.String(), "started Pebble", "adding   _acme-challenge.shop.example. TXT ", "2 records can be seen", "the order is valid",
		"*.shop.example", "CN=Pebble Intermediate CA", "-----BEGIN CERTIFICATE-----")
	added, removed := strings.Count(out.String(), "adding "), strings.Count(out.String(), "removing ")
	if added != 2 || removed != 2 {
		t.Errorf("%d records added, %d removed", added, removed)
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

const tsig = `key "acme" {
	algorithm hmac-sha512;
	secret "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
};
`

// The way to a real CA and a real server: flags, files, a signed update.
func TestWithServer(t *testing.T) {
	t.Parallel()
	server := bind.Start(t, []bind.Key{{Name: "acme", Algorithm: "hmac-sha512", Secret: "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}},
		bind.Zone{Name: "a.example.", Records: "_acme-challenge CNAME acme", Policy: "update-policy { grant acme name acme.a.example. TXT; };"})
	ca, flags := catest.Start(t, pebble.Options{Resolver: server.Addr})
	key := filepath.Join(t.TempDir(), "acme.key")
	if err := os.WriteFile(key, []byte(tsig), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	args := append(flags, "-domain", "a.example", "-domain", "*.a.example", "-server", server.Addr, "-tsig", key, "-follow", "-resolver", server.Addr)
	if err := run(t.Context(), args, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	contains(t, log.String(), "asking https://", "adding   acme.a.example. TXT ", "removing acme.a.example. TXT ", "names   ")
	if strings.Contains(log.String(), "may be left") || strings.Contains(log.String(), "MDEy") {
		t.Errorf("records are left, or the secret is shown:\n%s", log.String())
	}
	catest.CheckAccount(t, ca, flags)
	catest.CheckCertificate(t, flags, "certificate.pem", "certificate-key.pem", "a.example", "www.a.example")
	// Without -follow the server refuses: the key is not for that name.
	err := run(t.Context(), append(args[:len(args)-3:len(args)-3], "-resolver", server.Addr), &log)
	if err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("without -follow: %v", err)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.key")
	if err := os.WriteFile(bad, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, args := range [][]string{
		{"-directory", "https://ca.example/"},
		{"-directory", "https://ca.example/", "-domain", "a.example"},
		{"-server", "192.0.2.1"},
		{"example.com"},
		{"-x"},
		{"-directory", "https://ca.example/", "-domain", "a.example", "-server", "192.0.2.1", "-tsig", bad},
		{"-directory", "https://ca.example/", "-domain", "a.example", "-server", "192.0.2.1", "-tsig", filepath.Join(dir, "none")},
		{"-directory", "https://ca.example/", "-domain", "a.example", "-server", "192.0.2.1", "-roots", bad},
	} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	out.Reset()
	if err := run(t.Context(), []string{"-h"}, &out); err != nil || !strings.Contains(out.String(), "-tsig") {
		t.Errorf("%v: %s", err, out.String())
	}
}
