package stepca_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/certificates/authority/provisioner"
	"go.step.sm/crypto/x509util"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// startFor starts a step-ca that attests devices of a maker, in these formats, or
// in all that it knows.
func startFor(t *testing.T, d *device, formats ...provisioner.ACMEAttestationFormat) *fixture {
	t.Helper()
	f := start(t, &provisioner.ACME{
		Challenges: []provisioner.ACMEChallenge{provisioner.DEVICE_ATTEST_01}, AttestationFormats: formats, AttestationRoots: d.root(),
	})
	f.certKey = d.key
	return f
}

func (f *fixture) attested(d *device, attest attest) acme.CertificateRequest {
	req := f.request(d.identifier())
	req.Solvers = []acme.Solver{&deviceattest01.Solver{Attest: attest}}
	return req
}

// Every format that step-ca validates, with CSRs that name the device and CSRs
// that do not.
func TestDeviceAttestation(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "SN-1234")
	f := startFor(t, d)
	for name, attest := range map[string]attest{"step": d.step, "apple": d.apple, "tpm": d.tpm} {
		for mode, csr := range map[string]func(context.Context, []acme.Identifier) ([]byte, error){
			"named": acme.NewCSR(d.key), "private": deviceattest01.NewPrivateCSR(d.key),
		} {
			req := f.attested(d, attest)
			req.CSR = csr
			cert, err := f.account.Obtain(f.context(), req)
			if err != nil {
				t.Errorf("%s, %s: %v", name, mode, err)
				continue
			}
			chain, err := cert.Chain()
			if err != nil {
				t.Fatal(err)
			}
			sans, err := x509util.ParseSubjectAlternativeNames(chain[0])
			if err != nil || len(sans.PermanentIdentifiers) != 1 || sans.PermanentIdentifiers[0].Identifier != d.serial {
				t.Errorf("%s, %s: the certificate is for %+v, %v", name, mode, sans, err)
			}
			if err := cert.Match([]acme.Identifier{d.identifier()}, d.key.Public()); err != nil {
				t.Errorf("%s, %s: %v", name, mode, err)
			}
		}
	}
}

// What step-ca finds wrong with an attestation, and says.
func TestAttestationRefused(t *testing.T) {
	t.Parallel()
	d, other := newDevice(t, "SN-1234"), newDevice(t, "SN-1234")
	thief := &device{TB: t, maker: d.maker, serial: "SN-9999", key: d.key}
	f := startFor(t, d)
	replayed := func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
		r.KeyAuthorization = f.account.KeyAuthorization("another-token")
		r.Token = "another-token"
		return d.tpm(ctx, r)
	}
	for name, tt := range map[string]struct {
		attest attest
		want   acme.ProblemType
		says   string
	}{
		"another maker":  {other.step, acme.ErrBadAttestationStatement, "x5c is not valid"},
		"another device": {thief.step, acme.ErrBadAttestationStatement, "SN-9999"},
		"another token":  {replayed, acme.ErrBadAttestationStatement, "key authorization invalid"},
		"unknown format": {func(context.Context, deviceattest01.Request) ([]byte, error) {
			return deviceattest01.Object("packed", nil)
		}, acme.ErrBadAttestationStatement, "packed"},
		"empty statement": {func(context.Context, deviceattest01.Request) ([]byte, error) {
			return deviceattest01.Object("step", nil)
		}, acme.ErrBadAttestationStatement, "x5c not present"},
		"device is broken": {func(context.Context, deviceattest01.Request) ([]byte, error) {
			return nil, deviceattest01.Failure("the TPM is locked")
		}, acme.ErrRejectedIdentifier, ""},
	} {
		clear(f.counts)
		_, err := f.account.Obtain(f.context(), f.attested(d, tt.attest))
		failed, ok := errors.AsType[*acme.AuthorizationError](err)
		if !ok || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || failed.Challenge.Status != acme.StatusInvalid {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if f.counts[acme.OpRespondChallenge] != 1 || f.counts[acme.OpNewOrder] != 1 {
			t.Errorf("%s: requests %v", name, f.counts)
		}
		if name == "another device" {
			subs := failed.Challenge.Error.Subproblems
			if len(subs) != 1 || subs[0].Identifier != d.identifier() || !errors.Is(err, acme.ErrRejectedIdentifier) {
				t.Errorf("%s: subproblems %v", name, subs)
			}
		}
	}
}

// The key of the CSR must be the attested one; and a wrong CSR costs no order.
func TestAttestedKey(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "SN-1234")
	f := startFor(t, d)
	var order *acme.Order
	ctx := acme.WithTrace(f.context(), &acme.Trace{OrderStatus: func(o *acme.Order) { order = o }})
	req := f.attested(d, d.step)
	req.CSR = acme.NewCSR(testkit.Key(t))
	if _, err := f.account.Obtain(ctx, req); !errors.Is(err, acme.ErrUnauthorized) {
		t.Errorf("another key: %v", err)
	}
	req.CSR = acme.NewCSR(d.key)
	if _, err := f.account.Complete(ctx, order, req); err != nil {
		t.Errorf("the order is as it was: %v", err)
	}
}

// Devices are not attested where nobody asked for it.
func TestAttestationNotOffered(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "SN-1234")
	f := start(t, &provisioner.ACME{AttestationFormats: []provisioner.ACMEAttestationFormat{provisioner.APPLE}})
	if _, err := f.account.Obtain(f.context(), f.attested(d, d.step)); !isOffered(err) {
		t.Errorf("got %v", err)
	}
}

// A provisioner for iPhones takes the attestations of no other device; and no
// step-ca takes the draft's other type of identifier.
func TestAttestationFormats(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "SN-1234")
	f := startFor(t, d, provisioner.APPLE)
	if _, err := f.account.Obtain(f.context(), f.attested(d, d.step)); !errors.Is(err, acme.ErrBadAttestationStatement) {
		t.Errorf("step: got %v", err)
	}
	if _, err := f.account.Obtain(f.context(), f.attested(d, d.apple)); err != nil {
		t.Errorf("apple: %v", err)
	}
	module := acme.Identifier{Type: acme.TypeHardwareModule, Value: d.serial}
	if _, err := f.account.NewOrder(f.context(), acme.OrderRequest{Identifiers: []acme.Identifier{module}}); !errors.Is(err, acme.ErrMalformed) {
		t.Errorf("%s: got %v", module, err)
	}
}

// The answer to the attestation is lost: the challenge is read, and shows it.
func TestAttestationAnswerLost(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "SN-1234")
	f := startFor(t, d)
	client, attested := f.newClient(), 0
	f.lose(client, acme.OpRespondChallenge)
	f.account = client.Account(f.key, f.account.URL())
	req := f.attested(d, func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
		attested++
		return d.step(ctx, r)
	})
	if _, err := f.account.Obtain(f.context(), req); err != nil {
		t.Error(err)
	}
	if attested != 1 || f.counts[acme.OpRespondChallenge] != 1 || !slices.Contains(f.lost, acme.OpRespondChallenge) {
		t.Errorf("attested %d times, requests %v, lost %v", attested, f.counts, f.lost)
	}
}
