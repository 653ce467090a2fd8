package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme/internal/weblink"
)

const (
	defaultMaxBody  = 1 << 20
	exchangeTimeout = 2 * time.Minute // of one exchange: certinext takes over 15 s to finalize
	maxLinks        = 100             // of an answer that are looked at
)

// A request is what [Client.do] needs to know to send and repeat a request.
type request struct {
	op      Operation
	method  string
	url     string
	key     *signingKey // nil: unsigned
	account string      // account URL, for kid; empty: jwk
	payload []byte      // empty: POST-as-GET (§6.3)
	accept  string

	target *url.URL // url, parsed and checked
}

// A Response is a successful answer of the server, read completely.
type Response struct {
	URL        string // of the request
	StatusCode int
	Header     http.Header
	Body       []byte
	RetryAfter time.Time // zero if the server did not say

	final *url.URL // where redirects led to; nil: nowhere
}

// Location returns the absolute URL of the Location field, or "".
func (r *Response) Location() string { return resolve(r.base(), r.Header.Get("Location")) }

// Links returns the absolute URLs of the answer's links with the relation type
// (RFC 8288): "next", "alternate", "up", ….
func (r *Response) Links(rel string) []string { return links(r.base(), r.Header, rel) }

// links leaves relative what it has no base for.
func links(base *url.URL, h http.Header, rel string) []string {
	return weblink.Find(h.Values("Link"), rel, base, maxLinks)
}

// base is what relative URLs in the answer are relative to.
func (r *Response) base() *url.URL { return baseOf(r.final, r.URL) }

// baseOf is where redirects led to, or else what was asked (RFC 3986 §5.1.3).
func baseOf(final *url.URL, asked string) *url.URL {
	if final != nil {
		return final
	}
	u, _ := url.Parse(asked) // nil if it is none
	return u
}

// decode reads the body, a JSON object, into v.
func (r *Response) decode(v decoder) error {
	if !isObject(r.Body) {
		return fmt.Errorf("%w: HTTP %d, %s, no JSON object: %s", ErrMalformedResponse, r.StatusCode, quote(r.Header.Get("Content-Type")), quote(string(r.Body)))
	}
	if err := v.decode(r.Body); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformedResponse, err)
	}
	return nil
}

// do sends a request until there is an answer to give to the caller. It is the
// only function that sends anything: each round takes a nonce, signs, sends,
// reads and classifies. The rules for another round are in retry.go.
func (c *Client) do(ctx context.Context, q request) (*Response, error) {
	var err error
	if q.target, err = c.checkURL(q.url); err != nil {
		return nil, wrap(err, "%s", q.op)
	}
	doing := func(err error) error { return wrap(err, "%s %s", q.op, quoteIfOdd(q.url)) }
	key := q.limitKey()
	if p := c.limits.limited(key); p != nil && ctx.Value(ignoreLimitsKey{}) == nil {
		return nil, wrap(p, "%s %s not sent, limited before", q.op, quoteIfOdd(q.url))
	}
	var tries tries
	for {
		nonce, err := c.nonceFor(ctx, &q, &tries)
		if err != nil {
			return nil, err
		}
		resp, err := c.exchange(ctx, &q, nonce)
		if err == nil {
			c.limits.forget(key)
			return resp, nil
		}
		delay, again := c.again(ctx, &q, &tries, resp, err)
		if !again {
			if p, ok := asProblem(err); ok {
				p.repeated = tries.lost
				if isRateLimit(p) && !p.RetryAfter.IsZero() {
					c.limits.remember(key, p)
				}
			}
			if ended := contextError(ctx); ended != nil && !errors.Is(err, ctx.Err()) {
				err = series{ended, err}
			}
			return nil, doing(err)
		}
		c.retrying(ctx, &q, &tries, delay, err)
		if ended := sleep(ctx, delay); ended != nil {
			return nil, doing(series{ended, err})
		}
	}
}

// nonceFor returns the nonce for the next round, "" for unsigned requests. After
// a badNonce that is the one that came with it, and no other (§6.5); the pool
// may be as stale as the nonce that was refused.
func (c *Client) nonceFor(ctx context.Context, q *request, t *tries) (string, error) {
	if q.key == nil {
		return "", nil
	}
	nonce, refused := t.nonce, t.refused
	t.nonce, t.refused = "", false
	if !refused {
		nonce = c.nonces.take()
	}
	if nonce == "" {
		var err error
		if nonce, err = c.newNonce(ctx); err != nil {
			return "", err
		}
	}
	if nonce == t.last { // a cache between us and the server; it would be the same JWS
		return "", wrap(fmt.Errorf("%w: it gives the same one again", ErrNoNonce), "%s %s", q.op, quoteIfOdd(q.url))
	}
	t.last = nonce
	return nonce, nil
}

// tries counts why a request had to be repeated.
type tries struct {
	badNonces, failures int
	lost                bool   // what was sent again may have been acted upon
	refused             bool   // the last answer was badNonce
	nonce               string // that came with it, if one did
	last                string // that was sent
}

// again decides whether a request is sent once more after err, and when. If that is
// a Problem, resp has it.
func (c *Client) again(ctx context.Context, q *request, t *tries, resp *Response, err error) (time.Duration, bool) {
	if ctx.Err() != nil {
		return 0, false
	}
	var wait time.Duration
	p, ok := asProblem(err)
	switch {
	case ok && p.Type == ErrBadNonce && q.key != nil:
		t.badNonces++
		t.refused, t.nonce = true, ""
		if n := resp.Header.Get("Replay-Nonce"); isNonce(n) {
			t.nonce = n
		}
		return 0, t.badNonces < maxBadNonces
	case ok && isRateLimit(p):
		if p.RetryAfter.IsZero() {
			return 0, false // no invitation to try again
		}
		wait = time.Until(p.RetryAfter)
	case isTransient(err):
		// A problem document is the CA's own word that nothing came of it: step-ca
		// fails for some of the orders that are made at once.
		certain := ok && p.Type != ""
		if rule := q.op.resendRule(); rule == resendAfterLook || rule == resendOnce && t.failures > 0 && !certain {
			return 0, false
		}
		if ok && !p.RetryAfter.IsZero() {
			wait = time.Until(p.RetryAfter)
		}
	default:
		return 0, false
	}
	t.failures++
	delay := c.backoff(t.failures, max(wait, 0))
	if delay < 0 {
		return 0, false
	}
	delay = max(delay, wait)
	if end, ok := ctx.Deadline(); ok && time.Now().Add(delay).After(end) {
		return 0, false // this error says more than the deadline's
	}
	t.lost = t.lost || isTransient(err)
	return delay, true
}

func (c *Client) retrying(ctx context.Context, q *request, t *tries, delay time.Duration, err error) {
	attempt := t.badNonces + t.failures
	level := slog.LevelWarn
	if p, ok := asProblem(err); ok && p.Type == ErrBadNonce {
		level = slog.LevelDebug // daily business
	}
	c.log(ctx, level, "acme: sending again", opAttr(q.op), urlAttr(q.url), slog.Int("acme.attempt", attempt), slog.Duration("acme.delay", delay), errAttr(err))
	emit(ctx, func(t *Trace) {
		if t.Retry != nil {
			t.Retry(RetryInfo{Operation: q.op, URL: q.url, Attempt: attempt, Delay: delay, Err: err})
		}
	})
}

// exchange sends one request and reads the answer. Its error is a *Problem if
// the server answered with an error, a *lostError if there was no answer that
// could be read, and anything else if nothing will help.
func (c *Client) exchange(ctx context.Context, q *request, nonce string) (*Response, error) {
	start := time.Now()
	info := RequestInfo{Operation: q.op, Method: q.method, URL: q.url}
	resp, err := c.roundTrip(ctx, q, nonce)
	if resp != nil {
		info.StatusCode = resp.StatusCode
	}
	if err == nil && resp.StatusCode >= 300 {
		if resp.StatusCode < 400 {
			err = fmt.Errorf("%w: HTTP %d to %s", ErrRedirect, resp.StatusCode, quote(resp.Header.Get("Location")))
		} else {
			err = problemOf(q.op, resp).without(nonce)
		}
	}
	if resp != nil && q.op != OpNewNonce {
		if p, ok := asProblem(err); !ok || p.Type != ErrBadNonce {
			c.nonces.put(resp.Header.Get("Replay-Nonce"))
		}
	}
	info.Duration, info.Err = time.Since(start), err
	attrs := []slog.Attr{opAttr(q.op), urlAttr(q.url), slog.Int("acme.http_status", info.StatusCode), slog.Duration("acme.duration", info.Duration)}
	if err != nil {
		attrs = append(attrs, errAttr(err))
	}
	c.log(ctx, slog.LevelDebug, "acme: request", attrs...)
	emit(ctx, func(t *Trace) {
		if t.Request != nil {
			t.Request(info)
		}
	})
	return resp, err
}

// roundTrip signs, sends and reads. A response without its body comes with an
// error.
func (c *Client) roundTrip(ctx context.Context, q *request, nonce string) (*Response, error) {
	var body []byte
	if q.key != nil {
		var err error
		if body, err = q.key.sign(q.payload, q.url, nonce, q.account); err != nil {
			return nil, err
		}
	}
	ctx = context.WithValue(ctx, operationKey{}, q.op)
	timed, cancel := context.WithTimeoutCause(ctx, exchangeTimeout, errors.New("no answer within "+exchangeTimeout.String()))
	defer cancel()
	hresp, err := c.httpClient().Do(c.newHTTPRequest(q, body).WithContext(timed))
	if err != nil {
		return nil, c.lost(ctx, timed, err)
	}
	defer hresp.Body.Close() //nolint:errcheck // read only
	resp := &Response{URL: q.url, StatusCode: hresp.StatusCode, Header: hresp.Header, RetryAfter: retryAfter(hresp.Header, time.Now())}
	if r := hresp.Request; r != nil && r.Response != nil { // a redirect made it
		resp.final = r.URL
	}
	if resp.StatusCode < http.StatusOK { // 101: the body is the connection, which no context ends
		return resp, fmt.Errorf("%w: HTTP %d", ErrMalformedResponse, resp.StatusCode)
	}
	limit := c.maxBody(q)
	resp.Body, err = io.ReadAll(io.LimitReader(hresp.Body, limit+1))
	tooLarge := int64(len(resp.Body)) > limit
	switch {
	case resp.StatusCode >= 400: // whatever can be read will do
		resp.Body = resp.Body[:min(int64(len(resp.Body)), limit)]
	case err != nil:
		return resp, c.lost(ctx, timed, fmt.Errorf("reading the answer: %w", err))
	case tooLarge:
		return resp, fmt.Errorf("%w: more than %d octets", ErrResponseTooLarge, limit)
	}
	return resp, nil
}

func (c *Client) maxBody(q *request) int64 {
	limit := c.MaxBodyBytes
	if limit <= 0 {
		limit = defaultMaxBody
	}
	limit = min(limit, math.MaxInt64/4-1)
	if q.op == OpCertificate {
		limit *= 4
	}
	return limit
}

// newHTTPRequest has no GetBody: net/http must not send a JWS a second time
// (§6.5).
func (c *Client) newHTTPRequest(q *request, body []byte) *http.Request {
	hr := &http.Request{Method: q.method, URL: q.target, Host: q.target.Host, Header: http.Header{}, Body: http.NoBody}
	if body != nil {
		hr.Body, hr.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	hr.Header.Set("User-Agent", c.userAgent())
	hr.Header.Set("Accept-Language", c.language())
	if q.accept != "" {
		hr.Header.Set("Accept", q.accept)
	}
	if q.key != nil {
		hr.Header.Set("Content-Type", "application/jose+json")
	}
	if q.op == OpNewNonce {
		hr.Header.Set("Cache-Control", "no-store") // §7.2
	}
	return hr
}

// A lostError says that a request may or may not have reached the server, which
// gave no answer that could be read.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// lost classifies an error of net/http.
func (c *Client) lost(ctx, timed context.Context, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // the caller names the URL
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ctx.Err() != nil:
		return contextError(ctx)
	case timed.Err() != nil:
		return &lostError{contextError(timed)}
	case errors.Is(err, ErrRedirect), errors.Is(err, ErrInsecureURL), untrusted:
		return err // it will not get better
	case strings.HasPrefix(err.Error(), "net/http: invalid"):
		return err // the caller's header values
	}
	return &lostError{err}
}

// asProblem finds the Problem in err's tree that answered a request.
func asProblem(err error) (*Problem, bool) { return errors.AsType[*Problem](err) }

func isRateLimit(p *Problem) bool {
	return p.Status == http.StatusTooManyRequests || p.Type == ErrRateLimited
}

// isTransient reports whether err says that the request may or may not have
// been acted upon: its answer was lost, or the server failed.
func isTransient(err error) bool {
	if _, ok := errors.AsType[*lostError](err); ok {
		return true
	}
	p, ok := asProblem(err)
	return ok && p.Status >= 500 && p.Status != http.StatusNotImplemented
}
