package dnstxt_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-aa0b9f56/acme"
	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// Two names with one target are two records there, and each alias is asked for
// once.
func TestPublish(t *testing.T) {
	t.Parallel()
	p := new(memory)
	var set dnstxt.Set
	asked := make(chan string, 10)
	looked := 0
	ready := func(_ context.Context, recs []dnstxt.Record) error {
		looked = len(recs)
		return nil
	}
	how := dnstxt.Publication{Provider: p, Ready: ready, Alias: func(_ context.Context, name string) (string, error) {
		asked <- name
		return "Shared.example.net", nil
	}}
	cleanup, err := set.Publish(t.Context(), how, append(records("a", "b", "a"), dnstxt.Record{Name: "_acme-challenge.example.org", Value: "c"}))
	if err != nil || p.String() != "a b c" || len(asked) != 2 || looked != 3 {
		t.Fatalf("%v, %q, %d aliases asked for, %d records looked for", err, p, len(asked), looked)
	}
	for _, r := range p.records {
		if r.Name != "shared.example.net." {
			t.Errorf("written to %s", r.Name)
		}
	}
	if err := cleanup(t.Context()); err != nil || p.String() != "" {
		t.Errorf("%v, %q", err, p)
	}
}

// Without a Ready the servers of the zone are asked: here there are none to be
// found, because there is no DNS.
func TestPublishWaits(t *testing.T) {
	t.Parallel()
	p := new(memory)
	var set dnstxt.Set
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	cleanup, err := set.Publish(cancelled, dnstxt.Publication{Provider: p}, records("a"))
	if !errors.Is(err, context.Canceled) || cleanup == nil {
		t.Errorf("cleanup %t, error %v", cleanup != nil, err)
	}
}

// A record that is there and cannot be seen is a failed check, and is removed.
func TestPublishNotVisible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.add("example.com.", "192.0.2.1")
		p := new(memory)
		var set dnstxt.Set
		ready := (&dnstxt.Propagation{Resolver: w.resolver(), Budget: 5 * time.Second}).Wait
		cleanup, err := set.Publish(t.Context(), dnstxt.Publication{Provider: p, Ready: ready}, records("a"))
		if !errors.Is(err, acme.ErrCheckFailed) || !errors.Is(err, dnstxt.ErrNotVisible) {
			t.Error(err)
		}
		if err := cleanup(t.Context()); err != nil || p.String() != "" {
			t.Errorf("%v, %q", err, p)
		}
	})
}
