package stepca_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A world is what step-ca sees when it validates: names, and the ports that it
// asks, which in this world lead to listeners of the test. It implements the
// interface through which step-ca looks, and is a provider of DNS records.
type world struct {
	web, tls *port

	mu  sync.Mutex
	txt map[string][]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{web: newPort(t), tls: newPort(t), txt: map[string][]string{}}
}

// Get implements step-ca's acme.Client, for http-01.
func (w *world) Get(url string) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: w.web.dial}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	return client.Get(url)
}

// TLSDial implements step-ca's acme.Client, for tls-alpn-01.
func (w *world) TLSDial(network, addr string, config *tls.Config) (*tls.Conn, error) {
	conn, err := w.tls.dial(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, config)
	if err := secure.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// LookupTxt implements step-ca's acme.Client, for dns-01.
func (w *world) LookupTxt(name string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if values := w.txt[name]; len(values) > 0 {
		return slices.Clone(values), nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// Append implements [dnstxt.Provider].
func (w *world) Append(_ context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range recs {
		name := strings.TrimSuffix(r.Name, ".")
		w.txt[name] = append(w.txt[name], r.Value)
	}
	return w.remove, nil
}

func (w *world) remove(_ context.Context, recs []dnstxt.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range recs {
		name := strings.TrimSuffix(r.Name, ".")
		w.txt[name] = slices.DeleteFunc(slices.Clone(w.txt[name]), func(v string) bool { return v == r.Value })
	}
	return nil
}

// A port is what a server of the test listens on in place of port 80 or 443: on
// 127.0.0.1, where all names lead, and on ::1.
type port struct {
	v4, v6 net.Listener
}

func newPort(t testing.TB) *port {
	t.Helper()
	p := new(port)
	var err error
	if p.v4, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if p.v6, err = net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Fatalf("this machine has no IPv6 on loopback (%v): enable it for lo, as with sysctl net.ipv6.conf.lo.disable_ipv6=0", err)
	}
	t.Cleanup(func() {
		_ = p.v4.Close()
		_ = p.v6.Close()
	})
	return p
}

// dial connects to the port, as if addr had led there. An address must be one of
// loopback, of the same family.
func (p *port) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	target := p.v4
	if ip, err := netip.ParseAddr(host); err == nil {
		switch ip.Unmap() {
		case netip.MustParseAddr("127.0.0.1"):
		case netip.IPv6Loopback():
			target = p.v6
		default:
			return nil, fmt.Errorf("dial %s: not of this world", addr)
		}
	}
	return new(net.Dialer).DialContext(ctx, "tcp", target.Addr().String())
}
