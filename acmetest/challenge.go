package acmetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"
)

const (
	typeHTTP01    = "http-01"
	typeDNS01     = "dns-01"
	typeTLSALPN01 = "tls-alpn-01" // RFC 8737
)

// A challenge is §7.1.5.
type challenge struct {
	id        string
	authz     *authorization
	typ       string
	token     string
	second    string // of types whose token is in parts: token-part1 of a mail, or an id-chal
	status    string
	validated time.Time
	problem   *Problem

	// While the challenge is processing:
	due        time.Time // when Validate is to be called
	running    bool      // it is being called
	failures   int
	validation Validation
}

// page is the challenge object.
func (ch *challenge) page(s *Server, base string) map[string]any {
	p := map[string]any{
		"type":   ch.typ,
		"url":    base + pathChallenge + ch.id,
		"status": ch.status,
		"token":  ch.token,
	}
	if ch.status == statusValid {
		p["validated"] = stamp(ch.validated)
	}
	if ch.problem != nil {
		p["error"] = ch.problem
	}
	ch.addMembers(s, base, p)
	maps.Copy(p, s.opts.ChallengeFields[ch.typ])
	maps.DeleteFunc(p, func(_ string, v any) bool { return v == nil })
	return p
}

// challengeTypes are the types an authorization offers.
func (s *Server) challengeTypes(k authzKey) []string {
	types := s.opts.ChallengeTypes
	if types == nil {
		types = []string{typeHTTP01, typeDNS01, typeTLSALPN01}
		if isOnion(k.identifier) {
			types = []string{typeOnionCSR01, typeHTTP01, typeTLSALPN01} // RFC 9799 §3
		}
	}
	unfit := []string(nil)
	switch {
	case k.wildcard:
		unfit = []string{typeHTTP01, typeTLSALPN01}
	case k.identifier.Type == typeIP:
		unfit = []string{typeDNS01} // RFC 8738 §7
	}
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool {
		return slices.Contains(unfit, t) || !fits(t, k.identifier.Type)
	})
}

// challenge is the challenge resource: POST-as-GET and the client's response (§7.5.1). It takes the lock itself, because a
// response may be validated on the spot.
func (s *Server) challenge(c *call) (*answer, *refusal) {
	ch, validate, r := s.takeResponse(c)
	if r != nil {
		return nil, r
	}
	if validate != nil {
		s.runValidation(c.ctx, ch, validate)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := jsonAnswer(http.StatusOK, ch.page(s, c.base))
	addLink(a.header, ch.authz.url(c.base), "up") // §7.1
	if ch.status == statusPending || ch.status == statusProcessing {
		s.retryAfter(a)
	}
	return a, nil
}

// takeResponse checks who is asking, and takes the response if there is one. If that is to be validated at once, it returns
// what must be called.
func (s *Server) takeResponse(c *call) (*challenge, validator, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := c.checkAccount(); r != nil {
		return nil, nil, r
	}
	ch := s.challenges[c.id]
	if ch == nil {
		return nil, nil, notFound(c.url)
	}
	if ch.authz.account != c.account {
		return nil, nil, unauthorized("this challenge is another account's")
	}
	if len(c.jws.payload) == 0 {
		return ch, nil, nil
	}
	if _, err := parseObject(c.jws.payload); err != nil {
		return nil, nil, malformed("cannot read the response object: %v", err)
	}
	if r := s.respondTo(c, ch); r != nil {
		return nil, nil, r
	}
	return ch, s.claim(ch), nil
}

// respondTo moves a challenge to "processing", if it is not there yet.
func (s *Server) respondTo(c *call, ch *challenge) *refusal {
	ch.authz.refresh()
	switch {
	case ch.status == statusValid || ch.status == statusInvalid:
		return refuse(http.StatusBadRequest, "malformed", "the challenge is %s already", ch.status)
	case ch.authz.status != statusPending:
		return refuse(http.StatusBadRequest, "malformed", "the authorization is %s already", ch.authz.status)
	case ch.status == statusProcessing:
		if ch.problem != nil {
			ch.due = time.Now() // the client asks for another attempt (§8.2)
		}
		return nil
	}
	ch.status = statusProcessing
	ch.due = time.Now().Add(s.opts.ValidationTime)
	ch.validation = Validation{
		Identifier:       ch.authz.identifier,
		Wildcard:         ch.authz.wildcard,
		Type:             ch.typ,
		Token:            ch.token,
		KeyAuthorization: ch.token + "." + c.account.thumbprint, // §8.1, with the key of this moment
		AccountURL:       c.account.url(c.base),
		Thumbprint:       c.account.thumbprint,
		Challenge:        ch.served(s, c.base),
		Response:         json.RawMessage(bytes.Clone(c.jws.payload)),
	}
	if ch.typ == typeEmailReply00 {
		ch.validation.MailToken = ch.second
	}
	s.validating = append(s.validating, ch)
	return nil
}

// A validator is Options.Validate.
type validator = func(context.Context, Validation) error

// settle brings the CA up to date: what should have happened by now, happens now, in the request that comes first. No
// goroutine does it, so that a server costs nothing while it is idle, and works in a synctest bubble.
func (s *Server) settle(ctx context.Context) {
	s.mu.Lock()
	s.issueDue()
	validate := s.opts.Validate
	var due []*challenge
	for _, ch := range slices.Clone(s.validating) {
		if s.claim(ch) != nil {
			due = append(due, ch)
		}
	}
	s.mu.Unlock()
	for _, ch := range due {
		s.runValidation(ctx, ch, validate)
	}
}

// settleQuietly is settle without calling Validate. The lock is held.
func (s *Server) settleQuietly() {
	s.issueDue()
	if s.opts.Validate != nil {
		return
	}
	for _, ch := range slices.Clone(s.validating) {
		_ = s.claim(ch)
	}
}

// claim takes hold of a validation whose time has come and that nobody else is at, and returns what to call for it. If there
// is no Validate, nothing is left to call: the challenge is valid. The lock is held.
func (s *Server) claim(ch *challenge) validator {
	if ch.status != statusProcessing || ch.running || time.Now().Before(ch.due) {
		return nil
	}
	if s.opts.Validate == nil {
		s.conclude(ch, nil)
		return nil
	}
	ch.running = true
	return s.opts.Validate
}

// runValidation calls Validate with no lock held.
func (s *Server) runValidation(ctx context.Context, ch *challenge, validate validator) {
	var err error = errNotRun
	defer func() { // also if Validate ends the goroutine, as t.FailNow does
		s.mu.Lock()
		defer s.mu.Unlock()
		ch.running = false
		if !errors.Is(err, errNotRun) && (err == nil || ctx.Err() == nil) {
			s.conclude(ch, err)
		}
	}()
	if ctx.Err() == nil {
		err = validate(ctx, ch.validation)
	}
}

// errNotRun stands for a validation without result.
const errNotRun = constError("acmetest: Validate did not return")

type constError string

func (e constError) Error() string { return string(e) }

// conclude applies the result of a validation (§7.1.6). The lock is held.
func (s *Server) conclude(ch *challenge, err error) {
	now := time.Now()
	if err != nil {
		ch.problem = validationProblem(err)
		if ch.failures++; ch.failures < s.opts.ValidationAttempts {
			ch.due = now.Add(s.opts.ValidationTime)
			return // still processing, with an error (erratum 5732)
		}
	}
	s.validating = slices.DeleteFunc(s.validating, func(other *challenge) bool { return other == ch })
	ch.authz.refresh()
	open := ch.authz.status == statusPending
	if err != nil {
		ch.status = statusInvalid
		if open {
			ch.authz.status = statusInvalid
		}
		return
	}
	ch.status, ch.validated, ch.problem = statusValid, now, nil
	if open {
		ch.authz.status = statusValid
		ch.authz.expires = now.Add(s.opts.authorizationLifetime())
	}
}

// validationProblem is the error of a challenge.
func validationProblem(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return &Problem{Type: ErrorURN + "incorrectResponse", Detail: err.Error(), Status: http.StatusForbidden}
}
