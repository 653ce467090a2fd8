package rfc2136_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt/rfc2136"
)

// deaf opens a port at which nobody answers.
func deaf(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn.LocalAddr().String()
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // the kernel takes connections for it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// liar answers updates by UDP as it is told, unsigned.
func liar(t *testing.T, answer func(*dns.Msg) []*dns.Msg) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, update *dns.Msg) {
		for _, m := range answer(update) {
			_ = w.WriteMsg(m)
		}
	})
	started := make(chan struct{})
	server := &dns.Server{PacketConn: conn, UDPSize: 1 << 16, Handler: handler, NotifyStartedFunc: func() { close(started) }, MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }}
	go server.ActivateAndServe()
	<-started
	t.Cleanup(func() { _ = server.Shutdown() })
	return conn.LocalAddr().String()
}

// What anybody on the way may send.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	reply := func(m *dns.Msg) *dns.Msg { return new(dns.Msg).SetReply(m) }
	refusal := func(m *dns.Msg) *dns.Msg { return new(dns.Msg).SetRcode(m, dns.RcodeRefused) }
	key := keys()[0]
	for _, tt := range []struct {
		name   string
		key    rfc2136.Key
		answer func(*dns.Msg) []*dns.Msg
		says   string
	}{
		{"success without a signature", key, func(m *dns.Msg) []*dns.Msg { return []*dns.Msg{reply(m)} }, "is not signed"},
		{"success, and there is no key", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg { return []*dns.Msg{reply(m)} }, ""},
		{"another id, then success", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg {
			other := reply(m)
			other.Id++
			other.Rcode = dns.RcodeRefused
			return []*dns.Msg{other, reply(m)}
		}, ""},
		{"the update itself, then a refusal", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg {
			other := m.Copy()
			other.Extra = nil
			return []*dns.Msg{other, refusal(m)}
		}, "REFUSED"},
		{"an answer to a query, then a refusal", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg {
			other := reply(m)
			other.Opcode = dns.OpcodeQuery
			return []*dns.Msg{other, refusal(m)}
		}, "REFUSED"},
		{"a code that nobody knows", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg {
			m = reply(m)
			m.Rcode = 13
			return []*dns.Msg{m}
		}, "code 13"},
		{"no updates", rfc2136.Key{}, func(m *dns.Msg) []*dns.Msg {
			m = reply(m)
			m.Rcode = dns.RcodeNotImplemented
			return []*dns.Msg{m}
		}, "NOTIMP (it takes no updates)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &rfc2136.Provider{Server: liar(t, tt.answer), Network: "udp", Key: tt.key, Zone: fixed("example.com.")}
			_, err := p.Append(t.Context(), []dnstxt.Record{{Name: "a.example.com."}})
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A datagram that is lost is sent again.
func TestLostDatagram(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	addr := liar(t, func(m *dns.Msg) []*dns.Msg {
		if n.Add(1) < 3 {
			return nil
		}
		return []*dns.Msg{new(dns.Msg).SetReply(m)}
	})
	p := &rfc2136.Provider{Server: addr, Network: "udp", Zone: fixed("example.com."), Timeout: 50 * time.Millisecond}
	if _, err := p.Append(t.Context(), []dnstxt.Record{{Name: "a.example.com."}}); err != nil || n.Load() != 3 {
		t.Errorf("%v, %d tries", err, n.Load())
	}
}

// An update that is too large for a datagram goes by TCP, where here nobody is.
func TestLargeUpdate(t *testing.T) {
	t.Parallel()
	addr := liar(t, func(m *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetReply(m)} })
	p := &rfc2136.Provider{Server: addr, Network: "udp", Zone: fixed("example.com.")}
	if _, err := p.Append(t.Context(), []dnstxt.Record{{Name: "a.example.com.", Value: strings.Repeat("x", 200)}}); err != nil {
		t.Error(err)
	}
	if _, err := p.Append(t.Context(), []dnstxt.Record{{Name: "a.example.com.", Value: strings.Repeat("x", 600)}}); err == nil {
		t.Error("600 octets by UDP")
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		provider rfc2136.Provider
		says     string
	}{
		{rfc2136.Provider{}, "no Server is set"},
		{rfc2136.Provider{Server: "192.0.2.1", Network: "sctp"}, `the Network "sctp"`},
		{rfc2136.Provider{Server: "192.0.2.1", Key: rfc2136.Key{Secret: "AAAA"}}, "no name"},
		{rfc2136.Provider{Server: "192.0.2.1", Key: rfc2136.Key{Name: "k"}}, "key k (hmac-sha256): there is no secret"},
		{rfc2136.Provider{Server: "192.0.2.1", Key: rfc2136.Key{Name: "k", Secret: "not base64!"}}, "key k (hmac-sha256): the secret is not base64"},
		{rfc2136.Provider{Server: "192.0.2.1", Key: rfc2136.Key{Name: "a b", Secret: "AAAA"}}, "invalid name"},
		{rfc2136.Provider{Server: "192.0.2.1", Key: rfc2136.Key{Name: "k", Secret: "AAAA", Algorithm: "hmac-md5"}}, "the algorithm must be"},
	} {
		remove, err := tt.provider.Append(t.Context(), []dnstxt.Record{{Name: "a.example."}})
		if err == nil || remove != nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "not base64!") {
			t.Errorf("%s: %v", tt.says, err)
		}
	}
}

// The secret is never printed.
func TestRedact(t *testing.T) {
	t.Parallel()
	key := rfc2136.Key{Name: "acme", Secret: "c2VjcmV0"}
	p := rfc2136.Provider{Server: "192.0.2.1", Key: key}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "key", key, "provider", p)
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v %s %s", key, key, key, key, p, p, p, &p, log.String(), text)
	if strings.Contains(all, key.Secret) || !strings.Contains(all, "acme (hmac-sha256)") {
		t.Error(all)
	}
}
