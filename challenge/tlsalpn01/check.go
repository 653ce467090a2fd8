package tlsalpn01

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/internal/vantage"
)

// A Checker looks whether an attempt would pass, as a server does: it looks up
// the name, makes a TLS connection to port 443 of each address, and looks at the
// certificate. The zero value is ready to use. Each address has 10 seconds,
// whatever the context allows.
type Checker struct {
	// Resolver looks up names; nil means [net.DefaultResolver].
	Resolver *net.Resolver

	// DialContext connects to an address and a port; nil means that of a zero
	// [net.Dialer]. Another one is for machines that cannot reach themselves at
	// their public address.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Check is the method of a zero [Checker], for [acme.Checked].
func Check(ctx context.Context, a *acme.Attempt) error { return new(Checker).Check(ctx, a) }

// Check returns nil if every address of the attempt's identifier answers with
// the attempt's certificate. The error says for each that does not what was
// found, and how far the check got. It is safe for concurrent use.
func (c *Checker) Check(ctx context.Context, a *acme.Attempt) error {
	name, err := serverName(a.Identifier)
	if err != nil {
		return err
	}
	return vantage.Look(ctx, c.Resolver, a.Identifier.Value, func(ctx context.Context, addr netip.Addr) error {
		return vantage.Tame(c.shakeHands(ctx, a, name, addr), a.Challenge.Token)
	})
}

// shakeHands makes the connection that a server makes.
func (c *Checker) shakeHands(ctx context.Context, a *acme.Attempt, name string, addr netip.Addr) error {
	dial := c.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", netip.AddrPortFrom(addr, 443).String())
	if err != nil {
		return err
	}
	defer raw.Close() //nolint:errcheck // there is nothing to lose
	conn := tls.Client(raw, &tls.Config{
		ServerName:         name,
		NextProtos:         []string{Proto},
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // it is self-signed
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		if strings.Contains(err.Error(), "no application protocol") { // an alert has no type of its own (RFC 7301 §3.2)
			return fmt.Errorf("the TLS handshake: %w: the server there knows no %s, or no order for %s (is it this program that was reached?)", err, Proto, name)
		}
		return fmt.Errorf("the TLS handshake: %w", err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != Proto {
		return fmt.Errorf("the TLS handshake: found the protocol %s, expected %q: the server there does not know it (is it this program that was reached?)",
			vantage.Quote(state.NegotiatedProtocol, ""), Proto)
	}
	return verify(state.PeerCertificates[0], a)
}
