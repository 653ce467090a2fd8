package acmetest

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// AutoRenewal is what a CA offers of RFC 8739, in [Options].
type AutoRenewal struct {
	MinLifetime time.Duration // of each certificate
	MaxDuration time.Duration // of the series

	// AllowCertificateGet lets certificates be fetched without an account, where the order asks for it (RFC 8739 §3.4).
	AllowCertificateGet bool
}

// meta is the "auto-renewal" object of the directory (RFC 8739 §3.2).
func (a *AutoRenewal) meta() map[string]any {
	m := map[string]any{"min-lifetime": int64(a.MinLifetime.Seconds()), "max-duration": int64(a.MaxDuration.Seconds())}
	if a.AllowCertificateGet {
		m["allow-certificate-get"] = true
	}
	return m
}

// A series is the auto-renewal object of an order, and the certificates issued for it so far.
type series struct {
	start, end       time.Time // start is zero if the order has none
	lifetime, adjust time.Duration
	first            time.Time // nominal renewal date of the first certificate, set when it is issued
	certificates     map[int]*certificate
}

const statusCanceled = "canceled" // RFC 8739 §3.1.2

// parseAutoRenewal reads the auto-renewal object of newOrder (RFC 8739 §3.1.1).
func (s *Server) parseAutoRenewal(o *order, raw json.RawMessage) *refusal {
	body, r := parseMembers(raw, "start-date", "end-date", "lifetime", "lifetime-adjust", "allow-certificate-get")
	if r != nil {
		return r
	}
	if !o.notBefore.IsZero() || !o.notAfter.IsZero() {
		return malformed("notBefore or notAfter in an auto-renewal order (RFC 8739 §3.1.1)")
	}
	end, r := required[time.Time](body, "end-date")
	if r != nil {
		return r
	}
	start, _, r := member[time.Time](body, "start-date")
	if r != nil {
		return r
	}
	lifetime, r := required[int64](body, "lifetime")
	if r != nil {
		return r
	}
	adjust, _, r := member[int64](body, "lifetime-adjust")
	if r != nil {
		return r
	}
	if o.getAllowed, _, r = member[bool](body, "allow-certificate-get"); r != nil {
		return r
	}
	o.series = &series{start: start, end: end, lifetime: time.Duration(lifetime) * time.Second, adjust: time.Duration(adjust) * time.Second}
	return s.checkSeries(o)
}

// checkSeries applies the CA's limits (RFC 8739 §3.2).
func (s *Server) checkSeries(o *order) *refusal {
	q, offer := o.series, s.opts.AutoRenewal
	begin := time.Now()
	if !q.start.IsZero() {
		begin = q.start
	}
	switch {
	case q.lifetime <= 0 || q.adjust < 0 || !q.end.After(begin):
		return malformed("the auto-renewal object makes no sense (RFC 8739 §3.1.1)")
	case q.lifetime < offer.MinLifetime || offer.MaxDuration > 0 && q.end.Sub(begin) > offer.MaxDuration:
		return malformed("the auto-renewal object is not within the limits of the directory (RFC 8739 §3.2)")
	case o.getAllowed && !offer.AllowCertificateGet && o.delegation == nil:
		return malformed("allow-certificate-get, which the directory does not offer (RFC 8739 §3.4)")
	}
	return nil
}

// page is the auto-renewal object of an order.
func (q *series) page(getAllowed bool) map[string]any {
	p := map[string]any{"end-date": stamp(q.end), "lifetime": int64(q.lifetime.Seconds())}
	if !q.start.IsZero() {
		p["start-date"] = stamp(q.start)
	}
	if q.adjust > 0 {
		p["lifetime-adjust"] = int64(q.adjust.Seconds())
	}
	if getAllowed {
		p["allow-certificate-get"] = true
	}
	return p
}

// dates are those of the ith certificate of the series (RFC 8739 §3.5), with half of the lifetime as the server's padding.
func (q *series) dates(i int) (notBefore, notAfter time.Time) {
	nominal := q.first.Add(time.Duration(i) * q.lifetime)
	notBefore = nominal.Add(-max(min(q.lifetime, q.adjust), q.lifetime/2))
	if i == 0 && notBefore.Before(q.start) {
		notBefore = q.start
	}
	if notAfter = nominal.Add(q.lifetime); notAfter.After(q.end) {
		notAfter = q.end
	}
	return notBefore, notAfter
}

// begin issues the first certificate of a series.
func (s *Server) begin(o *order) error {
	q := o.series
	q.certificates = map[int]*certificate{}
	if q.first = time.Now(); q.first.Before(q.start) {
		q.first = q.start
	}
	if !q.first.Before(q.end) {
		return errors.New("end-date has passed")
	}
	if q.end.After(o.expires) {
		o.expires = q.end
	}
	_, err := s.ofSeries(o, 0)
	return err
}

// ofSeries returns the ith certificate of an order, which is issued when it is first asked for.
func (s *Server) ofSeries(o *order, i int) (*certificate, error) {
	if c := o.series.certificates[i]; c != nil {
		return c, nil
	}
	notBefore, notAfter := o.series.dates(i)
	c, err := s.ca().leaf(o, notBefore, notAfter)
	if err != nil {
		return nil, err
	}
	o.series.certificates[i] = c
	s.certList = append(s.certList, c)
	return c, nil
}

// current is the certificate that the star-certificate URL has now (RFC 8739 §3.3): the last one whose notBefore has come.
func (s *Server) current(o *order) (*certificate, *refusal) {
	now := time.Now()
	switch {
	case o.status == statusCanceled:
		return nil, refuse(http.StatusForbidden, "autoRenewalCanceled", "the order was canceled (RFC 8739 §3.1.2)")
	case !now.Before(o.series.end):
		return nil, refuse(http.StatusForbidden, "autoRenewalExpired", "the order has expired (RFC 8739 §3.3)")
	}
	i := 0
	for {
		_, ends := o.series.dates(i)
		if begins, _ := o.series.dates(i + 1); now.Before(begins) || !ends.Before(o.series.end) {
			break
		}
		i++
	}
	c, err := s.ofSeries(o, i)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "serverInternal", "%v", err)
	}
	return c, nil
}

// cancel is RFC 8739 §3.1.2.
func (o *order) cancel(c *call) *refusal {
	body, r := c.payload("status")
	if r != nil {
		return r
	}
	status, r := required[string](body, "status")
	if r != nil {
		return r
	}
	if status != statusCanceled {
		return malformed("an order's status can be changed to %q only, not to %q (RFC 8739 §3.1.2)", statusCanceled, status)
	}
	if o.status != statusValid {
		return violation(http.StatusBadRequest, "autoRenewalCancellationInvalid", "the order is %s (RFC 8739 §3.1.2)", o.status)
	}
	o.status = statusCanceled
	return nil
}
