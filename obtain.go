package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"
)

// A CertificateRequest describes a certificate and how to get it. It can be used
// again, for renewals.
type CertificateRequest struct {
	_ struct{}

	// OrderRequest is what to order.
	OrderRequest OrderRequest

	// CSR makes the certificate signing request, DER-encoded, when the order is
	// ready. NewCSR makes one from a key; a function of the caller's can use any
	// key anywhere, or an appliance's CSR. It is also called when a valid order
	// is taken up after a restart, to check the certificate against.
	CSR func(context.Context, []Identifier) (der []byte, err error)

	// FinalizeExtra makes members for extensions that the finalize request has
	// beside the CSR, when that is made: onionCAA (RFC 9799 §6.4), say. Nil: none.
	FinalizeExtra func(context.Context, []Identifier) (map[string]any, error)

	// Solvers fulfil challenges, in order of preference. None are needed where
	// the server asks for no challenges.
	Solvers []Solver

	// Chain chooses among the certificate's chains: the default one, which comes
	// first, and the alternates, each downloaded when the iteration gets there.
	// Nil, and an answer of nil, stand for the default one. PreferRoot,
	// PreferIssuer and PreferKeyID make such functions.
	Chain func(chains iter.Seq2[*Certificate, error]) *Certificate

	// Concurrency bounds the requests in flight; 0 stands for 8.
	Concurrency int
}

func (r *CertificateRequest) concurrency() int {
	if r.Concurrency <= 0 {
		return defaultConcurrency
	}
	return r.Concurrency
}

// check finds what no order is worth making for.
func (r *CertificateRequest) check() error {
	if r.CSR == nil {
		return ErrNoCSR
	}
	return checkSolvers(r.Solvers)
}

// maxOrders bounds the orders of one Obtain: Let's Encrypt admits five failed
// validations of a name in an hour.
const maxOrders = 5

// Obtain orders a certificate and completes the order (§7.4): NewOrder, then
// Complete. If authorizations fail for which there is another challenge that a
// solver supports, it makes another order and tries that one, since a failed
// authorization ends its order (§7.1.6).
//
// To survive a crash in between, store the order's URL in Trace.OrderCreated,
// and go on with Order and Complete.
//
// The error tells what to do: an [*AuthorizeError] names each identifier that
// failed and why, an [*OrderError] the server's reason, a [*Problem] anything
// else that the server refused, with the time to come back if there is one; a
// [*WaitError] says that ctx ended first. Give ctx a deadline: without one, Obtain
// waits for as long as the server leaves the order open.
func (a *Account) Obtain(ctx context.Context, req CertificateRequest) (*Certificate, error) {
	if err := req.check(); err != nil {
		return nil, wrap(err, "%s", OpNewOrder)
	}
	var past history
	for {
		o, err := newOrder(ctx, a, req.OrderRequest)
		if err != nil {
			return nil, past.and(err)
		}
		attempt := req
		attempt.Solvers = past.without(req.Solvers)
		cert, err := a.Complete(ctx, o, attempt)
		if err == nil {
			return cert, nil
		}
		if ctx.Err() != nil || !past.learn(a, err, req.Solvers) {
			return nil, past.and(err)
		}
	}
}

// newOrder makes an order. One that replaces a certificate is made once more
// without saying so if the server refuses it: advice must not cost a renewal
// (RFC 9773 §5). Servers refuse with alreadyReplaced, conflict, unauthorized
// (another account's certificate), malformed (HARICA) or a 500 (Pebble).
func newOrder(ctx context.Context, a *Account, req OrderRequest) (*Order, error) {
	o, err := a.NewOrder(ctx, req)
	p, refused := asProblem(err)
	if !refused || req.Replaces == "" || isRateLimit(p) || p.Status > http.StatusInternalServerError || !p.RetryAfter.IsZero() {
		return o, err
	}
	req.Replaces = ""
	return a.NewOrder(ctx, req)
}

// maxSteps bounds the state changes of one order that Complete follows.
const maxSteps = 10

// Complete goes on with an order from whatever state it is in, until there is a
// certificate: pending orders are authorized, ready ones finalized, processing
// ones waited for, and the certificate of a valid one is downloaded and checked
// to be the one that was asked for (§7.1.6). No other order is made.
//
// After a restart, read the stored order with [Account.Order] first; an Order
// that has nothing but its URL is read here. The CSR's key must be the one that
// it had before: it is to be stored, too. Of the OrderRequest, only the
// Identifiers count. An order without one of them, since the program's
// configuration has changed, is ErrOrderMismatch.
//
// The other errors are those of Obtain. After one that is [OrderLost] forget the
// order, and Obtain; after any other error go on with it later.
func (a *Account) Complete(ctx context.Context, o *Order, req CertificateRequest) (*Certificate, error) {
	if err := req.check(); err != nil {
		return nil, wrap(err, "order %s", o.URL)
	}
	if o.Status == "" { // nothing but its URL is known
		read, err := a.Order(ctx, o.URL)
		if err != nil {
			return nil, err
		}
		o = read
	}
	o, err := o.asked(req.OrderRequest.Identifiers)
	if err != nil {
		return nil, wrap(err, "order %s", o.URL)
	}
	var csr []byte
	for range maxSteps {
		if o.Status == StatusValid {
			return collect(ctx, a, o, req, csr)
		}
		next, err := advance(ctx, a, o, req, &csr)
		if err != nil {
			return nil, err
		}
		if err := next.unchanged(o); err != nil {
			return nil, err
		}
		o = next.keeping(o)
	}
	return nil, wrap(fmt.Errorf("%w: its status goes round in circles", ErrMalformedResponse), "order %s", o.URL)
}

// OrderLost reports whether an error of [Account.Complete], or Obtain, says that the
// order is of no use any more: an [*OrderError], an [*AuthorizeError], ErrOrderMismatch,
// ErrCertificateMismatch (its certificate has another key), or a [*Problem] with a
// Status below 500 that is not ErrRateLimited when it was read: it is gone, or another
// account's.
func OrderLost(err error) bool {
	_, order := errors.AsType[*OrderError](err)
	_, authorize := errors.AsType[*AuthorizeError](err)
	p, problem := asProblem(err)
	unreadable := problem && p.Operation == OpOrder && p.Status < http.StatusInternalServerError && !isRateLimit(p)
	return order || authorize || unreadable || errors.Is(err, ErrOrderMismatch) || errors.Is(err, ErrCertificateMismatch)
}

// acceptTime is how long a finalized order may look as if it were not.
const acceptTime = 30 * time.Second

// advance brings an order to its next state. A csr that was submitted is left
// in *csr.
func advance(ctx context.Context, a *Account, o *Order, req CertificateRequest, csr *[]byte) (*Order, error) {
	switch {
	case o.Status == StatusPending:
		return authorize(ctx, a, o, req.Solvers, req.concurrency())
	case o.Status == StatusReady && *csr == nil:
		return submit(ctx, a, o, req, csr)
	case o.Status == StatusReady: // submitted, but a replica does not know yet (golang/go#52597)
		limited, cancel := context.WithTimeout(ctx, acceptTime)
		defer cancel()
		next, err := a.WaitOrder(limited, o.URL, StatusProcessing, StatusValid)
		w, late := errors.AsType[*WaitError](err)
		switch {
		case !late || ctx.Err() != nil:
			return next, err
		case time.Until(w.RetryAfter) > 0:
			if err := pauseUntil(ctx, o.URL, o.Status, w.RetryAfter); err != nil {
				return nil, err
			}
			return a.Order(ctx, o.URL)
		}
		return submit(ctx, a, o, req, csr)
	case o.Status == StatusProcessing:
		if err := pauseUntil(ctx, o.URL, o.Status, o.RetryAfter); err != nil {
			return nil, err
		}
		return a.WaitOrder(ctx, o.URL, StatusValid)
	case o.isFinal():
		return nil, &OrderError{Order: o}
	}
	return a.WaitOrder(ctx, o.URL, StatusPending, StatusReady, StatusProcessing, StatusValid)
}

// submit finalizes a ready order, with the CSR that was made before if there is
// one: its key may exist only once.
func submit(ctx context.Context, a *Account, o *Order, req CertificateRequest, csr *[]byte) (*Order, error) {
	der, err := *csr, error(nil)
	if der == nil {
		if der, err = makeCSR(ctx, o, req); err != nil {
			return nil, err
		}
	}
	var extra map[string]any
	if req.FinalizeExtra != nil {
		if extra, err = req.FinalizeExtra(ctx, o.Identifiers); err != nil {
			return nil, wrap(err, "members to finalize order %s with", o.URL)
		}
	}
	next, err := a.FinalizeOrder(ctx, o, der, extra)
	if errors.Is(err, ErrOrderNotReady) { // after all (Dogtag); if it is pending, something is left to fulfil (§7.4)
		read, waitErr := a.WaitOrder(ctx, o.URL, StatusPending, StatusReady, StatusProcessing, StatusValid)
		if waitErr == nil && read.Status == StatusReady {
			return nil, err
		}
		return read, waitErr
	}
	*csr = der
	return next, err
}

func makeCSR(ctx context.Context, o *Order, req CertificateRequest) ([]byte, error) {
	csr, err := req.CSR(ctx, o.Identifiers)
	if err != nil {
		return nil, wrap(err, "CSR for order %s", o.URL)
	}
	return csr, nil
}

// collect downloads and checks the certificate of a valid order. Without a csr,
// after a restart, it makes one, for the key.
func collect(ctx context.Context, a *Account, o *Order, req CertificateRequest, csr []byte) (*Certificate, error) {
	var err error
	if csr == nil {
		if csr, err = makeCSR(ctx, o, req); err != nil {
			return nil, err
		}
	}
	asked, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, wrap(fmt.Errorf("%w: %w", ErrCSRMismatch, err), "order %s", o.URL)
	}
	cert, err := a.OrderCertificate(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := cert.Match(o.Identifiers, asked.PublicKey); err != nil {
		return nil, wrap(err, "certificate %s of order %s", cert.URL, o.URL)
	}
	if req.Chain != nil {
		if chosen := req.Chain(chains(ctx, a, o, cert)); chosen != nil && chosen.Match(o.Identifiers, asked.PublicKey) == nil {
			cert = chosen
		}
	}
	traceIssued(ctx, cert)
	return cert, nil
}

// chains iterates over the chains of an order's certificate, of which cert is the
// first.
func chains(ctx context.Context, a *Account, o *Order, cert *Certificate) iter.Seq2[*Certificate, error] {
	return func(yield func(*Certificate, error) bool) {
		if !yield(cert, nil) {
			return
		}
		for _, alternate := range cert.AlternateURLs {
			other := &Order{URL: o.URL, CertificateURL: alternate, AllowCertificateGet: o.AllowCertificateGet}
			if !yield(a.OrderCertificate(ctx, other)) {
				return
			}
		}
	}
}
