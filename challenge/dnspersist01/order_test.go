package dnspersist01_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

const hashPrefix = "https://ca.test/account-hash/"

// A fixture is an account at a CA that looks into the zone.
type fixture struct {
	*testing.T
	zone    zone
	ca      *acmetest.Server
	client  *acme.Client
	key     *ecdsa.PrivateKey
	account *acme.Account
	solver  *dnspersist01.Solver
	log     bytes.Buffer
}

// newFixture makes a CA of a draft: 0, 1 or 2.
func newFixture(t *testing.T, draft int, opts acmetest.Options) *fixture {
	t.Helper()
	f := &fixture{T: t, key: testkit.Key(t)}
	fields := map[string]any{}
	if draft != 1 {
		fields["accounturi"] = nil
	}
	if draft == 2 {
		fields["issuer-domain-names"], fields["issuerDomainNames"] = nil, []string{"ca.example", "ca.test"}
		opts.MetaFields = map[string]any{"issuerDomainNames": []string{"ca.test"}, "accountHashPrefix": hashPrefix}
	}
	opts.CAAIdentities = []string{"ca.example", "ca.test"}
	opts.ChallengeTypes = []string{"dns-persist-01"}
	opts.ChallengeFields = map[string]map[string]any{"dns-persist-01": fields}
	opts.Validate = acmetest.ValidateDNSPersist01(f.zone.find, hashPrefix)
	f.ca = acmetest.NewServer(t, opts)
	logger := slog.New(slog.NewTextHandler(&f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.client = &acme.Client{DirectoryURL: f.ca.DirectoryURL(), HTTPClient: f.ca.HTTPClient(), Logger: logger}
	directory, err := f.client.Directory(t.Context())
	if err == nil {
		f.account, err = f.client.NewAccount(t.Context(), f.key, acme.AccountRequest{})
	}
	if err != nil {
		t.Fatal(err)
	}
	f.solver = f.zone.solver()
	f.solver.Issuer, f.solver.Meta = "ca.test", directory.Meta
	f.ca.Reset()
	return f
}

func (f *fixture) obtain(names ...string) error {
	f.Helper()
	_, err := f.account.Obtain(f.Context(), acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS(names...)},
		CSR:          acme.NewCSR(testkit.Key(f)),
		Solvers:      []acme.Solver{f.solver},
	})
	return err
}

// An order with a name and its wildcard, at servers of all drafts. The records
// stay, and serve the next order.
func TestOrders(t *testing.T) {
	conformance.Claim(t, "persist-4-01", "persist-7.11-01")
	t.Parallel()
	for draft := range 3 {
		f := newFixture(t, draft, acmetest.Options{})
		for range 2 {
			if err := f.obtain("Example.com", "*.example.com", "bücher.example"); err != nil {
				t.Fatalf("draft %d: %v", draft, err)
			}
		}
		if f.zone.appends != 1 || len(f.zone.records) != 2 {
			t.Errorf("draft %d: %d calls, %q", draft, f.zone.appends, f.zone.records)
		}
		for _, r := range f.ca.Requests() {
			if r.Kind == acmetest.KindChallenge && string(r.Payload) != "{}" {
				t.Errorf("draft %d: the response is %s", draft, r.Payload)
			}
		}
		if n := f.ca.Count(acmetest.KindChallenge); n != 6 {
			t.Errorf("draft %d: %d responses", draft, n)
		}
		// Records can be watched, and removed; those of others stay.
		foreign := dnstxt.Record{Name: "_validation-persist.example.com.", Value: "other.example; accounturi=" + f.account.URL()}
		another := dnstxt.Record{Name: "_validation-persist.example.com.", Value: "ca.test; accounturi=" + f.account.URL() + "0"}
		f.zone.records = append(f.zone.records, foreign, another)
		if err := f.solver.CheckOrder(t.Context(), f.account, acme.DNS("*.example.com", "Bücher.example")...); err != nil {
			t.Errorf("draft %d: %v", draft, err)
		}
		for _, name := range []string{"*.Example.com", "bücher.example"} {
			if removed, err := f.solver.Remove(t.Context(), f.account, name); err != nil || len(removed) != 1 {
				t.Errorf("draft %d: removed %q, %v", draft, removed, err)
			}
		}
		if !slices.Equal(f.zone.records, []dnstxt.Record{foreign, another}) {
			t.Errorf("draft %d: %q", draft, f.zone.records)
		}
		if err := f.solver.CheckOrder(t.Context(), f.account, acme.DNS("example.com")...); !errors.Is(err, acme.ErrCheckFailed) {
			t.Errorf("draft %d: %v", draft, err)
		}
	}
}

// What a server must not say is an error, and nothing is made or answered.
func TestMalformedChallenges(t *testing.T) {
	conformance.Claim(t, "persist-3.1-02")
	t.Parallel()
	for _, issuers := range []any{[]string{}, nil, strings.Split("a b c d e f g h i j ca.test", " ")} {
		f := newFixture(t, 1, acmetest.Options{})
		f.ca.Update(func(o *acmetest.Options) {
			o.ChallengeFields = map[string]map[string]any{"dns-persist-01": {"issuer-domain-names": issuers}}
		})
		err := f.obtain("example.com")
		if !errors.Is(err, acme.ErrMalformedResponse) || !strings.Contains(err.Error(), "issuer names") || f.zone.appends+f.zone.lookups+f.ca.Count(acmetest.KindChallenge) != 0 {
			t.Errorf("%v: %v", issuers, err)
		}
	}
}

// A server that has looked already has nothing to ask for.
func TestJustInTime(t *testing.T) {
	conformance.Claim(t, "persist-4.4-01")
	t.Parallel()
	f := newFixture(t, 1, acmetest.Options{PreValidated: true})
	if err := f.obtain("example.com"); err != nil || f.ca.Count(acmetest.KindChallenge)+f.zone.appends != 0 {
		t.Errorf("%v, %d calls", err, f.zone.appends)
	}
	// One that is valid in an order that is not ready, because of another.
	f = newFixture(t, 1, acmetest.Options{ReuseAuthorizations: true})
	if err := f.obtain("example.com"); err != nil {
		t.Fatal(err)
	}
	if err := f.obtain("example.com", "www.example.com"); err != nil || f.ca.Count(acmetest.KindChallenge) != 2 || f.zone.appends != 2 {
		t.Errorf("%v, %d challenges, %d calls", err, f.ca.Count(acmetest.KindChallenge), f.zone.appends)
	}
}

// A record before there is an order, and after a change of the key.
func TestPrepare(t *testing.T) {
	conformance.Claim(t, "persist02-4.1-05", "persist02-4.5-01", "persist02-7.2.1-01")
	t.Parallel()
	f := newFixture(t, 2, acmetest.Options{})
	prepare := func() dnstxt.Record {
		t.Helper()
		record, err := f.solver.Prepare(t.Context(), f.account, "example.com")
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	first := prepare()
	uri, err := dnspersist01.HashedURI(hashPrefix, "example.com", f.account.Thumbprint(), f.account.URL())
	if err != nil || first != (dnstxt.Record{Name: "_validation-persist.example.com.", Value: "ca.test; accounturi=" + uri}) {
		t.Errorf("%+v, want %s, %v", first, uri, err)
	}
	f.zone.records = []dnstxt.Record{first}
	f.solver.Provider = nil
	if err := f.obtain("example.com"); err != nil {
		t.Error(err)
	}
	if f.account, err = f.account.ChangeKey(t.Context(), testkit.Key(t)); err != nil {
		t.Fatal(err)
	}
	if err := f.obtain("example.com"); !errors.Is(err, acme.ErrCheckFailed) || !strings.Contains(err.Error(), "another account") {
		t.Errorf("with the record of the old key: %v", err)
	}
	second := prepare()
	f.zone.records = append(f.zone.records, second)
	if err := f.obtain("example.com"); err != nil || first == second {
		t.Errorf("%+v, %v", second, err)
	}
	f.solver.Wildcard, f.solver.Lifetime, f.solver.AnyDomain = true, 24*time.Hour, true
	for _, name := range []string{"*.example.com", "example.com"} {
		record, err := f.solver.Prepare(t.Context(), f.account, name)
		r, parseErr := dnspersist01.Parse(record.Value)
		if err != nil || parseErr != nil || !r.Wildcard || r.PersistUntil.IsZero() || r.AccountURI == uri {
			t.Errorf("%+v, %v, %v", r, err, parseErr)
		}
	}
	// The directory comes over an authenticated channel.
	insecure := acme.Client{DirectoryURL: "http://ca.test/dir", HTTPClient: f.ca.HTTPClient()}
	if _, err := insecure.Directory(t.Context()); err == nil {
		t.Error("a directory over http")
	}
}

// Prepare needs what the directory says, but orders do not.
func TestPrepareUnsupported(t *testing.T) {
	conformance.Claim(t, "persist02-3.2-01")
	t.Parallel()
	for _, members := range []map[string]any{
		nil,
		{"accountHashPrefix": hashPrefix},
		{"issuerDomainNames": []string{"ca.test"}},
		{"accountHashPrefix": hashPrefix, "issuerDomainNames": []string{}},
		{"accountHashPrefix": hashPrefix, "issuerDomainNames": []string{"ca.test", "Ca.test"}},
		{"accountHashPrefix": hashPrefix, "issuerDomainNames": strings.Split("a b c d e f g h i j ca.test", " ")},
		{"accountHashPrefix": hashPrefix, "issuerDomainNames": "ca.test"},
		{"accountHashPrefix": 1, "issuerDomainNames": []string{"ca.test"}},
	} {
		f := newFixture(t, 2, acmetest.Options{})
		f.ca.Update(func(o *acmetest.Options) { o.MetaFields = members })
		fresh := acme.Client{DirectoryURL: f.ca.DirectoryURL(), HTTPClient: f.ca.HTTPClient()}
		directory, err := fresh.Directory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.solver.Meta = directory.Meta
		f.ca.Reset()
		if _, err := f.solver.Prepare(t.Context(), f.account, "example.com"); !errors.Is(err, errors.ErrUnsupported) || len(f.ca.Requests()) != 0 {
			t.Errorf("%v: %v, %d requests", members, err, len(f.ca.Requests()))
		}
		if members["accountHashPrefix"] != hashPrefix {
			continue // orders cannot do without it, either
		}
		if err := f.obtain("example.com"); err != nil {
			t.Errorf("%v: %v", members, err)
		}
	}
	f := newFixture(t, 2, acmetest.Options{})
	f.solver.Issuer = "ca.example" // in challenges only
	if _, err := f.solver.Prepare(t.Context(), f.account, "example.com"); err == nil || !strings.Contains(err.Error(), `are ["ca.test"]`) {
		t.Error(err)
	}
	f.solver.Issuer = "ca.test"
	if _, err := f.solver.Prepare(t.Context(), f.account, "a b"); !errors.Is(err, acme.ErrInvalidIdentifier) {
		t.Error(err)
	}
}

// Before a record names an account, that is looked at: by a POST-as-GET to its URL,
// which is not redirected, and it must be valid.
func TestPrepareVerifiesTheAccount(t *testing.T) {
	conformance.Claim(t, "persist02-4.5-02")
	t.Parallel()
	f := newFixture(t, 2, acmetest.Options{})
	if _, err := f.solver.Prepare(t.Context(), f.account, "example.com"); err != nil {
		t.Fatal(err)
	}
	requests := slices.DeleteFunc(f.ca.Requests(), func(r acmetest.Request) bool { return r.Method != http.MethodPost })
	if len(requests) != 1 || requests[0].URL != f.account.URL() || len(requests[0].Payload) != 0 || requests[0].AccountURL != f.account.URL() {
		t.Errorf("%+v", requests)
	}
	answer := func(edit acmetest.Fault) {
		f.ca.Update(func(o *acmetest.Options) { o.Fault = acmetest.FaultAlways(acmetest.KindAccount, edit) })
	}
	for _, status := range []any{"deactivated", "revoked", "pending", "", nil} {
		answer(acmetest.EditJSON(func(m map[string]any) { m["status"] = status }))
		if record, err := f.solver.Prepare(t.Context(), f.account, "example.com"); err == nil || record != (dnstxt.Record{}) {
			t.Errorf("status %v: %+v", status, record)
		}
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		answer(acmetest.Fault{Status: status, Header: http.Header{"Location": {f.account.URL() + "1"}}})
		f.ca.Reset()
		if record, err := f.solver.Prepare(t.Context(), f.account, "example.com"); err == nil || record != (dnstxt.Record{}) || f.ca.Count(acmetest.KindAccount) != 1 {
			t.Errorf("status %d: %+v, %d requests", status, record, f.ca.Count(acmetest.KindAccount))
		}
	}
}

// A record that ended, or is about to, is told of before the order.
func TestExpiry(t *testing.T) {
	conformance.Claim(t, "persist02-9.4-01")
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2, acmetest.Options{})
		f.solver.Lifetime = 24 * time.Hour
		record, err := f.solver.Prepare(t.Context(), f.account, "example.com")
		if err != nil {
			t.Fatal(err)
		}
		state := map[string][]string{record.Name: {record.Value}} // the program's own
		f.solver.Lookup = func(_ context.Context, name string) ([]string, error) { return state[name], nil }
		f.ca.Reset()
		for _, want := range []struct {
			after time.Duration
			says  string
		}{{0, ""}, {22 * time.Hour, ""}, {90 * time.Minute, "ends soon"}, {24 * time.Hour, "ended at"}} {
			<-time.After(want.after)
			err := f.solver.CheckOrder(t.Context(), f.account, append(acme.DNS("example.com"), acme.Identifier{Type: acme.TypeIP, Value: "192.0.2.1"})...)
			if (err == nil) != (want.says == "") || err != nil && (!errors.Is(err, acme.ErrCheckFailed) || !strings.Contains(err.Error(), want.says)) {
				t.Errorf("after %v: %v", want.after, err)
			}
		}
		if n := len(f.ca.Requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
		if err := f.solver.CheckOrder(t.Context(), f.account, acme.DNS("example.com", "a b")...); !errors.Is(err, acme.ErrInvalidIdentifier) || !errors.Is(err, acme.ErrCheckFailed) {
			t.Error(err)
		}
	})
}

// The account key, which is all that it takes, is not to be found in logs.
func TestKeyIsNotLogged(t *testing.T) {
	conformance.Claim(t, "persist-7.2-01")
	t.Parallel()
	f := newFixture(t, 2, acmetest.Options{})
	if err := f.obtain("example.com", "*.example.com"); err != nil {
		t.Fatal(err)
	}
	secret, err := f.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret), new(big.Int).SetBytes(secret).String()} {
		if strings.Contains(f.log.String(), form) {
			t.Errorf("the log has %q", form)
		}
	}
	if f.log.Len() < 1000 {
		t.Errorf("the log is %s", &f.log)
	}
}

// A provider that only undoes what it did cannot remove a record of another time.
func TestRemoveByHand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1, acmetest.Options{})
	f.solver.Provider = struct{ dnstxt.Provider }{&f.zone}
	if err := f.obtain("example.com"); err != nil {
		t.Fatal(err)
	}
	removed, err := f.solver.Remove(t.Context(), f.account, "example.com")
	if !errors.Is(err, errors.ErrUnsupported) || removed != nil || len(f.zone.records) != 1 || !strings.Contains(err.Error(), `_validation-persist.example.com. IN TXT "ca.test; accounturi=`+f.account.URL()+`"`) {
		t.Errorf("%q, %v", removed, err)
	}
	f.zone.records[0].Value += `; x="\`
	if _, err := f.solver.Remove(t.Context(), f.account, "example.com"); err == nil || !strings.Contains(err.Error(), `; x=\"\\"`) {
		t.Error(err)
	}
	if removed, err := f.solver.Remove(t.Context(), f.account, "www.example.com"); removed != nil || err != nil {
		t.Errorf("%q, %v", removed, err)
	}
	if _, err := f.solver.Remove(t.Context(), f.account, "a b"); err == nil {
		t.Error("a name that is none")
	}
	f.zone.broken = true
	if _, err := f.solver.Remove(t.Context(), f.account, "example.com"); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// Servers bring the name of an issuer to its normal form before they compare it
// (section 4): a record that somebody has written in upper case lets them issue, so
// it is removed, too. Without an Issuer, nothing would be, in silence.
func TestRemoveIssuer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 1, acmetest.Options{})
	f.zone.records = []dnstxt.Record{{Name: "_validation-persist.example.com.", Value: "CA.Test; accounturi=" + f.account.URL()}}
	f.solver.Issuer = ""
	if removed, err := f.solver.Remove(t.Context(), f.account, "example.com"); err == nil || !strings.Contains(err.Error(), "Solver.Issuer is not set") {
		t.Errorf("%q, %v", removed, err)
	}
	f.solver.Issuer = "ca.test"
	if removed, err := f.solver.Remove(t.Context(), f.account, "example.com"); err != nil || len(removed) != 1 || len(f.zone.records) != 0 {
		t.Errorf("%q, %v; left %q", removed, err, f.zone.records)
	}
}

// Records are removed where they were written, and those for all names, too.
func TestRemoveElsewhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, 2, acmetest.Options{})
	f.solver.AnyDomain = true
	f.solver.Alias = dnstxt.Aliases(map[string]string{"_validation-persist.example.com": "alias.example.net"})
	record, err := f.solver.Prepare(t.Context(), f.account, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	f.zone.records = []dnstxt.Record{{Name: "alias.example.net.", Value: record.Value}}
	f.solver.Lookup = func(context.Context, string) ([]string, error) { return []string{record.Value}, nil }
	f.solver.AnyDomain = false
	if removed, err := f.solver.Remove(t.Context(), f.account, "example.com"); err != nil || !slices.Equal(removed, []dnstxt.Record{record}) || len(f.zone.records) != 0 {
		t.Errorf("%q, %v; left %q", removed, err, f.zone.records)
	}
}
