// Package onion knows the names of Tor's hidden services: the "Special
// Hostnames in Tor" of tor-spec, in version 3. A name is the service's public
// key.
package onion

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha3"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

const (
	suffix  = ".onion"
	version = 3
	length  = 56 // of an address: base32 of the key, two octets of a checksum and the version
)

// IsName reports whether a domain name, in lower case, is one of a hidden
// service: one of version 3 or not.
func IsName(name string) bool { return strings.HasSuffix(name, suffix) || name == suffix[1:] }

// Address cuts subdomains and a "*." off a name of a hidden service.
func Address(name string) string {
	label := strings.TrimSuffix(name, suffix)
	return label[strings.LastIndexByte(label, '.')+1:] + suffix
}

// Name returns the address of the service with a key.
func Name(key ed25519.PublicKey) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(encode(key))) + suffix
}

func encode(key ed25519.PublicKey) []byte {
	sum := sha3.New256()
	_, _ = sum.Write([]byte(".onion checksum"))
	_, _ = sum.Write(key)
	_, _ = sum.Write([]byte{version})
	address := append(bytes.Clone(key), sum.Sum(nil)[:2]...)
	return append(address, version)
}

// Key returns the key of the service that a name is of. Subdomains and a "*." in
// front are ignored.
func Key(name string) (ed25519.PublicKey, error) {
	if !IsName(name) {
		return nil, errors.New("it does not end in .onion")
	}
	label := strings.TrimSuffix(Address(name), suffix)
	switch {
	case len(label) == 16:
		return nil, errors.New("a version 2 address, which is insecure")
	case len(label) != length:
		return nil, fmt.Errorf("an address has %d characters before .onion, not %d", length, len(label))
	}
	data, err := base32.StdEncoding.DecodeString(strings.ToUpper(label))
	if err != nil || strings.ToLower(label) != label || len(data) != length*5/8 { // a decoder of base32 passes over line breaks
		return nil, errors.New("the label before .onion has other characters than a to z and 2 to 7")
	}
	key := ed25519.PublicKey(data[:ed25519.PublicKeySize])
	if got := data[len(data)-1]; got != version {
		return nil, fmt.Errorf("an address of version %d, not %d", got, version)
	}
	if !bytes.Equal(data, encode(key)) {
		return nil, errors.New("the checksum in it is wrong: is there a typing error?")
	}
	return key, nil
}
