package dnstxt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A memory is a provider that keeps records in memory. Like most it refuses a
// record that is there already.
type memory struct {
	mu       sync.Mutex
	records  []dnstxt.Record
	appends  int
	removals int
	fail     error // of Append, after half of the records
	gate     chan struct{}
}

func (m *memory) Append(ctx context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.appends++
	for i, r := range recs {
		if m.fail != nil && i >= len(recs)/2 {
			return m.remove, m.fail
		}
		if slices.Contains(m.records, r) {
			return m.remove, fmt.Errorf("%s exists", r.Name)
		}
		m.records = append(m.records, r)
	}
	return m.remove, nil
}

func (m *memory) remove(_ context.Context, recs []dnstxt.Record) error {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removals++
	m.records = slices.DeleteFunc(m.records, func(r dnstxt.Record) bool { return slices.Contains(recs, r) })
	return nil
}

// String lists the values of the records.
func (m *memory) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var values []string
	for _, r := range m.records {
		values = append(values, r.Value)
	}
	slices.Sort(values)
	return strings.Join(values, " ")
}

const name = "_acme-challenge.example.com."

func records(values ...string) []dnstxt.Record {
	var recs []dnstxt.Record
	for _, v := range values {
		recs = append(recs, dnstxt.Record{Name: name, Value: v})
	}
	return recs
}

func TestSet(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	p := &memory{records: records("foreign")}
	var set dnstxt.Set
	want := func(values string) {
		t.Helper()
		if p.String() != values {
			t.Fatalf("there is %q, want %q", p, values)
		}
	}
	add := func(values ...string) acme.Cleanup {
		t.Helper()
		cleanup, err := set.Append(ctx, p, records(values...))
		if err != nil {
			t.Fatal(err)
		}
		return cleanup
	}
	first := add("a", "b", "a")
	want("a b foreign")
	second := add("b", "c")
	want("a b c foreign")
	third, err := set.Append(ctx, p, []dnstxt.Record{{Name: strings.ToUpper(name[:len(name)-1]), Value: "b", TTL: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if p.appends != 2 {
		t.Errorf("%d calls to add, want 2: all that the third wants is there", p.appends)
	}
	for range 2 { // the second time must not count
		if err := first(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want("b c foreign")
	if err := second(ctx); err != nil {
		t.Fatal(err)
	}
	want("b foreign")
	if err := third(ctx); err != nil {
		t.Fatal(err)
	}
	want("foreign")
	if p.removals != 3 {
		t.Errorf("%d calls to remove, want 3", p.removals)
	}
	fourth := add("b")
	want("b foreign")
	_ = fourth(ctx)
	want("foreign")
}

// An order that wants what another one fails to add waits until that one has
// cleaned up, and adds it itself.
func TestSetFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		p := &memory{fail: broken}
		var set dnstxt.Set
		first, err := set.Append(t.Context(), p, records("a", "b"))
		if !errors.Is(err, broken) || first == nil || p.String() != "a" {
			t.Fatalf("cleanup %t, error %v, records %q", first != nil, err, p)
		}
		p.fail = nil
		var second acme.Cleanup
		go func() { second, err = set.Append(t.Context(), p, records("b", "a")) }()
		synctest.Wait()
		if p.appends != 1 {
			t.Fatal("the second did not wait")
		}
		impatient, cancel := context.WithCancelCause(t.Context())
		cancel(broken)
		if cleanup, err := set.Append(impatient, p, records("a")); !errors.Is(err, broken) || cleanup != nil {
			t.Errorf("with a context that has ended: cleanup %t, error %v", cleanup != nil, err)
		}
		if err := first(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err != nil || p.String() != "a b" {
			t.Fatalf("error %v, records %q", err, p)
		}
		if err := second(t.Context()); err != nil || p.String() != "" {
			t.Errorf("error %v, records %q", err, p)
		}
	})
}

// Nobody gets a record that is just being added or removed.
func TestSetBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &memory{gate: make(chan struct{})}
		var set dnstxt.Set
		var first, second acme.Cleanup
		go func() { first, _ = set.Append(t.Context(), p, records("a")) }()
		synctest.Wait()
		go func() { second, _ = set.Append(t.Context(), p, records("a")) }()
		synctest.Wait()
		if second != nil {
			t.Fatal("the second has what is not there yet")
		}
		p.gate <- struct{}{}
		synctest.Wait()
		if first == nil || second == nil || p.appends != 1 {
			t.Fatalf("first %t, second %t, %d calls to add", first != nil, second != nil, p.appends)
		}
		_ = first(t.Context())
		go func() { _ = second(t.Context()) }()
		synctest.Wait()
		var third acme.Cleanup
		go func() { third, _ = set.Append(t.Context(), p, records("a")) }()
		synctest.Wait()
		p.gate <- struct{}{}
		synctest.Wait()
		if third != nil || p.String() != "" {
			t.Fatalf("third %t, records %q: the third must wait for the removal", third != nil, p)
		}
		p.gate <- struct{}{}
		synctest.Wait()
		if third == nil || p.String() != "a" {
			t.Errorf("third %t, records %q", third != nil, p)
		}
	})
}

func TestSetInvalidName(t *testing.T) {
	t.Parallel()
	p := new(memory)
	var set dnstxt.Set
	cleanup, err := set.Append(t.Context(), p, []dnstxt.Record{{Name: name}, {Name: "a b."}})
	if !errors.Is(err, dnstxt.ErrInvalidName) || cleanup != nil || p.appends != 0 {
		t.Errorf("cleanup %t, error %v, %d calls", cleanup != nil, err, p.appends)
	}
}
