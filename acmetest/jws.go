package acmetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"encoding/json"
	"math/big"
	"mime"
	"net/http"
	"slices"
)

// An algorithm is a value of "alg" (RFC 7518 §3.1).
type algorithm string

const (
	algRS256 algorithm = "RS256"
	algES256 algorithm = "ES256"
	algES384 algorithm = "ES384"
	algES512 algorithm = "ES512"
	algEdDSA algorithm = "EdDSA"
	algHS256 algorithm = "HS256"
	algHS384 algorithm = "HS384"
	algHS512 algorithm = "HS512"
)

// algorithms are those accepted from account and certificate keys. §6.2 wants ES256 and would like EdDSA.
func algorithms() []algorithm { return []algorithm{algRS256, algES256, algES384, algES512, algEdDSA} }

// macAlgorithms are those of external account bindings (§7.3.4).
func macAlgorithms() []algorithm { return []algorithm{algHS256, algHS384, algHS512} }

func (a algorithm) hash() crypto.Hash {
	switch a {
	case algES384, algHS384:
		return crypto.SHA384
	case algES512, algHS512:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// algorithmOf is the one algorithm for keys like key, and "" for keys that are none of accounts.
func algorithmOf(key crypto.PublicKey) algorithm {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return algRS256
	case ed25519.PublicKey:
		return algEdDSA
	case *ecdsa.PublicKey:
		switch k.Params().BitSize {
		case 256:
			return algES256
		case 384:
			return algES384
		case 521:
			return algES512
		}
	}
	return ""
}

// A jws is a decoded, not yet verified, Flattened JSON Serialization.
type jws struct {
	input     []byte // of the signature (RFC 7515 §5.1)
	signature []byte
	protected []byte
	header    object
	payload   []byte

	// Members of the header; empty or nil where they are missing.
	alg   algorithm
	nonce string
	url   string
	kid   string
	jwk   json.RawMessage
}

// parseJWS decodes what it can, for the record and for faults, and says what is wrong with it (§6.2).
func parseJWS(data []byte) (*jws, *refusal) {
	j := &jws{}
	o, r := parseMembers(data, "protected", "payload", "signature")
	if o == nil {
		return nil, r
	}
	if r2 := j.decodeParts(o); r == nil {
		r = r2
	}
	if r2 := j.decodeHeader(); r == nil {
		r = r2
	}
	return j, r
}

// decodeParts decodes payload, protected header and signature.
func (j *jws) decodeParts(o object) (r *refusal) {
	decode := func(name string) (text string, data []byte) {
		text, r2 := required[string](o, name)
		if r2 == nil {
			var err error
			if data, err = decode64(text); err == nil {
				return text, data
			}
			r2 = malformed("%s of the JWS is not base64url without padding (§6.1)", name)
		}
		if r == nil {
			r = r2
		}
		return "", nil
	}
	protected, header := decode("protected")
	payload, content := decode("payload")
	j.protected, j.payload = header, content
	_, j.signature = decode("signature")
	j.input = []byte(protected + "." + payload)
	return r
}

// decodeHeader reads the protected header. Members it does not know are ignored, except those that would change the meaning
// of the JWS.
func (j *jws) decodeHeader() *refusal {
	h, err := parseObject(j.protected)
	if err != nil {
		return malformed("cannot read the protected header: %v", err)
	}
	j.header = h
	alg, _, r1 := member[string](h, "alg")
	j.alg = algorithm(alg)
	var r2, r3, r4, r5 *refusal
	j.nonce, _, r2 = member[string](h, "nonce")
	j.url, _, r3 = member[string](h, "url")
	j.kid, _, r4 = member[string](h, "kid")
	j.jwk, _, r5 = member[json.RawMessage](h, "jwk")
	for _, r := range []*refusal{r1, r2, r3, r4, r5} {
		if r != nil {
			return r
		}
	}
	for _, name := range []string{"b64", "crit"} {
		if _, ok := h[name]; ok {
			return malformed("the protected header has %q (§6.2)", name)
		}
	}
	return nil
}

// checkAlgorithm wants one of the allowed algorithms; none and MACs are not among those of requests (§6.2).
func (j *jws) checkAlgorithm() *refusal {
	if slices.Contains(algorithms(), j.alg) {
		return nil
	}
	r := violation(http.StatusBadRequest, "badSignatureAlgorithm", "alg %q is not supported (§6.2)", j.alg)
	for _, a := range algorithms() {
		r.problem.Algorithms = append(r.problem.Algorithms, string(a))
	}
	return r
}

// key decodes the "jwk" of the header and finds out whether it is one for "alg" (§6.2).
func (j *jws) key() (crypto.PublicKey, *refusal) {
	key, r := parseJWK(j.jwk)
	if r != nil {
		return nil, r
	}
	if algorithmOf(key) != j.alg {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the key is not one for %s (§6.2)", j.alg)
	}
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return nil, refuse(http.StatusBadRequest, "badPublicKey", "an RSA key of %d bits is too small", k.N.BitLen())
	}
	return key, nil
}

// minRSABits is the size below which no CA accepts an RSA key.
const minRSABits = 2048

// verify checks the signature with a key for its algorithm.
func (j *jws) verify(key crypto.PublicKey) *refusal {
	if !j.signedBy(key) {
		return malformed("the signature does not verify")
	}
	return nil
}

func (j *jws) signedBy(key crypto.PublicKey) bool {
	if k, ok := key.(ed25519.PublicKey); ok {
		return ed25519.Verify(k, j.input, j.signature)
	}
	h := j.alg.hash().New()
	h.Write(j.input)
	digest := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, j.alg.hash(), digest, j.signature) == nil
	case *ecdsa.PublicKey: // r and s, each as long as the curve's order (RFC 7518 §3.4)
		size := (k.Params().BitSize + 7) / 8
		if len(j.signature) != 2*size {
			return false
		}
		r, s := new(big.Int).SetBytes(j.signature[:size]), new(big.Int).SetBytes(j.signature[size:])
		return ecdsa.Verify(k, digest, r, s)
	}
	return false
}

// authenticatedBy checks the MAC, whose key is as long as the hash at least (RFC 7518 §3.2).
func (j *jws) authenticatedBy(key []byte) bool {
	h := hmac.New(j.alg.hash().New, key)
	h.Write(j.input)
	return len(key) >= h.Size() && hmac.Equal(h.Sum(nil), j.signature)
}

// checkEnvelope looks at what surrounds a JWS in a request (§6.1, §6.2).
func checkEnvelope(c *call) *refusal {
	if c.header.Get("User-Agent") == "" {
		return malformed("the request has no User-Agent (§6.1)")
	}
	if c.method != http.MethodPost {
		return nil
	}
	if t, _, err := mime.ParseMediaType(c.header.Get("Content-Type")); err != nil || t != "application/jose+json" {
		return violation(http.StatusUnsupportedMediaType, "malformed",
			"Content-Type is %q, not application/jose+json (§6.2)", c.header.Get("Content-Type"))
	}
	return c.jwsRefusal
}

// authenticate verifies a signed request completely (§6.2 to §6.5) and finds its account or key.
func (s *Server) authenticate(c *call) *refusal {
	j := c.jws
	if r := j.checkAlgorithm(); r != nil {
		_ = s.spendNonce(c)
		return r
	}
	if !isBase64URL(j.nonce) {
		return malformed("nonce %q is not base64url (§6.5.2)", j.nonce)
	}
	if r := s.spendNonce(c); r != nil {
		return r
	}
	key, r := s.signer(c)
	if r != nil {
		return r
	}
	if j.url != c.url {
		return violation(http.StatusUnauthorized, "unauthorized",
			"url of the protected header is %q, that of the request %q (§6.4)", j.url, c.url)
	}
	if r := j.verify(key); r != nil {
		return r
	}
	c.key = key
	return nil
}

// signer finds the key that must have signed a request: that of the account in "kid", or "jwk" itself (§6.2).
func (s *Server) signer(c *call) (crypto.PublicKey, *refusal) {
	j := c.jws
	wantKey := c.kind == KindNewAccount || c.kind == KindRevokeCert && j.jwk != nil
	_, hasKid := j.header["kid"]
	switch {
	case hasKid && j.jwk != nil:
		return nil, malformed("the protected header has both jwk and kid (§6.2)")
	case wantKey && j.jwk == nil:
		return nil, malformed("the protected header has no jwk (§6.2)")
	case !wantKey && !hasKid:
		return nil, malformed("the protected header has no kid (§6.2)")
	case wantKey:
		return j.key()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	account := s.accountByURL(c, j.kid)
	if account == nil {
		return nil, refuse(http.StatusBadRequest, "accountDoesNotExist", "there is no account %q", j.kid)
	}
	if algorithmOf(account.key) != j.alg {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the account's key is not one for %s (§6.2)", j.alg)
	}
	c.account = account
	return account.key, nil
}
