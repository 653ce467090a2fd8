// Package lease shares what is provisioned for a challenge among the orders that
// want it at a time: two orders may share an authorization, and so a challenge.
package lease

import (
	"context"
	"sync"
)

// A Group has what is shared, by keys. The zero value is ready to use, for any
// number of goroutines; it must not be copied after first use.
type Group struct {
	mu     sync.Mutex
	leases map[string]*lease
}

// A lease is what is shared under a key.
type lease struct {
	turn    chan struct{} // of capacity 1: full while somebody provides, takes or returns, and until a failure is undone
	users   int           // who have it or wait for it, under Group.mu
	holders int           // who have it, in their turn
	release func(context.Context) error
}

// Acquire calls provide, unless what that provides for the key is there already,
// and returns a function that gives it up. The last one to do so calls the release
// that provide returned, if there is one. Calls for a key take turns: who wants
// what another one provides, or releases, waits for that, until ctx ends.
//
// If provide fails, its release comes back with its error, and the next caller
// tries again when that has been called: what is there half way is taken away
// first. What is returned must be called once if it is not nil; it does not wait
// for others.
func (g *Group) Acquire(ctx context.Context, key string, provide func(context.Context) (release func(context.Context) error, err error)) (func(context.Context) error, error) {
	l := g.join(key)
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		g.leave(key, l)
		return nil, context.Cause(ctx)
	}
	if ctx.Err() != nil { // select chooses at random when both are ready
		return g.undo(key, l, nil), context.Cause(ctx)
	}
	if l.holders == 0 {
		release, err := provide(ctx)
		if err != nil {
			return g.undo(key, l, release), err
		}
		l.release = release
	}
	l.holders++
	<-l.turn
	return func(ctx context.Context) error { return g.giveUp(ctx, key, l) }, nil
}

// undo ends the turn of who failed to provide: at once if there is nothing to
// release.
func (g *Group) undo(key string, l *lease, release func(context.Context) error) func(context.Context) error {
	end := func() {
		<-l.turn
		g.leave(key, l)
	}
	if release == nil {
		end()
		return nil
	}
	return func(ctx context.Context) error {
		defer end()
		return release(ctx)
	}
}

// giveUp waits for no long: while there is a holder, nobody provides or releases.
func (g *Group) giveUp(ctx context.Context, key string, l *lease) (err error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	defer g.leave(key, l)
	if l.holders--; l.holders == 0 && l.release != nil {
		err = l.release(ctx)
	}
	return err
}

func (g *Group) join(key string) *lease {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.leases[key]
	if l == nil {
		if g.leases == nil {
			g.leases = map[string]*lease{}
		}
		l = &lease{turn: make(chan struct{}, 1)}
		g.leases[key] = l
	}
	l.users++
	return l
}

func (g *Group) leave(key string, l *lease) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(g.leases, key)
	}
}
