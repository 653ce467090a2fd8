package listen_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-aa0b9f56/acme/internal/listen"
	"github.com/seed-aa0b9f56/acme/internal/needs"
)

// A recorder opens listeners and keeps them.
type recorder struct {
	mu    sync.Mutex
	asked []string
	open  []net.Listener
}

func (r *recorder) listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, network, address)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, network+" "+address)
	if err == nil {
		r.open = append(r.open, l)
	}
	return l, err
}

func (r *recorder) last() net.Listener { return r.open[len(r.open)-1] }

func hello(server *http.Server) {
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
}

// ask asks a server for its greeting.
func ask(t *testing.T, addr string) (string, error) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Get("http://" + addr + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func isFree(t *testing.T, addr string) bool {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// The port is open from the first user to the last one, and free afterwards,
// whoever is connected. Then it can be opened again.
func TestUsers(t *testing.T) {
	t.Parallel()
	var port listen.Port
	var r recorder
	for range 2 {
		var releases []func(context.Context) error
		for range 3 {
			release, err := port.Open(t.Context(), "127.0.0.1:0", r.listen, hello)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		addr := r.last().Addr().String()
		idle, err := net.Dial("tcp", addr) // somebody who says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer idle.Close()
		for _, release := range slices.Concat(releases[:2], releases[:2]) { // twice is once
			if err := release(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if got, err := ask(t, addr); got != "hello" {
			t.Errorf("with one user: %q, %v", got, err)
		}
		if err := releases[2](t.Context()); err != nil {
			t.Error(err)
		}
		if !isFree(t, addr) {
			t.Error("the port is not free after the last user")
		}
		if _, err := idle.Read(make([]byte, 1)); err == nil {
			t.Error("a connection is open after the last user")
		}
	}
	if len(r.asked) != 2 {
		t.Errorf("listened %q", r.asked)
	}
}

// Many come and go; nobody misses the port, and nobody fails.
func TestConcurrentUsers(t *testing.T) {
	t.Parallel()
	var port listen.Port
	addr := "127.0.0.1:0"
	var r recorder
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				release, err := port.Open(t.Context(), addr, r.listen, hello)
				if err != nil {
					t.Error(err)
					return
				}
				if err := release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, l := range r.open {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a listener is left: %v", err)
		}
	}
}

// Without a host in the address, IPv4 and IPv6 are served, also where one
// listener does not do both.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	needs.IPv6(t)
	var r recorder
	narrow := func(ctx context.Context, network, address string) (net.Listener, error) {
		if network == "tcp" {
			network = "tcp4"
		}
		return r.listen(ctx, network, address)
	}
	for name, f := range map[string]listen.Func{"one listener": r.listen, "two": narrow} {
		r.open = nil
		var port listen.Port
		release, err := port.Open(t.Context(), ":0", f, hello)
		if err != nil {
			t.Fatal(err)
		}
		number := r.open[0].Addr().(*net.TCPAddr).Port
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			if got, err := ask(t, fmt.Sprintf("%s:%d", host, number)); got != "hello" {
				t.Errorf("%s, at %s: %q, %v", name, host, got, err)
			}
		}
		if err := release(t.Context()); err != nil || !isFree(t, fmt.Sprintf(":%d", number)) {
			t.Errorf("%s: %v, or not free", name, err)
		}
		if want := map[string]int{"one listener": 1, "two": 2}[name]; len(r.open) != want {
			t.Errorf("%s: %d were opened", name, len(r.open))
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	forbidden := func(context.Context, string, string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", fs.ErrPermission)}
	}
	for _, tt := range []struct {
		address string
		listen  listen.Func
		says    []string
	}{
		{taken.Addr().String(), nil, []string{taken.Addr().String(), "in use", "let that one serve a Solver"}},
		{":80", forbidden, []string{"ports below 1024 need a privilege"}},
		{"127.0.0.1", nil, []string{"missing port"}},
	} {
		var port listen.Port
		release, err := port.Open(t.Context(), tt.address, tt.listen, hello)
		if err == nil || release != nil {
			t.Errorf("%s: %v", tt.address, err)
		}
		for _, want := range tt.says {
			if !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%q is not in %v", want, err)
			}
		}
	}
}

// A listener that is closed under way is told of by the next Open, and by the
// releases; after those, the port is opened anew.
func TestListenerThatCloses(t *testing.T) {
	t.Parallel()
	var port listen.Port
	var r recorder
	broken := func(ctx context.Context, network, address string) (net.Listener, error) {
		l, err := r.listen(ctx, network, address)
		return noticed{l, make(chan struct{})}, err
	}
	var opened noticed
	release, err := port.Open(t.Context(), "127.0.0.1:0", func(ctx context.Context, network, address string) (net.Listener, error) {
		l, err := broken(ctx, network, address)
		opened = l.(noticed)
		return l, err
	}, hello)
	if err != nil {
		t.Fatal(err)
	}
	opened.Listener.Close()
	<-opened.ended
	var got error
	for got == nil { // what has ended the loop is about to be told
		var another func(context.Context) error
		if another, got = port.Open(t.Context(), "127.0.0.1:0", r.listen, hello); another != nil {
			_ = another(t.Context())
		}
	}
	for _, err := range []error{got, release(t.Context())} {
		if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "the listener at 127.0.0.1:") {
			t.Errorf("got %v", err)
		}
	}
	if !strings.Contains(got.Error(), "opened again when the orders under way have ended") {
		t.Errorf("got %v", got)
	}
	release, err = port.Open(t.Context(), "127.0.0.1:0", r.listen, hello)
	if err != nil {
		t.Fatalf("anew: %v", err)
	}
	if got, err := ask(t, r.last().Addr().String()); got != "hello" {
		t.Errorf("anew: %q, %v", got, err)
	}
	if err := release(t.Context()); err != nil {
		t.Error(err)
	}
}

// A noticed listener tells when Accept has failed.
type noticed struct {
	net.Listener
	ended chan struct{}
}

func (l noticed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		close(l.ended)
	}
	return conn, err
}
