package acmetest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A payload that is a []byte is sent as it is.
func encode(payload any) []byte {
	switch p := payload.(type) {
	case nil:
		return nil
	case []byte:
		return p
	}
	b, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func jwkOf(key crypto.PublicKey) json.RawMessage {
	b, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return b
}

func thumbprintOf(key crypto.PublicKey) string {
	k := jose.JSONWebKey{Key: key}
	b, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return b64(b)
}

func algOf(key crypto.PublicKey) jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return jose.RS256
	case ed25519.PublicKey:
		return jose.EdDSA
	case *ecdsa.PublicKey:
		switch k.Params().BitSize {
		case 384:
			return jose.ES384
		case 521:
			return jose.ES512
		}
	}
	return jose.ES256
}

// sign makes a JWS of exactly the header and the payload given.
func sign(key any, alg jose.SignatureAlgorithm, header map[string]any, payload []byte) []byte {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &jose.SignerOptions{
		ExtraHeaders: func() map[jose.HeaderKey]any {
			extra := map[jose.HeaderKey]any{}
			for name, value := range header {
				extra[jose.HeaderKey(name)] = value
			}
			return extra
		}(),
	})
	if err != nil {
		panic(err)
	}
	object, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	compact, err := object.CompactSerialize() // FullSerialize leaves out an empty payload
	if err != nil {
		panic(err)
	}
	parts := strings.Split(compact, ".")
	return encode(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// An rsaCache has one key of each size, because making them is slow.
type rsaCache struct {
	mu   sync.Mutex
	keys map[int]*rsa.PrivateKey
}

var rsaKeys = rsaCache{keys: map[int]*rsa.PrivateKey{}}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	rsaKeys.mu.Lock()
	defer rsaKeys.mu.Unlock()
	if rsaKeys.keys[bits] == nil {
		var key *rsa.PrivateKey
		var err error
		fips140.WithoutEnforcement(func() { key, err = rsa.GenerateKey(rand.Reader, bits) }) // small ones, too
		if err != nil {
			t.Fatal(err)
		}
		rsaKeys.keys[bits] = key
	}
	return rsaKeys.keys[bits]
}
