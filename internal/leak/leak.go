// Package leak finds goroutines that tests leave behind.
package leak

import (
	"context"
	"runtime/pprof"
	"strings"
	"time"
)

// Goroutines counts the goroutines of the process by the functions they are in, but
// for the one that calls it.
func Goroutines() map[string]int {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	stacks := make(map[string]int)
	_, others, _ := strings.Cut(b.String(), "\n\n") // the caller is first
	for stack := range strings.SplitSeq(others, "\n\n") {
		var frames []string
		for line := range strings.Lines(stack) {
			if name, _, ok := strings.Cut(line, "("); ok && !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "goroutine ") {
				frames = append(frames, name)
			}
		}
		if frames != nil {
			stacks[strings.Join(frames, "\n")]++
		}
	}
	return stacks
}

// Wait waits until there are no more goroutines than before, and returns the
// stacks of those that are left when ctx ends. Those of net/http need a moment
// after their connections. Stacks that contain one of ignored do not count.
func Wait(ctx context.Context, before map[string]int, ignored ...string) []string {
	for {
		var left []string
		for stack, n := range Goroutines() {
			if n > before[stack] && !containsAny(stack, ignored) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func containsAny(s string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}
