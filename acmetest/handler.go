package acmetest

import (
	"io"
	"maps"
	"net/http"
	"strconv"
)

// ServeHTTP implements http.Handler. The URLs in answers follow host and scheme of the request, so the server works behind
// httptest.NewServer and httptest.NewTLSServer as well. Where a fault loses the connection it panics with
// http.ErrAbortHandler, which net/http understands.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base := "http://" + r.Host
	if r.TLS != nil {
		base = "https://" + r.Host
	}
	a, err := s.exchange(r.Context(), base, r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	h := w.Header()
	maps.Copy(h, a.header)
	if h["Content-Type"] == nil {
		h["Content-Type"] = nil // no guessing
	}
	if a.stream == nil && bodyAllowed(a.status) && r.Method != http.MethodHead {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if r.Method == http.MethodHead || !bodyAllowed(a.status) {
		return
	}
	if err := copyBody(w, a); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// copyBody writes the body. A stream is flushed piece by piece, because a client may be waiting for each.
func copyBody(w http.ResponseWriter, a *answer) error {
	from := a.reader()
	control := http.NewResponseController(w)
	piece := make([]byte, 32<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err == nil && a.stream == nil {
			continue
		}
		if flushErr := control.Flush(); flushErr != nil {
			return flushErr
		}
		if err != nil {
			return err
		}
	}
}
