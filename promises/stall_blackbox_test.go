package promises

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// blocker is a way to block that nobody marks. start prepares for n blocked tasks; block blocks one until
// release is called, which lets all out.
type blocker struct {
	name  string
	start func(t *testing.T, n int) (block, release func())
}

var blockers = []blocker{
	{"channel", func(t *testing.T, _ int) (block, release func()) {
		g := newGate(t)
		return g.Wait, g.Open
	}},
	{"sleep", func(t *testing.T, _ int) (block, release func()) {
		var over atomic.Bool
		return func() {
			for !over.Load() {
				time.Sleep(5 * time.Millisecond)
			}
		}, func() { over.Store(true) }
	}},
	{"lock", func(t *testing.T, _ int) (block, release func()) {
		var mu sync.RWMutex
		mu.Lock()
		return func() { mu.RLock(); defer mu.RUnlock() }, sync.OnceFunc(mu.Unlock)
	}},
	{"TCP", func(t *testing.T, n int) (block, release func()) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		conns := make(chan net.Conn, n)
		var server sync.WaitGroup
		server.Go(func() { // each caller's connection is held, unanswered
			defer close(conns)
			for range n {
				c, err := l.Accept()
				if err != nil {
					return
				}
				conns <- c
			}
		})
		release = sync.OnceFunc(func() {
			for range n {
				c, ok := <-conns
				if !ok {
					break
				}
				_, _ = c.Write([]byte{1})
				c.Close()
			}
			l.Close()
			server.Wait()
		})
		return func() {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
			}
		}, release
	}},
	{"C", func(t *testing.T, _ int) (block, release func()) {
		if cgotest.Missing != "" {
			t.Skip(cgotest.Missing)
		}
		cgotest.Shut()
		return cgotest.Hold, cgotest.Open
	}},
}

// Tasks that each wait for all of them to have started can only end if every one that is stuck is stood in
// for. There are just as many spares as that takes. Mutants: a slot is lent once only; the goroutines of
// blocked tasks count as running; a lent slot or its credit does not come back.
func TestStall_UnmarkedBlockingIsStoodInFor(t *testing.T) {
	for _, b := range blockers {
		t.Run(b.name, func(t *testing.T) {
			for _, slots := range []int{1, 2, 5} {
				const n = 60
				block, release := b.start(t, n)
				t.Cleanup(release)
				e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(n-slots))
				var arrived atomic.Int64
				task := func(context.Context) {
					arrived.Add(1)
					block()
				}
				for range n {
					require.NoError(t, e.Go(context.Background(), task))
				}
				eventually(t, "all tasks have started", func() bool { return arrived.Load() == n })
				s := e.Stats()
				require.Equal(t, n-slots, s.Lent, "%+v", s)
				require.Equal(t, slots, s.Slots)
				release()
				quiet(t, e)
				s = returned(t, e, slots)
				require.GreaterOrEqual(t, s.Compensated, uint64(n-slots))
			}
		})
	}
}

// returned waits until no slot is lent any more.
func returned(t *testing.T, e *executor.Executor, slots int) (s executor.Stats) {
	t.Helper()
	eventually(t, "all lent slots are back", func() bool {
		s = e.Stats()
		return s.Lent == 0 && s.Idle == s.Slots
	})
	require.Equal(t, slots, s.Slots)
	return s
}

// crowd blocks as many tasks as e has slots and spares: a credit that was lost on the way would be missed
// here. It returns what lets them out.
func crowd(t *testing.T, e *executor.Executor, n int) (out func()) {
	t.Helper()
	g := newGate(t)
	var arrived atomic.Int64
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			arrived.Add(1)
			g.Wait()
		}))
	}
	eventually(t, "slots and spares are all in use", func() bool { return arrived.Load() == int64(n) })
	return g.Open
}

// Mutant: slots are lent without a credit; or those beyond the limit are never started afterwards.
func TestStall_SparesAreTheLimit(t *testing.T) {
	const slots, spares, more = 2, 5, 4
	reports := make(chan executor.StallInfo, 1000)
	e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(spares),
		executor.WithOnStall(func(i executor.StallInfo) { reports <- i }))
	g := newGate(t)
	var arrived atomic.Int64
	for range slots + spares + more {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			arrived.Add(1)
			g.Wait()
		}))
	}
	eventually(t, "the monitor is refused spares", func() bool { return e.Stats().StallsNoSpare >= 5 })
	eventually(t, "all spares are in use", func() bool { return arrived.Load() == slots+spares })
	before := e.Stats().StallsNoSpare
	eventually(t, "and is refused again", func() bool { return e.Stats().StallsNoSpare >= before+5 })
	require.EqualValues(t, slots+spares, arrived.Load())
	s := e.Stats()
	require.Equal(t, spares, s.Lent)
	require.Equal(t, more, s.Queued)
	require.EqualValues(t, spares, s.Compensated)
	for {
		if i := await(t, "the lack is reported", reports); i.Reason == executor.StallSpares {
			break
		}
	}
	g.Open()
	quiet(t, e)
	returned(t, e, slots)
	require.EqualValues(t, slots+spares+more, arrived.Load())
}

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

// In a bubble the processors are idle whenever the clock moves, and a minute takes no time.
func TestStall_OffMeansOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, opt := range []executor.Option{executor.WithStallDetection(false), executor.WithMaxSpares(0)} {
			e, err := executor.New(executor.WithSlots(2), opt)
			require.NoError(t, err)
			release := make(chan struct{})
			var arrived atomic.Int64
			for range 3 {
				require.NoError(t, e.Go(context.Background(), func(context.Context) {
					arrived.Add(1)
					<-release
				}))
			}
			time.Sleep(time.Minute)
			require.EqualValues(t, 2, arrived.Load())
			s := e.Stats()
			require.Zero(t, s.Compensated)
			require.Zero(t, s.Lent)
			close(release)
			require.NoError(t, e.Shutdown(context.Background()))
		}
	})
}

// Two slots alone would take 50 s. The bound leaves room for ticks in which something outside of the bubble
// keeps the processors busy. That nothing is left over the bubble sees to itself.
func TestStall_WorksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := executor.New(executor.WithSlots(2), executor.WithMaxSpares(200))
		require.NoError(t, err)
		start := time.Now()
		for range 100 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) { time.Sleep(time.Second) }))
		}
		require.NoError(t, e.Quiesce(context.Background()))
		require.Less(t, time.Since(start), 25*time.Second)
		synctest.Wait()
		s := e.Stats()
		require.Zero(t, s.Lent)
		require.Equal(t, 2, s.Slots)
		require.NotZero(t, s.Compensated)
		time.Sleep(time.Minute) // past the keep-alive
		synctest.Wait()
		require.Zero(t, e.Stats().Spares)
		require.NoError(t, e.Close())
	})
}

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

// Slots are lent and come back while everything else goes on with them: the size changes, tasks on lent
// slots block with and without Blocking, yield, wait, panic and call Goexit. Afterwards each task has
// ended once, and the last credit is there.
func TestStall_RacesWithEverything(t *testing.T) {
	const slots, spares = 2, 30
	e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(spares),
		executor.WithBudget(time.Millisecond), executor.WithKeepAlive(time.Millisecond),
		executor.WithOnStall(func(executor.StallInfo) {}))
	nap := func() { time.Sleep(time.Duration(rand.IntN(6)) * time.Millisecond) }
	n := max(400, scaled(1500))
	var ended atomic.Int64
	body := func(ctx context.Context, kind int) {
		defer ended.Add(1)
		nap()
		switch kind {
		case 0:
			executor.Blocking(ctx, nap)
		case 1:
			_ = executor.Yield(ctx)
			nap()
		case 2:
			executor.Blocking(ctx, runtime.Goexit)
		case 3:
			runtime.Goexit()
		case 4:
			executor.Fork(ctx, func(context.Context) int { nap(); return 1 }).Join(ctx)
		case 5:
			_ = executor.Checkpoint(ctx)
		case 6:
			executor.OnThread(ctx, nap)
		}
	}
	out := crowd(t, e, slots+5) // so that the first half certainly runs on lent slots
	stop := resizing(t, e, nap, 1, 2, 3, 4, 5)
	for i := range n {
		if i == n/2 {
			out()
		}
		if i%2 == 0 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { body(ctx, i%8) }))
			continue
		}
		_, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			body(ctx, i%8)
			if i%16 == 7 {
				panic("task")
			}
			return 0, nil
		})
		require.NoError(t, err)
	}
	s := quiet(t, e)
	stop()
	require.EqualValues(t, n, ended.Load())
	require.NotZero(t, s.Compensated)
	require.NoError(t, e.Resize(slots))
	returned(t, e, slots)
	eventually(t, "the spares retire", func() bool { return e.Stats().Spares == 0 })
	crowd(t, e, slots+spares)()
	quiet(t, e)
	returned(t, e, slots)
}

// Close while slots are being lent and come back. Mutant: a slot is lent to an executor that has ended.
func TestStall_RacesWithClose(t *testing.T) {
	for round := range 40 {
		e, err := executor.New(executor.WithSlots(1+round%3), executor.WithMaxSpares(20),
			executor.WithBudget(time.Millisecond))
		require.NoError(t, err)
		nap := time.Duration(1+round%7) * time.Millisecond
		for range 60 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) { time.Sleep(nap) }))
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		if round%2 == 0 {
			closeNow(t, e)
		} else {
			within(t, "Shutdown", func() { _ = e.Shutdown(context.Background()) })
		}
		s := balanced(t, e)
		require.Zero(t, s.Lent, "%+v", s)
	}
}

// A call that lends nothing because nothing waits gives no slot away, however often.
func TestBlocking_NothingWaitsNoHandoff(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2), executor.WithMaxSpares(8))
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for range scaled(100000) {
			executor.Blocking(ctx, func() {})
		}
		return nil
	}))
	s := quiet(t, e)
	require.Zero(t, s.Handoffs)
	require.Zero(t, s.Uncompensated)
	require.Zero(t, s.Compensated)
	require.Zero(t, s.Spares)
}

// Mutant: runners beyond the slots stay, or credits do.
func TestBlocking_ABurstLeavesNothingBehind(t *testing.T) {
	const slots = 2
	n := scaled(1000)
	e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(n), executor.WithStallDetection(false),
		executor.WithKeepAlive(time.Millisecond))
	alive(t, e)
	for range 2 {
		before := runtime.NumGoroutine()
		g := newGate(t)
		var inside atomic.Int64
		for range n {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				executor.Blocking(ctx, func() { inside.Add(1); g.Wait() })
			}))
		}
		eventually(t, "all are inside", func() bool { return inside.Load() == int64(n) })
		s := e.Stats()
		require.Equal(t, n, s.Blocked)
		require.GreaterOrEqual(t, s.Handoffs, uint64(n-slots))
		g.Open()
		quiet(t, e)
		eventually(t, "the spares retire", func() bool {
			return e.Stats().Spares == 0 && runtime.NumGoroutine() <= before+slots
		})
		require.Zero(t, e.Stats().Uncompensated)
	}
}
