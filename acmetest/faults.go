package acmetest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// FaultOnce returns an [Options].Fault that hits the first request of a kind; the very first for kind "".
func FaultOnce(kind Kind, f Fault) func(Request) *Fault { return FaultKind(kind, 1, f) }

// FaultKind returns an [Options].Fault that hits the first n requests of a kind, or of all kinds for kind "".
func FaultKind(kind Kind, n int, f Fault) func(Request) *Fault {
	var seen atomic.Int64
	return func(r Request) *Fault {
		if matches(kind, r) && seen.Add(1) <= int64(n) {
			return &f
		}
		return nil
	}
}

// FaultAlways returns an [Options].Fault that hits every request of a kind, or of all kinds for kind "".
func FaultAlways(kind Kind, f Fault) func(Request) *Fault {
	return func(r Request) *Fault {
		if matches(kind, r) {
			return &f
		}
		return nil
	}
}

// FaultAt returns an [Options].Fault that hits the nth request, whatever it is. The first is 1.
func FaultAt(n int, f Fault) func(Request) *Fault {
	var seen atomic.Int64
	return func(Request) *Fault {
		if seen.Add(1) == int64(n) {
			return &f
		}
		return nil
	}
}

// FaultEvery returns an [Options].Fault that hits every nth request of a kind, or of all kinds for kind "".
func FaultEvery(kind Kind, n int, f Fault) func(Request) *Fault {
	var seen atomic.Int64
	return func(r Request) *Fault {
		if matches(kind, r) && seen.Add(1)%int64(n) == 0 {
			return &f
		}
		return nil
	}
}

// FaultSequence returns an [Options].Fault that hits the requests of a kind with one fault after the other. A zero Fault is a
// request that goes well, as are those after the last fault.
func FaultSequence(kind Kind, faults ...Fault) func(Request) *Fault {
	var seen atomic.Int64
	return func(r Request) *Fault {
		if !matches(kind, r) {
			return nil
		}
		if i := seen.Add(1) - 1; i < int64(len(faults)) {
			return &faults[i]
		}
		return nil
	}
}

// Faults returns an [Options].Fault that asks all of choose, so that each can count, and takes the first fault.
func Faults(choose ...func(Request) *Fault) func(Request) *Fault {
	return func(r Request) (first *Fault) {
		for _, c := range choose {
			if f := c(r); first == nil {
				first = f
			}
		}
		return first
	}
}

func matches(kind Kind, r Request) bool { return kind == "" || r.Kind == kind }

// RateLimited is the fault of a client that asks too often: status 429, type rateLimited and a Retry-After in seconds
// (§6.6). There is no Retry-After if after is 0.
func RateLimited(after time.Duration) Fault {
	f := Fault{Problem: &Problem{
		Type:   ErrorURN + "rateLimited",
		Detail: "too many requests",
		Status: http.StatusTooManyRequests,
	}}
	if after > 0 {
		f.Header = http.Header{"Retry-After": {strconv.Itoa(int(after.Seconds()))}}
	}
	return f
}

// HTMLError is the fault of a proxy in front of the CA: a page of text/html, without problem document, nonce and links.
func HTMLError(status int) Fault {
	return Fault{
		Status: status,
		Body:   []byte("<html><head><title>" + http.StatusText(status) + "</title></head><body><h1>Sorry</h1></body></html>\n"),
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Replay-Nonce": nil, "Link": nil},
	}
}

// EditJSON is a fault that changes the members of a JSON object in the CA's answer: it leaves one out, or misspells it.
// Answers that are no JSON objects stay as they are.
func EditJSON(edit func(members map[string]any)) Fault {
	return Fault{Edit: func(status int, _ http.Header, body []byte) (int, []byte) {
		var members map[string]any
		if json.Unmarshal(body, &members) != nil || members == nil {
			return status, body
		}
		edit(members)
		edited, err := json.Marshal(members)
		if err != nil {
			panic("acmetest: EditJSON: " + err.Error()) // edit put in what is no JSON
		}
		return status, edited
	}}
}

// EndlessBody is a [Fault].BodyReader: pattern, again and again, for ever.
func EndlessBody(pattern string) func() io.Reader {
	if pattern != "" {
		pattern = strings.Repeat(pattern, 1+4096/len(pattern)) // for speed
	}
	return func() io.Reader { return &endless{pattern: pattern} }
}

type endless struct {
	pattern string
	at      int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.pattern == "" {
		return 0, io.EOF
	}
	n := copy(p, e.pattern[e.at:])
	e.at = (e.at + n) % len(e.pattern)
	return n, nil
}

// SlowBody is a [Fault].BodyReader: body, one byte at a time, each after a pause. It ends early with the request.
func SlowBody(body []byte, pause time.Duration) func() io.Reader {
	return func() io.Reader { return &slow{body: body, pause: pause} }
}

// A contextReader wants to know the context of the request it is read for.
type contextReader interface {
	withContext(ctx context.Context) io.Reader
}

type slow struct {
	ctx   context.Context //nolint:containedctx // io.Reader has no room for it
	body  []byte
	pause time.Duration
}

func (s *slow) withContext(ctx context.Context) io.Reader {
	s.ctx = ctx
	return s
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.body) == 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if s.ctx == nil { // read by something else than a server
		<-time.After(s.pause)
	} else if err := wait(s.ctx, s.pause); err != nil {
		return 0, err
	}
	p[0], s.body = s.body[0], s.body[1:]
	return 1, nil
}
