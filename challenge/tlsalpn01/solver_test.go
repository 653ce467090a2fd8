package tlsalpn01_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/challengetest"
	"github.com/seed-aa0b9f56/acme/challenge/tlsalpn01"
	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestSolver(t *testing.T) {
	t.Parallel()
	var solver *tlsalpn01.Solver // of the test that runs
	challengetest.TestSolver(t,
		func(testing.TB) acme.Solver {
			solver = new(tlsalpn01.Solver)
			return solver
		},
		func(ctx context.Context, a *acme.Attempt) error {
			return validate(ctx, a, func(client *tls.Config) (state tls.ConnectionState, err error) { // a handshake without the arithmetic
				cert, err := solver.GetCertificate(&tls.ClientHelloInfo{SupportedProtos: client.NextProtos, ServerName: client.ServerName})
				if err == nil && cert == nil {
					err = errors.New("no certificate")
				}
				if err != nil {
					return state, err
				}
				return tls.ConnectionState{NegotiatedProtocol: "acme-tls/1", Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{cert.Leaf}}, nil
			})
		})
}

// The certificate is what RFC 8737 and RFC 8738 say, octet by octet, and is found
// by the name that they say.
func TestCertificate(t *testing.T) {
	conformance.Claim(t, "8737-3-01", "8737-3-02", "8737-3-03", "8737-3-04", "8738-6-01", "8738-6-02")
	t.Parallel()
	type keyAuthorization struct{ Name, Token, KeyAuthorization, AcmeIdentifier string }
	ids := vectors[vector](t, "servernames")
	for i, k := range vectors[keyAuthorization](t, "keyauthorizations") {
		if k.AcmeIdentifier == "" {
			continue
		}
		want, err := hex.DecodeString(k.AcmeIdentifier)
		if err != nil {
			t.Fatal(err)
		}
		v := ids[i%len(ids)] // each is used, as the next loop sees to
		checkVector(t, v, k.Token, k.KeyAuthorization, want)
	}
	for _, v := range ids {
		a := attempt(v.Value, token)
		digest := a.KeyAuthorization.Digest()
		checkVector(t, v, token, string(a.KeyAuthorization), append([]byte{4, 32}, digest[:]...))
	}
}

// What a handshake and its certificate are known by (RFC 8737 §3, §6).
func TestVectorConstants(t *testing.T) {
	t.Parallel()
	for _, v := range vectors[struct {
		Protocol, ProtocolOctets, Extension, ValuePrefix string
		Critical                                         bool
	}](t, "tlsalpn") {
		var solver tlsalpn01.Solver
		a := attempt("a.example", token)
		present(t, &solver, a)
		state, err := handshake(t.Context(), solver.Wrap(nil), hello("a.example"))
		if err != nil || state.NegotiatedProtocol != v.Protocol || tlsalpn01.Proto != v.Protocol || hex.EncodeToString([]byte(v.Protocol)) != v.ProtocolOctets {
			t.Fatalf("%+v: protocol %q, %v", v, state.NegotiatedProtocol, err)
		}
		digest := a.KeyAuthorization.Digest()
		found := slices.ContainsFunc(state.PeerCertificates[0].Extensions, func(e pkix.Extension) bool {
			return e.Id.String() == v.Extension && e.Critical == v.Critical && hex.EncodeToString(e.Value) == v.ValuePrefix+hex.EncodeToString(digest[:])
		})
		if !found {
			t.Errorf("%+v: %v", v, state.PeerCertificates[0].Extensions)
		}
	}
}

func checkVector(t *testing.T, v vector, token, keyAuthorization string, extnValue []byte) {
	t.Helper()
	var solver tlsalpn01.Solver
	a := attempt(v.Value, token)
	a.KeyAuthorization = acme.KeyAuthorization(keyAuthorization)
	present(t, &solver, a)
	state, err := handshake(t.Context(), solver.Wrap(nil), hello(v.ServerName))
	if err != nil {
		t.Fatalf("%s: %v", v.Value, err)
	}
	cert := state.PeerCertificates[0]
	if err := inspect(cert, a, extnValue); err != nil {
		t.Errorf("%s: %v", v.Value, err)
	}
	for _, e := range cert.Extensions {
		if e.Id.String() == "2.5.29.17" && hex.EncodeToString(e.Value) != v.SubjectAltName {
			t.Errorf("%s: subjectAltName %x", v.Value, e.Value)
		}
	}
	if now := time.Now(); now.Before(cert.NotBefore.Add(time.Hour)) || now.After(cert.NotAfter.Add(-time.Hour)) {
		t.Errorf("%s: valid from %v to %v", v.Value, cert.NotBefore, cert.NotAfter)
	}
}

// Only what is a validation gets the certificate, and only while there is a
// challenge; everybody else is refused where there is nothing else to serve.
func TestHandshakes(t *testing.T) {
	conformance.Claim(t, "8737-3-05", "8737-3-07", "8737-4-02")
	t.Parallel()
	var solver tlsalpn01.Solver
	cleanup := present(t, &solver, attempt("a.example", token), attempt("192.0.2.1", token), attempt("xn--bcher-kva.example", "other"))
	for _, tt := range []struct {
		protos     []string
		serverName string
		ok         bool
	}{
		{[]string{"acme-tls/1"}, "a.example", true},
		{[]string{"acme-tls/1"}, "A.Example", true},
		{[]string{"acme-tls/1"}, "a.example.", true},
		{[]string{"acme-tls/1"}, "xn--bcher-kva.example", true},
		{[]string{"acme-tls/1"}, "1.2.0.192.in-addr.arpa", true},
		{[]string{"acme-tls/1"}, "192.0.2.1", false}, // which is no server name, and is not sent
		{[]string{"acme-tls/1"}, "2.2.0.192.in-addr.arpa", false},
		{[]string{"acme-tls/1"}, "b.example", false},
		{[]string{"acme-tls/1"}, "www.a.example", false},
		{[]string{"acme-tls/1"}, "example", false},
		{[]string{"acme-tls/1"}, "", false},
		{[]string{"acme-tls/1", "h2"}, "a.example", false},
		{[]string{"h2", "acme-tls/1"}, "a.example", false},
		{[]string{"acme-tls/1", "acme-tls/1"}, "a.example", false},
		{[]string{"acme-tls/2"}, "a.example", false},
		{[]string{"h2"}, "a.example", false},
		{nil, "a.example", false},
	} {
		client := &tls.Config{NextProtos: tt.protos, ServerName: tt.serverName}
		state, err := handshake(t.Context(), solver.Wrap(nil), client)
		if (err == nil) != tt.ok || (state.NegotiatedProtocol == "acme-tls/1") != tt.ok {
			t.Errorf("%q for %q: protocol %q, %v", tt.protos, tt.serverName, state.NegotiatedProtocol, err)
		}
		info := &tls.ClientHelloInfo{SupportedProtos: tt.protos, ServerName: tt.serverName}
		if tt.serverName == "192.0.2.1" {
			info.ServerName = ""
		}
		if cert, err := solver.GetCertificate(info); err != nil || (cert != nil) != tt.ok {
			t.Errorf("GetCertificate: %q for %q: %t, %v", tt.protos, tt.serverName, cert != nil, err)
		}
	}
	if err := cleanup(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a.example", "1.2.0.192.in-addr.arpa", "xn--bcher-kva.example"} {
		if _, err := handshake(t.Context(), solver.Wrap(nil), hello(name)); !refused(err) {
			t.Errorf("%s after the cleanup: %v", name, err)
		}
	}
}

// refused reports whether a server knows none of the protocols (RFC 7301 §3.2).
func refused(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no application protocol")
}

// TLS 1.2 and 1.3 it is, whatever the program allows to others.
func TestVersions(t *testing.T) {
	conformance.Claim(t, "8737-4-03")
	t.Parallel()
	var solver tlsalpn01.Solver
	present(t, &solver, attempt("a.example", token))
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		client := hello("a.example")
		client.MinVersion, client.MaxVersion = version, version
		for _, base := range []*tls.Config{nil, {MinVersion: tls.VersionTLS10}, {MinVersion: tls.VersionTLS13}} {
			if _, err := handshake(t.Context(), solver.Wrap(base), client); (err == nil) != ok {
				t.Errorf("TLS version %x: %v", version, err)
			}
		}
	}
}

// What is served is made here: a program cannot have certificates of its users'
// in its place (RFC 8737 §5).
func TestNoForeignCertificates(t *testing.T) {
	conformance.Claim(t, "8737-5-01")
	t.Parallel()
	for _, s := range []any{new(tlsalpn01.Solver), new(tlsalpn01.Server)} {
		typ := reflect.TypeOf(s)
		for m := range typ.Methods() {
			for in := range m.Type.Ins() {
				if name := in.String(); strings.Contains(name, "Certificate") || strings.Contains(name, "[]uint8") || strings.Contains(name, "x509") {
					t.Errorf("%s.%s takes a %s", typ, m.Name, name)
				}
			}
		}
		for f := range typ.Elem().Fields() {
			if f.IsExported() && strings.Contains(f.Type.String(), "tls.") {
				t.Errorf("%s.%s is a %s", typ, f.Name, f.Type)
			}
		}
	}
}

func TestSupports(t *testing.T) {
	t.Parallel()
	dns := challengetest.NewAttempt(acme.HTTP01, acme.DNS("a.example")[0], token)
	email := challengetest.NewAttempt(acme.TLSALPN01, acme.Identifier{Type: "email", Value: "a@a.example"}, token)
	for _, s := range []acme.Solver{new(tlsalpn01.Solver), new(tlsalpn01.Server)} {
		for _, tt := range []struct {
			attempt *acme.Attempt
			want    bool
		}{
			{attempt("a.example", token), true},
			{attempt("2001:db8::1", token), true},
			{attempt("*.a.example", token), false},
			{dns, false},
			{email, false},
			{&acme.Attempt{Identifier: acme.DNS("a.example")[0]}, false},
		} {
			if got := s.Supports(tt.attempt); got != tt.want {
				t.Errorf("%s: %t", tt.attempt, got)
			}
		}
	}
}

// Nothing of a batch is served if one of its attempts is not right.
func TestRefusal(t *testing.T) {
	t.Parallel()
	wrong, bare := attempt("b.example", token), attempt("b.example", token)
	wrong.KeyAuthorization = "A" + wrong.KeyAuthorization
	bare.KeyAuthorization = token
	other := attempt("b.example", token)
	other.Identifier.Type = "email"
	for _, tt := range []struct {
		says string
		last *acme.Attempt
	}{
		{"no token", attempt("b.example", "")},
		{"not one for the token", wrong},
		{"not one for the token", bare},
		{"not a name in ASCII", attempt("bücher.example", token)},
		{"not a name in ASCII", attempt("b..example", token)},
		{"not a name in ASCII", attempt("b.example.", token)},
		{"not a name in ASCII", attempt("b/../example", token)},
		{"not a name in ASCII", attempt("b.example\n", token)},
		{"not a name in ASCII", attempt("", token)},
		{"not a name in ASCII", attempt(strings.Repeat("a", 64), token)},
		{"not a name in ASCII", attempt(strings.Repeat("a.", 127)+"a", token)},
		{"not an IP address", attempt("fe80::1%eth0", token)},
		{"neither a name nor an address", other},
		{"another attempt for the same name", attempt("first.example", "other")},
	} {
		var solver tlsalpn01.Solver
		cleanup, err := solver.Present(t.Context(), []*acme.Attempt{attempt("first.example", token), tt.last})
		if err == nil || cleanup != nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "tlsalpn01: tls-alpn-01 for ") {
			t.Errorf("%s: cleanup %t, error %v", tt.says, cleanup != nil, err)
		}
		if cert, _ := solver.GetCertificate(&tls.ClientHelloInfo{SupportedProtos: []string{"acme-tls/1"}, ServerName: "first.example"}); cert != nil {
			t.Errorf("%s: served what it should not", tt.says)
		}
	}
}

// Two orders for one name get their turns; what they share is served for both.
func TestOrdersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var solver tlsalpn01.Solver
		first := present(t, &solver, attempt("a.example", token), attempt("b.example", token))
		shared := present(t, &solver, attempt("a.example", token))
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				b := attempt("b.example", fmt.Sprintf("token%d", i))
				cleanup, err := solver.Present(t.Context(), []*acme.Attempt{b, attempt("c.example", fmt.Sprintf("token%d", i))})
				if err != nil {
					t.Error(err)
					return
				}
				if err := validate(t.Context(), b, wrapped(t.Context(), &solver)); err != nil {
					t.Error(err)
				}
				<-time.After(time.Second)
				if err := validate(t.Context(), b, wrapped(t.Context(), &solver)); err != nil {
					t.Error(err)
				}
				_ = cleanup(t.Context())
			})
		}
		synctest.Wait()
		if err := validate(t.Context(), attempt("b.example", token), wrapped(t.Context(), &solver)); err != nil {
			t.Errorf("while others wait: %v", err)
		}
		_ = first(t.Context())
		wg.Wait()
		if err := validate(t.Context(), attempt("a.example", token), wrapped(t.Context(), &solver)); err != nil {
			t.Errorf("after one of two orders: %v", err)
		}
		_, _ = shared(t.Context()), shared(t.Context())

		// Waiting ends with the context, and leaves nothing.
		present(t, &solver, attempt("a.example", token))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		cleanup, err := solver.Present(ctx, []*acme.Attempt{attempt("a.example", "other"), attempt("d.example", "other")})
		if cleanup != nil || time.Since(began) != time.Minute || fmt.Sprint(err) != "tlsalpn01: waiting for another order under way for a.example: context deadline exceeded" {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := handshake(t.Context(), solver.Wrap(nil), hello("d.example")); !refused(err) {
			t.Errorf("d.example: %v", err)
		}
	})
}
