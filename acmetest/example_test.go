package acmetest_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// get stands for the client under test: it asks for the directory, which needs no signature.
func get(c *http.Client, url string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("User-Agent", "example/1.0")
	res, err := c.Do(req)
	if err != nil {
		return "no answer"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 100))
	if err != nil {
		return res.Status + ", but " + err.Error()
	}
	return res.Status + " " + strings.Join(strings.Fields(string(body)), " ")
}

func ExampleNewServer() {
	// In a test, pass its t in place of nil, and leave Close to it.
	ca := acmetest.NewServer(nil, acmetest.Options{TermsOfService: "https://ca.test/terms"})
	defer ca.Close()

	fmt.Println(ca.DirectoryURL())
	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:47])
	// Output:
	// https://ca.test/directory
	// 200 OK {"keyChange":"https://ca.test/key-change
}

func ExampleServer_AddAccount() {
	ca := acmetest.NewServer(nil, acmetest.Options{})
	defer ca.Close()

	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	// A program that was registered long ago has this URL in its configuration.
	fmt.Println(ca.AddAccount(key.Public())[:24] + "…")
	// Output: https://ca.test/account/…
}

func ExampleServer_Client() {
	ca := acmetest.NewServer(nil, acmetest.Options{})
	defer ca.Close()

	client := ca.Client()
	for range 3 {
		get(client, ca.DirectoryURL())
	}
	fmt.Println(ca.Count(acmetest.KindDirectory), "requests over", ca.Connections(), "connection")
	// Output: 3 requests over 1 connection
}

func ExampleServer_Requests() {
	ca := acmetest.NewServer(nil, acmetest.Options{})
	defer ca.Close()

	get(ca.HTTPClient(), ca.DirectoryURL())
	get(ca.HTTPClient(), "https://ca.test/no/such/thing")
	for _, r := range ca.Requests() {
		fmt.Printf("%s %s %d %q\n", r.Method, r.Kind, r.Status, r.ProblemType)
	}
	// Output:
	// GET directory 200 ""
	// GET unknown 404 "urn:ietf:params:acme:error:malformed"
}

func ExampleServer_Violations() {
	ca := acmetest.NewServer(nil, acmetest.Options{Strict: true}) // with a t, Strict fails the test
	defer ca.Close()

	get(ca.HTTPClient(), "https://ca.test/new-order")
	for _, v := range ca.Violations() {
		fmt.Println(v)
	}
	// Output: GET https://ca.test/new-order: GET is not allowed on newOrder (§6.3)
}

func ExampleFaultOnce() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultOnce(acmetest.KindDirectory, acmetest.Fault{LoseResponse: true}),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL()))
	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:6])
	// Output:
	// no answer
	// 200 OK
}

func ExampleFaultKind() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultKind(acmetest.KindDirectory, 2, acmetest.Fault{Status: http.StatusBadGateway}),
	})
	defer ca.Close()

	for range 3 {
		fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:6])
	}
	// Output:
	// 502 Ba
	// 502 Ba
	// 200 OK
}

func ExampleFaultAt() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultAt(2, acmetest.Fault{Truncate: true}),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:6])
	fmt.Println(get(ca.HTTPClient(), "https://ca.test/nothing"))
	// Output:
	// 200 OK
	// 404 Not Found, but unexpected EOF
}

func ExampleFaultSequence() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultSequence(acmetest.KindDirectory,
			acmetest.Fault{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}},
			acmetest.Fault{}, // this one goes well
			acmetest.Fault{LoseRequest: true},
		),
	})
	defer ca.Close()

	for range 3 {
		fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:6])
	}
	// Output:
	// 503 Se
	// 200 OK
	// no ans
}

func ExampleFaultEvery() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultEvery("", 2, acmetest.Fault{Status: http.StatusInternalServerError}),
	})
	defer ca.Close()

	for range 4 {
		fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:3])
	}
	// Output:
	// 200
	// 500
	// 200
	// 500
}

func ExampleFaults() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.Faults(
			acmetest.FaultOnce(acmetest.KindDirectory, acmetest.HTMLError(http.StatusBadGateway)),
			acmetest.FaultOnce(acmetest.KindFinalize, acmetest.Fault{LoseResponse: true}),
		),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL()))
	// Output: 502 Bad Gateway <html><head><title>Bad Gateway</title></head><body><h1>Sorry</h1></body></html>
}

func ExampleRateLimited() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultOnce("", acmetest.RateLimited(30*time.Second)),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL()))
	// Output: 429 Too Many Requests {"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many requests","status":429}
}

func ExampleEditJSON() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		// A CA with nothing to offer but one resource.
		Fault: acmetest.FaultAlways(acmetest.KindDirectory, acmetest.EditJSON(func(dir map[string]any) {
			for name := range dir {
				if name != "newNonce" {
					delete(dir, name)
				}
			}
		})),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL()))
	// Output: 200 OK {"newNonce":"https://ca.test/new-nonce"}
}

func ExampleEndlessBody() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{
			BodyReader: acmetest.EndlessBody("lies "),
			Header:     http.Header{"Content-Type": {"application/json"}},
		}),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL())[:21]) // get reads 100 octets
	// Output: 200 OK lies lies lies
}

func ExampleSlowBody() {
	ca := acmetest.NewServer(nil, acmetest.Options{
		Fault: acmetest.FaultAlways(acmetest.KindDirectory, acmetest.Fault{
			BodyReader: acmetest.SlowBody([]byte("{}"), time.Millisecond), // take hours in a synctest bubble
		}),
	})
	defer ca.Close()

	fmt.Println(get(ca.HTTPClient(), ca.DirectoryURL()))
	// Output: 200 OK {}
}

func ExampleValidateHTTP01() {
	mux := http.NewServeMux() // the one of the program under test
	mux.HandleFunc("GET /.well-known/acme-challenge/{token}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, r.PathValue("token")+".thumbprint")
	})
	validate := acmetest.ValidateHTTP01(mux)
	ca := acmetest.NewServer(nil, acmetest.Options{Validate: validate})
	defer ca.Close()

	// The server calls validate for every challenge that is responded to:
	fmt.Println(validate(context.Background(), acmetest.Validation{
		Identifier:       acmetest.Identifier{Type: "dns", Value: "example.com"},
		Type:             "http-01",
		Token:            "token",
		KeyAuthorization: "token.someone-else",
	}))
	// Output: http://example.com/.well-known/acme-challenge/token: the body is "token.thumbprint", not the key authorization
}

func ExampleProblem() {
	validate := func(_ context.Context, v acmetest.Validation) error {
		switch v.Identifier.Value {
		case "down.example.com": // the challenge's error will be this problem
			return &acmetest.Problem{Type: acmetest.ErrorURN + "connection", Detail: "connection refused"}
		case "wrong.example.com": // and here one of type incorrectResponse
			return errors.New("that is not the key authorization")
		}
		return nil
	}
	ca := acmetest.NewServer(nil, acmetest.Options{Validate: validate})
	defer ca.Close()

	id := acmetest.Identifier{Type: "dns", Value: "down.example.com"}
	fmt.Println(validate(context.Background(), acmetest.Validation{Identifier: id}))
	// Output: urn:ietf:params:acme:error:connection: connection refused
}
