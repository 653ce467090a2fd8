package acmetest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
)

// Transport returns a transport that hands requests to the server without a network. It starts no goroutine and does no I/O;
// what it waits for are timers and the request's context, so it works in a testing/synctest bubble. It answers for every
// host. The requests need a User-Agent of their own: there is no net/http below that adds one.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ server *Server }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close() //nolint:errcheck // nothing to do about it
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	ctx := req.Context()
	a, err := t.server.exchange(ctx, req.URL.Scheme+"://"+host, req)
	if err != nil {
		return nil, err
	}
	res := &http.Response{
		Status:        strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode:    a.status,
		Proto:         "HTTP/2.0",
		ProtoMajor:    2,
		Header:        a.header,
		ContentLength: -1,
		Request:       req,
	}
	if a.stream == nil {
		res.ContentLength = int64(len(a.body))
		if bodyAllowed(a.status) {
			res.Header.Set("Content-Length", strconv.Itoa(len(a.body)))
		}
	}
	res.Body = &body{ctx: ctx, Reader: a.reader()}
	if req.Method == http.MethodHead {
		res.Body = http.NoBody
	}
	return res, nil
}

// reader returns the body of an answer as the client shall see it.
func (a *answer) reader() io.Reader {
	switch {
	case a.stream != nil && a.truncate:
		return io.MultiReader(io.LimitReader(a.stream, 1<<10), brokenReader{})
	case a.stream != nil:
		return a.stream
	case a.truncate:
		return io.MultiReader(bytes.NewReader(a.body[:len(a.body)/2]), brokenReader{})
	}
	return bytes.NewReader(a.body)
}

// bodyAllowed reports whether answers with the status have a body at all (RFC 9110 §6.4.1).
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// A body ends with the context of its request, as one from a network does.
type body struct {
	io.Reader
	ctx context.Context //nolint:containedctx // io.Reader has no room for it
}

func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

func (b *body) Close() error { return nil }

// A brokenReader is where a connection breaks.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
