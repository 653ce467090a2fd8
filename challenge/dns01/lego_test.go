package dns01_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/dns01"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A legoProvider is a provider of lego v5, which must not be called twice at once
// and minds what it has already, as some do.
type legoProvider struct {
	present  sync.Map
	calls    []string
	active   bool
	fail     string // a domain
	duration time.Duration
}

func (l *legoProvider) enter(call, domain string) func() {
	if l.active {
		panic("two calls at once")
	}
	l.active = true
	l.calls = append(l.calls, call+" "+domain)
	<-time.After(l.duration)
	return func() { l.active = false }
}

func (l *legoProvider) Present(_ context.Context, domain, token, keyAuth string) error {
	defer l.enter("present", domain)()
	if _, there := l.present.LoadOrStore(domain+" "+token+" "+keyAuth, true); there { // also when it fails after that
		return errors.New("it is there already")
	}
	if domain == l.fail {
		return errors.New("broken")
	}
	return nil
}

func (l *legoProvider) CleanUp(_ context.Context, domain, token, keyAuth string) error {
	defer l.enter("clean up", domain)()
	if domain == l.fail {
		return errors.New("broken, too")
	}
	l.present.Delete(domain + " " + token + " " + keyAuth)
	return nil
}

func (l *legoProvider) len() (n int) {
	l.present.Range(func(_, _ any) bool { n++; return true })
	return n
}

// A slowProvider is one of v4 that has what lego asks for besides.
type slowProvider struct{ legoProvider }

func (s *slowProvider) Present(domain, token, keyAuth string) error {
	return s.legoProvider.Present(context.Background(), domain, token, keyAuth)
}

func (s *slowProvider) CleanUp(domain, token, keyAuth string) error {
	return s.legoProvider.CleanUp(context.Background(), domain, token, keyAuth)
}
func (s *slowProvider) Timeout() (timeout, interval time.Duration) { return time.Second, time.Second }
func (s *slowProvider) Sequential() time.Duration                  { return time.Minute }

func TestFromLego(t *testing.T) {
	var provider *legoProvider
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			provider = new(legoProvider)
			solver := dns01.FromLego(provider)
			solver.Ready = dnstxt.NoWait
			return solver
		},
		func(_ context.Context, a *acme.Attempt) error {
			if _, ok := provider.present.Load(a.Identifier.Value + " " + a.Challenge.Token + " " + string(a.KeyAuthorization)); !ok {
				return errors.New("not presented")
			}
			return nil
		})
}

// Of v4, with an interval between the calls and a budget for the wait, which here
// asks for the system's resolvers and finds them in no DNS.
func TestFromLegoV4(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(slowProvider)
		solver := dns01.FromLegoV4(p)
		solver.Ready = dnstxt.NoWait
		batch := []*acme.Attempt{attempt("a.example"), attempt("b.example"), attempt("c.example")}
		began := time.Now()
		cleanup, err := solver.Present(t.Context(), batch)
		if took := time.Since(began); err != nil || took != 2*time.Minute || p.len() != 3 {
			t.Fatalf("%v after %v, %d present", err, took, p.len())
		}
		if err := cleanup(t.Context()); err != nil || p.len() != 0 {
			t.Errorf("%v, %d present", err, p.len())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		cleanup, err = solver.Present(ctx, batch)
		if !errors.Is(err, context.DeadlineExceeded) || p.len() != 2 {
			t.Fatalf("%v, %d present", err, p.len())
		}
		if err := cleanup(t.Context()); err != nil || p.len() != 0 {
			t.Errorf("%v, %d present", err, p.len())
		}
	})
}

// The provider's Timeout is the budget of the wait, where no Ready is set.
func TestLegoTimeout(t *testing.T) {
	t.Parallel()
	if dns01.FromLegoV4(new(slowProvider)).Ready == nil {
		t.Error("the provider's Timeout is not asked for")
	}
	if dns01.FromLego(new(legoProvider)).Ready != nil {
		t.Error("a Timeout that the provider does not have")
	}
}

// What fails half way is cleaned up, the half that failed too, and a cleanup that
// fails keeps no other from being done.
func TestLegoFailure(t *testing.T) {
	t.Parallel()
	p := &legoProvider{fail: "b.example"}
	solver := dns01.FromLego(p)
	solver.Ready = dnstxt.NoWait
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("a.example"), attempt("b.example"), attempt("c.example")})
	if err == nil || !strings.Contains(err.Error(), "presenting _acme-challenge.b.example.: broken") {
		t.Errorf("error %v", err)
	}
	err = cleanup(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cleaning up _acme-challenge.b.example.: broken, too") {
		t.Errorf("error %v", err)
	}
	if want := "[present a.example present b.example clean up a.example clean up b.example]"; fmt.Sprint(p.calls) != want || p.len() != 1 {
		t.Errorf("calls %v, want %s", p.calls, want)
	}
}

// One call at a time, also of different orders; who waits heeds the context.
func TestLegoTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &legoProvider{duration: time.Minute}
		solver := dns01.FromLego(p)
		solver.Ready = dnstxt.NoWait
		var inTheWay sync.WaitGroup
		defer inTheWay.Wait()
		inTheWay.Go(func() { _, _ = solver.Present(t.Context(), []*acme.Attempt{attempt("a.example")}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		cleanup, err := solver.Present(ctx, []*acme.Attempt{attempt("b.example")})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if err := cleanup(t.Context()); err != nil || len(p.calls) != 1 {
			t.Errorf("%v, calls %v", err, p.calls)
		}
	})
}

func TestLegoMisuse(t *testing.T) {
	t.Parallel()
	solver := dns01.FromLego(new(legoProvider))
	if _, err := solver.Provider.Append(t.Context(), nil); err == nil {
		t.Error("a lego provider alone adds nothing")
	}
	solver.Alias = dnstxt.Aliases(nil)
	if _, err := solver.Present(t.Context(), []*acme.Attempt{attempt("a.example")}); err == nil || !strings.Contains(err.Error(), "Alias must be nil") {
		t.Errorf("error %v", err)
	}
}
