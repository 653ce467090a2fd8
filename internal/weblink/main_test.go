package weblink_test

import (
	"testing"

	"github.com/seed-aa0b9f56/acme/internal/conformance"
)

func TestMain(m *testing.M) { conformance.Main(m) }
