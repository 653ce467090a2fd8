package dnstxt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// wait waits for records in a world, and returns how long it took.
func wait(t *testing.T, p *dnstxt.Propagation, recs ...dnstxt.Record) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	err := p.Wait(t.Context(), recs)
	return time.Since(began), err
}

// later changes a world after a time.
func later(d time.Duration, f func()) { time.AfterFunc(d, f) }

// refersUpwards is a server that does not have the zone.
func refersUpwards(_ string, query []byte) [][]byte {
	return reply(query, func(_ *dnsmessage.Header, b *dnsmessage.Builder, _ dnsmessage.Question) {
		_ = b.StartAuthorities()
		_ = b.NSResource(resource(".", dnsmessage.TypeNS), dnsmessage.NSResource{NS: dnsmessage.MustNewName("a.root-servers.net.")})
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	apexAndWildcard := records("a", "b")
	for _, tt := range []struct {
		name  string
		setUp func(w *world, p *dnstxt.Propagation)
		after time.Duration // at the earliest
		until time.Duration // at the latest
		err   error
		says  []string
	}{
		{
			name: "at once", until: 0,
			setUp: func(w *world, _ *dnstxt.Propagation) { w.set(w.zones["example.com."], name, "b", "foreign", "a") },
		},
		{
			name: "one value later", after: 5 * time.Second, until: 9 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a")
				later(5*time.Second, func() { w.set(w.zones["example.com."], name, "a", "b") })
			},
		},
		{
			name: "a secondary that is late", after: 20 * time.Second, until: 31 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				old := newWorld()
				old.add("example.com.")
				w.servers["192.0.2.2:53"] = old.authoritative(old.zones["example.com."])
				later(20*time.Second, func() { old.set(old.zones["example.com."], name, "a", "b") })
			},
		},
		{
			name: "a secondary that stays late", after: 2 * time.Minute, until: 2 * time.Minute, err: dnstxt.ErrNotVisible,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				old := newWorld()
				old.add("example.com.").txt[name] = []string{"a", "old"}
				w.servers["192.0.2.2:53"] = old.authoritative(old.zones["example.com."])
			},
			says: []string{name + ` should have TXT "a", "b", but ns2.example.com. has "a", "old"`, "after 2m0s"},
		},
		{
			name: "a budget", after: 3 * time.Second, until: 3 * time.Second, err: dnstxt.ErrNotVisible,
			setUp: func(_ *world, p *dnstxt.Propagation) { p.Budget = 3 * time.Second },
			says:  []string{"after 3s", "ns1.example.com. has none", "ns2.example.com. has none"},
		},
		{
			name: "a server that never answers", until: 15 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				w.servers["192.0.2.2:53"] = silent
			},
		},
		{
			name: "a lame server", until: 0,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				w.servers["192.0.2.2:53"] = refusing(dnsmessage.RCodeRefused)
			},
		},
		{
			name: "a lame server that refers upwards", until: 0,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				w.servers["192.0.2.2:53"] = refersUpwards
			},
		},
		{
			name: "a server without an address", until: 0,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				delete(w.zones["example.com."].hosts, "ns2.example.com.")
			},
		},
		{
			name: "a silent server does not slow the others down", after: 40 * time.Second, until: 70 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.servers["192.0.2.2:53"] = silent
				later(40*time.Second, func() { w.set(w.zones["example.com."], name, "a", "b") })
			},
		},
		{
			name: "nobody answers", until: 45 * time.Second, err: dnstxt.ErrNoAnswer,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.servers["192.0.2.1:53"], w.servers["192.0.2.2:53"] = silent, silent
			},
			says: []string{"ns1.example.com. gives no answer", "192.0.2.1:53: no answer within 3s over udp"},
		},
		{
			name: "nobody answers for a while", after: 10 * time.Second, until: 30 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				up := w.servers["192.0.2.1:53"]
				w.serve(silent, "192.0.2.1:53", "192.0.2.2:53")
				later(10*time.Second, func() { w.serve(up, "192.0.2.1:53", "192.0.2.2:53") })
			},
		},
		{
			name: "nobody answers for a while, after they did", after: 30 * time.Second, until: 50 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				up := w.servers["192.0.2.1:53"]
				later(20*time.Second, func() { w.serve(silent, "192.0.2.1:53", "192.0.2.2:53") })
				later(30*time.Second, func() {
					w.set(w.zones["example.com."], name, "a", "b")
					w.serve(up, "192.0.2.1:53", "192.0.2.2:53")
				})
			},
		},
		{
			name: "the end of the budget in the middle of a round", after: 5 * time.Second, until: 5 * time.Second, err: dnstxt.ErrNotVisible,
			setUp: func(w *world, p *dnstxt.Propagation) {
				p.Budget = 5 * time.Second
				later(3*time.Second, func() { w.serve(silent, "192.0.2.1:53", "192.0.2.2:53") })
			},
			says: []string{"ns1.example.com. has none"},
		},
		{
			name: "no servers", after: 15 * time.Second, until: 25 * time.Second, err: dnstxt.ErrNoAnswer,
			setUp: func(w *world, _ *dnstxt.Propagation) { w.zones["example.com."].ns = nil },
			says:  []string{"example.com. has no NS records"},
		},
		{
			name: "an alias to another zone", after: 4 * time.Second, until: 6 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.zones["example.com."].aliases[name] = "txt.example.net."
				later(4*time.Second, func() { w.set(w.add("example.net.", "192.0.2.9"), "txt.example.net.", "a", "b") })
			},
		},
		{
			name: "an alias that leads elsewhere", after: 2 * time.Minute, until: 2 * time.Minute, err: dnstxt.ErrNotVisible,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.zones["example.com."].aliases[name] = "txt.example.net."
				w.set(w.add("example.net.", "192.0.2.9"), "txt.example.net.", "c")
			},
			says: []string{`ns1.example.net. has "c" at "txt.example.net.", which it is an alias of`},
		},
		{
			name: "an alias within the zone", until: 0,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.zones["example.com."].aliases[name] = "x.example.com."
				w.set(w.zones["example.com."], "x.example.com.", "a", "b")
			},
		},
		{
			name: "a loop of aliases", after: 2 * time.Minute, until: 2 * time.Minute, err: dnstxt.ErrNotVisible,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.zones["example.com."].aliases[name] = "a.example.net."
				w.add("example.net.", "192.0.2.9").aliases["a.example.net."] = name
			},
			says: []string{"aliases (CNAME) that lead nowhere"},
		},
		{
			name: "the alias of a wildcard until the record is there", after: 3 * time.Second, until: 5 * time.Second,
			setUp: func(w *world, _ *dnstxt.Propagation) {
				w.zones["example.com."].aliases["*.example.com."] = "cdn.example.net."
				w.add("example.net.", "192.0.2.9")
				later(3*time.Second, func() { w.set(w.zones["example.com."], name, "a", "b") })
			},
		},
		{
			name: "resolvers later than the zone", after: 9 * time.Second, until: 14 * time.Second,
			setUp: func(w *world, p *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				old := newWorld()
				old.add("example.com.")
				w.servers["192.0.2.99:53"] = old.resolve
				p.Recursive = []string{"192.0.2.99"}
				later(9*time.Second, func() { old.set(old.zones["example.com."], name, "a", "b") })
			},
		},
		{
			name: "a resolver that stays behind", after: 2 * time.Minute, until: 2 * time.Minute, err: dnstxt.ErrNotVisible,
			setUp: func(w *world, p *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				old := newWorld()
				old.add("example.com.")
				w.servers["192.0.2.99:53"] = old.resolve
				p.Recursive = []string{"192.0.2.99"}
			},
			says: []string{"192.0.2.99:53 has none"},
		},
		{
			name: "a resolver that gives no answer", until: 0,
			setUp: func(w *world, p *dnstxt.Propagation) {
				w.set(w.zones["example.com."], name, "a", "b")
				w.servers["192.0.2.99:53"] = refusing(dnsmessage.RCodeServerFailure)
				p.Recursive = []string{"192.0.2.99", "192.0.2.53"}
			},
		},
		{
			name: "resolvers only", after: 2 * time.Second, until: 4 * time.Second,
			setUp: func(w *world, p *dnstxt.Propagation) {
				w.servers["192.0.2.1:53"], w.servers["192.0.2.2:53"] = silent, silent
				p.RecursiveOnly = true
				w.zones["example.com."].aliases[name] = "txt.example.net."
				later(2*time.Second, func() { w.set(w.add("example.net.", "192.0.2.9"), "txt.example.net.", "a", "b") })
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.add("example.com.", "192.0.2.1", "192.0.2.2")
				p := &dnstxt.Propagation{Resolver: w.resolver()}
				tt.setUp(w, p)
				took, err := wait(t, p, apexAndWildcard...)
				if !errors.Is(err, tt.err) || took < tt.after || took > tt.until {
					t.Errorf("%v after %v", err, took)
				}
				contains(t, err, tt.says...)
			})
		})
	}
}

// A hundred names in one wait: each server is asked once for each name, and what
// it has is not asked for again.
func TestWaitForHundredNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		z := w.add("example.com.", "192.0.2.1", "192.0.2.2")
		var recs []dnstxt.Record
		for i := range 100 {
			recs = append(recs, dnstxt.Record{Name: fmt.Sprintf("_acme-challenge.n%d.example.com.", i), Value: "a"})
			if i != 17 {
				w.set(z, recs[i].Name, "a")
			}
		}
		later(time.Second, func() { w.set(z, recs[17].Name, "a") })
		p := &dnstxt.Propagation{Resolver: w.resolver()}
		took, err := wait(t, p, recs...)
		if err != nil || took > 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if n := w.count("192.0.2.1:53"); n > 104 {
			t.Errorf("%d queries to a server, want hardly more than 100", n)
		}
		w.set(z, recs[3].Name)
		w.set(z, recs[40].Name, "b")
		if err = p.Check(t.Context(), recs); !errors.Is(err, dnstxt.ErrNotVisible) {
			t.Error(err)
		}
		contains(t, err, recs[3].Name+` should have TXT "a", but ns1.example.com. has none`, recs[40].Name+` should have TXT "a", but ns1.example.com. has "b"`)
		if n := w.count("192.0.2.1:53"); n > 205 {
			t.Errorf("%d queries to a server: a check looks once", n)
		}
	})
}

// While one server is late, those that have the records are not asked again, and
// one that does not answer hardly.
func TestWaitAsksNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(w.add("example.com.", "192.0.2.1", "192.0.2.2", "192.0.2.3"), name, "a")
		old := newWorld()
		old.add("example.com.")
		w.serve(old.authoritative(old.zones["example.com."]), "192.0.2.2:53")
		w.serve(silent, "192.0.2.3:53")
		later(time.Minute, func() { old.set(old.zones["example.com."], name, "a") })
		p := &dnstxt.Propagation{Resolver: w.resolver()}
		if took, err := wait(t, p, records("a")...); err != nil || took < time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		if ready, late, silent := w.count("192.0.2.1:53"), w.count("192.0.2.2:53"), w.count("192.0.2.3:53"); ready != 1 || late < 6 || silent > 6 {
			t.Errorf("queries: %d to the one that has the record, %d to the one that is late, %d to the silent one", ready, late, silent)
		}
	})
}

// A server that is of no use for one zone is asked for another one.
func TestLameServerOfAnotherZone(t *testing.T) {
	t.Parallel()
	for label, lame := range map[string]func(string, []byte) [][]byte{"refuses": refusing(dnsmessage.RCodeRefused), "refers upwards": refersUpwards} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				a, b := w.add("a.example.", "192.0.2.11", "192.0.2.12"), w.add("b.example.", "192.0.2.21", "192.0.2.22")
				shared := w.add("shared.example.", "192.0.2.1")
				a.ns[0], b.ns[0] = shared.ns[0], shared.ns[0]
				recs := []dnstxt.Record{{Name: "_acme-challenge.a.example.", Value: "a"}, {Name: "_acme-challenge.b.example.", Value: "b"}}
				w.set(a, recs[0].Name, "a")
				w.set(b, recs[1].Name, "b")
				old := newWorld()
				old.add("b.example.")
				late := old.authoritative(old.zones["b.example."])
				w.serve(func(network string, query []byte) [][]byte {
					if bytes.Contains(query, []byte("\x01a\x07example")) {
						return lame(network, query)
					}
					<-time.After(time.Millisecond) // the first is known to be lame by now
					return late(network, query)
				}, "192.0.2.1:53")
				later(10*time.Second, func() { old.set(old.zones["b.example."], recs[1].Name, "b") })
				if took, err := wait(t, &dnstxt.Propagation{Resolver: w.resolver()}, recs...); err != nil || took < 10*time.Second {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set(w.add("example.com.", "192.0.2.1"), name, "a")
		p := &dnstxt.Propagation{Resolver: w.resolver()}
		if err := p.Check(t.Context(), records("a")); err != nil {
			t.Error(err)
		}
		if err := p.Check(ended(t), records("a")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := p.Check(t.Context(), []dnstxt.Record{{Name: "*"}}); !errors.Is(err, dnstxt.ErrInvalidName) {
			t.Error(err)
		}
		w.servers["192.0.2.1:53"] = refusing(dnsmessage.RCodeServerFailure)
		if err := p.Check(t.Context(), records("a")); !errors.Is(err, dnstxt.ErrNoAnswer) {
			t.Error(err)
		}
	})
}

// A name server whose address could not be found is looked for again.
func TestAddressIsLookedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		z := w.add("example.com.", "192.0.2.1")
		w.set(z, name, "a")
		delete(z.hosts, "ns1.example.com.")
		p := &dnstxt.Propagation{Resolver: w.resolver()}
		err := p.Check(t.Context(), records("a"))
		if !errors.Is(err, dnstxt.ErrNoAnswer) {
			t.Error(err)
		}
		contains(t, err, "ns1.example.com. has no address")
		z.hosts["ns1.example.com."] = "192.0.2.1"
		if err := p.Check(t.Context(), records("a")); err != nil {
			t.Error(err)
		}
	})
}

// The context ends a wait, and its cause is told beside what was found.
func TestWaitCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.add("example.com.", "192.0.2.1")
		p := &dnstxt.Propagation{Resolver: w.resolver()}
		reason := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 7*time.Second, reason)
		defer cancel()
		began := time.Now()
		err := p.Wait(ctx, records("a"))
		if took := time.Since(began); !errors.Is(err, reason) || took != 7*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		contains(t, err, "ns1.example.com. has none")
		began = time.Now()
		if err := dnstxt.Delay(time.Minute)(t.Context(), nil); err != nil || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := dnstxt.Delay(time.Minute)(ctx, nil); !errors.Is(err, reason) {
			t.Error(err)
		}
	})
}
