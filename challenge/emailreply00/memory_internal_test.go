package emailreply00

import (
	"strconv"
	"testing"
)

// TestMemory: the oldest keys are forgotten, and nothing of what was removed is left.
func TestMemory(t *testing.T) {
	t.Parallel()
	var m memory
	if !m.add("x") || m.add("x") || !m.has("x") {
		t.Error("a key that was added")
	}
	m.remove("x")
	if m.has("x") || len(m.order)+len(m.known) != 0 {
		t.Error("a key that was removed")
	}
	for i := range maxSeen + 2 {
		m.add(strconv.Itoa(i))
	}
	if m.has("0") || m.has("1") || !m.has("2") || !m.has(strconv.Itoa(maxSeen+1)) || len(m.order) != maxSeen || len(m.known) != maxSeen {
		t.Errorf("%d and %d keys", len(m.order), len(m.known))
	}
}

// To look a mail up costs the same, however many were answered.
func TestMemoryAllocations(t *testing.T) {
	var few, many memory
	few.add("0")
	for i := range maxSeen {
		many.add(strconv.Itoa(i))
	}
	for _, key := range []string{"0", "unknown"} {
		cost := func(m *memory) float64 { return testing.AllocsPerRun(100, func() { m.has(key) }) }
		if one, all := cost(&few), cost(&many); one != 0 || all != 0 {
			t.Errorf("%v allocations with 1, %v with %d, for %q", one, all, maxSeen, key)
		}
	}
}
