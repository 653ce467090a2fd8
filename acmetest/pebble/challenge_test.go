package pebble_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/seed-aa0b9f56/acme/acmetest/pebble"
	"github.com/seed-aa0b9f56/acme/internal/needs"
)

func TestDNS01(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{})
	c := account(ctx, t, s)
	names := []string{"example.org", "*.example.org"}
	var values []string
	solver := func(c *client, a *authorization, ch challenge) {
		value := c.txtValue(ch.Token)
		s.AddTXT("_acme-challenge."+a.Identifier.Value, value)
		values = append(values, value)
	}
	_, chain, err := c.obtain(ctx, "dns-01", solver, names...)
	if err != nil {
		t.Fatal(err)
	}
	verify(t, chain, s.Root(0), "example.org", "www.example.org")
	if got := lookup(t, s, "tcp", "_ACME-challenge.Example.ORG"); len(got) != 2 {
		t.Errorf("TXT %q", got)
	}
	s.RemoveTXT("_acme-challenge.example.org", values[0])
	if got := lookup(t, s, "udp", "_acme-challenge.example.org"); len(got) != 1 || got[0] != values[1] {
		t.Errorf("TXT %q after one of %q was removed", got, values)
	}
}

// lookup asks the server's DNS server for TXT records, as a client may.
func lookup(t *testing.T, s *pebble.Server, network, name string) []string {
	t.Helper()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.DNSAddr())
	}}
	txt, err := resolver.LookupTXT(t.Context(), name)
	if err != nil {
		t.Error(err)
	}
	return txt
}

func TestNames(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{})
	c := account(ctx, t, s)
	s.SetCNAME("_acme-challenge.alias.example", "elsewhere.example")
	solver := func(c *client, _ *authorization, ch challenge) { s.AddTXT("elsewhere.example", c.txtValue(ch.Token)) }
	if _, _, err := c.obtain(ctx, "dns-01", solver, "alias.example"); err != nil {
		t.Error(err)
	}
	s.AddTXT("long.example", strings.Repeat("x", 600))
	s.SetCNAME("circle.example", "circle.example")
	for name, want := range map[string]int{"_acme-challenge.alias.example": 43, "long.example": 600} {
		if got := lookup(t, s, "udp", name); len(got) != 1 || len(got[0]) != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, zone := range map[string]string{"a.b.example.": "b.example.", "b.example.": "b.example.", "localhost.": "localhost."} {
		query := new(dns.Msg).SetQuestion(name, dns.TypeSOA)
		reply, _, err := new(dns.Client).Exchange(query, s.DNSAddr())
		if err != nil {
			t.Fatal(err)
		}
		records := append(reply.Answer, reply.Ns...)
		if len(records) != 1 || records[0].Header().Name != zone || (len(reply.Answer) == 1) != (name == zone) {
			t.Errorf("%s: %v", name, reply)
		}
	}
	s.SetCNAME("circle.example", "")
	s.AddTXT("circle.example", "no more")
	if got := lookup(t, s, "tcp", "circle.example"); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestTLSALPN01(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{})
	l, err := s.ListenTLS()
	if err != nil {
		t.Fatal(err)
	}
	certificates := make(chan *tls.Certificate, 1)
	config := &tls.Config{
		NextProtos: []string{"acme-tls/1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := <-certificates
			certificates <- c
			return c, nil
		},
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = tls.Server(conn, config).HandshakeContext(ctx)
			}()
		}
	}()
	solver := func(c *client, a *authorization, ch challenge) {
		digest := sha256.Sum256([]byte(c.keyAuthorization(ch.Token)))
		value, _ := asn1.Marshal(digest[:])
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(1),
			DNSNames:     []string{a.Identifier.Value},
			NotAfter:     time.Now().Add(time.Hour),
			ExtraExtensions: []pkix.Extension{
				{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}, Critical: true, Value: value},
			},
		}, new(x509.Certificate), key.Public(), key)
		if err != nil {
			t.Error(err)
		}
		certificates <- &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	}
	c := account(ctx, t, s)
	_, chain, err := c.obtain(ctx, "tls-alpn-01", solver, "alpn.example")
	if err != nil {
		t.Fatal(err)
	}
	verify(t, chain, s.Root(0), "alpn.example")
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	ctx, s, r := start(t, pebble.Options{})
	c := account(ctx, t, s)
	s.SetAddresses("nowhere.example")
	s.SetAddresses("six.example", netip.IPv6Loopback())
	if _, _, err := c.obtain(ctx, "http-01", r.solve, "nowhere.example"); err == nil {
		t.Error("a certificate for a name without addresses")
	}
	needs.IPv6(t)
	if _, _, err := c.obtain(ctx, "http-01", r.solve, "six.example", "::1"); err != nil {
		t.Error(err)
	}
}

func TestAlwaysValid(t *testing.T) {
	t.Parallel()
	ctx, s, _ := start(t, pebble.Options{AlwaysValid: true})
	c := account(ctx, t, s)
	nothing := func(*client, *authorization, challenge) {}
	if _, _, err := c.obtain(ctx, "dns-01", nothing, "*.example.net"); err != nil {
		t.Error(err)
	}
}
