package bpnodeid00_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/bpnodeid00"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }

const (
	idChal     = "dDtaviYTPUWFS3NK37YWfQ"
	tokenChal  = "tPUZNY4ONIk6LxErRFEjVw"
	thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of all attempts of challengetest
)

func node(eid string) acme.Identifier { return acme.Identifier{Type: acme.TypeBundleEID, Value: eid} }

func attempt() *acme.Attempt {
	return challengetest.NewAttempt(acme.BPNodeID00, node("dtn://node/"), tokenChal)
}

// An agent answers for the nodes that it was configured for.
type agent struct {
	mu         sync.Mutex
	configured map[*bpnodeid00.Responder]bool
	calls      int
}

func (g *agent) configure(ctx context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if g.configured == nil {
		g.configured = map[*bpnodeid00.Responder]bool{}
	}
	g.configured[r] = true
	g.calls++
	return func(context.Context) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.configured, r)
		return nil
	}, nil
}

// find returns the responders for a challenge.
func (g *agent) find(c bpnodeid00.Challenge) []*bpnodeid00.Responder {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []*bpnodeid00.Responder
	for r := range g.configured {
		if r.Challenge == c {
			found = append(found, r)
		}
	}
	return found
}

func TestSolver(t *testing.T) {
	t.Parallel()
	var g *agent // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			g = new(agent)
			return &bpnodeid00.Solver{Configure: g.configure}
		},
		func(_ context.Context, a *acme.Attempt) error {
			c, err := bpnodeid00.NewChallenge(a)
			if err != nil {
				return err
			}
			if n := len(g.find(c)); n != 1 {
				return fmt.Errorf("%d responders", n)
			}
			return nil
		})
}

// TestChallenge reads the members of the challenge object, and refuses what the RFC
// does.
func TestChallenge(t *testing.T) {
	t.Parallel()
	c, err := bpnodeid00.NewChallenge(attempt())
	if want := (bpnodeid00.Challenge{NodeID: "dtn://node/", ID: idChal, Token: tokenChal, Thumbprint: thumbprint}); err != nil || c != want {
		t.Errorf("%#v, %v", c, err)
	}
	for raw, says := range map[string]string{
		`{"id-chal":"` + idChal + `"}`:                                            "token-chal has 0 characters",
		`{"token-chal":"` + tokenChal + `"}`:                                      "id-chal has 0 characters",
		`{"id-chal":"` + idChal + `==","token-chal":"` + tokenChal + `"}`:         "id-chal has",
		`{"id-chal":"` + idChal + `","token-chal":"tPUZNY4ONIk6LxErRFEj"}`:        "want 128 bits or more",
		`{"id-chal":"` + idChal + `","token-chal":"tPUZNY4ONIk6LxErRFEj+/"}`:      "token-chal has",
		`{"id-chal":"dDtaviYTPUWFS3NK\n37YWfQ","token-chal":"` + tokenChal + `"}`: "id-chal has",
		`{"id-chal":1}`: "cannot be read",
		`[`:             "cannot be read",
	} {
		a := attempt()
		a.Challenge.Raw = json.RawMessage(raw)
		if c, err := bpnodeid00.NewChallenge(a); err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "bpnodeid00: bp-nodeid-00 for bundleEID:dtn://node/: ") || c.Token != "" || strings.Contains(err.Error(), "tPUZNY4O") {
			t.Errorf("%s: %v", raw, err)
		}
	}
	without := attempt()
	without.Thumbprint = ""
	for says, a := range map[string]*acme.Attempt{"no thumbprint": without, "no challenge": {Identifier: node("dtn://node/")}} {
		if _, err := bpnodeid00.NewChallenge(a); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// TestRedact: what is to be kept confidential (RFC 9891 §6.6) is not printed, but
// sent to an agent elsewhere.
func TestRedact(t *testing.T) {
	t.Parallel()
	c, err := bpnodeid00.NewChallenge(attempt())
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("x", "c", c, "r", bpnodeid00.NewResponder(c))
	}
	text := fmt.Sprintf("%v %+v %#v %s", c, c, c, bpnodeid00.NewResponder(c)) + log.String()
	if strings.Contains(text, tokenChal) || strings.Contains(text, thumbprint) || !strings.Contains(text, "dtn://node/") {
		t.Error(text)
	}
	data, err := json.Marshal(c)
	var back bpnodeid00.Challenge
	if err != nil || json.Unmarshal(data, &back) != nil || back != c {
		t.Errorf("%s, %v", data, err)
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	conformance.Claim(t, "9891-3.2-01", "9891-3.2-02")
	for rtt, want := range map[time.Duration]string{
		0: `{}`, time.Nanosecond: `{"rtt":1}`, time.Second: `{"rtt":1}`, 1500 * time.Millisecond: `{"rtt":2}`, 5 * time.Minute: `{"rtt":300}`,
	} {
		solver := &bpnodeid00.Solver{Configure: new(agent).configure, RTT: rtt}
		a := attempt()
		if _, err := solver.Present(t.Context(), []*acme.Attempt{a}); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(a.Response); err != nil || string(got) != want {
			t.Errorf("%v: %s, want %s", rtt, got, want)
		}
	}
}

// TestRefusal: nothing is configured if anything is wrong.
func TestRefusal(t *testing.T) {
	t.Parallel()
	g := new(agent)
	short := challengetest.NewAttempt(acme.BPNodeID00, node("dtn://other/"), "c2hvcnQ")
	for says, tt := range map[string]struct {
		solver *bpnodeid00.Solver
		batch  []*acme.Attempt
	}{
		"Solver.Configure is nil": {&bpnodeid00.Solver{}, []*acme.Attempt{attempt()}},
		"the least is zero":       {&bpnodeid00.Solver{Configure: g.configure, RTT: -1}, []*acme.Attempt{attempt()}},
		"want 128 bits":           {&bpnodeid00.Solver{Configure: g.configure}, []*acme.Attempt{attempt(), short}},
	} {
		cleanup, err := tt.solver.Present(t.Context(), tt.batch)
		if err == nil || cleanup != nil || g.calls != 0 || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %d calls", says, err, g.calls)
		}
	}
	fails := errors.New("no agent")
	undone := 0
	solver := &bpnodeid00.Solver{Configure: func(context.Context, *bpnodeid00.Responder) (acme.Cleanup, error) {
		return func(context.Context) error { undone++; return nil }, fails
	}}
	a := attempt()
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{a})
	if !errors.Is(err, fails) || a.Response != nil || !strings.Contains(err.Error(), "bp-nodeid-00 for bundleEID:dtn://node/") {
		t.Fatalf("%v", err)
	}
	if err := cleanup(t.Context()); err != nil || undone != 1 {
		t.Errorf("%v, undone %d times", err, undone)
	}
}

// TestClosed: after the cleanup the agent is not to answer, even if it would.
func TestClosed(t *testing.T) {
	t.Parallel()
	var kept *bpnodeid00.Responder
	solver := &bpnodeid00.Solver{Configure: func(_ context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
		kept = r
		return nil, nil //nolint:nilnil // nothing to undo
	}}
	cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt()})
	if err != nil {
		t.Fatal(err)
	}
	b := bundle(t, nil)
	if _, err := kept.Respond(b); err != nil {
		t.Error(err)
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	b.Sequence++
	if _, err := kept.Respond(b); err == nil || !strings.Contains(err.Error(), "the challenge is over") {
		t.Errorf("%v", err)
	}
}

// TestEnded: a cleanup whose context has ended still ends what needs no time: the
// Responder, and the turn of one that could not be configured.
func TestEnded(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var kept *bpnodeid00.Responder
	fails := errors.New("no agent")
	solver := &bpnodeid00.Solver{Configure: func(_ context.Context, r *bpnodeid00.Responder) (acme.Cleanup, error) {
		kept = r
		return func(ctx context.Context) error { return ctx.Err() }, fails
	}}
	for _, want := range []error{fails, nil} {
		fails = want
		within, done := context.WithTimeout(t.Context(), 10*time.Second)
		cleanup, err := solver.Present(within, []*acme.Attempt{attempt()})
		done()
		if !errors.Is(err, want) || cleanup == nil {
			t.Fatalf("%v, want %v", err, want)
		}
		if err := cleanup(ended); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := kept.Respond(bundle(t, nil)); err == nil || !strings.Contains(err.Error(), "the challenge is over") {
			t.Errorf("after the cleanup: %v", err)
		}
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	var solver bpnodeid00.Solver
	for _, tt := range []struct {
		attempt *acme.Attempt
		want    bool
	}{
		{attempt(), true},
		{challengetest.NewAttempt(acme.BPNodeID00, acme.DNS("example.com")[0], tokenChal), false},
		{challengetest.NewAttempt(acme.HTTP01, node("dtn://node/"), tokenChal), false},
		{&acme.Attempt{Identifier: node("dtn://node/")}, false},
	} {
		if got := solver.Supports(tt.attempt); got != tt.want {
			t.Errorf("%s: %t", tt.attempt, got)
		}
	}
}
