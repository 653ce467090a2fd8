// Package store keeps what the examples must not lose, in the files of a folder,
// which is readable for their user alone.
package store

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Store keeps files in a folder, or nowhere if there is none.
type Store struct {
	Folder string
}

// Key reads a private key, or makes one and stores it.
func (s Store) Key(name string) (crypto.Signer, error) {
	data, err := s.read(name)
	if err != nil {
		return nil, err // and do not replace what there is
	}
	if data != nil {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("%s: no PEM file", filepath.Join(s.Folder, name))
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(s.Folder, name), err)
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("%s: no key to sign with", filepath.Join(s.Folder, name))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, s.Write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Read returns a file's contents, "" if there is none. What cannot be read is an
// error: it is there, and not to be replaced.
func (s Store) Read(name string) (string, error) {
	data, err := s.read(name)
	return strings.TrimSpace(string(data)), err
}

// read returns nil if there is no file.
func (s Store) read(name string) ([]byte, error) {
	if s.Folder == "" {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(s.Folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Write replaces a file as a whole: after a crash there is the old one or the
// new one.
func (s Store) Write(name string, data []byte) error {
	if s.Folder == "" {
		return nil
	}
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Folder, name+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), filepath.Join(s.Folder, name)); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Remove removes a file, if it is there.
func (s Store) Remove(name string) error {
	if s.Folder == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(s.Folder, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
