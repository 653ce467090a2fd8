package dnstxt

import (
	"context"
	"errors"
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
			errs[i] = context.Cause(ctx)
		}
		if errs[i] != nil {
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
