package acme

import (
	"crypto"
	"crypto/ed25519"
	"fmt"

	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// checkOnion returns an error for an onion name that is not one of version 3,
// which is insecure (RFC 9799 §2). Subdomains are fine.
func checkOnion(name string) error {
	if !onion.IsName(name) {
		return nil
	}
	if _, err := onion.Key(name); err != nil {
		return fmt.Errorf("no onion name of version 3 (RFC 9799 §2): %w", err)
	}
	return nil
}

// suits reports whether a challenge may be used for an identifier, whatever the
// server offers: onion names are not in DNS (RFC 9799 §3.1.1), and must not get
// there, and addresses are not validated there (RFC 8738 §7); and onion-csr-01 is
// for nothing else (RFC 9799 §3.2).
func (c *Challenge) suits(id Identifier) bool {
	switch c.Type {
	case DNS01, DNSAccount01, DNSPersist01:
		return !isOnion(id) && id.Type != TypeIP
	case OnionCSR01:
		return isOnion(id)
	}
	return true
}

func isOnion(id Identifier) bool { return id.Type == TypeDNS && onion.IsName(id.Value) }

// checkOnionKey returns an error if a CSR holds the key of a hidden service that
// it is for: that key is for the challenge alone (RFC 9799 §3.2).
func checkOnionKey(pub crypto.PublicKey, ids []Identifier) error {
	held, ok := pub.(ed25519.PublicKey)
	if !ok {
		return nil
	}
	for _, id := range ids {
		if key, err := onion.Key(id.Value); err == nil && key.Equal(held) {
			return fmt.Errorf("%w: %s", ErrOnionKeyInCSR, id)
		}
	}
	return nil
}
