//go:build cgo

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
)

// Mechanisms of PKCS#11 v3.0.
const (
	ckmEdwardsKeyPairGen = 0x1055
	ckmEdDSA             = 0x1057
)

// An edKey is an Ed25519 key in a token, which crypto11 does not do. Such a key
// signs messages and not digests: it is a crypto.MessageSigner, and Sign, which
// cannot know what it is given, does not work.
type edKey struct {
	p       *pkcs11.Ctx
	session pkcs11.SessionHandle
	private pkcs11.ObjectHandle
	public  ed25519.PublicKey
	mu      sync.Mutex // a session does one thing at a time
}

func (k *edKey) Public() crypto.PublicKey { return k.public }

func (k *edKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("Sign was called, not SignMessage")
}

func (k *edKey) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("Ed25519 hashes by itself")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.p.SignInit(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(ckmEdDSA, nil)}, k.private); err != nil {
		return nil, err
	}
	return k.p.Sign(k.session, message)
}

// newEdKey makes one in a new token.
func newEdKey(t *testing.T) *edKey {
	t.Helper()
	made, pinFile := newToken(t)
	pin := readFile(t, pinFile)
	k := &edKey{p: pkcs11.New(made.module)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(k.p.Initialize())
	t.Cleanup(func() {
		_ = k.p.Finalize()
		k.p.Destroy()
	})
	slots, err := k.p.GetSlotList(true)
	must(err)
	k.session, err = k.p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	must(err)
	must(k.p.Login(k.session, pkcs11.CKU_USER, pin))
	curve, err := asn1.MarshalWithParams("edwards25519", "printable") // PKCS#11 v3.0 §2.3.10
	must(err)
	public, private, err := k.p.GenerateKeyPair(k.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(ckmEdwardsKeyPairGen, nil)},
		[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, curve), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true)},
		[]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SIGN, true), pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false)})
	must(err)
	k.private = private
	attributes, err := k.p.GetAttributeValue(k.session, public, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_EC_POINT, nil)})
	must(err)
	var point []byte
	_, err = asn1.Unmarshal(attributes[0].Value, &point)
	must(err)
	k.public = point
	return k
}

// The key of an account, and that of a hidden service (RFC 9799). Pebble knows no
// such keys.
func TestEd25519(t *testing.T) {
	key := newEdKey(t)
	signature, err := crypto.SignMessage(key, rand.Reader, []byte("a"), crypto.Hash(0))
	if err != nil || !ed25519.Verify(key.public, []byte("a"), signature) {
		t.Fatalf("%x, %v", signature, err)
	}
	server := acmetest.NewServer(t, acmetest.Options{Strict: true, OnionCAARequired: true, Validate: acmetest.ValidateOnionCSR01})
	client := &acme.Client{DirectoryURL: server.DirectoryURL(), HTTPClient: server.HTTPClient()}
	account, err := client.NewAccount(t.Context(), key, acme.AccountRequest{})
	if err != nil {
		t.Fatal(err)
	}
	certKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	solver := &onioncsr01.Solver{Keys: []crypto.Signer{key}}
	_, err = account.Obtain(t.Context(), acme.CertificateRequest{
		OrderRequest:  acme.OrderRequest{Identifiers: acme.DNS(onioncsr01.Address(key.public))},
		CSR:           acme.NewCSR(certKey),
		FinalizeExtra: solver.OnionCAA(nil),
		Solvers:       []acme.Solver{solver},
	})
	if err != nil {
		t.Error(err)
	}
}
