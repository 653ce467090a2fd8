// Package deviceattest01 is experimental: it fulfils device-attest-01 challenges
// as a draft has them (draft-ietf-acme-device-attest; the text of June 2025), and
// may change with it.
//
// A device proves which one it is, and that the certificate's key is in its
// hardware, by a statement of the hardware about the key. What makes the
// statement differs from device to device (a TPM, a secure enclave, a security
// key), so a [Solver] calls a function of the program for it:
//
//	solver := &deviceattest01.Solver{
//		Attest: func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
//			statement, err := device.AttestKey(ctx, certKey, r.Digest())
//			if err != nil {
//				return nil, err
//			}
//			return deviceattest01.Object("tpm", statement)
//		},
//	}
//
// Orders are for identifiers of the types [acme.TypePermanentIdentifier], mostly a
// serial number, and [acme.TypeHardwareModule], the processor that has the key.
// In the CSR they are optional: [acme.NewCSR] puts them there, [NewPrivateCSR]
// leaves them out, for certificates that do not name the device. The key of the
// CSR must be the one that is attested.
//
// The draft itself wants a challenge type on the grounds of RATS to be used
// instead of this one, once there is one.
package deviceattest01

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-aa0b9f56/acme"
)

// A Solver fulfils device-attest-01 challenges with what Attest makes. It keeps
// nothing, and may be used for any number of orders and accounts at once, if
// Attest may.
type Solver struct {
	// Attest returns the attestation object for a challenge: CBOR, as [Object]
	// makes it. It may take its time, as long as it heeds ctx; the challenges of
	// an order are attested one after the other. It is called once for each, and
	// again in a further order.
	//
	// An error ends the order, and stays in the program, but for a [Failure].
	Attest func(ctx context.Context, r Request) (object []byte, err error)
}

// A Request says what is to be attested.
type Request struct {
	Identifier acme.Identifier // of the device, or of the module with the key

	// KeyAuthorization takes the place of WebAuthn's authenticatorData and
	// clientDataHash: it is what the format's attToBeSigned is made of. Most
	// formats sign or embed its [Request.Digest].
	KeyAuthorization acme.KeyAuthorization

	// Token is the challenge's. Apple's devices attest it alone, as
	// [Request.TokenDigest].
	Token string
}

// Digest returns the SHA-256 digest of the key authorization: the extraData of a
// TPM's certInfo, the challenge of an Android key attestation.
func (r Request) Digest() [sha256.Size]byte { return r.KeyAuthorization.Digest() }

// TokenDigest returns the SHA-256 digest of the token: the nonce of an attestation
// by Apple.
func (r Request) TokenDigest() [sha256.Size]byte { return sha256.Sum256([]byte(r.Token)) }

// A Failure is an error of [Solver].Attest that the server is told: the response is
// {"error": …} instead of an attestation, so that a CA's records say why a device
// has failed. No draft defines that form; step-ca reads it. Others see a response
// without attObj, and the challenge fails as well.
type Failure string

// Error returns the text that the server gets.
func (f Failure) Error() string { return string(f) }

// A Response is what a challenge is answered with.
type Response struct {
	AttObj string `json:"attObj,omitempty"` // the attestation object, as base64url
	Error  string `json:"error,omitempty"`
}

// Supports reports whether a is a device-attest-01 challenge for an identifier of
// a device or a hardware module.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.DeviceAttest01 && isDevice(a.Identifier)
}

func isDevice(id acme.Identifier) bool {
	return id.Type == acme.TypePermanentIdentifier || id.Type == acme.TypeHardwareModule
}

// Present calls Attest for each attempt and sets their responses. It leaves
// nothing to clean up. It fails if an attempt has no token of base64url characters,
// if Attest fails, and if what Attest returns is no attestation object.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	responses := make([]Response, len(batch))
	for i, a := range batch {
		var err error
		if responses[i], err = s.respond(ctx, a); err != nil {
			return nil, fmt.Errorf("deviceattest01: %s: %w", a, err)
		}
	}
	for i, a := range batch {
		a.Response = responses[i]
	}
	return nil, nil //nolint:nilnil // nothing is left behind
}

func (s *Solver) respond(ctx context.Context, a *acme.Attempt) (Response, error) {
	token := a.Challenge.Token
	switch {
	case ctx.Err() != nil:
		return Response{}, context.Cause(ctx)
	case s.Attest == nil:
		return Response{}, errors.New("Solver.Attest is nil: it has to make the attestation object")
	case !isBase64URL(token):
		return Response{}, errors.New("the challenge has no token of base64url characters (draft-ietf-acme-device-attest, section 5)")
	case !strings.HasPrefix(string(a.KeyAuthorization), token+"."):
		return Response{}, errors.New("the key authorization is not one for the token")
	}
	object, err := s.Attest(ctx, Request{Identifier: a.Identifier, KeyAuthorization: a.KeyAuthorization, Token: token})
	if failure, ok := errors.AsType[Failure](err); ok {
		return Response{Error: string(failure)}, nil
	}
	if err != nil {
		return Response{}, err
	}
	if object, err = withoutAuthData(object); err != nil {
		return Response{}, fmt.Errorf("no attestation object: %w", err)
	}
	return Response{AttObj: base64.RawURLEncoding.EncodeToString(object)}, nil
}

func isBase64URL(s string) bool {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return s != "" && strings.Trim(s, alphabet) == ""
}

// NewPrivateCSR is [acme.NewCSR] for a certificate that does not name the device:
// permanent identifiers and hardware modules are left out of the CSR (section 3).
// Servers compare the rest, and may refuse either of the two kinds of CSR.
func NewPrivateCSR(key crypto.Signer) func(context.Context, []acme.Identifier) ([]byte, error) {
	return func(ctx context.Context, ids []acme.Identifier) ([]byte, error) {
		rest := slices.DeleteFunc(slices.Clone(ids), isDevice)
		if len(rest) > 0 || key == nil {
			return acme.NewCSR(key)(ctx, rest)
		}
		return x509.CreateCertificateRequest(rand.Reader, new(x509.CertificateRequest), key)
	}
}
