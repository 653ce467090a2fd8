package acmetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"mime"
	"net/http"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those accepted from account and certificate keys. §6.2 wants ES256 and would like EdDSA.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// macAlgorithms are those of external account bindings (§7.3.4).
func macAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
}

// A jws is a decoded, not yet verified, Flattened JSON Serialization.
type jws struct {
	raw       []byte
	protected []byte
	header    object
	payload   []byte

	// Members of the header; empty or nil where they are missing.
	alg   jose.SignatureAlgorithm
	nonce string
	url   string
	kid   string
	jwk   json.RawMessage
}

// parseJWS decodes what it can, for the record and for faults, and says what is wrong with it (§6.2).
func parseJWS(data []byte) (*jws, *refusal) {
	j := &jws{raw: data}
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

// decodeParts decodes payload and protected header and looks at the encoding of the signature.
func (j *jws) decodeParts(o object) (r *refusal) {
	decode := func(name string) []byte {
		text, r2 := required[string](o, name)
		if r2 == nil {
			var b []byte
			var err error
			if b, err = decode64(text); err == nil {
				return b
			}
			r2 = malformed("%s of the JWS is not base64url without padding (§6.1)", name)
		}
		if r == nil {
			r = r2
		}
		return nil
	}
	j.protected = decode("protected")
	j.payload = decode("payload")
	decode("signature")
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
	j.alg = jose.SignatureAlgorithm(alg)
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
func (j *jws) key() (*jose.JSONWebKey, *refusal) {
	key, r := parseJWK(j.jwk)
	if r != nil {
		return nil, r
	}
	if !keyFits(key.Key, j.alg) {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the key is not one for %s (§6.2)", j.alg)
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return nil, refuse(http.StatusBadRequest, "badPublicKey", "an RSA key of %d bits is too small", k.N.BitLen())
	}
	return key, nil
}

// minRSABits is the size below which no CA accepts an RSA key.
const minRSABits = 2048

// parseJWK decodes a public key.
func parseJWK(data json.RawMessage) (*jose.JSONWebKey, *refusal) {
	o, err := parseObject(data)
	if err != nil {
		return nil, malformed("cannot read the JWK: %v", err)
	}
	for _, private := range []string{"d", "k", "p", "q", "dp", "dq", "qi"} {
		if _, ok := o[private]; ok {
			return nil, malformed("the JWK has the private member %q", private)
		}
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(data); err != nil || !key.Valid() {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the JWK is not a valid public key: %v", err)
	}
	return &key, nil
}

// keyFits reports whether alg is the algorithm for keys like key.
func keyFits(key any, alg jose.SignatureAlgorithm) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg == jose.RS256
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	case *ecdsa.PublicKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return alg == jose.ES256
		case 384:
			return alg == jose.ES384
		case 521:
			return alg == jose.ES512
		}
	}
	return false
}

// verify checks the signature, or MAC, with key.
func (j *jws) verify(key any) *refusal {
	parsed, err := jose.ParseSignedJSON(string(j.raw), []jose.SignatureAlgorithm{j.alg})
	if err == nil {
		_, err = parsed.Verify(key)
	}
	if err != nil {
		return malformed("the signature does not verify: %v", err)
	}
	return nil
}

// thumbprint is RFC 7638 with SHA-256 in base64url: the second half of key authorizations, and the name of a key.
func thumbprint(key *jose.JSONWebKey) string {
	b, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // not for keys that passed parseJWK
	}
	return encode64(b)
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
func (s *Server) signer(c *call) (*jose.JSONWebKey, *refusal) {
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
	if !keyFits(account.key.Key, j.alg) {
		return nil, violation(http.StatusBadRequest, "badPublicKey", "the account's key is not one for %s (§6.2)", j.alg)
	}
	c.account = account
	return account.key, nil
}
