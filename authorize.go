package acme

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	cleanupTime       = time.Minute
	minAuthorizations = 1000 // that are read of an order, however few identifiers it has
)

// Authorize fulfils all that is pending in an order: it reads its
// authorizations, has the solvers present what the server will look for, answers
// the challenges, and waits until the order is ready. Each authorization gets
// the first solver that supports one of its challenges. Solvers have cleaned up
// when Authorize returns, also if ctx has ended.
//
// What failed, and for which identifiers, is in the [*AuthorizeError]; the order
// is then given up, and what is left pending of it deactivated (§7.5.2). After
// any other error, ctx's among them, the order is as it was: Authorize can go on
// with it. As long as ctx lives, the server has ten seconds for what it is looking at
// when an error ends the attempt; until then, solvers leave their answers where they are.
func (a *Account) Authorize(ctx context.Context, o *Order, solvers ...Solver) error {
	if err := checkSolvers(solvers); err != nil {
		return wrap(err, "order %s", o.URL)
	}
	_, err := authorize(ctx, a, o, solvers, defaultConcurrency)
	return err
}

// A task is a pending authorization and the attempt to make it valid.
type task struct {
	authz   *Authorization // as last read
	offered []*Challenge   // as first read
	attempt *Attempt
	solver  int // index
	answer  *Challenge
	retries int
	valid   bool
	err     error // why it failed
}

// An authorizer makes the authorizations of one order valid. It uses what every
// user of an Account can use.
type authorizer struct {
	account *Account
	order   *Order
	solvers []Solver
	slots   chan struct{} // bounds the requests in flight
	tasks   []*task

	mu       sync.Mutex
	cleanups []func()
}

// authorize returns the order as last read.
func authorize(ctx context.Context, account *Account, o *Order, solvers []Solver, concurrency int) (*Order, error) {
	if o.Status != StatusPending {
		if o.Status == StatusReady || o.Status == StatusProcessing || o.Status == StatusValid {
			return o, nil
		}
		return nil, &OrderError{Order: o}
	}
	w := &authorizer{account: account, order: o, solvers: solvers, slots: make(chan struct{}, concurrency)}
	last, err := w.attempt(ctx)
	if failed, ok := errors.AsType[*AuthorizeError](err); ok {
		traceFailures(ctx, failed)
		w.abandon(ctx)
	}
	return last, err
}

// attempt runs, and cleans up when the server does not look any more: also after an
// error that lets the order be, or the panic of a hook.
func (w *authorizer) attempt(ctx context.Context) (*Order, error) {
	defer w.cleanUp()
	last, err := w.run(ctx)
	if err != nil && !OrderLost(err) {
		w.settle(ctx, false)
	}
	return last, err
}

func (w *authorizer) run(ctx context.Context) (*Order, error) {
	authzs, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.assign(authzs); err != nil {
		return nil, err
	}
	if err := w.solve(ctx); err != nil {
		return nil, err
	}
	return w.await(ctx)
}

// read reads the order's authorizations.
func (w *authorizer) read(ctx context.Context) ([]*Authorization, error) {
	urls := slices.Compact(slices.Sorted(slices.Values(w.order.AuthorizationURLs)))
	if limit := max(minAuthorizations, 4*len(w.order.Identifiers)); len(urls) > limit {
		return nil, wrap(fmt.Errorf("%w: more than %d authorizations", ErrMalformedResponse, limit), "order %s", w.order.URL)
	}
	authzs := make([]*Authorization, len(urls))
	err := concurrently(ctx, w.slots, len(urls), func(i int) (err error) {
		authzs[i], err = w.account.Authorization(ctx, urls[i])
		return err
	})
	if err != nil {
		return nil, wrap(err, "order %s", w.order.URL)
	}
	return authzs, nil
}

// assign makes the tasks. It fails if there is an authorization that cannot
// become valid, or that no solver supports.
func (w *authorizer) assign(authzs []*Authorization) error {
	var failures []error
	for _, z := range authzs {
		if z.Status == StatusValid {
			continue // its challenges must not be answered (§7.1.3)
		}
		// Solvers make paths and records of it. It need not be one that was
		// ordered (§7.1.3), but it must be one.
		_, err := z.Identifier.normalize()
		if strings.HasPrefix(z.Identifier.Value, "*.") {
			err = errors.New("it has a second wildcard")
		}
		t := &task{authz: z, offered: z.Challenges}
		w.tasks = append(w.tasks, t)
		switch {
		case err != nil:
			t.err = &AuthorizationError{Authorization: z, Err: fmt.Errorf("%w: %w", ErrInvalidIdentifier, err)}
		case z.isFinal(): // Let's Encrypt, ZeroSSL: an order that was used again
			t.err = &AuthorizationError{Authorization: z, Challenge: z.failed()}
		case !w.choose(t):
			t.err = &NoSolverError{Authorization: z}
		}
		if t.err != nil {
			failures = append(failures, t.err)
		}
	}
	if failures != nil {
		return w.failure(failures)
	}
	return nil
}

// choose finds the solver that comes first, and a challenge that it supports. A
// challenge that was answered before a restart comes before all others: a second
// one of its authorization must not be.
func (w *authorizer) choose(t *task) bool {
	answered := func(c *Challenge) bool { return c.Status == StatusProcessing }
	open := func(c *Challenge) bool { return c.isOpen() && c.refused == "" }
	return w.chooseOf(t, answered) || w.chooseOf(t, open)
}

func (w *authorizer) chooseOf(t *task, eligible func(*Challenge) bool) bool {
	for i, s := range w.solvers {
		for _, c := range t.offered {
			if !eligible(c) || !c.suits(t.authz.Identifier) {
				continue
			}
			attempt := newAttempt(w.account, t.authz, c)
			if s.Supports(attempt) {
				t.solver, t.attempt = i, attempt
				return true
			}
		}
	}
	return false
}

func newAttempt(account *Account, z *Authorization, c *Challenge) *Attempt {
	return &Attempt{
		AccountURL:       account.URL(),
		Identifier:       z.Identifier,
		Wildcard:         z.Wildcard,
		Challenge:        c,
		KeyAuthorization: account.KeyAuthorization(c.Token),
		Thumbprint:       account.Thumbprint(),
	}
}

// failure is the error for failed tasks.
func (w *authorizer) failure(failures []error) *AuthorizeError {
	return &AuthorizeError{OrderURL: w.order.URL, Failures: failures, tried: w.tasks}
}

// errStopped is why the batches are cancelled after one of them failed.
const errStopped ClientError = "another batch failed"

// solve has each solver present its batch, and answers the challenges of a batch
// when it is ready. Batches run side by side.
func (w *authorizer) solve(ctx context.Context) error {
	outer := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	errs := make([]error, len(w.solvers))
	var wg sync.WaitGroup
	for i := range w.solvers {
		batch := w.batch(i)
		if len(batch) == 0 {
			continue
		}
		wg.Go(func() {
			if errs[i] = w.solveBatch(ctx, w.solvers[i], batch); errs[i] != nil {
				stop(errStopped)
			}
		})
	}
	wg.Wait()
	var solverErrors []error
	for _, err := range errs {
		switch _, ok := errors.AsType[*SolverError](err); {
		case err == nil || errors.Is(err, errStopped):
		case ok:
			solverErrors = append(solverErrors, err)
		case outer.Err() == nil && w.anyFailed(): // which is why the order cannot succeed any more
			solverErrors = append(solverErrors, err)
		default:
			return err
		}
	}
	if solverErrors != nil {
		w.settle(outer, false)
		for _, t := range w.tasks { // what the other batches failed with
			if _, told := errors.AsType[*SolverError](t.err); t.err != nil && !told {
				solverErrors = append(solverErrors, t.err)
			}
		}
		return w.failure(solverErrors)
	}
	return nil
}

func (w *authorizer) batch(solver int) []*task {
	var batch []*task
	for _, t := range w.tasks {
		if t.solver == solver {
			batch = append(batch, t)
		}
	}
	return batch
}

func (w *authorizer) solveBatch(ctx context.Context, s Solver, batch []*task) error {
	attempts := make([]*Attempt, len(batch))
	for i, t := range batch {
		attempts[i] = t.attempt
	}
	tracePresent(ctx, attempts)
	cleanup, err := s.Present(ctx, attempts)
	if cleanup != nil {
		w.onCleanUp(ctx, attempts, cleanup)
	}
	tracePresented(ctx, attempts, err)
	if ended := contextError(ctx); ended != nil {
		if err != nil && !errors.Is(err, ended) {
			ended = series{ended, err}
		}
		return wrap(ended, "order %s", w.order.URL)
	}
	if err != nil {
		failed := &SolverError{Attempts: attempts, Err: err}
		for _, t := range batch {
			t.err = failed
		}
		return failed
	}
	if err = concurrently(ctx, w.slots, len(batch), func(i int) error { return w.respond(ctx, batch[i]) }); err != nil {
		return wrap(err, "order %s", w.order.URL)
	}
	return nil
}

// respond answers a task's challenge. An answer that the server refuses is the
// task's failure; the error is of anything else.
func (w *authorizer) respond(ctx context.Context, t *task) error {
	c := t.attempt.Challenge
	if t.retries > 0 {
		c = t.answer
	}
	if c.Status == StatusProcessing {
		t.answer = c // answered before a restart
		return nil
	}
	answer, err := w.account.RespondChallenge(ctx, c.URL, t.attempt.Response)
	traceResponded(ctx, t.attempt, answer, err)
	if err == nil {
		if t.answer = answer; answer.Type == "" {
			answer.Type = c.Type
		}
		if z := t.authz; answer.Status == StatusInvalid {
			if z, err = w.account.Authorization(ctx, z.URL); err == nil {
				t.authz = z // for the error, and for what is left to deactivate
			}
		}
		t.judge(t.authz.answered(answer))
		return nil
	}
	switch p, ok := asProblem(err); {
	case ok && isRateLimit(p) && p.Operation == OpRespondChallenge:
		return err
	case !ok || isRateLimit(p) || p.Status >= 500 || p.Operation != OpRespondChallenge:
		t.answer = c // it may have arrived
		return err
	}
	// Another order may have made the authorization valid in the meantime.
	t.answer = c
	z, readErr := w.account.Authorization(ctx, t.authz.URL)
	if readErr != nil {
		return readErr
	}
	t.authz = z
	if now := z.challenge(c.URL); now != nil && now.Status == StatusProcessing && z.Status == StatusPending {
		t.answer = now // somebody else answered it
		return nil
	}
	if t.valid = z.Status == StatusValid; !t.valid {
		t.err = &AuthorizationError{Authorization: z, Challenge: c, Err: err}
	}
	return nil
}

// onCleanUp keeps a cleanup for when the attempts are over.
func (w *authorizer) onCleanUp(ctx context.Context, attempts []*Attempt, cleanup Cleanup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleanups = append(w.cleanups, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		traceCleanedUp(ctx, w.account, attempts, cleanup(ctx))
	})
}

func (w *authorizer) cleanUp() {
	var wg sync.WaitGroup
	for _, f := range w.cleanups {
		wg.Go(f)
	}
	wg.Wait()
}

// abandon deactivates what is left pending of an order that failed (§7.5.2), as
// far as the server lets it. Others leave such authorizations behind until they
// expire or a limit is reached.
func (w *authorizer) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	var pending []string
	for _, t := range w.tasks {
		if t.authz.Status == StatusPending && !t.succeeded() {
			pending = append(pending, t.authz.URL)
		}
	}
	_ = concurrently(ctx, w.slots, len(pending), func(i int) error { // as far as it goes
		err := w.account.DeactivateAuthorization(ctx, pending[i])
		traceDeactivated(ctx, w.account, pending[i], err)
		return nil
	})
}
