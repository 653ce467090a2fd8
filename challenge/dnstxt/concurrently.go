package dnstxt

import (
	"context"
	"errors"
	"slices"
	"sync"
)

const concurrency = 16 // queries in flight, or provider calls

// concurrently calls f(0) … f(n-1), some at a time, and returns when all calls
// have, with their errors. When ctx has ended, no more are started.
func concurrently(ctx context.Context, n int, f func(i int) error) error {
	slots := make(chan struct{}, concurrency)
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // select chooses at random when both are ready
			errs[i] = context.Cause(ctx)
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// forEach calls f for each name, once, and returns the results by name.
func forEach(ctx context.Context, names []string, f func(context.Context, string) (string, error)) (map[string]string, error) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	found := make([]string, len(names))
	err := concurrently(ctx, len(names), func(i int) (err error) {
		found[i], err = f(ctx, names[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	results := make(map[string]string, len(names))
	for i, name := range names {
		results[name] = found[i]
	}
	return results, nil
}
