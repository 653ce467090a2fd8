package http01

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/listen"
)

// A Server is a [Solver] for a program that has no HTTP server: it listens by
// itself from the first Present to the last cleanup, after which the port is
// free. The zero value listens at port 80 of all addresses, IPv4 and IPv6; it
// must not be copied after first use.
//
// A redirect to https, say, has no place in it: a program that serves anything
// at port 80 uses a Solver.
type Server struct {
	// Addr is where to listen; "" means ":80". Servers ask port 80, whatever is
	// set here: another one is for a program that this port is forwarded to.
	Addr string

	// Listen opens the listener, for sockets that were handed over, say; nil
	// means that of a zero [net.ListenConfig].
	Listen func(ctx context.Context, network, address string) (net.Listener, error)

	solver Solver
	port   listen.Port
}

// Supports is that of a [Solver].
func (s *Server) Supports(a *acme.Attempt) bool { return s.solver.Supports(a) }

// Present listens, if no other order has it listen already, and answers for the
// batch. It fails if the port is in use, or if the listener that it shares with
// other orders was closed meanwhile.
func (s *Server) Present(ctx context.Context, batch []*acme.Attempt) (acme.Cleanup, error) {
	remove, err := s.solver.Present(ctx, batch)
	if err != nil || len(batch) == 0 {
		return remove, err
	}
	address := s.Addr
	if address == "" {
		address = ":80"
	}
	release, err := s.port.Open(ctx, address, s.Listen, func(server *http.Server) { server.Handler = &s.solver })
	if err != nil {
		return remove, fmt.Errorf("http01: %s: %w", batch[0], err)
	}
	return func(ctx context.Context) error {
		err := release(ctx)
		if err != nil {
			err = fmt.Errorf("http01: %w", err)
		}
		return errors.Join(err, remove(ctx))
	}, nil
}
