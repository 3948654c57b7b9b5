package promises

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// What WithOnStall is told.

// The same with tasks that say that they block. Mutant: only what blocks without saying so is looked at.
func TestStall_MarkedTasksBeyondTheSparesAreReported(t *testing.T) {
	const slots, spares, more = 2, 5, 4
	for name, block := range map[string]func(context.Context, func()){"Blocking": executor.Blocking, "OnThread": executor.OnThread} {
		reports := make(chan executor.StallInfo, 1000)
		e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(spares),
			executor.WithOnStall(func(i executor.StallInfo) { reports <- i }))
		g := newGate(t)
		for range slots + spares {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { block(ctx, g.Wait) }))
		}
		eventually(t, "all block", func() bool { return e.Stats().Blocked == slots+spares })
		require.Empty(t, reports, "nobody waits for a slot")
		for range more {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { block(ctx, g.Wait) }))
		}
		i := await(t, "the lack is reported", reports)
		require.Equal(t, executor.StallSpares, i.Reason, name)
		require.Equal(t, more, i.Queued)
		require.Contains(t, i.Stack, "executor."+name)
		require.NotEmpty(t, i.Ages)
		require.LessOrEqual(t, len(i.Ages), slots)
		g.Open()
		quiet(t, e)
		returned(t, e, slots)
	}
}

// Who submits is to take the results, and waits for room instead. Mutant: who waits is not counted, or the reason stays.
func TestStall_SubmittersThatTheTasksWaitForAreReported(t *testing.T) {
	reports := make(chan executor.StallInfo, 1000)
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(1), executor.WithQueueLimit(4),
		executor.WithOnStall(func(i executor.StallInfo) { reports <- i }))
	const n = 16
	results, sent := make(chan int), make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			_ = e.Go(context.Background(), func(ctx context.Context) { _ = executor.Send(ctx, results, i) })
		}
	}()
	i := await(t, "a report", reports)
	for i.Reason != executor.StallSubmitters { // it may have come between two submissions
		require.Equal(t, executor.StallSpares, i.Reason)
		i = await(t, "a report of the submitter", reports)
	}
	require.Equal(t, 1, i.Waiting)
	require.Contains(t, i.Stack, "executor.Send")
	for range n {
		await(t, "a result", results)
	}
	await(t, "all are submitted", sent)
	quiet(t, e)
}

//go:noinline
func stallSite(ch <-chan struct{}) { <-ch }

func TestStall_ReportNamesTheLineThatBlocks(t *testing.T) {
	e := newExecutor(t, executor.WithName("reported"), executor.WithSlots(2), executor.WithStallDetection(false),
		executor.WithOnStall(func(executor.StallInfo) {}))
	require.NotNil(t, e)
	reports := make(chan executor.StallInfo, 100)
	e = newExecutor(t, executor.WithName("reported"), executor.WithSlots(2), executor.WithStallDetection(false),
		executor.WithOnStall(func(i executor.StallInfo) { reports <- i }))
	g := newGate(t)
	for range 2 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { stallSite(g.Opened()) }))
	}
	eventually(t, "both run", func() bool { s := e.Stats(); return s.Running == 2 && s.Queued == 0 })
	for range 3 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	}
	i := await(t, "a report", reports)
	require.Equal(t, "reported-2", i.Executor)
	require.Equal(t, executor.StallBlocked, i.Reason)
	require.Equal(t, 3, i.Queued)
	require.Len(t, i.Ages, 2)
	require.GreaterOrEqual(t, i.Ages[0], i.Ages[1])
	require.Positive(t, i.Ages[1])
	require.Positive(t, i.QueueAge)
	require.Contains(t, i.Stack, "stallSite")
	require.Contains(t, i.Stack, "[chan receive")
	require.NotContains(t, i.Stack, "\n\n", "one goroutine only")
	require.Zero(t, e.Stats().Compensated, "detection is off")
	g.Open()
	quiet(t, e)
}

func TestStall_ReportsAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		e, err := executor.New(executor.WithSlots(1), executor.WithMaxSpares(0),
			executor.WithOnStall(func(executor.StallInfo) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Now())
			}))
		require.NoError(t, err)
		release := make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(context.Context) { <-release }))
		synctest.Wait()
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
		time.Sleep(10*time.Second + 500*time.Millisecond)
		close(release)
		require.NoError(t, e.Shutdown(context.Background()))
		synctest.Wait() // Shutdown does not wait for the handler
		mu.Lock()
		defer mu.Unlock()
		require.GreaterOrEqual(t, len(at), 8)
		for i := range len(at) - 1 {
			require.GreaterOrEqual(t, at[i+1].Sub(at[i]), time.Second)
		}
	})
}

// Mutant: a task that computes is preempted, or taken for a blocked one.
func TestStall_ComputingWithoutCheckpointIsReported(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	reports := make(chan executor.StallInfo, 100)
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(0),
		executor.WithOnStall(func(i executor.StallInfo) { reports <- i }))
	var stop atomic.Bool
	t.Cleanup(func() { stop.Store(true) })
	require.NoError(t, e.Go(context.Background(), func(context.Context) { spinUntil(&stop) }))
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	i := await(t, "a report", reports)
	require.Equal(t, executor.StallCPU, i.Reason)
	require.Contains(t, i.Stack, "spinUntil")
	require.GreaterOrEqual(t, i.Ages[0], 20*time.Millisecond, "two budgets")
	require.Zero(t, e.Stats().Yields, "it is not preempted")
	stop.Store(true)
	quiet(t, e)
}

// Whatever else it does between: a task that takes every flag within a budget is not reported. It can not
// yield, as there are no spares, so it does not move either. Mutant: age alone is a reason to report.
func TestStall_TasksThatCheckAreNotReported(t *testing.T) {
	for _, checks := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var reports atomic.Int64
			e, err := executor.New(executor.WithSlots(1), executor.WithMaxSpares(0),
				executor.WithOnStall(func(executor.StallInfo) { reports.Add(1) }))
			require.NoError(t, err)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				for range 10_000 {
					if checks {
						_ = executor.Checkpoint(ctx)
					}
					time.Sleep(time.Millisecond)
				}
			}))
			synctest.Wait()
			require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
			require.NoError(t, e.Shutdown(context.Background()))
			if checks {
				require.Zero(t, reports.Load())
			} else {
				require.GreaterOrEqual(t, reports.Load(), int64(8))
			}
		})
	}
}

// A handler that takes its time holds up neither the tasks nor the monitor, is not called again
// meanwhile, and Close does not wait for it.
func TestStall_SlowHandler(t *testing.T) {
	held := newGate(t)
	var calls, returned atomic.Int64
	entered := make(chan struct{}, 100)
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(3),
		executor.WithOnStall(func(executor.StallInfo) {
			calls.Add(1)
			entered <- struct{}{}
			held.Wait()
			returned.Add(1)
		}))
	g := newGate(t)
	for range 6 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { g.Wait() }))
	}
	await(t, "the handler is called", entered)
	before := e.Stats().StallsNoSpare
	eventually(t, "the monitor goes on", func() bool { return e.Stats().StallsNoSpare >= before+5 })
	g.Open()
	quiet(t, e)
	alive(t, e)
	within(t, "Close", func() { require.NoError(t, e.Close()) }) // while the handler still runs
	require.EqualValues(t, 1, calls.Load())
	require.Zero(t, returned.Load())
	held.Open()
	eventually(t, "the handler returns", func() bool { return returned.Load() == 1 })
}

var stallHandlerPanics = child("stall handler panics", func() {
	e, err := executor.New(executor.WithSlots(1), executor.WithMaxSpares(0),
		executor.WithOnStall(func(executor.StallInfo) { panic("from the stall handler") }))
	if err != nil {
		panic(err)
	}
	for range 2 {
		_ = e.Go(context.Background(), func(context.Context) { select {} })
	}
	select {}
})

// A handler's panic is the program's, as in any goroutine.
func TestStall_HandlerPanicCrashes(t *testing.T) {
	_, stderr, code := runChild(t, stallHandlerPanics)
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stderr, "panic: from the stall handler")
}
