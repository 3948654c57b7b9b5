package stresstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// A child process, because idle threads of earlier tests would be counted too. 500 tasks want into C, 8
// are inside and stay there. The others wait without a slot and without a thread: as many tasks as there
// are slots run at the same time, and a waiter whose context ends leaves.
var bulkheadThreads = child("bulkhead threads", func() {
	const slots, limit, n = 2, 8, 500
	runtime.GOMAXPROCS(2)
	e, err := executor.New(executor.WithSlots(slots), executor.WithMaxSpares(n+slots))
	check(err)
	b, err := executor.NewBulkhead("c", limit)
	check(err)
	before := processStatus("Threads")
	ctx, cancel := context.WithCancel(context.Background())
	var wanting, went, left atomic.Int64
	for i := range n {
		of := context.Background()
		if i%50 == 49 {
			of = ctx
		}
		check(e.Go(context.Background(), func(context.Context) {
			wanting.Add(1)
			switch err := b.Blocking(of, cgotest.Hold); {
			case err == nil:
				went.Add(1)
			case errors.Is(err, context.Canceled):
				left.Add(1)
			default:
				panic(err)
			}
		}))
	}
	until(func() bool { return wanting.Load() == n && cgotest.Inside() == limit && e.Stats().Blocked == n })

	var meet sync.WaitGroup // both slots work at once, or nobody gets past it
	meet.Add(slots)
	var computed atomic.Int64
	for range slots {
		check(e.Go(context.Background(), func(context.Context) {
			meet.Done()
			meet.Wait()
			computed.Add(1)
		}))
	}
	until(func() bool { return computed.Load() == slots })
	cancel() // those in C can not leave; all tasks with this context wait outside, or are inside
	until(func() bool { return left.Load() > 0 })
	threads := processStatus("Threads")
	most := cgotest.Most()
	cgotest.Open()
	check(e.Quiesce(context.Background()))
	check(e.Close())
	if went.Load()+left.Load() != n {
		panic(fmt.Sprint("went ", went.Load(), " left ", left.Load()))
	}
	// before holds what the process had anyway; 8 is the handful: monitor, collector, spinning threads.
	if most != limit || threads > before+slots+limit+8 {
		fmt.Fprintf(os.Stderr, "most in C %d, threads %d, before %d\n", most, threads, before)
		os.Exit(1)
	}
})

func TestBulkhead_WaitersForCNeedNoThreads(t *testing.T) {
	needC(t)
	_, stderr, code := runChild(t, bulkheadThreads)
	require.Zero(t, code, stderr)
}
