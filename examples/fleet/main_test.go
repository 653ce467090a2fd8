package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

var asked = regexp.MustCompile(`replica [123] was asked [1-9]\d* times`)

// Each certificate is asked for several times, at replicas that did not order it.
func TestFleet(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-certificates", "12"}, {"-certificates", "12", "-shared"}} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out.String())
		}
		if n := strings.Count(out.String(), "got a certificate for shop"); n != 12 {
			t.Errorf("%q: %d certificates\n%s", args, n, out.String())
		}
		if n := len(asked.FindAllString(out.String(), -1)); n != 3 {
			t.Errorf("%q: %d replicas were asked\n%s", args, n, out.String())
		}
		if strings.Contains(out.String(), "from a shared store") != (len(args) == 3) {
			t.Errorf("%q:\n%s", args, out.String())
		}
	}
}

// The way to a real CA: a certificate for each name, and the same account and keys
// the next time.
func TestWithDirectory(t *testing.T) {
	t.Parallel()
	port := catest.FreePorts(t, 1)[0]
	server, flags := catest.Start(t, pebble.Options{NonceReject: 20, HTTPPort: port})
	args := append(flags, "-domain", "a.example", "-domain", "Bücher.example", "-domain", "127.0.0.1", "-replicas", "2", "-http", catest.Loopback(port))
	var keys [2]string
	for i := range keys {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if n := strings.Count(out.String(), "got a certificate for "); n != 3 || strings.Contains(out.String(), "shop") {
			t.Errorf("%d certificates\n%s", n, out.String())
		}
		for _, name := range []string{"a.example", "xn--bcher-kva.example", "127.0.0.1"} {
			catest.CheckCertificate(t, flags, name+".pem", name+"-key.pem", name)
		}
		files := store.Store{Folder: catest.Value(flags, "-out")}
		keys[i] = catest.Read(t, files, "account-key.pem") + catest.Read(t, files, "a.example-key.pem")
	}
	if keys[0] != keys[1] {
		t.Error("the keys were not used again")
	}
	catest.CheckAccount(t, server, flags)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, args := range [][]string{{"x"}, {"-directory", "https://ca.example/"}, {"-replicas", "0"}, {"-certificates", "-1"}, {"-x"}} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Error(err)
	}
}
