package challengetest

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

const (
	batchSize  = 20
	goroutines = 16
	rounds     = 3
)

const ruleOneAttempt = `When Present returns without an error, the server must find the answer, at
once: a solver whose answers take time to appear waits in Present. The answer
must stay until the cleanup is called, and be gone when that returns. Before
Present, nothing is there. Of the attempt, Present may set Response.`

func checkOneAttempt(ctx context.Context, s *subject) error {
	for _, k := range s.kinds {
		a := s.attemptOf(k)
		if err := s.unanswered(ctx, a); err != nil {
			return fmt.Errorf("the solver's Present was not called yet, but %w: is it the probe that must be mended?", err)
		}
		o, err := s.presentAll(ctx, a)
		if err != nil {
			return err
		}
		if err := o.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

const ruleBatch = `Present gets all attempts of an order that the solver supports in one call,
and must provision all of them. The one cleanup that it returns must remove
all of them.`

func checkBatch(ctx context.Context, s *subject) error {
	o, err := s.presentAll(ctx, s.attempts(batchSize)...)
	if err != nil {
		return err
	}
	return o.finish(ctx)
}

const ruleSameIdentifier = `A name and its wildcard are two attempts with the same Identifier, in one
batch, and two orders may be for the same name. Each attempt has its own
token, and all must be answered at the same time: add an answer to those of
the same name, do not replace them. The cleanup of one order must leave the
answers of the other in place. (Of tls-alpn-01, where only one answer can be
found, the newest must be, as long as its Present returned no error.)`

func checkSameIdentifier(ctx context.Context, s *subject) error {
	if s.typ == acme.TLSALPN01 {
		return s.oneAnswerPerName(ctx)
	}
	a := s.attempt()
	both, err := s.presentAll(ctx, a, s.sibling(a))
	if err != nil {
		return err
	}
	if err := both.finish(ctx); err != nil {
		return err
	}
	b := s.attempt()
	return s.onePerOrder(ctx, b, s.sibling(b))
}

// sibling returns an attempt with another token for the identifier of a: for its
// wildcard, if the solver supports that.
func (s *subject) sibling(a *acme.Attempt) *acme.Attempt {
	id := a.Identifier
	if s.has(plainName) && s.has(wildcard) {
		id.Value = "*." + id.Value
	}
	return NewAttempt(s.typ, id, newToken(s.serial.Add(1)))
}

// onePerOrder presents two attempts in an order each, and cleans up the orders,
// the first one first.
func (s *subject) onePerOrder(ctx context.Context, a, b *acme.Attempt) error {
	first, err := s.presentAll(ctx, a)
	if err != nil {
		return err
	}
	second, err := s.presentAll(ctx, b)
	if err != nil {
		return err
	}
	if err := first.answered(ctx); err != nil {
		return fmt.Errorf("after another order for the same identifier: %w", err)
	}
	if err := first.finish(ctx); err != nil {
		return err
	}
	if err := second.answered(ctx); err != nil {
		return fmt.Errorf("after the cleanup of another order for the same identifier: %w", err)
	}
	return second.finish(ctx)
}

// oneAnswerPerName is for challenge types whose answers are found by name alone.
// The second order for a name may be refused, or wait until its context ends.
func (s *subject) oneAnswerPerName(ctx context.Context) error {
	a := s.attempt()
	first, err := s.presentAll(ctx, a)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	second, err := s.present(limited, shortPatience, s.sibling(a))
	if err != nil {
		return err
	}
	if second.err != nil {
		return s.afterRefusal(ctx, first, second)
	}
	if err := second.answered(ctx); err != nil {
		return err
	}
	if err := first.undo(ctx, longPatience); err != nil {
		return err
	}
	if err := second.answered(ctx); err != nil {
		return fmt.Errorf("after the cleanup of an earlier order for the same identifier: %w", err)
	}
	if err := second.finish(ctx); err != nil {
		return err
	}
	return first.gone(ctx)
}

// afterRefusal checks that an order which was refused does not harm another one.
func (s *subject) afterRefusal(ctx context.Context, other, refused *order) error {
	if err := refused.undo(ctx, longPatience); err != nil {
		return err
	}
	if err := other.answered(ctx); err != nil {
		return fmt.Errorf("after a second order for the same identifier was refused: %w", err)
	}
	return other.finish(ctx)
}

const ruleSharedAuthorization = `Servers give one authorization, with the same challenge and token, to all
orders of an account that need it while it is pending. So one answer may be
presented by two orders at a time, and it must stay until both have cleaned
up: count how often it was presented.`

func checkSharedAuthorization(ctx context.Context, s *subject) error {
	for _, newestFirst := range []bool{false, true} {
		a := s.attempt()
		same := clone(a)
		keep, err := s.presentAll(ctx, a)
		if err != nil {
			return err
		}
		end, err := s.presentAll(ctx, same)
		if err != nil {
			return err
		}
		if !newestFirst {
			keep, end = end, keep
		}
		if err := end.undo(ctx, longPatience); err != nil {
			return err
		}
		if err := keep.answered(ctx); err != nil {
			return fmt.Errorf("two orders presented the same attempt, and one of them has cleaned up; of the other, %w", err)
		}
		if err := keep.finish(ctx); err != nil {
			return fmt.Errorf("two orders presented the same attempt, and both have cleaned up; of the last, %w", err)
		}
	}
	return nil
}

const ruleConcurrentOrders = `A program may have several orders under way at once, with one solver. Present,
Supports and cleanups are called concurrently: protect what they share with a
mutex. An order must not wait for the cleanup of another, and a cleanup must
remove what its own Present has provisioned, and nothing else.`

func checkConcurrentOrders(ctx context.Context, s *subject) error {
	shared := s.attempt()
	if err := s.halfByHalf(ctx, shared); err != nil {
		return err
	}
	err := parallel(goroutines, func(int) error {
		for range rounds {
			o, err := s.presentAll(ctx, s.attempt(), clone(shared))
			if err != nil {
				return err
			}
			if err := o.end(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.unanswered(ctx, shared); err != nil {
		return fmt.Errorf("several orders have presented the same attempt, and all have cleaned up, but %w", err)
	}
	return nil
}

// halfByHalf has many orders present, then half of them clean up, then the
// others. Pairs of orders are for the same identifier, if that can be, and all
// share an authorization.
func (s *subject) halfByHalf(ctx context.Context, shared *acme.Attempt) error {
	own := make([]*acme.Attempt, goroutines)
	for i := range own {
		if own[i] = s.attempt(); i%2 == 1 && s.typ != acme.TLSALPN01 {
			own[i] = s.sibling(own[i-1])
		}
	}
	orders := make([]*order, goroutines)
	present := func(i int) (err error) {
		orders[i], err = s.presentAll(ctx, own[i], clone(shared))
		return err
	}
	if err := parallel(goroutines, present); err != nil {
		return err
	}
	if err := parallel(goroutines/2, func(i int) error { return orders[2*i].end(ctx) }); err != nil {
		return err
	}
	return parallel(goroutines/2, func(i int) error {
		if err := orders[2*i+1].answered(ctx); err != nil {
			return fmt.Errorf("after the cleanup of other orders: %w", err)
		}
		return orders[2*i+1].end(ctx)
	})
}

// end calls the cleanup, and returns an error if the first answer is left: the
// others are shared with orders that are under way.
func (o *order) end(ctx context.Context) error {
	if err := o.undo(ctx, longPatience); err != nil {
		return err
	}
	if err := o.s.unanswered(ctx, o.before[0]); err != nil {
		return fmt.Errorf("%s, but %w", o.fate(), err)
	}
	return nil
}
