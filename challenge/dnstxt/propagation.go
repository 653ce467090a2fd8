package dnstxt

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	defaultBudget   = 2 * time.Minute
	firstInterval   = 500 * time.Millisecond
	longestInterval = 10 * time.Second
	maxSilence      = 15 * time.Second // in which nobody answers
	downTime        = 30 * time.Second // for which a server that did not answer is left alone
)

// A Propagation says where records must be seen before the server is told to
// look for them. Its Wait is for the field Ready of a Solver. The zero value asks
// all servers of the zone, which is what CAs do, without the memory of a resolver
// in between. It is safe for concurrent use.
//
// Servers of the zone that do not answer, or do not know the zone, are passed
// over, as resolvers do, as long as one has the records.
type Propagation struct {
	// Resolver finds the zones and their servers. Nil: the system's.
	Resolver *Resolver

	// Recursive are resolvers that must see the records as well, when the zone's
	// servers have them: "1.1.1.1", say. One that gives no answer is passed over, as
	// long as another has the records. Mind that a resolver that was asked too early
	// remembers for minutes that there was nothing.
	Recursive []string

	// RecursiveOnly leaves the zone's servers out, where the network lets nobody
	// ask them. Without Recursive, the Resolver's are asked.
	RecursiveOnly bool

	// Budget is how long to wait, for all records together. Zero: 2 minutes. The
	// context may end it earlier.
	Budget time.Duration
}

// NoWait is for the field Ready of a Solver, where nothing is to be waited for.
func NoWait(context.Context, []Record) error { return nil }

// Delay returns a function for the field Ready of a Solver that waits for a fixed
// time, and does not look.
func Delay(d time.Duration) func(context.Context, []Record) error {
	return func(ctx context.Context, _ []Record) error { return pause(ctx, d) }
}

// Wait looks for the records, as often as it takes until all of them can be seen.
// It asks for each where the server will look, and follows aliases. An error that
// Is [ErrNotVisible] tells what was found instead, and at which server; one that
// Is [ErrNoAnswer], that there is nobody to ask.
func (p *Propagation) Wait(ctx context.Context, recs []Record) error {
	budget := p.Budget
	if budget <= 0 {
		budget = defaultBudget
	}
	ctx, cancel := context.WithTimeoutCause(ctx, budget, fmt.Errorf("%w after %v", ErrNotVisible, budget))
	defer cancel()
	return p.look(ctx, recs, (*watch).wait)
}

// Check looks for the records once.
func (p *Propagation) Check(ctx context.Context, recs []Record) error {
	return p.look(ctx, recs, func(w *watch, ctx context.Context, wishes []wish, look lookFunc) error {
		open := w.round(ctx, wishes, look)
		switch {
		case len(open) == 0:
			return nil
		case ctx.Err() != nil:
			return notVisible(context.Cause(ctx), open)
		case !slices.ContainsFunc(open, view.isAnswered):
			return notVisible(ErrNoAnswer, open)
		}
		return notVisible(ErrNotVisible, open)
	})
}

// look lets the zone's servers be asked, then the resolvers.
func (p *Propagation) look(ctx context.Context, recs []Record, ask func(*watch, context.Context, []wish, lookFunc) error) error {
	wishes, err := wishesOf(recs)
	if err != nil {
		return err
	}
	w := &watch{resolver: p.Resolver, recursive: addresses(p.Recursive), seen: make(map[place]bool), down: make(map[source]outage)}
	if w.resolver == nil {
		w.resolver = new(Resolver)
	}
	if !p.RecursiveOnly {
		if err := ask(w, ctx, wishes, w.lookAtZone); err != nil {
			return err
		}
	} else if len(w.recursive) == 0 {
		if w.recursive, err = w.resolver.resolvers(ctx); err != nil {
			return err
		}
	}
	if len(w.recursive) == 0 {
		return nil
	}
	return ask(w, ctx, wishes, w.lookAtResolvers)
}

// A wish is the values that are to be seen at a name.
type wish struct {
	name   string
	values []string
}

// wishesOf groups records by name.
func wishesOf(recs []Record) ([]wish, error) {
	recs, err := canonical(recs)
	if err != nil {
		return nil, err
	}
	index := make(map[string]int)
	var wishes []wish
	for _, r := range recs {
		i, ok := index[r.Name]
		if !ok {
			i = len(wishes)
			index[r.Name], wishes = i, append(wishes, wish{name: r.Name})
		}
		wishes[i].values = append(wishes[i].values, r.Value)
	}
	return wishes, nil
}

// missing returns the values that are not among those found.
func (w wish) missing(found []string) []string {
	return slices.DeleteFunc(slices.Clone(w.values), func(v string) bool { return slices.Contains(found, v) })
}

// A watch is what is known during one Wait.
type watch struct {
	resolver  *Resolver
	recursive []string

	mu   sync.Mutex
	seen map[place]bool    // where a wish was seen: not asked again
	down map[source]outage // who did not answer
}

type place struct{ server, owner, wish string }

// A source is a server, for all names or for one.
type source struct{ server, name string }

type outage struct {
	err   error
	until time.Time
}

// A lookFunc looks for a wish once.
type lookFunc func(context.Context, wish) view

// wait looks, at growing intervals, until there is nothing left to look for.
func (w *watch) wait(ctx context.Context, wishes []wish, look lookFunc) error {
	answered := time.Now()
	var last []view // of the last round that ctx did not cut short
	for interval := firstInterval; ; interval = min(interval*3/2, longestInterval) {
		open := w.round(ctx, wishes, look)
		if len(open) == 0 {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = open
		}
		switch {
		case slices.ContainsFunc(open, view.isAnswered):
			answered = time.Now()
		case time.Since(answered) > maxSilence:
			return notVisible(ErrNoAnswer, last)
		default:
			clear(w.down) // all get another chance
		}
		if err := pause(ctx, interval); err != nil {
			return notVisible(err, last)
		}
		wishes = wishes[:0:0]
		for _, v := range open {
			wishes = append(wishes, v.wish)
		}
	}
}

// round looks for each wish once, and returns what was seen of those that are not
// fulfilled.
func (w *watch) round(ctx context.Context, wishes []wish, look lookFunc) (open []view) {
	views := make([]view, len(wishes))
	_ = concurrently(ctx, len(wishes), func(i int) error {
		views[i] = look(ctx, wishes[i])
		return nil
	})
	for i, v := range views {
		if v.wish = wishes[i]; !v.isFulfilled() {
			open = append(open, v)
		}
	}
	return open
}

// pause waits, and returns why ctx has ended if it does.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
