package challengetest

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/seed-aa0b9f56/acme"
)

// TestSolver checks that a solver keeps the contract of [acme.Solver]. It runs
// subtests, one for each rule, one after the other, and calls newSolver for each
// of them; that may use the [testing.TB] for what the solver needs, and to clean
// up after it.
//
// The probe looks as the server would, at what the newest solver has provisioned:
// it returns nil if the answer to a is there, and an error if it is not. It is
// called concurrently, also for attempts that were never presented, or whose
// token no server would ask for.
//
// The types are the challenge types to test. Without any, they are those of
// acme's constants that the solver supports.
func TestSolver(t *testing.T, newSolver func(testing.TB) acme.Solver, probe func(ctx context.Context, a *acme.Attempt) error, types ...acme.ChallengeType) {
	t.Helper()
	if len(types) == 0 {
		if types = typesOf(t.Context(), newSolver(t)); len(types) == 0 {
			t.Fatalf("%s\n\nRule: %s", "Supports is false for all that was tried, with the challenge types of acme's constants. "+
				"Give TestSolver the solver's type, if it is another one.", ruleSupports)
		}
	}
	for _, typ := range types {
		t.Run(string(typ), func(t *testing.T) { testType(t, newSolver, probe, typ) })
	}
}

// testType runs the checks for one challenge type.
func testType(t *testing.T, newSolver func(testing.TB) acme.Solver, probe func(context.Context, *acme.Attempt) error, typ acme.ChallengeType) {
	t.Helper()
	label := rand.Text()
	first := &subject{solver: newSolver(t), typ: typ, label: label}
	kinds, _ := first.discover(t.Context()) // an error comes again, in Supports
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if len(kinds) == 0 && c.name != "Supports" {
				t.Skip("Supports is false for all that was tried")
			}
			s := &subject{solver: newSolver(t), probe: probe, typ: typ, kinds: kinds, label: label}
			if err := c.test(t.Context(), s); err != nil {
				t.Errorf("%v\n\nRule: %s", err, c.rule)
			}
		})
	}
}

// typesOf returns the challenge types of acme's constants that a solver
// supports.
func typesOf(ctx context.Context, solver acme.Solver) []acme.ChallengeType {
	var types []acme.ChallengeType
	for _, typ := range constants() {
		s := &subject{solver: solver, typ: typ, label: rand.Text()}
		if kinds, err := s.discover(ctx); err != nil || len(kinds) > 0 {
			types = append(types, typ) // with an error, Supports will tell
		}
	}
	return types
}

// constants returns the challenge types that acme has constants for.
func constants() []acme.ChallengeType {
	return []acme.ChallengeType{
		acme.HTTP01, acme.DNS01, acme.TLSALPN01, acme.EmailReply00, acme.TKAuth01,
		acme.OnionCSR01, acme.BPNodeID00, acme.DeviceAttest01, acme.DNSAccount01, acme.DNSPersist01,
	}
}

// A check tests one rule. Its error says what was seen that breaks it.
type check struct {
	name string
	rule string
	run  func(context.Context, *subject) error
}

// test runs the check. What it has left presented is cleaned up.
func (c check) test(ctx context.Context, s *subject) error {
	defer s.close(ctx)
	return c.run(ctx, s)
}

func checks() []check {
	return []check{
		{"Supports", ruleSupports, checkSupports},
		{"OneAttempt", ruleOneAttempt, checkOneAttempt},
		{"Batch", ruleBatch, checkBatch},
		{"SameIdentifier", ruleSameIdentifier, checkSameIdentifier},
		{"SharedAuthorization", ruleSharedAuthorization, checkSharedAuthorization},
		{"ConcurrentOrders", ruleConcurrentOrders, checkConcurrentOrders},
		{"CancelledBeforePresent", ruleCancelled, checkCancelledBefore},
		{"CancelledDuringPresent", ruleCancelled, checkCancelledDuring},
		{"CleanupAfterCancel", ruleCleanupAfterCancel, checkCleanupAfterCancel},
		{"CleanupWithEndedContext", ruleCleanupEnded, checkCleanupEnded},
		{"HostileTokens", ruleHostileTokens, checkHostileTokens},
		{"Goroutines", ruleGoroutines, checkGoroutines},
	}
}
