package challengetest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

// watch calls f and waits for it. Its error is for an f that panics, ends its
// goroutine or does not return in time. Goroutines that f starts get the
// subject's label.
func watch[T any](ctx context.Context, s *subject, what string, patience time.Duration, f func(context.Context) T) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		out := outcome{err: fmt.Errorf("%s ended its goroutine instead of returning (runtime.Goexit, or FailNow of a test)", what)}
		defer func() {
			if p := recover(); p != nil {
				out.err = fmt.Errorf("%s panicked: %s\n%s", what, clip(fmt.Sprint(p)), debug.Stack())
			}
			done <- out
		}()
		pprof.Do(ctx, pprof.Labels(labelKey, s.label), func(ctx context.Context) { out.value = f(ctx) })
		out.err = nil
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case out := <-done:
		return out.value, out.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("%s has not returned after %v%s; what runs is\n%s", what, patience, ended(ctx), s.running())
	}
}

// ended says whether a context has.
func ended(ctx context.Context) string {
	if ctx.Err() == nil {
		return ""
	}
	return ", though its context has ended"
}

// parallel calls f(0) … f(n-1), all at once, and returns the first error.
func parallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return first(errs...)
}

// first returns the first error that is not nil.
func first(errs ...error) error {
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return errs[i]
	}
	return nil
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("the test's own context has ended")
	}
}

// eventually reports whether f becomes true within the short patience. It asks
// often at first, then less so. Its error is for the end of ctx.
func eventually(ctx context.Context, f func() bool) (bool, error) {
	for waited, interval := time.Duration(0), time.Millisecond; !f(); interval *= 2 {
		if waited >= shortPatience {
			return false, nil
		}
		if err := pause(ctx, interval); err != nil {
			return false, err
		}
		waited += interval
	}
	return true, nil
}

// clip shortens a text of unknown length.
func clip(text string) string {
	const limit = 300
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", text[:limit], len(text))
}
