package bpnodeid00

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Bundle is what an agent knows of a challenge bundle that it received.
type Bundle struct {
	Source      string // node ID of the server's agent: the destination of the response
	Destination string // endpoint ID: the source of the response

	// Timestamp and Sequence are the creation timestamp: with the source they tell
	// bundles apart.
	Timestamp, Sequence uint64

	// Age is the time since the bundle was created: by the creation timestamp, or
	// where clocks are not to be trusted by the Bundle Age block.
	Age      time.Duration
	Lifetime time.Duration

	// Trusted says that an integrity block covers the primary block and the
	// payload, that its source is one the agent trusts, and that it verifies
	// (RFC 9891 §3.3.1, §4). The agent has to find that out.
	Trusted bool

	// Acknowledge is the flag "user application acknowledgement is requested",
	// which challenge bundles have and response bundles have not.
	Acknowledge bool

	Payload []byte // the administrative record
}

// A Reply is what an agent sends in answer to a challenge bundle: as an
// administrative record, from the challenge bundle's destination to its source,
// without a request for acknowledgement, and with an integrity block
// (RFC 9891 §3.4).
type Reply struct {
	Payload  []byte        // the administrative record
	Lifetime time.Duration // what is left of the challenge bundle's
}

// A Responder answers challenge bundles for one challenge, each of them once. It is
// safe for concurrent use.
type Responder struct {
	Challenge

	mu       sync.Mutex
	closed   bool
	answered map[identity]bool
}

// An identity tells bundles apart.
type identity struct {
	source              string
	timestamp, sequence uint64
}

// maxAnswers bounds what a Responder remembers. Servers send a bundle for each of
// a few paths.
const maxAnswers = 1000

// NewResponder makes a Responder for a challenge, also at an agent that got it from
// elsewhere.
func NewResponder(c Challenge) *Responder { return &Responder{Challenge: c} }

// Respond answers a challenge bundle. An error says why the bundle is to be ignored:
// it is late, untrusted, for another node or challenge, not as it should be, or
// answered already (RFC 9891 §3.3.1). It is for the agent's records, and never for
// the server.
func (r *Responder) Respond(b Bundle) (Reply, error) {
	record, err := ParseRecord(b.Payload)
	if err != nil {
		return Reply{}, err
	}
	fail := func(err error) (Reply, error) { return Reply{}, fmt.Errorf("bpnodeid00: %s: %w", r.NodeID, err) }
	if err := r.check(b, record); err != nil {
		return fail(err)
	}
	payload, err := r.respond(record)
	if err != nil {
		return fail(err)
	}
	if err := r.note(identity{b.Source, b.Timestamp, b.Sequence}); err != nil {
		return fail(err)
	}
	return Reply{Payload: payload, Lifetime: b.Lifetime - b.Age}, nil
}

// check is RFC 9891 §3.3.1.
func (r *Responder) check(b Bundle, record Record) error {
	switch {
	case b.Age < 0 || b.Age > b.Lifetime:
		return fmt.Errorf("a bundle %v old, with a lifetime of %v", b.Age, b.Lifetime)
	case !b.Trusted:
		return errors.New("a bundle without an integrity block that is trusted")
	case !b.Acknowledge:
		return errors.New("a bundle that asks for no acknowledgement is no challenge bundle")
	case normal(b.Destination) != normal(r.NodeID):
		return fmt.Errorf("a bundle for %.100q", b.Destination)
	case record.ID != r.ID:
		return errors.New("a bundle with another id-chal")
	}
	return nil
}

// normal is an endpoint ID in a form that can be compared (RFC 3986 §6.2.2): the case
// of the scheme's letters does not matter, nor does whether unreserved characters are
// percent-encoded. An encoded "/" is another character than "/".
func normal(endpoint string) string {
	scheme, rest, _ := strings.Cut(endpoint, ":")
	parts := strings.Split(rest, "%")
	for i, part := range parts[1:] {
		code := part[:min(len(part), 2)]
		octets, err := hex.DecodeString(code)
		if err == nil && len(octets) == 1 && isUnreserved(octets[0]) {
			parts[i+1] = string(octets) + part[2:]
		} else {
			parts[i+1] = "%" + strings.ToUpper(code) + part[len(code):]
		}
	}
	return strings.ToLower(scheme) + ":" + strings.Join(parts, "")
}

// isUnreserved is RFC 3986 §2.3.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// note remembers that a bundle is answered.
func (r *Responder) note(id identity) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return errors.New("the challenge is over")
	case r.answered[id]:
		return errors.New("the bundle was answered before")
	case len(r.answered) >= maxAnswers:
		return fmt.Errorf("%d bundles were answered, which is enough", maxAnswers)
	}
	if r.answered == nil {
		r.answered = map[identity]bool{}
	}
	r.answered[id] = true
	return nil
}

// Close ends it: the challenge is over, one way or the other (RFC 9891 §3, step 9).
func (r *Responder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}
