package acmetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ValidateHTTP01 returns an [Options].Validate that asks h, in-process, what a CA asks the web server of an identifier:
// GET http://name/.well-known/acme-challenge/token (§8.3). Status 200 and the key authorization make the challenge valid;
// white space at the end is allowed. Challenges of other types fail.
func ValidateHTTP01(h http.Handler) func(context.Context, Validation) error {
	return func(ctx context.Context, v Validation) error {
		if v.Type != typeHTTP01 {
			return fmt.Errorf("acmetest: ValidateHTTP01 cannot validate %s", v.Type)
		}
		host := v.Identifier.Value
		if v.Identifier.Type == typeIP && strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		url := "http://" + host + "/.well-known/acme-challenge/" + v.Token
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		req.RequestURI = req.URL.RequestURI() // as a server sees it
		req.RemoteAddr = "192.0.2.1:1234"
		req.Header.Set("User-Agent", "acmetest")
		w := &recorder{header: http.Header{}}
		h.ServeHTTP(w, req)
		return w.check(url, v.KeyAuthorization)
	}
}

// A recorder is an http.ResponseWriter for one small answer.
type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.body.Len()+len(p) > maxRequestBytes {
		return 0, errors.New("acmetest: the answer is too long")
	}
	return w.body.Write(p)
}

func (w *recorder) check(url, want string) error {
	w.WriteHeader(http.StatusOK)
	if w.status != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, w.status)
	}
	if got := strings.TrimRight(w.body.String(), " \t\r\n"); got != want {
		return fmt.Errorf("%s: the body is %.100q, not the key authorization", url, got)
	}
	return nil
}
