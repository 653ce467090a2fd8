package dns01_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A memory is a provider that keeps records, and refuses those that it has.
type memory struct {
	mu      sync.Mutex
	records map[dnstxt.Record]bool
	calls   []string
}

func (m *memory) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprint("append ", len(recs)))
	if m.records == nil {
		m.records = map[dnstxt.Record]bool{}
	}
	for _, r := range recs {
		if ctx.Err() != nil {
			return m.remove, ctx.Err()
		}
		if m.records[r] {
			return m.remove, errors.New("it is there already")
		}
		m.records[r] = true
	}
	return m.remove, nil
}

func (m *memory) remove(_ context.Context, recs []dnstxt.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprint("remove ", len(recs)))
	for _, r := range recs {
		delete(m.records, r)
	}
	return nil
}

func (m *memory) has(r dnstxt.Record) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[r]
}

// names lists where records are.
func (m *memory) names() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for r := range maps.Keys(m.records) {
		all = append(all, r.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func attempt(name string) *acme.Attempt {
	return challengetest.NewAttempt(acme.DNS01, acme.DNS(name)[0], "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA")
}

func TestSolver(t *testing.T) {
	var provider *memory // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			provider = new(memory)
			return &dns01.Solver{Provider: provider, Ready: dnstxt.NoWait}
		},
		func(_ context.Context, a *acme.Attempt) error {
			record, err := dns01.Record(a)
			if err == nil && !provider.has(record) {
				err = errors.New("no such record")
			}
			return err
		})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{
		{"example.com", "_acme-challenge.example.com."},
		{"*.example.com", "_acme-challenge.example.com."},
		{"xn--bcher-kva.example", "_acme-challenge.xn--bcher-kva.example."},
		{strings.Repeat("a.", 118) + "a", "_acme-challenge." + strings.Repeat("a.", 119)},
		{strings.Repeat("a.", 119) + "a", ""},
		{"a..example.com", ""},
		{"a/b.example.com", ""},
		{`a";$INCLUDE.example.com`, ""},
		{"a\nb.example.com", ""},
		{"", ""},
	} {
		record, err := dns01.Record(attempt(tt.name))
		if record.Name != tt.want || errors.Is(err, dnstxt.ErrInvalidName) != (tt.want == "") {
			t.Errorf("%q: %q, %v", tt.name, record.Name, err)
		}
		if tt.want != "" && record.Value != "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8" { // of testdata/vectors/keyauthorizations.json
			t.Errorf("%q: value %q", tt.name, record.Value)
		}
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	var solver dns01.Solver
	address := acme.Identifier{Type: acme.TypeIP, Value: "192.0.2.1"}
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt("example.com"), true},
		{attempt("*.example.com"), true},
		{challengetest.NewAttempt(acme.DNSAccount01, acme.DNS("example.com")[0], "a"), false},
		{challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "a"), false},
		{challengetest.NewAttempt(acme.DNS01, address, "a"), false}, // RFC 8738 §7
		{&acme.Attempt{Identifier: address}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
}

// A hundred names, of which half are wildcards, are one call to add, one wait, and
// one call to remove.
func TestCalls(t *testing.T) {
	t.Parallel()
	provider := new(memory)
	var waits []int
	solver := dns01.Solver{Provider: provider, Ready: func(_ context.Context, recs []dnstxt.Record) error {
		waits = append(waits, len(recs))
		return nil
	}}
	var batch []*acme.Attempt
	for i := range 50 {
		for _, format := range []string{"n%d.example.com", "*.n%d.example.com"} {
			batch = append(batch, challengetest.NewAttempt(acme.DNS01, acme.DNS(fmt.Sprintf(format, i))[0], "token"+fmt.Sprint(len(batch))))
		}
	}
	cleanup, err := solver.Present(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(provider.calls, []string{"append 100", "remove 100"}) || !slices.Equal(waits, []int{100}) {
		t.Errorf("calls %q, waits for %v", provider.calls, waits)
	}
}

// The records go where the aliases lead, and are looked for where they come from.
func TestAlias(t *testing.T) {
	t.Parallel()
	provider := new(memory)
	var looked []dnstxt.Record
	solver := dns01.Solver{
		Provider: provider,
		TTL:      60,
		Alias:    dnstxt.Aliases(map[string]string{"_acme-challenge.example.com": "com.acme.example.net"}),
		Ready: func(_ context.Context, recs []dnstxt.Record) error {
			looked = recs
			return nil
		},
	}
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("*.example.com"), attempt("www.example.com")})
	if err != nil {
		t.Fatal(err)
	}
	if got := provider.names(); got != "_acme-challenge.www.example.com. com.acme.example.net." {
		t.Errorf("written: %s", got)
	}
	if len(looked) != 2 || looked[0].Name != "_acme-challenge.example.com." || looked[1].Name != "_acme-challenge.www.example.com." {
		t.Errorf("looked for: %v", looked)
	}
	for r := range provider.records {
		if r.TTL != 60 {
			t.Errorf("TTL %v", r.TTL)
		}
	}
	if err := cleanup(t.Context()); err != nil || provider.names() != "" {
		t.Errorf("%v, left: %s", err, provider.names())
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	tokenless := attempt("example.com")
	tokenless.KeyAuthorization = ""
	for _, tt := range []struct {
		name   string
		solver *dns01.Solver
		last   *acme.Attempt
		want   error
		says   string
	}{
		{"no provider", &dns01.Solver{}, attempt("a.example"), nil, "dns01: no Provider is set"},
		{"no token", &dns01.Solver{Provider: new(memory)}, tokenless, nil, "dns01: dns-01 for example.com: there is no key authorization"},
		{"a name that is none", &dns01.Solver{Provider: new(memory)}, attempt("a b.example"), dnstxt.ErrInvalidName, "dns01: dns-01 for "},
		{"an alias that cannot be found", &dns01.Solver{Provider: new(memory), Alias: func(context.Context, string) (string, error) { return "", broken }}, attempt("a.example"), broken, "dns01: broken"},
		{"an alias that is no name", &dns01.Solver{Provider: new(memory), Alias: func(context.Context, string) (string, error) { return "*.example.", nil }}, attempt("a.example"), dnstxt.ErrInvalidName, "*.example."},
	} {
		cleanup, err := tt.solver.Present(t.Context(), []*acme.Attempt{attempt("first.example.com"), tt.last})
		if err == nil || cleanup != nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: cleanup %t, error %v", tt.name, cleanup != nil, err)
		}
		if m, ok := tt.solver.Provider.(*memory); ok && len(m.calls) > 0 {
			t.Errorf("%s: calls %q", tt.name, m.calls)
		}
	}
}

// What Ready is not content with is not told to the server, and is removed.
func TestNotReady(t *testing.T) {
	t.Parallel()
	provider := new(memory)
	broken := errors.New("broken")
	solver := dns01.Solver{Provider: provider, Ready: func(context.Context, []dnstxt.Record) error { return broken }}
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("example.com")})
	if !errors.Is(err, broken) || !errors.Is(err, acme.ErrCheckFailed) || cleanup == nil || provider.names() == "" {
		t.Fatalf("cleanup %t, error %v", cleanup != nil, err)
	}
	if err := cleanup(t.Context()); err != nil || provider.names() != "" {
		t.Errorf("%v, left: %s", err, provider.names())
	}
	ctx, cancel := context.WithCancel(t.Context())
	solver.Ready = func(context.Context, []dnstxt.Record) error { cancel(); return ctx.Err() }
	if _, err := solver.Present(ctx, []*acme.Attempt{attempt("example.com")}); !errors.Is(err, context.Canceled) || errors.Is(err, acme.ErrCheckFailed) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	if err := dns01.Check(t.Context(), attempt("a b.example")); !errors.Is(err, dnstxt.ErrInvalidName) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dns01.Check(ctx, attempt("a.example")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
