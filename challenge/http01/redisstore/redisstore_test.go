package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
	"github.com/seed-aa0b9f56/acme/challenge/http01/redisstore"
	redisserver "github.com/seed-aa0b9f56/acme/internal/redis"
)

func startRedis(t *testing.T) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: redisserver.Start(t), MaxRetries: -1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func served(handler http.Handler, a *acme.Attempt) error {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: http01.PathPrefix + a.Challenge.Token}})
	if recorder.Code != http.StatusOK || recorder.Body.String() != string(a.KeyAuthorization) {
		return fmt.Errorf("status %d", recorder.Code)
	}
	return nil
}

// Each replica has a client of its own, and is asked for what another one has put.
func TestSolver(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver { return &http01.Shared{Store: &redisstore.Store{Client: client}} },
		func(_ context.Context, a *acme.Attempt) error {
			return served(&http01.Shared{Store: &redisstore.Store{Client: client}}, a)
		})
}

// What a process that died has left goes by itself.
func TestExpiry(t *testing.T) {
	t.Parallel()
	client := startRedis(t)
	store := &redisstore.Store{Client: client, Prefix: "test:"}
	a := http01.Answer{Token: "token", Holder: "A", KeyAuthorization: "token.thumbprint", TTL: time.Hour}
	if err := store.Put(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if ttl := client.PTTL(t.Context(), "test:token").Val(); ttl < 59*time.Minute || ttl > time.Hour {
		t.Errorf("lives for %v", ttl)
	}
	// An answer that lives shorter takes nothing from those that are there, and one that lives longer adds.
	for holder, ttl := range map[string]time.Duration{"B": time.Millisecond, "C": time.Nanosecond, "A": 30 * time.Minute} {
		if err := store.Put(t.Context(), http01.Answer{Token: "token", Holder: holder, KeyAuthorization: "token.thumbprint", TTL: ttl}); err != nil {
			t.Fatal(err)
		}
	}
	if ttl := client.PTTL(t.Context(), "test:token").Val(); ttl < 59*time.Minute {
		t.Errorf("lives for %v, since another answer was put", ttl)
	}
	a.TTL = 2 * time.Hour
	if err := store.Put(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if ttl := client.PTTL(t.Context(), "test:token").Val(); ttl < 119*time.Minute || ttl > 2*time.Hour {
		t.Errorf("lives for %v", ttl)
	}
	a.Token, a.TTL = "short", time.Nanosecond
	if err := store.Put(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for k := acme.KeyAuthorization("some"); k != ""; <-tick.C {
		var err error
		if k, err = store.Get(t.Context(), "short"); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Delete(t.Context(), a); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

// A Redis that is not there is an error of everything, and 503.
func TestNoRedis(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: filepath.Join(t.TempDir(), "none"), MaxRetries: -1})
	defer client.Close()
	shared := &http01.Shared{Store: &redisstore.Store{Client: client}}
	a := challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "token")
	cleanup, err := shared.Present(t.Context(), []*acme.Attempt{a})
	if err == nil || !strings.HasPrefix(err.Error(), "http01: http-01 for example.com: putting the answer into the store: redisstore: ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := cleanup(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := served(shared, a); err == nil || err.Error() != "status 503" {
		t.Errorf("got %v", err)
	}
}

// The store is given to a solver, which is also the handler of each replica.
func Example() {
	client := redis.NewClient(&redis.Options{Addr: "redis.example:6379"})
	solver := &http01.Shared{Store: &redisstore.Store{Client: client}}
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, solver)
	fmt.Println(solver.Supports(challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "token")))
	// Output: true
}
