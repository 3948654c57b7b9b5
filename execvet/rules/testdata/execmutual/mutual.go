package execmutual

import (
	"context"
	"sync"

	"github.com/seed-97bda89a/executor"
)

type counters struct {
	mu sync.Mutex
	n  map[string]int
}

func lock(ctx context.Context, c *counters) error {
	e, err := executor.New(executor.WithName("state"), executor.WithSlots(1))
	if err != nil {
		return err
	}
	for range 10 {
		_ = e.Go(ctx, func(context.Context) {
			c.n["x"]++ // want `WithSlots\(1\) does not protect c.n\["x"\]`
		})
		_ = e.Go(ctx, func(context.Context) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.n["x"]++
		})
	}
	return e.Shutdown(ctx)
}

func result(ctx context.Context) (sum int, err error) {
	e, err := executor.New(executor.WithSlots(1))
	if err != nil {
		return 0, err
	}
	err = e.Go(ctx, func(context.Context) { sum = 1 }) // set once, and read after the end
	return sum, err
}

func more(ctx context.Context, c *counters) error {
	e, err := executor.New(executor.WithSlots(2))
	if err != nil {
		return err
	}
	return e.Go(ctx, func(context.Context) { c.n["x"]++ }) // the race detector's business
}
