package pebble

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"

	"github.com/letsencrypt/pebble/v2/acme"
)

// An answer is a response that is kept until it may be sent, so that no
// client, however slowly it reads, is waited for inside the gate.
type answer struct {
	code   int
	header http.Header
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: make(http.Header)} }

// Header, WriteHeader and Write implement [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// setProblem makes a problem document of the answer. Its other headers stay,
// the nonce and the links among them.
func (a *answer) setProblem(problem *acme.ProblemDetails) {
	document, err := json.MarshalIndent(problem, "", "   ")
	if err != nil { // strings and numbers only: it cannot be
		panic(err)
	}
	a.code = problem.HTTPStatus
	a.header.Set("Content-Type", "application/problem+json; charset=utf-8")
	a.body.Reset()
	a.body.Write(document)
}

// send writes the answer to where it belongs.
func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	a.WriteHeader(http.StatusOK)
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body.Bytes())
}
