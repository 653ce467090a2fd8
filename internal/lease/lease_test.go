package lease

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// A store counts what is provided.
type store struct {
	Group
	mu                 sync.Mutex
	provided, released int
}

func (s *store) provide(context.Context) (func(context.Context) error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.provided++
	return func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.released++
		return nil
	}, nil
}

func (s *store) acquire(t *testing.T, key string) func(context.Context) error {
	t.Helper()
	release, err := s.Acquire(t.Context(), key, s.provide)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func (s *store) want(t *testing.T, provided, released int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provided != provided || s.released != released {
		t.Errorf("provided %d, released %d, want %d and %d", s.provided, s.released, provided, released)
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	var s store
	a, b, other := s.acquire(t, "a"), s.acquire(t, "a"), s.acquire(t, "b")
	s.want(t, 2, 0)
	_ = a(t.Context())
	s.want(t, 2, 0)
	c := s.acquire(t, "a")
	_ = b(t.Context())
	s.want(t, 2, 0)
	_ = c(t.Context())
	s.want(t, 2, 1)
	_ = s.acquire(t, "a")(t.Context())
	s.want(t, 3, 2)
	_ = other(t.Context())
	if s.want(t, 3, 3); len(s.leases) != 0 {
		t.Errorf("%d leases are left", len(s.leases))
	}
}

// TestFailure: an error is its caller's alone.
func TestFailure(t *testing.T) {
	t.Parallel()
	var s store
	fails := errors.New("fails")
	release, err := s.Acquire(t.Context(), "a", func(ctx context.Context) (func(context.Context) error, error) {
		half, _ := s.provide(ctx)
		return half, fails
	})
	if !errors.Is(err, fails) || release == nil {
		t.Fatal(err)
	}
	_ = release(t.Context())
	if s.want(t, 1, 1); len(s.leases) != 0 {
		t.Errorf("%d leases are left", len(s.leases))
	}
	_ = s.acquire(t, "a")(t.Context())
	s.want(t, 2, 2)
	nothing, err := s.Acquire(t.Context(), "a", func(context.Context) (func(context.Context) error, error) { return nil, nil }) //nolint:nilnil // nothing to release
	if err != nil || nothing(t.Context()) != nil {
		t.Error(err)
	}
}

// TestHalfWay: what failed half way is released before anybody provides it anew,
// or the release would take that away.
func TestHalfWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s store
		release, _ := s.Acquire(t.Context(), "a", func(ctx context.Context) (func(context.Context) error, error) {
			half, _ := s.provide(ctx)
			return half, errors.New("fails")
		})
		done := make(chan bool)
		go func() { done <- s.acquire(t, "a")(t.Context()) == nil }()
		synctest.Wait()
		s.want(t, 1, 0)
		_ = release(t.Context())
		<-done
		if s.want(t, 2, 2); len(s.leases) != 0 {
			t.Errorf("%d leases are left", len(s.leases))
		}
	})
}

// TestTurns: who wants what another one provides waits for it, and tries by
// itself if that failed; and does not wait longer than its context.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s store
		results := make(chan error, 3)
		slow, stop := context.WithCancel(t.Context())
		go func() {
			_, err := s.Acquire(slow, "a", func(ctx context.Context) (func(context.Context) error, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
			results <- err
		}()
		synctest.Wait()
		impatient, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := s.Acquire(impatient, "a", s.provide)
			results <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go func() {
			release, err := s.Acquire(t.Context(), "a", s.provide)
			if err == nil {
				err = release(t.Context())
			}
			results <- err
		}()
		synctest.Wait()
		s.want(t, 0, 0)
		stop()
		first, second := <-results, <-results
		if s.want(t, 1, 1); errors.Is(first, context.Canceled) == errors.Is(second, context.Canceled) || len(s.leases) != 0 {
			t.Errorf("%v, %v, %d leases", first, second, len(s.leases))
		}
	})
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	var s store
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { _ = s.acquire(t, "a")(t.Context()) })
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.provided != s.released || s.provided == 0 || len(s.leases) != 0 {
		t.Errorf("provided %d, released %d, %d leases", s.provided, s.released, len(s.leases))
	}
}

// Under a context that has ended nothing is provided or shared, and the turn is
// free for the next caller. Fifty times: a select chooses at random.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	var s store
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	refuse := func() {
		t.Helper()
		for range 50 {
			if release, err := s.Acquire(ended, "a", s.provide); release != nil || !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
	}
	refuse()
	s.want(t, 0, 0)
	release := s.acquire(t, "a")
	refuse()
	s.want(t, 1, 0)
	_ = release(t.Context())
	if s.want(t, 1, 1); len(s.leases) != 0 {
		t.Errorf("%d leases are left", len(s.leases))
	}
}
