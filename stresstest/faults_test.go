package stresstest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// 100,000 executors, a hundred at a time, all with the same name. Mutants: Close leaves its metrics registered.
func TestFaults_ManyExecutorsLeaveNothing(t *testing.T) {
	round := func(n int) {
		var makers sync.WaitGroup
		for range 4 {
			makers.Go(func() {
				var live []*executor.Executor
				for i := range n / 4 {
					opts := []executor.Option{executor.WithName("one of many"), executor.WithSlots(1 + i%3)}
					if i%100 == 0 {
						opts = opts[:1] // follows the CPU quota
					}
					e, err := executor.New(opts...)
					if err != nil {
						t.Error(err)
						return
					}
					if i%10 == 0 {
						_ = e.Go(context.Background(), func(context.Context) {})
					}
					live = append(live, e)
					if len(live) == 25 || i == n/4-1 {
						for _, e := range live {
							if err := e.Close(); err != nil {
								t.Error(err)
							}
						}
						live = live[:0]
					}
				}
			})
		}
		makers.Wait()
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	round(1000) // whatever grows once, has grown now
	goroutines, before := runtime.NumGoroutine(), heap()
	round(scaled(100_000))
	start := time.Now()
	for runtime.NumGoroutine() > goroutines || heap() > before+1<<20 {
		require.Less(t, time.Since(start), guard, "%d goroutines, were %d; heap %d, was %d", runtime.NumGoroutine(), goroutines, heap(), before)
		time.Sleep(10 * time.Millisecond)
	}
}

// Programs of tasks end at any moment: Close comes after a random number of steps, many times over.
func TestFaults_CloseAtAnyMoment(t *testing.T) {
	for round := range scaled(2000) {
		e, err := executor.New(executor.WithSlots(2), executor.WithMaxSpares(3), executor.WithQueueLimit(4))
		require.NoError(t, err)
		var started, refused atomic.Int64
		var drivers sync.WaitGroup
		for range 2 {
			drivers.Go(func() {
				for {
					err := e.Go(context.Background(), func(ctx context.Context) {
						started.Add(1)
						executor.Blocking(ctx, runtime.Gosched)
						_, _ = executor.Map(ctx, e, []int{1, 2, 3}, func(_ context.Context, i int) (string, error) { return fmt.Sprint(i), nil })
					})
					if err != nil {
						if !errors.Is(err, executor.ErrClosed) {
							t.Error(err)
						}
						refused.Add(1)
						return
					}
				}
			})
		}
		for range round % 100 {
			runtime.Gosched()
		}
		require.NoError(t, e.Close())
		drivers.Wait()
		require.EqualValues(t, 2, refused.Load())
		balanced(t, e)
	}
}
