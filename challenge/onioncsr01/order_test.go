package onioncsr01_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/caa"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/onioncsr01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

// A fixture is an account at a CA that validates onion-csr-01, and a service.
type fixture struct {
	*testing.T
	ca      *acmetest.Server
	client  *acme.Client
	account *acme.Account
	service ed25519.PrivateKey
	name    string
	solver  *onioncsr01.Solver
	log     *bytes.Buffer
}

func newFixture(t *testing.T, opts acmetest.Options) *fixture {
	t.Helper()
	if opts.Validate == nil {
		opts.Validate = acmetest.ValidateOnionCSR01
	}
	f := &fixture{T: t, ca: acmetest.NewServer(t, opts), service: onionKeys()[0], log: new(bytes.Buffer)}
	f.client = &acme.Client{DirectoryURL: f.ca.DirectoryURL(), HTTPClient: f.ca.HTTPClient(), Logger: slog.New(slog.NewTextHandler(f.log, nil))}
	f.account = f.register()
	f.name = onioncsr01.Address(f.service.Public().(ed25519.PublicKey))
	f.solver = &onioncsr01.Solver{Keys: []crypto.Signer{f.service}}
	return f
}

func (f *fixture) register() *acme.Account {
	f.Helper()
	account, err := f.client.NewAccount(f.Context(), testkit.Key(f), acme.AccountRequest{})
	if err != nil {
		f.Fatal(err)
	}
	return account
}

func (f *fixture) request(names ...string) acme.CertificateRequest {
	return acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(names...)},
		CSR:          acme.NewCSR(testkit.Key(f)),
		Solvers:      []acme.Solver{f.solver},
	}
}

// payloads returns those of the requests of a kind.
func (f *fixture) payloads(kind acmetest.Kind) (payloads []map[string]json.RawMessage) {
	f.Helper()
	for _, r := range f.ca.Requests() {
		if r.Kind != kind || len(r.Payload) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(r.Payload, &object); err != nil {
			f.Fatal(err)
		}
		payloads = append(payloads, object)
	}
	return payloads
}

// An order for an onion name and one below it.
func TestOrder(t *testing.T) {
	conformance.Claim(t, "9799-2-01", "9799-3.2-01", "9799-3.2-02", "9799-3.2-06")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	cert, err := f.account.Obtain(t.Context(), f.request(f.name, "*."+f.name, "www."+f.name))
	if err != nil {
		t.Fatal(err)
	}
	chain, err := cert.Chain()
	if err != nil {
		t.Fatal(err)
	}
	if err := chain[0].VerifyHostname("www." + f.name); err != nil {
		t.Error(err)
	}
	var order []acme.Identifier
	if err := json.Unmarshal(f.payloads(acmetest.KindNewOrder)[0]["identifiers"], &order); err != nil || !slices.Equal(order, acme.DNS(f.name, "*."+f.name, "www."+f.name)) {
		t.Errorf("ordered %v, %v", order, err)
	}
	responses := f.payloads(acmetest.KindChallenge)
	for _, r := range responses {
		if names := slices.Sorted(maps.Keys(r)); !slices.Equal(names, []string{"csr"}) {
			t.Errorf("a response with %v", names)
		}
	}
	if len(responses) != 3 {
		t.Errorf("%d responses", len(responses))
	}
}

// Names of version 2, and ones with a typing error, are refused before anything
// is sent.
func TestBadNames(t *testing.T) {
	conformance.Claim(t, "9799-2-02")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	for name, says := range map[string]string{
		"expyuzz4wqqyqhjn.onion":        "version 2",
		"www.expyuzz4wqqyqhjn.onion":    "version 2",
		"*.expyuzz4wqqyqhjn.onion":      "version 2",
		"www.onion":                     "56 characters",
		"onion":                         "56 characters",
		f.name[1:]:                      "56 characters",
		f.name[:10] + "a" + f.name[11:]: "checksum",
	} {
		_, err := f.account.Obtain(t.Context(), f.request(name))
		if !errors.Is(err, acme.ErrInvalidIdentifier) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := f.ca.Count(acmetest.KindNewOrder); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A greedy solver takes everything, and keeps a list.
type greedy struct {
	mu    sync.Mutex
	taken []acme.ChallengeType
}

func (g *greedy) Supports(*acme.Attempt) bool { return true }

func (g *greedy) Present(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range batch {
		g.taken = append(g.taken, a.Challenge.Type)
	}
	return nil, nil
}

// Onion names are not in DNS: whatever the server offers, and the solver takes.
func TestNoDNSForOnions(t *testing.T) {
	conformance.Claim(t, "9799-3.1.1-01")
	t.Parallel()
	f := newFixture(t, acmetest.Options{
		ChallengeTypes: []string{"dns-01", "dns-account-01", "dns-persist-01", "tls-alpn-01"},
		Validate:       func(context.Context, acmetest.Validation) error { return nil },
	})
	var g greedy
	req := f.request(f.name)
	req.Solvers = []acme.Solver{&g}
	if _, err := f.account.Obtain(t.Context(), req); err != nil || !slices.Equal(g.taken, []acme.ChallengeType{acme.TLSALPN01}) {
		t.Errorf("%v, %v", g.taken, err)
	}
	f.ca.Update(func(o *acmetest.Options) { o.ChallengeTypes = []string{"dns-01"} })
	req.OrderRequest.Identifiers = acme.DNS("www." + f.name)
	_, err := f.account.Obtain(t.Context(), req)
	if _, ok := errors.AsType[*acme.NoSolverError](err); !ok || len(g.taken) != 1 {
		t.Errorf("%v, %v", g.taken, err)
	}
}

// Challenges that reach a service over Tor are as good.
func TestHTTP01(t *testing.T) {
	conformance.Claim(t, "9799-3.1.2-01")
	t.Parallel()
	var web http01.Solver
	f := newFixture(t, acmetest.Options{ChallengeTypes: []string{"tls-alpn-01", "http-01"}, Validate: acmetest.ValidateHTTP01(&web)})
	req := f.request(f.name, "www."+f.name)
	req.Solvers = []acme.Solver{&web}
	if _, err := f.account.Obtain(t.Context(), req); err != nil {
		t.Error(err)
	}
}

// onion-csr-01 is for onion names alone.
func TestNotForOtherNames(t *testing.T) {
	conformance.Claim(t, "9799-3.2-07")
	t.Parallel()
	f := newFixture(t, acmetest.Options{ChallengeTypes: []string{"onion-csr-01", "http-01"}, Validate: func(context.Context, acmetest.Validation) error { return nil }})
	var g greedy
	req := f.request("example.org", "onion.example.org")
	req.Solvers = []acme.Solver{&g}
	if _, err := f.account.Obtain(t.Context(), req); err != nil || !slices.Equal(g.taken, []acme.ChallengeType{acme.HTTP01, acme.HTTP01}) {
		t.Errorf("%v, %v", g.taken, err)
	}
}

// The key of the service is not for the certificate.
func TestServiceKeyInCSR(t *testing.T) {
	conformance.Claim(t, "9799-3.2-03")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	for _, name := range []string{f.name, "www." + f.name} {
		req := f.request(name)
		req.CSR = acme.NewCSR(f.service)
		_, err := f.account.Obtain(t.Context(), req)
		if !errors.Is(err, acme.ErrOnionKeyInCSR) || !strings.Contains(err.Error(), name) || f.ca.Count(acmetest.KindFinalize) != 0 {
			t.Errorf("%v, %d requests", err, f.ca.Count(acmetest.KindFinalize))
		}
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	req := f.request(f.name)
	req.CSR = acme.NewCSR(other)
	if _, err := f.account.Obtain(t.Context(), req); err != nil {
		t.Errorf("another key of the kind: %v", err)
	}
}

// The server's key is authorized before it is told to come.
func TestAuthorize(t *testing.T) {
	conformance.Claim(t, "9799-4-01")
	t.Parallel()
	f := newFixture(t, acmetest.Options{ChallengeFields: map[string]map[string]any{"onion-csr-01": {
		"authKey": map[string]string{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
	}}})
	calls := 0
	f.solver.Authorize = func(_ context.Context, address string, key ed25519.PublicKey) error {
		calls++
		if address != f.name || key[0] != 0xd7 || f.ca.Count(acmetest.KindChallenge) != 0 {
			t.Errorf("%s, %x, %d requests", address, key, f.ca.Count(acmetest.KindChallenge))
		}
		return nil
	}
	if _, err := f.account.Obtain(t.Context(), f.request("www."+f.name)); err != nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// Record sets come with the request to finalize, signed and for a few hours.
func TestOnionCAA(t *testing.T) {
	conformance.Claim(t, "9799-6.4-01", "9799-6.4-02", "9799-6.4.1-01")
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{OnionCAARequired: true, ValidationTime: 5 * time.Minute})
		directory, err := f.client.Directory(t.Context())
		if err != nil || !onioncsr01.CAARequired(directory.Meta) {
			t.Fatal(err)
		}
		other := onionKeys()[1]
		otherName := onioncsr01.Address(other.Public().(ed25519.PublicKey))
		f.solver.Keys = append(f.solver.Keys, other)
		req := f.request("www."+f.name, f.name, otherName)
		if _, err := f.account.Obtain(t.Context(), req); !errors.Is(err, acme.ErrOnionCAARequired) {
			t.Errorf("without: %v", err)
		}
		f.ca.Reset()
		set := []caa.Record{{Flags: caa.FlagCritical, Tag: caa.TagIssue, Value: "ca.test; validationmethods=onion-csr-01"}}
		req.FinalizeExtra = f.solver.OnionCAA(map[string][]caa.Record{f.name: set})
		if _, err := f.account.Obtain(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		var sent map[string]onioncsr01.CAA
		if err := json.Unmarshal(f.payloads(acmetest.KindFinalize)[0]["onionCAA"], &sent); err != nil || len(sent) != 2 {
			t.Fatalf("%v, %v", sent, err)
		}
		if got, err := sent[f.name].Verify(f.name); err != nil || !slices.Equal(got, set) {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := sent[otherName].Verify(otherName); err != nil || got != nil || sent[otherName].Records != nil {
			t.Errorf("%v, %v", got, err)
		}
		for name, c := range sent {
			if left := time.Until(time.Unix(c.Expiry, 0)); left <= 0 || left > 8*time.Hour {
				t.Errorf("%s expires in %v", name, left)
			}
		}
	})
}

// A set under what is no address would be left out, and the service say, signed, that
// it has none.
func TestOnionCAAOfNoService(t *testing.T) {
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	for _, name := range []string{"www." + f.name, "*." + f.name, strings.ToUpper(f.name), f.name + ".", strings.TrimSuffix(f.name, ".onion"), "example.com"} {
		members, err := f.solver.OnionCAA(map[string][]caa.Record{name: {{Tag: caa.TagIssue, Value: ";"}}})(t.Context(), acme.DNS(f.name))
		if err == nil || members != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, members, err)
		}
	}
}

// Whoever orders for an onion name is told that it will be public.
func TestWarning(t *testing.T) {
	conformance.Claim(t, "9799-8.9-02")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	for name, want := range map[string]int{"example.com": 0, "www." + f.name: 1} {
		f.log.Reset()
		if _, err := f.account.NewOrder(t.Context(), acme.OrderRequest{Identifiers: acme.DNS(name)}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(f.log.String(), "level=WARN"); got != want || strings.Contains(f.log.String(), "Certificate Transparency") != (want == 1) {
			t.Errorf("%s: %s", name, f.log)
		}
	}
}

// An account says nothing of its owner that it is not told to, and several of one
// program have nothing in common.
func TestAnonymity(t *testing.T) {
	conformance.Claim(t, "9799-8.9.2-01", "9799-8.9.3-01")
	t.Parallel()
	f := newFixture(t, acmetest.Options{})
	second := f.register()
	for _, p := range f.payloads(acmetest.KindNewAccount) {
		if len(p) != 0 {
			t.Errorf("newAccount has %v", p)
		}
	}
	other := onionKeys()[1]
	f.solver.Keys = append(f.solver.Keys, other)
	var wg sync.WaitGroup
	for account, name := range map[*acme.Account]string{f.account: f.name, second: onioncsr01.Address(other.Public().(ed25519.PublicKey))} {
		wg.Go(func() {
			if _, err := account.Obtain(t.Context(), f.request(name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f.account.URL() == second.URL() || f.account.Thumbprint() == second.Thumbprint() {
		t.Error("one account")
	}
	owners := map[string]string{} // of resources, by the account that asked for them
	for _, r := range f.ca.Requests() {
		if r.Kind != acmetest.KindNewOrder && r.AccountURL != "" {
			if owner, ok := owners[r.URL]; ok && owner != r.AccountURL {
				t.Errorf("%s is asked for by %s and %s", r.URL, owner, r.AccountURL)
			}
			owners[r.URL] = r.AccountURL
		}
	}
	if len(owners) < 8 {
		t.Errorf("%d resources", len(owners))
	}
}
