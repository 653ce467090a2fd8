package challengetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-aa0b9f56/acme"
)

// A broken solver, the check that must find it, and a part of what that must
// say.
type broken struct {
	name  string
	check string
	says  string
	make  func(*memory) acme.Solver
}

// TestBrokenSolvers has the checks find what is wrong with solvers. It runs in
// bubbles, so that nothing takes as long as the suite's patience.
func TestBrokenSolvers(t *testing.T) {
	for _, b := range slices.Concat(brokenSupports(), brokenAnswers(), brokenOrders(), brokenCancels(), brokenElsewhere()) {
		b.test(t, acme.HTTP01)
	}
	for _, b := range brokenByName() {
		b.test(t, acme.TLSALPN01)
	}
}

func (b broken) test(t *testing.T, typ acme.ChallengeType) {
	t.Helper()
	t.Run(b.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(typ)
			defer synctest.Wait()
			defer close(m.release)
			err := runCheck(t, b.check, &subject{solver: b.make(m), probe: m.probe, typ: typ})
			if err == nil {
				t.Fatalf("%s did not find it", b.check)
			}
			if !strings.Contains(err.Error(), b.says) {
				t.Errorf("%s says %q, which is without %q", b.check, err, b.says)
			}
		})
	})
}

// runCheck runs a check as testType does.
func runCheck(t *testing.T, name string, s *subject) error {
	t.Helper()
	s.label = t.Name()
	if name != "Supports" {
		var err error
		if s.kinds, err = s.discover(t.Context()); err != nil || len(s.kinds) == 0 {
			t.Fatalf("kinds %v, error %v", s.kinds, err)
		}
	}
	all := checks()
	return all[slices.IndexFunc(all, func(c check) bool { return c.name == name })].test(t.Context(), s)
}

func brokenSupports() []broken {
	return []broken{
		{"supports nothing", "Supports", "for any identifier", func(m *memory) acme.Solver {
			return m.supporting(func(*acme.Attempt) bool { return false })
		}},
		{"supports no names", "Supports", "true for an IPv4 address", func(m *memory) acme.Solver {
			return m.supporting(func(a *acme.Attempt) bool { return m.Supports(a) && a.Identifier.Type == acme.TypeIP })
		}},
		{"supports everything", "Supports", "unknown-99", func(m *memory) acme.Solver {
			return m.supporting(func(*acme.Attempt) bool { return true })
		}},
		{"compares the beginning of the type", "Supports", "http-01-99", func(m *memory) acme.Solver {
			return m.supporting(func(a *acme.Attempt) bool {
				return strings.HasPrefix(string(a.Challenge.Type), "http-01") && m.supportsIdentifier(a)
			})
		}},
		{"changes the attempt", "Supports", "changed the attempt", func(m *memory) acme.Solver {
			return m.supporting(func(a *acme.Attempt) bool {
				a.Challenge.Status = acme.StatusProcessing
				return m.Supports(a)
			})
		}},
		{"keeps the challenge", "Supports", "still refers", func(m *memory) acme.Solver {
			var kept []*acme.Challenge
			return m.supporting(func(a *acme.Attempt) bool {
				kept = append(kept, a.Challenge)
				return m.Supports(a) && kept != nil
			})
		}},
		{"hangs in Supports", "Supports", "has not returned after 5s", func(m *memory) acme.Solver {
			return m.supporting(func(*acme.Attempt) bool { <-m.release; return false })
		}},
		{"panics in Supports", "Supports", "panicked: assignment to entry in nil map", func(m *memory) acme.Solver {
			var seen map[string]bool
			return m.supporting(func(a *acme.Attempt) bool { seen[a.AccountURL] = true; return m.Supports(a) })
		}},
		{"is busy while something is presented", "Supports", "must not depend", func(m *memory) acme.Solver {
			return m.supporting(func(a *acme.Attempt) bool { return m.Supports(a) && m.len() == 0 })
		}},
	}
}

func brokenAnswers() []broken {
	return []broken{
		{"forgets to clean up", "OneAttempt", "the cleanup was called and returned no error, but http-01 for n", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, _ []*acme.Attempt) error { return nil })
		}},
		{"returns no cleanup", "OneAttempt", "no cleanup, but", func(m *memory) acme.Solver {
			return m.presenting(func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				m.add(batch)
				return nil, nil
			})
		}},
		{"cannot clean up", "OneAttempt", "failed (a grudge), but", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, _ []*acme.Attempt) error { return errors.New("a grudge") })
		}},
		{"fails after it has cleaned up", "OneAttempt", "nothing was in its way: a grudge", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, batch []*acme.Attempt) error {
				m.remove(batch)
				return errors.New("a grudge")
			})
		}},
		{"fails", "OneAttempt", "Present failed, for a batch of 1", func(m *memory) acme.Solver {
			return m.presenting(func(context.Context, []*acme.Attempt) (acme.Cleanup, error) {
				return nil, errors.New(strings.Repeat("x", 1000))
			})
		}},
		{"answers late", "OneAttempt", "is not answered: the probe says: no answer", func(m *memory) acme.Solver {
			return m.presenting(func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				go func() { <-m.release; m.add(batch) }()
				return nil, nil
			})
		}},
		{"changes the key authorization", "OneAttempt", "may set Response, and nothing else", func(m *memory) acme.Solver {
			return m.beforehand(func(_ context.Context, batch []*acme.Attempt) { batch[0].KeyAuthorization += "!" })
		}},
		{"ends its goroutine", "OneAttempt", "ended its goroutine", func(m *memory) acme.Solver {
			return m.beforehand(func(context.Context, []*acme.Attempt) { runtime.Goexit() })
		}},
		{"hangs", "OneAttempt", "Present has not returned after 2m0s", func(m *memory) acme.Solver {
			return m.beforehand(func(context.Context, []*acme.Attempt) { <-m.release })
		}},
		{"answers the first of a batch only", "Batch", "is not answered", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				return m.Present(ctx, batch[:1])
			})
		}},
		{"removes the last of a batch only", "Batch", "is answered, says the probe", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, batch []*acme.Attempt) error {
				m.remove(batch[len(batch)-1:])
				return nil
			})
		}},
	}
}

func brokenOrders() []broken {
	removeAll := func(m *memory) acme.Solver {
		return m.cleaning(func(_, _ context.Context, _ []*acme.Attempt) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			clear(m.answers)
			return nil
		})
	}
	newestOnly := func(m *memory) acme.Solver { m.byName = true; return m }
	uncounted := func(m *memory) acme.Solver {
		return m.cleaning(func(_, _ context.Context, batch []*acme.Attempt) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, a := range batch {
				delete(m.answers, keyOf(a))
			}
			return nil
		})
	}
	return []broken{
		{"has one answer for each name", "SameIdentifier", "another answer for n", newestOnly},
		{"removes all of other orders", "SameIdentifier", "after the cleanup of another order", removeAll},
		{"removes all of orders under way", "ConcurrentOrders", "after the cleanup of other orders", removeAll},
		{"removes all after cancellation", "CancelledBeforePresent", "of another order", removeAll},
		{"removes all after hostile tokens", "HostileTokens", "of another order", removeAll},
		{"does not count", "SharedAuthorization", "one of them has cleaned up", uncounted},
		{"does not count under way", "ConcurrentOrders", "is not answered", uncounted},
		{"counts and never removes", "SharedAuthorization", "both have cleaned up", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, batch []*acme.Attempt) error {
				m.mu.Lock()
				defer m.mu.Unlock()
				for _, a := range batch {
					m.answers[keyOf(a)] = max(1, m.answers[keyOf(a)]-1)
				}
				return nil
			})
		}},
		{"does one order at a time", "ConcurrentOrders", "Present has not returned after 2m0s", oneAtATime},
	}
}

// oneAtATime waits until other orders have cleaned up.
func oneAtATime(m *memory) acme.Solver {
	turn := make(chan struct{}, 1)
	return m.presenting(func(_ context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
		select {
		case turn <- struct{}{}:
		case <-m.release:
		}
		m.add(batch)
		return func(context.Context) error { m.remove(batch); <-turn; return nil }, nil
	})
}

func brokenCancels() []broken {
	hang := func(m *memory) acme.Solver {
		return m.beforehand(func(ctx context.Context, _ []*acme.Attempt) {
			if ctx.Err() != nil {
				<-m.release
			}
		})
	}
	leave := func(m *memory) acme.Solver {
		return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
			m.add(batch)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return func(context.Context) error { m.remove(batch); return nil }, nil
		})
	}
	return []broken{
		{"hangs when cancelled before", "CancelledBeforePresent", "has not returned after 5s, though its context has ended", hang},
		{"hangs when cancelled meanwhile", "CancelledDuringPresent", "has not returned after 5s, though its context has ended", hang},
		{"does not wait for the context", "CancelledDuringPresent", "has not returned after 5s", func(m *memory) acme.Solver {
			return m.beforehand(func(ctx context.Context, batch []*acme.Attempt) {
				if len(batch) == 4 {
					<-m.release
				}
			})
		}},
		{"leaves its answers when cancelled before", "CancelledBeforePresent", "Present failed (context canceled) and no cleanup", leave},
		{"leaves its answers when cancelled meanwhile", "CancelledDuringPresent", "Present failed (context canceled) and no cleanup", leave},
		{"ties its answers to the context of Present", "CleanupAfterCancel", "after the end of the context", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				m.add(batch)
				var once sync.Once
				remove := func() { once.Do(func() { m.remove(batch) }) }
				context.AfterFunc(ctx, remove)
				return func(context.Context) error { remove(); return nil }, nil
			})
		}},
		{"cleans up with the context of Present", "CleanupAfterCancel", "failed (context canceled), but", func(m *memory) acme.Solver {
			return m.cleaning(func(presenting, _ context.Context, batch []*acme.Attempt) error {
				if presenting.Err() == nil {
					m.remove(batch)
				}
				return presenting.Err()
			})
		}},
		{"hangs in the cleanup when its context has ended", "CleanupWithEndedContext", "the cleanup has not returned after 5s, though", func(m *memory) acme.Solver {
			return m.cleaning(func(_, ctx context.Context, _ []*acme.Attempt) error {
				if ctx.Err() != nil {
					<-m.release
				}
				return nil
			})
		}},
		{"panics in the cleanup when its context has ended", "CleanupWithEndedContext", "the cleanup panicked: context canceled", func(m *memory) acme.Solver {
			return m.cleaning(func(_, ctx context.Context, _ []*acme.Attempt) error {
				if ctx.Err() != nil {
					panic(ctx.Err())
				}
				return nil
			})
		}},
	}
}

func brokenElsewhere() []broken {
	return []broken{
		{"panics on a hostile token", "HostileTokens", `with the token "../../challengetest-was-here": Present panicked: a slash`, func(m *memory) acme.Solver {
			return m.beforehand(func(_ context.Context, batch []*acme.Attempt) {
				if isHostile(batch) {
					panic("a slash")
				}
			})
		}},
		{"does half before it refuses", "HostileTokens", "Present failed (a slash) and no cleanup, but", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if isHostile(batch) {
					m.add(batch[:1])
					return nil, errors.New("a slash")
				}
				return m.Present(ctx, batch)
			})
		}},
		{"does nothing instead of refusing", "HostileTokens", "in the same batch", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if isHostile(batch) {
					return nil, nil
				}
				return m.Present(ctx, batch)
			})
		}},
		{"leaves a goroutine", "Goroutines", "broken_test.go", func(m *memory) acme.Solver {
			return m.beforehand(func(context.Context, []*acme.Attempt) { go func() { <-m.release }() })
		}},
		{"leaves a goroutine of a goroutine", "Goroutines", "broken_test.go", func(m *memory) acme.Solver {
			return m.beforehand(func(context.Context, []*acme.Attempt) {
				go func() { go func() { <-m.release }() }()
			})
		}},
		{"leaves a request without an answer", "Goroutines", "broken_test.go", asks},
	}
}

// asks leaves requests to a server that never answers.
func asks(m *memory) acme.Solver {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-m.release; cancel() }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, _ := net.Pipe()
		return conn, nil
	}}}
	return m.beforehand(func(context.Context, []*acme.Attempt) {
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://api.test/", nil)
			if resp, err := client.Do(r); err == nil {
				_ = resp.Body.Close()
			}
		}()
	})
}

// brokenByName is about challenge types with one answer for each name.
func brokenByName() []broken {
	return []broken{
		{"removes the newer answer for a name", "SameIdentifier", "after the cleanup of an earlier order", func(m *memory) acme.Solver {
			return m.cleaning(func(_, _ context.Context, batch []*acme.Attempt) error {
				m.remove(batch)
				m.mu.Lock()
				defer m.mu.Unlock()
				for _, a := range batch {
					delete(m.newest, a.Identifier.Value)
				}
				return nil
			})
		}},
		{"ignores the second order for a name", "SameIdentifier", "Present returned no error, and", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if m.isTaken(batch) {
					return nil, nil
				}
				return m.Present(ctx, batch)
			})
		}},
		{"harms the first order for a name", "SameIdentifier", "was refused", func(m *memory) acme.Solver {
			return m.presenting(func(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
				if m.isTaken(batch) {
					m.mu.Lock()
					defer m.mu.Unlock()
					clear(m.newest)
					return nil, errors.New("confused")
				}
				return m.Present(ctx, batch)
			})
		}},
	}
}
