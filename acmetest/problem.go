package acmetest

import (
	"fmt"
	"net/http"
)

// ErrorURN is the prefix of the problem types of RFC 8555 §6.7: ErrorURN + "rateLimited".
const ErrorURN = "urn:ietf:params:acme:error:"

// A Problem is a problem document (§6.7, RFC 9457). It is sent as it is, so a test can leave out or misspell what it likes.
// As an error returned by [Options].Validate it becomes the challenge's error.
type Problem struct {
	Type        string       `json:"type,omitempty"` // the full URN, see ErrorURN
	Title       string       `json:"title,omitempty"`
	Detail      string       `json:"detail,omitempty"`
	Instance    string       `json:"instance,omitempty"`
	Status      int          `json:"status,omitempty"` // also the HTTP status, when it is the answer
	Subproblems []Subproblem `json:"subproblems,omitempty"`
	Algorithms  []string     `json:"algorithms,omitempty"` // of badSignatureAlgorithm (§6.2)
}

// A Subproblem is the part of a [Problem] that concerns one identifier (§6.7.1).
type Subproblem struct {
	Type       string     `json:"type,omitempty"`
	Detail     string     `json:"detail,omitempty"`
	Identifier Identifier `json:"identifier,omitzero"`
}

// Error returns the type and the detail.
func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

// A refusal is why a request is answered with an error.
type refusal struct {
	problem Problem
	header  http.Header // added to the answer; nil mostly

	// violation says that no correct client sends such a request, at whatever time.
	violation bool
}

// refuse is for requests that a correct client may send.
func refuse(status int, token, format string, args ...any) *refusal {
	return &refusal{
		problem: Problem{Type: ErrorURN + token, Status: status, Detail: fmt.Sprintf(format, args...)},
		header:  http.Header{},
	}
}

// violation is for requests that break the RFC.
func violation(status int, token, format string, args ...any) *refusal {
	r := refuse(status, token, format, args...)
	r.violation = true
	return r
}

// malformed is the usual violation.
func malformed(format string, args ...any) *refusal {
	return violation(http.StatusBadRequest, "malformed", format, args...)
}

// unauthorized is for a resource that belongs to another account.
func unauthorized(format string, args ...any) *refusal {
	return refuse(http.StatusForbidden, "unauthorized", format, args...)
}

// notFound has the same shape for every kind of resource; the RFC has no type of its own for it.
func notFound(url string) *refusal {
	return refuse(http.StatusNotFound, "malformed", "there is no resource %s", url)
}
