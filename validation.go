package acme

import (
	"context"
	"time"
)

const (
	settleTime      = 10 * time.Second // to learn what becomes of the other validations after one failed
	maxStale        = 5 * time.Minute  // for which a time that came before the answer to the challenge counts
	maxRevalidation = 3                // of one challenge that the server leaves pending after a failure (§8.2)
)

// open reports whether the task's challenge was answered and has no outcome yet.
func (t *task) open() bool { return t.answer != nil && !t.valid && t.err == nil }

// succeeded reports whether the task's challenge was validated, though the
// authorization may not show it yet.
func (t *task) succeeded() bool {
	return t.valid || t.answer != nil && t.answer.Status == StatusValid
}

// suspect reports whether the server gave the challenge back after a failure,
// and may want it to be answered again (§8.2). step-ca does.
func (t *task) suspect() bool {
	return t.open() && t.answer.Status == StatusPending && t.answer.Error != nil
}

// answered returns the authorization with the time to read it that holds since a
// challenge was answered: the answer's, or for a while the one that it had.
func (z *Authorization) answered(c *Challenge) *Authorization {
	now, stale := *z, time.Now().Add(maxStale)
	switch {
	case !c.RetryAfter.IsZero():
		now.RetryAfter = c.RetryAfter
	case z.RetryAfter.After(stale):
		now.RetryAfter = stale
	}
	return &now
}

// judge takes note of the authorization as just read, or of the challenge as it
// was just answered.
func (t *task) judge(z *Authorization) {
	t.authz = z
	if c := z.challenge(t.attempt.Challenge.URL); c != nil && c != t.attempt.Challenge && (t.answer.isOpen() || !c.isOpen()) {
		t.answer = c
	}
	switch {
	case z.Status == StatusValid:
		t.valid = true
	case z.isFinal(), t.answer.Status == StatusInvalid:
		failed := t.answer
		if failed.Status != StatusInvalid && z.failed() != nil {
			failed = z.failed()
		}
		t.err = &AuthorizationError{Authorization: z, Challenge: failed}
	}
}

// await waits until the order is not pending any more. It reads the order, which
// tells about all authorizations at once, and only now and then those that are
// open: step-ca and others leave an order pending for ever after a failure.
func (w *authorizer) await(ctx context.Context) (*Order, error) {
	if !w.anyFailed() {
		if err := pauseUntil(ctx, w.order.URL, StatusPending, w.firstLook()); err != nil {
			return nil, err
		}
	}
	var o *Order
	err := wait(ctx, w.order.URL, func(n int) (bool, state, error) {
		if w.anyFailed() {
			return true, state{}, nil
		}
		read, err := w.account.Order(ctx, w.order.URL)
		if err != nil {
			return false, state{}, err
		}
		if err := read.unchanged(w.order); err != nil {
			return false, state{}, err
		}
		o = read
		if o.Status != StatusPending {
			return true, state{}, nil
		}
		if n%4 == 3 && n > 4 || n%2 == 1 && n > 1 && w.anySuspect() {
			err = w.look(ctx, maxRevalidation)
		}
		return w.anyFailed(), state{o.Status, o.RetryAfter, w.reason()}, err
	})
	switch {
	case err != nil:
		return nil, err
	case w.anyFailed() || o.Status == StatusInvalid:
		return nil, w.explain(ctx, o)
	}
	return o, nil
}

// firstLook is when the server wants to be asked first: the earliest time that
// it gave, if it gave one for each challenge.
func (w *authorizer) firstLook() time.Time {
	var first time.Time
	for _, t := range w.tasks {
		switch at := t.answer.RetryAfter; {
		case !t.open():
		case at.IsZero():
			return at
		case first.IsZero() || at.Before(first):
			first = at
		}
	}
	return first
}

func (w *authorizer) any(is func(*task) bool) *task {
	for _, t := range w.tasks {
		if is(t) {
			return t
		}
	}
	return nil
}

func (w *authorizer) anyFailed() bool {
	return w.any(func(t *task) bool { return t.err != nil }) != nil
}

func (w *authorizer) anySuspect() bool { return w.any((*task).suspect) != nil }

// reason is what the server says about a validation that it tries again.
func (w *authorizer) reason() *Problem {
	if t := w.any(func(t *task) bool { return t.open() && t.answer.Error != nil }); t != nil {
		return t.answer.Error
	}
	return nil
}

// look reads the open authorizations, and answers challenges again that were
// given back after a failure, up to a number of times, after which they count as
// failed.
func (w *authorizer) look(ctx context.Context, revalidations int) error {
	var open []*task
	for _, t := range w.tasks {
		if t.open() && time.Until(t.authz.RetryAfter) <= 0 {
			open = append(open, t)
		}
	}
	return concurrently(ctx, w.slots, len(open), func(i int) error { return w.lookAt(ctx, open[i], revalidations) })
}

func (w *authorizer) lookAt(ctx context.Context, t *task, revalidations int) error {
	z, err := w.account.Authorization(ctx, t.authz.URL)
	if _, refused := asProblem(err); refused {
		return nil // the order still tells
	}
	if err != nil {
		return err
	}
	t.judge(z)
	switch {
	case !t.suspect():
		return nil
	case t.retries >= revalidations:
		t.err = &AuthorizationError{Authorization: z, Challenge: t.answer}
		return nil
	}
	t.retries++
	return w.respond(ctx, t)
}

// settle gives the server some time for the validations that it is busy with: where
// they fail for an answer that is gone, a name has one less of the few failures that
// it may have in an hour. What cannot be read is left open. With news the server is
// asked at once, whenever it wanted to be.
func (w *authorizer) settle(ctx context.Context, news bool) {
	if ctx.Err() != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	undecided := func(t *task) bool { return t.open() && !t.succeeded() }
	_ = wait(limited, w.order.URL, func(n int) (bool, state, error) { // as far as it goes
		if w.any(undecided) == nil {
			return true, state{}, nil
		}
		for _, t := range w.tasks {
			if news {
				t.authz.RetryAfter = time.Time{}
			}
		}
		_ = w.look(limited, 0)
		// After one second, then two, then four: there may be many.
		return w.any(undecided) == nil, state{retryAfter: time.Now().Add(time.Second << n)}, nil
	})
}

// explain finds out why an order failed: which authorizations did, and why. The
// server may be busy with the others; the error is to name all that failed.
func (w *authorizer) explain(ctx context.Context, o *Order) error {
	w.settle(ctx, true)
	if ended := contextError(ctx); ended != nil {
		return state{status: w.order.Status}.waitError(w.order.URL, ended)
	}
	var failures []error
	for _, t := range w.tasks {
		if t.err != nil {
			failures = append(failures, t.err)
		}
	}
	if failures == nil {
		return &OrderError{Order: o.keeping(w.order)} // expired, say
	}
	return w.failure(failures)
}
