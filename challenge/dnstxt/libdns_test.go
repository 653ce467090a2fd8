package dnstxt_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// An rr is a record of libdns.
type rr struct {
	name, text string
	ttl        time.Duration
	id         int
}

// A service is a provider for libdns. What it does wrong, as real ones do, is in
// the functions.
type service struct {
	mu      sync.Mutex
	zones   map[string][]rr
	ids     int
	calls   []string
	delay   time.Duration
	refuse  string                            // an append fails at this text
	returns func(zone string, made []rr) []rr // what is returned instead of what was made
	replace bool                              // AppendRecords is SetRecords
	missing error                             // of deleting what is not there: nothing is deleted then
	byID    bool                              // deletes by id only
	busy    map[string]bool
}

func newService(zones ...string) *service {
	s := &service{zones: map[string][]rr{}, busy: map[string]bool{}}
	for _, z := range zones {
		s.zones[z] = nil
	}
	return s
}

// enter records the call, and panics if there is another one for the zone.
func (s *service) enter(ctx context.Context, call, zone string, n int) func() {
	s.mu.Lock()
	s.calls = append(s.calls, fmt.Sprintf("%s %d %s", call, n, zone))
	if s.busy[zone] {
		panic("two calls at once for " + zone)
	}
	s.busy[zone] = true
	s.mu.Unlock()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	return func() {
		s.busy[zone] = false
		s.mu.Unlock()
	}
}

func (s *service) AppendRecords(ctx context.Context, zone string, recs []rr) ([]rr, error) {
	defer s.enter(ctx, "append", zone, len(recs))()
	if _, ok := s.zones[zone]; !ok {
		return nil, errors.New("no such zone: " + zone)
	}
	if s.replace {
		s.zones[zone] = slices.DeleteFunc(s.zones[zone], func(r rr) bool { return r.name == recs[0].name })
	}
	var made []rr
	for _, r := range recs {
		if s.refuse != "" && r.text == s.refuse {
			return s.returned(zone, made), errors.New("refused " + r.text)
		}
		s.ids++
		r.id, r.ttl = s.ids, max(r.ttl, time.Minute)
		s.zones[zone], made = append(s.zones[zone], r), append(made, r)
	}
	return s.returned(zone, made), nil
}

func (s *service) returned(zone string, made []rr) []rr {
	if s.returns != nil {
		return s.returns(zone, made)
	}
	return made
}

// DeleteRecords deletes by id, or what matches exactly, as libdns asks for.
func (s *service) DeleteRecords(ctx context.Context, zone string, recs []rr) ([]rr, error) {
	defer s.enter(ctx, "delete", zone, len(recs))()
	matches := func(r, have rr) bool {
		if r.id != 0 || s.byID {
			return have.id == r.id
		}
		return have.name == r.name && have.text == r.text && (r.ttl == 0 || have.ttl == r.ttl)
	}
	for _, r := range recs {
		if s.missing != nil && !slices.ContainsFunc(s.zones[zone], func(have rr) bool { return matches(r, have) }) {
			return nil, s.missing
		}
	}
	for _, r := range recs {
		s.zones[zone] = slices.DeleteFunc(s.zones[zone], func(have rr) bool { return matches(r, have) })
	}
	return recs, nil
}

// String lists the records.
func (s *service) String() string {
	var all []string
	for _, zone := range slices.Sorted(maps.Keys(s.zones)) {
		for _, r := range s.zones[zone] {
			all = append(all, r.name+"/"+zone+"="+r.text)
		}
	}
	return strings.Join(all, " ")
}

func (s *service) provider(zone func(context.Context, string) (string, error)) dnstxt.Provider {
	return dnstxt.FromLibDNS(s,
		func(name, text string, ttl time.Duration) rr { return rr{name: name, text: text, ttl: ttl} },
		func(r rr) (name, text string) { return r.name, r.text }, zone)
}

// lastTwo is a rule for zones that needs no DNS.
func lastTwo(_ context.Context, name string) (string, error) {
	labels := strings.Split(name, ".")
	return strings.Join(labels[max(0, len(labels)-3):], "."), nil
}

func TestFromLibDNS(t *testing.T) {
	t.Parallel()
	s := newService("example.com.", "example.net.")
	s.zones["example.com."] = []rr{{name: "_acme-challenge", text: "foreign", id: 100}}
	recs := []dnstxt.Record{
		{Name: "_acme-challenge.example.com.", Value: "a", TTL: time.Second},
		{Name: "_acme-challenge.example.com.", Value: "b"},
		{Name: "_acme-challenge.www.Example.net.", Value: "c"},
		{Name: "example.com.", Value: "apex"},
		{Name: "_acme-challenge.x.example.com.", Value: "a"},
	}
	remove, err := s.provider(lastTwo).Append(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	const all = "_acme-challenge/example.com.=foreign _acme-challenge/example.com.=a _acme-challenge/example.com.=b @/example.com.=apex " +
		"_acme-challenge.x/example.com.=a _acme-challenge.www/example.net.=c"
	if s.String() != all {
		t.Errorf("there is %s\nwant     %s", s, all)
	}
	slices.Sort(s.calls)
	if want := []string{"append 1 example.net.", "append 4 example.com."}; !slices.Equal(s.calls, want) {
		t.Errorf("calls %q", s.calls)
	}
	s.calls = nil
	if err := remove(t.Context(), recs[4:]); err != nil || strings.Contains(s.String(), "challenge.x") || !strings.Contains(s.String(), "_acme-challenge/example.com.=a") {
		t.Errorf("%v: %s", err, s)
	}
	if err := remove(t.Context(), recs[:4]); err != nil || s.String() != "_acme-challenge/example.com.=foreign" {
		t.Errorf("%v: %s", err, s)
	}
	slices.Sort(s.calls)
	if want := []string{"delete 1 example.com.", "delete 1 example.net.", "delete 3 example.com."}; !slices.Equal(s.calls, want) {
		t.Errorf("calls %q", s.calls)
	}
}

// Providers that do not do as they are asked: what was made is removed, and
// nothing else.
func TestFromLibDNSOddProviders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		setUp func(*service)
		fails bool
		keeps string // beside "foreign"
	}{
		{name: "as asked", setUp: func(*service) {}},
		{name: "returns nothing", setUp: func(s *service) { s.returns = func(string, []rr) []rr { return nil } }},
		{name: "returns the other way round", setUp: func(s *service) {
			s.returns = func(_ string, made []rr) []rr { slices.Reverse(made); return made }
		}},
		{name: "returns all of the zone", setUp: func(s *service) { s.returns = func(zone string, _ []rr) []rr { return slices.Clone(s.zones[zone]) } }},
		{name: "returns full names and quoted text", setUp: func(s *service) {
			s.byID = true
			s.returns = func(zone string, made []rr) (out []rr) {
				for _, r := range made {
					out = append(out, rr{name: strings.ToUpper(r.name) + "." + zone, text: `"` + r.text + `"`, id: r.id})
				}
				return out
			}
		}},
		{name: "returns text that is not ours", setUp: func(s *service) {
			s.returns = func(_ string, made []rr) (out []rr) {
				for _, r := range made {
					out = append(out, rr{name: r.name, text: "x" + r.text, id: 100})
				}
				return out
			}
		}},
		{name: "fails half way", fails: true, setUp: func(s *service) { s.refuse, s.missing = "b", errors.New("not found") }},
		{name: "fails half way, and returns nothing", fails: true, setUp: func(s *service) {
			s.refuse = "b"
			s.returns = func(string, []rr) []rr { return nil }
		}},
		{name: "replaces", setUp: func(s *service) { s.replace = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newService("example.com.")
			s.zones["example.com."] = []rr{{name: "other", text: "foreign", id: 100}}
			tt.setUp(s)
			recs := records("a", "b", "c")
			for i := range recs {
				recs[i].TTL = time.Second // which the service does not keep
			}
			remove, err := s.provider(lastTwo).Append(t.Context(), recs)
			if (err != nil) != tt.fails || remove == nil {
				t.Fatalf("remove %t, error %v", remove != nil, err)
			}
			if !strings.Contains(s.String(), "=a") {
				t.Fatalf("nothing was made: %s", s)
			}
			err = remove(t.Context(), recs)
			if s.missing == nil && err != nil || s.String() != "other/example.com.=foreign" {
				t.Errorf("%v: %s", err, s)
			}
		})
	}
}

// A service that minds what is there already, and tells what that is.
type strictService struct {
	*service
	get error
}

func (s strictService) AppendRecords(ctx context.Context, zone string, recs []rr) ([]rr, error) {
	for _, r := range recs {
		if slices.ContainsFunc(s.zones[zone], func(have rr) bool { return have.name == r.name && have.text == r.text }) {
			s.calls = append(s.calls, "refused")
			return nil, errors.New("it exists")
		}
	}
	return s.service.AppendRecords(ctx, zone, recs)
}

func (s strictService) GetRecords(context.Context, string) ([]rr, error) {
	return slices.Clone(s.zones["example.com."]), s.get
}

// Records that a process has left when it died are taken over, and removed.
func TestFromLibDNSAfterACrash(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		left  []string
		get   error
		fails bool
	}{
		{left: []string{"a"}},
		{left: []string{"a", "b", "c"}},
		{left: []string{"a"}, get: errors.New("broken"), fails: true},
	} {
		s := strictService{newService("example.com."), tt.get}
		s.zones["example.com."] = []rr{{name: "_acme-challenge", text: "foreign", id: 100}}
		for i, text := range tt.left {
			s.zones["example.com."] = append(s.zones["example.com."], rr{name: "_acme-challenge", text: text, id: 200 + i})
		}
		p := dnstxt.FromLibDNS(s,
			func(name, text string, ttl time.Duration) rr { return rr{name: name, text: text, ttl: ttl} },
			func(r rr) (name, text string) { return r.name, r.text }, lastTwo)
		recs := records("a", "b", "c")
		remove, err := p.Append(t.Context(), recs)
		if (err != nil) != tt.fails {
			t.Fatalf("%q left: %v", tt.left, err)
		}
		if tt.fails {
			contains(t, err, "it exists")
			continue
		}
		if got := s.String(); strings.Count(got, "_acme-challenge/") != 4 {
			t.Errorf("%q left: there is %s", tt.left, got)
		}
		if err := remove(t.Context(), recs); err != nil || s.String() != "_acme-challenge/example.com.=foreign" {
			t.Errorf("%q left: %v, %s", tt.left, err, s)
		}
	}
}

func TestFromLibDNSErrors(t *testing.T) {
	t.Parallel()
	s := newService("example.com.")
	broken := errors.New("broken")
	fixed := func(zone string, err error) func(context.Context, string) (string, error) {
		return func(context.Context, string) (string, error) { return zone, err }
	}
	for _, tt := range []struct {
		zone func(context.Context, string) (string, error)
		name string
		want error
		says string
	}{
		{lastTwo, "a b", dnstxt.ErrInvalidName, `"a b"`},
		{fixed("", broken), name, broken, "broken"},
		{fixed("example.net.", nil), name, dnstxt.ErrNoZone, name + ` is not in "example.net."`},
		{fixed("a b", nil), name, dnstxt.ErrInvalidName, `"a b"`},
		{fixed("", nil), name, dnstxt.ErrInvalidName, name},
	} {
		remove, err := s.provider(tt.zone).Append(t.Context(), []dnstxt.Record{{Name: tt.name}})
		if !errors.Is(err, tt.want) || remove != nil || len(s.calls) != 0 {
			t.Errorf("remove %t, error %v, calls %q", remove != nil, err, s.calls)
		}
		contains(t, err, tt.says)
	}
	// One zone fails, the other is undone.
	recs := []dnstxt.Record{{Name: "a.example.org.", Value: "a"}, {Name: "a.example.com.", Value: "a"}}
	remove, err := s.provider(lastTwo).Append(t.Context(), recs)
	contains(t, err, "adding 1 TXT records to zone example.org.", "no such zone")
	if err := remove(t.Context(), recs); err != nil || s.String() != "" {
		t.Errorf("%v: %s", err, s)
	}
}

// While a zone is being changed, other changes of it wait, and those of other
// zones do not.
func TestFromLibDNSOneCallPerZone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newService("example.com.", "example.net.")
		s.delay = time.Second
		p := s.provider(lastTwo)
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				recs := []dnstxt.Record{{Name: []string{"a.example.com.", "a.example.net."}[i%2], Value: fmt.Sprint(i)}}
				remove, err := p.Append(t.Context(), recs) // panics if there are two
				if err == nil {
					err = remove(t.Context(), recs)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != 10*time.Second || s.String() != "" {
			t.Errorf("%v: %s", took, s)
		}
		go p.Append(t.Context(), []dnstxt.Record{{Name: "a.example.com."}}) //nolint:errcheck // in the way
		synctest.Wait()
		if _, err := p.Append(ended(t), []dnstxt.Record{{Name: "b.example.com."}}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// What another process has added is removed by value.
func TestFromLibDNSRemove(t *testing.T) {
	t.Parallel()
	s := newService("example.com.", "example.net.")
	s.zones["example.com."] = []rr{{name: "_validation-persist", text: "foreign", id: 100}, {name: "_validation-persist", text: "own", ttl: time.Hour, id: 101}}
	s.zones["example.net."] = []rr{{name: "@", text: "own", id: 102}}
	remover, ok := s.provider(lastTwo).(dnstxt.Remover)
	if !ok {
		t.Fatal("it is no Remover")
	}
	recs := []dnstxt.Record{{Name: "_validation-persist.Example.com", Value: "own"}, {Name: "example.net.", Value: "own"}, {Name: "example.net.", Value: "gone already"}}
	if err := remover.Remove(t.Context(), recs); err != nil || s.String() != "_validation-persist/example.com.=foreign" {
		t.Errorf("%v: %s", err, s)
	}
	if err := remover.Remove(t.Context(), []dnstxt.Record{{Name: "a b", Value: "own"}}); !errors.Is(err, dnstxt.ErrInvalidName) {
		t.Error(err)
	}
}
