package acmetest

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// A Fault is something that goes wrong with one request. [Options].Fault chooses it; the zero value changes nothing.
//
// The fields combine. LoseRequest comes first and leaves no room for anything but Delay. Then Problem, or else Status, Body
// and BodyReader, stand in for what the CA would do. If none of those is set, the CA acts; Edit and Truncate work on its
// answer. Header is applied to whatever answer there is, and LoseResponse drops it.
type Fault struct {
	// Delay holds back the answer, or the loss of the connection. The CA has acted by then, so a client that gives up
	// in the meantime does not undo anything.
	Delay time.Duration

	// LoseRequest breaks the connection before the CA has seen the request. The nonce stays good. Over HTTP/1.1, net/http
	// may repeat a GET or HEAD on its own, and hide the loss; it does not repeat a POST.
	LoseRequest bool

	// LoseResponse breaks the connection after the CA has acted.
	LoseResponse bool

	// Problem is answered instead of acting. The HTTP status is Status, or else that of the problem, or else 400. The nonce
	// is used up, and the answer brings a new one.
	Problem *Problem

	// Status, Body and BodyReader are answered instead of acting, status 200 if only a body is set. BodyReader makes the
	// body of each such answer, and may make it endless: it is streamed. There is no Content-Type unless Header has one.
	Status     int
	Body       []byte
	BodyReader func() io.Reader

	// Header is added to the answer and replaces fields of the same name. A field without a value, or with an empty one, is
	// taken out: {"Replay-Nonce": nil}.
	Header http.Header

	// Edit rewrites the answer of the CA, after it acted. h may be changed. A new status and body are returned.
	Edit func(status int, h http.Header, body []byte) (int, []byte)

	// Truncate breaks the connection in the middle of the body: in-process with io.ErrUnexpectedEOF, over TCP with what
	// net/http makes of that.
	Truncate bool
}

// fault asks the options for the fault of a call. There always is one.
func (s *Server) fault(c *call) *Fault {
	s.mu.Lock()
	choose := s.opts.Fault
	s.mu.Unlock()
	if choose != nil {
		if f := choose(c.record.clone()); f != nil {
			return f
		}
	}
	return &Fault{}
}

// replacement is the answer in place of the CA's, nil if the CA shall act.
func (f *Fault) replacement(c *call) *answer {
	switch {
	case f.Problem != nil:
		p := *f.Problem
		a := (&refusal{problem: p}).answer()
		switch {
		case f.Status != 0:
			a.status = f.Status
		case p.Status == 0:
			a.status = http.StatusBadRequest
		}
		return a
	case f.Status == 0 && f.Body == nil && f.BodyReader == nil:
		return nil
	}
	a := &answer{status: f.Status, body: bytes.Clone(f.Body)}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if f.BodyReader != nil {
		a.body, a.stream = nil, f.BodyReader()
	}
	if b, ok := a.stream.(contextReader); ok {
		a.stream = b.withContext(c.ctx)
	}
	return a
}

// rewrite applies what is left of the fault to an answer that is otherwise complete.
func (f *Fault) rewrite(a *answer) {
	if f.Edit != nil && a.stream == nil {
		a.status, a.body = f.Edit(a.status, a.header, a.body)
	}
	a.truncate = f.Truncate
	for name, values := range f.Header {
		name = http.CanonicalHeaderKey(name)
		if len(values) == 0 || values[0] == "" {
			delete(a.header, name)
			continue
		}
		a.header[name] = append([]string(nil), values...)
	}
}
