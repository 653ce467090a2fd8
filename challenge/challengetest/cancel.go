package challengetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

const ruleCancelled = `Present must return soon after its context has ended, with an error or
without. What it has provisioned until then must not stay: either Present
removes it itself, or it returns a cleanup that does, together with its error.
That cleanup gets a context that is alive.`

func checkCancelledBefore(ctx context.Context, s *subject) error {
	return endedBefore(ctx, func(ending context.Context) error { return s.cutShort(ctx, ending) })
}

func checkCancelledDuring(ctx context.Context, s *subject) error {
	return endingMeanwhile(ctx, func(ending context.Context) error { return s.cutShort(ctx, ending) })
}

// endedBefore calls f with contexts that have ended.
func endedBefore(ctx context.Context, f func(ended context.Context) error) error {
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := f(cancelled); err != nil {
		return fmt.Errorf("with a context that was cancelled before: %w", err)
	}
	expired, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	if err := f(expired); err != nil {
		return fmt.Errorf("with a context whose deadline was over before: %w", err)
	}
	return nil
}

// endingMeanwhile calls f with contexts that end when they are looked at: for the
// first time, for the second time, and so on. If one is not looked at that often,
// it ends after a short time.
func endingMeanwhile(ctx context.Context, f func(ending context.Context) error) error {
	for looks := range int64(5) {
		cancellable, cancel := context.WithCancel(ctx)
		trap := &tripwire{Context: cancellable, cancel: cancel}
		trap.left.Store(looks + 1)
		timer := time.AfterFunc(20*time.Millisecond, cancel)
		err := f(trap) //nolint:contextcheck // a tripwire inherits from ctx
		timer.Stop()
		cancel()
		if err != nil {
			return fmt.Errorf("with a context that was cancelled meanwhile: %w", err)
		}
	}
	return nil
}

// cutShort presents a batch with a context that has ended or is about to, and
// checks that nothing is left of it, and that it did not harm another order.
func (s *subject) cutShort(ctx, ending context.Context) error {
	other, err := s.presentAll(ctx, s.attempt())
	if err != nil {
		return err
	}
	o, err := s.pass(ctx, ending, shortPatience, s.attempts(4)...)
	if err != nil {
		return err
	}
	if err := o.gone(ctx); err != nil {
		return err
	}
	if err := other.answered(ctx); err != nil {
		return fmt.Errorf("of another order: %w", err)
	}
	return other.finish(ctx)
}

// A tripwire is a context that ends when it was looked at a number of times.
type tripwire struct {
	context.Context //nolint:containedctx // it is one
	cancel          context.CancelFunc
	left            atomic.Int64
}

func (t *tripwire) look() {
	if t.left.Add(-1) == 0 {
		t.cancel()
	}
}

func (t *tripwire) Done() <-chan struct{} {
	t.look()
	return t.Context.Done()
}

func (t *tripwire) Err() error {
	t.look()
	return t.Context.Err()
}

const ruleCleanupAfterCancel = `The context of Present is for Present alone: it may end as soon as that has
returned, while the server still looks. The answers must stay until the
cleanup is called: do not tie them to that context. The cleanup is called with
a context of its own, which is alive, and must use that one.`

func checkCleanupAfterCancel(ctx context.Context, s *subject) error {
	ending, cancel := context.WithCancel(ctx)
	defer cancel()
	o, err := s.presentAll(ending, s.attempts(4)...)
	if err != nil {
		return err
	}
	cancel()
	if err := pause(ctx, 20*time.Millisecond); err != nil { // for goroutines that wait for it
		return err
	}
	if err := o.answered(ctx); err != nil {
		return fmt.Errorf("after the end of the context that Present had: %w", err)
	}
	return o.finish(ctx)
}

const ruleCleanupEnded = `A cleanup must return soon after its context has ended, at the latest, whether
it was able to do its work or not; it may return an error. The library waits
for cleanups, so one that hangs keeps a program waiting.`

func checkCleanupEnded(ctx context.Context, s *subject) error {
	cleanUp := func(ending context.Context) error {
		o, err := s.presentAll(ctx, s.attempts(4)...)
		if err != nil {
			return err
		}
		return o.undo(ending, shortPatience)
	}
	if err := endedBefore(ctx, cleanUp); err != nil {
		return err
	}
	return endingMeanwhile(ctx, cleanUp)
}
