package acmetest

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// A Kind says which resource a request was for.
type Kind string

// The kinds of requests. They are spelled like the directory members, or the resources, of RFC 8555.
const (
	KindDirectory     Kind = "directory"
	KindNewNonce      Kind = "newNonce"
	KindNewAccount    Kind = "newAccount"
	KindAccount       Kind = "account"
	KindNewOrder      Kind = "newOrder"
	KindOrder         Kind = "order"
	KindAuthorization Kind = "authorization"
	KindChallenge     Kind = "challenge"
	KindFinalize      Kind = "finalize"
	KindCertificate   Kind = "certificate" // alternates too
	KindNewAuthz      Kind = "newAuthz"
	KindRevokeCert    Kind = "revokeCert"
	KindKeyChange     Kind = "keyChange"
	KindOrders        Kind = "orders"
	KindRenewalInfo   Kind = "renewalInfo"
	KindDelegations   Kind = "delegations" // RFC 9115
	KindDelegation    Kind = "delegation"  // RFC 9115
	KindUnknown       Kind = "unknown"     // no such resource
)

// A Request is what the server remembers of a request.
type Request struct {
	Kind   Kind
	Method string
	URL    string
	Header http.Header

	// Protected is the decoded protected header, nil for requests that are not signed (or not decodable).
	Protected json.RawMessage

	// Payload is the decoded payload, empty for POST-as-GET.
	Payload []byte

	// Nonce is the nonce that the request used.
	Nonce string

	// AccountURL is the "kid" of the protected header, empty when it had a "jwk".
	AccountURL string

	// Status is what was answered, 0 while there is no answer yet and when a fault lost the connection.
	Status int

	// ProblemType is the type, usually a full URN, when a problem document was answered.
	ProblemType string
}

func (r *Request) clone() Request {
	c := *r
	c.Header = r.Header.Clone()
	c.Protected = bytes.Clone(r.Protected)
	c.Payload = bytes.Clone(r.Payload)
	return c
}

// A Violation is a request that no correct client sends: an unknown member, a wrong URL in the protected header, a nonce
// used twice, a missing User-Agent. Requests that are refused for other reasons, or at an unlucky time, are none.
type Violation struct {
	Request Request
	Detail  string // what was wrong with it
}

// A recordedViolation is a Violation whose request may not be answered yet.
type recordedViolation struct {
	record *Request
	detail string
}

// String returns the method, the URL and the detail.
func (v Violation) String() string {
	return v.Request.Method + " " + v.Request.URL + ": " + v.Detail
}

// Requests returns everything received so far, in order of arrival. Requests that a fault lost are among them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = r.clone()
	}
	return all
}

// Count returns how many requests of a kind were received; all of them for kind "".
func (s *Server) Count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if kind == "" || r.Kind == kind {
			n++
		}
	}
	return n
}

// Violations returns the requests that broke the RFC, in order of arrival. Set [Options].Strict to fail the test for them.
func (s *Server) Violations() []Violation {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Violation, len(s.violations))
	for i, v := range s.violations {
		all[i] = Violation{Request: v.record.clone(), Detail: v.detail}
	}
	return all
}

// Reset forgets the recorded requests and violations. The state of the CA stays.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests, s.violations = nil, nil
}

// recordRequest appends what is known of a call on arrival.
func (s *Server) recordRequest(c *call) {
	c.record = &Request{Kind: c.kind, Method: c.method, URL: c.url, Header: c.header}
	if c.jws != nil {
		c.record.Protected = c.jws.protected
		c.record.Payload = c.jws.payload
		c.record.Nonce = c.jws.nonce
		c.record.AccountURL = c.jws.kid
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, c.record)
}

// recordAnswer completes the record. a is nil when the connection was lost.
func (s *Server) recordAnswer(c *call, a *answer) {
	if a == nil {
		return
	}
	var p struct{ Type string }
	if a.header.Get("Content-Type") == problemType {
		_ = json.Unmarshal(a.body, &p) // an edited answer may be anything
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.record.Status, c.record.ProblemType = a.status, p.Type
}

// recordViolation keeps a refusal that is the client's fault.
func (s *Server) recordViolation(c *call, r *refusal) {
	if r == nil || !r.violation {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, recordedViolation{c.record, r.problem.Detail})
}
