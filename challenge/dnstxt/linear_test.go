package dnstxt_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// A sink is a provider that does nothing.
type sink struct{}

func (sink) Append(context.Context, []dnstxt.Record) (dnstxt.Remove, error) {
	return func(context.Context, []dnstxt.Record) error { return nil }, nil
}

// TestLinear: what an order costs grows with its size, and not with the orders
// that are under way besides. It counts allocations, which does not depend on how
// busy the machine is.
func TestLinear(t *testing.T) {
	batch := func(n int, format string) []dnstxt.Record {
		recs := make([]dnstxt.Record, n)
		for i := range recs {
			recs[i] = dnstxt.Record{Name: fmt.Sprintf(format, i), Value: "a"}
		}
		return recs
	}
	var set dnstxt.Set
	cost := func(recs []dnstxt.Record) float64 {
		return testing.AllocsPerRun(3, func() {
			cleanup, err := set.Publish(t.Context(), dnstxt.Publication{Provider: sink{}, Ready: dnstxt.NoWait}, recs)
			if err == nil {
				err = cleanup(t.Context())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	small, large := batch(50, "n%d.example.com."), batch(400, "n%d.example.com.")
	of50, of400 := cost(small), cost(large)
	if of400 > 9*of50 {
		t.Errorf("%v allocations for 400 records, %v for 50", of400, of50)
	}
	if _, err := set.Append(t.Context(), sink{}, batch(5000, "pending%d.example.com.")); err != nil {
		t.Fatal(err)
	}
	if again := cost(small); again > of50*1.1 {
		t.Errorf("%v allocations for 50 records while there are 5000, %v before", again, of50)
	}
}
