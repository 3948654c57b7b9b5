package door

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
)

type jobFunc func(context.Context)

func (f jobFunc) Run(ctx context.Context) { f(ctx) }

func TestQueue_KeepsOrderOverGrowingAndShrinking(t *testing.T) {
	var q Queue[int]
	var got, want []int
	next := 0
	for round := range 200 {
		for range round % 37 {
			i := next
			next++
			want = append(want, i)
			q.Push(i)
		}
		for range min(q.Len(), round%29) {
			got = append(got, q.Pop())
		}
	}
	for q.Len() > 0 {
		got = append(got, q.Pop())
	}
	require.Equal(t, want, got)
	require.LessOrEqual(t, len(q.ring), 4*smallestRing)
}

// Beyond the room a job does not wait for the executor at all.
func TestDesk_BeyondTheRoomAJobGetsAGoroutineAtOnce(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1), executor.WithStallDetection(false))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	var strays atomic.Uint64
	d := New(e, true, 1, &strays)
	d.look() // nothing queued: no more looks, so that only the room helps
	var all sync.WaitGroup
	all.Add(10)
	for range 10 {
		d.Start(jobFunc(func(context.Context) { all.Done(); all.Wait() }))
	}
	all.Wait()
	require.EqualValues(t, 9, strays.Load())
}

// A Goexit in a job takes nothing with it.
func TestDesk_GoexitLosesNoJob(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1), executor.WithQueueLimit(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	var strays atomic.Uint64
	d := New(e, false, 0, &strays)
	var all sync.WaitGroup
	all.Add(100)
	for range 100 {
		d.Start(jobFunc(func(context.Context) {
			defer all.Done()
			runtime.Goexit()
		}))
	}
	all.Wait()
}

// A registry holds neither executors nor desks.
func TestRegistry_ForgetsExecutors(t *testing.T) {
	var r Registry
	e, err := executor.New()
	require.NoError(t, err)
	require.Same(t, r.Of(e), r.Of(e))
	require.NoError(t, e.Close())
	e = nil
	for {
		runtime.GC()
		r.mu.Lock()
		n := len(r.desks)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// However long jobs stand still, goroutines go on to start. Mutant: a step without a bound, which doubles to 0.
func TestDesk_NeverGivesUp(t *testing.T) {
	for _, firm := range []bool{false, true} {
		w := watch{step: 1}
		started := 0
		for range 200 {
			before := started
			for range patience {
				started += w.stands(firm)
			}
			require.Greater(t, started, before)
		}
	}
}

// Jobs that wait without telling are not left to the monitor of the executor, however many there are.
func TestDesk_JobsThatWaitGetGoroutines(t *testing.T) {
	e, err := executor.New(executor.WithSlots(1), executor.WithStallDetection(false), executor.WithMaxSpares(0))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	var strays atomic.Uint64
	d := New(e, false, 0, &strays)
	const jobs = 1000
	var all sync.WaitGroup
	all.Add(jobs)
	for range jobs {
		d.Start(jobFunc(func(context.Context) { all.Done(); all.Wait() }))
	}
	all.Wait()
	require.GreaterOrEqual(t, strays.Load(), uint64(jobs-1))
}
