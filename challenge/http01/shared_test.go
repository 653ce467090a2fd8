package http01_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

var errDown = errors.New("the store is down")

// While the store fails, or has something else, nothing is answered wrongly, and
// not with 404 either; whoever reads the log learns why.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer acme.KeyAuthorization
		err    error
		status int
		says   string
	}{
		"down":                   {err: errDown, status: 503, says: "the store is down"},
		"down, with an answer":   {answer: token + "." + thumbprint, err: errDown, status: 503, says: "the store is down"},
		"nothing":                {status: 404},
		"the answer":             {answer: token + "." + thumbprint, status: 200},
		"another token's":        {answer: "other." + thumbprint, status: 503, says: "no answer to the token"},
		"half":                   {answer: token + ".", status: 503, says: "no answer to the token"},
		"the token":              {answer: token, status: 503, says: "no answer to the token"},
		"more":                   {answer: token + "." + thumbprint + "\n", status: 503, says: "no answer to the token"},
		"HTML":                   {answer: "<script>", status: 503, says: "the store has 8 octets"},
		"HTML after the token":   {answer: token + ".<script>", status: 503, says: "no answer to the token"},
		"a great deal":           {answer: acme.KeyAuthorization(token + "." + strings.Repeat("a", 1<<20)), status: 503, says: "no answer to the token"},
		"another key's, so what": {answer: token + ".other", status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			shared := &http01.Shared{Store: fixed{tt.answer, tt.err}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			for _, s := range []*http01.Shared{shared, {Store: shared.Store}} {
				resp := ask(s, http.MethodGet, &url.URL{Path: http01.PathPrefix + token})
				if resp.Code != tt.status || (resp.Header().Get("Retry-After") != "") != (tt.status == 503) || resp.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("status %d, header %v", resp.Code, resp.Header())
				}
				if (resp.Body.String() == string(tt.answer)) != (tt.status == 200) {
					t.Errorf("status %d with %q", resp.Code, resp.Body)
				}
			}
			if text := log.String(); !strings.Contains(text, tt.says) || (text == "") != (tt.says == "") || strings.Contains(text, token) {
				t.Errorf("logged %q", text)
			}
		})
	}
}

// fixed is a store with one answer to everything.
type fixed struct {
	answer acme.KeyAuthorization
	err    error
}

func (fixed) Put(context.Context, http01.Answer) error                     { return nil }
func (f fixed) Get(context.Context, string) (acme.KeyAuthorization, error) { return f.answer, f.err }
func (fixed) Delete(context.Context, http01.Answer) error                  { return nil }

// What cannot be a token never gets to the store.
func TestStoreIsNotAskedForEverything(t *testing.T) {
	t.Parallel()
	store := new(memory)
	shared := &http01.Shared{Store: store}
	for _, path := range []string{"", "a/b", "../a", "a b", "a.b", "a=", "ä", "\x00", strings.Repeat("a", 256)} {
		if resp := ask(shared, http.MethodGet, &url.URL{Path: http01.PathPrefix + path}); resp.Code != http.StatusNotFound {
			t.Errorf("%q: status %d", path, resp.Code)
		}
	}
	if store.calls != 0 {
		t.Errorf("%d calls", store.calls)
	}
	if isServed(shared, strings.Repeat("a", 255)) || store.calls != 1 {
		t.Errorf("%d calls for a long token", store.calls)
	}
}

// A store that hangs costs the CA's server some seconds, not its patience.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		resp := ask(&http01.Shared{Store: hanging{}}, http.MethodGet, &url.URL{Path: http01.PathPrefix + token})
		if took := time.Since(began); resp.Code != http.StatusServiceUnavailable || took != 5*time.Second {
			t.Errorf("status %d after %v", resp.Code, took)
		}
	})
}

type hanging struct{ http01.Store }

func (hanging) Get(ctx context.Context, _ string) (acme.KeyAuthorization, error) {
	<-ctx.Done()
	return "", ctx.Err()
}

// Without a Store, the error says what is missing, and requests are told to come back.
func TestNoStore(t *testing.T) {
	t.Parallel()
	var shared http01.Shared
	if _, err := shared.Present(t.Context(), []*acme.Attempt{attempt(token)}); err == nil || !strings.Contains(err.Error(), "Shared.Store is nil") {
		t.Errorf("got %v", err)
	}
	if resp := ask(&shared, http.MethodGet, &url.URL{Path: http01.PathPrefix + token}); resp.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.Code)
	}
}

// Errors of Put and Delete name the identifier and the step; what may have
// arrived is deleted.
func TestStoreErrors(t *testing.T) {
	t.Parallel()
	store := new(memory)
	shared := &http01.Shared{Store: store}
	cleanup := present(t, shared, "first")
	store.err = errDown
	if err := cleanup(t.Context()); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "http01: http-01 for example.com: deleting the answer") {
		t.Errorf("got %v", err)
	}
	cleanup, err := shared.Present(t.Context(), []*acme.Attempt{attempt("second")})
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "http01: http-01 for example.com: putting the answer") || cleanup == nil {
		t.Fatalf("got %v", err)
	}
	store.err = nil
	calls := store.calls
	if err := cleanup(t.Context()); err != nil || store.calls != calls+1 {
		t.Errorf("after a Put that failed: %d calls, %v", store.calls-calls, err)
	}
	if _, err := shared.Present(t.Context(), []*acme.Attempt{attempt("third"), attempt("../up")}); err == nil || isServed(shared, "third") {
		t.Errorf("a token that is none: %v", err)
	}
}

// An answer has a holder of its own, and the time to live.
func TestAnswers(t *testing.T) {
	t.Parallel()
	store := new(memory)
	present(t, &http01.Shared{Store: store}, token)
	present(t, &http01.Shared{Store: store, TTL: time.Minute}, token)
	ttls := map[time.Duration]bool{}
	for holder, a := range store.answers[token] {
		ttls[a.TTL] = true
		if a.Token != token || a.Holder != holder || len(holder) < 20 || strings.Trim(holder, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || a.KeyAuthorization != token+"."+thumbprint {
			t.Errorf("%#v", a)
		}
	}
	if len(store.answers[token]) != 2 || !ttls[24*time.Hour] || !ttls[time.Minute] {
		t.Errorf("%v", ttls)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("put", "answer", http01.Answer{Token: token, KeyAuthorization: token + "." + thumbprint})
	a := http01.Answer{Token: token, KeyAuthorization: token + "." + thumbprint}
	for _, text := range []string{log.String(), fmt.Sprint(a, &a, []http01.Answer{a}), fmt.Sprintf("%+v %#v %#v", a, a, &a)} {
		if strings.Contains(text, token) || strings.Contains(text, thumbprint) {
			t.Errorf("printed %s", text)
		}
	}
}

// A store that has keys and expiry, and nothing else, leaves the holder out, and
// its Delete does nothing.
func TestPlainStore(t *testing.T) {
	t.Parallel()
	plain := plainStore{}
	one, other := &http01.Shared{Store: plain}, &http01.Shared{Store: plain}
	cleanup := present(t, one, token)
	present(t, other, token)
	if err := cleanup(t.Context()); err != nil || !isServed(other, token) {
		t.Errorf("error %v, or not served any more", err)
	}
}

type plainStore map[string]acme.KeyAuthorization

func (p plainStore) Put(_ context.Context, a http01.Answer) error {
	p[a.Token] = a.KeyAuthorization // to expire after a.TTL
	return nil
}

func (p plainStore) Get(_ context.Context, token string) (acme.KeyAuthorization, error) {
	return p[token], nil
}

func (p plainStore) Delete(context.Context, http01.Answer) error { return nil }

func TestStatelessAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		thumbprint, path string
		want             string
	}{
		{thumbprint, token, token + "." + thumbprint},
		{thumbprint, "any-other_Token", "any-other_Token." + thumbprint},
		{thumbprint, strings.Repeat("a", 255), strings.Repeat("a", 255) + "." + thumbprint},
		{thumbprint, strings.Repeat("a", 256), ""},
		{thumbprint, "", ""},
		{thumbprint, "a/b", ""},
		{thumbprint, "a.b", ""},
		{thumbprint, "<script>", ""},
		{thumbprint, "a\r\nb", ""},
		{"", token, ""},
		{"not a thumbprint", token, ""},
	} {
		resp := ask(http01.Stateless{Thumbprint: tt.thumbprint}, http.MethodGet, &url.URL{Path: http01.PathPrefix + tt.path})
		if ok := resp.Code == http.StatusOK; ok != (tt.want != "") || ok && resp.Body.String() != tt.want {
			t.Errorf("%q with %q: status %d, %q", tt.path, tt.thumbprint, resp.Code, resp.Body)
		}
	}
	if resp := ask(stateless, http.MethodPost, &url.URL{Path: http01.PathPrefix + token}); resp.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", resp.Code)
	}
}

// The replica that places the orders notices that the others would answer for
// another account.
func TestStatelessRefusal(t *testing.T) {
	t.Parallel()
	for _, s := range []http01.Stateless{{}, {Thumbprint: "other"}, {Thumbprint: thumbprint + "A"}} {
		cleanup, err := s.Present(t.Context(), []*acme.Attempt{attempt(token)})
		if cleanup != nil || !strings.Contains(fmt.Sprint(err), "http01: http-01 for example.com: Stateless.Thumbprint is not that of the account's key") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
