package pebble

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/letsencrypt/pebble/v2/acme"
	"github.com/letsencrypt/pebble/v2/core"
)

// Pebble begins to validate what it is told to at once, with three requests
// for each challenge and six queries, and gives up a query after 2 seconds.
// Hundreds at a time are too much for a busy machine: more than maxValidating
// have to wait, but not for those that take longer than maxWait.
const (
	maxValidating = 16
	maxWait       = 5 * time.Second
)

// challenge serves an answer to a challenge when there is room for it.
func (f *front) challenge(r *request, id string) *answer {
	deadline := time.Now().Add(maxWait)
	room := func() bool {
		f.validating = f.unvalidated()
		return len(f.validating) < maxValidating || f.opts.ValidationSleep || time.Now().After(deadline)
	}
	return f.aloneWhen(r, room, func() *answer { return f.validate(r, id) })
}

// validate lets Pebble validate a challenge, unless it would not survive it.
// The caller is inside the gate.
func (f *front) validate(r *request, id string) *answer {
	challenge := f.store.GetChallengeByID(id)
	if challenge == nil {
		return r.serve(f.pebble)
	}
	if problem := unanswerable(challenge); problem != nil {
		return f.refuse(r, problem)
	}
	a := r.serve(f.pebble)
	if a.code == http.StatusOK {
		f.validating = append(f.validating, challenge)
	}
	return a
}

// unvalidated returns what is left of f.validating now. The caller is inside
// the gate.
func (f *front) unvalidated() []*core.Challenge {
	return slices.DeleteFunc(f.validating, func(c *core.Challenge) bool { return status(c) != acme.StatusProcessing })
}

// unanswerable says why a pending challenge must not be answered: another one
// of the authorization is being validated, or its fate is sealed. The locks of
// this one are lost, or will be, as soon as the authorization is shown.
func unanswerable(challenge *core.Challenge) *acme.ProblemDetails {
	if status(challenge) != acme.StatusPending {
		return nil // Pebble refuses without touching a lock
	}
	authz := challenge.Authz
	authz.RLock()
	defer authz.RUnlock()
	if authz.Status != acme.StatusPending {
		return acme.MalformedProblem(fmt.Sprintf(
			"Cannot update a challenge of an authorization with status %s, only status %s", authz.Status, acme.StatusPending))
	}
	for _, other := range authz.Challenges {
		if status(other) != acme.StatusPending {
			return acme.MalformedProblem("Cannot update a challenge while another one of the authorization is being validated")
		}
	}
	return nil
}

func status(challenge *core.Challenge) string {
	challenge.RLock()
	defer challenge.RUnlock()
	return challenge.Status
}

// deactivate lets an authorization be deactivated when it is not being
// validated, and when no certificate waits for it. The end of the validation
// would wait for ever, and everything else for it; the CA leaves an
// authorization locked when it finds that it is not valid.
func (f *front) deactivate(r *request, id string) *answer {
	return f.aloneWhen(r, func() bool {
		authz := f.store.GetAuthorizationByID(id)
		if authz == nil {
			return true
		}
		if f.needed(authz) {
			return false
		}
		authz.RLock()
		defer authz.RUnlock()
		for _, challenge := range authz.Challenges {
			if status(challenge) == acme.StatusProcessing {
				return false
			}
		}
		return true
	}, func() *answer { return r.serve(f.pebble) })
}

// changeKey lets an account key be changed when nothing is being validated,
// because validations read that key without a lock.
func (f *front) changeKey(r *request) *answer {
	return f.aloneWhen(r, func() bool {
		f.validating = f.unvalidated()
		return len(f.validating) == 0
	}, func() *answer { return r.serve(f.pebble) })
}
