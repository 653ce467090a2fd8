package acme

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What may be sent again, after an answer was lost or the server failed (5xx).
// The request is signed anew each time, with a new nonce: no JWS is sent twice
// (§6.5). A refusal that did nothing, badNonce or a rate limit, is another
// matter and not bound by this.
type resendRule int

const (
	resendFreely    resendRule = iota // reads, and what has the same effect however often
	resendOnce                        // creates something: a duplicate costs, but is bearable; freely if the CA itself says that it failed
	resendAfterLook                   // the caller must look first what became of it
)

func (op Operation) resendRule() resendRule {
	switch op {
	case OpNewOrder, OpNewAuthz:
		return resendOnce
	case OpFinalize, OpKeyChange, OpRespondChallenge, OpPost:
		return resendAfterLook
	default: // reads, newNonce, newAccount, updates, deactivations, revocations
		return resendFreely
	}
}

// maxBadNonces bounds the tries of one request that the server refuses for its
// nonce. It is high, since each costs one round trip only and some servers
// refuse one nonce in two when they are tested.
const maxBadNonces = 32

// Bounds on Retry-After.
const (
	maxRetryAfter = 7 * 24 * time.Hour // Let's Encrypt's longest limit is a week; more is a mistake or malice
	maxShortWait  = 10 * time.Second   // what DefaultBackoff waits for within a call
)

// DefaultBackoff is the Backoff of a Client that has none. It waits 250 ms,
// then twice as long each time, less up to a third at random, four times at
// most; longer where the server asks for it, up to ten seconds. Where the
// server asks for more it gives up, so that the caller gets the error and the
// time: nothing sleeps for hours inside a call.
func DefaultBackoff(attempt int, retryAfter time.Duration) time.Duration {
	if attempt > 4 || retryAfter > maxShortWait {
		return -1
	}
	d := 250 * time.Millisecond << max(attempt-1, 0)
	d -= rand.N(d / 3)
	return max(d, retryAfter)
}

func (c *Client) backoff(attempt int, retryAfter time.Duration) time.Duration {
	if c.Backoff != nil {
		return c.Backoff(attempt, retryAfter)
	}
	return DefaultBackoff(attempt, retryAfter)
}

// mayRepeat waits before a request is sent again after a look, and reports
// whether it may be: not before the time that the failed answer asked for.
func (c *Client) mayRepeat(ctx context.Context, attempt int, err error) bool {
	var asked time.Duration
	if p, ok := asProblem(err); ok {
		asked = max(time.Until(p.RetryAfter), 0)
	}
	delay := c.backoff(attempt, asked)
	if delay < 0 {
		return false
	}
	delay = max(delay, asked)
	if end, ok := ctx.Deadline(); ok && time.Now().Add(delay).After(end) {
		return false
	}
	return sleep(ctx, delay) == nil
}

// retryAfter reads a Retry-After field (RFC 9110 §10.2.3), seconds or a date. A
// date is judged against the answer's own Date, as far as there is one: clocks
// of appliances are wrong. It returns the zero time for what is absent,
// malformed, negative or past, and never more than maxRetryAfter from now.
func retryAfter(h http.Header, now time.Time) time.Time {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return time.Time{}
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(v, 10, 64); err == nil {
		wait = time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) && v[0] != '-' {
		wait = maxRetryAfter
	} else if date, err := http.ParseTime(v); err == nil {
		reference, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			reference = now
		}
		wait = min(date.Sub(reference), maxRetryAfter)
	}
	if wait <= 0 {
		return time.Time{}
	}
	return now.Add(wait)
}

// sleep waits for d or until ctx ends. The latter is an error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return contextError(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// contextError returns why ctx ended, nil if it has not: the context's error,
// together with its cause if that is another.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return series{err, cause}
}

// Polling: at once, then at intervals that grow by half from 60 ms to 5 s, less
// up to 15 % at random. That is at most twelve polls in the first ten seconds.
const (
	firstPoll = 60 * time.Millisecond
	maxPoll   = 5 * time.Second
)

// pollInterval is the time between poll n and the next, n counting from 0. Where
// the server asks for a time, that is the interval, plus up to 5 % so that
// clients do not come back in step.
func pollInterval(n int, retryAfter time.Time) time.Duration {
	if wait := time.Until(retryAfter); !retryAfter.IsZero() && wait > 0 {
		return wait + rand.N(wait/20+1)
	}
	d := firstPoll
	for range n {
		d = min(d+d/2, maxPoll)
	}
	return d - rand.N(d*15/100)
}

// A state is what a reading of a resource says about when to read it again.
type state struct {
	status     Status
	retryAfter time.Time
	reason     *Problem // what the server says about the delay
}

// wait calls look until it reports that it is done or fails, or ctx ends. It is
// the only loop that waits for something to happen on the server. look gets the
// number of the reading, from 0.
//
// The end of ctx is a WaitError. So is a time to ask again that lies behind the
// end of ctx, at once: the caller can do better than wait for nothing.
func wait(ctx context.Context, url string, look func(n int) (done bool, s state, err error)) error {
	var last state
	for n := 0; ; n++ {
		done, s, err := look(n)
		if err == nil {
			last = s
		}
		ended := contextError(ctx)
		switch {
		case err == nil && done:
			return nil
		case err != nil && ended != nil:
			return last.waitError(url, err)
		case err != nil:
			return err
		}
		if err := pause(ctx, url, last, pollInterval(n, last.retryAfter)); err != nil {
			return err
		}
	}
}

// pause waits for d, between two readings of a resource.
func pause(ctx context.Context, url string, s state, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && !s.retryAfter.IsZero() && time.Now().Add(d).After(end) && ctx.Err() == nil {
		return s.waitError(url, fmt.Errorf("the server asks for more time than there is: %w", context.DeadlineExceeded))
	}
	emit(ctx, func(t *Trace) {
		if t.Wait != nil {
			t.Wait(WaitInfo{URL: url, Status: s.status, Delay: d})
		}
	})
	if err := sleep(ctx, d); err != nil {
		return s.waitError(url, err)
	}
	return nil
}

// pauseUntil waits for the time that an answer asked for, if it did.
func pauseUntil(ctx context.Context, url string, status Status, retryAfter time.Time) error {
	if time.Until(retryAfter) <= 0 {
		return nil
	}
	return pause(ctx, url, state{status: status, retryAfter: retryAfter}, pollInterval(0, retryAfter))
}

func (s state) waitError(url string, err error) error {
	return &WaitError{URL: url, Status: s.status, RetryAfter: s.retryAfter, Reason: s.reason, Err: err}
}

// maxRateLimits bounds how many rate limits a Client remembers.
const maxRateLimits = 1000

// rateLimits remembers which requests the server does not want before a time
// (§6.6), so that they are not sent.
type rateLimits struct {
	mu sync.Mutex
	m  map[limitKey]*Problem
}

// A limitKey is a kind of request: the operation and the account, and for a new
// order its contents, since a server may limit a set of identifiers alone.
type limitKey struct {
	op      Operation
	account string
	payload [sha256.Size]byte
}

func (q *request) limitKey() limitKey {
	key := limitKey{op: q.op, account: q.account}
	switch q.op {
	case OpNewOrder, OpNewAuthz, OpPost, OpPostAsGet:
		key.payload = sha256.Sum256(append([]byte(q.url+"\n"), q.payload...))
	}
	return key
}

// remember notes a problem that says when to come back.
func (l *rateLimits) remember(key limitKey, p *Problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = make(map[limitKey]*Problem)
	}
	if len(l.m) >= maxRateLimits {
		maps.DeleteFunc(l.m, func(_ limitKey, p *Problem) bool { return !p.RetryAfter.After(time.Now()) })
	}
	if len(l.m) < maxRateLimits {
		l.m[key] = p.remembered()
	}
}

// limited returns the problem because of which such a request is not to be sent
// now, or nil.
func (l *rateLimits) limited(key limitKey) *Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.m[key]
	if p == nil || !p.RetryAfter.After(time.Now()) {
		delete(l.m, key)
		return nil
	}
	return p
}

// forget drops what is remembered of a request that was let through.
func (l *rateLimits) forget(key limitKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.m, key)
}

type ignoreLimitsKey struct{}

// IgnoreRateLimits returns a context whose requests are sent although a rate
// limit that the Client remembers forbids it, for a person who knows better: a
// limit that was raised, say.
func IgnoreRateLimits(ctx context.Context) context.Context {
	return context.WithValue(ctx, ignoreLimitsKey{}, true)
}
