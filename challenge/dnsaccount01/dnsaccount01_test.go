package dnsaccount01_test

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dnsaccount01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

// A memory is a provider that keeps records, and those that it had.
type memory struct {
	mu      sync.Mutex
	records map[dnstxt.Record]bool // false: removed
}

func (m *memory) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	return m.set(recs, true), ctx.Err()
}

func (m *memory) set(recs []dnstxt.Record, present bool) dnstxt.Remove {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = map[dnstxt.Record]bool{}
	}
	for _, r := range recs {
		m.records[r] = present
	}
	return func(_ context.Context, recs []dnstxt.Record) error {
		m.set(recs, false)
		return nil
	}
}

func (m *memory) has(r dnstxt.Record) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[r]
}

// names lists where records are, or were.
func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := map[string]bool{}
	for r := range m.records {
		seen[r.Name] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

func (m *memory) isClean() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.Contains(slices.Collect(maps.Values(m.records)), true)
}

func TestSolver(t *testing.T) {
	var provider *memory // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			provider = new(memory)
			return &dnsaccount01.Solver{Provider: provider, Ready: dnstxt.NoWait}
		},
		func(_ context.Context, a *acme.Attempt) error {
			record, err := dnsaccount01.Record(a)
			if err == nil && !provider.has(record) {
				err = errors.New("no such record")
			}
			return err
		})
}

func attempt(account, name string) *acme.Attempt {
	a := challengetest.NewAttempt(acme.DNSAccount01, acme.DNS(name)[0], "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
	a.AccountURL = account
	return a
}

func TestVectors(t *testing.T) {
	conformance.Claim(t, "dnsacct-3.2-01", "dnsacct-3.2-02", "dnsacct-3.2-04")
	t.Parallel()
	data, err := os.ReadFile("../../testdata/vectors/dnsaccountlabels.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Name, Account, Identifier, Record string }
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(err)
	}
	for _, v := range vectors {
		record, err := dnsaccount01.Record(attempt(v.Account, v.Identifier))
		// The value is the one of dns-01 in testdata/vectors/keyauthorizations.json.
		if err != nil || record.Name != v.Record || record.Value != "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8" {
			t.Errorf("%s: %v, %v", v.Name, record, err)
		}
		if name, err := dnsaccount01.Name(v.Account, v.Identifier); name != v.Record || err != nil {
			t.Errorf("%s: %q, %v", v.Name, name, err)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const account = "https://ca.example/account/1"
	tokenless := attempt(account, "example.com")
	tokenless.KeyAuthorization = ""
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    error
		says    string
	}{
		{tokenless, nil, "dnsaccount01: dns-account-01 for example.com: there is no key authorization"},
		{attempt("", "example.com"), acme.ErrNoAccountURL, "example.com"},
		{attempt(account, "a b.example"), dnstxt.ErrInvalidName, "a b.example"},
		{attempt(account, strings.Repeat("a.", 112)), dnstxt.ErrInvalidName, "longer than 253 octets"},
		{attempt(account, ""), dnstxt.ErrInvalidName, "empty label"},
	} {
		provider := new(memory)
		solver := dnsaccount01.Solver{Provider: provider, Ready: dnstxt.NoWait}
		cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt(account, "first.example"), tt.attempt})
		if err == nil || cleanup != nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || len(provider.records) > 0 {
			t.Errorf("%s: cleanup %t, error %v", tt.attempt, cleanup != nil, err)
		}
	}
	var solver dnsaccount01.Solver
	if _, err := solver.Present(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no Provider") {
		t.Errorf("without a provider: %v", err)
	}
	if err := dnsaccount01.Check(t.Context(), tokenless); err == nil {
		t.Error("checked without a token")
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dnsaccount01.Check(cancelled, attempt(account, "a.example")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A fixture is a CA that looks for the record as the draft has it, in upper case,
// below the label of the account that it knows, and refuses a few names.
type fixture struct {
	*testing.T
	ca       *acmetest.Server
	client   *acme.Client
	account  *acme.Account
	provider memory
	solver   dnsaccount01.Solver
	looked   []string
	mu       sync.Mutex
}

func newFixture(t *testing.T, opts acmetest.Options) *fixture {
	t.Helper()
	f := &fixture{T: t}
	f.solver = dnsaccount01.Solver{Provider: &f.provider, Ready: dnstxt.NoWait}
	opts.ChallengeTypes = []string{"dns-account-01"}
	opts.Validate = f.validate
	f.ca = acmetest.NewServer(t, opts)
	f.client = &acme.Client{DirectoryURL: f.ca.DirectoryURL(), HTTPClient: f.ca.Client()}
	var err error
	if f.account, err = f.client.NewAccount(t.Context(), testkit.Key(t), acme.AccountRequest{TermsOfServiceAgreed: true}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) validate(_ context.Context, v acmetest.Validation) error {
	sum := sha256.Sum256([]byte(v.AccountURL))
	name := "_" + base32.StdEncoding.EncodeToString(sum[:10]) + "._ACME-CHALLENGE." + strings.ToUpper(v.Identifier.Value) + "."
	digest := sha256.Sum256([]byte(v.KeyAuthorization))
	value := base64.RawURLEncoding.EncodeToString(digest[:])
	f.mu.Lock()
	f.looked = append(f.looked, name)
	f.mu.Unlock()
	if string(v.Response) != "{}" {
		f.Errorf("the response is %s", v.Response)
	}
	if strings.HasPrefix(v.Identifier.Value, "bad") {
		return &acmetest.Problem{Type: "urn:ietf:params:acme:error:unauthorized", Status: 403, Detail: "no TXT record below the label of https://other.example/account/99"}
	}
	if !f.provider.has(dnstxt.Record{Name: strings.ToLower(name), Value: value}) {
		return fmt.Errorf("no record %s at %s", value, name)
	}
	return nil
}

func (f *fixture) obtain(names ...string) error {
	_, err := f.account.Obtain(f.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(names...)},
		CSR:          acme.NewCSR(testkit.Key(f.T)),
		Solvers:      []acme.Solver{&f.solver},
	})
	return err
}

// The server finds the records, whatever the case; and they are gone at the end,
// whatever the end is. The label is that of the account's URL before and after its
// key is changed, and after the server has named another URL.
func TestOrders(t *testing.T) {
	conformance.Claim(t, "dnsacct-3.1-01", "dnsacct-3.2-03", "dnsacct-3.2-05", "dnsacct-3.3-01", "dnsacct-3.4-01", "dnsacct-4-01")
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, acmetest.Options{})
		if err := f.obtain("example.org", "*.example.org", "www.example.org"); err != nil || !f.provider.isClean() {
			t.Fatalf("%v, records left: %t", err, !f.provider.isClean())
		}
		names := f.provider.names()
		if len(f.looked) != 3 || len(names) != 2 || names[0] != strings.ToLower(names[0]) {
			t.Errorf("looked at %q, records at %q", f.looked, names)
		}
		label := labelOf(names[0])
		if err := f.obtain("bad.example.org"); !errors.Is(err, acme.ErrUnauthorized) || !f.provider.isClean() {
			t.Errorf("invalid: %v, records left: %t", err, !f.provider.isClean())
		}
		if err := f.obtain("after.example.org"); err != nil {
			t.Errorf("after the problem: %v", err)
		}
		changed, err := f.account.ChangeKey(t.Context(), testkit.Key(t))
		if err != nil {
			t.Fatal(err)
		}
		f.account = changed
		if err := f.obtain("changed.example.org"); err != nil || !f.provider.isClean() {
			t.Errorf("after the key was changed: %v", err)
		}
		for _, name := range f.provider.names() {
			if labelOf(name) != label {
				t.Errorf("record at %s, the label was %s", name, label)
			}
		}
	})
}

func labelOf(name string) string {
	label, _, _ := strings.Cut(name, ".")
	return label
}

// A token that is not base64url is refused before a record is made.
func TestToken(t *testing.T) {
	conformance.Claim(t, "dnsacct-3.1-01")
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, token := range []string{"ODE4OWY4NTktYjhmYS00YmY1LTk5MDgtZTFjYTZmNjZlYTU=", "a b", ""} {
			f := newFixture(t, acmetest.Options{ChallengeFields: map[string]map[string]any{"dns-account-01": {"token": token}}})
			err := f.obtain("example.org")
			if err == nil || token != "" && !errors.Is(err, acme.ErrInvalidToken) || len(f.provider.records) != 0 || len(f.looked) != 0 {
				t.Errorf("%q: %v, %d records", token, err, len(f.provider.records))
			}
		}
	})
}
