//go:build unix

package http01_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// The web server is another user's: it can read whatever the umask is, which is
// the process's, so that this test has no others beside it.
func TestWebrootWithUmask(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o077))
	present(t, &http01.Webroot{Dir: dir}, token)
	for name, want := range map[string]os.FileMode{".well-known": 0o755, below: 0o755, below + "/" + token: 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}
