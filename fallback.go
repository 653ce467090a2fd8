package acme

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A history is what earlier orders of the same Obtain have failed with.
type history struct {
	orders   int
	failed   []pair
	failures []error
}

// A pair is a challenge type that was tried for an identifier: by one solver, if
// it was that one's fault.
type pair struct {
	identifier Identifier
	wildcard   bool
	challenge  ChallengeType
	solver     int // index, or anySolver
}

const anySolver = -1

func pairOf(at *Attempt, solver int) pair {
	return pair{at.Identifier, at.Wildcard, at.Challenge.Type, solver}
}

// learn takes note of a failed order, and reports whether another one has a
// chance: each authorization that failed has a challenge that was not tried.
func (h *history) learn(a *Account, err error, solvers []Solver) bool {
	h.orders++
	if errors.Is(err, ErrCertificateMismatch) {
		// Another process had the same order, and finalized it: Boulder gives
		// equal orders to all who ask at once.
		return h.orders == 1
	}
	failed, ok := errors.AsType[*AuthorizeError](err)
	if !ok || h.orders == maxOrders {
		return false
	}
	for _, t := range failed.tried {
		if t.err == nil || t.attempt == nil {
			continue
		}
		solver := anySolver
		if _, ok := t.err.(*SolverError); ok { //nolint:errorlint // not one further down
			solver = t.solver
		}
		h.failed = append(h.failed, pairOf(t.attempt, solver))
	}
	for _, t := range failed.tried {
		if t.err != nil && !h.another(a, t, solvers) {
			return false
		}
	}
	h.failures = append(h.failures, failed.Failures...)
	return true
}

// another reports whether a failed task can be tried in another way.
func (h *history) another(a *Account, t *task, solvers []Solver) bool {
	if t.attempt == nil { // the authorization was no good from the beginning
		return h.orders == 1 && t.authz.Status != StatusPending
	}
	for _, c := range t.offered {
		attempt := newAttempt(a, t.authz, c)
		if c.refused == "" && slices.ContainsFunc(h.without(solvers), func(s Solver) bool { return s.Supports(attempt) }) {
			return true
		}
	}
	return false
}

// and adds what has failed before to an error.
func (h *history) and(err error) error {
	if h.failures == nil {
		return err
	}
	if failed, ok := errors.AsType[*AuthorizeError](err); ok {
		return &AuthorizeError{OrderURL: failed.OrderURL, tried: failed.tried, Failures: slices.Concat(h.failures, failed.Failures)}
	}
	return &fallbackError{err: err, failures: h.failures}
}

// A fallbackError is an error of a later order, or of making it, and what the orders
// before had failed with. It is no AuthorizeError: the later order may be good still.
type fallbackError struct {
	err      error
	failures []error
}

func (e *fallbackError) Error() string {
	texts := make([]string, len(e.failures))
	for i, err := range e.failures {
		texts[i] = bare(err)
	}
	return fmt.Sprintf("%v; in the order before: %s", e.err, strings.Join(texts, "; "))
}

func (e *fallbackError) Unwrap() []error { return append([]error{e.err}, e.failures...) }

// without returns the solvers less what has failed with them.
func (h *history) without(solvers []Solver) []Solver {
	if len(h.failed) == 0 {
		return solvers
	}
	out := make([]Solver, len(solvers))
	for i, s := range solvers {
		out[i] = skipping{s, i, h.failed}
	}
	return out
}

// A skipping solver does not support what has failed.
type skipping struct {
	Solver
	index  int
	failed []pair
}

func (s skipping) Supports(a *Attempt) bool {
	skip := slices.Contains(s.failed, pairOf(a, anySolver)) || slices.Contains(s.failed, pairOf(a, s.index))
	return !skip && s.Solver.Supports(a)
}
