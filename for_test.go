package executor_test

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// What the documents say: a panic in a call is the loop's error, and the part of the range that it belongs
// to completes all the same.
func TestFor_PanicsAreNotCountedAsPanickedTasks(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2))
	loop := func(ctx context.Context) error {
		return executor.For(ctx, e, 100, func(_ context.Context, i int) error {
			if i == 50 {
				panic("fifty")
			}
			return nil
		})
	}
	var p *executor.PanicError
	require.ErrorAs(t, loop(context.Background()), &p)
	require.ErrorAs(t, inTask(t, e, loop), &p)
	require.Zero(t, quiet(t, e).Panicked)
}

// Mutant: what is split off before a body blocks is run on top of the loop that split it, one frame deeper
// for each index: the stack overflows.
func TestFor_BlockingBodiesDoNotNest(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	for _, spares := range []int{0, 2} {
		e, err := executor.New(executor.WithSlots(1), executor.WithMaxSpares(spares))
		require.NoError(t, err)
		const n = 20_000
		var ran, accepted atomic.Int64
		require.NoError(t, executor.For(context.Background(), e, n, func(ctx context.Context, i int) error {
			if i%2 == 0 { // a child on top of the half that was split off
				if e.Go(ctx, func(context.Context) { ran.Add(1) }) == nil {
					accepted.Add(1)
				}
			}
			executor.Blocking(ctx, func() { ran.Add(1) })
			return nil
		}))
		require.NoError(t, e.Shutdown(context.Background()))
		require.Equal(t, n+accepted.Load(), ran.Load())
	}
}

// Mutant: a range is split only between bodies, so a body that blocks keeps the rest of its range.
func TestFor_BlockingBodiesOverlap(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2), executor.WithMaxSpares(100))
	require.NoError(t, err)
	const n = 100
	var here atomic.Int64
	all := make(chan struct{})
	require.NoError(t, executor.For(context.Background(), e, n, func(ctx context.Context, _ int) error {
		executor.Blocking(ctx, func() {
			if here.Add(1) == n {
				close(all)
			}
			<-all
		})
		return nil
	}))
	require.NoError(t, e.Close())
}
