package pebble

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letsencrypt/pebble/v2/core"
)

// Pebble locks an order for writing in two goroutines of its own: when a
// validation has failed, and when the certificate is there. Right before, with
// no lock held, it writes a line to its log. That is where such a goroutine
// can be stopped until no request is inside the gate, and so it is: the logger
// that it writes to is ours. The goroutine enters the gate there. It leaves
// when it writes its next line or, where it writes none, when a goroutine of
// ours sees that it is through. Nothing that is inside the gate writes to these
// loggers but the steps themselves, so none waits for the lock of a logger.

// stepTimeout bounds the time that requests are kept out for a background
// step, which takes microseconds, and that finalize waits for a certificate.
// If it is ever reached, Pebble's log has changed.
const stepTimeout = time.Minute

// lines is an [io.Writer] that calls itself with each line.
type lines func(string)

func (l lines) Write(p []byte) (int, error) {
	l(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// logger returns a logger for a part of Pebble, that calls hook, if there is
// one, with each line after it is logged.
func (f *front) logger(part string, hook func(line string)) *log.Logger {
	return log.New(lines(func(line string) {
		f.log(part, line)
		if hook != nil {
			hook(line)
		}
	}), "", 0)
}

// log passes a line on, if somebody wants it and the server is not closed.
func (f *front) log(part, line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.logging {
		f.opts.Log.Print(part, ": ", line)
	}
}

// failed is called with each line of the VA's log. There is one before and one
// after it locks an order to put down that a validation has failed.
func (f *front) failed(line string) {
	var authz, challenge, order string
	if n, _ := fmt.Sscanf(line, "authz %s set INVALID by completed challenge %s", &authz, &challenge); n == 2 {
		f.beginStep(authz)
	}
	if n, _ := fmt.Sscanf(line, "order %s set INVALID by invalid authz %s", &order, &authz); n == 2 {
		f.endStep(authz)
	}
}

// beginStep enters the gate until endStep is called with the same name.
func (f *front) beginStep(name string) {
	if !f.gate.enterBackground() {
		return
	}
	leave := sync.OnceFunc(f.gate.leaveBackground)
	timer := time.AfterFunc(stepTimeout, leave)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps[name] = func() {
		timer.Stop()
		leave()
	}
}

func (f *front) endStep(name string) {
	f.mu.Lock()
	end := f.steps[name]
	delete(f.steps, name)
	f.mu.Unlock()
	if end != nil {
		end()
	}
}

// leaveWhen leaves the gate for a background step when through returns true.
func (f *front) leaveWhen(through func() bool) {
	watch := func() {
		defer f.gate.leaveBackground()
		deadline := time.Now().Add(stepTimeout)
		for !through() && time.Now().Before(deadline) {
			select {
			case <-time.After(20 * time.Microsecond):
			case <-f.done:
				return
			}
		}
	}
	if !f.crew.join() {
		f.gate.leaveBackground()
		return
	}
	go func() {
		defer f.crew.leave()
		watch()
	}()
}

// An issue is an order between finalize and the certificate.
type issue struct {
	order          *core.Order
	authorizations []*core.Authorization
	checked        atomic.Bool // the CA has looked at these for the last time

	seen    chan struct{} // closed by setSeen, when the order was fetched
	setSeen func()
	over    chan struct{} // closed by setOver, when finalize may be answered
	setOver func()
}

func newIssue(order *core.Order) *issue {
	seen, over := make(chan struct{}), make(chan struct{})
	return &issue{
		order: order, authorizations: order.AuthorizationObjects, // which never change
		seen: seen, setSeen: sync.OnceFunc(func() { close(seen) }),
		over: over, setOver: sync.OnceFunc(func() { close(over) }),
	}
}

// finalize serves a finalize request and, unless processing is to be seen,
// waits for the certificate.
func (f *front) finalize(r *request, id string) *answer {
	a, pending := f.begin(r, id)
	if pending == nil || f.opts.ShowProcessing {
		return a
	}
	timer := time.NewTimer(stepTimeout)
	defer timer.Stop()
	select {
	case <-pending.over:
	case <-timer.C:
	case <-r.Context().Done():
	case <-f.done:
	}
	return a
}

// begin lets Pebble begin to issue.
func (f *front) begin(r *request, id string) (*answer, *issue) {
	if !f.gate.enter() {
		return nil, nil
	}
	defer f.gate.leave()
	order := f.store.GetOrderByID(id)
	if order == nil || f.issue(id) != nil {
		return r.serve(f.pebble), nil
	}
	pending := newIssue(order)
	f.mu.Lock()
	f.issues[id] = pending
	f.mu.Unlock()
	a := r.serve(f.pebble)
	if a.code != http.StatusOK {
		f.forget(id)
		return a, nil
	}
	return a, pending
}

func (f *front) issue(id string) *issue {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.issues[id]
}

func (f *front) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.issues, id)
}

// order serves a request for an order, and takes down that it was seen.
func (f *front) order(r *request, id string) *answer {
	pending := f.issue(id)
	a := f.alone(r, f.pebble)
	if a != nil && a.code == http.StatusOK && pending != nil {
		pending.setSeen()
	}
	return a
}

// issued is called with each line of the CA's log.
func (f *front) issued(line string) {
	if strings.HasPrefix(line, "Error: unable to issue order") {
		f.unissued()
		return
	}
	var serial, id string
	if n, _ := fmt.Sscanf(line, "Issued certificate serial %s for order %s", &serial, &id); n != 2 {
		return
	}
	pending := f.issue(id)
	if pending == nil {
		return
	}
	pending.checked.Store(true)
	if f.opts.ShowProcessing {
		f.waitSeen(pending)
	}
	if !f.gate.enterBackground() {
		return
	}
	f.leaveWhen(func() bool {
		if !f.stored(pending.order) {
			return false
		}
		f.forget(id)
		pending.setOver()
		return true
	})
}

// waitSeen waits for the order to be fetched, but not for ever.
func (f *front) waitSeen(pending *issue) {
	timer := time.NewTimer(time.Duration(f.opts.RetryAfterOrder+1) * time.Second)
	defer timer.Stop()
	select {
	case <-pending.seen:
	case <-timer.C:
	case <-f.done:
	}
}

// unissued answers those who wait. The log does not say which order it is that
// will be processing for ever; to answer the others early does no harm.
func (f *front) unissued() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pending := range f.issues {
		pending.checked.Store(true)
		pending.setOver()
	}
}

// needed reports whether the CA is still to look at an authorization.
func (f *front) needed(authz *core.Authorization) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pending := range f.issues {
		if !pending.checked.Load() && slices.Contains(pending.authorizations, authz) {
			return true
		}
	}
	return false
}

// stored reports whether all is done that Pebble does for an order once the
// certificate is there: it has it, it can be found by it, and the order that
// it replaces is marked as replaced.
func (f *front) stored(order *core.Order) bool {
	order.RLock()
	certificate, replaces := order.CertificateObject, order.Replaces
	order.RUnlock()
	if certificate == nil {
		return false
	}
	if _, err := f.store.GetOrderByIssuedSerial(certificate.ID); err != nil {
		return false
	}
	if replaces == "" {
		return true
	}
	_, serial, _ := strings.Cut(replaces, ".")
	octets, err := base64.RawURLEncoding.DecodeString(serial)
	if err != nil {
		return true
	}
	replaced, err := f.store.GetOrderByIssuedSerial(hex.EncodeToString(octets))
	if err != nil {
		return true
	}
	replaced.RLock()
	defer replaced.RUnlock()
	return replaced.IsReplaced
}
