package pebble

import "sync"

// A gate keeps requests away from each other and from those steps of Pebble's
// background goroutines that would deadlock with them. One request at a time
// passes, or any number of background steps. Background goes first: it waits
// only for the request that is inside, never for one that wants in.
type gate struct {
	turn sync.Mutex // held by the request that is inside, or first in the queue

	mu         sync.Mutex
	changed    *sync.Cond
	request    bool // a request is inside
	background int  // background steps inside
	waiting    int  // background steps outside
	closed     bool
}

func newGate() *gate {
	g := new(gate)
	g.changed = sync.NewCond(&g.mu)
	return g
}

// enter lets a request in. It returns false when the gate is closed.
func (g *gate) enter() bool {
	g.turn.Lock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.closed && (g.background > 0 || g.waiting > 0) {
		g.changed.Wait()
	}
	if g.closed {
		g.turn.Unlock()
		return false
	}
	g.request = true
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	g.request = false
	g.changed.Broadcast()
	g.mu.Unlock()
	g.turn.Unlock()
}

// enterBackground lets a background step in. It returns false when the gate
// is closed, which lets it go on, too: the last request has left then.
func (g *gate) enterBackground() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
	for g.request {
		g.changed.Wait()
	}
	g.waiting--
	if g.closed {
		return false
	}
	g.background++
	return true
}

func (g *gate) leaveBackground() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.background--
	g.changed.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.changed.Broadcast()
}
