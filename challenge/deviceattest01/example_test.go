package deviceattest01_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
)

// The device signs the digest of the key authorization with a key of its own, for
// which its maker has issued certificates.
func Example() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	certificates := [][]byte{[]byte("of the key, by the maker")}

	solver := &deviceattest01.Solver{
		Attest: func(_ context.Context, r deviceattest01.Request) ([]byte, error) {
			digest := r.Digest()
			signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			if err != nil {
				return nil, err
			}
			const es256 = -7 // of the COSE algorithms
			return deviceattest01.Object("packed", map[string]any{"alg": es256, "sig": signature, "x5c": certificates})
		},
	}

	// The library calls Present, and sends the response.
	device := acme.Identifier{Type: acme.TypePermanentIdentifier, Value: "SN-1234"}
	a := challengetest.NewAttempt(acme.DeviceAttest01, device, "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
	if _, err := solver.Present(context.Background(), []*acme.Attempt{a}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a)
	fmt.Println(a.Response.(deviceattest01.Response).AttObj[:30] + "…")
	// Output:
	// device-attest-01 for permanent-identifier:SN-1234
	// omNmbXRmcGFja2VkZ2F0dFN0bXSjY2…
}
