package onioncsr01

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/onion"
)

// A Solver answers onion-csr-01 challenges for the hidden services whose keys it
// has. It is safe for concurrent use, once its fields are set.
type Solver struct {
	// Keys are the keys of hidden services: Ed25519, by themselves or behind an
	// interface to where they are.
	Keys []crypto.Signer

	// Authorize is called for a challenge that has a key of the server's, before
	// it is answered. A service that is restricted to known clients must publish
	// its descriptor with a key that is new to it, and wait, some minutes, until
	// that is known (RFC 9799 §4); Authorize returns then. It is called
	// concurrently, with the address of the service. Nil: everybody may come.
	Authorize func(ctx context.Context, address string, key ed25519.PublicKey) error
}

// A response answers a challenge (RFC 9799 §3.2).
type response struct {
	CSR string `json:"csr"`
}

// Supports reports whether a is an onion-csr-01 challenge for a service that the
// solver has the key of, or for a name below it, or its wildcard.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.OnionCSR01 && a.Identifier.Type == acme.TypeDNS && s.key(a.Identifier.Value) != nil
}

// key returns the key of the service that a name is of, or nil.
func (s *Solver) key(name string) crypto.Signer {
	public, err := onion.Key(name)
	if err != nil {
		return nil
	}
	for _, key := range s.Keys {
		if isKey(key, public) {
			return key
		}
	}
	return nil
}

func isKey(key crypto.Signer, public ed25519.PublicKey) bool {
	own, err := publicKey(key)
	return err == nil && own.Equal(public)
}

// Present makes the responses: nothing is provisioned, and there is nothing to
// clean up. It waits for Authorize.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	each := acme.Each(s.Supports, func(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
		if err := s.present(ctx, a); err != nil {
			return nil, fmt.Errorf("onioncsr01: %s: %w", a, err)
		}
		return nil, nil
	})
	_, err := each.Present(ctx, batch)
	return nil, err
}

func (s *Solver) present(ctx context.Context, a *acme.Attempt) error {
	key := s.key(a.Identifier.Value)
	if key == nil {
		return errors.New("no key of this service")
	}
	nonce, err := Nonce(a.Challenge)
	if err != nil {
		return err
	}
	authKey, err := AuthKey(a.Challenge)
	if err != nil {
		return err
	}
	if authKey != nil && s.Authorize != nil {
		if err := s.Authorize(ctx, onion.Address(a.Identifier.Value), authKey); err != nil {
			return fmt.Errorf("authorizing the server's key %s: %w", base64.RawURLEncoding.EncodeToString(authKey), err)
		}
	}
	csr, err := NewCSR(key, nonce)
	if err != nil {
		return err
	}
	a.Response = response{base64.RawURLEncoding.EncodeToString(csr)}
	return nil
}

const (
	minNonce = 8    // octets: 64 bits of entropy (RFC 9799 §3.2)
	maxNonce = 1024 // what comes from a server is bounded
)

// Nonce returns the octets of the nonce in an onion-csr-01 challenge (RFC 9799
// §3.2). The text wants base64 with padding; other alphabets and no padding will
// do. A nonce that is too short to be one is an error: the response would be good
// for other challenges, too.
func Nonce(c *acme.Challenge) ([]byte, error) {
	var object struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal(c.Raw, &object); err != nil {
		return nil, fmt.Errorf("the challenge %s has no nonce: %w", c.URL, err)
	}
	text := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(object.Nonce, "="))
	if len(text) > maxNonce {
		return nil, fmt.Errorf("the nonce of the challenge %s has %d characters", c.URL, len(text))
	}
	nonce, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("the nonce %.100q of the challenge %s is no base64 (RFC 9799 §3.2)", object.Nonce, c.URL)
	}
	if len(nonce) < minNonce {
		return nil, fmt.Errorf("the nonce %q of the challenge %s has %d octets, not %d or more (RFC 9799 §3.2)", object.Nonce, c.URL, len(nonce), minNonce)
	}
	return nonce, nil
}

// AuthKey returns the key by which the server wants to be authorized as a client
// of the hidden service (RFC 9799 §4), or nil if the challenge, which may also be
// one of http-01 or tls-alpn-01, has none.
func AuthKey(c *acme.Challenge) (ed25519.PublicKey, error) {
	var object struct {
		AuthKey *struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			X     string `json:"x"`
		} `json:"authKey"`
	}
	if err := json.Unmarshal(c.Raw, &object); err != nil {
		return nil, fmt.Errorf("the authKey of the challenge %s is no JSON Web Key: %w", c.URL, err)
	}
	if object.AuthKey == nil {
		return nil, nil
	}
	key, err := base64.RawURLEncoding.DecodeString(object.AuthKey.X)
	if err != nil || len(key) != ed25519.PublicKeySize || object.AuthKey.Type != "OKP" || object.AuthKey.Curve != "Ed25519" {
		return nil, fmt.Errorf("the authKey of the challenge %s is no Ed25519 key (RFC 9799 §4, RFC 8037 §2)", c.URL)
	}
	return key, nil
}
