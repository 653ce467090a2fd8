package http01_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

const thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" // of all attempts of challengetest

const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

func attempt(token string) *acme.Attempt {
	return challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], token)
}

// present has a solver serve the answers to some tokens.
func present(t testing.TB, s acme.Solver, tokens ...string) acme.Cleanup {
	t.Helper()
	batch := make([]*acme.Attempt, len(tokens))
	for i, token := range tokens {
		batch[i] = attempt(token)
	}
	cleanup, err := s.Present(t.Context(), batch)
	if err != nil || cleanup == nil {
		t.Fatalf("cleanup %t, error %v", cleanup != nil, err)
	}
	return cleanup
}

// ask asks a handler as a server would, in the process.
func ask(handler http.Handler, method string, u *url.URL) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	request := &http.Request{Method: method, URL: u, Host: "example.com"}
	handler.ServeHTTP(recorder, request)
	return recorder
}

func isServed(handler http.Handler, token string) bool {
	return ask(handler, http.MethodGet, &url.URL{Path: http01.PathPrefix + token}).Code == http.StatusOK
}

// served returns nil if a handler has the answer to an attempt.
func served(handler http.Handler, a *acme.Attempt) error {
	recorder := ask(handler, http.MethodGet, &url.URL{Path: http01.PathPrefix + a.Challenge.Token})
	if recorder.Code != http.StatusOK || recorder.Body.String() != string(a.KeyAuthorization) {
		return fmt.Errorf("status %d", recorder.Code)
	}
	return nil
}

// A memory is a Store, as one writes it for tests. It forgets nothing by itself.
type memory struct {
	mu      sync.Mutex
	answers map[string]map[string]http01.Answer // by token and holder
	err     error                               // of all calls, if not nil
	calls   int
}

func (m *memory) call(ctx context.Context) (unlock func(), err error) {
	m.mu.Lock()
	m.calls++
	if err = ctx.Err(); err == nil {
		err = m.err
	}
	return m.mu.Unlock, err
}

func (m *memory) Put(ctx context.Context, a http01.Answer) error {
	unlock, err := m.call(ctx)
	defer unlock()
	if err != nil {
		return err
	}
	if m.answers == nil {
		m.answers = map[string]map[string]http01.Answer{}
	}
	if m.answers[a.Token] == nil {
		m.answers[a.Token] = map[string]http01.Answer{}
	}
	m.answers[a.Token][a.Holder] = a
	return nil
}

func (m *memory) Get(ctx context.Context, token string) (acme.KeyAuthorization, error) {
	unlock, err := m.call(ctx)
	defer unlock()
	for _, a := range m.answers[token] {
		return a.KeyAuthorization, err
	}
	return "", err
}

func (m *memory) Delete(ctx context.Context, a http01.Answer) error {
	unlock, err := m.call(ctx)
	defer unlock()
	if err == nil {
		delete(m.answers[a.Token], a.Holder)
	}
	return err
}
