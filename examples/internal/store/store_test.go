package store

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"testing"
)

func TestStore(t *testing.T) {
	t.Parallel()
	for _, s := range []Store{{}, {Folder: filepath.Join(t.TempDir(), "new")}} {
		first, err := s.Key("key.pem")
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.Key("key.pem")
		if err != nil || first.(*ecdsa.PrivateKey).Equal(second) != (s.Folder != "") {
			t.Errorf("in %q: %v", s.Folder, err)
		}
		if err := s.Write("a", []byte("b\n")); err != nil {
			t.Error(err)
		}
		if text, err := s.Read("a"); err != nil || (text == "b") != (s.Folder != "") {
			t.Errorf("%q, %v", text, err)
		}
		for range 2 {
			if err := s.Remove("a"); err != nil {
				t.Error(err)
			}
			if text, err := s.Read("a"); err != nil || text != "" {
				t.Errorf("%q, %v", text, err)
			}
		}
	}
}

// A key that cannot be read is not replaced by another one.
func TestUnreadableKey(t *testing.T) {
	t.Parallel()
	s := Store{Folder: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.Folder, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"empty": "", "text": "a", "certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := s.Write(name, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := s.Read("folder"); err == nil {
		t.Errorf("got %q", text)
	}
	for _, name := range []string{"folder", "empty", "text", "certificate"} {
		if key, err := s.Key(name); err == nil || key != nil {
			t.Errorf("%s: %v", name, key)
		}
	}
}

// A file that cannot be replaced leaves nothing beside it: it may be a key.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	s := Store{Folder: t.TempDir()}
	if err := os.MkdirAll(filepath.Join(s.Folder, "folder", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := s.Write("folder", []byte("secret"))
	if files, _ := os.ReadDir(s.Folder); err == nil || len(files) != 1 {
		t.Errorf("%v, left %v", err, files)
	}
}
