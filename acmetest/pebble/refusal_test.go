package pebble_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
)

// refused checks that a request was refused as it should be.
func refused(t *testing.T, resp *http.Response, err error, kind string) {
	t.Helper()
	var p *problem
	if !errors.As(err, &p) || !strings.HasSuffix(p.Type, ":"+kind) {
		t.Errorf("%v, want %s", err, kind)
		return
	}
	if resp.Header.Get("Replay-Nonce") == "" {
		t.Errorf("no nonce with %v", err)
	}
	if resp.Header.Get("Content-Type") != "application/problem+json; charset=utf-8" {
		t.Errorf("%s with %v", resp.Header.Get("Content-Type"), err)
	}
}

// open makes an order for one name and returns its authorization.
func (c *client) open(ctx context.Context, t *testing.T, name string) (*order, *authorization) {
	t.Helper()
	o, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers(name)})
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.authorization(ctx, o.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	return o, a
}

// answerAll answers every challenge that was pending when a was fetched, and
// then shows that the server is still alive.
func (c *client) answerAll(ctx context.Context, t *testing.T, a *authorization, want string) {
	t.Helper()
	for range 2 { // fetching an authorization locks its challenges
		for _, ch := range a.Challenges {
			resp, err := c.post(ctx, ch.URL, struct{}{})
			refused(t, resp, err, "malformed")
		}
		again, err := c.authorization(ctx, a.url)
		if err != nil {
			t.Fatal(err)
		}
		if again.Status != want {
			t.Errorf("authorization is %s, want %s", again.Status, want)
		}
	}
	c.open(ctx, t, "alive.example")
}

// TestSecondChallenge answers challenges of authorizations in all states but
// the one in which they are welcome. A bare Pebble stands still after that.
func TestSecondChallenge(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{})
	c := account(ctx, t, s)
	nothing := func(*client, *authorization, challenge) {}

	o, a := c.open(ctx, t, "valid.example")
	if _, err := c.authorize(ctx, o, "http-01", r.solve); err != nil {
		t.Fatal(err)
	}
	c.answerAll(ctx, t, a, "valid")

	o, a = c.open(ctx, t, "invalid.example")
	if _, err := c.authorize(ctx, o, "http-01", nothing); err != nil {
		t.Fatal(err)
	}
	c.answerAll(ctx, t, a, "invalid")

	_, a = c.open(ctx, t, "deactivated.example")
	if _, err := c.post(ctx, a.url, map[string]string{"status": "deactivated"}); err != nil {
		t.Fatal(err)
	}
	c.answerAll(ctx, t, a, "deactivated")
}

// A patient responder answers when it is told to.
type patient struct {
	*responder
	asked, answer chan struct{}
}

func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked <- struct{}{}
	<-p.answer
	p.responder.ServeHTTP(w, r)
}

// validating returns an authorization whose challenge is being validated,
// until release is called.
func validating(t *testing.T, opts pebble.Options) (ctx context.Context, c *client, a *authorization, release func()) {
	t.Helper()
	s, err := pebble.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.ListenHTTP()
	if err != nil {
		t.Fatal(err)
	}
	p := &patient{new(responder), make(chan struct{}, 10), make(chan struct{})}
	go http.Serve(l, p)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	release = sync.OnceFunc(func() { close(p.answer) })
	t.Cleanup(func() {
		cancel()
		release()
		s.Close()
	})
	c = account(ctx, t, s)
	_, a = c.open(ctx, t, "patient.example")
	ch, err := a.challenge("http-01")
	if err != nil {
		t.Fatal(err)
	}
	p.solve(c, a, ch)
	if _, err := c.post(ctx, ch.URL, struct{}{}); err != nil {
		t.Fatal(err)
	}
	<-p.asked
	return ctx, c, a, release
}

func TestSecondChallengeWhileValidating(t *testing.T) {
	t.Parallel()
	ctx, c, a, release := validating(t, pebble.Options{RetryAfterAuthorization: 3})
	c.answerAll(ctx, t, a, "pending")
	if resp, err := c.post(ctx, a.url, nil); err != nil || resp.Header.Get("Retry-After") == "" {
		t.Errorf("Retry-After missing: %v", err)
	}
	release()
}

// TestWaitForValidation deactivates an authorization, and changes the account
// key, during a validation: both have to wait for its end.
func TestWaitForValidation(t *testing.T) {
	t.Parallel()
	deactivate := func(ctx context.Context, c *client, a *authorization) error {
		_, err := c.post(ctx, a.url, map[string]string{"status": "deactivated"})
		return err
	}
	changeKey := func(ctx context.Context, c *client, _ *authorization) error { return c.changeKey(ctx) }
	for want, act := range map[string]func(context.Context, *client, *authorization) error{
		"deactivated": deactivate,
		"valid":       changeKey,
	} {
		ctx, c, a, release := validating(t, pebble.Options{})
		done := make(chan error)
		go func() { done <- act(ctx, c, a) }()
		select {
		case err := <-done:
			t.Fatalf("want %s: answered while validating: %v", want, err)
		case <-time.After(50 * time.Millisecond):
		}
		release()
		if err := <-done; err != nil {
			t.Errorf("want %s: %v", want, err)
		}
		if again, err := c.authorization(ctx, a.url); err != nil || again.Status != want {
			t.Errorf("%+v, %v, want %s", again, err, want)
		}
	}
}

// TestUnauthentic looks whether refusals are for those who may ask.
func TestUnauthentic(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{BlockedDomains: []string{"blocked.example"}})
	c := account(ctx, t, s)
	other := account(ctx, t, s)
	forger := &client{http: c.http, directory: c.directory, key: other.key, account: c.account}
	resp, err := forger.post(ctx, c.directory.NewOrder, map[string]any{"identifiers": identifiers("blocked.example")})
	if err == nil || !strings.Contains(err.Error(), "JWS verification error") {
		t.Error(err)
	}
	refused(t, resp, err, "malformed")
}

func TestBlockedDomains(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{BlockedDomains: []string{"Blocked.example", "www.other.example"}})
	c := account(ctx, t, s)
	for _, name := range []string{"blocked.example", "BLOCKED.Example", "a.b.blocked.example", "*.blocked.example", "www.other.example"} {
		resp, err := c.post(ctx, c.directory.NewOrder, map[string]any{"identifiers": identifiers("fine.example", name)})
		refused(t, resp, err, "rejectedIdentifier")
		var p *problem
		if errors.As(err, &p) && len(p.Subproblems) != 1 {
			t.Errorf("%d subproblems", len(p.Subproblems))
		}
	}
	for _, name := range []string{"example", "other.example", "unblocked.example", "127.0.0.1"} {
		if _, err := c.newOrder(ctx, map[string]any{"identifiers": identifiers(name)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
