package testkit

import (
	"crypto/ed25519"
	"encoding/json"

	"github.com/go-jose/go-jose/v4"
)

// WarmUp has go-jose make the encoders of all that is signed; it is for TestMain. While
// one test makes them in a bubble of testing/synctest, another one outside waits for its
// sync.WaitGroup, and with Go 1.26 that is a nil dereference in
// internal/synctest.isAssociated.
func WarmUp() {
	public := jose.JSONWebKey{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public()}
	headers := map[jose.HeaderKey]any{"url": "", "nonce": "", "kid": "", "jwk": public}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, &jose.SignerOptions{ExtraHeaders: headers})
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(nil)
	if err != nil {
		panic(err)
	}
	_ = jws.FullSerialize()
	if _, err := json.Marshal(public); err != nil {
		panic(err)
	}
}
