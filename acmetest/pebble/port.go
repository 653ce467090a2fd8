package pebble

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// A port is where challenges are asked for: a TCP port on 127.0.0.1 and,
// where there is IPv6, on ::1. One that we chose is open from the start, so
// that it cannot be lost; connections are closed at once while nobody has
// asked for a listener.
type port struct {
	number int
	kept   bool // open as long as the server, not only as long as the listener
	crew   *crew

	mu     sync.Mutex
	open   []net.Listener
	user   *portListener
	closed bool
}

// newPort returns the port with that number, not open yet, or for 0 a free
// one, open.
func newPort(number int, c *crew) (*port, error) {
	p := &port{number: number, crew: c}
	if number != 0 {
		return p, nil
	}
	p.kept = true
	// The number is free on 127.0.0.1; that it is not on ::1 is bad luck.
	var err error
	for range 10 {
		var first net.Listener
		first, err = net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		p.number = first.Addr().(*net.TCPAddr).Port
		var second net.Listener
		if hasIPv6() {
			second, err = net.Listen("tcp6", loopback6(p.number))
			if err != nil {
				_ = first.Close()
				continue
			}
		}
		p.serve(first, second)
		return p, nil
	}
	return nil, err
}

// hasIPv6 reports whether ::1 is there.
func hasIPv6() bool {
	l, err := net.Listen("tcp6", loopback6(0))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func loopback4(number int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(number)) }
func loopback6(number int) string { return net.JoinHostPort("::1", strconv.Itoa(number)) }

// addr is where the port is on IPv4.
func (p *port) addr() string { return loopback4(p.number) }

// serve starts to accept from the listeners that are not nil.
func (p *port) serve(listeners ...net.Listener) {
	for _, l := range listeners {
		if l == nil {
			continue
		}
		p.open = append(p.open, l)
		p.crew.run(func() { p.accept(l) })
	}
}

// accept hands connections to whoever has the listener at the time.
func (p *port) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, most likely
			<-time.After(10 * time.Millisecond)
			continue
		}
		p.mu.Lock()
		user := p.user
		p.mu.Unlock()
		if user == nil {
			_ = conn.Close()
			continue
		}
		select {
		case user.conns <- conn:
		case <-user.done:
			_ = conn.Close()
		}
	}
}

// listen returns the listener of the port. There is one at a time.
func (p *port) listen() (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("pebble: listen on %s: %w", p.addr(), net.ErrClosed)
	}
	if p.user != nil {
		return nil, fmt.Errorf("pebble: listen on %s: the listener handed out before is still open", p.addr())
	}
	if len(p.open) == 0 {
		first, err := net.Listen("tcp4", p.addr())
		if err != nil {
			return nil, err
		}
		// Not being able to have the same on IPv6 is no reason to fail: few
		// tests need it, and the port may be somebody's own choice.
		second, err := net.Listen("tcp6", loopback6(p.number))
		if err != nil {
			second = nil
		}
		p.serve(first, second)
	}
	p.user = &portListener{
		port:  p,
		addr:  p.open[0].Addr(),
		conns: make(chan net.Conn),
		done:  make(chan struct{}),
	}
	return p.user, nil
}

// release takes the listener back.
func (p *port) release(l *portListener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.user != l {
		return
	}
	close(l.done)
	p.user = nil
	if !p.kept {
		p.shut()
	}
}

// shut closes the sockets. The caller holds the lock.
func (p *port) shut() {
	for _, l := range p.open {
		_ = l.Close()
	}
	p.open = nil
}

// close ends the port for good, and the listener if it is handed out.
func (p *port) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.user != nil {
		close(p.user.done)
		p.user = nil
	}
	p.shut()
	return nil
}

// portListener is what the caller gets of a port.
type portListener struct {
	port  *port
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
}

func (l *portListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

func (l *portListener) Close() error {
	l.port.release(l)
	return nil
}

func (l *portListener) Addr() net.Addr { return l.addr }
