package acme_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/challenge/deviceattest01"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/challenge/tkauth01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// The payload of each kind of request, byte for byte: a misspelt or superfluous
// member shows here ("Profile", "expires"). -update writes the files.
func TestGoldenPayloads(t *testing.T) {
	conformance.Claim(t, "8555-7.3-01", "8555-7.3.1-01")
	bubble(t, func(t *testing.T) {
		mac := bytes.Repeat([]byte("k"), 64)
		f := newFixture(t, acmetest.Options{ExternalAccounts: map[string][]byte{"kid-1": mac}, Profiles: map[string]string{"short": ""}})
		ctx := t.Context()
		check := func(name string, kind acmetest.Kind, variable ...string) {
			t.Helper()
			for _, r := range f.ca.Requests() {
				if r.Kind == kind && r.Protected != nil {
					checkGolden(t, name, r, variable...)
				}
			}
			f.ca.Reset()
		}
		key := newKey(t)
		account, err := f.client.NewAccount(ctx, key, acme.AccountRequest{
			Contact: []string{"mailto:admin@example.com"}, TermsOfServiceAgreed: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		check("newAccount", acmetest.KindNewAccount)
		if _, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{}); err != nil {
			t.Fatal(err)
		}
		check("newAccount-empty", acmetest.KindNewAccount)
		if _, err := f.client.FindAccount(ctx, key); err != nil {
			t.Fatal(err)
		}
		check("findAccount", acmetest.KindNewAccount)
		if _, err := f.client.NewAccount(ctx, newKey(t), acme.AccountRequest{ExternalAccount: &acme.ExternalAccount{KeyID: "kid-1", MACKey: mac}}); err != nil {
			t.Fatal(err)
		}
		last := f.ca.Requests()
		f.ca.Reset()
		checkGolden(t, "newAccount-externalAccount", last[len(last)-1], "externalAccountBinding")
		if _, err := account.Info(ctx); err != nil {
			t.Fatal(err)
		}
		check("account", acmetest.KindAccount)
		if _, err := account.Update(ctx, []string{"mailto:ops@example.com"}); err != nil {
			t.Fatal(err)
		}
		check("updateAccount", acmetest.KindAccount)
		if _, err := account.Update(ctx, nil); err != nil {
			t.Fatal(err)
		}
		check("updateAccount-clear", acmetest.KindAccount)
		f.account = account
		if _, err := f.account.NewOrder(ctx, acme.OrderRequest{
			Identifiers: append(acme.DNS("a.example", "*.bücher.example"), acme.IP(addr("192.0.2.1"), addr("2001:db8::1"))...),
			NotBefore:   time.Date(2030, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), NotAfter: time.Date(2030, 2, 2, 3, 4, 5, 0, time.UTC),
			Profile: "short",
		}); err != nil {
			t.Fatal(err)
		}
		check("newOrder", acmetest.KindNewOrder)
		// Members of extensions; the CA minds, which does not matter here.
		_, _ = f.account.NewOrder(ctx, acme.OrderRequest{ // see above
			Identifiers: acme.DNS("a.example"), Replaces: "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", Extra: map[string]any{"auto-renewal": map[string]any{"lifetime": 86400}},
		})
		check("newOrder-extensions", acmetest.KindNewOrder)
		if _, err := f.account.NewAuthorization(ctx, acme.DNS("a.example")[0]); err != nil {
			t.Fatal(err)
		}
		check("newAuthz", acmetest.KindNewAuthz)
		cert, err := f.account.Obtain(ctx, f.request("a.example"))
		if err != nil {
			t.Fatal(err)
		}
		requests := f.ca.Requests()
		for _, kind := range []acmetest.Kind{acmetest.KindNewOrder, acmetest.KindAuthorization, acmetest.KindChallenge, acmetest.KindOrder, acmetest.KindFinalize, acmetest.KindCertificate} {
			for _, r := range requests {
				if r.Kind == kind {
					checkGolden(t, "obtain-"+string(kind), r, "csr")
				}
			}
		}
		f.ca.Reset()
		if err := f.account.RevokeCertificate(ctx, cert.PEM, acme.ReasonSuperseded); err != nil {
			t.Fatal(err)
		}
		check("revokeCert", acmetest.KindRevokeCert, "certificate")
		if cert, err = f.account.Obtain(ctx, f.request("a.example")); err != nil {
			t.Fatal(err)
		}
		f.ca.Reset()
		if err := f.client.RevokeCertificate(ctx, f.certKey, cert.PEM, acme.ReasonUnspecified); err != nil {
			t.Fatal(err)
		}
		check("revokeCert-certificateKey", acmetest.KindRevokeCert, "certificate")
		o := f.order("b.example")
		f.ca.Reset()
		if err := f.account.DeactivateAuthorization(ctx, o.AuthorizationURLs[0]); err != nil {
			t.Fatal(err)
		}
		check("deactivateAuthorization", acmetest.KindAuthorization)
		if f.account, err = f.account.ChangeKey(ctx, newKey(t)); err != nil {
			t.Fatal(err)
		}
		check("keyChange", acmetest.KindKeyChange, "protected", "payload", "signature")
		if err := f.account.Deactivate(ctx); err != nil {
			t.Fatal(err)
		}
		check("deactivateAccount", acmetest.KindAccount)
	})
}

// The payloads of extensions.
func TestGoldenExtensions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{
			SubdomainAuth: true, AutoRenewal: &acmetest.AutoRenewal{AllowCertificateGet: true}, AllowCertificateGet: true,
			Delegations: []acmetest.Delegation{{CSRTemplate: `{}`}}, IdentifierTypes: []string{"email", "TNAuthList", "bundleEID", "permanent-identifier", "hardware-module"},
		})
		ctx := t.Context()
		check := func(name string, kind acmetest.Kind, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			requests := f.ca.Requests()
			last := requests[len(requests)-1]
			if last.Kind != kind {
				t.Fatalf("%s: the last request is %s", name, last.Kind)
			}
			checkGolden(t, name, last)
		}
		a, b := acme.DNS("a.example.org"), acme.DNS("a.example.org", "b.example.org")
		renewal := &acme.AutoRenewal{StartDate: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC), EndDate: time.Date(2000, 2, 2, 0, 0, 0, 0, time.UTC), Lifetime: 24 * time.Hour, LifetimeAdjust: time.Hour}
		for name, req := range map[string]acme.OrderRequest{
			"newOrder-ancestorDomain":        {Identifiers: b, AncestorDomains: []string{"example.org"}},
			"newOrder-autoRenewal":           {Identifiers: a, AutoRenewal: renewal, AllowCertificateGet: true},
			"newOrder-allowCertificateGet":   {Identifiers: a, AllowCertificateGet: true},
			"newOrder-delegation":            {Identifiers: a, Delegation: "https://ca.test/delegation/1"},
			"newOrder-delegationAutoRenewal": {Identifiers: a, Delegation: "https://ca.test/delegation/1", AutoRenewal: renewal},
			"newOrder-identifiers": {Identifiers: []acme.Identifier{
				{Type: acme.TypeEmail, Value: "user@example.org"}, {Type: acme.TypeTNAuthList, Value: "MAigBhYENzA5Sg"}, {Type: acme.TypeBundleEID, Value: "dtn://example/"},
				{Type: acme.TypePermanentIdentifier, Value: "SN-1234"}, {Type: acme.TypeHardwareModule, Value: "HW-77/1.3.6.1.4.1.32473.1"},
			}},
		} {
			_, err := f.account.NewOrder(ctx, req)
			check(name, acmetest.KindNewOrder, err)
		}
		_, err := f.account.NewSubdomainAuthorization(ctx, "example.org")
		check("newAuthz-subdomains", acmetest.KindNewAuthz, err)
		_, err = f.account.Delegation(ctx, "https://ca.test/delegation/1")
		check("delegation", acmetest.KindDelegation, err)
		for _, err = range f.account.Delegations(ctx) { // one page
			check("delegations", acmetest.KindDelegations, err)
		}
		o := f.series("a.example.org")
		_, err = f.account.CancelOrder(ctx, o)
		check("cancelOrder", acmetest.KindOrder, err)
	})
}

// The payloads by which challenges are answered, and of a request to finalize with a
// member of an extension.
func TestGoldenChallenges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), ed25519.SeedSize))
		service := onioncsr01.Address(key.Public().(ed25519.PublicKey))
		f := newFixture(t, acmetest.Options{
			ChallengeTypes:  []string{"http-01", "tls-alpn-01", "dns-01", "dns-account-01", "dns-persist-01", "email-reply-00", "tkauth-01", "bp-nodeid-00", "device-attest-01", "onion-csr-01"},
			IdentifierTypes: []string{"email", "TNAuthList", "bundleEID", "permanent-identifier"},
			Validate:        func(context.Context, acmetest.Validation) error { return nil },
		})
		name := acme.DNS("a.example")[0]
		device := acme.Identifier{Type: acme.TypePermanentIdentifier, Value: "SN-1234"}
		for _, tt := range []struct {
			file     string
			typ      acme.ChallengeType
			id       acme.Identifier
			response any
		}{
			{"http-01", acme.HTTP01, name, nil},
			{"tls-alpn-01", acme.TLSALPN01, name, nil},
			{"dns-01", acme.DNS01, name, nil},
			{"dns-account-01", acme.DNSAccount01, name, nil},
			{"dns-persist-01", acme.DNSPersist01, name, nil},
			{"email-reply-00", acme.EmailReply00, acme.Identifier{Type: acme.TypeEmail, Value: "user@example.org"}, nil},
			{"tkauth-01", acme.TKAuth01, acme.Identifier{Type: acme.TypeTNAuthList, Value: "MAigBhYENzA5Sg"}, tkauth01.Response{TKAuth: "e30.e30.AA"}},
			{"bp-nodeid-00", acme.BPNodeID00, acme.Identifier{Type: acme.TypeBundleEID, Value: "dtn://example/"}, bpnodeid00.Response{RTT: 1.5}},
			{"bp-nodeid-00-unknownRTT", acme.BPNodeID00, acme.Identifier{Type: acme.TypeBundleEID, Value: "dtn://example/"}, bpnodeid00.Response{}},
			{"device-attest-01", acme.DeviceAttest01, device, deviceattest01.Response{AttObj: "oA"}},
			{"device-attest-01-error", acme.DeviceAttest01, device, deviceattest01.Response{Error: "no key"}},
			{"onion-csr-01", acme.OnionCSR01, acme.DNS(service)[0], nil}, // see below
		} {
			o, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: []acme.Identifier{tt.id}})
			if err != nil {
				t.Fatal(err)
			}
			z, err := f.account.Authorization(t.Context(), o.AuthorizationURLs[0])
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == tt.typ })
			if i < 0 {
				t.Fatalf("%s: %+v", tt.file, z)
			}
			if tt.typ == acme.OnionCSR01 {
				a := &acme.Attempt{Identifier: tt.id, Challenge: z.Challenges[i]}
				if _, err := (&onioncsr01.Solver{Keys: []crypto.Signer{key}}).Present(t.Context(), []*acme.Attempt{a}); err != nil {
					t.Fatal(err)
				}
				tt.response = a.Response
			}
			f.ca.Reset()
			if _, err := f.account.RespondChallenge(t.Context(), z.Challenges[i].URL, tt.response); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, "challenge-"+tt.file, f.ca.Requests()[0], "csr")
			if tt.typ != acme.OnionCSR01 {
				continue
			}
			csr, err := acme.NewCSR(f.certKey)(t.Context(), o.Identifiers)
			if err != nil {
				t.Fatal(err)
			}
			members, err := (&onioncsr01.Solver{Keys: []crypto.Signer{key}}).OnionCAA(map[string][]caa.Record{service: nil})(t.Context(), o.Identifiers)
			if err != nil {
				t.Fatal(err)
			}
			if o, err = f.account.Order(t.Context(), o.URL); err != nil {
				t.Fatal(err)
			}
			f.ca.Reset()
			if _, err := f.account.FinalizeOrder(t.Context(), o, csr, members); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, "finalize-onionCAA", f.ca.Requests()[0], "csr")
		}
	})
}

// checkGolden compares a request's protected header and payload with a file, in
// which what changes from run to run is a dash.
func checkGolden(t *testing.T, name string, r acmetest.Request, variable ...string) {
	t.Helper()
	var header map[string]json.RawMessage
	if err := json.Unmarshal(r.Protected, &header); err != nil {
		t.Fatal(err)
	}
	for member := range header {
		header[member] = json.RawMessage(`"-"`)
	}
	protected, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	payload := r.Payload
	if len(variable) > 0 && len(payload) > 0 {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(payload, &members); err != nil {
			t.Fatal(err)
		}
		for _, v := range variable {
			if _, ok := members[v]; ok {
				members[v] = json.RawMessage(`"-"`)
			}
		}
		if payload, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprintf("%s\n%s\n", protected, payload)
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // a test file
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.ReplaceAll(string(want), "\r\n", "\n") {
		t.Errorf("%s:\ngot\n%swant\n%s", name, got, want)
	}
}
