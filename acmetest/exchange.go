package acmetest

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	chainType   = "application/pem-certificate-chain"
)

// maxRequestBytes bounds what is read of a request.
const maxRequestBytes = 1 << 20

// A call is one request on its way through the server.
type call struct {
	ctx    context.Context //nolint:containedctx // a call lives as long as its request, as http.Request does
	method string
	header http.Header
	base   string // scheme and host, which every URL in the answer starts with
	url    string
	query  url.Values
	kind   Kind
	id     string

	jws        *jws // nil if it is no POST, or if the body is no JSON object
	jwsRefusal *refusal
	account    *account         // of "kid"
	key        crypto.PublicKey // what signed the request
	record     *Request
}

// payload decodes the payload of a call that must have one of the members known.
func (c *call) payload(known ...string) (object, *refusal) {
	if len(c.jws.payload) == 0 {
		return nil, malformed("%s needs a payload; this is a POST-as-GET", c.kind)
	}
	return parseMembers(c.jws.payload, known...)
}

// asGet refuses a payload where only a POST-as-GET makes sense (§6.3).
func (c *call) asGet() *refusal {
	if c.jws != nil && len(c.jws.payload) > 0 {
		return malformed("%s takes no payload but the empty one of a POST-as-GET (§6.3)", c.kind)
	}
	return nil
}

// An answer is a response before it is written.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	stream   io.Reader // in place of body; may be endless
	truncate bool      // the body breaks off in the middle
}

func jsonAnswer(status int, v any) *answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic("acmetest: " + err.Error()) // an option holds what is no JSON
	}
	return &answer{status: status, header: http.Header{"Content-Type": {jsonType}}, body: body}
}

// answer turns a refusal into a problem document.
func (r *refusal) answer() *answer {
	a := jsonAnswer(r.problem.Status, &r.problem)
	a.header.Set("Content-Type", problemType)
	maps.Copy(a.header, r.header)
	return a
}

// A lostError is what a client sees of a connection that breaks. It is a net.Error.
type lostError struct{}

func (lostError) Error() string   { return "acmetest: connection lost" }
func (lostError) Timeout() bool   { return false }
func (lostError) Temporary() bool { return true }
func (lostError) Unwrap() error   { return io.ErrUnexpectedEOF }

// exchange is the whole life of a request. An error means that the connection broke or the caller went away.
func (s *Server) exchange(ctx context.Context, base string, req *http.Request) (*answer, error) {
	latency := s.latency()
	there := latency / 2
	if err := wait(ctx, there); err != nil {
		return nil, err
	}
	c, err := s.receive(ctx, base, req)
	if err != nil {
		return nil, err
	}
	a, err := s.respond(c)
	s.recordAnswer(c, a)
	if err != nil {
		return nil, err
	}
	return a, wait(ctx, latency-there)
}

// receive reads, decodes and records a request.
func (s *Server) receive(ctx context.Context, base string, req *http.Request) (*call, error) {
	c := &call{
		ctx:    ctx,
		method: req.Method,
		header: req.Header.Clone(),
		base:   base,
		url:    base + req.URL.RequestURI(),
		query:  req.URL.Query(),
	}
	if c.method == "" {
		c.method = http.MethodGet
	}
	if c.header == nil {
		c.header = http.Header{}
	}
	c.kind, c.id = route(req.URL.Path)
	var body []byte
	if req.Body != nil { // in-process requests may have none
		var err error
		if body, err = io.ReadAll(io.LimitReader(req.Body, maxRequestBytes)); err != nil {
			return nil, err
		}
	}
	if c.method == http.MethodPost {
		c.jws, c.jwsRefusal = parseJWS(body)
	}
	s.recordRequest(c)
	return c, nil
}

// respond asks for a fault and acts, unless the fault stands in for it.
func (s *Server) respond(c *call) (*answer, error) {
	f := s.fault(c)
	if f.LoseRequest {
		if err := wait(c.ctx, f.Delay); err != nil {
			return nil, err
		}
		return nil, lostError{}
	}
	a := f.replacement(c)
	if a == nil {
		a = s.act(c)
	} else {
		s.replaced(c)
	}
	s.complete(c, a)
	f.rewrite(a)
	if f.LoseResponse {
		a = nil
	}
	if err := wait(c.ctx, f.Delay); err != nil {
		return a, err
	}
	if a == nil {
		return nil, lostError{}
	}
	return a, nil
}

// replaced does what is left to do for a request that a fault answers: its nonce is used up.
func (s *Server) replaced(c *call) {
	if c.jws == nil {
		return
	}
	if r := s.spendNonce(c); r != nil {
		s.recordViolation(c, r)
	}
}

// act does what a CA does, and turns a refusal into an answer.
func (s *Server) act(c *call) *answer {
	a, r := s.serve(c)
	if r != nil {
		s.recordViolation(c, r)
		return r.answer()
	}
	return a
}

// serve checks a request from the outside to the inside, settles what became due, and hands it to its resource.
func (s *Server) serve(c *call) (*answer, *refusal) {
	if !s.offered(c.kind) {
		_ = s.spendNonce(c)
		return nil, notFound(c.url)
	}
	if r := checkMethod(c); r != nil {
		return nil, r
	}
	if r := checkEnvelope(c); r != nil {
		_ = s.spendNonce(c)
		return nil, r
	}
	if c.method == http.MethodPost {
		if r := s.authenticate(c); r != nil {
			return nil, r
		}
	}
	s.settle(c.ctx)
	switch c.kind { // these call functions of the options, and take the lock themselves
	case KindNewOrder:
		return s.newOrder(c)
	case KindChallenge:
		return s.challenge(c)
	case KindRenewalInfo:
		return s.renewalInfo(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := c.checkAccount(); r != nil {
		return nil, r
	}
	return s.dispatch(c)
}

// checkAccount stops accounts that are no longer valid (§7.3.6). The lock is held.
func (c *call) checkAccount() *refusal {
	if c.account != nil && c.account.status != statusValid {
		return refuse(http.StatusUnauthorized, "unauthorized", "the account is %s (§7.3.6)", c.account.status)
	}
	return nil
}

// dispatch calls the resource. The lock is held.
func (s *Server) dispatch(c *call) (*answer, *refusal) {
	switch c.kind {
	case KindDirectory:
		return s.directory(c), c.asGet()
	case KindNewNonce:
		return noncePage(c), c.asGet()
	case KindNewAccount:
		return s.newAccount(c)
	case KindAccount:
		return s.accountPage(c)
	case KindOrders:
		return s.ordersPage(c)
	case KindKeyChange:
		return s.keyChange(c)
	case KindNewAuthz:
		return s.newAuthz(c)
	case KindOrder:
		return s.orderPage(c)
	case KindFinalize:
		return s.finalize(c)
	case KindAuthorization:
		return s.authorizationPage(c)
	case KindCertificate:
		return s.certificatePage(c)
	case KindRevokeCert:
		return s.revokeCert(c)
	case KindDelegations:
		return s.delegationsPage(c)
	case KindDelegation:
		return s.delegationPage(c)
	}
	return nil, notFound(c.url)
}

// noncePage is §7.2; the nonce itself comes with complete.
func noncePage(c *call) *answer {
	status := http.StatusOK
	if c.method == http.MethodGet {
		status = http.StatusNoContent
	}
	return &answer{status: status, header: http.Header{"Cache-Control": {"no-store"}}}
}

// complete adds what goes with every answer: a fresh nonce (§6.5) and the link to the directory (§7.1).
func (s *Server) complete(c *call, a *answer) {
	if a.header == nil {
		a.header = http.Header{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	silent := s.opts.OmitNonceOnErrors && a.status >= 400
	if (c.method == http.MethodPost || c.kind == KindNewNonce) && !silent {
		a.header.Set("Replay-Nonce", s.newNonce())
	}
	if c.kind != KindDirectory {
		addLink(a.header, c.base+pathDirectory, "index")
	}
}

// addLink adds a Link header field (RFC 8288).
func addLink(h http.Header, target, relation string) {
	h.Add("Link", "<"+target+`>;rel="`+relation+`"`)
}

// optionalLocation adds a Location that many CAs send and no RFC promises.
func (s *Server) optionalLocation(a *answer, target string) {
	if !s.opts.OmitLocation {
		a.header.Set("Location", target)
	}
}

// retryAfter adds the Retry-After of the options, if there is one.
func (s *Server) retryAfter(a *answer) {
	if s.opts.RetryAfter != "" {
		a.header.Set("Retry-After", s.opts.RetryAfter)
	}
}

// wait is a pause that ends early with the context.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
