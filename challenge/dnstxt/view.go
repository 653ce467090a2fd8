package dnstxt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A view is what was seen of a wish in one round.
type view struct {
	wish     wish
	seen     int       // servers that have all values
	findings []finding // of the others
}

// A finding is what a server said, or why it did not.
type finding struct {
	server string
	owner  string   // of the values
	values []string // that are there
	err    error    // there is no answer, or aliases that lead nowhere
}

// isAnswer reports whether the server has said what is, or is not, there.
func (f finding) isAnswer() bool { return f.err == nil || errors.Is(f.err, ErrAlias) }

// isFulfilled reports whether a server has what is wished for, and no other
// server says otherwise.
func (v view) isFulfilled() bool {
	return v.seen > 0 && !slices.ContainsFunc(v.findings, finding.isAnswer)
}

// isAnswered reports whether there was an answer at all.
func (v view) isAnswered() bool {
	return v.seen > 0 || slices.ContainsFunc(v.findings, finding.isAnswer)
}

func (v *view) add(other view) {
	v.seen += other.seen
	v.findings = append(v.findings, other.findings...)
}

// lookAtResolvers looks for a wish at each of the resolvers.
func (w *watch) lookAtResolvers(ctx context.Context, wanted wish) view {
	return w.lookAt(ctx, len(w.recursive), func(i int) view {
		v, _ := w.ask(ctx, wanted, w.recursive[i], w.recursive[i:i+1], question{wanted.name, dnsmessage.TypeTXT, true})
		return v
	})
}

// lookAtZone looks for a wish at the servers of its zone, or where these say that
// it is an alias of.
func (w *watch) lookAtZone(ctx context.Context, wanted wish) view {
	var all view
	visited := map[string]bool{wanted.name: true}
	for todo := []string{wanted.name}; len(todo) > 0; todo = todo[1:] {
		v, aliases := w.lookAtOwner(ctx, wanted, todo[0])
		all.add(v)
		for _, target := range aliases {
			if visited[target] || len(visited) > maxHops {
				all.findings = append(all.findings, finding{owner: todo[0], err: fmt.Errorf("%w: a loop, or more than %d", ErrAlias, maxHops)})
				continue
			}
			visited[target] = true
			todo = append(todo, target)
		}
	}
	return all
}

// lookAtOwner looks for a wish at the servers of the zone of a name: its own, or
// one that it is an alias of. It returns also of what that is an alias.
func (w *watch) lookAtOwner(ctx context.Context, wanted wish, owner string) (v view, aliases []string) {
	fail := func(err error) (view, []string) { return view{findings: []finding{{owner: owner, err: err}}}, nil }
	zone, err := w.resolver.Zone(ctx, owner)
	if err != nil {
		return fail(err)
	}
	servers, err := w.resolver.authorities(ctx, zone)
	if err != nil {
		return fail(err)
	}
	var mu sync.Mutex
	v = w.lookAt(ctx, len(servers), func(i int) view {
		s := servers[i]
		if s.err != nil {
			return view{findings: []finding{{server: s.name, owner: owner, err: s.err}}}
		}
		v, alias := w.ask(ctx, wanted, s.name, s.addresses, question{owner, dnsmessage.TypeTXT, false})
		mu.Lock()
		defer mu.Unlock()
		if alias != "" && !slices.Contains(aliases, alias) {
			aliases = append(aliases, alias)
		}
		return v
	})
	return v, aliases
}

// lookAt collects what servers say, in their order.
func (w *watch) lookAt(ctx context.Context, servers int, look func(i int) view) view {
	views := make([]view, servers)
	_ = concurrently(ctx, servers, func(i int) error {
		views[i] = look(i)
		return nil
	})
	var all view
	for _, v := range views {
		all.add(v)
	}
	return all
}

// ask asks one server for a wish. If the owner is an alias of a name that the
// server says nothing about, that is returned, and no finding.
func (w *watch) ask(ctx context.Context, wanted wish, server string, addresses []string, q question) (v view, alias string) {
	at := place{server, q.name, wanted.name}
	if w.isSeen(at) {
		return view{seen: 1}, ""
	}
	f := finding{server: server, owner: q.name}
	a, err := w.answer(ctx, server, addresses, q)
	if err == nil {
		f.owner, _, err = a.chase(q.name)
	}
	if err != nil {
		f.owner, f.err = q.name, err
		return view{findings: []finding{f}}, ""
	}
	f.values = a.texts(f.owner)
	switch {
	case len(wanted.missing(f.values)) == 0:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[at] = true
		return view{seen: 1}, ""
	case f.owner != q.name && len(f.values) == 0 && !q.recursive:
		return view{}, f.owner
	}
	return view{findings: []finding{f}}, ""
}

func (w *watch) isSeen(at place) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[at]
}

// answer gets a server's answer, unless it did not give one a moment ago: to
// anything, or to the same question, if what it said was of no use.
func (w *watch) answer(ctx context.Context, server string, addresses []string, q question) (*answer, error) {
	silent, useless := source{server: server}, source{server, q.name}
	for _, from := range []source{silent, useless} {
		w.mu.Lock()
		out := w.down[from]
		w.mu.Unlock()
		if time.Now().Before(out.until) {
			return nil, out.err
		}
	}
	within, cancel := context.WithTimeoutCause(ctx, 2*udpTries*w.resolver.timeout(), fmt.Errorf("%s: no answer", server))
	defer cancel()
	a, err := w.resolver.askAny(within, addresses, q)
	if err != nil && ctx.Err() == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if errors.Is(err, errUseless) {
			silent = useless
		}
		w.down[silent] = outage{err, time.Now().Add(downTime)}
	}
	return a, err
}

// notVisible tells what was seen in the last round.
func notVisible(reason error, open []view) error {
	const limit = 4
	var parts []string
	for i, v := range open {
		if i == limit {
			parts = append(parts, strconv.Itoa(len(open)-limit)+" more names")
			break
		}
		parts = append(parts, v.String())
	}
	return fmt.Errorf("%w: %s", reason, strings.Join(parts, "; "))
}

// String says what is wished for and what was found.
func (v view) String() string {
	const limit = 6
	var parts []string
	for i, f := range v.findings {
		if i == limit {
			parts = append(parts, strconv.Itoa(len(v.findings)-limit)+" more")
			break
		}
		parts = append(parts, f.text(v.wish.name))
	}
	if len(parts) == 0 {
		parts = []string{"no server was asked"}
	}
	return fmt.Sprintf("%s should have TXT %s, but %s", v.wish.name, quoteAll(v.wish.values), strings.Join(parts, ", "))
}

func (f finding) text(name string) string {
	at := ""
	if f.owner != name {
		at = " at " + quote(f.owner) + ", which it is an alias of"
	}
	server := f.server
	if server == "" {
		server = "it"
	}
	switch {
	case f.err != nil:
		return fmt.Sprintf("%s gives no answer%s (%v)", server, at, f.err)
	case len(f.values) == 0:
		return fmt.Sprintf("%s has none%s", server, at)
	}
	return fmt.Sprintf("%s has %s%s", server, quoteAll(f.values), at)
}
