package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Children run wherever a slot is free, and an awaited task runs in the waiter's place, whatever its lane is full of.
func TestLanes_NothingChangesInsideTasks(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(4), executor.WithLanes(executor.Lane{Name: "one", Max: 1, QueueLimit: 1}, executor.Lane{Name: "other", Max: 1}))
	awaited := must(executor.Submit(inLane("one"), e, func(ctx context.Context) (int, error) { return 0, nil }))
	require.NoError(t, result(t, awaited))
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		low := must(executor.Submit(inLane("other"), e, func(ctx context.Context) (int, error) { return 7, nil }))
		if v, err := low.Wait(ctx); v != 7 { // not with the lane's turn: there is no other slot
			return fmt.Errorf("%d, %w", v, err)
		}
		var ran atomic.Int32
		g := e.NewGroup(ctx)
		for range 600 { // more than the deque and every queue
			g.Go(func(ctx context.Context) error {
				ran.Add(1)
				return nil
			})
		}
		if err := g.Wait(); err != nil || ran.Load() != 600 {
			return fmt.Errorf("%d ran, %w", ran.Load(), err)
		}
		var err error
		executor.Blocking(ctx, func() { // not to the own deque
			_, err = must(executor.Submit(ctx, e, func(context.Context) (int, error) { return 0, nil })).Wait(ctx)
		})
		return err
	}))
	quiet(t, e)
}

// What a task runs in place inside Blocking has the task's slot: it counts in its lane, and no more while it lends the slot in its
// turn. Before, it was taken off the count twice, and the lane then ran one task more than its Max. Mutants seen to fail: it is not counted
// when it comes back; it still counts when it blocks again.
func TestLanes_WhatRunsInPlaceCountsOnce(t *testing.T) {
	e := spared(t, 3, 3, executor.WithLanes(executor.Lane{Name: "one", Max: 1}))
	at, gates := make(chan int), [4]*testkit.Gate{newGate(t), newGate(t), newGate(t), newGate(t)}
	require.NoError(t, e.Go(inLane("one"), func(ctx context.Context) {
		executor.Blocking(ctx, func() {
			_ = e.Do(ctx, func(ctx context.Context) error {
				at <- 1
				gates[0].Wait()
				executor.Blocking(ctx, func() {
					at <- 0
					gates[1].Wait()
				})
				return nil
			})
			at <- 0
			gates[2].Wait()
		})
		at <- 1
		gates[3].Wait()
	}))
	for i, gate := range gates {
		require.EqualValues(t, await(t, "the next step", at), laneStats(t, e, "one").Running, "step %d", i)
		gate.Open()
	}
	quiet(t, e)
	require.NoError(t, executor.Settled(e, guard))
}

// Work that tasks have started and that is in no deque takes turns with the lanes, so neither starves. Mutants seen to fail:
// one of the two always goes first.
func TestLanes_WhatLeavesADequeTakesTurns(t *testing.T) {
	e := bare(t, 1, executor.WithLanes(executor.Lane{Name: "a", Max: 1}))
	var j journal
	var next func(n int) func(context.Context)
	next = func(n int) func(context.Context) {
		return func(ctx context.Context) {
			j.note("inner")(ctx)
			if n > 1 {
				executor.Blocking(ctx, func() { _ = e.Go(ctx, next(n-1)) }) // not to the deque
			}
		}
	}
	held := stick(t, e, 1)
	require.NoError(t, e.Go(inLane("a"), next(500)))
	for range 500 {
		require.NoError(t, e.Go(inLane("a"), j.note("outer")))
	}
	held.Open()
	quiet(t, e)
	half := times(j.all()[:500], "inner")
	require.Greater(t, half, 100, "the lane had all turns")
	require.Less(t, half, 400, "the lane had no turn")
}

// A task's lane is inherited by what it submits from outside, not by tasks of other executors, and chains stay flat. Mutant seen
// to fail: a task's context has its lane for other executors too.
func TestLanes_AreInherited(t *testing.T) {
	a := bare(t, 2, executor.WithName("a"), executor.WithLanes(executor.Lane{Name: "x", QueueLimit: 1000}))
	b := bare(t, 1, executor.WithName("b"), executor.WithLanes(executor.Lane{Name: "y"}))
	ctx := executor.WithTenant(executor.WithTaskName(inLane("x"), "named"), "t")
	require.NoError(t, inTaskWith(ctx, t, a, func(ctx context.Context) error {
		var err error
		wait := make(chan struct{})
		go func() { // a goroutine of its own comes from outside
			defer close(wait)
			err = a.Go(ctx, func(context.Context) {})
		}()
		<-wait
		if err != nil {
			return err
		}
		timed, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		return errors.Join(
			b.Go(ctx, func(context.Context) {}),
			b.Go(timed, func(context.Context) {}),
			b.Go(executor.WithLane(ctx, "y"), func(context.Context) {}),
			b.Go(executor.WithLane(timed, "y"), func(context.Context) {}),
			b.Go(executor.Detached(executor.WithLane(ctx, "y")), func(context.Context) {}))
	}))
	quiet(t, a)
	quiet(t, b)
	require.EqualValues(t, 2, laneStats(t, a, "x").Submitted)
	require.EqualValues(t, 2, laneStats(t, b, "").Submitted)
	require.EqualValues(t, 3, laneStats(t, b, "y").Submitted)

	depth := func(ctx context.Context) int { return strings.Count(fmt.Sprintf("%#v", ctx), "executor.namedContext{") }
	var first, last int
	next, other := a, b
	var hop func(n int) func(context.Context)
	done := make(chan struct{})
	hop = func(n int) func(context.Context) {
		return func(ctx context.Context) {
			if n == 10 {
				first = depth(ctx)
			}
			if n == 200 {
				last = depth(ctx)
				close(done)
				return
			}
			next, other = other, next
			lane := map[*executor.Executor]string{a: "x", b: "y"}[next]
			_ = next.Go(executor.WithTenant(executor.WithLane(executor.Detached(ctx), lane), fmt.Sprint(n)), hop(n+1))
		}
	}
	require.NoError(t, a.Go(ctx, hop(0)))
	await(t, "the last hop", done)
	require.Equal(t, first, last, "contexts with marks in the chain")
	quiet(t, a)
	quiet(t, b)
}

func inTaskWith(ctx context.Context, t testing.TB, e *executor.Executor, fn func(context.Context) error) error {
	return result(t, must(executor.Submit(ctx, e, func(ctx context.Context) (int, error) { return 0, fn(ctx) })))
}

func TestLanes_DoGoesByThem(t *testing.T) {
	e := bare(t, 2, executor.WithLanes(executor.Lane{Name: "one", Max: 1}, executor.Lane{Name: "two", Reserved: 1}))
	none := func(context.Context) error { return nil }
	require.NoError(t, e.TryDo(inLane("one"), func(context.Context) error {
		require.Equal(t, 1, laneStats(t, e, "one").Running)
		within(t, "the other slot is free", func() {
			require.ErrorIs(t, e.TryDo(inLane("one"), none), executor.ErrQueueFull)
			require.NoError(t, e.TryDo(inLane("two"), none))
		})
		return nil
	}))
	require.Panics(t, func() { _ = e.Do(inLane("one"), func(context.Context) error { panic("on purpose") }) })
	require.NoError(t, e.TryDo(inLane("one"), none), "a panic gives the place back")
	held := stick(t, e, 2)
	var j journal
	var wg sync.WaitGroup
	for _, name := range []string{"", "one", "two"} {
		wg.Go(func() {
			require.NoError(t, e.Do(inLane(name), func(ctx context.Context) error { j.note(name)(ctx); return nil }))
		})
		eventually(t, "it waits", func() bool { return laneStats(t, e, name).Queued == 1 })
	}
	ctx, cancel := context.WithCancel(inLane("two"))
	wg.Go(func() { require.ErrorIs(t, e.Do(ctx, none), context.Canceled) })
	eventually(t, "it waits", func() bool { return laneStats(t, e, "two").Queued == 2 })
	cancel()
	held.Open()
	wg.Wait()
	require.ElementsMatch(t, []string{"", "one", "two"}, j.all())
	quiet(t, e)
	require.NoError(t, executor.Settled(e, guard))
}

func TestLanes_ShutdownServesAndCloseDropsThem(t *testing.T) {
	for _, closes := range []bool{false, true} {
		e := bare(t, 1, executor.WithLanes(executor.Lane{Name: "one", Max: 1, QueueLimit: 10}, executor.Lane{Name: "fair", Fair: true}))
		held := stick(t, e, 1)
		var j journal
		for i := range 10 {
			require.NoError(t, e.Go(inLane("one"), j.note("one")))
			require.NoError(t, e.Go(executor.WithTenant(inLane("fair"), fmt.Sprint(i)), j.note("fair")))
			require.NoError(t, e.Go(context.Background(), j.note("")))
		}
		waits := make(chan error)
		go func() { waits <- e.Go(inLane("one"), j.note("never")) }()
		eventually(t, "it waits", func() bool { return e.Stats().Waiting == 1 })
		ended := make(chan error)
		go func() {
			if closes {
				ended <- e.Close()
			} else {
				ended <- e.Shutdown(context.Background())
			}
		}()
		require.ErrorIs(t, await(t, "who waits is refused", waits), executor.ErrClosed)
		held.Open()
		require.NoError(t, await(t, "the end", ended))
		s := e.Stats()
		require.Equal(t, s.Submitted, s.Completed+s.Canceled)
		require.EqualValues(t, map[bool]int{false: 0, true: 30}[closes], s.Canceled)
		require.Len(t, j.all(), map[bool]int{false: 30, true: 0}[closes])
		require.NoError(t, executor.Settled(e, guard))
	}
}

// Serials, keys, groups and timers wait in the lanes that their contexts say.
func TestLanes_OrderGroupsAndTimersGoByThem(t *testing.T) {
	e := bare(t, 2, executor.WithLanes(executor.Lane{Name: "one", Max: 1}))
	held := newGate(t)
	entered := make(chan struct{})
	require.NoError(t, e.Go(inLane("one"), func(context.Context) { close(entered); held.Wait() }))
	await(t, "it runs", entered)
	var p testkit.Peak
	var n atomic.Int32
	task := func(context.Context) { p.Enter(); defer p.Leave(); n.Add(1) }
	s, k := executor.NewSerial(e), executor.NewKeyed[int](e)
	require.NoError(t, s.Go(inLane("one"), task))
	require.NoError(t, k.Go(inLane("one"), 1, task))
	_ = must(e.After(inLane("one"), 0, task))
	g := e.NewGroup(inLane("one"))
	g.SetLimit(2)
	for range 5 {
		g.Go(func(ctx context.Context) error { task(ctx); return nil })
	}
	eventually(t, "all that is not held back is queued", func() bool { return laneStats(t, e, "one").Queued == 5 })
	require.NoError(t, inTask(t, e, func(context.Context) error { return nil }), "a slot is free")
	require.Zero(t, n.Load())
	held.Open()
	require.NoError(t, g.Wait())
	quiet(t, e)
	require.EqualValues(t, 8, n.Load())
	require.EqualValues(t, 1, p.Max())
}

// A task that yields goes on after what was queued, and when the rest may not start. Mutant seen to hang: it waits for the rest.
func TestLanes_AYieldedTaskComesBack(t *testing.T) {
	e := spared(t, 1, 2, executor.WithLanes(executor.Lane{Name: "one", Max: 1}, executor.Lane{Name: "a"}))
	var j journal
	require.NoError(t, inTaskWith(inLane("one"), t, e, func(ctx context.Context) error {
		for range 3 {
			_ = e.Go(context.Background(), j.note("one"))
			_ = e.Go(inLane("one"), j.note("later"))
			_ = e.Go(inLane("a"), j.note("a"))
		}
		err := executor.Yield(ctx)
		j.note("back")(ctx)
		return err
	}))
	quiet(t, e)
	require.Equal(t, "back", j.all()[6])
}

// A task with the context of the ones before it goes the short way (N9). Mutants seen to fail: the short way does not look at one of
// the context, its end, the bound, the end of the executor, the delay, whether tasks of the lane have holds, whether it is a task's
// context, whether the task is to be measured; it counts nothing, or does not notify; a lane that was empty is not ready afterwards.
func TestLanes_TheShortWayIsTheLongOne(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(100), executor.WithHistogramSampling(10),
		executor.WithLanes(executor.Lane{Name: "a", QueueLimit: 8}, executor.Lane{Name: "b"}, executor.Lane{Name: "one", Max: 1}))
	defer e.Watch()()
	var j journal
	a, b, one := inLane("a"), inLane("b"), inLane("one")
	for range 20 { // each alone: by the short way, to a runner that sleeps
		require.NoError(t, e.Go(a, j.note("a")))
		quiet(t, e)
	}
	require.Len(t, j.all(), 20)
	held := stick(t, e, 1)
	for range 8 {
		require.NoError(t, e.TryGo(a, j.note("a")))
	}
	require.ErrorIs(t, e.TryGo(a, j.note("a")), executor.ErrQueueFull)
	for _, ctx := range []context.Context{b, b, b, one, one, one, b, context.Background(), context.Background(), context.Background(), b} {
		require.NoError(t, e.TryGo(ctx, j.note("other")))
	}
	for name, want := range map[string]uint64{"a": 28, "b": 5, "one": 3, "": 4} { // and one is stuck
		require.Equal(t, want, laneStats(t, e, name).Submitted, "lane %q", name)
	}
	ended, end := context.WithCancel(b)
	for range 4 {
		require.NoError(t, e.TryGo(ended, j.note("never")))
	}
	end()
	require.ErrorIs(t, e.TryGo(ended, j.note("never")), context.Canceled)
	held.Open()
	quiet(t, e)
	require.Equal(t, []int{28, 11, 0}, []int{times(j.all(), "a"), times(j.all(), "other"), times(j.all(), "never")})
	require.EqualValues(t, 1, laneStats(t, e, "a").Rejected)

	var ctx context.Context // of a task: its children are in no lane
	require.NoError(t, inTaskWith(b, t, e, func(c context.Context) error {
		ctx = c
		type key struct{}
		with := context.WithValue(ctx, key{}, 0)
		var err error
		within(t, "somebody else uses it first", func() {
			err = errors.Join(e.Go(with, j.note("leaked")), e.Go(with, j.note("leaked")), e.Go(with, j.note("leaked")))
		})
		if err != nil {
			return err
		}
		for range 4 {
			if err := errors.Join(e.Go(executor.WithTaskName(ctx, "child"), j.note("child")), e.Go(with, j.note("child"))); err != nil {
				return err
			}
		}
		return nil
	}))
	require.EqualValues(t, 13, laneStats(t, e, "b").Submitted)
	for range 4 { // but those of a context that has leaked are
		require.NoError(t, e.Go(ctx, j.note("leaked")))
		quiet(t, e)
	}
	require.EqualValues(t, 17, laneStats(t, e, "b").Submitted)

	before := e.Report().Waits.Count
	for range 40 {
		require.NoError(t, e.Go(b, j.note("b")))
		quiet(t, e)
	}
	require.InDelta(t, 4, e.Report().Waits.Count-before, 1, "one in ten is measured")

	held = stick(t, e, 1)
	for range 4 {
		require.NoError(t, e.TryGo(b, j.note("last")))
	}
	closed := make(chan error)
	go func() { closed <- e.Shutdown(context.Background()) }()
	eventually(t, "it is closed", func() bool { return errors.Is(e.TryGo(context.TODO(), j.note("before")), executor.ErrClosed) })
	require.ErrorIs(t, e.TryGo(b, j.note("last")), executor.ErrClosed)
	held.Open()
	require.NoError(t, await(t, "the end", closed))
	require.Equal(t, 4, times(j.all(), "last"))
}

// As the test above, for a lane whose tasks have holds. Mutant seen to fail: the short way is open to them.
func TestLanes_TheShortWayIsClosedToHolds(t *testing.T) {
	e := bare(t, 2, executor.WithLanes(executor.Lane{Name: "one", Max: 1}))
	one, held := inLane("one"), newGate(t)
	for range 4 {
		require.NoError(t, e.Go(one, func(context.Context) {}))
		quiet(t, e)
	}
	for range 2 {
		require.NoError(t, e.Go(one, func(context.Context) { held.Wait() }))
	}
	eventually(t, "one runs", func() bool { return laneStats(t, e, "one").Running == 1 })
	require.Equal(t, 1, laneStats(t, e, "one").Queued)
	held.Open()
	quiet(t, e)
}

// Each lane is refused early by what waits in it alone. Mutants seen to fail: the short way does not ask; a lane asks another one's.
func TestLanes_EachHasItsOwnDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := bare(t, 1, executor.WithQueueDelay(10*time.Millisecond), executor.WithLanes(executor.Lane{Name: "heavy"}, executor.Lane{Name: "light", Weight: 9}))
		heavy, light, refused := inLane("heavy"), inLane("light"), 0
		work := func(context.Context) { time.Sleep(time.Millisecond) }
		for i := range 3000 { // 150 % of what the slot can do
			time.Sleep(2 * time.Millisecond / 3)
			if i%10 == 0 {
				require.NoError(t, e.Go(light, work))
			} else if err := e.Go(heavy, work); err != nil {
				require.ErrorIs(t, err, executor.ErrOverloaded)
				refused++
			}
		}
		require.InDelta(t, 1000, refused, 100)
		require.EqualValues(t, refused, laneStats(t, e, "heavy").Shed)
		require.Zero(t, laneStats(t, e, "light").Shed)
		require.NoError(t, e.Shutdown(context.Background()))
	})
}
