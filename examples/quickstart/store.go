package main

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

// A store keeps files in a folder, or nowhere if there is none.
type store struct {
	folder string
}

// key reads a private key, or makes one and stores it.
func (s store) key(name string) (crypto.Signer, error) {
	if data := s.read(name); data != "" {
		block, _ := pem.Decode([]byte(data))
		if block == nil {
			return nil, fmt.Errorf("%s: no PEM file", filepath.Join(s.folder, name))
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(s.folder, name), err)
		}
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
		return nil, fmt.Errorf("%s: no key to sign with", filepath.Join(s.folder, name))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, s.write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// read returns a file's contents, "" if there is none.
func (s store) read(name string) string {
	if s.folder == "" {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// write replaces a file as a whole: after a crash there is the old one or the
// new one.
func (s store) write(name string, data []byte) error {
	if s.folder == "" {
		return nil
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.folder, name+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), filepath.Join(s.folder, name))
}

func (s store) remove(name string) error {
	if s.folder == "" {
		return nil
	}
	if err := os.Remove(filepath.Join(s.folder, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
