// Package bpnodeid00 fulfils bp-nodeid-00 challenges (RFC 9891): the server sends
// bundles to a node of a delay-tolerant network, and the node's agent answers them.
//
// The RFC is experimental. What is here was built from its last draft, with the
// number that IANA has assigned to the record since.
//
// A [Solver] has the program configure the agent. One in the same process hands the
// challenge bundles that it receives to a [Responder] and sends back what that
// returns; one elsewhere gets the [Challenge], which is data, and makes the
// Responder there:
//
//	solver := &bpnodeid00.Solver{
//		Configure: func(ctx context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
//			agent.OnAdminRecord(bpnodeid00.RecordType, r.Respond)
//			return func(context.Context) error { return agent.Off(bpnodeid00.RecordType) }, nil
//		},
//	}
//
// Orders are for identifiers of the type [acme.TypeBundleEID], whose values are
// node IDs such as "dtn://node/" and "ipn:977000.0". [NewCSR] makes the CSR.
//
// Routing, the bundles themselves, and the signatures on them (RFC 9172) are the
// agent's business.
package bpnodeid00

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/lease"
)

// A Solver fulfils bp-nodeid-00 challenges through the agents of the nodes. It may
// be used for any number of orders and accounts at once, if Configure may.
type Solver struct {
	// Configure has the agent of the node r.NodeID answer challenge bundles with
	// r.Respond, and returns when it does: the server sends the first ones at once
	// (RFC 9891 §3). The cleanup ends that. Orders that share a challenge share
	// its Responder.
	Configure func(ctx context.Context, r *Responder) (acme.Cleanup, error)

	// RTT is how long a bundle may take to the node and its answer back; the
	// server waits for about twice that. It is rounded up to seconds, and should be
	// pessimistic: the server chooses the paths (RFC 9891 §3.2). 0 leaves it to the
	// server.
	RTT time.Duration

	shared lease.Group
}

// A Response is what a challenge is answered with (RFC 9891 §3.2).
type Response struct {
	RTT float64 `json:"rtt,omitzero"` // in seconds
}

// Supports reports whether a is a bp-nodeid-00 challenge for an endpoint ID.
func (s *Solver) Supports(a *acme.Attempt) bool {
	return a.Challenge != nil && a.Challenge.Type == acme.BPNodeID00 && a.Identifier.Type == acme.TypeBundleEID
}

// Present has the agents configured for the batch. Its cleanup ends that, after
// which no Responder of the batch responds. It fails if RTT is negative, if a
// challenge is not as the RFC wants it, and if Configure fails.
func (s *Solver) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	switch {
	case s.Configure == nil:
		return nil, errors.New("bpnodeid00: Solver.Configure is nil: it has to configure the agent")
	case s.RTT < 0:
		return nil, fmt.Errorf("bpnodeid00: Solver.RTT is %v: the least is zero (RFC 9891 §3.2)", s.RTT)
	}
	for _, a := range batch { // before anything is configured
		if _, err := NewChallenge(a); err != nil {
			return nil, err
		}
	}
	return acme.Each(s.Supports, s.present).Present(ctx, batch)
}

func (s *Solver) present(ctx context.Context, a *acme.Attempt) (acme.Cleanup, error) {
	challenge, err := NewChallenge(a)
	if err != nil {
		return nil, err
	}
	key := challenge.NodeID + " " + challenge.ID + " " + challenge.Token + " " + challenge.Thumbprint
	release, err := s.shared.Acquire(ctx, key, func(ctx context.Context) (func(context.Context) error, error) {
		return s.configure(ctx, challenge)
	})
	if err != nil {
		return release, fmt.Errorf("bpnodeid00: %s: %w", a, err)
	}
	a.Response = Response{RTT: math.Ceil(s.RTT.Seconds())}
	return release, nil
}

func (s *Solver) configure(ctx context.Context, c Challenge) (func(context.Context) error, error) {
	r := NewResponder(c)
	cleanup, err := s.Configure(ctx, r)
	return func(ctx context.Context) error {
		r.Close()
		if cleanup == nil {
			return nil
		}
		return cleanup(ctx)
	}, err
}

// A Challenge is what an agent has to know to answer for a challenge. It is data,
// to be sent to an agent elsewhere, over a channel that keeps it confidential
// (RFC 9891 §6.6); it prints without the token and the thumbprint.
type Challenge struct {
	NodeID     string `json:"node-id"`
	ID         string `json:"id-chal"`    // base64url; it is in the bundles
	Token      string `json:"token-chal"` // base64url; it is not
	Thumbprint string `json:"thumbprint"` // of the account key (RFC 7638)
}

const minOctets = 16 // 128 bits (RFC 9891 §3.1)

// NewChallenge reads the challenge of an attempt (RFC 9891 §3.1). It fails if a part
// is missing, is not base64url, or is shorter than 128 bits.
func NewChallenge(a *acme.Attempt) (Challenge, error) {
	var members struct {
		ID    string `json:"id-chal"`
		Token string `json:"token-chal"`
	}
	fail := func(format string, args ...any) (Challenge, error) {
		return Challenge{}, fmt.Errorf("bpnodeid00: %s: %w", a, fmt.Errorf(format, args...))
	}
	if a.Challenge == nil {
		return fail("there is no challenge")
	}
	if err := json.Unmarshal(a.Challenge.Raw, &members); err != nil {
		return fail("the challenge cannot be read: %w", err)
	}
	for name, text := range map[string]string{"id-chal": members.ID, "token-chal": members.Token} {
		if octets, err := decode(text); err != nil || len(octets) < minOctets {
			return fail("%s has %d characters: want 128 bits or more, as base64url without padding (RFC 9891 §3.1)", name, len(text)) // it is not shown: it may be one, almost
		}
	}
	if a.Thumbprint == "" {
		return fail("the attempt has no thumbprint")
	}
	return Challenge{NodeID: a.Identifier.Value, ID: members.ID, Token: members.Token, Thumbprint: a.Thumbprint}, nil
}

// String names the node.
func (c Challenge) String() string { return "bp-nodeid-00 for " + c.NodeID }

// GoString names the node.
func (c Challenge) GoString() string { return c.String() }

// LogValue names the node.
func (c Challenge) LogValue() slog.Value { return slog.StringValue(c.String()) }

// KeyAuthorization returns the key authorization for the token of a bundle: the two
// tokens as base64url text, that of the bundle first, and the thumbprint (RFC 9891 §3,
// step 6).
func (c Challenge) KeyAuthorization(tokenBundle []byte) acme.KeyAuthorization {
	return acme.KeyAuthorization(encode(tokenBundle) + c.Token + "." + c.Thumbprint)
}
