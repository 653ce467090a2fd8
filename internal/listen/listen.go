// Package listen has an HTTP server listen for as long as anybody needs it.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-aa0b9f56/acme/internal/lease"
)

// A Func opens a listener, like the method of [net.ListenConfig].
type Func func(ctx context.Context, network, address string) (net.Listener, error)

// A Port is open while it has users. The zero value is closed; it must not be
// copied after first use.
type Port struct {
	users   lease.Group
	running *running // set by the first user
}

// Open adds a user; the first one has the port opened: at an address, with
// listen if that is not nil, for the requests that handle configures a server
// for. On an address without a host, IPv4 and IPv6 are listened to.
//
// The release function takes the user away. After the last one the port is
// free and every goroutine has ended. A release tells what had ended the
// listening before that, and so does each Open before the last of them.
func (p *Port) Open(ctx context.Context, address string, listen Func, handle func(*http.Server)) (release func(context.Context) error, err error) {
	giveUp, err := p.users.Acquire(ctx, "", func(ctx context.Context) (func(context.Context) error, error) {
		listeners, err := listenAt(ctx, address, listen)
		if err != nil {
			return nil, err
		}
		p.running = serve(listeners, handle)
		return p.running.close, nil
	})
	if err != nil {
		return nil, err
	}
	r := p.running // this port's until giveUp
	if err := r.failure(); err != nil {
		_ = giveUp(ctx)
		return nil, fmt.Errorf("%w (it is opened again when the orders under way have ended)", err)
	}
	var once sync.Once
	return func(ctx context.Context) error {
		once.Do(func() { _ = giveUp(ctx) }) // which has no errors of its own
		return r.failure()
	}, nil
}

// listenAt opens one listener, or two where one does not serve both IPv4 and
// IPv6, as on OpenBSD.
func listenAt(ctx context.Context, address string, listen Func) ([]net.Listener, error) {
	if listen == nil {
		listen = (&net.ListenConfig{}).Listen
	}
	first, err := listen(ctx, "tcp", address)
	if err != nil {
		return nil, explain(err)
	}
	listeners := []net.Listener{first}
	host, _, _ := net.SplitHostPort(address)
	if bound, ok := first.Addr().(*net.TCPAddr); ok && host == "" && bound.IP.To4() != nil {
		if second, err := listen(ctx, "tcp6", fmt.Sprintf("[::]:%d", bound.Port)); err == nil { // otherwise there is no IPv6
			listeners = append(listeners, second)
		}
	}
	return listeners, nil
}

// explain adds to an error of bind what to do about it.
func explain(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (ports below 1024 need a privilege: CAP_NET_BIND_SERVICE on Linux)", err)
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "bind" {
		return fmt.Errorf("%w (if a server of this program has the port, let that one serve a Solver)", err)
	}
	return err
}

// A running server.
type running struct {
	server *http.Server
	conns  sync.WaitGroup // one for each connection

	loops sync.WaitGroup // one for each listener
	mu    sync.Mutex
	err   error // what ended the listening
}

// serve starts to serve. Strangers come, too: nothing that they do takes long,
// and nobody wants to read about it.
func serve(listeners []net.Listener, handle func(*http.Server)) *running {
	const patience = 10 * time.Second
	r := &running{server: &http.Server{
		ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(io.Discard, "", 0),
	}}
	r.server.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			r.conns.Add(1)
		case http.StateClosed, http.StateHijacked:
			r.conns.Done()
		}
	}
	handle(r.server)
	for _, l := range listeners {
		r.loops.Go(func() {
			err := r.server.Serve(l)
			if !errors.Is(err, http.ErrServerClosed) {
				r.fail(fmt.Errorf("the listener at %s: %w", l.Addr(), err))
			}
		})
	}
	return r
}

func (r *running) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (r *running) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// close ends everything. The second Close of the server is for connections that
// were accepted while the first one was at work.
func (r *running) close(context.Context) error {
	_ = r.server.Close() // that a listener is closed is all that it could tell
	r.loops.Wait()
	_ = r.server.Close()
	r.conns.Wait()
	return nil
}
