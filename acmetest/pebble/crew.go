package pebble

import "sync"

// A crew is the goroutines that Close waits for. Unlike a bare WaitGroup it
// can be joined while somebody waits: whoever comes too late is turned away.
type crew struct {
	mu        sync.Mutex
	dismissed bool
	members   sync.WaitGroup
}

// join counts the caller in, unless the crew is dismissed. Call leave later.
func (c *crew) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed {
		return false
	}
	c.members.Add(1)
	return true
}

func (c *crew) leave() { c.members.Done() }

// run calls f on a goroutine of the crew, unless the crew is dismissed.
func (c *crew) run(f func()) {
	if !c.join() {
		return
	}
	go func() {
		defer c.leave()
		f()
	}()
}

// dismiss lets nobody join any more. The channel is closed when all have left.
func (c *crew) dismiss() <-chan struct{} {
	c.mu.Lock()
	c.dismissed = true
	c.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		c.members.Wait()
		close(gone)
	}()
	return gone
}
