package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/examples/internal/catest"
	"github.com/seed-aa0b9f56/acme/examples/internal/store"
)

// accounts returns the URLs in what a run has written.
func accounts(out string) (urls []string) {
	for line := range strings.Lines(out) {
		if rest, found := strings.CutPrefix(line, "account "); found {
			url, _, _ := strings.Cut(rest, " ")
			urls = append(urls, url)
		}
	}
	return urls
}

func TestKeyRollover(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	urls := accounts(out.String())
	if len(urls) != 2 || urls[0] != urls[1] || !strings.Contains(out.String(), "the old key has no account") {
		t.Error(out.String())
	}
}

// Runs are killed after each of their requests, the first, the second and so on,
// until one is not. There is one account all along, and its key is in the folder.
func TestKilled(t *testing.T) {
	t.Parallel()
	server, flags := catest.Start(t, pebble.Options{NonceReject: 20})
	files := store.Store{Folder: catest.Value(flags, "-out")}
	var out bytes.Buffer
	if err := run(t.Context(), flags, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	url := accounts(out.String())[0]
	killed := 0
	for n := 1; ; n++ {
		before := catest.Read(t, files, keyFile)
		ctx, kill := context.WithCancel(t.Context())
		requests := 0
		ctx = acme.WithTrace(ctx, &acme.Trace{Request: func(acme.RequestInfo) {
			if requests++; requests == n {
				kill()
			}
		}})
		out.Reset()
		err := run(ctx, flags, &out)
		kill()
		for _, other := range accounts(out.String()) {
			if other != url {
				t.Fatalf("killed after request %d: account %s, not %s", n, other, url)
			}
		}
		if err == nil {
			if catest.Read(t, files, keyFile) == before || catest.Read(t, files, nextFile) != "" {
				t.Error("the key was not replaced")
			}
			break
		}
		if killed++; !errors.Is(err, context.Canceled) {
			t.Fatalf("killed after request %d: %v\n%s", n, err, out.String())
		}
	}
	if killed < 3 {
		t.Errorf("%d runs were killed", killed)
	}
	catest.CheckAccount(t, server, flags)
}

// A run that was killed after the CA had changed the key, but before it noted that:
// entirely, or half.
func TestChangedBefore(t *testing.T) {
	t.Parallel()
	for _, half := range []bool{false, true} {
		server, flags := catest.Start(t, pebble.Options{})
		files := store.Store{Folder: catest.Value(flags, "-out")}
		var out bytes.Buffer
		if err := run(t.Context(), flags, &out); err != nil {
			t.Fatal(err)
		}
		url := accounts(out.String())[0]
		old, err := files.Key(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		next, err := files.Key(nextFile)
		if err != nil {
			t.Fatal(err)
		}
		client := &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.Client()}
		if _, err := client.Account(old, url).ChangeKey(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if half {
			if err := files.Write(keyFile, []byte(catest.Read(t, files, nextFile))); err != nil {
				t.Fatal(err)
			}
		}
		out.Reset()
		if err := run(t.Context(), flags, &out); err != nil {
			t.Fatalf("half %t: %v", half, err)
		}
		if urls := accounts(out.String()); len(urls) != 2 || urls[0] != url || urls[1] != url || !strings.Contains(out.String(), "an earlier run had") {
			t.Errorf("half %t: %s", half, out.String())
		}
		catest.CheckAccount(t, server, flags)
	}
}

// A new key that is there and cannot be read is no reason to make another account.
func TestUnreadableKey(t *testing.T) {
	t.Parallel()
	_, flags := catest.Start(t, pebble.Options{})
	var out bytes.Buffer
	if err := run(t.Context(), flags, &out); err != nil {
		t.Fatal(err)
	}
	unblock := catest.Block(t, flags, nextFile)
	defer unblock()
	out.Reset()
	if err := run(t.Context(), flags, &out); err == nil || len(accounts(out.String())) != 0 {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, args := range [][]string{{"x"}, {"-x"}, {"-domain", "a.example"}, {"-out", "x"}} {
		if err := run(t.Context(), args, &out); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &out); err != nil {
		t.Error(err)
	}
}
