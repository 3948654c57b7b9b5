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
