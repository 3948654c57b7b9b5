package stresstest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Tasks hold more memory than the limit allows (GOMEMLIMIT), and allocate a good deal beside it. The limit is a
// soft one: the collector works as hard as it may, everything is slow, and nothing is lost.
var memoryLimit = child("memory limit", func() {
	const limit, held, hogs, small = 16 << 20, 8 << 20, 8, 2000
	debug.SetMemoryLimit(limit)
	e, err := executor.New(executor.WithSlots(2))
	check(err)
	ctx := context.Background()
	var full, ran, sum atomic.Int64
	enough := make(chan struct{})
	var futures []*executor.Future[int]
	for i := range hogs {
		f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
			hold := make([]byte, held)
			for at := range hold {
				hold[at] = byte(i)
			}
			if full.Add(1) == hogs {
				close(enough)
			}
			executor.Blocking(ctx, func() { <-enough }) // four times the limit is in use
			for range 200 {
				garbage := make([]byte, 64<<10)
				garbage[i] = 1
				hold[i] += garbage[i]
			}
			return int(hold[held-1]), nil
		})
		check(err)
		futures = append(futures, f)
	}
	<-enough
	for range small {
		check(e.Go(ctx, func(ctx context.Context) {
			ran.Add(1)
			sum.Add(int64(executor.Fork(ctx, func(context.Context) int { return len(make([]byte, 1<<10)) }).Join(ctx)))
		}))
	}
	for i, f := range futures {
		got, err := f.Wait(ctx)
		check(err)
		if got != i {
			panic(fmt.Sprint("task ", i, " has ", got))
		}
	}
	check(e.Shutdown(ctx))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := e.Stats()
	if ran.Load() != small || sum.Load() != small<<10 || s.Submitted != s.Completed || s.Submitted != hogs+2*small {
		panic(fmt.Sprintf("ran %d, sum %d, %+v", ran.Load(), sum.Load(), s))
	}
	if m.HeapSys < hogs*held {
		panic("the limit was never passed")
	}
})

func TestFaults_TasksBeyondTheMemoryLimit(t *testing.T) {
	_, stderr, code := runChild(t, memoryLimit)
	require.Zero(t, code, stderr)
}
