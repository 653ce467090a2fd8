package http01_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// The solver is put into the mux that listens on port 80, and into the Solvers
// of a certificate request. The library then calls Present, and the cleanup.
func Example() {
	var solver http01.Solver
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, &solver)
	mux.Handle("/", http.RedirectHandler("https://example.com/", http.StatusMovedPermanently))
	look := func() {
		resp := httptest.NewRecorder()
		mux.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "http://example.com/.well-known/acme-challenge/token", nil))
		fmt.Println(resp.Code, resp.Body)
	}

	ctx := context.Background()
	a := challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "token")
	cleanup, err := solver.Present(ctx, []*acme.Attempt{a})
	if err != nil {
		fmt.Println(err)
		return
	}
	look()
	if err := cleanup(ctx); err != nil {
		fmt.Println(err)
	}
	look()
	// Output:
	// 200 token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
	// 404 404 page not found
}
