package challengetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/seed-aa0b9f56/acme"
)

// An order is a batch that was given to Present.
type order struct {
	s          *subject
	batch      []*acme.Attempt // as Present left them
	before     []*acme.Attempt // as Present got them
	cleanup    acme.Cleanup
	err        error // of Present
	cleanupErr error
	undone     bool
}

// present calls Present. Its error is for a call that did not end as it should;
// what Present returned is in the order.
func (s *subject) present(ctx context.Context, patience time.Duration, batch ...*acme.Attempt) (*order, error) {
	o := &order{s: s, batch: batch}
	for _, a := range batch {
		o.before = append(o.before, clone(a))
	}
	type results struct {
		cleanup acme.Cleanup
		err     error
	}
	r, err := watch(ctx, s, "Present", patience, func(ctx context.Context) results {
		cleanup, err := s.solver.Present(ctx, slices.Clone(batch))
		return results{cleanup, err}
	})
	if err != nil {
		return nil, err
	}
	o.cleanup, o.err = r.cleanup, r.err
	s.mu.Lock()
	s.orders = append(s.orders, o)
	s.mu.Unlock()
	return o, o.unchanged()
}

// presentAll calls Present, and returns an error if anything is not answered.
func (s *subject) presentAll(ctx context.Context, batch ...*acme.Attempt) (*order, error) {
	o, err := s.present(ctx, longPatience, batch...)
	if err != nil {
		return nil, err
	}
	return o, o.answered(ctx)
}

// unchanged returns an error if Present changed an attempt.
func (o *order) unchanged() error {
	for i, a := range o.batch {
		now := *a
		now.Response = o.before[i].Response
		if !reflect.DeepEqual(&now, o.before[i]) {
			return fmt.Errorf("the solver's Present changed the attempt of %s: it may set Response, and nothing else", o.before[i])
		}
	}
	return nil
}

// answered returns an error if Present failed, or if an answer is not there.
func (o *order) answered(ctx context.Context) error {
	if o.err != nil {
		return fmt.Errorf("the solver's Present failed, for a batch of %d that Supports said yes to: %s", len(o.batch), clip(o.err.Error()))
	}
	for _, a := range o.batch {
		if err := o.s.answered(ctx, a); err != nil {
			return fmt.Errorf("the solver's Present returned no error, and the cleanup was not called yet, but %w", err)
		}
	}
	return nil
}

// undo calls the cleanup, if there is one. Its error is for a call that did not
// end as it should.
func (o *order) undo(ctx context.Context, patience time.Duration) error {
	o.undone = true
	if o.cleanup == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	failure, err := watch(ctx, o.s, "the cleanup", patience, o.cleanup)
	o.cleanupErr = failure
	return err
}

// gone returns an error if an answer is still there after undo.
func (o *order) gone(ctx context.Context) error {
	for _, a := range o.before {
		if err := o.s.unanswered(ctx, a); err != nil {
			return fmt.Errorf("%s, but %w", o.fate(), err)
		}
	}
	return nil
}

// fate says how an order ended.
func (o *order) fate() string {
	present := "Present returned no error"
	if o.err != nil {
		present = "Present failed (" + clip(o.err.Error()) + ")"
	}
	switch {
	case o.cleanup == nil:
		return present + " and no cleanup"
	case o.cleanupErr != nil:
		return present + ", the cleanup was called and failed (" + clip(o.cleanupErr.Error()) + ")"
	}
	return present + ", the cleanup was called and returned no error"
}

// finish calls the cleanup, and returns an error if anything is left, or if the
// cleanup fails.
func (o *order) finish(ctx context.Context) error {
	if err := o.undo(ctx, longPatience); err != nil {
		return err
	}
	if err := o.gone(ctx); err != nil {
		return err
	}
	if o.cleanupErr != nil {
		return fmt.Errorf("the cleanup of %s failed though nothing was in its way: %s", o.before[0], clip(o.cleanupErr.Error()))
	}
	return nil
}

// pass presents a batch with one context, and cleans up with the other. Its error
// is for calls that did not end as they should, not for what came of them.
func (s *subject) pass(ctx, presenting context.Context, patience time.Duration, batch ...*acme.Attempt) (*order, error) {
	o, err := s.present(presenting, patience, batch...)
	if err != nil {
		return nil, err
	}
	return o, o.undo(ctx, longPatience)
}
