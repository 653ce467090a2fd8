package http01_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/http01"
)

// The solver is put into the mux that listens on port 80, and into the Solvers
// of a certificate request. The library then calls Present, and the cleanup.
func Example() {
	mux := http.NewServeMux()
	mux.Handle("/", http.RedirectHandler("https://example.com/", http.StatusMovedPermanently))

	var solver http01.Solver
	mux.Handle(http01.PathPrefix, &solver)
	request := acme.CertificateRequest{Solvers: []acme.Solver{&solver}}

	look := func() {
		resp := httptest.NewRecorder()
		mux.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "http://example.com/.well-known/acme-challenge/token", nil))
		fmt.Println(resp.Code, resp.Body)
	}

	ctx := context.Background()
	a := challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "token")
	cleanup, err := request.Solvers[0].Present(ctx, []*acme.Attempt{a})
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

// A program without an HTTP server has one while there is a challenge, and looks
// at it before the CA does.
func ExampleServer() {
	var solver http01.Server
	request := acme.CertificateRequest{
		OrderRequest: acme.OrderRequest{Identifiers: acme.DNS("example.com")},
		Solvers:      []acme.Solver{acme.Checked(&solver, http01.Check)},
	}
	fmt.Println(request.Solvers[0].Supports(exampleAttempt))
	// Output: true
}

// Replicas answer for all orders of an account, without knowing any of them. One
// of them places the orders.
func ExampleStateless() {
	account := (&acme.Client{}).Account(exampleKey, "https://ca.example/account/1")

	// In the configuration of each replica:
	thumbprint := account.Thumbprint()
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, http01.Stateless{Thumbprint: thumbprint})

	// Where the orders are placed:
	request := acme.CertificateRequest{Solvers: []acme.Solver{http01.Stateless{Thumbprint: thumbprint}}}

	resp := httptest.NewRecorder()
	mux.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "http://example.com/.well-known/acme-challenge/token", nil))
	fmt.Println(resp.Code, resp.Body)
	fmt.Println(request.Solvers[0].Supports(exampleAttempt))
	// Output:
	// 200 token.cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s
	// true
}

// Replicas answer with what they keep in a store that they share, and each of them
// may place orders.
func ExampleShared() {
	var store http01.Store = new(memory) // in Redis, in a database, in a folder

	solver := &http01.Shared{Store: store}
	mux := http.NewServeMux()
	mux.Handle(http01.PathPrefix, solver)
	request := acme.CertificateRequest{Solvers: []acme.Solver{solver}}

	ctx := context.Background()
	cleanup, err := request.Solvers[0].Present(ctx, []*acme.Attempt{exampleAttempt})
	if err != nil {
		fmt.Println(err)
		return
	}
	another := &http01.Shared{Store: store} // in another process
	resp := httptest.NewRecorder()
	another.ServeHTTP(resp, httptest.NewRequest(http.MethodGet, "http://example.com/.well-known/acme-challenge/token", nil))
	fmt.Println(resp.Code, resp.Body)
	fmt.Println(cleanup(ctx))
	// Output:
	// 200 token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
	// <nil>
}

// Another program's web server serves the answers as files.
func ExampleWebroot() {
	dir, err := os.MkdirTemp("", "webroot") // "/var/www/html", say
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	solver := &http01.Webroot{Dir: dir}
	request := acme.CertificateRequest{Solvers: []acme.Solver{acme.Checked(solver, http01.Check)}}

	fmt.Println(request.Solvers[0].Supports(exampleAttempt))
	cleanup, err := solver.Present(context.Background(), []*acme.Attempt{exampleAttempt})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := os.ReadFile(filepath.Join(dir, ".well-known", "acme-challenge", "token"))
	fmt.Println(string(answer), err)
	fmt.Println(cleanup(context.Background()))
	// Output:
	// true
	// token.NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs <nil>
	// <nil>
}

// A machine that cannot reach itself at its public address, because its router
// does not turn connections around, looks at the address that it has.
func ExampleChecker() {
	var solver http01.Solver
	checker := &http01.Checker{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:80")
		},
	}
	request := acme.CertificateRequest{Solvers: []acme.Solver{acme.Checked(&solver, checker.Check)}}

	fmt.Println(request.Solvers[0].Supports(exampleAttempt))
	// Output: true
}

var exampleAttempt = challengetest.NewAttempt(acme.HTTP01, acme.DNS("example.com")[0], "token")

// exampleKey is the key of RFC 7517 A.2.
var exampleKey = func() *ecdsa.PrivateKey {
	d, _ := base64.RawURLEncoding.DecodeString("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		panic(err)
	}
	return key
}()
