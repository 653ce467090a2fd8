//go:build cgo

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// A token is an open token of a module.
type token struct {
	*crypto11.Context
	module, label string
	folder        string // of a temporary one
}

// errNoSoftHSM says what to install.
var errNoSoftHSM = errors.New("SoftHSM was not found: apt-get install softhsm2, or name the PKCS#11 library of your module with -module")

// softHSM returns where distributions have the library.
func softHSM() (string, error) {
	patterns := []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"}
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 { // the patterns are good
			return found[0], nil
		}
	}
	return "", errNoSoftHSM
}

// openToken logs in to the token that is named, or to a new one.
func openToken(s settings) (*token, error) {
	t := &token{module: s.module, label: s.token}
	var err error
	if t.module == "" {
		if t.module, err = softHSM(); err != nil {
			return nil, err
		}
	}
	var pin string
	if s.token == "" {
		if pin, err = t.create(); err != nil {
			return nil, errors.Join(err, t.remove())
		}
	} else {
		data, err := os.ReadFile(s.pinFile)
		if err != nil {
			return nil, err
		}
		pin = strings.TrimSpace(string(data))
	}
	if t.Context, err = crypto11.Configure(&crypto11.Config{Path: t.module, TokenLabel: t.label, Pin: pin}); err != nil {
		return nil, errors.Join(fmt.Errorf("the token %q of %s: %w", t.label, t.module, err), t.remove())
	}
	return t, nil
}

func (t *token) close() error { return errors.Join(t.Close(), t.remove()) }

// remove removes a temporary token.
func (t *token) remove() error {
	if t.folder == "" {
		return nil
	}
	return os.RemoveAll(t.folder)
}

// create makes a temporary token of SoftHSM, and returns the PIN of its user.
func (t *token) create() (pin string, err error) {
	if t.folder, err = os.MkdirTemp("", "acme-hsm-"); err != nil {
		return "", err
	}
	config := filepath.Join(t.folder, "softhsm2.conf")
	if err := os.WriteFile(config, []byte("directories.tokendir = "+t.folder+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return "", err
	}
	if err := os.Setenv("SOFTHSM2_CONF", config); err != nil { // the library looks there
		return "", err
	}
	t.label, pin = "acme-temporary", rand.Text()
	return pin, initialize(t.module, t.label, rand.Text(), pin)
}

// initialize makes a token as an administrator does, once (PKCS#11 §5.5): the
// security officer makes the PIN of the user.
func initialize(module, label, officerPIN, userPIN string) error {
	p := pkcs11.New(module)
	if p == nil {
		return fmt.Errorf("%s cannot be loaded: is it a PKCS#11 library?", module)
	}
	defer p.Destroy()
	if err := p.Initialize(); err != nil {
		return fmt.Errorf("%s: %w", module, err)
	}
	defer p.Finalize() //nolint:errcheck // nothing is open any more
	slots, err := p.GetSlotList(true)
	if err != nil || len(slots) == 0 {
		return fmt.Errorf("%s has %d slots: %w", module, len(slots), err)
	}
	if err := p.InitToken(slots[0], officerPIN, label); err != nil {
		return fmt.Errorf("making a token: %w", err)
	}
	session, err := p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return fmt.Errorf("making a token: %w", err)
	}
	defer p.CloseSession(session) //nolint:errcheck // it is over
	if err := p.Login(session, pkcs11.CKU_SO, officerPIN); err != nil {
		return fmt.Errorf("making a token: %w", err)
	}
	return errors.Join(p.InitPIN(session, userPIN), p.Logout(session))
}

// A key is one in a token: a crypto.Signer that signs there.
type key struct {
	crypto11.Signer
	label string
	made  bool
	kept  bool // it cannot be read out
}

// key finds a key by its label, or makes one, which cannot be read out.
func (t *token) key(label string, wantRSA bool) (*key, error) {
	k := &key{label: label}
	found, err := t.FindKeyPairs(nil, []byte(label))
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for the key %q: %w", label, err)
	case len(found) > 1:
		return nil, fmt.Errorf("the token has %d keys %q: which one is to be used?", len(found), label)
	case len(found) == 1:
		k.Signer = found[0]
	default:
		k.made = true
		if k.Signer, err = t.generate(label, wantRSA); err != nil {
			return nil, fmt.Errorf("making the key %q: %w", label, err)
		}
	}
	attributes, err := t.GetAttributes(k.Signer, []crypto11.AttributeType{crypto11.CkaSensitive, crypto11.CkaExtractable})
	if err != nil {
		return nil, fmt.Errorf("the key %q: %w", label, err)
	}
	isSet := func(a crypto11.AttributeType) bool {
		return len(attributes[a].Value) == 1 && attributes[a].Value[0] != 0
	}
	k.kept = isSet(crypto11.CkaSensitive) && !isSet(crypto11.CkaExtractable)
	return k, nil
}

func (t *token) generate(label string, wantRSA bool) (crypto11.Signer, error) {
	id := []byte(rand.Text())
	if wantRSA {
		return t.GenerateRSAKeyPairWithLabel(id, []byte(label), 2048)
	}
	return t.GenerateECDSAKeyPairWithLabel(id, []byte(label), elliptic.P256())
}

// String says what there is to know of the key.
func (k *key) String() string {
	kind := fmt.Sprintf("%T", k.Public())
	switch pub := k.Public().(type) {
	case *ecdsa.PublicKey:
		kind = pub.Curve.Params().Name
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", pub.N.BitLen())
	}
	text := fmt.Sprintf("key %q: %s", k.label, kind)
	if k.made {
		text += ", made now"
	}
	if !k.kept {
		return text + ", which the token would hand out"
	}
	return text + ", which never leaves the token"
}
