package dnstxt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

const (
	defaultTimeout = 3 * time.Second // of one try
	udpTries       = 2
	maxDatagrams   = 64 // of one try: who forges answers sends many
)

// exchange asks one server: by UDP, and by TCP if that is not enough.
func (r *Resolver) exchange(ctx context.Context, server string, q question) (*answer, error) {
	query, err := q.query()
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrInvalidName, quote(q.name), err)
	}
	var a *answer
	for range udpTries {
		a, err = r.try(ctx, "udp", server, query, askUDP)
		if err == nil || errors.Is(err, errCase) || ctx.Err() != nil {
			break
		}
	}
	if err == nil && a.truncated || errors.Is(err, errCase) {
		query.anyCase = true // nobody forges there: it is the server's way
		a, err = r.try(ctx, "tcp", server, query, askTCP)
	}
	if err == nil && a.truncated {
		err = errors.New("the answer is truncated over TCP, too")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	return a, nil
}

// try asks once, for a limited time.
func (r *Resolver) try(ctx context.Context, network, server string, q query, ask func(net.Conn, query) (*answer, error)) (*answer, error) {
	timeout := r.timeout()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %v over %s", timeout, network))
	defer cancel()
	if ctx.Err() != nil { // before a Dial that does not look
		return nil, context.Cause(ctx)
	}
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return nil, or(ctx, err)
	}
	defer conn.Close()                                                               //nolint:errcheck // all that was of interest was read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends what blocks
	defer stop()
	a, err := ask(conn, q)
	if err != nil {
		return nil, or(ctx, err)
	}
	return a, nil
}

func (r *Resolver) timeout() time.Duration {
	if r.Timeout > 0 {
		return r.Timeout
	}
	return defaultTimeout
}

// or returns why ctx has ended, if it has, or else the error.
func or(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func askUDP(conn net.Conn, q query) (*answer, error) {
	if _, err := conn.Write(q.message); err != nil {
		return nil, err
	}
	buffer := make([]byte, 4096) // 512 is all that a server may send unasked (RFC 1035 §4.2.1)
	for range maxDatagrams {
		n, err := conn.Read(buffer)
		if err != nil {
			return nil, err
		}
		if a, err := q.parse(buffer[:n]); !errors.Is(err, errForeign) {
			return a, err
		}
	}
	return nil, errors.New("nothing but answers to other queries")
}

func askTCP(conn net.Conn, q query) (*answer, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(q.message))) //nolint:gosec // a query has less than 300 octets
	if _, err := conn.Write(append(framed, q.message...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		return nil, err
	}
	return q.parse(message)
}
