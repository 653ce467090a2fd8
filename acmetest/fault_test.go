package acmetest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/acmetest"
)

// transports are the ways to reach a server.
func transports() map[string]func(*acmetest.Server) *http.Client {
	return map[string]func(*acmetest.Server) *http.Client{
		"in-process": (*acmetest.Server).HTTPClient,
		"HTTP/2":     (*acmetest.Server).Client,
		"HTTP/1.1":   (*acmetest.Server).ClientHTTP1,
	}
}

// onEach runs f over each of the transports, with a client that has an account.
func onEach(t *testing.T, f func(t *testing.T, s *acmetest.Server, c *client)) {
	t.Helper()
	t.Parallel()
	for name, pick := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := acmetest.NewServer(t, acmetest.Options{})
			f(t, s, newClient(t, pick(s), s.DirectoryURL()).register(t))
		})
	}
}

// fail makes the next request of a kind fail.
func fail(s *acmetest.Server, kind acmetest.Kind, f acmetest.Fault) {
	s.Update(func(o *acmetest.Options) { o.Fault = acmetest.FaultOnce(kind, f) })
}

func last(s *acmetest.Server) acmetest.Request {
	all := s.Requests()
	return all[len(all)-1]
}

func TestFaultLoseRequest(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindNewOrder, acmetest.Fault{LoseRequest: true})
		newOrder := c.url(t, "newOrder")
		body := c.signed(t, newOrder, m{"identifiers": identifiers("example.com")})
		if _, err := c.send(t.Context(), newOrder, body); err == nil {
			t.Fatal("no error")
		}
		if r := last(s); len(s.Orders()) != 0 || r.Status != 0 || r.Kind != acmetest.KindNewOrder {
			t.Errorf("%d orders, %+v", len(s.Orders()), r)
		}
		if res, err := c.send(t.Context(), newOrder, body); err != nil || res.status != 201 { // the nonce is still good
			t.Errorf("%v %v", res, err)
		}
	})
}

func TestFaultLoseResponse(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindNewOrder, acmetest.Fault{LoseResponse: true})
		newOrder := c.url(t, "newOrder")
		body := c.signed(t, newOrder, m{"identifiers": identifiers("example.com")})
		if _, err := c.send(t.Context(), newOrder, body); err == nil {
			t.Fatal("no error")
		}
		if r := last(s); len(s.Orders()) != 1 || r.Status != 0 {
			t.Errorf("%d orders, %+v", len(s.Orders()), r)
		}
		if res, err := c.send(t.Context(), newOrder, body); err != nil || res.problem() != "badNonce" {
			t.Errorf("%v %v", res, err)
		}
	})
}

func TestFaultTruncate(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindAccount, acmetest.Fault{Truncate: true})
		res, err := c.try(t, c.kid, nil)
		if err == nil || len(res.body) == 0 || res.status != 200 {
			t.Errorf("%v %v", res, err)
		}
		if s.Client(); c.http.Transport != s.Client().Transport && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v", err) // HTTP/2 has an error of its own
		}
	})
}

func TestFaultProblem(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindNewOrder, acmetest.RateLimited(90*time.Second))
		newOrder := c.url(t, "newOrder")
		body := c.signed(t, newOrder, m{"identifiers": identifiers("example.com")})
		res, err := c.send(t.Context(), newOrder, body)
		if err != nil || res.status != 429 || res.problem() != "rateLimited" {
			t.Fatalf("%v %v", res, err)
		}
		if res.header.Get("Retry-After") != "90" || res.header.Get("Replay-Nonce") == "" || len(res.links("index")) != 1 {
			t.Errorf("%v", res.header)
		}
		if r := last(s); len(s.Orders()) != 0 || r.Status != 429 || r.ProblemType != acmetest.ErrorURN+"rateLimited" {
			t.Errorf("%d orders, %+v", len(s.Orders()), r)
		}
		for range 2 { // the nonce is used up, and a second time is a violation whatever is answered
			s.Reset()
			if res, err := c.send(t.Context(), newOrder, body); err != nil || res.problem() != "badNonce" || len(s.Violations()) != 1 {
				t.Errorf("%v %v %v", res, err, s.Violations())
			}
		}
		s.Update(func(o *acmetest.Options) {
			o.Fault = acmetest.FaultAlways(acmetest.KindNewOrder, acmetest.RateLimited(0))
		})
		s.Reset()
		if res, err := c.send(t.Context(), newOrder, body); err != nil || res.status != 429 || res.header.Get("Retry-After") != "" || len(s.Violations()) != 1 {
			t.Errorf("%v %v %v", res, err, s.Violations())
		}
		s.Update(func(o *acmetest.Options) { o.Fault = nil })
		c.refused(t, 400, "malformed", newOrder, m{}) // the nonce of a fault's answer is good
		fail(s, acmetest.KindNewOrder, acmetest.Fault{Problem: &acmetest.Problem{Type: "malformed"}})
		if res := c.post(t, c.url(t, "newOrder"), m{}); res.status != 400 || string(res.body) != `{"type":"malformed"}` {
			t.Errorf("%d %s", res.status, res.body)
		}
		fail(s, acmetest.KindNewOrder, acmetest.Fault{Status: 500, Problem: &acmetest.Problem{Status: 400}})
		if res := c.post(t, c.url(t, "newOrder"), m{}); res.status != 500 {
			t.Errorf("%d %s", res.status, res.body)
		}
	})
}

func TestFaultStatusAndHeader(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindAccount, acmetest.HTMLError(503))
		res := c.post(t, c.kid, nil)
		if h := res.header; res.status != 503 || !strings.HasPrefix(h.Get("Content-Type"), "text/html") || h.Get("Replay-Nonce") != "" || h.Get("Link") != "" {
			t.Errorf("%d %v", res.status, h)
		}
		fail(s, acmetest.KindAccount, acmetest.Fault{Status: 404, Header: http.Header{"replay-nonce": {""}, "X-Y": {"z"}}})
		res = c.post(t, c.kid, nil)
		if h := res.header; res.status != 404 || len(res.body) != 0 || h["Content-Type"] != nil || h["Replay-Nonce"] != nil || h.Get("X-Y") != "z" {
			t.Errorf("%d %v", res.status, h)
		}
		fail(s, acmetest.KindAccount, acmetest.Fault{Body: []byte("hello")})
		if res := c.post(t, c.kid, nil); res.status != 200 || string(res.body) != "hello" {
			t.Errorf("%d %s", res.status, res.body)
		}
		fail(s, acmetest.KindNewNonce, acmetest.Fault{Header: http.Header{"Replay-Nonce": {"not a nonce!"}}})
		if res := c.method(t, http.MethodHead, c.url(t, "newNonce")); res.header.Get("Replay-Nonce") != "not a nonce!" {
			t.Errorf("%v", res.header)
		}
		fail(s, acmetest.KindDirectory, acmetest.Fault{Status: 204})
		if res := c.get(t, s.DirectoryURL()); res.status != 204 {
			t.Errorf("%d", res.status)
		}
	})
}

func TestFaultEdit(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindNewOrder, acmetest.EditJSON(func(o map[string]any) {
			delete(o, "finalize")
			o["status"] = "weird"
		}))
		res := c.order(t, "example.com")
		if res.str("status") != "weird" || res.object["finalize"] != nil || len(s.Orders()) != 1 {
			t.Errorf("%s", res.body)
		}
		fail(s, acmetest.KindOrder, acmetest.Fault{Edit: func(status int, h http.Header, body []byte) (int, []byte) {
			h.Set("Content-Type", "text/plain")
			return status + 1, append([]byte("x"), body...)
		}})
		res = c.post(t, res.header.Get("Location"), nil)
		if res.status != 201 || res.body[0] != 'x' || res.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%d %s", res.status, res.body)
		}
		cert := acmetest.EditJSON(func(map[string]any) { t.Error("not a JSON object") })
		if status, body := cert.Edit(200, nil, []byte("-----BEGIN")); status != 200 || string(body) != "-----BEGIN" {
			t.Error("changed")
		}
	})
}

func TestFaultEndlessBody(t *testing.T) {
	onEach(t, func(t *testing.T, s *acmetest.Server, c *client) {
		fail(s, acmetest.KindAccount, acmetest.Fault{BodyReader: acmetest.EndlessBody("abc\n"), Header: http.Header{"Content-Type": {"x/y"}}})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.kid, bytes.NewReader(c.signed(t, c.kid, nil)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "test")
		res, err := c.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
		if n != 1<<20 || err != nil || res.ContentLength != -1 || res.Header.Get("Replay-Nonce") == "" {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestBodyEndsWithRequest(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, acmetest.Options{
		Fault: acmetest.FaultAlways("", acmetest.Fault{BodyReader: acmetest.EndlessBody("x")}),
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.DirectoryURL(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.HTTPClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := res.Body.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFaultSlowBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{})
		slow := acmetest.Fault{BodyReader: acmetest.SlowBody([]byte("12345"), time.Second)}
		fail(s, acmetest.KindAccount, slow)
		start := time.Now()
		if res := c.post(t, c.kid, nil); string(res.body) != "12345" || time.Since(start) != 5*time.Second {
			t.Errorf("%s after %v", res.body, time.Since(start))
		}
		fail(s, acmetest.KindAccount, slow)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start = time.Now()
		res, err := c.send(ctx, c.kid, c.signed(t, c.kid, nil))
		if string(res.body) != "12" || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("%s %v after %v", res.body, err, time.Since(start))
		}
		r := slow.BodyReader() // also outside of a server
		if b, err := io.ReadAll(r); string(b) != "12345" || err != nil {
			t.Errorf("%s %v", b, err)
		}
	})
}

func TestFaultSlowBodyOverTCP(t *testing.T) {
	t.Parallel()
	s := acmetest.NewServer(t, acmetest.Options{})
	c := newClient(t, s.Client(), s.DirectoryURL()).register(t)
	fail(s, acmetest.KindAccount, acmetest.Fault{BodyReader: acmetest.SlowBody([]byte("12345"), time.Millisecond)})
	if res := c.post(t, c.kid, nil); string(res.body) != "12345" {
		t.Errorf("%s", res.body)
	}
}

// A delay holds back the answer, not the CA, and ends with the request.
func TestFaultDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{})
		newOrder := c.url(t, "newOrder")
		order := m{"identifiers": identifiers("example.com")}
		fail(s, acmetest.KindNewOrder, acmetest.Fault{Delay: time.Hour})
		start := time.Now()
		c.must(t, 201, newOrder, order)
		if d := time.Since(start); d != time.Hour {
			t.Errorf("took %v", d)
		}
		for _, f := range []acmetest.Fault{{Delay: time.Hour}, {Delay: time.Hour, LoseRequest: true}, {Delay: time.Hour, LoseResponse: true}} {
			fail(s, acmetest.KindNewOrder, f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			start = time.Now()
			_, err := c.send(ctx, newOrder, c.signed(t, newOrder, order))
			if d := time.Since(start); d != time.Minute || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("took %v: %v", d, err)
			}
			cancel()
		}
		if n := len(s.Orders()); n != 3 {
			t.Errorf("%d orders", n)
		}
		fail(s, acmetest.KindNewOrder, acmetest.Fault{Delay: time.Minute, LoseResponse: true})
		start = time.Now()
		_, err := c.try(t, newOrder, order)
		netErr, ok := errors.AsType[net.Error](err)
		if time.Since(start) != time.Minute || !ok || netErr.Timeout() {
			t.Errorf("took %v: %v", time.Since(start), err)
		}
	})
}

func TestCancelledRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c := setup(t, acmetest.Options{})
		s.Update(func(o *acmetest.Options) { o.Latency = 10 * time.Second })
		c.takeNonce(t)
		s.Reset()
		for i, timeout := range []time.Duration{0, 4 * time.Second, 6 * time.Second} { // before, on the way there, on the way back
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			_, err := c.send(ctx, c.kid, []byte("{}"))
			if !errors.Is(err, context.DeadlineExceeded) || s.Count("") != i/2 {
				t.Errorf("%v: %v, %d requests", timeout, err, s.Count(""))
			}
			cancel()
		}
	})
}

func TestFaultChoosers(t *testing.T) {
	t.Parallel()
	order, other := acmetest.Request{Kind: acmetest.KindOrder}, acmetest.Request{Kind: acmetest.KindAccount}
	f := acmetest.Fault{Status: 500}
	for name, tt := range map[string]struct {
		choose func(acmetest.Request) *acmetest.Fault
		want   string // for order, other, order, other, …
	}{
		"once":        {acmetest.FaultOnce(acmetest.KindOrder, f), "x......."},
		"once any":    {acmetest.FaultOnce("", f), "x......."},
		"kind":        {acmetest.FaultKind(acmetest.KindOrder, 2, f), "x.x....."},
		"always":      {acmetest.FaultAlways(acmetest.KindOrder, f), "x.x.x.x."},
		"always any":  {acmetest.FaultAlways("", f), "xxxxxxxx"},
		"at":          {acmetest.FaultAt(4, f), "...x...."},
		"every":       {acmetest.FaultEvery(acmetest.KindOrder, 2, f), "..x...x."},
		"every any":   {acmetest.FaultEvery("", 3, f), "..x..x.."},
		"sequence":    {acmetest.FaultSequence(acmetest.KindOrder, f, acmetest.Fault{}, f), "x...x..."},
		"combination": {acmetest.Faults(acmetest.FaultAt(2, f), acmetest.FaultOnce(acmetest.KindOrder, f), acmetest.FaultAt(2, f)), "xx......"},
	} {
		var got strings.Builder
		for range 4 {
			for _, r := range []acmetest.Request{order, other} {
				fault := tt.choose(r)
				got.WriteString(map[bool]string{true: "x", false: "."}[fault != nil && fault.Status == 500])
			}
		}
		if got.String() != tt.want {
			t.Errorf("%s: %s, want %s", name, got.String(), tt.want)
		}
	}
}

func TestFaultSeesRequest(t *testing.T) {
	t.Parallel()
	s, c := setup(t, acmetest.Options{})
	var got acmetest.Request
	s.Update(func(o *acmetest.Options) {
		o.Fault = func(r acmetest.Request) *acmetest.Fault {
			got = r
			s.Count("") // no lock is held
			return nil
		}
	})
	nonce := c.takeNonce(t)
	c.nonce = nonce
	c.post(t, c.kid, m{"contact": []string{}})
	if got.Kind != acmetest.KindAccount || got.Method != "POST" || got.URL != c.kid || got.Nonce != nonce || got.AccountURL != c.kid ||
		string(got.Payload) != `{"contact":[]}` || !strings.Contains(string(got.Protected), `"alg":"ES256"`) || got.Status != 0 ||
		got.Header.Get("Content-Type") != "application/jose+json" {
		t.Errorf("%+v", got)
	}
	if r := last(s); r.Status != 200 || r.Nonce != nonce {
		t.Errorf("%+v", r)
	}
	res, err := c.send(t.Context(), c.kid, []byte(`{"payload":"e30","protected":"bad="}`)) // what can be decoded
	if err != nil || res.problem() != "malformed" || string(got.Payload) != "{}" || got.Protected != nil {
		t.Errorf("%v %+v", err, got)
	}
}
