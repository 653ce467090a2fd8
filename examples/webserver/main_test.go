package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
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
	ports := freePorts(t, 2)
	server, err := pebble.Start(pebble.Options{Strict: true, HTTPPort: ports[0], TLSPort: ports[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	dir := t.TempDir()
	catest.WriteRoots(t, server, filepath.Join(dir, "roots.pem"))
	args := []string{
		"-directory", server.DirectoryURL(), "-roots", filepath.Join(dir, "roots.pem"), "-domain", "A.example", "-agree",
		"-http", loopback(ports[0]), "-https", loopback(ports[1]), "-out", dir,
	}
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
	if !strings.Contains(out, "going on with the order "+string(order)) || strings.Contains(out, "ordering") || !strings.Contains(out, "got a certificate for a.example") {
		t.Fatalf("the second process:\n%s", out)
	}
	for _, name := range []string{orderFile, nextKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was left", name)
		}
	}
	if out = start(none); !strings.Contains(out, "found a certificate for a.example") || strings.Contains(out, "ordering") {
		t.Errorf("the third process:\n%s", out)
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

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePorts returns ports that nobody listens at, which are all different.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
