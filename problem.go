package acme

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A ProblemType names a kind of [Problem]. It is an error to compare with:
//
//	errors.Is(err, acme.ErrRateLimited)
//
// finds it in everything that this package returns, subproblems included. The
// set is open: a type that has no constant here is its URI (§6.7).
type ProblemType string

const problemNamespace = "urn:ietf:params:acme:error:"

// Problem types of the IANA registry "ACME Error Types", and of drafts.
const (
	ErrAccountDoesNotExist               ProblemType = problemNamespace + "accountDoesNotExist"
	ErrAlreadyReplaced                   ProblemType = problemNamespace + "alreadyReplaced" // RFC 9773 §7.4
	ErrAlreadyRevoked                    ProblemType = problemNamespace + "alreadyRevoked"
	ErrAutoRenewalCanceled               ProblemType = problemNamespace + "autoRenewalCanceled"               // RFC 8739 §6.5
	ErrAutoRenewalCancellationInvalid    ProblemType = problemNamespace + "autoRenewalCancellationInvalid"    // RFC 8739 §6.5
	ErrAutoRenewalExpired                ProblemType = problemNamespace + "autoRenewalExpired"                // RFC 8739 §6.5
	ErrAutoRenewalRevocationNotSupported ProblemType = problemNamespace + "autoRenewalRevocationNotSupported" // RFC 8739 §6.5
	ErrBadAttestationStatement           ProblemType = problemNamespace + "badAttestationStatement"           // device-attest-01
	ErrBadCSR                            ProblemType = problemNamespace + "badCSR"
	ErrBadNonce                          ProblemType = problemNamespace + "badNonce"
	ErrBadPublicKey                      ProblemType = problemNamespace + "badPublicKey"
	ErrBadRevocationReason               ProblemType = problemNamespace + "badRevocationReason"
	ErrBadSignatureAlgorithm             ProblemType = problemNamespace + "badSignatureAlgorithm"
	ErrCAA                               ProblemType = problemNamespace + "caa"
	ErrCompound                          ProblemType = problemNamespace + "compound"
	ErrConnection                        ProblemType = problemNamespace + "connection"
	ErrDNS                               ProblemType = problemNamespace + "dns"
	ErrExternalAccountRequired           ProblemType = problemNamespace + "externalAccountRequired"
	ErrIncorrectResponse                 ProblemType = problemNamespace + "incorrectResponse"
	ErrInvalidContact                    ProblemType = problemNamespace + "invalidContact"
	ErrInvalidProfile                    ProblemType = problemNamespace + "invalidProfile" // draft-ietf-acme-profiles
	ErrMalformed                         ProblemType = problemNamespace + "malformed"
	ErrOnionCAARequired                  ProblemType = problemNamespace + "onionCAARequired" // RFC 9799 §8.4
	ErrOrderNotReady                     ProblemType = problemNamespace + "orderNotReady"
	ErrRateLimited                       ProblemType = problemNamespace + "rateLimited"
	ErrRejectedIdentifier                ProblemType = problemNamespace + "rejectedIdentifier"
	ErrServerInternal                    ProblemType = problemNamespace + "serverInternal"
	ErrTLS                               ProblemType = problemNamespace + "tls"
	ErrUnauthorized                      ProblemType = problemNamespace + "unauthorized"
	ErrUnknownDelegation                 ProblemType = problemNamespace + "unknownDelegation" // RFC 9115 §6.5
	ErrUnsupportedContact                ProblemType = problemNamespace + "unsupportedContact"
	ErrUnsupportedIdentifier             ProblemType = problemNamespace + "unsupportedIdentifier"
	ErrUserActionRequired                ProblemType = problemNamespace + "userActionRequired"
)

// Error returns the type without the ACME namespace: "rateLimited".
func (t ProblemType) Error() string {
	if t == "" {
		return "problem without a type"
	}
	return quoteIfOdd(strings.TrimPrefix(string(t), problemNamespace))
}

// normalized gives a type without namespace the namespace: DigiCert sends
// "malformed", servers of the drafts "urn:acme:error:malformed".
func (t ProblemType) normalized() ProblemType {
	s := strings.TrimPrefix(string(t), "urn:acme:error:")
	if s == "" || s == "about:blank" || strings.ContainsAny(s, ":/") {
		return t
	}
	return problemNamespace + ProblemType(s)
}

// Bounds on what a server can make an error hold.
const (
	maxProblemText = 4 << 10 // octets of detail, title, …
	maxSubproblems = 256
	maxQuoted      = 512 // octets of server text in an error's string
)

// A Problem is an error that the server reported: the answer to a request, or
// the error member of an order or a challenge (§6.7, RFC 9457). Answers with an
// error status whose body is no problem document become a Problem too, with an
// empty Type and the start of the body as Detail.
//
// All text in it comes from the server and is not to be trusted; Error quotes it.
type Problem struct {
	Type        ProblemType
	Title       string
	Detail      string // what to show to a person (§6.7)
	Instance    string // URL; for ErrUserActionRequired the page to visit (§7.3.3)
	Status      int    // HTTP status code
	Subproblems []*Subproblem

	// RetryAfter is when the server wants to be asked again, at the earliest.
	// It is zero if the server did not say.
	RetryAfter time.Time

	// Of the request that was answered; empty in an order or a challenge.
	Operation Operation
	URL       string
	Header    http.Header // of the answer

	Raw json.RawMessage `json:",omitzero"` // the document as served, nil if it was none

	final    *url.URL // as in a Response
	repeated bool     // the request had been sent before, and its answer was lost
	dropped  int      // subproblems beyond maxSubproblems
}

// Error describes the problem and its subproblems on one line, with the
// server's text quoted and shortened.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Type.Error())
	if p.Type == "" && p.Status != 0 {
		b.Reset()
		b.WriteString(strings.ToLower(http.StatusText(p.Status)))
	}
	if p.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", p.Status)
	}
	switch {
	case p.Detail != "":
		b.WriteString(": " + quote(p.Detail))
	case p.Title != "":
		b.WriteString(": " + quote(p.Title))
	}
	if !p.RetryAfter.IsZero() {
		b.WriteString("; retry after " + p.RetryAfter.UTC().Format(time.RFC3339))
	}
	if p.Type == ErrUserActionRequired && p.Instance != "" {
		b.WriteString("; visit " + quote(p.Instance))
	}
	for i, s := range p.Subproblems {
		if i == 20 {
			fmt.Fprintf(&b, "; and %d more", len(p.Subproblems)-i)
			break
		}
		b.WriteString("; " + s.Error())
	}
	if p.dropped > 0 {
		fmt.Fprintf(&b, "; %d beyond the first %d were dropped", p.dropped, maxSubproblems)
	}
	return b.String()
}

// Is reports whether target is the problem's type. One without a type is
// "about:blank" (RFC 9457 §3.1.1).
func (p *Problem) Is(target error) bool {
	t, ok := target.(ProblemType)
	return ok && (t == p.Type || t == "about:blank" && p.Type == "")
}

// Unwrap returns the subproblems.
func (p *Problem) Unwrap() []error {
	errs := make([]error, len(p.Subproblems))
	for i, s := range p.Subproblems {
		errs[i] = s
	}
	return errs
}

// Links returns the URLs of the answer's links with the relation type: "help"
// for a rate limit (§6.6), "terms-of-service" for ErrUserActionRequired (§7.3.3).
func (p *Problem) Links(rel string) []string { return links(baseOf(p.final, p.URL), p.Header, rel) }

// A Subproblem is one part of a [Problem], mostly about one identifier (§6.7.1).
type Subproblem struct {
	Type       ProblemType
	Detail     string
	Identifier Identifier // zero if the server named none
}

// Error describes the subproblem, with the server's text quoted and shortened.
func (s *Subproblem) Error() string {
	text := s.Type.Error()
	if s.Identifier.Value != "" {
		text = quoteIfOdd(s.Identifier.Value) + ": " + text
	}
	if s.Detail != "" {
		text += ": " + quote(s.Detail)
	}
	return text
}

// Is reports whether target is the subproblem's type.
func (s *Subproblem) Is(target error) bool {
	t, ok := target.(ProblemType)
	return ok && t == s.Type
}

// decode reads a problem document, member by member: one that is not
// what it should be is left out, since the rest may still help a person.
func (p *Problem) decode(data []byte) error {
	m, err := members(data)
	if err != nil {
		return err
	}
	*p = Problem{
		Type:     ProblemType(text(m["type"])).normalized(),
		Title:    text(m["title"]),
		Detail:   text(m["detail"]),
		Instance: text(m["instance"]),
		Raw:      append(json.RawMessage(nil), data...),
	}
	optional(m["status"], &p.Status)
	var subs []json.RawMessage
	optional(m["subproblems"], &subs)
	p.dropped = max(len(subs)-maxSubproblems, 0)
	for _, raw := range subs[:len(subs)-p.dropped] {
		var s map[string]json.RawMessage
		if optional(raw, &s); s == nil {
			continue
		}
		sub := &Subproblem{Type: ProblemType(text(s["type"])).normalized(), Detail: text(s["detail"])}
		optional(s["identifier"], &sub.Identifier)
		p.Subproblems = append(p.Subproblems, sub)
	}
	return nil
}

// embeddedProblem reads the error member of an order or a challenge; nil if it is
// none.
func embeddedProblem(raw json.RawMessage) *Problem {
	if p := new(Problem); isObject(raw) && p.decode(raw) == nil {
		return p
	}
	return nil
}

// problemOf makes the Problem that an answer with an error status stands for.
func problemOf(op Operation, resp *Response) *Problem {
	p := embeddedProblem(resp.Body)
	if p == nil {
		p = new(Problem) // HTML, JSON null, an empty body, …
	}
	if p.Type == "" && p.Detail == "" && p.Title == "" {
		p.Detail = shorten(strings.TrimSpace(strings.ToValidUTF8(string(resp.Body), "\uFFFD")), maxQuoted)
	}
	p.Status = resp.StatusCode // private CAs leave it out
	p.RetryAfter = resp.RetryAfter
	p.Operation, p.URL, p.Header, p.final = op, resp.URL, resp.Header.Clone(), resp.final
	p.Instance = resolve(resp.base(), p.Instance) // it may be relative (RFC 9457 §3.1.5)
	return p
}

// without takes out nonces, the one that was sent, which Let's Encrypt quotes if it is
// bad, and the next one: hooks and logs get no nonces.
func (p *Problem) without(nonce string) *Problem {
	p.Header.Del("Replay-Nonce")
	if nonce != "" {
		p.Detail = strings.ReplaceAll(p.Detail, nonce, "…")
		p.Raw = bytes.ReplaceAll(p.Raw, []byte(nonce), []byte("…"))
	}
	return p
}

// maxRemembered is how many octets of a problem document are worth to be kept.
const maxRemembered = 8 << 10

// remembered returns a copy of what is to be kept of a rate limit: a server may send
// very many, all very large.
func (p *Problem) remembered() *Problem {
	kept := *p
	kept.repeated = false
	kept.Header = http.Header{}
	for _, name := range []string{"Link", "Retry-After"} { // "help" (§6.6)
		if values := p.Header.Values(name); len(strings.Join(values, "")) <= maxRemembered {
			kept.Header[name] = values
		}
	}
	if len(p.Raw) > maxRemembered {
		kept.Raw, kept.Subproblems = nil, nil
	}
	return &kept
}
