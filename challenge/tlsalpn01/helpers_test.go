package tlsalpn01_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
	"github.com/seed-aa0b9f56/acme/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.WarmUp()
	conformance.Main(m)
}

const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

func attempt(id, token string) *acme.Attempt {
	identifier := acme.Identifier{Type: acme.TypeDNS, Value: id}
	if _, err := netip.ParseAddr(id); err == nil {
		identifier.Type = acme.TypeIP
	}
	return challengetest.NewAttempt(acme.TLSALPN01, identifier, token)
}

func present(t testing.TB, s acme.Solver, batch ...*acme.Attempt) acme.Cleanup {
	t.Helper()
	cleanup, err := s.Present(t.Context(), batch)
	if err != nil || cleanup == nil {
		t.Fatalf("cleanup %t, error %v", cleanup != nil, err)
	}
	return cleanup
}

// handshake makes a connection to a server with a configuration, in the process.
func handshake(ctx context.Context, server, client *tls.Config) (tls.ConnectionState, error) {
	clientSide, serverSide := net.Pipe()
	done := make(chan struct{})
	defer func() { <-done }()
	defer clientSide.Close()
	go func() {
		defer close(done)
		defer serverSide.Close()
		_ = tls.Server(serverSide, server).HandshakeContext(ctx) // the client sees what came of it
	}()
	return shakeHands(ctx, clientSide, client)
}

func shakeHands(ctx context.Context, conn net.Conn, client *tls.Config) (tls.ConnectionState, error) {
	client = client.Clone()
	client.InsecureSkipVerify = true
	if client.CurvePreferences == nil { // the fastest by far, under the race detector
		client.CurvePreferences = []tls.CurveID{tls.CurveP256}
	}
	c := tls.Client(conn, client)
	err := c.HandshakeContext(ctx)
	return c.ConnectionState(), err
}

// hello is the configuration of a client that validates.
func hello(serverName string) *tls.Config {
	return &tls.Config{NextProtos: []string{"acme-tls/1"}, ServerName: serverName}
}

// A vector says what the server name and the subject alternative name of an
// identifier are.
type vector struct{ Type, Value, ServerName, SubjectAltName string }

func vectors[T any](t *testing.T, name string) (list []T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", name+".json"))
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %d vectors, %v", name, len(list), err)
	}
	return list
}

// validate does what a server does (RFC 8737 §3), and more strictly than most.
func validate(ctx context.Context, a *acme.Attempt, dial func(client *tls.Config) (tls.ConnectionState, error)) error {
	name := a.Identifier.Value
	if a.Identifier.Type == acme.TypeIP {
		name = reverseName(netip.MustParseAddr(name))
	}
	state, err := dial(hello(name))
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if state.NegotiatedProtocol != "acme-tls/1" || state.Version < tls.VersionTLS12 || len(state.PeerCertificates) != 1 {
		return fmt.Errorf("protocol %q, TLS version %x, %d certificates", state.NegotiatedProtocol, state.Version, len(state.PeerCertificates))
	}
	digest := a.KeyAuthorization.Digest()
	return inspect(state.PeerCertificates[0], a, append([]byte{4, 32}, digest[:]...))
}

// reverseName is another implementation of the name in in-addr.arpa or ip6.arpa.
func reverseName(addr netip.Addr) string {
	if addr.Is4() {
		o := addr.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", o[3], o[2], o[1], o[0])
	}
	o := addr.As16()
	digits, name := hex.EncodeToString(o[:]), ""
	for _, d := range digits {
		name = string(d) + "." + name
	}
	return name + "ip6.arpa"
}

// inspect looks at a certificate.
func inspect(cert *x509.Certificate, a *acme.Attempt, extnValue []byte) error {
	if !bytes.Equal(cert.RawIssuer, cert.RawSubject) || len(cert.RawIssuer) < 3 {
		return errors.New("not self-issued, or without a name")
	}
	if err := cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		return fmt.Errorf("not self-signed: %w", err)
	}
	id := a.Identifier
	names := append(append([]string{}, cert.DNSNames...), cert.EmailAddresses...)
	isName := len(cert.DNSNames) == 1 && id.Type == acme.TypeDNS && strings.EqualFold(cert.DNSNames[0], id.Value)
	isAddr := len(cert.IPAddresses) == 1 && id.Type == acme.TypeIP && cert.IPAddresses[0].String() == id.Value
	if len(names)+len(cert.IPAddresses)+len(cert.URIs) != 1 || !isName && !isAddr {
		return fmt.Errorf("names %q, addresses %v", names, cert.IPAddresses)
	}
	seen := map[string]int{}
	for _, e := range cert.Extensions {
		seen[e.Id.String()]++
		if e.Id.String() != "1.3.6.1.5.5.7.1.31" {
			continue
		}
		if !e.Critical {
			return errors.New("acmeIdentifier is not critical")
		}
		if !bytes.Equal(e.Value, extnValue) {
			return errors.New("another digest")
		}
	}
	if seen["1.3.6.1.5.5.7.1.31"] != 1 || seen["2.5.29.17"] != 1 {
		return fmt.Errorf("extensions %v", seen)
	}
	return nil
}

// wrapped dials a solver whose Wrap is all that a server has.
func wrapped(ctx context.Context, s *tlsalpn01.Solver) func(*tls.Config) (tls.ConnectionState, error) {
	return func(client *tls.Config) (tls.ConnectionState, error) { return handshake(ctx, s.Wrap(nil), client) }
}
