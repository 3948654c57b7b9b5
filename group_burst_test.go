package executor_test

import (
	"context"
	"sync"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// As users of errgroup do. Mutant: a submitter takes its permit before its place, so that those without a permit fill the
// queue while it waits for room.
func TestGroup_ManyGoroutinesStartTasksOfALimitedGroup(t *testing.T) {
	for _, limit := range []int{1, 2} {
		e := spared(t, 2, 4, executor.WithQueueLimit(2))
		for range scaled(3000) {
			g := e.NewGroup(context.Background())
			g.SetLimit(limit)
			within(t, "the group ends", func() {
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(func() {
						for range 3 {
							g.Go(func(context.Context) error { return nil })
						}
					})
				}
				wg.Wait()
				require.NoError(t, g.Wait())
			})
		}
	}
}
