package challengetest

import (
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
)

const ruleGoroutines = `A goroutine that Supports, Present or a cleanup starts must have ended when
the cleanup has returned, or soon after: a program may place orders for years.
(Goroutines that newSolver starts are not counted, nor are those of idle
connections that net/http keeps.) End it in the cleanup, or with the context
that it serves.`

// labelKey is the name of the label of goroutines that call a solver. What they
// start inherits it, so that goroutines of other tests, and of the probe, are not
// taken for the solver's.
const labelKey = "challengetest"

func checkGoroutines(ctx context.Context, s *subject) error {
	pass := func(presenting context.Context) error {
		_, err := s.pass(ctx, presenting, shortPatience, s.attempts(4)...)
		return err
	}
	if _, err := s.pass(ctx, ctx, longPatience, s.attempts(4)...); err != nil {
		return err
	}
	if err := endedBefore(ctx, pass); err != nil {
		return err
	}
	if err := endingMeanwhile(ctx, pass); err != nil {
		return err
	}
	return s.settle(ctx)
}

// settle waits until no goroutine of the solver is left. One that is about to
// end may need a moment for it.
func (s *subject) settle(ctx context.Context) error {
	over, err := eventually(ctx, func() bool { return s.running() == "" })
	if err == nil && !over {
		err = fmt.Errorf("all is cleaned up, but %v later goroutines of the solver are still there:\n%s", shortPatience, s.running())
	}
	return err
}

// running returns the stacks of the goroutines that have the subject's label.
func (s *subject) running() string {
	var profile strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		panic(err) // a Builder takes everything
	}
	label := fmt.Sprintf("%q:%q", labelKey, s.label)
	stacks := slices.DeleteFunc(strings.Split(profile.String(), "\n\n"), func(stack string) bool {
		return !strings.Contains(stack, label) || isIdleConnection(stack)
	})
	return strings.Join(stacks, "\n\n")
}

// isIdleConnection reports whether a stack is that of a connection which
// net/http keeps for the next request: of its loops, and not of a request that
// waits on the connection.
func isIdleConnection(stack string) bool {
	for _, loop := range []string{
		"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop", "http2.(*ClientConn).readLoop", "net/http.(*http2ClientConn).readLoop",
	} {
		if strings.Contains(stack, loop) {
			return true
		}
	}
	return false
}
