package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A Status is the state of an account, order, authorization or challenge
// (§7.1.6). The set is open: a status that is unknown counts as not final.
type Status string

// Statuses.
const (
	StatusPending     Status = "pending"
	StatusReady       Status = "ready"
	StatusProcessing  Status = "processing"
	StatusValid       Status = "valid"
	StatusInvalid     Status = "invalid"
	StatusDeactivated Status = "deactivated"
	StatusExpired     Status = "expired"
	StatusRevoked     Status = "revoked"
	StatusCanceled    Status = "canceled" // RFC 8739 §3.1.2
)

// An Order is an order as the server has it (§7.1.3). It is plain data.
type Order struct {
	URL               string // of the order, from newOrder; what a program has to store
	Status            Status
	Expires           time.Time // zero if the server did not say; so are the other times
	NotBefore         time.Time
	NotAfter          time.Time
	RetryAfter        time.Time // when the server wants to be asked again
	Identifiers       []Identifier
	AuthorizationURLs []string
	FinalizeURL       string
	CertificateURL    string // of a valid order; see Account.OrderCertificate
	Profile           string // may be one that the server chose
	Replaces          CertID
	Error             *Problem // why it is invalid

	AutoRenewal         *AutoRenewal // as the server has set it, which may differ from the request (RFC 8739 §3.1.1)
	StarCertificateURL  string       // instead of CertificateURL in an auto-renewal order
	AllowCertificateGet bool         // the certificate can be had without an account (RFC 8739 §3.4, RFC 9115 §2.3.5)
	Delegation          string       // RFC 9115 §2.3.2

	Raw json.RawMessage `json:",omitzero"` // as served, with the members of extensions
}

// decode reads an order object. URL is not part of it.
func (o *Order) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*o = Order{
		Status:         Status(text(m["status"])),
		Expires:        date(m["expires"]),
		NotBefore:      date(m["notBefore"]),
		NotAfter:       date(m["notAfter"]),
		FinalizeURL:    link(m["finalize"]),
		CertificateURL: link(m["certificate"]),
		Profile:        text(m["profile"]),
		Replaces:       CertID(text(m["replaces"])),
		Delegation:     link(m["delegation"]),
		Raw:            append(json.RawMessage(nil), data...),
	}
	o.decodeAutoRenewal(m)
	optional(m["identifiers"], &o.Identifiers)
	optional(m["authorizations"], &o.AuthorizationURLs)
	o.Error = embeddedProblem(m["error"])
	return nil
}

// received completes an order with what is not in its body.
func (o *Order) received(orderURL string, resp *Response) {
	base := resp.base()
	o.URL, o.RetryAfter = orderURL, resp.RetryAfter
	o.FinalizeURL = resolve(base, o.FinalizeURL)
	o.CertificateURL = resolve(base, o.CertificateURL)
	o.StarCertificateURL = resolve(base, o.StarCertificateURL)
	resolveAll(base, o.AuthorizationURLs)
}

func resolveAll(base *url.URL, urls []string) {
	for i := range urls {
		urls[i] = resolve(base, urls[i])
	}
}

// keeping returns the order with what an earlier reading had and the server has
// left out now: some send less and less as the order goes on (Entrust, in-house
// ones).
func (o *Order) keeping(earlier *Order) *Order {
	kept := *o
	if kept.FinalizeURL == "" {
		kept.FinalizeURL = earlier.FinalizeURL
	}
	if len(earlier.Identifiers) > 0 { // they never change (§7.1.3)
		kept.Identifiers = earlier.Identifiers
	}
	if len(kept.AuthorizationURLs) == 0 {
		kept.AuthorizationURLs = earlier.AuthorizationURLs
	}
	if kept.CertificateURL == "" {
		kept.CertificateURL = earlier.CertificateURL
	}
	if kept.StarCertificateURL == "" {
		kept.StarCertificateURL = earlier.StarCertificateURL
	}
	return &kept
}

// unchanged fails if a reading of an order has other identifiers or
// authorizations than an earlier one: such an order counts as invalid (§7.1.3).
// Their sequence does not matter, nor does what is left out: all of a list, or of
// a final order the authorizations that were not needed.
func (o *Order) unchanged(earlier *Order) error {
	ids := len(o.Identifiers) == 0 || len(earlier.Identifiers) == 0 || slices.Equal(o.Identifiers, earlier.Identifiers) ||
		len(missingFrom(o.Identifiers, earlier.Identifiers))+len(missingFrom(earlier.Identifiers, o.Identifiers)) == 0
	now, before := o.AuthorizationURLs, earlier.AuthorizationURLs
	authzs := len(now) == 0 || len(before) == 0 || isSubset(now, before) && (o.isFinal() || isSubset(before, now))
	if ids && authzs {
		return nil
	}
	return wrap(fmt.Errorf("%w: its identifiers or authorizations have changed (§7.1.3)", ErrMalformedResponse), "order %s", o.URL)
}

// isSubset reports whether all of a are in b.
func isSubset(a, b []string) bool {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	return !slices.ContainsFunc(a, func(s string) bool { return !in[s] })
}

// NewOrder orders a certificate (§7.4). Names are converted to A-labels and
// checked first: ErrNoIdentifiers, ErrInvalidIdentifier, ErrDuplicateIdentifier,
// ErrInvalidOrderRequest, [*ProfileError]; what the server does not offer is
// errors.ErrUnsupported.
// The server's refusal is a [*Problem], with a subproblem for each identifier
// that it minds, if it is that kind.
//
// After a lost answer the order is requested once more; the server may then have
// two. An internal error that the CA itself reports is tried again some times.
func (a *Account) NewOrder(ctx context.Context, req OrderRequest) (*Order, error) {
	req, err := req.normalize()
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, wrap(err, "%s", OpNewOrder)
	}
	dir, err := a.client.Directory(ctx)
	if err != nil {
		return nil, err
	}
	body, err := req.body(dir)
	if err != nil {
		return nil, wrap(err, "%s %s", OpNewOrder, dir.NewOrderURL)
	}
	o, resp, err := call[Order](ctx, a, OpNewOrder, dir.NewOrderURL, body)
	if err != nil {
		return nil, err
	}
	location := resp.Location()
	if location == "" {
		return nil, wrap(fmt.Errorf("%w: no Location for the new order", ErrMalformedResponse), "%s %s", OpNewOrder, dir.NewOrderURL)
	}
	o.received(location, resp)
	if missing := notOrdered(o.Identifiers, req.Identifiers); len(o.Identifiers) > 0 && len(missing) > 0 {
		return nil, wrap(fmt.Errorf("%w: the order %s is without %s", ErrMalformedResponse, quoteIfOdd(location), identifierList(missing)),
			"%s %s", OpNewOrder, dir.NewOrderURL)
	}
	if len(o.Identifiers) == 0 {
		o.Identifiers = req.Identifiers
	}
	a.warnOf(ctx, &req, o)
	a.client.log(ctx, slog.LevelInfo, "acme: order created", urlAttr(o.URL), slog.String("acme.identifiers", identifierList(o.Identifiers)))
	emit(ctx, func(t *Trace) {
		if t.OrderCreated != nil {
			t.OrderCreated(o)
		}
	})
	a.orderStatus(ctx, o)
	return o, nil
}

// notOrdered returns the identifiers that were asked for and are not in the order.
// Endpoint IDs are not looked for: the server brings them to a form of its own
// (RFC 9891 §2).
func notOrdered(ordered, asked []Identifier) []Identifier {
	missing := missingFrom(folded(ordered), folded(asked))
	return slices.DeleteFunc(missing, func(id Identifier) bool { return id.Type == TypeBundleEID })
}

// asked returns the order, if it is for the identifiers, with them if it has none:
// Entrust leaves them out of a valid one. That it has more is for the caller to
// mind. None are asked for where the order was made by hand.
func (o *Order) asked(ids []Identifier) (*Order, error) {
	ids, err := normalizeIdentifiers(ids)
	switch {
	case len(o.Identifiers) == 0:
		return o.keeping(&Order{Identifiers: ids}), err
	case errors.Is(err, ErrNoIdentifiers):
		return o, nil
	case err != nil:
		return o, err
	}
	if missing := notOrdered(o.Identifiers, ids); len(missing) > 0 {
		return o, fmt.Errorf("%w: it is for %s, and without %s", ErrOrderMismatch, identifierList(o.Identifiers), identifierList(missing))
	}
	return o, nil
}

// Order reads an order (§7.1.3), as to go on with one whose URL was stored.
func (a *Account) Order(ctx context.Context, url string) (*Order, error) {
	o, resp, err := call[Order](ctx, a, OpOrder, url, nil)
	if err != nil {
		return nil, err
	}
	o.received(url, resp)
	a.orderStatus(ctx, o)
	return o, nil
}

func (a *Account) orderStatus(ctx context.Context, o *Order) {
	a.client.log(ctx, slog.LevelInfo, "acme: order", urlAttr(o.URL), statusAttr(o.Status))
	emit(ctx, func(t *Trace) {
		if t.OrderStatus != nil {
			t.OrderStatus(o)
		}
	})
}

// isFinal reports whether an order's status cannot change any more.
func (o *Order) isFinal() bool {
	switch o.Status {
	case StatusValid, StatusInvalid, StatusCanceled:
		return true
	case StatusExpired, StatusRevoked, StatusDeactivated: // not of orders, but if so, for good
		return true
	}
	return false
}

// WaitOrder reads an order until its status is one of until, at the intervals
// that the server asks for (§7.4). Before finalizing, wait for StatusReady;
// after it, for StatusValid.
//
// An order that is final in another status is an [*OrderError]. If ctx ends
// first, or would before the server wants to be asked again, it is a
// [*WaitError].
func (a *Account) WaitOrder(ctx context.Context, url string, until ...Status) (*Order, error) {
	var o *Order
	err := wait(ctx, url, func(int) (bool, state, error) {
		read, err := a.Order(ctx, url)
		if err != nil {
			return false, state{}, err
		}
		if o != nil {
			if err := read.unchanged(o); err != nil {
				return false, state{}, err
			}
			read = read.keeping(o)
		}
		o = read
		return slices.Contains(until, o.Status) || o.isFinal(), state{o.Status, o.RetryAfter, o.Error}, nil
	})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(until, o.Status) {
		return nil, &OrderError{Order: o}
	}
	return o, nil
}

// maxFinalizes bounds how often a finalize request is repeated after a look at
// the order showed that it had no effect.
const maxFinalizes = 4

// FinalizeOrder submits the CSR (§7.4), a DER-encoded PKCS #10 request for
// exactly the order's identifiers. The CSR is checked first: ErrCSRMismatch,
// ErrAccountKeyInCSR, ErrOnionKeyInCSR. The extra members, if any, are sent beside
// it, as extensions want it: onionCAA (RFC 9799 §6.4), say. The order returned is processing, or valid already; with
// [Account.WaitOrder] it becomes valid.
//
// If the answer is lost, the order itself tells whether the request had arrived;
// a request that had is not repeated.
func (a *Account) FinalizeOrder(ctx context.Context, o *Order, csr []byte, extra ...map[string]any) (*Order, error) {
	if a.err != nil {
		return nil, wrap(a.err, "%s", OpFinalize)
	}
	if err := a.checkCSR(csr, o.Identifiers); err != nil {
		return nil, wrap(err, "%s %s", OpFinalize, o.URL)
	}
	body := map[string]any{"csr": base64url(csr)}
	for _, m := range extra {
		for name, v := range m {
			if _, ok := body[name]; ok {
				return nil, wrap(fmt.Errorf("%w: the member %s is there twice", ErrInvalidOrderRequest, quote(name)), "%s %s", OpFinalize, o.URL)
			}
			body[name] = v
		}
	}
	if o.FinalizeURL == "" {
		return nil, wrap(fmt.Errorf("%w: the order has no finalize URL", ErrMalformedResponse), "%s %s", OpFinalize, o.URL)
	}
	var result *Order
	err := wait(ctx, o.URL, func(n int) (bool, state, error) {
		read, err := a.finalize(ctx, o, body)
		if err != nil && read != nil && read.Status == StatusReady && n+1 < maxFinalizes && a.client.mayRepeat(ctx, n+1, err) {
			return false, state{status: read.Status}, nil // it had no effect
		}
		result = read
		return err == nil, state{}, err
	})
	if err != nil {
		return nil, err
	}
	result = result.keeping(o)
	a.orderStatus(ctx, result)
	if result.Status == StatusInvalid {
		return nil, &OrderError{Order: result}
	}
	return result, nil
}

// finalize sends the request once. Where that leaves it open what became of it,
// or the server says that the order is not ready, it reads the order (§7.4); if
// the order shows no effect, it is returned together with the error.
func (a *Account) finalize(ctx context.Context, o *Order, body map[string]any) (*Order, error) {
	sent, resp, err := call[Order](ctx, a, OpFinalize, o.FinalizeURL, body)
	if err == nil {
		sent.received(o.URL, resp)
		return sent, nil
	}
	lost := isTransient(err) || errors.Is(err, ErrMalformedResponse) || errors.Is(err, ErrOrderNotReady)
	if !lost || ctx.Err() != nil {
		return nil, err
	}
	read, lookErr := a.Order(ctx, o.URL)
	switch {
	case lookErr != nil:
		return nil, wrap(series{err, lookErr}, "%s %s", OpFinalize, o.URL)
	case read.Status == StatusReady, read.Status == StatusPending:
		return read, err
	}
	return read, nil
}

// isNotFound reports whether the server says that it does not have a resource.
func isNotFound(err error) bool {
	p, ok := asProblem(err)
	return ok && p.Status == http.StatusNotFound
}
