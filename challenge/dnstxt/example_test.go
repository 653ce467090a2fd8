package dnstxt_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-aa0b9f56/acme/challenge/dnstxt"
)

// An api stands for that of a DNS provider, which knows records by ids.
type api struct{ ids int }

func (a *api) create(r dnstxt.Record) (id int, err error) {
	a.ids++
	fmt.Printf("%d: %s %v TXT %q\n", a.ids, r.Name, r.TTL, r.Value)
	return a.ids, nil
}

func (a *api) remove(id int) error {
	fmt.Printf("%d is removed\n", id)
	return nil
}

// Append implements [dnstxt.Provider].
func (a *api) Append(_ context.Context, recs []dnstxt.Record) (dnstxt.Remove, error) {
	ids := make(map[dnstxt.Record]int)
	remove := func(_ context.Context, recs []dnstxt.Record) error {
		for _, r := range recs {
			if id, made := ids[r]; made {
				if err := a.remove(id); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, r := range recs {
		id, err := a.create(r)
		if err != nil {
			return remove, err // of what was made until then
		}
		ids[r] = id
	}
	return remove, nil
}

// A provider of one's own is one method. Here two orders share a record.
func ExampleProvider() {
	ctx := context.Background()
	var provider api
	var set dnstxt.Set
	record := dnstxt.Record{Name: "_acme-challenge.example.com.", Value: "digest", TTL: time.Minute}
	first, err := set.Append(ctx, &provider, []dnstxt.Record{record})
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := set.Append(ctx, &provider, []dnstxt.Record{record})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(first(ctx), "from the first cleanup")
	fmt.Println(second(ctx), "from the second")
	// Output:
	// 1: _acme-challenge.example.com. 1m0s TXT "digest"
	// <nil> from the first cleanup
	// 1 is removed
	// <nil> from the second
}
