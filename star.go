package acme

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// An AutoRenewal asks the server for a series of short-term certificates, each of
// which it makes available before the one before ends: a STAR order (RFC 8739
// §3.1.1). Short-term certificates need no revocation: the order is canceled
// ([Account.CancelOrder]). Order shortly before StartDate: the series is a promise
// that is harder to take back the longer it is made in advance (RFC 8739 §6.1).
type AutoRenewal struct {
	StartDate time.Time // of the first certificate's validity; zero stands for as soon as possible
	EndDate   time.Time // of the last certificate's validity

	// Lifetime is how long each certificate is valid, in whole seconds. Zero stands
	// for four days, which is the most that a certificate for the Web should have
	// (RFC 8739 §4.1), or the server's minimum, if that is more.
	Lifetime time.Duration

	// LifetimeAdjust dates each certificate back, for clients whose clocks are slow.
	LifetimeAdjust time.Duration
}

const (
	starLifetime     = 4 * 24 * time.Hour // RFC 8739 §4.1
	starFarInAdvance = 7 * 24 * time.Hour
)

// An AutoRenewalMeta is what a server offers of auto-renewal (RFC 8739 §3.2).
type AutoRenewalMeta struct {
	MinLifetime         time.Duration
	MaxDuration         time.Duration // from StartDate to EndDate; zero: the server set no limit
	AllowCertificateGet bool          // see OrderRequest.AllowCertificateGet
}

// check finds what a server must refuse (RFC 8739 §3.1.1).
func (r *AutoRenewal) check(now time.Time) error {
	start := now
	if r.StartDate.After(now) {
		start = r.StartDate
	}
	var what string
	switch {
	case r.EndDate.IsZero():
		what = "AutoRenewal has no EndDate"
	case !r.EndDate.After(start):
		what = "EndDate of AutoRenewal is not after its StartDate, or past"
	case r.Lifetime < 0 || r.LifetimeAdjust < 0 || r.Lifetime%time.Second != 0 || r.LifetimeAdjust%time.Second != 0:
		what = "Lifetime and LifetimeAdjust are whole seconds, and not negative"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s (RFC 8739 §3.1.1)", ErrInvalidOrderRequest, what)
}

// autoRenewal makes the auto-renewal object for a server that offers meta. A server
// that delegates names need not say what it offers, as it is the CA behind it
// that issues (RFC 9115 §2.3.4).
func (r *OrderRequest) autoRenewal(meta *AutoRenewalMeta, now time.Time) (map[string]any, error) {
	if meta == nil && r.Delegation == "" {
		return nil, unsupported("the server does not renew certificates by itself (RFC 8739 §3.2)")
	}
	if meta == nil {
		meta = &AutoRenewalMeta{AllowCertificateGet: true}
	}
	a := *r.AutoRenewal
	if a.Lifetime == 0 {
		a.Lifetime = max(starLifetime, meta.MinLifetime)
	}
	start := a.StartDate
	if start.IsZero() {
		start = now
	}
	if a.Lifetime < meta.MinLifetime {
		return nil, fmt.Errorf("%w: Lifetime of AutoRenewal is %v, the server wants %v at least (RFC 8739 §3.2)", ErrInvalidOrderRequest, a.Lifetime, meta.MinLifetime)
	}
	if d := a.EndDate.Sub(start); meta.MaxDuration > 0 && d > meta.MaxDuration {
		return nil, fmt.Errorf("%w: AutoRenewal is for %v, the server admits %v at most (RFC 8739 §3.2)", ErrInvalidOrderRequest, d, meta.MaxDuration)
	}
	object := map[string]any{"end-date": timestamp(a.EndDate), "lifetime": int64(a.Lifetime / time.Second)}
	if !a.StartDate.IsZero() {
		object["start-date"] = timestamp(a.StartDate)
	}
	if a.LifetimeAdjust > 0 {
		object["lifetime-adjust"] = int64(a.LifetimeAdjust / time.Second)
	}
	if r.AllowCertificateGet && (meta.AllowCertificateGet || r.Delegation != "") {
		object["allow-certificate-get"] = true
	}
	return object, nil
}

// decodeAutoRenewal reads what an order has of RFC 8739, and of RFC 9115, which uses
// the same members one level up.
func (o *Order) decodeAutoRenewal(m map[string]json.RawMessage) {
	o.StarCertificateURL = link(m["star-certificate"])
	optional(m["allow-certificate-get"], &o.AllowCertificateGet)
	var object map[string]json.RawMessage
	if optional(m["auto-renewal"], &object); object == nil {
		return
	}
	o.AutoRenewal = &AutoRenewal{
		StartDate:      date(object["start-date"]),
		EndDate:        date(object["end-date"]),
		Lifetime:       seconds(object["lifetime"]),
		LifetimeAdjust: seconds(object["lifetime-adjust"]),
	}
	optional(object["allow-certificate-get"], &o.AllowCertificateGet)
}

// decodeAutoRenewal reads what a directory has of RFC 8739.
func (d *DirectoryMeta) decodeAutoRenewal(raw json.RawMessage) {
	var object map[string]json.RawMessage
	if optional(raw, &object); object == nil {
		return
	}
	d.AutoRenewal = &AutoRenewalMeta{MinLifetime: seconds(object["min-lifetime"]), MaxDuration: seconds(object["max-duration"])}
	optional(object["allow-certificate-get"], &d.AutoRenewal.AllowCertificateGet)
}

// seconds reads a number of seconds; anything else is zero.
func seconds(raw json.RawMessage) time.Duration {
	var n int64
	optional(raw, &n)
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Second))) * time.Second
}

// NextAt returns when the next certificate of the series will be available at the
// latest, if the current one ends at notAfter: halfway through its lifetime, or
// earlier by the adjustment (RFC 8739 §3.5). It is zero for the last one. Use the
// values of [Order].AutoRenewal, as the server may have changed them.
func (r *AutoRenewal) NextAt(notAfter time.Time) time.Time {
	if !notAfter.Before(r.EndDate) {
		return time.Time{}
	}
	return notAfter.Add(-max(min(r.Lifetime, r.LifetimeAdjust), r.Lifetime/2))
}

// OrderCertificate downloads the certificate of a valid order (§7.4.2): of an
// auto-renewal order the current one of the series, which changes with time (RFC
// 8739 §3.3). Where the server has agreed to that, it does so without the account,
// since a delegated certificate is at a CA that does not know it (RFC 9115 §2.3.2).
//
// ErrAutoRenewalExpired and ErrAutoRenewalCanceled say that the series has ended.
func (a *Account) OrderCertificate(ctx context.Context, o *Order) (*Certificate, error) {
	url := o.StarCertificateURL
	if url == "" {
		url = o.CertificateURL
	}
	if url == "" {
		return nil, wrap(fmt.Errorf("%w: it is %s and has no certificate", ErrMalformedResponse, quoteIfOdd(string(o.Status))), "order %s", o.URL)
	}
	if o.AllowCertificateGet {
		return a.client.Certificate(ctx, url)
	}
	return a.Certificate(ctx, url)
}

// CancelOrder ends the series of certificates of an auto-renewal order (RFC 8739
// §3.1.2), which must be valid; any other is ErrNotCancelable, and nothing is
// sent. The current certificate is not revoked: it ends by itself. The order
// returned is canceled.
func (a *Account) CancelOrder(ctx context.Context, o *Order) (*Order, error) {
	if o.Status != StatusValid || o.AutoRenewal == nil && o.StarCertificateURL == "" {
		return nil, wrap(fmt.Errorf("%w, and this is %s (RFC 8739 §3.1.2)", ErrNotCancelable, quoteIfOdd(string(o.Status))), "%s %s", OpCancelOrder, o.URL)
	}
	canceled, resp, err := call[Order](ctx, a, OpCancelOrder, o.URL, map[string]any{"status": StatusCanceled})
	if p, ok := asProblem(err); ok && p.repeated && p.Type == ErrAutoRenewalCancellationInvalid {
		canceled, resp, err = call[Order](ctx, a, OpOrder, o.URL, nil) // the first try, whose answer was lost, had done it
	}
	if err != nil {
		return nil, err
	}
	canceled.received(o.URL, resp)
	if canceled.Status != StatusCanceled {
		return nil, wrap(fmt.Errorf("%w: its status is still %s", ErrMalformedResponse, quote(string(canceled.Status))), "%s %s", OpCancelOrder, o.URL)
	}
	canceled = canceled.keeping(o)
	a.orderStatus(ctx, canceled)
	return canceled, nil
}
