package deviceattest01_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/internal/cbor"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

const (
	token      = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of all attempts of challengetest
)

func device(serial string) acme.Identifier {
	return acme.Identifier{Type: acme.TypePermanentIdentifier, Value: serial}
}

func attempt() *acme.Attempt {
	return challengetest.NewAttempt(acme.DeviceAttest01, device("SN-1234"), token)
}

// signs is an Attest whose statement has the octets that were to be signed.
func signs(_ context.Context, r deviceattest01.Request) ([]byte, error) {
	digest := r.Digest()
	return deviceattest01.Object("packed", map[string]any{"alg": -7, "sig": digest[:]})
}

func TestSolver(t *testing.T) {
	t.Parallel()
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver { return &deviceattest01.Solver{Attest: signs} },
		func(ctx context.Context, a *acme.Attempt) error {
			want, err := signs(ctx, deviceattest01.Request{KeyAuthorization: a.KeyAuthorization})
			if r, _ := a.Response.(deviceattest01.Response); err != nil || r.AttObj != base64.RawURLEncoding.EncodeToString(want) {
				return errors.New("no such response")
			}
			return nil
		})
}

// TestResponse: what goes over the wire, of what the device is asked to attest.
func TestResponse(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "devattest-5-01", "devattest-5-03")
	var asked deviceattest01.Request
	solver := &deviceattest01.Solver{Attest: func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
		asked = r
		return signs(ctx, r)
	}}
	a := attempt()
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{a})
	if err != nil || cleanup != nil {
		t.Fatalf("cleanup %t, %v", cleanup != nil, err)
	}
	const want = token + "." + thumbprint
	if asked.Identifier != device("SN-1234") || asked.KeyAuthorization != want || asked.Token != token {
		t.Errorf("asked for %v, token %s", asked.Identifier, asked.Token)
	}
	// The acmeIdentifier of keyauthorizations.json for this key and token (K1, T2).
	digest, ofToken := asked.Digest(), asked.TokenDigest()
	if got := hex.EncodeToString(digest[:]); got != "653471d42925d7eb4cd39a39cda8b34d3034c94cb90067ab78c8123560ba2e5f" {
		t.Errorf("digest %s", got)
	}
	if got := hex.EncodeToString(ofToken[:]); got != "7ea0aaa69214e71e02cebb18bb86773609b730209baabf60e43d4999979ff139" {
		t.Errorf("digest of the token %s", got)
	}
	payload, err := json.Marshal(a.Response)
	if err != nil {
		t.Fatal(err)
	}
	// {"fmt": "packed", "attStmt": {"alg": -7, "sig": digest}}
	object := "a2" + "63666d74" + "667061636b6564" + "6761747453746d74" + "a2" + "63616c67" + "26" + "63736967" + "5820" + hex.EncodeToString(digest[:])
	raw, err := hex.DecodeString(object)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"attObj":"` + base64.RawURLEncoding.EncodeToString(raw) + `"}`; string(payload) != want {
		t.Errorf("payload %s, want %s", payload, want)
	}
}

// TestAuthData: what a WebAuthn library adds is left out.
func TestAuthData(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "devattest-5-02")
	for given, want := range map[string]string{
		// {"fmt": "none", "attStmt": {}, "authData": h'0102'}, in two orders
		"a3" + "63666d74" + "646e6f6e65" + "6761747453746d74" + "a0" + "686175746844617461" + "420102": "a2" + "63666d74" + "646e6f6e65" + "6761747453746d74" + "a0",
		"a3" + "686175746844617461" + "420102" + "63666d74" + "646e6f6e65" + "6761747453746d74" + "a0": "a2" + "63666d74" + "646e6f6e65" + "6761747453746d74" + "a0",
		// Without it the object is sent as it is, also with lengths that could be shorter.
		"b802" + "7803666d74" + "646e6f6e65" + "6761747453746d74" + "a0": "b802" + "7803666d74" + "646e6f6e65" + "6761747453746d74" + "a0",
	} {
		raw, err := hex.DecodeString(given)
		if err != nil {
			t.Fatal(err)
		}
		solver := &deviceattest01.Solver{Attest: func(context.Context, deviceattest01.Request) ([]byte, error) { return raw, nil }}
		a := attempt()
		if _, err := solver.Present(t.Context(), []*acme.Attempt{a}); err != nil {
			t.Fatal(err)
		}
		sent, err := base64.RawURLEncoding.DecodeString(a.Response.(deviceattest01.Response).AttObj)
		if err != nil || hex.EncodeToString(sent) != want {
			t.Errorf("%s was sent as %x, %v", given, sent, err)
		}
	}
}

// TestFailure: the server is told if the device fails, and if that is wanted.
func TestFailure(t *testing.T) {
	t.Parallel()
	fails := errors.New("no device")
	for _, tt := range []struct {
		err     error
		payload string
	}{
		{deviceattest01.Failure("the TPM is locked"), `{"error":"the TPM is locked"}`},
		{errors.Join(fails, deviceattest01.Failure("x")), `{"error":"x"}`},
		{fails, ""},
	} {
		solver := &deviceattest01.Solver{Attest: func(context.Context, deviceattest01.Request) ([]byte, error) { return nil, tt.err }}
		a := attempt()
		_, err := solver.Present(t.Context(), []*acme.Attempt{a})
		payload, _ := json.Marshal(a.Response)
		switch {
		case tt.payload == "":
			if !errors.Is(err, fails) || a.Response != nil || !strings.HasPrefix(err.Error(), "deviceattest01: device-attest-01 for permanent-identifier:SN-1234: ") {
				t.Errorf("%v, response %s", err, payload)
			}
		case err != nil || string(payload) != tt.payload:
			t.Errorf("%v: %s, %v", tt.err, payload, err)
		}
	}
	if got := deviceattest01.Failure("x").Error(); got != "x" {
		t.Errorf("text %s", got)
	}
}

// TestCancel: a device is not asked in vain.
func TestCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	calls := 0
	solver := &deviceattest01.Solver{Attest: func(ctx context.Context, r deviceattest01.Request) ([]byte, error) {
		calls++
		cancel(gone)
		return signs(ctx, r)
	}}
	if _, err := solver.Present(ctx, []*acme.Attempt{attempt(), attempt()}); !errors.Is(err, gone) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "devattest-5-04")
	foreign := attempt()
	foreign.KeyAuthorization = "A" + foreign.KeyAuthorization
	object := func(encoded string) func(context.Context, deviceattest01.Request) ([]byte, error) {
		return func(context.Context, deviceattest01.Request) ([]byte, error) { return hex.DecodeString(encoded) }
	}
	with := func(token string) *acme.Attempt {
		return challengetest.NewAttempt(acme.DeviceAttest01, device("SN-1234"), token)
	}
	for _, tt := range []struct {
		says    string
		attempt *acme.Attempt
		attest  func(context.Context, deviceattest01.Request) ([]byte, error)
	}{
		{"no token of base64url characters", with(token + "="), signs},
		{"no token of base64url characters", with("a+b/"), signs},
		{"no token of base64url characters", with(""), signs},
		{"not one for the token", foreign, signs},
		{"Solver.Attest is nil", attempt(), nil},
		{"no attestation object: cbor: it ends too early", attempt(), object("")},
		{"no CBOR map", attempt(), object("80")},
		{`no text "fmt"`, attempt(), object("a1" + "6761747453746d74" + "a0")},
		{`no text "fmt"`, attempt(), object("a2" + "63666d74" + "446e6f6e65" + "6761747453746d74" + "a0")},
		{`no map "attStmt"`, attempt(), object("a1" + "63666d74" + "646e6f6e65")},
		{`no map "attStmt"`, attempt(), object("a2" + "63666d74" + "646e6f6e65" + "6761747453746d74" + "80")},
		{`"" is no name of a format`, attempt(), object("a2" + "63666d74" + "60" + "6761747453746d74" + "a0")},
		{`"a\"b" is no name of a format`, attempt(), object("a2" + "63666d74" + "63612262" + "6761747453746d74" + "a0")},
		{"octets are too many", attempt(), func(context.Context, deviceattest01.Request) ([]byte, error) { return make([]byte, 1<<20+1), nil }},
	} {
		first := attempt()
		solver := &deviceattest01.Solver{Attest: tt.attest}
		batch := []*acme.Attempt{first, tt.attempt}
		if tt.attest == nil || tt.attempt.Challenge.Token == token && tt.attempt != foreign {
			batch = batch[1:]
		}
		cleanup, err := solver.Present(t.Context(), batch)
		if err == nil || cleanup != nil || !strings.Contains(err.Error(), tt.says) || first.Response != nil || tt.attempt.Response != nil {
			t.Errorf("%s: %v, or a response", tt.says, err)
		}
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	object, err := deviceattest01.Object("tpm", map[string]any{"ver": "2.0", "alg": -65535, "x5c": [][]byte{{1}, {2}}, "sig": []byte{3}})
	want := "a2" + "63666d74" + "6374706d" + "6761747453746d74" + "a4" + "63616c67" + "39fffe" + "63736967" + "4103" + "63766572" + "63322e30" + "63783563" + "82" + "4101" + "4102"
	if err != nil || hex.EncodeToString(object) != want {
		t.Errorf("%x, %v, want %s", object, err, want)
	}
	if object, err := deviceattest01.Object("none", nil); err != nil || hex.EncodeToString(object) != "a263666d74646e6f6e656761747453746d74a0" {
		t.Errorf("%x, %v", object, err)
	}
	for says, tt := range map[string]struct {
		format    string
		statement map[string]any
	}{
		"no name of a format":            {strings.Repeat("a", 33), nil},
		`"a b" is no name`:               {"a b", nil},
		"in the format tpm: cbor: canno": {"tpm", map[string]any{"x": 1.5}},
	} {
		if object, err := deviceattest01.Object(tt.format, tt.statement); err == nil || object != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %x, %v", says, object, err)
		}
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	var solver deviceattest01.Solver
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt(), true},
		{challengetest.NewAttempt(acme.DeviceAttest01, acme.Identifier{Type: acme.TypeHardwareModule, Value: "7/1.2.3"}, token), true},
		{challengetest.NewAttempt(acme.DeviceAttest01, acme.DNS("example.com")[0], token), false},
		{challengetest.NewAttempt(acme.HTTP01, device("7"), token), false},
		{&acme.Attempt{Identifier: device("7")}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
}

// TestPrivateCSR: a CSR with everything but the device.
func TestPrivateCSR(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	module := acme.Identifier{Type: acme.TypeHardwareModule, Value: "7/1.2.3"}
	for _, ids := range [][]acme.Identifier{{device("7")}, {device("7"), module}, append(acme.DNS("example.com"), device("7"))} {
		der, err := deviceattest01.NewPrivateCSR(key)(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil || csr.CheckSignature() != nil {
			t.Fatal(err)
		}
		names := len(ids) - 1
		if ids[len(ids)-1] == module {
			names = 0
		}
		if len(csr.DNSNames) != names || len(csr.Extensions) != names || csr.Subject.String() != "" {
			t.Errorf("%v: %v, extensions %v", ids, csr.DNSNames, csr.Extensions)
		}
	}
	if _, err := deviceattest01.NewPrivateCSR(nil)(t.Context(), []acme.Identifier{device("7")}); err == nil {
		t.Error("a CSR without a key")
	}
}

// FuzzAttest: whatever a device returns, it is sent as an attestation object without
// authData, or refused.
func FuzzAttest(f *testing.F) {
	for _, seed := range []string{"a263666d74646e6f6e656761747453746d74a0", "a363666d74646e6f6e656761747453746d74a0686175746844617461420102"} {
		object, _ := hex.DecodeString(seed)
		f.Add(object)
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		solver := &deviceattest01.Solver{Attest: func(context.Context, deviceattest01.Request) ([]byte, error) { return object, nil }}
		a := attempt()
		if _, err := solver.Present(t.Context(), []*acme.Attempt{a}); err != nil {
			return
		}
		sent, err := base64.RawURLEncoding.DecodeString(a.Response.(deviceattest01.Response).AttObj)
		if err != nil {
			t.Fatal(err)
		}
		item, err := cbor.Unmarshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := item.(cbor.Map).Get("authData"); there {
			t.Errorf("%x was sent as %x", object, sent)
		}
	})
}
