package acme

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A ClientError names a failure that the client found by itself: bad input,
// before anything was sent, or an answer that it does not accept. Like a
// [ProblemType] it is an error to compare with: errors.Is(err, acme.ErrInvalidIdentifier).
// The error that wraps it names the culprit.
type ClientError string

// Bad input. Nothing was sent.
const (
	ErrNoDirectoryURL      ClientError = "Client.DirectoryURL is empty: there is no default CA"
	ErrNoKey               ClientError = "no key"
	ErrSameKey             ClientError = "the new key is the old one"
	ErrUnsupportedKey      ClientError = "unsupported key: want RSA of 2048 bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519"
	ErrNoAccountURL        ClientError = "the account has no URL: create it with NewAccount or look it up with FindAccount"
	ErrInsecureURL         ClientError = "refused URL: want https, without user information (plain http only to loopback, with Client.AllowHTTP)"
	ErrInvalidMACKey       ClientError = "invalid MAC key of an external account"
	ErrMalformedContact    ClientError = "malformed contact"
	ErrNoIdentifiers       ClientError = "no identifiers"
	ErrInvalidIdentifier   ClientError = "invalid identifier"
	ErrDuplicateIdentifier ClientError = "duplicate identifier"
	ErrInvalidOrderRequest ClientError = "invalid order request"
	ErrNotCancelable       ClientError = "only an auto-renewal order that is valid can be canceled"
	ErrNoCSR               ClientError = "CertificateRequest.CSR is nil: use NewCSR or a function of your own"
	ErrNilSolver           ClientError = "a solver is nil"
	ErrOrderMismatch       ClientError = "the order is for other identifiers than the request"
	ErrCSRMismatch         ClientError = "the CSR does not match the order"
	ErrAccountKeyInCSR     ClientError = "the CSR holds the account key: a certificate needs a key of its own (§11.1)"
	ErrOnionKeyInCSR       ClientError = "the CSR holds the key of an onion name: a certificate needs a key of its own (RFC 9799 §3.2)"
)

// What stands in the way of a validation, found before the server was asked for it.
const (
	ErrCheckFailed ClientError = "the check of a challenge failed" // see [Checked]
)

// Answers that the client does not accept.
const (
	ErrMalformedResponse    ClientError = "malformed response"
	ErrResponseTooLarge     ClientError = "response too large"
	ErrRedirect             ClientError = "redirect refused: a signed request is sent to the URL it is signed for only (§6.4)"
	ErrNoNonce              ClientError = "the server gave no usable nonce"
	ErrInvalidToken         ClientError = "challenge token is not base64url (§8.1)"
	ErrInvalidChain         ClientError = "invalid certificate chain"
	ErrCertificateMismatch  ClientError = "the certificate does not match the request"
	ErrCertificateGetDenied ClientError = "the CA does not give certificates away without an account, which a delegated order needs"
	ErrKeyInUse             ClientError = "the new key belongs to another account"
	ErrKeyUnknown           ClientError = "it could not be found out which key the account has now"
)

// Error returns the name of the failure.
func (e ClientError) Error() string { return string(e) }

// An OrderError reports an order that cannot give a certificate any more, or is
// not in a state that was waited for (§7.1.6). It unwraps to Order.Error.
type OrderError struct {
	Order *Order
}

// Error names the order, its identifiers and the server's reason.
func (e *OrderError) Error() string {
	text := fmt.Sprintf("%sorder %s for %s is %s", prefix, quoteIfOdd(e.Order.URL), identifierList(e.Order.Identifiers), quoteIfOdd(string(e.Order.Status)))
	if e.Order.Error != nil {
		text += ": " + e.Order.Error.Error()
	}
	if e.Is(ErrCertificateGetDenied) {
		text += fmt.Sprintf(": %v (RFC 9115 §2.3.2)", ErrCertificateGetDenied)
	}
	return text
}

// Is reports whether target is [ErrCertificateGetDenied] and the order, of a
// delegated name, is invalid for that reason (RFC 9115 §2.3.2).
func (e *OrderError) Is(target error) bool {
	o := e.Order
	return target == error(ErrCertificateGetDenied) && o.Delegation != "" && o.Status == StatusInvalid && !o.AllowCertificateGet
}

// Unwrap returns the order's problem, or nil.
func (e *OrderError) Unwrap() error {
	if e.Order.Error == nil {
		return nil // not a nil *Problem in an error
	}
	return e.Order.Error
}

// An AuthorizationError reports an authorization that did not become valid. It
// unwraps to the problems of its challenges, and to what went wrong when the
// challenge was answered.
type AuthorizationError struct {
	Authorization *Authorization // as last read
	Challenge     *Challenge     // the one that was answered, as last seen; nil if none was
	Err           error          // of the request that answered the challenge, if that failed
}

// Error names the identifier, the state and why each challenge failed.
func (e *AuthorizationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sauthorization for %s is %s", prefix, e.Authorization.name(), quoteIfOdd(string(e.Authorization.Status)))
	for _, c := range e.challenges() {
		fmt.Fprintf(&b, ": %s %s", quoteIfOdd(string(c.Type)), quoteIfOdd(string(c.Status)))
		if c.Error != nil {
			b.WriteString(": " + c.Error.Error())
		}
	}
	if e.Err != nil {
		b.WriteString(": " + bare(e.Err))
	}
	return b.String()
}

// Unwrap returns the problems of the challenges and the request's error.
func (e *AuthorizationError) Unwrap() []error {
	var errs []error
	for _, c := range e.challenges() {
		if c.Error != nil {
			errs = append(errs, c.Error)
		}
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// challenges are those that tell something: the answered one, or those with an
// error.
func (e *AuthorizationError) challenges() []*Challenge {
	if e.Challenge != nil {
		return []*Challenge{e.Challenge}
	}
	var failed []*Challenge
	for _, c := range e.Authorization.Challenges {
		if c.Error != nil {
			failed = append(failed, c)
		}
	}
	return failed
}

// A NoSolverError reports a pending authorization for which none of the solvers
// supports any of the challenges that the server offers.
type NoSolverError struct {
	Authorization *Authorization
}

// Error names the identifier and the challenge types that were offered.
func (e *NoSolverError) Error() string {
	var offered []string
	for _, c := range e.Authorization.Challenges {
		kind := quoteIfOdd(string(c.Type))
		if c.refused != "" {
			kind += " (refused: its token " + quote(c.refused) + " is not base64url)"
		}
		offered = append(offered, kind)
	}
	if offered == nil {
		offered = []string{"nothing"}
	}
	return fmt.Sprintf("%sno solver for %s: the server offers %s", prefix, e.Authorization.name(), strings.Join(offered, ", "))
}

// Is reports whether target is [ErrInvalidToken] and a challenge was refused
// because of its token.
func (e *NoSolverError) Is(target error) bool {
	if target != error(ErrInvalidToken) {
		return false
	}
	for _, c := range e.Authorization.Challenges {
		if c.refused != "" {
			return true
		}
	}
	return false
}

// A SolverError reports a solver whose Present failed. It unwraps to the
// solver's error.
type SolverError struct {
	Attempts []*Attempt // the batch
	Err      error
}

// Error names the challenge type and the identifiers of the batch.
func (e *SolverError) Error() string {
	names := make([]string, len(e.Attempts))
	var kind ChallengeType
	for i, a := range e.Attempts {
		names[i] = a.name()
		kind = a.Challenge.Type
	}
	return fmt.Sprintf("%s%s solver failed for %s: %s", prefix, quoteIfOdd(string(kind)), strings.Join(names, ", "), bare(e.Err))
}

// Unwrap returns the solver's error.
func (e *SolverError) Unwrap() error { return e.Err }

// An AuthorizeError reports all that went wrong when the authorizations of an
// order were to be made valid: an [*AuthorizationError], [*NoSolverError] or
// [*SolverError] for each failure, to which it unwraps.
type AuthorizeError struct {
	OrderURL string
	Failures []error

	tried []*task // what failed, for another try with another order
}

// Error lists the failures.
func (e *AuthorizeError) Error() string {
	texts := make([]string, len(e.Failures))
	for i, err := range e.Failures {
		texts[i] = bare(err)
	}
	return fmt.Sprintf("%sorder %s: %s", prefix, quoteIfOdd(e.OrderURL), strings.Join(texts, "; "))
}

// Unwrap returns the failures.
func (e *AuthorizeError) Unwrap() []error { return e.Failures }

// A WaitError reports a wait that ended before the resource was final. Nothing
// is lost: the wait can be taken up again with the same URL, after RetryAfter.
// It unwraps to the context's error and its cause.
type WaitError struct {
	URL        string
	Status     Status    // as last seen, empty if the resource was never read
	RetryAfter time.Time // when the server wants to be asked again, zero if it did not say
	Reason     *Problem  // what the server says about the delay, e.g. a challenge that it tries again; may be nil
	Err        error
}

// Error names the resource, its status and why the wait ended.
func (e *WaitError) Error() string {
	text := fmt.Sprintf("%swaiting for %s (status %s)", prefix, quoteIfOdd(e.URL), quoteIfOdd(string(e.Status)))
	if !e.RetryAfter.IsZero() {
		text += ", to be asked again at " + e.RetryAfter.UTC().Format(time.RFC3339)
	}
	if e.Reason != nil {
		text += ": " + e.Reason.Error()
	}
	return text + ": " + bare(e.Err)
}

// Unwrap returns the context's error and the server's reason.
func (e *WaitError) Unwrap() []error {
	if e.Reason == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Reason}
}

// A wrapped error adds what was done to err, and keeps the prefix "acme: " at
// the front.
type wrapped struct {
	doing string
	err   error
}

const prefix = "acme: "

func wrap(err error, format string, args ...any) error {
	return &wrapped{doing: fmt.Sprintf(format, args...), err: err}
}

func (e *wrapped) Error() string { return prefix + e.doing + ": " + bare(e.err) }
func (e *wrapped) Unwrap() error { return e.err }

// A series is several errors that belong together, the first one first.
type series []error

func (s series) Unwrap() []error { return s }

func (s series) Error() string {
	texts := make([]string, len(s))
	for i, err := range s {
		texts[i] = bare(err)
	}
	return strings.Join(texts, ": ")
}

// bare returns the error's text without the prefix.
func bare(err error) string { return strings.TrimPrefix(err.Error(), prefix) }

// unsupported is the error for what a CA does not offer.
func unsupported(format string, args ...any) error {
	return wrap(errors.ErrUnsupported, format, args...)
}

// quote makes server text fit for an error or a log: quoted and shortened.
func quote(s string) string { return strconv.Quote(shorten(s, maxQuoted)) }

// quoteIfOdd quotes s if it has anything but the characters of names and URNs.
func quoteIfOdd(s string) string {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= utf8.RuneSelf || c == '"' || c == 0x7f {
			return quote(s)
		}
	}
	return shorten(s, maxQuoted)
}

// shorten cuts s to at most limit octets, at a rune's border, and says so.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
