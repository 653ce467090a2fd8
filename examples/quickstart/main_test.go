package main

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

func TestQuickstart(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		if err := run(t.Context(), nil, &out, terminal); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"started Pebble", "account https://127.0.0.1:", "created", "xn--bcher-kva.example (bücher.example)", "validate http-01 for shop.example",
			"the order is ready", "the order is valid", "names     ", "issuer    CN=Pebble Intermediate CA", "(90 days)", "key       ECDSA P-256",
			"chain     2 certificates, verified up to CN=Pebble Root CA", "requests  ", "-----BEGIN CERTIFICATE-----",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("terminal %v: %q is not in\n%s", terminal, want, out.String())
			}
		}
		if strings.Contains(out.String(), "\x1b") != terminal {
			t.Errorf("terminal %v: control characters: %v", terminal, !terminal)
		}
	}
}

// The way to a real CA: flags, files, and the same account the next time.
func TestWithDirectory(t *testing.T) {
	t.Parallel()
	port := catest.FreePorts(t, 1)[0]
	server, flags := catest.Start(t, pebble.Options{NonceReject: 20, HTTPPort: port})
	args := append(flags, "-domain", "a.example", "-domain", "127.0.0.1", "-http", catest.Loopback(port))
	var out bytes.Buffer
	if err := run(t.Context(), catest.Without(args, "-agree"), &out, false); err == nil || !strings.Contains(err.Error(), "add -agree") {
		t.Fatalf("without agreement: %v", err)
	}
	for i, want := range []string{"created", "found"} {
		out.Reset()
		if err := run(t.Context(), args, &out, false); err != nil {
			t.Fatalf("run %d: %v\n%s", i, err, out.String())
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("run %d: %q is not in\n%s", i, want, out.String())
		}
	}
	catest.CheckAccount(t, server, flags)
	catest.CheckCertificate(t, flags, "certificate.pem", "certificate-key.pem", "a.example", "127.0.0.1")
	if catest.Read(t, store.Store{Folder: catest.Value(flags, "-out")}, "order-url") != "" {
		t.Error("the order's URL was left")
	}
}

// A run that is interrupted leaves its order to the next, if that is for the same
// names.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]string{"same name": "a.example", "another name": "b.example"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interrupted(t, next)
		})
	}
}

func interrupted(t *testing.T, next string) {
	t.Helper()
	port := catest.FreePorts(t, 1)[0]
	_, flags := catest.Start(t, pebble.Options{HTTPPort: port})
	dir := catest.Value(flags, "-out")
	args := append(flags, "-http", catest.Loopback(port), "-domain")
	ctx, interrupt := context.WithCancel(t.Context())
	ctx = acme.WithTrace(ctx, &acme.Trace{Present: func([]*acme.Attempt) { interrupt() }})
	var out bytes.Buffer
	if err := run(ctx, append(slices.Clip(args), "a.example"), &out, false); err == nil {
		t.Fatal("not interrupted")
	}
	order := catest.Read(t, store.Store{Folder: dir}, "order-url")
	if _, err := url.ParseRequestURI(order); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := run(t.Context(), append(slices.Clip(args), next), &out, false); err != nil {
		t.Fatal(err)
	}
	if ordered := strings.Contains(out.String(), "ordered"); ordered != (next != "a.example") {
		t.Errorf("another order: %v\n%s", ordered, out.String())
	}
	catest.CheckCertificate(t, flags, "certificate.pem", "certificate-key.pem", next)
}

// A certificate that cannot be stored stays at the CA, with its order, for the next run.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	port := catest.FreePorts(t, 1)[0]
	_, flags := catest.Start(t, pebble.Options{HTTPPort: port})
	args := append(flags, "-domain", "a.example", "-http", catest.Loopback(port))
	unblock := catest.Block(t, flags, "certificate.pem")
	orders := 0
	ctx := acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(*acme.Order) { orders++ }})
	var out bytes.Buffer
	for range 2 {
		if err := run(ctx, args, &out, false); err == nil {
			t.Error("no error")
		}
	}
	unblock()
	if err := run(ctx, args, &out, false); err != nil || orders != 1 {
		t.Errorf("%v, %d orders\n%s", err, orders, out.String())
	}
	catest.CheckCertificate(t, flags, "certificate.pem", "certificate-key.pem", "a.example")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, args := range [][]string{{"-directory", "https://ca.example/"}, {"example.com"}, {"-x"}, {"-http", "x", "-email", "a@b.example"}} {
		if err := run(t.Context(), args, &out, false); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	out.Reset()
	if err := run(t.Context(), []string{"-h"}, &out, false); err != nil || !strings.Contains(out.String(), "-domain") {
		t.Errorf("%v: %s", err, out.String())
	}
}
