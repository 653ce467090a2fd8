package pebble

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letsencrypt/pebble/v2/acme"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
)

// The paths of those of Pebble's resources that need care. It keeps their
// names to itself; TestPaths compares.
const (
	newOrderPath  = "/order-plz"
	orderPath     = "/my-order/"
	finalizePath  = "/finalize-order/"
	authzPath     = "/authZ/"
	challengePath = "/chalZ/"
	keyChangePath = "/rollover-account-key"
)

// maxBody is the largest request that is read.
const maxBody = 1 << 20

// The front is the handler in front of Pebble's own. Pebble's store, its
// orders, authorizations and challenges each have a read-write lock, and
// Pebble takes them in different orders:
//
//   - newOrder, order, finalize and the list of orders read-lock the store and
//     wait for authorizations and orders inside;
//   - a request for an authorization locks that and waits for the store;
//   - a validation that fails locks the order and may wait for the store;
//   - a request for an order read-locks it twice, one inside the other;
//   - an authorization that is shown when it is no longer pending leaves all
//     its challenges but one read-locked for ever.
//
// A writer that waits for the store, or for an order, between two of these
// makes a deadlock that stops the whole server. The front therefore lets in
// one request at a time, and keeps it apart from the two background steps that
// lock an order for writing (see background.go). Requests that would lock a
// challenge which is locked for ever are refused here, or wait.
type front struct {
	pebble http.Handler
	store  *db.MemoryStore
	opts   Options
	gate   *gate
	crew   *crew
	done   chan struct{} // closed by close

	requests   atomic.Int64
	validating []*core.Challenge // answered, and perhaps validated since; for those inside the gate

	mu      sync.Mutex
	logging bool
	issues  map[string]*issue // by order
	steps   map[string]func() // background steps inside the gate, and how they leave
}

func newFront(o Options, store *db.MemoryStore, c *crew) *front {
	return &front{
		store:   store,
		opts:    o,
		gate:    newGate(),
		crew:    c,
		done:    make(chan struct{}),
		logging: o.Log != nil,
		issues:  make(map[string]*issue),
		steps:   make(map[string]func()),
	}
}

// close ends all waiting. It is called once.
func (f *front) close() {
	close(f.done)
	f.gate.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logging = false
}

// A request is one that was read, so that it can be looked at and served
// without waiting for anybody.
type request struct {
	*http.Request
	body []byte
	jws  struct{ Protected, Payload string }
}

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.requests.Add(1)
	f.serve(w, r, f.route)
}

// gated puts the gate before the management interface.
func (f *front) gated(h http.Handler) http.Handler {
	alone := func(r *request) *answer { return f.alone(r, h) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, alone) })
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, handle func(*request) *answer) {
	if !f.crew.join() {
		panic(http.ErrAbortHandler)
	}
	defer f.crew.leave()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the request cannot be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	req := &request{Request: r, body: body}
	_ = json.Unmarshal(body, &req.jws) // if it is none, Pebble will say so
	a := handle(req)
	if a == nil { // closed, or the client is gone
		panic(http.ErrAbortHandler)
	}
	a.send(w)
}

// route serves a request to the ACME server. The answer is nil when the
// client cannot receive one any more.
func (f *front) route(r *request) *answer {
	id := path.Base(r.URL.Path)
	switch {
	case r.Method != http.MethodPost:
	case r.URL.Path == newOrderPath:
		return f.newOrder(r)
	case strings.HasPrefix(r.URL.Path, orderPath):
		return f.order(r, id)
	case strings.HasPrefix(r.URL.Path, finalizePath):
		return f.finalize(r, id)
	case strings.HasPrefix(r.URL.Path, challengePath) && r.jws.Payload != "":
		return f.challenge(r, id)
	case strings.HasPrefix(r.URL.Path, authzPath) && r.jws.Payload != "":
		return f.deactivate(r, id)
	case r.URL.Path == keyChangePath:
		return f.changeKey(r)
	}
	return f.alone(r, f.pebble)
}

// alone serves a request inside the gate.
func (f *front) alone(r *request, h http.Handler) *answer {
	if !f.gate.enter() {
		return nil
	}
	defer f.gate.leave()
	return r.serve(h)
}

// aloneWhen calls serve inside the gate, at a time when ready, which is called
// there, too, returns true.
func (f *front) aloneWhen(r *request, ready func() bool, serve func() *answer) *answer {
	pause := 200 * time.Microsecond
	for {
		a, ok := f.aloneIf(ready, serve)
		if ok {
			return a
		}
		if !f.wait(r.Context(), pause) {
			return nil
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

func (f *front) aloneIf(ready func() bool, serve func() *answer) (a *answer, ok bool) {
	if !f.gate.enter() {
		return nil, true
	}
	defer f.gate.leave()
	if !ready() {
		return nil, false
	}
	return serve(), true
}

// wait returns true after d, and false when the client or the server is gone.
func (f *front) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-f.done:
		return false
	}
}

// serve lets h answer.
func (r *request) serve(h http.Handler) *answer {
	a := newAnswer()
	inner := r.WithContext(r.Context()) // a copy
	inner.Body = io.NopCloser(bytes.NewReader(r.body))
	h.ServeHTTP(a, inner)
	return a
}

// payload is the decoded payload of the JWS, which nobody has verified yet.
func (r *request) payload() []byte {
	payload, _ := base64.RawURLEncoding.DecodeString(r.jws.Payload)
	return payload
}

// account is the identifier of the account that the request claims to be from.
func (r *request) account() string {
	protected, _ := base64.RawURLEncoding.DecodeString(r.jws.Protected)
	var header struct {
		KID string `json:"kid"`
	}
	_ = json.Unmarshal(protected, &header)
	return path.Base(header.KID)
}

// refuse answers with a problem if the request is authentic, and otherwise
// with what Pebble has to say about it. The caller is inside the gate.
//
// Pebble verifies the JWS, takes the nonce and gives a new one, as for every
// request: it is shown this one as a request for a challenge that does not
// exist. Having verified it, it answers 404, which it has no other cause for
// then. The signed URL is compared with RequestURI, which stays as it was.
func (f *front) refuse(r *request, problem *acme.ProblemDetails) *answer {
	elsewhere := *r.URL
	elsewhere.Path, elsewhere.RawPath = challengePath, ""
	shown := *r
	shown.Request = r.WithContext(r.Context())
	shown.URL = &elsewhere
	a := shown.serve(f.pebble)
	if a.code == http.StatusNotFound {
		a.setProblem(problem)
	}
	return a
}

// newOrder refuses blocked names itself, because Pebble panics when a name is
// above a blocked one, and hides authorizations that must not be reused.
func (f *front) newOrder(r *request) *answer {
	if !f.gate.enter() {
		return nil
	}
	defer f.gate.leave()
	if problem := f.blocked(r.payload()); problem != nil {
		return f.refuse(r, problem)
	}
	if f.opts.AuthorizationReuse == 0 {
		defer f.hideValid(r.account())()
	}
	return r.serve(f.pebble)
}

// blocked returns what is wrong with an order that has a blocked name.
func (f *front) blocked(payload []byte) *acme.ProblemDetails {
	var order acme.Order
	_ = json.Unmarshal(payload, &order) // if it is none, Pebble will say so
	for _, identifier := range order.Identifiers {
		identifier.Value = strings.ToLower(identifier.Value)
		for _, domain := range f.opts.BlockedDomains {
			if identifier.Type == acme.IdentifierDNS &&
				(identifier.Value == domain || strings.HasSuffix(identifier.Value, "."+domain)) {
				return acme.RejectedIdentifierProblem(identifier, fmt.Sprintf(
					"Order included an identifier for which issuance is forbidden by policy: %q", identifier.Value))
			}
		}
	}
	return nil
}

// hideValid makes Pebble overlook the valid authorizations of an account when
// it looks for one to reuse, until restore is called. Pebble skips those that
// belong to no order; nothing else reads the order of a valid authorization
// while a request is inside the gate.
func (f *front) hideValid(account string) (restore func()) {
	type hidden struct {
		authorization *core.Authorization
		order         *core.Order
	}
	var all []hidden
	for _, order := range f.store.GetOrdersByAccountID(account) {
		order.RLock()
		authorizations := order.AuthorizationObjects
		order.RUnlock()
		for _, authz := range authorizations {
			authz.Lock()
			if authz.Status == acme.StatusValid && authz.Order != nil {
				all = append(all, hidden{authz, authz.Order})
				authz.Order = nil
			}
			authz.Unlock()
		}
	}
	return func() {
		for _, h := range all {
			h.authorization.Lock()
			h.authorization.Order = h.order
			h.authorization.Unlock()
		}
	}
}
