package http01_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// Answering is what all solvers here do.
type answering interface {
	acme.Solver
	http.Handler
}

// What answers, and how many allocations that may cost: those for the header
// included, and those of the context for a store.
var lookups = []struct {
	name  string
	limit float64
	new   func() answering
}{
	{"memory", 4, func() answering { return new(http01.Solver) }},
	{"stateless", 4, func() answering { return http01.Stateless{Thumbprint: thumbprint} }},
	{"shared", 9, func() answering { return &http01.Shared{Store: new(memory)} }},
}

// pending has challenges under way, the first of them that for token.
func pending(t testing.TB, s acme.Solver, n int) {
	t.Helper()
	batch := make([]*acme.Attempt, n)
	for i := range batch {
		token := "token" + strconv.Itoa(i)
		batch[i] = &acme.Attempt{Challenge: &acme.Challenge{Type: acme.HTTP01, Token: token}, KeyAuthorization: acme.KeyAuthorization(token + "." + thumbprint)}
	}
	batch[0] = attempt(token)
	if _, err := s.Present(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// A lookup costs the same, however many challenges are pending, whether it is for
// one of them, for another token, or for what cannot be one.
func TestLookupAllocations(t *testing.T) {
	for _, tt := range lookups {
		few, many := tt.new(), tt.new()
		pending(t, few, 1)
		pending(t, many, 10_000)
		for _, asked := range []string{token, "unknown", "no/token"} {
			request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: http01.PathPrefix + asked}}
			cost := func(s answering) float64 {
				w := discard{}
				return testing.AllocsPerRun(100, func() { s.ServeHTTP(w, request) })
			}
			if one, all := cost(few), cost(many); one != all || one > tt.limit {
				t.Errorf("%s: %v allocations with 1 pending, %v with 10,000, for %q", tt.name, one, all, asked)
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, tt := range lookups {
		b.Run(tt.name, func(b *testing.B) {
			s := tt.new()
			pending(b, s, 10_000)
			request := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: http01.PathPrefix + token}}
			w := discard{}
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(w, request)
			}
		})
	}
}

// discard is an http.ResponseWriter that allocates nothing: it is its header.
type discard http.Header

func (d discard) Header() http.Header             { return http.Header(d) }
func (discard) WriteHeader(int)                   {}
func (discard) Write(p []byte) (int, error)       { return len(p), nil }
func (discard) WriteString(s string) (int, error) { return len(s), nil }
