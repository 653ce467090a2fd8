package acmetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
)

// parseJWK decodes a public key (RFC 7517).
func parseJWK(data json.RawMessage) (crypto.PublicKey, *refusal) {
	o, err := parseObject(data)
	if err != nil {
		return nil, malformed("cannot read the JWK: %v", err)
	}
	for _, private := range []string{"d", "k", "p", "q", "dp", "dq", "qi"} {
		if _, ok := o[private]; ok {
			return nil, malformed("the JWK has the private member %q", private)
		}
	}
	key, err := o.publicKey()
	if err != nil {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the JWK is not a valid public key: %v", err)
	}
	return key, nil
}

// publicKey makes a key of the parameters of its type.
func (o object) publicKey() (crypto.PublicKey, error) {
	switch kty, crv := o.str("kty"), o.str("crv"); kty {
	case "EC": // RFC 7518 §6.2
		for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
			if curve.Params().Name == crv {
				return o.ecdsa(curve)
			}
		}
		return nil, fmt.Errorf("crv %q is not supported", crv)
	case "RSA":
		return o.rsa()
	case "OKP": // RFC 8037 §2
		if crv != "Ed25519" {
			return nil, fmt.Errorf("crv %q is not supported", crv)
		}
		x, err := o.octets("x", ed25519.PublicKeySize)
		return ed25519.PublicKey(x), err
	default:
		return nil, fmt.Errorf("kty %q is not supported", kty)
	}
}

// ecdsa reads a point. Its coordinates have the full length (RFC 7518 §6.2.1.2, erratum 7565).
func (o object) ecdsa(curve elliptic.Curve) (crypto.PublicKey, error) {
	size := (curve.Params().BitSize + 7) / 8
	x, err := o.octets("x", size)
	if err != nil {
		return nil, err
	}
	y, err := o.octets("y", size)
	if err != nil {
		return nil, err
	}
	return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
}

// rsa reads modulus and exponent, which have no more octets than they need (RFC 7518 §6.3.1).
func (o object) rsa() (crypto.PublicKey, error) {
	var numbers [2]*big.Int
	for i, name := range []string{"n", "e"} {
		b, err := decode64(o.str(name))
		if err != nil || len(b) == 0 || b[0] == 0 {
			return nil, fmt.Errorf("%s is no Base64urlUInt", name)
		}
		numbers[i] = new(big.Int).SetBytes(b)
	}
	n, e := numbers[0], numbers[1]
	if e.BitLen() > 31 || e.Int64() < 3 || e.Bit(0) == 0 || n.Bit(0) == 0 {
		return nil, fmt.Errorf("no RSA key has the exponent %v", e)
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

// str is the member name if it is a string, and otherwise "".
func (o object) str(name string) string {
	s, _, _ := member[string](o, name)
	return s
}

func (o object) octets(name string, size int) ([]byte, error) {
	b, err := decode64(o.str(name))
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("%s is not %d octets in base64url", name, size)
	}
	return b, nil
}

// thumbprint is RFC 7638 with SHA-256 in base64url: the second half of key authorizations, and the name of a key. It is "" for
// keys that are none of accounts.
func thumbprint(key crypto.PublicKey) string {
	var canonical string
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			return ""
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Params().Name, encode64(x), encode64(y))
	case *rsa.PublicKey:
		e := big.NewInt(int64(k.E)).Bytes()
		canonical = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, encode64(e), encode64(k.N.Bytes()))
	case ed25519.PublicKey:
		canonical = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, encode64(k))
	default:
		return ""
	}
	sum := sha256.Sum256([]byte(canonical))
	return encode64(sum[:])
}
