package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
)

func TestWebserver(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	rest := out.String()
	for _, want := range []string{ // in this order
		"started Pebble", "the folder has none", "ordering a certificate", "validate tls-alpn-01 for ",
		"got a certificate for shop.example, www.shop.example", "serving https at 127.0.0.1:",
		"visited https://shop.example/: 200 OK", "hello from shop.example, over HTTP/2.0", "it is time to renew", "ordering a certificate",
		"validate http-01 for ", "got a certificate", "visited https://shop.example/: 200 OK",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is not in its place in\n%s", want, out.String())
		}
		rest = after
	}
	serials := map[string]bool{}
	for part := range strings.SplitSeq(out.String(), "certificate with serial ") {
		serial, _, _ := strings.Cut(part, " of CN=")
		serials[serial] = true
	}
	if len(serials) != 3 { // what comes before the first, and two
		t.Errorf("the second visit saw the first certificate:\n%s", out.String())
	}
}

// A process that dies between the order and the finalize request, or while it
// serves, goes on when it is started again: with the same order and account, and
// then with the certificate that it has.
func TestKilled(t *testing.T) {
	t.Parallel()
	ports := catest.FreePorts(t, 2)
	server, flags := catest.Start(t, pebble.Options{HTTPPort: ports[0], TLSPort: ports[1]})
	dir := catest.Value(flags, "-out")
	args := append(flags, "-domain", "Bücher.example", "-domain", "127.0.0.1", "-http", catest.Loopback(ports[0]), "-https", catest.Loopback(ports[1]))
	start := func(trace func(kill func()) *acme.Trace) string {
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		out := &watcher{text: "serving https", then: kill}
		err := run(acme.WithTrace(ctx, trace(kill)), args, out)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("%v\n%s", err, out.String())
		}
		return out.String()
	}

	if out := start(func(kill func()) *acme.Trace {
		return &acme.Trace{OrderStatus: func(o *acme.Order) {
			if o.Status == acme.StatusReady {
				kill()
			}
		}}
	}); strings.Contains(out, "got a certificate") {
		t.Fatalf("not killed:\n%s", out)
	}
	order, err := os.ReadFile(filepath.Join(dir, orderFile))
	if err != nil {
		t.Fatal(err)
	}
	none := func(func()) *acme.Trace { return new(acme.Trace) }
	out := start(none)
	if !strings.Contains(out, "going on with the order "+string(order)) || strings.Contains(out, "ordering") || !strings.Contains(out, "got a certificate for xn--bcher-kva.example, 127.0.0.1,") {
		t.Fatalf("the second process:\n%s", out)
	}
	for _, name := range []string{orderFile, nextKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
	if out = start(none); !strings.Contains(out, "found a certificate for xn--bcher-kva.example, 127.0.0.1,") || strings.Contains(out, "ordering") {
		t.Errorf("the third process:\n%s", out)
	}
	catest.CheckAccount(t, server, flags)
	catest.CheckCertificate(t, flags, certificateFile, certificateFile, "xn--bcher-kva.example", "127.0.0.1")
}

// A certificate that cannot be stored stays at the CA, with its order, and its key in
// the folder, for the next start.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	ports := catest.FreePorts(t, 2)
	_, flags := catest.Start(t, pebble.Options{HTTPPort: ports[0], TLSPort: ports[1]})
	args := append(flags, "-domain", "a.example", "-http", catest.Loopback(ports[0]), "-https", catest.Loopback(ports[1]))
	unblock := catest.Block(t, flags, certificateFile)
	orders := 0
	ctx, kill := context.WithCancel(acme.WithTrace(t.Context(), &acme.Trace{OrderCreated: func(*acme.Order) { orders++ }}))
	defer kill()
	if err := run(ctx, args, io.Discard); err == nil {
		t.Error("no error")
	}
	unblock()
	out := &watcher{text: "serving https", then: kill}
	if err := run(ctx, args, out); err != nil && !errors.Is(err, context.Canceled) || orders != 1 || !strings.Contains(out.String(), "got a certificate for a.example") {
		t.Errorf("%v, %d orders\n%s", err, orders, out.String())
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, args := range [][]string{{"-directory", "https://ca.example/"}, {"example.com"}, {"-x"}, {"-out", "x"}} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Error(err)
	}
}

// A watcher does something when a text is written.
type watcher struct {
	bytes.Buffer
	text string
	then func()
}

func (w *watcher) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.then()
	}
	return w.Buffer.Write(p)
}
