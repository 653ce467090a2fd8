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
		if err := s.Write("a", []byte("b\n")); err != nil || (s.Read("a") == "b") != (s.Folder != "") {
			t.Errorf("%q, %v", s.Read("a"), err)
		}
		for range 2 {
			if err := s.Remove("a"); err != nil || s.Read("a") != "" {
				t.Errorf("%q, %v", s.Read("a"), err)
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
	for _, name := range []string{"folder", "empty", "text", "certificate"} {
		if key, err := s.Key(name); err == nil || key != nil {
			t.Errorf("%s: %v", name, key)
		}
	}
}
