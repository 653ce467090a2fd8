package deviceattest01_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A softDevice attests with a key of its own, that its maker has certified.
type softDevice struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newDevice(t *testing.T, serial string) *softDevice {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{SerialNumber: serial}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	key := testkit.Key(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &softDevice{key, cert}
}

func (d *softDevice) attest(_ context.Context, r deviceattest01.Request) ([]byte, error) {
	digest := r.Digest()
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		return nil, err
	}
	return deviceattest01.Object("packed", map[string]any{"alg": -7, "sig": signature, "x5c": [][]byte{d.cert.Raw}})
}

// newAccount makes an account with a CA that trusts the maker of a device.
func newAccount(t *testing.T, d *softDevice) (*acmetest.Server, *acme.Account) {
	t.Helper()
	makers := x509.NewCertPool()
	makers.AddCert(d.cert)
	ca := acmetest.NewServer(t, acmetest.Options{
		ChallengeTypes:  []string{"device-attest-01"},
		IdentifierTypes: []string{"permanent-identifier", "hardware-module"},
		Validate:        acmetest.ValidateDeviceAttest01(makers),
		Strict:          true,
	})
	return ca, testkit.Account(t, ca)
}

// TestOrder has a whole issuance for both identifier types, with the device in the
// CSR and without.
func TestOrder(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "devattest-3-01", "devattest-4-01")
	const value = "SN-1234/1.3.6.1.4.1.99999.1" // opaque to the client
	d := newDevice(t, value)
	ca, account := newAccount(t, d)
	for _, typ := range []acme.IdentifierType{acme.TypePermanentIdentifier, acme.TypeHardwareModule} {
		for _, private := range []bool{false, true} {
			key := testkit.Key(t)
			csr := acme.NewCSR(key)
			if private {
				csr = deviceattest01.NewPrivateCSR(key)
			}
			ca.Reset()
			cert, err := account.Obtain(t.Context(), acme.CertificateRequest{
				OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{{Type: typ, Value: value}}},
				CSR:          csr,
				Solvers:      []acme.Solver{&deviceattest01.Solver{Attest: d.attest}},
			})
			if err != nil {
				t.Fatal(err)
			}
			chain, err := cert.Chain()
			if err != nil || !key.PublicKey.Equal(chain[0].PublicKey) {
				t.Errorf("%s: another key, or %v", typ, err)
			}
			if named := bytes.Contains(chain[0].Raw, []byte("SN-1234")); named == private {
				t.Errorf("%s: the device is in the certificate: %t", typ, named)
			}
			checkWire(t, ca, acmetest.Identifier{Type: string(typ), Value: value}, private)
		}
	}
}

// checkWire looks at the requests of an issuance.
func checkWire(t *testing.T, ca *acmetest.Server, want acmetest.Identifier, private bool) {
	t.Helper()
	for _, r := range ca.Requests() {
		switch r.Kind {
		case acmetest.KindNewOrder:
			var order struct{ Identifiers []acmetest.Identifier }
			if err := json.Unmarshal(r.Payload, &order); err != nil || len(order.Identifiers) != 1 || order.Identifiers[0] != want {
				t.Errorf("ordered %s, %v", r.Payload, err)
			}
		case acmetest.KindFinalize:
			var finalize struct{ CSR string }
			if err := json.Unmarshal(r.Payload, &finalize); err != nil {
				t.Error(err)
			}
			der, err := base64.RawURLEncoding.DecodeString(finalize.CSR)
			if err != nil {
				t.Error(err)
			}
			csr, err := x509.ParseCertificateRequest(der)
			if err != nil || (len(csr.Extensions) == 0) != private || private == bytes.Contains(der, []byte("SN-1234")) {
				t.Errorf("%s, without the device %t: %v, %v", want.Type, private, csr.Extensions, err)
			}
		}
	}
}

// TestBadAttestation: a CA that does not like a statement says so with a problem
// type of its own.
func TestBadAttestation(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "devattest-7-01")
	d := newDevice(t, "SN-1234")
	_, account := newAccount(t, newDevice(t, "SN-1234")) // of another maker
	obtain := func(solver *deviceattest01.Solver) error {
		_, err := account.Obtain(t.Context(), acme.CertificateRequest{
			OrderRequest: acme.OrderRequest{Identifiers: []acme.Identifier{device("SN-1234")}},
			CSR:          acme.NewCSR(testkit.Key(t)),
			Solvers:      []acme.Solver{solver},
		})
		return err
	}
	err := obtain(&deviceattest01.Solver{Attest: d.attest})
	if !errors.Is(err, acme.ErrBadAttestationStatement) || !strings.Contains(err.Error(), "permanent-identifier:SN-1234") {
		t.Errorf("%v", err)
	}
	err = obtain(&deviceattest01.Solver{Attest: func(context.Context, deviceattest01.Request) ([]byte, error) {
		return nil, deviceattest01.Failure("the TPM is locked")
	}})
	if !errors.Is(err, acme.ErrRejectedIdentifier) || !strings.Contains(err.Error(), "the TPM is locked") {
		t.Errorf("%v", err)
	}
}
