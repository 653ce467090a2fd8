package stepca_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-aa0b9f56/acme/internal/leak"
)

// TestMain fails when the tests leave a goroutine behind.
func TestMain(m *testing.M) {
	before := leak.Goroutines()
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if left := leak.Wait(ctx, before); left != nil {
		fmt.Fprintf(os.Stderr, "%d goroutines left:\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = max(code, 1)
	}
	os.Exit(code)
}
