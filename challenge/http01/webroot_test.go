package http01_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

const below = ".well-known/acme-challenge"

// tree lists what is in a folder, with slashes; links are not followed.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if name == dir || err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if rel = filepath.ToSlash(rel); d.IsDir() {
			rel += "/"
		}
		names = append(names, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Files and folders can be read by everybody, and go when they are not needed.
func TestWebrootFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path   string
		before []string
		folder string
		after  []string
	}{
		"an empty folder":           {"", nil, below, nil},
		"a folder with .well-known": {"", []string{".well-known/security.txt"}, below, []string{".well-known/", ".well-known/security.txt"}},
		"a folder with all":         {"", []string{below + "/other"}, below, []string{".well-known/", below + "/", below + "/other"}},
		"the folder of answers":     {".", []string{"index.html"}, ".", []string{"index.html"}},
		"another path":              {"a//b/./c/", []string{"a/x"}, "a/b/c", []string{"a/", "a/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range tt.before {
				write(t, filepath.Join(dir, file), "before")
			}
			webroot := &http01.Webroot{Dir: dir, Path: tt.path}
			first, second := present(t, webroot, token, "other2"), present(t, webroot, token)
			for _, token := range []string{token, "other2"} {
				file := filepath.Join(dir, tt.folder, token)
				data, err := os.ReadFile(file)
				if string(data) != token+"."+thumbprint || err != nil {
					t.Errorf("%q, %v", data, err)
				}
				if info, err := os.Stat(file); err != nil || info.Mode() != 0o644 && runtime.GOOS != "windows" {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
			}
			for _, entry := range tree(t, dir) { // what was made
				info, err := os.Stat(filepath.Join(dir, entry))
				if made := strings.HasSuffix(entry, "/") && !slices.Contains(tt.after, entry); made && (err != nil || info.Mode().Perm() != 0o755) && runtime.GOOS != "windows" {
					t.Errorf("%s: mode %v, %v", entry, info.Mode(), err)
				}
			}
			if err := errors.Join(first(t.Context()), first(t.Context())); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, tt.folder, "other2")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the first cleanup: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, tt.folder, token)); err != nil {
				t.Errorf("what another order needs: %v", err)
			}
			if err := second(t.Context()); err != nil {
				t.Error(err)
			}
			if got := tree(t, dir); !slices.Equal(got, tt.after) {
				t.Errorf("left %q, want %q", got, tt.after)
			}
			present(t, webroot, token) // again
		})
	}
}

// What is not ours is neither overwritten nor removed.
func TestWebrootLeavesTheRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, below)
	answer := token + "." + thumbprint

	webroot := &http01.Webroot{Dir: dir}
	write(t, filepath.Join(folder, token), answer) // another process's, for the same authorization
	if err := present(t, webroot, token)(t.Context()); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(filepath.Join(folder, token)); string(data) != answer {
		t.Errorf("the other process's file: %q, %v", data, err)
	}

	cleanup := present(t, webroot, "changed", "gone", "folder")
	write(t, filepath.Join(folder, "changed"), "something else")
	if err := errors.Join(os.Remove(filepath.Join(folder, "gone")), os.Remove(filepath.Join(folder, "folder")), os.Mkdir(filepath.Join(folder, "folder"), 0o700)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "new"), "of somebody else")
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	want := []string{".well-known/", below + "/", below + "/changed", below + "/" + token, below + "/folder/", below + "/new"}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// What the cleanup cannot look at may be there still, and is told.
func TestWebrootTellsWhatIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cleanup := present(t, &http01.Webroot{Dir: dir}, token)
	if err := os.Rename(filepath.Join(dir, ".well-known"), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	symlink(t, ".well-known", filepath.Join(dir, ".well-known")) // a loop
	err := cleanup(t.Context())
	for _, name := range []string{filepath.ToSlash(below) + "/" + token, filepath.ToSlash(below) + ":"} {
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("nothing of %s in %v", name, err)
		}
	}
}

// symlink makes a symbolic link. Only Windows may refuse that.
func symlink(t *testing.T, target, name string) {
	t.Helper()
	switch err := os.Symlink(target, name); {
	case err != nil && runtime.GOOS == "windows":
		t.Skipf("symbolic links cannot be made here: enable the developer mode of Windows: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}

func TestWebrootRefuses(t *testing.T) {
	t.Parallel()
	link := func(target, name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			symlink(t, target, filepath.Join(dir, name))
		}
	}
	file := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { t.Helper(); write(t, filepath.Join(dir, name), text) }
	}
	nothing := func(*testing.T, string) {}
	foreign := attempt(token)
	foreign.KeyAuthorization = token + ".other"
	for name, tt := range map[string]struct {
		prepare func(t *testing.T, dir string)
		path    string
		last    *acme.Attempt
		says    string
	}{
		"a token that leads out":      {nothing, "", attempt("../../up"), "not base64url"},
		"a token with a backslash":    {nothing, "", attempt(`..\up`), "not base64url"},
		"a key authorization that is": {nothing, "", &acme.Attempt{Challenge: &acme.Challenge{Token: token}, KeyAuthorization: token + ".<script>"}, "not one for the token"},
		"another account's key":       {nothing, "", foreign, "another account's key"},
		"a path that leads out":       {nothing, "../up", attempt(token), "escapes"},
		"an absolute path":            {nothing, "/up", attempt(token), "escapes"},
		"a folder that leads out":     {link("../../outside", ".well-known"), "", attempt(token), "escapes"},
		"a folder that leads far out": {link("/", below), "", attempt(token), "escapes"},
		"a folder that leads nowhere": {link("nowhere", below), "", attempt(token), below},
		"a folder that is a file":     {file(".well-known", "file"), "", attempt(token), ".well-known"},
		"a file with something else":  {file(below+"/"+token, "else"), "", attempt(token), "something else in it"},
		"a file with more":            {file(below+"/"+token, token+"."+thumbprint+strings.Repeat("x", 4096)), "", attempt(token), "something else in it"},
		"a link in place of the file": {link("../../../../etc/hostname", below+"/"+token), "", attempt(token), "not a regular file"},
		"a folder in place of a file": {file(below+"/"+token+"/x", ""), "", attempt(token), "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "root")
			write(t, filepath.Join(parent, "outside", "file"), "")
			write(t, filepath.Join(dir, "index.html"), "")
			tt.prepare(t, dir)
			before := tree(t, parent)
			webroot := &http01.Webroot{Dir: dir, Path: tt.path}
			cleanup, err := webroot.Present(t.Context(), []*acme.Attempt{attempt("first"), attempt("token2"), tt.last, attempt(token)})
			if cleanup != nil || !strings.Contains(fmt.Sprint(err), tt.says) || !strings.HasPrefix(fmt.Sprint(err), "http01: ") {
				t.Errorf("cleanup %t, %v", cleanup != nil, err)
			}
			if after := tree(t, parent); !slices.Equal(after, before) {
				t.Errorf("left %q, was %q", after, before)
			}
		})
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), ""} {
		_, err := (&http01.Webroot{Dir: dir}).Present(t.Context(), []*acme.Attempt{attempt(token)})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "http01: http-01 for example.com: writing the answer") {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

// A link within the folder is a folder like others.
func TestWebrootFollowsInnerLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "acme"), 0o700), os.Mkdir(filepath.Join(dir, ".well-known"), 0o700)); err != nil {
		t.Fatal(err)
	}
	symlink(t, filepath.Join("..", "acme"), filepath.Join(dir, below))
	cleanup := present(t, &http01.Webroot{Dir: dir}, token)
	if _, err := os.Stat(filepath.Join(dir, "acme", token)); err != nil {
		t.Error(err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	if got := tree(t, dir); !slices.Equal(got, []string{".well-known/", below, "acme/"}) {
		t.Errorf("left %q", got)
	}
}

// A batch that is cancelled half way leaves nothing.
func TestWebrootIsCancelled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cleanup, err := (&http01.Webroot{Dir: dir}).Present(ctx, []*acme.Attempt{attempt(token)})
	if cleanup != nil || !errors.Is(err, context.Canceled) || len(tree(t, dir)) > 0 {
		t.Errorf("%v, left %q", err, tree(t, dir))
	}
}

// Processes that have the same folder do not see each other's counts: one may take
// away the folders that another one is about to write into.
func TestWebrootOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			webroot := &http01.Webroot{Dir: dir}
			for j := range 10 {
				cleanup, err := webroot.Present(t.Context(), []*acme.Attempt{attempt(fmt.Sprintf("token-%d-%d", i, j))})
				if err == nil {
					err = cleanup(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, name := range tree(t, dir) { // whoever made a folder found it in use
		if !strings.HasSuffix(name, "/") {
			t.Errorf("left %s", name)
		}
	}
}
