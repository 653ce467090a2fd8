package acmetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A TokenAuthority grants authority tokens (RFC 9447), signed with a key of its own, for everything that is asked for. It is an
// http.Handler for the interface of RFC 9448 §5.5. The zero value is ready to use.
type TokenAuthority struct {
	// Nested wants what is requested in a member "atc" (RFC 9447 §5.1). Otherwise it is at the top (RFC 9448 §5.5).
	Nested bool

	// Authorization, if not empty, is the field that requests must have; others are refused with 403.
	Authorization string

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	requests []json.RawMessage
}

// Requests returns the bodies of the requests for tokens.
func (a *TokenAuthority) Requests() []json.RawMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// signer makes the key when it is first needed.
func (a *TokenAuthority) signer() *ecdsa.PrivateKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.key == nil {
		a.key = newKey()
	}
	return a.key
}

// ServeHTTP answers a request for a token.
func (a *TokenAuthority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.requests = append(a.requests, body)
	a.mu.Unlock()
	switch {
	case a.Authorization != "" && r.Header.Get("Authorization") != a.Authorization:
		http.Error(w, "who are you?", http.StatusForbidden)
		return
	case r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json":
		http.Error(w, "POST application/json, please", http.StatusUnsupportedMediaType)
		return
	}
	atc, refused := a.parse(body)
	if refused != nil {
		http.Error(w, refused.problem.Detail, http.StatusBadRequest)
		return
	}
	token := a.Grant(map[string]any{
		"iss": "https://authority.test", "exp": time.Now().Add(time.Hour).Unix(), "jti": randomID(9), "atc": atc,
	})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}

// parse returns the claim that is asked for.
func (a *TokenAuthority) parse(body []byte) (object, *refusal) {
	if a.Nested {
		o, r := parseMembers(body, "atc")
		if r != nil {
			return nil, r
		}
		body = o["atc"]
	}
	atc, r := parseMembers(body, "tktype", "tkvalue", "fingerprint", "ca")
	for _, name := range []string{"tktype", "tkvalue", "fingerprint"} {
		if r == nil {
			_, r = required[string](atc, name)
		}
	}
	return atc, r
}

// Grant signs a token with any claims.
func (a *TokenAuthority) Grant(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic("acmetest: " + err.Error())
	}
	input := encode64([]byte(`{"alg":"ES256","typ":"JWT","x5u":"https://authority.test/cert"}`)) + "." + encode64(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, a.signer(), digest[:])
	if err != nil {
		panic("acmetest: " + err.Error()) // never happens
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode64(signature)
}

// ValidateTKAuth01 returns an [Options].Validate for tkauth-01 that takes the tokens of an authority, by the steps of RFC 9448 §6,
// but for the comparison of ca with the CSR, which is not there yet.
func ValidateTKAuth01(authority *TokenAuthority) func(context.Context, Validation) error {
	return func(_ context.Context, v Validation) error {
		if v.Type != typeTKAuth01 {
			return fmt.Errorf("acmetest: ValidateTKAuth01 cannot validate %s", v.Type)
		}
		response, r := parseMembers(v.Response, "tkauth")
		if r != nil {
			return &r.problem
		}
		token, r := required[string](response, "tkauth")
		if r != nil {
			return &r.problem
		}
		claims, err := authority.verify(token)
		if err != nil {
			return &Problem{Type: ErrorURN + "unauthorized", Detail: err.Error(), Status: http.StatusForbidden}
		}
		if err := checkClaims(claims, v); err != nil {
			return &Problem{Type: ErrorURN + "unauthorized", Detail: err.Error(), Status: http.StatusForbidden}
		}
		return nil
	}
}

// verify checks the signature of a token and returns its claims.
func (a *TokenAuthority) verify(token string) (object, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("a token of %d parts", len(parts))
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = decode64(part); err != nil {
			return nil, err
		}
	}
	header, err := parseObject(decoded[0])
	if err != nil {
		return nil, err
	}
	if header.str("alg") != string(algES256) || !strings.HasPrefix(header.str("x5u"), "https://") {
		return nil, fmt.Errorf("the header %s is not ES256 with the URL of a certificate", decoded[0])
	}
	j := jws{input: []byte(parts[0] + "." + parts[1]), signature: decoded[2], alg: algES256}
	if !j.signedBy(a.signer().Public()) {
		return nil, fmt.Errorf("the signature of the token does not verify")
	}
	return parseObject(decoded[1])
}

// checkClaims compares a token with the challenge that it answers.
func checkClaims(claims object, v Validation) error {
	exp, _, r := member[float64](claims, "exp")
	if r != nil || !time.Unix(int64(exp), 0).After(time.Now()) {
		return fmt.Errorf("the token has expired, or never will")
	}
	if claims.str("jti") == "" {
		return fmt.Errorf("the token has no jti")
	}
	atc, r := parseMembers(claims["atc"], "tktype", "tkvalue", "fingerprint", "ca")
	if r != nil {
		return fmt.Errorf("atc: %s", r.problem.Detail)
	}
	if _, _, r := member[bool](atc, "ca"); r != nil {
		return fmt.Errorf("atc: %s", r.problem.Detail)
	}
	digest, err := decode64(v.Thumbprint)
	if err != nil {
		return err
	}
	var pairs []string
	for _, b := range digest {
		pairs = append(pairs, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	for name, want := range map[string]string{
		"tktype": v.Identifier.Type, "tkvalue": v.Identifier.Value, "fingerprint": "SHA256 " + strings.Join(pairs, ":"),
	} {
		if got := atc.str(name); got != want {
			return fmt.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	return nil
}
