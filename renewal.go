package acme

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// A CertID identifies a certificate for renewal information and in
// OrderRequest.Replaces (RFC 9773 §4.1).
type CertID string

// NewCertID returns the identifier of a certificate, which must have an
// authority key identifier.
func NewCertID(cert *x509.Certificate) (CertID, error) {
	if cert == nil || len(cert.AuthorityKeyId) == 0 || cert.SerialNumber == nil {
		return "", wrap(fmt.Errorf("%w: no authority key identifier (RFC 9773 §4.1)", ErrInvalidChain), "certificate identifier")
	}
	serial, err := serialOctets(cert.SerialNumber)
	if err != nil {
		return "", wrap(err, "certificate identifier")
	}
	return CertID(base64url(cert.AuthorityKeyId) + "." + base64url(serial)), nil
}

// Parse returns what the identifier is made of: the certificate's authority key
// identifier and serial number (RFC 9773 §4.1). NewCertID makes the same
// identifier of them again. The error Is ErrInvalidIdentifier.
func (id CertID) Parse() (authorityKeyID []byte, serial *big.Int, err error) {
	first, second, found := strings.Cut(string(id), ".")
	authorityKeyID, err = decodeBase64URL(first)
	octets, err2 := decodeBase64URL(second)
	if found && err == nil && err2 == nil {
		var der []byte
		if der, err = asn1.Marshal(asn1.RawValue{Tag: asn1.TagInteger, Bytes: octets}); err == nil {
			_, err = asn1.Unmarshal(der, &serial)
		}
		if err == nil {
			return authorityKeyID, serial, nil
		}
	}
	return nil, nil, fmt.Errorf("%w: %s is no identifier of a certificate (RFC 9773 §4.1)", ErrInvalidIdentifier, quote(string(id)))
}

// serialOctets are the content octets of the DER integer, with a leading zero
// octet where the sign needs one.
func serialOctets(n *big.Int) ([]byte, error) {
	der, err := asn1.Marshal(n)
	if err != nil {
		return nil, err
	}
	var raw asn1.RawValue
	_, err = asn1.Unmarshal(der, &raw)
	return raw.Bytes, err
}

// A RenewalInfo is a server's advice when to renew a certificate (RFC 9773 §4.2).
type RenewalInfo struct {
	ID             CertID          // of the certificate
	Start, End     time.Time       // of the suggested window
	ExplanationURL string          // for people, if the window has a special reason
	RetryAfter     time.Time       // when to ask again, neither earlier nor much later (RFC 9773 §4.3.2)
	Raw            json.RawMessage `json:",omitzero"`
}

// Moment returns the time in the window at which the holder of a certificate
// renews it. The moments of many holders are spread evenly; that of one holder is
// always the same, as long as the window is, so that a program needs not store
// it. CertID will do for a name.
func (r *RenewalInfo) Moment(holder string) time.Time {
	return spread(r.Start, r.End.Sub(r.Start), holder)
}

// spread returns a time in a period, of which each is as likely as any other for
// a name that is not known.
func spread(start time.Time, period time.Duration, name string) time.Time {
	sum := sha256.Sum256([]byte(name))
	share := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	return start.Add(time.Duration(share * float64(max(period, 0))))
}

// decode reads a renewal information object.
func (r *RenewalInfo) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	window := map[string]json.RawMessage{}
	optional(m["suggestedWindow"], &window)
	*r = RenewalInfo{
		Start:          date(window["start"]),
		End:            date(window["end"]),
		ExplanationURL: text(m["explanationURL"]),
		Raw:            append(json.RawMessage(nil), data...),
	}
	return nil
}

// How long to wait before renewal information is asked for again: RFC 9773 §4.3.2
// and RFC 9773 §4.3.3.
const (
	minAsk     = time.Minute
	maxAsk     = 24 * time.Hour
	defaultAsk = 6 * time.Hour // after an error, or if the server did not say
)

// askAgain returns when the server wants to be asked again, within bounds.
func askAgain(resp *Response, now time.Time) time.Time {
	switch wait := resp.RetryAfter.Sub(now); {
	case resp.RetryAfter.IsZero() && strings.TrimSpace(resp.Header.Get("Retry-After")) != "0":
		return now.Add(defaultAsk)
	case wait < minAsk:
		return now.Add(minAsk)
	default:
		return now.Add(min(wait, maxAsk))
	}
}

// RenewalInfo asks when a certificate should be renewed (RFC 9773 §4.2), which
// must not have expired or been replaced. Servers that have no advice give
// errors.ErrUnsupported, and a window that is none is ErrMalformedResponse:
// neither should stop a renewal. Ask again six hours after any error (RFC 9773
// §4.3.3).
//
// [Client.UpdateRenewal] keeps to all that.
func (c *Client) RenewalInfo(ctx context.Context, id CertID) (*RenewalInfo, error) {
	if _, _, err := id.Parse(); err != nil {
		return nil, wrap(err, "%s", OpRenewalInfo)
	}
	base, err := c.offered(ctx, OpRenewalInfo, func(d *Directory) string { return d.RenewalInfoURL })
	if err != nil {
		return nil, err
	}
	url := strings.TrimSuffix(base, "/") + "/" + string(id)
	resp, err := c.do(ctx, request{op: OpRenewalInfo, method: http.MethodGet, url: url})
	if err != nil {
		return nil, err
	}
	info := new(RenewalInfo)
	if err := resp.decode(info); err != nil {
		return nil, wrap(err, "%s %s", OpRenewalInfo, url)
	}
	if !info.End.After(info.Start) || info.Start.IsZero() {
		return nil, wrap(fmt.Errorf("%w: the suggested window is none", ErrMalformedResponse), "%s %s", OpRenewalInfo, url)
	}
	info.ID, info.RetryAfter = id, askAgain(resp, time.Now())
	attrs := []slog.Attr{urlAttr(url), slog.Time("acme.start", info.Start), slog.Time("acme.end", info.End)}
	if info.ExplanationURL != "" { // which the operator is to see (RFC 9773 §4.2)
		attrs = append(attrs, slog.String("acme.explanation", quoteIfOdd(info.ExplanationURL)))
	}
	c.log(ctx, slog.LevelInfo, "acme: renewal information", attrs...)
	return info, nil
}

// A Renewal is what decides when a certificate is to be renewed: its lifetime,
// the server's advice, and what became of attempts to renew it. It is plain data.
// Store it as JSON with the certificate; a program that starts every minute and
// does what it says asks and renews no more often than one that runs for a year.
//
//	err := client.UpdateRenewal(ctx, &r) // an error is for the log
//	if r.Due(time.Now(), time.Minute) {
//		// Obtain, with OrderRequest.Replaces = r.ID. If that fails: r.Failed(time.Now(), err);
//		// else the new certificate gets a NewRenewal of its own.
//	}
type Renewal struct {
	ID         CertID // empty if the certificate has none, and there is no advice
	NotBefore  time.Time
	NotAfter   time.Time
	ObtainedAt time.Time // when the program got the certificate; zero if it does not know

	Info  *RenewalInfo `json:",omitzero"` // the server's last advice, if it ever gave any
	AskAt time.Time    // when the server is to be asked for advice; zero stands for now

	Failures   int       // attempts to renew that have failed, one after the other
	FailedAt   time.Time // when the last of them did
	RetryAfter time.Time // when the server then wanted the next one, at the earliest
}

// NewRenewal returns the Renewal of a certificate that the program has obtained
// at a time.
func NewRenewal(cert *x509.Certificate, obtainedAt time.Time) Renewal {
	id, _ := NewCertID(cert) // without, there is no advice
	return Renewal{ID: id, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, ObtainedAt: obtainedAt}
}

// At returns when the certificate is to be renewed, as far as is known now: at a
// moment in the window that the server suggests (RFC 9773 §4.2), or else when a
// third of its lifetime is left, half for lifetimes under ten days. Of both the
// certificates of a fleet have their share each.
//
// It is not before the certificate has served for an hour, or a twentieth of its
// lifetime, and advice that was over before the program had the certificate does not
// count: no server is to make a program renew without end. After attempts that
// failed it is not before a pause that doubles each time, from five minutes to half
// a day, less for short lifetimes.
func (r *Renewal) At() time.Time {
	moment, earliest := r.moment(), r.earliest()
	if moment.Before(earliest) {
		return earliest
	}
	return moment
}

func (r *Renewal) lifetime() time.Duration { return r.NotAfter.Sub(r.NotBefore) }

// obtained is since when the program has the certificate. Let's Encrypt dates
// certificates back by an hour, which made cert-manager renew in a loop.
func (r *Renewal) obtained() time.Time {
	if r.ObtainedAt.After(r.NotBefore) {
		return r.ObtainedAt
	}
	return r.NotBefore
}

// moment is when the certificate should be renewed, whatever has happened so far.
func (r *Renewal) moment() time.Time {
	lifetime := r.lifetime()
	if r.Info != nil && r.Info.ID == r.ID && r.ID != "" && r.Info.End.After(r.obtained()) {
		moment := r.Info.Moment(string(r.ID))
		if latest := r.NotAfter.Add(-lifetime / 10); moment.After(latest) {
			return latest // a certificate that has expired is no use, whatever the server suggests
		}
		return moment
	}
	left := lifetime / 3
	if lifetime < 10*24*time.Hour {
		left = lifetime / 2
	}
	return spread(r.NotAfter.Add(-left), lifetime/30, string(r.ID))
}

// earliest is when an attempt may be made, whatever the reason for it.
func (r *Renewal) earliest() time.Time {
	lifetime := r.lifetime()
	earliest := r.obtained().Add(min(time.Hour, lifetime/20))
	if r.Failures <= 0 {
		return earliest
	}
	pause := min(5*time.Minute<<min(r.Failures-1, 10), 12*time.Hour, lifetime/40)
	for _, t := range []time.Time{r.FailedAt.Add(pause), r.RetryAfter} {
		if t.After(earliest) {
			earliest = t
		}
	}
	return earliest
}

// Due reports whether to renew now: if the time has come, or will have come
// before the program looks again, after the interval (RFC 9773 §4.2). A pause after
// a failure is kept to the end.
//
// Clocks are wrong at times, those of appliances that start: what was noted in a future
// that is too far to be true does not count.
func (r *Renewal) Due(now time.Time, interval time.Duration) bool {
	known := r.asOf(now)
	return !known.earliest().After(now) && !known.moment().After(now.Add(interval))
}

// asOf returns what can have been noted until now.
func (r *Renewal) asOf(now time.Time) Renewal {
	known := *r
	drop := func(t *time.Time, limit time.Duration) {
		if t.Sub(now) > limit {
			*t = time.Time{}
		}
	}
	drop(&known.ObtainedAt, 0)
	drop(&known.FailedAt, 0)
	drop(&known.RetryAfter, maxRetryAfter)
	drop(&known.AskAt, maxAsk)
	return known
}

// Failed takes note of an attempt to renew that has failed.
func (r *Renewal) Failed(at time.Time, err error) {
	r.Failures, r.FailedAt = r.Failures+1, at
	r.RetryAfter = latestRetryAfter(err)
}

// latestRetryAfter looks at all problems in an error's tree.
func latestRetryAfter(err error) (latest time.Time) {
	later := func(t time.Time) {
		if t.After(latest) {
			latest = t
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is the walk
	case *Problem:
		later(e.RetryAfter)
	case interface{ Unwrap() error }:
		later(latestRetryAfter(e.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			later(latestRetryAfter(err))
		}
	}
	return latest
}

// UpdateRenewal asks the server for advice, if it is time to (RFC 9773 §4.3), and
// puts it into r. A certificate that has expired is not asked about. An error is
// for the log: what r says without the advice holds, and the server will be asked
// again in six hours. It is no error if the server offers no advice.
func (c *Client) UpdateRenewal(ctx context.Context, r *Renewal) error {
	now := time.Now()
	if r.ID == "" || now.Before(r.asOf(now).AskAt) || !now.Before(r.NotAfter) {
		return nil
	}
	info, err := c.RenewalInfo(ctx, r.ID)
	if err == nil {
		r.Info, r.AskAt = info, info.RetryAfter
		return nil
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // a server that never answers is not asked each minute
		r.AskAt = time.Now().Add(defaultAsk)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
