// Package challengetest tests implementations of [acme.Solver]: that they keep
// the promises which the library, and the other orders of a program, rely on.
//
// A solver's test is one call, with a function that makes the solver and one
// that looks as the server would:
//
//	func TestSolver(t *testing.T) {
//		var zone fakeZone
//		challengetest.TestSolver(t,
//			func(testing.TB) acme.Solver { return &Solver{Provider: &zone} },
//			func(ctx context.Context, a *acme.Attempt) error {
//				return zone.lookFor("_acme-challenge."+a.Identifier.Value, a.KeyAuthorization.Digest())
//			})
//	}
//
// Run it with the race detector: half of what can be wrong with a solver is
// that two orders meet in it.
//
// # What is tested
//
// There is a subtest for each challenge type, and in it one for each rule, with
// a solver of its own. What fails says which rule is broken, and what to mend.
//
//   - Supports: the right challenges, at once, and without keeping them.
//   - OneAttempt, Batch: what is presented is there when Present returns, and
//     gone when the cleanup has.
//   - SameIdentifier: a name and its wildcard, or two orders for one name.
//   - SharedAuthorization: two orders with the same challenge.
//   - ConcurrentOrders: no order takes away what another has presented.
//   - CancelledBeforePresent, CancelledDuringPresent: Present returns when its
//     context ends, and what it did until then can be undone.
//   - CleanupAfterCancel, CleanupWithEndedContext: the answers outlive the
//     context of Present, the cleanup works without it, and returns in any case.
//   - HostileTokens: tokens made for harm do none.
//   - Goroutines: none outlives what it was started for.
//
// # What the attempts are like
//
// Names are n1.example.com, n2.example.com, and so on, wildcards of such names,
// addresses of the documentation prefixes, n1@example.com for mail, and the like
// for other types; those are used that the solver supports. Tokens are random,
// 43 characters of base64url, and some begin with "-" or "_". Attempts have the [acme.Challenge.Raw] of a server, with the
// members that the type has.
//
// A solver should be given fakes of what it depends on: some calls are repeated
// dozens of times, with no more patience than a few seconds when a context has
// ended, and two minutes otherwise.
//
// # Types that differ
//
// The answer to tls-alpn-01 is found by name alone, so that two orders with
// different tokens for one name cannot both be answered: of them, the suite asks
// less. What dns-persist-01 leaves behind is meant to stay, and the mails of
// email-reply-00 were sent: that they are gone is not tested. A type whose answer is [acme.Attempt.Response] is tested with a
// probe that looks at that: an attempt that is over is probed without it.
// onion-csr-01 depends on the key of each name: give the solver the [OnionKeys].
package challengetest
