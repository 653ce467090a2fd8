package leak_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/internal/leak"
)

func stay(started, end chan struct{}) {
	close(started)
	<-end
}

// It does not run beside tests that have goroutines of their own.
func TestWait(t *testing.T) {
	before := leak.Goroutines()
	started, end := make(chan struct{}), make(chan struct{})
	go stay(started, end)
	<-started
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if left := leak.Wait(ended, before); len(left) != 1 || !strings.Contains(left[0], "leak_test.stay") {
		t.Errorf("left: %q", left)
	}
	if left := leak.Wait(ended, before, "none such", "leak_test.stay"); left != nil {
		t.Errorf("ignored: %q", left)
	}
	close(end)
	patience, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if left := leak.Wait(patience, before); left != nil {
		t.Errorf("ended: %q", left)
	}
}
