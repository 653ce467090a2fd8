package acme

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// An Operation names what a request does, independently of the server's URLs:
// the label for metrics. The names are those of the directory where it has one.
type Operation string

// Operations. The set is open.
const (
	OpDirectory               Operation = "directory"
	OpNewNonce                Operation = "newNonce"
	OpNewAccount              Operation = "newAccount"
	OpFindAccount             Operation = "findAccount"
	OpAccount                 Operation = "account"
	OpUpdateAccount           Operation = "updateAccount"
	OpDeactivateAccount       Operation = "deactivateAccount"
	OpKeyChange               Operation = "keyChange"
	OpOrders                  Operation = "orders"
	OpNewOrder                Operation = "newOrder"
	OpOrder                   Operation = "order"
	OpFinalize                Operation = "finalize"
	OpCancelOrder             Operation = "cancelOrder" // RFC 8739
	OpNewAuthz                Operation = "newAuthz"
	OpAuthorization           Operation = "authorization"
	OpDeactivateAuthorization Operation = "deactivateAuthorization"
	OpChallenge               Operation = "challenge"        // read
	OpRespondChallenge        Operation = "respondChallenge" // answered
	OpCertificate             Operation = "certificate"
	OpRevokeCert              Operation = "revokeCert"
	OpRenewalInfo             Operation = "renewalInfo"
	OpDelegations             Operation = "delegations" // RFC 9115
	OpDelegation              Operation = "delegation"  // RFC 9115
	OpPost                    Operation = "post"        // Account.Post with a payload
	OpPostAsGet               Operation = "postAsGet"   // Account.Post without
)

type operationKey struct{}

// OperationOf returns the operation that a request's context belongs to, for
// an [http.RoundTripper] that labels what it measures; "" outside of requests.
func OperationOf(ctx context.Context) Operation {
	op, _ := ctx.Value(operationKey{}).(Operation)
	return op
}

// A Trace is a set of hooks that are called while this package works: what a
// person would watch, and what a program may want to store. Any hook may be
// nil. A hook is called synchronously, possibly from several goroutines at
// once, and must return soon. What it is given is shared: do not change it.
//
// Hooks get no keys, nonces or request bodies.
type Trace struct {
	// Request is called after each exchange with the server.
	Request func(RequestInfo)

	// Retry is called before a request is sent again.
	Retry func(RetryInfo)

	// Wait is called before a wait for an order or authorization goes on.
	Wait func(WaitInfo)

	// OrderCreated is called with a new order before anything else is sent. A
	// program that stores the order's URL here can go on after a crash, with
	// [Account.Complete]. One that fails to, and had better not go on then, cancels
	// the context.
	OrderCreated func(*Order)

	// OrderStatus is called whenever an order is read or finalized.
	OrderStatus func(*Order)

	// Present is called before a batch of challenges is given to its solver.
	Present func([]*Attempt)

	// Presented is called when the solver has returned.
	Presented func([]*Attempt, error)

	// Responded is called when a challenge has been answered, with the
	// challenge as the server now has it, or with the error.
	Responded func(*Attempt, *Challenge, error)

	// AuthorizationFailed is called for each authorization that fails.
	AuthorizationFailed func(error)

	// CleanedUp is called when a solver has cleaned up after a batch.
	CleanedUp func([]*Attempt, error)

	// Deactivated is called after a pending authorization of a failed order was
	// deactivated, with the error if that was refused.
	Deactivated func(authorizationURL string, err error)

	// CertificateIssued is called with the certificate that was downloaded.
	CertificateIssued func(*Certificate)
}

// A RequestInfo describes an exchange with the server.
type RequestInfo struct {
	Operation  Operation
	Method     string
	URL        string
	StatusCode int // 0 if there was no answer
	Duration   time.Duration
	Err        error // a *Problem, or why there was no answer; nil for success
}

// A RetryInfo tells why a request will be sent again, and when.
type RetryInfo struct {
	Operation Operation
	URL       string
	Attempt   int // 1 for the first repetition
	Delay     time.Duration
	Err       error // of the last attempt
}

// A WaitInfo tells what is waited for.
type WaitInfo struct {
	URL    string
	Status Status
	Delay  time.Duration // until the resource is read again
}

type traceKey struct{}

// WithTrace returns a context whose requests call the hooks of t, after those
// of a Trace that ctx already has.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	if t == nil {
		return ctx
	}
	outer, _ := ctx.Value(traceKey{}).([]*Trace)
	return context.WithValue(ctx, traceKey{}, append(slices.Clip(outer), t))
}

// emit hands each Trace of ctx to call, innermost last.
func emit(ctx context.Context, call func(*Trace)) {
	traces, _ := ctx.Value(traceKey{}).([]*Trace)
	for _, t := range traces {
		call(t)
	}
}

// Attributes of log records.
func urlAttr(url string) slog.Attr       { return slog.String("acme.url", url) }
func opAttr(op Operation) slog.Attr      { return slog.String("acme.operation", string(op)) }
func errAttr(err error) slog.Attr        { return slog.String("acme.error", err.Error()) }
func statusAttr(s Status) slog.Attr      { return slog.String("acme.status", string(s)) }
func typeAttr(t ChallengeType) slog.Attr { return slog.String("acme.type", string(t)) }

func tracePresent(ctx context.Context, batch []*Attempt) {
	emit(ctx, func(t *Trace) {
		if t.Present != nil {
			t.Present(batch)
		}
	})
}

func tracePresented(ctx context.Context, batch []*Attempt, err error) {
	emit(ctx, func(t *Trace) {
		if t.Presented != nil {
			t.Presented(batch, err)
		}
	})
}

func traceResponded(ctx context.Context, a *Attempt, c *Challenge, err error) {
	emit(ctx, func(t *Trace) {
		if t.Responded != nil {
			t.Responded(a, c, err)
		}
	})
}

func traceFailures(ctx context.Context, failed *AuthorizeError) {
	emit(ctx, func(t *Trace) {
		if t.AuthorizationFailed == nil {
			return
		}
		for _, err := range failed.Failures {
			t.AuthorizationFailed(err)
		}
	})
}

func traceCleanedUp(ctx context.Context, a *Account, batch []*Attempt, err error) {
	if err != nil {
		a.client.log(ctx, slog.LevelWarn, "acme: clean-up failed", slog.Any("acme.attempts", batch), errAttr(err))
	}
	emit(ctx, func(t *Trace) {
		if t.CleanedUp != nil {
			t.CleanedUp(batch, err)
		}
	})
}

func traceDeactivated(ctx context.Context, a *Account, url string, err error) {
	if err != nil {
		a.client.log(ctx, slog.LevelWarn, "acme: authorization not deactivated", urlAttr(url), errAttr(err))
	}
	emit(ctx, func(t *Trace) {
		if t.Deactivated != nil {
			t.Deactivated(url, err)
		}
	})
}

func traceIssued(ctx context.Context, cert *Certificate) {
	emit(ctx, func(t *Trace) {
		if t.CertificateIssued != nil {
			t.CertificateIssued(cert)
		}
	})
}
