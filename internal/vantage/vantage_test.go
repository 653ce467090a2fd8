package vantage_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme/internal/fakedns"
	"github.com/seed-aa0b9f56/acme/internal/vantage"
)

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

var many = func() (list []netip.Addr) {
	for i := range 40 {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	return list
}()

func TestLook(t *testing.T) {
	t.Parallel()
	resolver := fakedns.Resolver(map[string][]netip.Addr{
		"both.example": addrs("192.0.2.1", "2001:db8::1", "192.0.2.1"), "none.example": nil, "many.example": many,
	}) // package net does not ask it for onion names, but lets the C library ask, where that is used
	for _, tt := range []struct {
		host string
		want []netip.Addr
		says string
	}{
		{"both.example", addrs("192.0.2.1", "2001:db8::1"), ""},
		{"Both.Example.", addrs("192.0.2.1", "2001:db8::1"), ""},
		{"192.0.2.7", addrs("192.0.2.7"), ""},
		{"::ffff:192.0.2.7", addrs("192.0.2.7"), ""},
		{"2001:db8::7", addrs("2001:db8::7"), ""},
		{"many.example", many[:16], ""},
		{"none.example", nil, "looking up its addresses: "},
		{"unknown.example", nil, "no such host"},
		{"a b", nil, "no such host"},
		{"", nil, "no such host"},
		{"a.Onion", nil, "an onion name is not in the DNS"},
	} {
		t.Run(tt.host, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var seen []netip.Addr
			err := vantage.Look(t.Context(), resolver, tt.host, func(_ context.Context, addr netip.Addr) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, addr)
				return nil
			})
			slices.SortFunc(seen, netip.Addr.Compare)
			if !slices.Equal(seen, tt.want) {
				t.Errorf("looked at %v, want %v", seen, tt.want)
			}
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

// What is wrong with one address is told of that one, and the others count, too.
func TestEveryAddressCounts(t *testing.T) {
	t.Parallel()
	resolver := fakedns.Resolver(map[string][]netip.Addr{"a.example": addrs("192.0.2.1", "192.0.2.2", "2001:db8::1")})
	refused := errors.New("refused")
	err := vantage.Look(t.Context(), resolver, "a.example", func(_ context.Context, addr netip.Addr) error {
		if addr == netip.MustParseAddr("192.0.2.2") {
			return nil
		}
		return refused
	})
	if !errors.Is(err, refused) || fmt.Sprint(err) != "at 192.0.2.1: refused\nat 2001:db8::1: refused" {
		t.Errorf("got %v", err)
	}
}

// An address that does not answer costs some seconds, less if the context ends.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		deaf := func(ctx context.Context, _ netip.Addr) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		err := vantage.Look(t.Context(), nil, "192.0.2.1", deaf)
		if took := time.Since(began); took != 10*time.Second || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "at 192.0.2.1: no answer within 10s") {
			t.Errorf("after %v: %v", took, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		err = vantage.Look(ctx, nil, "192.0.2.1", deaf)
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "10s") {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

// Looking up a name ends with the context, too. (Not in a bubble: what reads the
// system's configuration is shared with what is outside.)
func TestSilentResolver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	err := vantage.Look(ctx, silent, "a.example", func(context.Context, netip.Addr) error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "looking up its addresses: ") {
		t.Errorf("got %v", err)
	}
}

func TestTame(t *testing.T) {
	t.Parallel()
	inner := errors.New("the \x1b[31mtoken\r\nsecret " + strings.Repeat("ä", 400))
	err := vantage.Tame(inner, "secret")
	text := fmt.Sprint(err)
	if !errors.Is(err, inner) || len(text) > 510 || !strings.HasPrefix(text, "the \uFFFD[31mtoken\uFFFD\uFFFDTOKEN ää") || !strings.HasSuffix(text, "ä…") {
		t.Errorf("got %q", text)
	}
	if vantage.Tame(nil, "secret") != nil {
		t.Error("no error became one")
	}
	if got := vantage.Quote("a\n"+strings.Repeat("b", 100), strings.Repeat("b", 100)); got != `"a\nTOKEN"` {
		t.Error(got)
	}
	if got := vantage.Quote(strings.Repeat("a", 100), ""); got != `"`+strings.Repeat("a", 80)+`"…` {
		t.Error(got)
	}
}
