package acme_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/acmetest"
)

const maxGrowth = 20 << 20

// A peakMeter measures how far the heap grows. It is asked where most of a
// hostile answer is in memory: whenever the answer is read, and at the end.
type peakMeter struct {
	mu          sync.Mutex
	start, peak uint64
}

func (p *peakMeter) measure() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peak = max(p.peak, m.HeapAlloc)
}

// meteredReader measures at each mebibyte.
type meteredReader struct {
	io.Reader
	peak *peakMeter
	read int
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if before := r.read; (before+n)>>20 > before>>20 || before == 0 {
		r.peak.measure()
	}
	r.read += n
	return n, err
}

// Whatever a server sends, it takes little memory, and the error says which
// bound was met. The test is not parallel: it would measure the others.
func TestMemoryIsBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // garbage is not what is measured
	member := gzipped(t, 64<<10)
	subproblems := `{"type":"urn:ietf:params:acme:error:malformed","subproblems":[` + strings.Repeat("{},", 99_999) + "{}]}"
	var links http.Header
	for name, tt := range map[string]struct {
		header func() http.Header
		status int
		body   func() io.Reader
		want   string // the bound, in the error
	}{
		"1 GiB":               {func() http.Header { return http.Header{"Content-Length": {"1073741824"}} }, 200, func() io.Reader { return io.LimitReader(zeros{}, 1<<30) }, "1048576"},
		"endless":             {nil, 200, func() io.Reader { return zeros{} }, "1048576"},
		"endless object":      {nil, 200, acmetest.EndlessBody(`{"a":`), "1048576"},
		"gzip bomb":           {func() http.Header { return http.Header{"Content-Encoding": {"gzip"}} }, 200, func() io.Reader { return &repeated{of: member, left: 16 << 10} }, "1048576"},
		"100,000 subproblems": {nil, 403, func() io.Reader { return strings.NewReader(subproblems) }, "99744 beyond the first 256"},
		"10,000 links": {func() http.Header {
			if links == nil {
				links = http.Header{"Link": make([]string, 10_000)}
				for i := range links["Link"] {
					links["Link"][i] = `<https://ca.test/alternate>;rel="alternate"`
				}
			}
			return links
		}, 200, func() io.Reader { return strings.NewReader("{}") }, "262144"},
	} {
		t.Run(name, func(t *testing.T) {
			var peak peakMeter
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.header != nil {
					maps.Copy(w.Header(), tt.header())
				}
				w.WriteHeader(tt.status)
				_, _ = io.Copy(w, &meteredReader{Reader: tt.body(), peak: &peak})
			}))
			defer s.Close()
			client := &acme.Client{DirectoryURL: s.URL, AllowHTTP: true, Backoff: func(int, time.Duration) time.Duration { return -1 }}
			runtime.GC()
			peak.measure()
			peak.start = peak.peak
			_, err := client.Directory(t.Context())
			peak.measure()
			s.Close() // waits for the handler, which measures too
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.want == "1048576" && !errors.Is(err, acme.ErrResponseTooLarge) {
				t.Errorf("got %v, want an error with %s", err, tt.want)
			}
			if growth := peak.peak - peak.start; growth > maxGrowth {
				t.Errorf("the heap grew by %d MiB", growth>>20)
			}
		})
	}
}

// repeated is a body of equal parts.
type repeated struct {
	of   []byte
	left int
	now  bytes.Reader
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.now.Len() == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.now.Reset(r.of)
	}
	return r.now.Read(p)
}

func gzipped(t *testing.T, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.Copy(z, io.LimitReader(zeros{}, n)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
