package stresstest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// unitsUntilAwake makes every processor run tasks that call unit over and over, wakes a goroutine from one of them, and
// returns how many units end until it runs: the median of several tries, since others want processors too.
// Without anybody's help it takes the runtime 10 ms to 20 ms.
func unitsUntilAwake(t *testing.T, run func(e *executor.Executor, unit func())) int64 {
	const procs = 2
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	e := bare(t, procs)
	var tries []int64
	for range 11 {
		var units, before, after atomic.Int64
		bell := make(chan struct{})
		var sleeper sync.WaitGroup
		sleeper.Go(func() {
			<-bell
			after.Store(units.Load())
		})
		run(e, func() {
			spin(100 * time.Microsecond)
			if n := units.Add(1); n == 40 {
				before.Store(n)
				close(bell)
			}
		})
		sleeper.Wait()
		quiet(t, e)
		tries = append(tries, after.Load()-before.Load())
	}
	slices.Sort(tries)
	t.Log("units of 100 µs until the goroutine ran: ", tries)
	return tries[len(tries)/2]
}

// wakeLimit is in units of 100 µs on two processors: half of what it takes without help.
const wakeLimit = 100

// Mutant: a runner never gives its processor up between tasks.
func TestProcessor_BetweenTasksOthersRun(t *testing.T) {
	require.Less(t, unitsUntilAwake(t, func(e *executor.Executor, unit func()) {
		for range 600 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) { unit() }))
		}
	}), int64(wakeLimit))
}

// Mutant: Checkpoint gives way to tasks only.
func TestProcessor_AtCheckpointsOthersRun(t *testing.T) {
	require.Less(t, unitsUntilAwake(t, func(e *executor.Executor, unit func()) {
		for range 2 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				for range 300 {
					unit()
					if executor.Checkpoint(ctx) != nil {
						return
					}
				}
			}))
		}
	}), int64(wakeLimit))
}

// Mutant: the chunks of a loop follow one another without a pause.
func TestProcessor_BetweenChunksOfALoopOthersRun(t *testing.T) {
	require.Less(t, unitsUntilAwake(t, func(e *executor.Executor, unit func()) {
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			_ = executor.For(ctx, e, 600, func(context.Context, int) error { unit(); return nil })
		}))
	}), int64(wakeLimit))
}

// Mutant: a task that runs what it waits for in place goes on and on.
func TestProcessor_WhileATaskRunsItsGroupOthersRun(t *testing.T) {
	require.Less(t, unitsUntilAwake(t, func(e *executor.Executor, unit func()) {
		for range 2 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				g := e.NewGroup(ctx)
				for range 250 {
					g.Go(func(context.Context) error { unit(); return nil })
				}
				_ = g.Wait()
			}))
		}
	}), int64(wakeLimit))
}

// One producer and as many slots as processors: it is to go on before the queue is empty, or each filling ends with
// the runners asleep. Mutant: submitters that have been woken wait until a runner parks.
func TestProcessor_SubmittersGoOnBeforeTheQueueIsEmpty(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const limit, fillings = 64, 500
	e := bare(t, 1, executor.WithQueueLimit(limit))
	for range limit * fillings {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	}
	require.Less(t, quiet(t, e).Parks, uint64(fillings/2))
}
