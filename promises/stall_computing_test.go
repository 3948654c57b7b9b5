package promises

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Tasks that compute do not block, whatever they look like.

// spinUntil computes until stop says so.
//
//go:noinline
func spinUntil(stop *atomic.Bool) {
	for !stop.Load() {
	}
}

// Mutants: a runnable goroutine does not count; the queue's length alone decides.
func TestStall_ComputingIsNotBlocking(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for _, slots := range []int{1, 2, 5} { // fewer than processors, as many, more
		e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(100))
		var stop atomic.Bool
		t.Cleanup(func() { stop.Store(true) })
		for range slots {
			started := make(chan struct{})
			require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); spinUntil(&stop) }))
			await(t, "it computes", started)
		}
		for range 500 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		}
		eventually(t, "the monitor has looked often", func() bool { return e.Stats().StallsBusy >= 25 })
		s := e.Stats()
		require.Equal(t, s.LentLiveness, s.Compensated, "%+v", s)
		stop.Store(true)
		quiet(t, e)
		returned(t, e, slots)
	}
}

// C code that computes has its thread running, whatever Go knows. Each of two slots, and of one on two processors, has a
// task in C; where the system does not tell about threads, a task that may be in C counts as computing. Mutants: threads
// are not looked at; what is found is not compared with the stuck tasks.
func TestStall_ComputingInCIsNotBlocking(t *testing.T) {
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	testkit.Set(t, &seam.Blind, true)
	for _, slots := range []int{1, 2} {
		for _, seam.Blind = range []bool{false, true} {
			e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(100))
			var p peak
			for range 6 * slots {
				require.NoError(t, e.Go(context.Background(), func(context.Context) {
					p.Enter()
					defer p.Leave()
					cgotest.Burn(40 * time.Millisecond)
				}))
			}
			s := quiet(t, e)
			require.LessOrEqual(t, p.Max(), int64(slots), "%+v", s)
			require.Zero(t, s.Compensated)
			require.NotZero(t, s.StallsBusy)
		}
	}
}

// Where the system does not tell about threads, what waits in Go is stood in for all the same, and what waits in C
// after a while, if the processors do nothing. Mutants: nobody is; whoever is in a call is.
func TestStall_WithoutThreadsWhatWaitsIsStoodInFor(t *testing.T) {
	testkit.Set(t, &seam.Blind, true)
	testkit.Set(t, &seam.Liveness, 50*time.Millisecond)
	for _, b := range blockers {
		t.Run(b.name, func(t *testing.T) {
			const slots, n = 2, 12
			block, release := b.start(t, n)
			t.Cleanup(release)
			e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(n-slots))
			var arrived atomic.Int64
			for range n {
				require.NoError(t, e.Go(context.Background(), func(context.Context) { arrived.Add(1); block() }))
			}
			eventually(t, "all tasks have started", func() bool { return arrived.Load() == n })
			release()
			quiet(t, e)
			returned(t, e, slots)
		})
	}
}

// One task computes all the while, the others block, and there are processors to spare: the blocked are
// stood in for, and there is never more than one slot for each task that is stuck.
func TestStall_ComputingAmongBlocked(t *testing.T) {
	testkit.Set(t, &seam.Liveness, 50*time.Millisecond) // there may be no processor to spare after all
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const slots, n = 2, 40
	e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(1000))
	var stop atomic.Bool
	t.Cleanup(func() { stop.Store(true) })
	require.NoError(t, e.Go(context.Background(), func(context.Context) { spinUntil(&stop) }))
	out := crowd(t, e, n)
	eventually(t, "just the stuck ones are stood in for", func() bool { return e.Stats().Lent == n+1-slots })
	out()
	stop.Store(true)
	quiet(t, e)
	returned(t, e, slots)
}

// The processors are busy with something else and three tasks wait for each other to start: when nothing has moved
// for long, their stacks say that they wait. Mutants: without the rule this hangs; whatever stands still counts.
func TestStall_BusyProcessorsAreNoDeadlock(t *testing.T) {
	testkit.Set(t, &seam.Liveness, 50*time.Millisecond)
	var stop atomic.Bool
	var spinning sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + 1 {
		spinning.Go(func() { spinUntil(&stop) })
	}
	defer spinning.Wait()
	defer stop.Store(true)
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(10))
	g := newGate(t)
	var arrived atomic.Int64
	for range 3 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { arrived.Add(1); g.Wait() }))
	}
	eventually(t, "all have started", func() bool { return arrived.Load() == 3 })
	s := e.Stats()
	require.EqualValues(t, 2, s.Compensated, "%+v", s)
	g.Open()
	quiet(t, e)
	require.NoError(t, e.Go(context.Background(), func(context.Context) { arrived.Add(1); spinUntil(&stop) }))
	eventually(t, "it computes", func() bool { return arrived.Load() == 4 })
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	before := e.Stats().StallsBusy
	eventually(t, "the monitor has looked often", func() bool { return e.Stats().StallsBusy >= before+20 })
	require.EqualValues(t, 2, e.Stats().Compensated, "a task that computes is not stood in for, however long")
	stop.Store(true)
	quiet(t, e)
}
