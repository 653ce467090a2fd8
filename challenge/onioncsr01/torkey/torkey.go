// Package torkey reads the key of a hidden service from the files of Tor, to
// sign with it what onion-csr-01 challenges and CAA records want (RFC 9799):
//
//	key, err := torkey.Open("/var/lib/tor/service") // the HiddenServiceDir
//	…
//	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}
//
// Tor stores keys in an expanded form, which package crypto/ed25519 cannot sign
// with. This is a module of its own, so that a program which does not need it does
// not have filippo.io/edwards25519 among its dependencies.
package torkey

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"filippo.io/edwards25519"

	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
)

const (
	header     = "== ed25519v1-secret: type0 ==\x00\x00\x00" // of hs_ed25519_secret_key
	secretSize = 64                                          // octets: a scalar and the prefix for nonces
	maxFile    = 1024                                        // octets of a file that can be one
)

// A Key is the key of a hidden service, a [crypto.Signer]. It is safe for concurrent
// use, and prints as the name of the service.
type Key struct {
	scalar *edwards25519.Scalar
	prefix []byte
	public ed25519.PublicKey
}

// Open reads the key in a HiddenServiceDir, and checks that it is the one of the
// name in the file hostname, if there is one. Tor lets nobody but its own user read
// the folder.
func Open(folder string) (*Key, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("torkey: %w", err)
	}
	defer root.Close() //nolint:errcheck // nothing was written
	data, err := read(root, "hs_ed25519_secret_key")
	if err != nil {
		return nil, fmt.Errorf("torkey: %w", err)
	}
	key, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, filepath.Join(folder, "hs_ed25519_secret_key"))
	}
	hostname, err := read(root, "hostname")
	switch name := string(bytes.TrimSpace(hostname)); {
	case errors.Is(err, os.ErrNotExist):
		return key, nil
	case err != nil:
		return nil, fmt.Errorf("torkey: %w", err)
	case name != key.Name():
		return nil, fmt.Errorf("torkey: the key in %s is that of %s, and not of the hostname there, %.100q", folder, key.Name(), name)
	}
	return key, nil
}

// read reads a file that is not long.
func read(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// Parse reads the contents of a file hs_ed25519_secret_key.
func Parse(data []byte) (*Key, error) {
	secret, ok := bytes.CutPrefix(data, []byte(header))
	if !ok || len(secret) != secretSize {
		return nil, errors.New("torkey: no file hs_ed25519_secret_key of Tor")
	}
	// The scalar is taken as it is: tools that search for beautiful names
	// need not have kept to the form that RFC 8032 §5.1.5 gives it.
	wide := make([]byte, secretSize)
	copy(wide, secret[:32])
	scalar, err := new(edwards25519.Scalar).SetUniformBytes(wide)
	if err != nil || scalar.Equal(edwards25519.NewScalar()) == 1 {
		return nil, errors.New("torkey: the file has no key in it")
	}
	public := new(edwards25519.Point).ScalarBaseMult(scalar).Bytes()
	return &Key{scalar: scalar, prefix: bytes.Clone(secret[32:]), public: public}, nil
}

// Name returns the name of the service: 56 characters and ".onion".
func (k Key) Name() string { return onioncsr01.Address(k.public) }

// Public returns the public key, an [ed25519.PublicKey].
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign signs a message, not a digest (RFC 8032 §5.1.6). It needs no randomness.
func (k *Key) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("torkey: Ed25519 signs messages, not digests")
	}
	r := hash(k.prefix, message)
	signature := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	challenge := hash(signature, k.public, message)
	return append(signature, new(edwards25519.Scalar).MultiplyAdd(challenge, k.scalar, r).Bytes()...), nil
}

// hash returns SHA-512 of all parts, as a scalar.
func hash(parts ...[]byte) *edwards25519.Scalar {
	sum := sha512.Sum512(bytes.Join(parts, nil))
	scalar, err := new(edwards25519.Scalar).SetUniformBytes(sum[:])
	if err != nil {
		panic(err) // it wants 64 octets
	}
	return scalar
}

// String returns the name of the service.
func (k Key) String() string { return k.Name() }

// GoString returns the name of the service.
func (k Key) GoString() string { return "torkey.Key(" + k.Name() + ")" }

// LogValue returns the name of the service.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.Name()) }

// MarshalJSON returns the name of the service, for logs.
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.Name()) }
