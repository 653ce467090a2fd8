package emailreply00

import (
	"crypto/sha256"
	"slices"
	"sync"
)

// maxSeen bounds what is remembered; the oldest is forgotten first.
const maxSeen = 10000

// A memory has the newest keys that were added to it.
type memory struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]bool
	order [][sha256.Size]byte
}

func (m *memory) has(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[sha256.Sum256([]byte(key))]
}

// add adds a key, and reports whether it was new.
func (m *memory) add(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	digest := sha256.Sum256([]byte(key))
	if m.known[digest] {
		return false
	}
	if m.known == nil {
		m.known = map[[sha256.Size]byte]bool{}
	}
	m.known[digest] = true
	if m.order = append(m.order, digest); len(m.order) > maxSeen {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	return true
}

func (m *memory) remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	digest := sha256.Sum256([]byte(key))
	delete(m.known, digest)
	m.order = slices.DeleteFunc(m.order, func(d [sha256.Size]byte) bool { return d == digest })
}
