package acme

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is kept as served is a copy: the answer's buffer may be used again.
func TestRawIsACopy(t *testing.T) {
	t.Parallel()
	const served = `{"meta":{"website":"w"},"status":"valid","x":"abc"}`
	var (
		account   AccountInfo
		authz     Authorization
		challenge Challenge
		directory Directory
		order     Order
		problem   Problem
		renewal   RenewalInfo
	)
	for v, kept := range map[decoder]*json.RawMessage{
		&account: &account.Raw, &authz: &authz.Raw, &challenge: &challenge.Raw, &directory: &directory.Raw, &order: &order.Raw,
		&problem: &problem.Raw, &renewal: &renewal.Raw,
	} {
		data := []byte(served)
		if err := v.decode(data); err != nil {
			t.Fatal(err)
		}
		clear(data)
		if string(*kept) != served {
			t.Errorf("%T: Raw is %q", v, *kept)
		}
	}
	if string(directory.Meta.Raw) != `{"website":"w"}` {
		t.Errorf("Meta.Raw is %q", directory.Meta.Raw)
	}
}

// Text is cut at a rune's border, which shows, and only if it is too long.
func TestShorten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"aüb", 2, "a…"}, {"aüb", 3, "aü…"}, {"ü", 1, "…"}, {"", 0, ""}} {
		if got := shorten(tt.in, tt.limit); got != tt.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

// RSA keys have 2048 bits at least.
func TestRSAKeySizes(t *testing.T) {
	t.Parallel()
	for bits, want := range map[uint]error{2047: ErrUnsupportedKey, 2048: nil} {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		if _, err := newSigningKey(publicSigner{&rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}}); !errors.Is(err, want) {
			t.Errorf("%d bits: got %v, want %v", bits, err, want)
		}
	}
}

// The client of a Client's own speaks TLS 1.2 at least and HTTP/2, goes through
// the environment's proxy, bounds header fields and has no time limit that an
// exchange has not.
func TestOwnHTTPClient(t *testing.T) {
	t.Parallel()
	hc := newHTTPClient()
	tr, ok := hc.Transport.(*http.Transport)
	if !ok || hc.Timeout != 0 || hc.Jar != nil {
		t.Fatalf("got %+v", hc)
	}
	if tr.TLSClientConfig.MinVersion < tls.VersionTLS12 || tr.TLSClientConfig.InsecureSkipVerify || !tr.ForceAttemptHTTP2 {
		t.Error("TLS is not what it should be")
	}
	if reflect.ValueOf(tr.Proxy).Pointer() != reflect.ValueOf(http.ProxyFromEnvironment).Pointer() {
		t.Error("no proxy")
	}
	if tr.MaxResponseHeaderBytes <= 0 || tr.MaxResponseHeaderBytes > 1<<20 || tr.TLSHandshakeTimeout <= 15*time.Second || tr.IdleConnTimeout <= 0 {
		t.Error("bounds are missing")
	}
	c := new(Client)
	if c.httpClient().Transport != c.httpClient().Transport {
		t.Error("a new one each time")
	}
}

// Intervals grow by half, from 60 ms to 5 s, less up to 15 % at random; where
// the server asks for a time, up to 5 % come on top.
func TestPollGrowth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		want := 60 * time.Millisecond
		for n := range 20 {
			seen := map[time.Duration]bool{}
			for range 100 {
				d := pollInterval(n, time.Time{})
				if seen[d] = true; d > want || d < want*85/100 {
					t.Fatalf("interval %d is %v, want %v less 15%%", n, d, want)
				}
			}
			if len(seen) < 50 {
				t.Errorf("interval %d has no jitter", n)
			}
			want = min(want*3/2, 5*time.Second)
		}
		seen := map[time.Duration]bool{}
		for range 100 {
			seen[pollInterval(0, time.Now().Add(time.Minute))] = true
		}
		if len(seen) < 50 {
			t.Error("no jitter after a Retry-After")
		}
	})
}

// After the end of ctx nothing is started, not even while there is no room, and
// after an error no more.
func TestConcurrentlyEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 {
			err := concurrently(ended, make(chan struct{}, 3), 10, func(int) error { t.Error("called"); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		full := make(chan struct{}, 1)
		full <- struct{}{} // somebody else's
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := concurrently(ctx, full, 3, func(int) error { t.Error("called"); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		calls, failed := 0, errors.New("failed")
		err := concurrently(t.Context(), make(chan struct{}, 1), 10, func(i int) error {
			if calls++; calls == 3 {
				return failed
			}
			return nil
		})
		if !errors.Is(err, failed) || calls != 3 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// Of an authorization no more than 64 challenges are looked at.
func TestBoundOfChallenges(t *testing.T) {
	t.Parallel()
	var list []map[string]string
	for range 70 {
		list = append(list, map[string]string{"type": "http-01"})
	}
	data, err := json.Marshal(map[string]any{"challenges": list})
	if err != nil {
		t.Fatal(err)
	}
	var z Authorization
	if err := z.decode(data); err != nil || len(z.Challenges) != 64 {
		t.Errorf("%d challenges, %v", len(z.Challenges), err)
	}
}

// The error member of an object is a problem, or is none.
func TestEmbeddedProblem(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"", "null", " null ", "5", `"x"`, "[]", "{"} {
		if p := embeddedProblem(json.RawMessage(raw)); p != nil {
			t.Errorf("%q: got %+v", raw, p)
		}
	}
	if p := embeddedProblem(json.RawMessage(` {"type":"caa"}`)); p == nil || p.Type != ErrCAA {
		t.Errorf("got %+v", p)
	}
}

// A URL that is too long is none: it is not cut. A date may be in lower case (RFC
// 3339 §5.6).
func TestLinksAndDates(t *testing.T) {
	t.Parallel()
	at := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("a", n) + `"`) }
	if got := link(at(maxProblemText)); len(got) != maxProblemText {
		t.Errorf("%d octets", len(got))
	}
	if got := link(at(maxProblemText + 1)); got != "" {
		t.Errorf("too long: %d octets", len(got))
	}
	if got := date(json.RawMessage(`"2016-01-20t14:09:07.5z"`)); !got.Equal(time.Date(2016, 1, 20, 14, 9, 7, 500_000_000, time.UTC)) {
		t.Errorf("got %v", got)
	}
}
