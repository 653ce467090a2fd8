package torkey_test

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01/torkey"
)

// The folder is the HiddenServiceDir in torrc.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "torkey") // a stand-in for /var/lib/tor/service
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := expand(ed25519.NewKeyFromSeed([]byte("the seed of the service's key...")))
	if err := os.WriteFile(filepath.Join(folder, "hs_ed25519_secret_key"), file, 0o600); err != nil {
		fmt.Println(err)
		return
	}

	key, err := torkey.Open(folder)
	if err != nil {
		fmt.Println(err)
		return
	}
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}
	fmt.Println(len(solver.Keys), "key, of", key)
	// Output:
	// 1 key, of uu7vblht2ktdgoitltyxihpea6w4rthzwehl2equf2vl4eg4adtvenqd.onion
}
