package challengetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"weak"

	"github.com/seed-aa0b9f56/acme"
)

const ruleSupports = `Supports tells the library which challenges to give to the solver. It must be
true for what the solver can fulfil: for its own challenge type, and for each
sort of identifier that it can do; and false for everything else, because a
challenge that it takes is not offered to the solvers after it. It must answer
at once, from what it knows, be safe for concurrent use, and neither change
the attempt nor keep a reference to it or to its challenge.`

func checkSupports(ctx context.Context, s *subject) error {
	for _, f := range []func(context.Context) error{
		s.supportsItsType, s.refusesOtherTypes, s.changesNothing, s.keepsNothing, s.supportsConcurrently,
	} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// supportsItsType also learns the kinds of identifiers for what follows.
func (s *subject) supportsItsType(ctx context.Context) error {
	found, err := s.discover(ctx)
	if err != nil {
		return err
	}
	if s.kinds = found; len(found) == 0 {
		return fmt.Errorf("the solver's Supports is false for %s challenges, for any identifier that was tried", s.typ)
	}
	if s.isForNames() && !s.has(plainName) {
		return fmt.Errorf("the solver's Supports is false for %s challenges for %s, as n1.example.com is, but true for %s",
			s.typ, plainName, found[0].name)
	}
	return nil
}

// isForNames reports whether the challenge type is one for domain names in the
// first place.
func (s *subject) isForNames() bool {
	return slices.Contains([]acme.ChallengeType{
		acme.HTTP01, acme.DNS01, acme.TLSALPN01, acme.DNSAccount01, acme.DNSPersist01,
	}, s.typ)
}

func (s *subject) refusesOtherTypes(ctx context.Context) error {
	for _, typ := range []acme.ChallengeType{"unknown-99", "", s.typ + "-99"} {
		for _, k := range s.kinds {
			yes, err := s.supports(ctx, NewAttempt(typ, k.nth(1), newToken(1)))
			if err != nil {
				return err
			}
			if yes {
				return fmt.Errorf("the solver's Supports is true for a challenge of the type %q, which nobody knows: compare a.Challenge.Type", typ)
			}
		}
	}
	return nil
}

func (s *subject) changesNothing(ctx context.Context) error {
	for _, k := range s.kinds {
		a := s.attemptOf(k)
		before := clone(a)
		if _, err := s.supports(ctx, a); err != nil {
			return err
		}
		if !reflect.DeepEqual(a, before) {
			return fmt.Errorf("the solver's Supports changed the attempt of %s", before)
		}
	}
	return nil
}

// keepsNothing lets the garbage collector find out whether an attempt is still
// referred to. It does so more than once, because the goroutine that called
// Supports may not be gone yet.
func (s *subject) keepsNothing(ctx context.Context) error {
	attempt, challenge, err := s.supportsWeakly(ctx)
	if err != nil {
		return err
	}
	collected, err := eventually(ctx, func() bool {
		runtime.GC()
		return attempt.Value() == nil && challenge.Value() == nil
	})
	if err == nil && !collected {
		err = errors.New("the solver's Supports has returned, and the solver still refers to the attempt: copy what it needs to know")
	}
	return err
}

func (s *subject) supportsWeakly(ctx context.Context) (weak.Pointer[acme.Attempt], weak.Pointer[acme.Challenge], error) {
	a := s.attempt()
	_, err := s.supports(ctx, a)
	return weak.Make(a), weak.Make(a.Challenge), err
}

// supportsConcurrently asks about one attempt, while others are presented.
func (s *subject) supportsConcurrently(ctx context.Context) error {
	o, err := s.present(ctx, longPatience, s.attempt())
	if err != nil {
		return err
	}
	a := s.attempt()
	err = parallel(goroutines, func(i int) error {
		if i%4 == 0 {
			_, err := s.pass(ctx, ctx, longPatience, s.attempt())
			return err
		}
		yes, err := s.supports(ctx, a)
		if err == nil && !yes {
			err = fmt.Errorf("the solver's Supports is false for %s, and was true for a name like it: "+
				"its answer must not depend on what else goes on", a)
		}
		return err
	})
	return first(err, o.undo(ctx, longPatience))
}
