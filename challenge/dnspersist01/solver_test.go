package dnspersist01_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dnspersist01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

// A zone is a provider that keeps records in memory, and refuses one that is there.
type zone struct {
	mu      sync.Mutex
	records []dnstxt.Record
	appends int
	lookups int
	broken  bool
}

func (z *zone) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.appends++
	for _, r := range recs {
		if ctx.Err() != nil {
			return z.Remove, ctx.Err()
		}
		if slices.Contains(z.records, r) {
			return z.Remove, fmt.Errorf("%s exists", r.Name)
		}
		z.records = append(z.records, r)
	}
	return z.Remove, nil
}

func (z *zone) Remove(_ context.Context, recs []dnstxt.Record) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = slices.DeleteFunc(z.records, func(r dnstxt.Record) bool { return slices.Contains(recs, r) })
	return nil
}

var errBroken = &net.DNSError{Err: "SERVFAIL"}

func (z *zone) lookup(ctx context.Context, name string) ([]string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.lookups++; z.broken {
		return nil, errBroken
	}
	return z.values(name), ctx.Err()
}

// values returns those at a name. The caller holds the lock.
func (z *zone) values(name string) (values []string) {
	for _, r := range z.records {
		if r.Name == name {
			values = append(values, r.Value)
		}
	}
	return values
}

// find looks as acmetest does, by names without the final dot.
func (z *zone) find(name string) []string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.values(name + ".")
}

// solver makes one that adds records to the zone.
func (z *zone) solver() *dnspersist01.Solver {
	return &dnspersist01.Solver{Issuer: "ca.example", Provider: z, Ready: dnstxt.NoWait, Lookup: z.lookup}
}

// attempt is one with the members of a challenge.
func attempt(name, members string) *acme.Attempt {
	a := challengetest.NewAttempt(acme.DNSPersist01, acme.DNS(name)[0], "")
	if members != "" {
		a.Challenge.Raw = json.RawMessage("{" + members + "}")
	}
	return a
}

const accountURL = "https://ca.example/account/1" // of all attempts of challengetest

func TestSolver(t *testing.T) {
	t.Parallel()
	var z *zone // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			z = new(zone)
			return z.solver()
		},
		func(_ context.Context, a *acme.Attempt) error {
			_, err := dnspersist01.Find(z.find("_validation-persist."+a.Identifier.Value),
				dnspersist01.Record{Issuer: "ca.example", AccountURI: a.AccountURL, Wildcard: a.Wildcard}, time.Now())
			return err
		})
}

func TestSupports(t *testing.T) {
	t.Parallel()
	var solver dnspersist01.Solver
	address := acme.Identifier{Type: acme.TypeIP, Value: "192.0.2.1"}
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt("example.com", ""), true},
		{attempt("*.example.com", ""), true},
		{challengetest.NewAttempt(acme.DNS01, acme.DNS("example.com")[0], "a"), false},
		{challengetest.NewAttempt(acme.DNSPersist01, address, ""), false},
		{&acme.Attempt{Identifier: acme.DNS("example.com")[0]}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
}

// A name and its wildcard share a record, and what is there is not made again.
func TestRecordsAreMadeOnce(t *testing.T) {
	conformance.Claim(t, "persist-4.1-03", "persist-4.3-01")
	t.Parallel()
	var z zone
	foreign := dnstxt.Record{Name: "_validation-persist.example.com.", Value: "other.example; accounturi=x:1"}
	z.records = append(z.records, foreign)
	solver := z.solver()
	batch := []*acme.Attempt{attempt("example.com", ""), attempt("*.example.com", ""), attempt("www.example.com", "")}
	for range 3 {
		cleanup, err := solver.Present(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if cleanup != nil {
			if err := cleanup(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	slices.SortFunc(z.records, func(a, b dnstxt.Record) int { return strings.Compare(a.Name+a.Value, b.Name+b.Value) })
	want := []dnstxt.Record{
		{Name: "_validation-persist.example.com.", Value: "ca.example; accounturi=" + accountURL + "; policy=wildcard"},
		foreign,
		{Name: "_validation-persist.www.example.com.", Value: "ca.example; accounturi=" + accountURL},
	}
	if !slices.Equal(z.records, want) || z.appends != 1 {
		t.Errorf("%d calls: %q", z.appends, z.records)
	}
	solver.Wildcard = true // for all names below
	if _, err := solver.Present(t.Context(), batch[2:]); err != nil || z.records[3].Value != want[2].Value+"; policy=wildcard" {
		t.Errorf("%q, %v", z.records, err)
	}
}

// Orders at the same time make one record, too, and one that was removed by hand
// is made again.
func TestConcurrentOrders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var z zone
		solver := z.solver()
		solver.Ready = dnstxt.Delay(time.Minute)
		var wg sync.WaitGroup
		present := func() {
			cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("example.com", "")})
			if err == nil && cleanup != nil {
				err = cleanup(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		}
		for range 10 {
			wg.Go(present)
		}
		wg.Wait()
		if len(z.records) != 1 || z.appends != 1 {
			t.Errorf("%d calls: %q", z.appends, z.records)
		}
		z.records = nil
		if present(); len(z.records) != 1 || z.appends != 2 {
			t.Errorf("%d calls: %q", z.appends, z.records)
		}
	})
}

// Records that end soon are made anew.
func TestLifetime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var z zone
		solver := z.solver()
		solver.Lifetime = 24 * time.Hour
		for range 49 {
			if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt("example.com", "")}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
		}
		if len(z.records) != 3 {
			t.Errorf("%d records", len(z.records))
		}
		if r, err := dnspersist01.Parse(z.records[0].Value); err != nil || time.Until(r.PersistUntil) != -25*time.Hour {
			t.Errorf("%+v, %v", r, err)
		}
		solver.Lifetime = time.Hour
		if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt("www.example.com", "")}); err == nil || !strings.Contains(err.Error(), "Lifetime") {
			t.Error(err)
		}
	})
}

// Without a provider, the error says what is there, and what should be.
func TestOnlyChecking(t *testing.T) {
	t.Parallel()
	var z zone
	solver := &dnspersist01.Solver{Issuer: "ca.example", Lookup: z.lookup}
	batch := []*acme.Attempt{attempt("*.example.com", ""), attempt("www.example.com", "")}
	z.records = []dnstxt.Record{{Name: "_validation-persist.example.com.", Value: "ca.example; accounturi=" + accountURL}}
	cleanup, err := solver.Present(t.Context(), batch)
	for _, want := range []string{
		`found "ca.example; accounturi=` + accountURL + `" is not for wildcards; it should be: _validation-persist.example.com. IN TXT "ca.example; accounturi=` + accountURL + `; policy=wildcard"`,
		`found no record; it should be: _validation-persist.www.example.com. IN TXT "ca.example; accounturi=` + accountURL + `"`,
	} {
		if !errors.Is(err, acme.ErrCheckFailed) || cleanup != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	z.records = append(z.records, dnstxt.Record{Name: "_validation-persist.example.com.", Value: "ca.example; accounturi=" + accountURL + "; policy=wildcard"},
		dnstxt.Record{Name: "_validation-persist.www.example.com.", Value: "ca.example; accounturi=" + accountURL})
	if cleanup, err := solver.Present(t.Context(), batch); err != nil || cleanup != nil {
		t.Error(err)
	}
	z.broken = true
	if _, err := solver.Present(t.Context(), batch[1:]); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "_validation-persist.www.example.com.") {
		t.Error(err)
	}
	if err := solver.Check(t.Context(), batch[1]); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// What a provider says, and what waits for it, comes through.
func TestFailures(t *testing.T) {
	t.Parallel()
	errNo := errors.New("no")
	var z zone
	solver := z.solver()
	solver.Ready = func(context.Context, []dnstxt.Record) error { return errNo }
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("example.com", "")})
	if !errors.Is(err, errNo) || !errors.Is(err, acme.ErrCheckFailed) || cleanup == nil || len(z.records) != 1 {
		t.Errorf("%v, %q", err, z.records)
	} else if err := cleanup(t.Context()); err != nil || len(z.records) != 1 {
		t.Errorf("%v, %q", err, z.records)
	}
	// The record is written where the name leads to.
	solver = z.solver()
	solver.Alias = dnstxt.Aliases(map[string]string{"_validation-persist.alias.example": "alias.validation.example"})
	if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt("alias.example", "")}); err != nil || z.records[1].Name != "alias.validation.example." {
		t.Errorf("%q, %v", z.records, err)
	}
	for _, name := range []string{"a b.example", `a".example`, strings.Repeat("a.", 120) + "aa", ""} {
		if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt("example.com", ""), attempt(name, "")}); err == nil || !strings.HasPrefix(err.Error(), "dnspersist01: ") || z.appends != 2 {
			t.Errorf("%q: %v, %d calls", name, err, z.appends)
		}
	}
}
