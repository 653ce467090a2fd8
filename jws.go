package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that algorithm names
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"reflect"

	"github.com/go-jose/go-jose/v4"
)

// A signingKey is a caller's key with all that follows from its public half.
// It implements jose.OpaqueSigner, so that any crypto.Signer signs, without
// anybody looking at private keys.
type signingKey struct {
	signer     crypto.Signer
	rand       io.Reader
	public     jose.JSONWebKey
	jwk        json.RawMessage // with the required members alone, in order (RFC 7638 §3)
	alg        jose.SignatureAlgorithm
	hash       crypto.Hash
	size       int    // octets of each half of an ECDSA signature
	thumbprint string // RFC 7638, base64url
}

// newSigningKey checks a key and chooses the algorithm by its public half: what
// every server that follows §6.2 takes for such a key.
func newSigningKey(key crypto.Signer) (*signingKey, error) {
	if v := reflect.ValueOf(key); key == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, ErrNoKey
	}
	if k, ok := key.(ed25519.PrivateKey); ok && len(k) != ed25519.PrivateKeySize { // its Public panics
		return nil, ErrNoKey
	}
	k := &signingKey{signer: key, rand: rand.Reader}
	pub := key.Public()
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub.N == nil {
			return nil, fmt.Errorf("%w (not RSA without a modulus)", ErrUnsupportedKey)
		}
		if bits := pub.N.BitLen(); bits < 2048 {
			return nil, fmt.Errorf("%w (not RSA of %d bits)", ErrUnsupportedKey, bits)
		}
		k.alg, k.hash = jose.RS256, crypto.SHA256
	case *ecdsa.PublicKey:
		if k.alg, k.hash, k.size = ecdsaAlgorithm(pub.Curve); k.alg == "" {
			return nil, fmt.Errorf("%w (not ECDSA on another curve)", ErrUnsupportedKey)
		}
	case ed25519.PublicKey:
		k.alg = jose.EdDSA
	default:
		return nil, fmt.Errorf("%w (not %T)", ErrUnsupportedKey, pub)
	}
	k.public = jose.JSONWebKey{Key: pub}
	sum, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupportedKey, err)
	}
	k.thumbprint = base64url(sum)
	k.jwk, err = canonical(k.public)
	return k, err
}

// canonical encodes a key with its members in order.
func canonical(key jose.JSONWebKey) (json.RawMessage, error) {
	data, err := json.Marshal(key)
	if err != nil {
		return nil, err
	}
	m, err := members(data)
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func ecdsaAlgorithm(c elliptic.Curve) (jose.SignatureAlgorithm, crypto.Hash, int) {
	switch c {
	case elliptic.P256():
		return jose.ES256, crypto.SHA256, 32
	case elliptic.P384():
		return jose.ES384, crypto.SHA384, 48
	case elliptic.P521():
		return jose.ES512, crypto.SHA512, 66
	}
	return "", 0, 0
}

// Public returns the public key.
func (k *signingKey) Public() *jose.JSONWebKey { return &k.public }

// Algs returns the one algorithm that the key is used with.
func (k *signingKey) Algs() []jose.SignatureAlgorithm { return []jose.SignatureAlgorithm{k.alg} }

// SignPayload signs, in the form that JWS wants. It goes through SignMessage,
// which lets a key store hash by itself, as Ed25519 there needs.
func (k *signingKey) SignPayload(payload []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	sig, err := crypto.SignMessage(k.signer, k.rand, payload, k.hash)
	if err != nil || k.size == 0 {
		return sig, err
	}
	// r and s with a fixed width instead of ASN.1 (RFC 7518 §3.4).
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &rs); err != nil || len(rest) > 0 {
		return nil, errors.New("the key's signature is no ASN.1 ECDSA signature")
	}
	if rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 8*k.size || rs.S.BitLen() > 8*k.size {
		return nil, errors.New("the key's signature has the wrong size for its curve")
	}
	out := make([]byte, 2*k.size)
	rs.R.FillBytes(out[:k.size])
	rs.S.FillBytes(out[k.size:])
	return out, nil
}

// sign makes the body of a request: a flattened JWS with alg, nonce, url and
// either kid or jwk (§6.2). The inner JWS of a key change has no nonce.
func (k *signingKey) sign(payload []byte, url, nonce, kid string) ([]byte, error) {
	headers := map[jose.HeaderKey]any{"url": url}
	if nonce != "" {
		headers["nonce"] = nonce
	}
	if kid != "" {
		headers["kid"] = kid
	} else {
		headers["jwk"] = k.jwk
	}
	jws, err := seal(jose.SigningKey{Algorithm: k.alg, Key: k}, payload, headers)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return jws, nil
}

func seal(key jose.SigningKey, payload []byte, headers map[jose.HeaderKey]any) ([]byte, error) {
	signer, err := jose.NewSigner(key, &jose.SignerOptions{ExtraHeaders: headers})
	if err != nil {
		return nil, err
	}
	if payload == nil {
		payload = []byte{} // go-jose leaves a nil payload out; POST-as-GET has an empty one (§6.3)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	return []byte(jws.FullSerialize()), nil
}

// bind makes the JWS that binds the key to an account outside of ACME (§7.3.4).
func (k *signingKey) bind(e *ExternalAccount, url string) (json.RawMessage, error) {
	alg := jose.SignatureAlgorithm(e.algorithm())
	headers := map[jose.HeaderKey]any{"url": url, "kid": e.KeyID}
	return seal(jose.SigningKey{Algorithm: alg, Key: e.MACKey}, k.jwk, headers)
}

// changeFrom makes the inner JWS by which the new key k takes over an account
// from an old one (§7.3.5).
func (k *signingKey) changeFrom(old *signingKey, account, url string) (json.RawMessage, error) {
	payload, err := json.Marshal(struct {
		Account string          `json:"account"`
		OldKey  json.RawMessage `json:"oldKey"`
	}{account, old.jwk})
	if err != nil {
		return nil, err
	}
	return k.sign(payload, url, "", "")
}

// isKey reports whether pub is the public half of k.
func (k *signingKey) isKey(pub crypto.PublicKey) bool {
	own, ok := k.public.Key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(pub)
}
