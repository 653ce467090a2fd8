package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
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
// Any crypto.Signer signs, and nobody looks at private keys.
type signingKey struct {
	signer     crypto.Signer
	rand       io.Reader
	public     crypto.PublicKey
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
	pub := key.Public()
	k := &signingKey{signer: key, rand: rand.Reader, public: pub}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub.N == nil || pub.N.BitLen() < 2048 {
			return nil, ErrUnsupportedKey
		}
		k.alg, k.hash = jose.RS256, crypto.SHA256
	case *ecdsa.PublicKey:
		if k.alg, k.hash, k.size = ecdsaAlgorithm(pub.Curve); k.alg == "" {
			return nil, ErrUnsupportedKey
		}
	case ed25519.PublicKey:
		k.alg = jose.EdDSA
	default:
		return nil, fmt.Errorf("%w (not %T)", ErrUnsupportedKey, pub)
	}
	jwk := jose.JSONWebKey{Key: pub}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupportedKey, err)
	}
	k.thumbprint = base64url(sum)
	k.jwk, err = canonical(jwk)
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

// signature signs, in the form that JWS wants. It goes through SignMessage, which
// lets a key store hash by itself, as Ed25519 there needs.
func (k *signingKey) signature(input []byte) ([]byte, error) {
	sig, err := crypto.SignMessage(k.signer, k.rand, input, k.hash)
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

// A protectedHeader has the members of §6.2, and no others.
type protectedHeader struct {
	Algorithm jose.SignatureAlgorithm `json:"alg"`
	JWK       json.RawMessage         `json:"jwk,omitempty"`
	KeyID     string                  `json:"kid,omitempty"`
	Nonce     string                  `json:"nonce,omitempty"`
	URL       string                  `json:"url"`
}

// sign makes the body of a request: a flattened JWS with alg, nonce, url and
// either kid or jwk (§6.2). The inner JWS of a key change has no nonce.
func (k *signingKey) sign(payload []byte, url, nonce, kid string) ([]byte, error) {
	header := protectedHeader{Algorithm: k.alg, KeyID: kid, Nonce: nonce, URL: url}
	if kid == "" {
		header.JWK = k.jwk
	}
	jws, err := seal(header, payload, k.signature)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return jws, nil
}

// seal makes a JWS in the flattened serialization (RFC 7515 §5.1, §7.2.2). A
// POST-as-GET has an empty payload (§6.3).
func seal(header protectedHeader, payload []byte, sign func(input []byte) ([]byte, error)) ([]byte, error) {
	data, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	protected, content := base64url(data), base64url(payload)
	signature, err := sign([]byte(protected + "." + content))
	if err != nil {
		return nil, err
	}
	return []byte(`{"payload":"` + content + `","protected":"` + protected + `","signature":"` + base64url(signature) + `"}`), nil
}

// bind makes the JWS that binds the key to an account outside of ACME (§7.3.4).
func (k *signingKey) bind(e *ExternalAccount, url string) (json.RawMessage, error) {
	hashes := map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}
	header := protectedHeader{Algorithm: jose.SignatureAlgorithm(e.algorithm()), KeyID: e.KeyID, URL: url}
	return seal(header, k.jwk, func(input []byte) ([]byte, error) {
		mac := hmac.New(hashes[e.algorithm()].New, e.MACKey)
		mac.Write(input)
		return mac.Sum(nil), nil
	})
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
	own, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(pub)
}
