package executor_test

import (
	"context"
	"fmt"
	"runtime"
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

var inLane = func(name string) context.Context { return executor.WithLane(context.Background(), name) }

// journal is the order in which tasks started.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) func(context.Context) {
	return func(context.Context) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, line)
	}
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

func times(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

func laneStats(t testing.TB, e *executor.Executor, name string) executor.LaneStats {
	t.Helper()
	for _, l := range e.Stats().Lanes {
		if l.Name == name {
			return l
		}
	}
	require.Fail(t, "no such lane", name)
	return executor.LaneStats{}
}

func TestLanes_BadOnesAreAllReported(t *testing.T) {
	_, err := executor.New(executor.WithSlots(2), executor.WithLanes(
		executor.Lane{Name: "a", Weight: -1}, executor.Lane{Name: "b", Weight: 1_000_001}, executor.Lane{Name: "c", Reserved: -2},
		executor.Lane{Name: "d", Max: -3}, executor.Lane{Name: "e", QueueLimit: -4}, executor.Lane{Name: "f", Max: 1, Reserved: 2}, executor.Lane{Name: "a"}))
	require.Error(t, err)
	for _, line := range []string{
		`executor: WithLanes: Lane{Name: "a", Weight: -1}: must not be negative`,
		`executor: WithLanes: Lane{Name: "b", Weight: 1000001}: must be at most 1000000`,
		`executor: WithLanes: Lane{Name: "c", Reserved: -2}: must not be negative`,
		`executor: WithLanes: Lane{Name: "d", Max: -3}: must not be negative`,
		`executor: WithLanes: Lane{Name: "e", QueueLimit: -4}: must not be negative`,
		`executor: WithLanes: Lane{Name: "f", Reserved: 2}: must be at most its Max, which is 1`,
		`executor: WithLanes: Lane{Name: "a"}: must not be listed twice`,
	} {
		require.Contains(t, strings.Split(err.Error(), "\n"), line)
	}
	_, err = executor.New(executor.WithLanes(make([]executor.Lane, 9)...))
	require.EqualError(t, err, "executor: WithLanes: 9 lanes: must be at most 8")
	for _, opts := range [][]executor.Option{ // in any order
		{executor.WithSlots(3), executor.WithLanes(executor.Lane{Name: "a", Reserved: 2}, executor.Lane{Name: "b", Reserved: 2})},
		{executor.WithLanes(executor.Lane{Name: "a", Reserved: 2}, executor.Lane{Name: "b", Reserved: 2}), executor.WithSlots(3)},
	} {
		_, err = executor.New(opts...)
		require.EqualError(t, err, "executor: WithLanes: Reserved is 4 in all lanes together: must be at most the slots, which are 3")
	}
	n := runtime.GOMAXPROCS(0)
	_, err = executor.New(executor.WithName("reserved"), executor.WithLanes(executor.Lane{Name: "a", Reserved: n + 1}))
	require.ErrorContains(t, err, "must be at most the slots")
	e := newExecutor(t, executor.WithName("reserved"), executor.WithLanes(executor.Lane{Name: "a", Reserved: 1}))
	require.Equal(t, "reserved", e.Name(), "what New has refused has no name")
}

func TestLanes_AnUnknownNameIsAnErrorEverywhere(t *testing.T) {
	ctx := inLane("nowhere")
	for _, e := range []*executor.Executor{
		bare(t, 1, executor.WithName("laned"), executor.WithLanes(executor.Lane{Name: "a"})), bare(t, 1, executor.WithName("laned")),
	} {
		want := fmt.Sprintf(`executor: WithLane("nowhere"): the executor %q has no such lane`, e.Name())
		none := func(context.Context) {}
		fails := func(context.Context) error { t.Error("ran"); return nil }
		result := func(context.Context) (int, error) { return 0, nil }
		require.EqualError(t, e.Go(ctx, none), want)
		require.EqualError(t, e.TryGo(ctx, none), want)
		require.EqualError(t, e.Do(ctx, fails), want)
		require.EqualError(t, e.TryDo(ctx, fails), want)
		_, err := executor.Submit(ctx, e, result)
		require.EqualError(t, err, want)
		g := e.NewGroup(ctx)
		g.Go(fails)
		require.EqualError(t, g.Wait(), want)
		require.EqualError(t, executor.NewSerial(e).Go(ctx, none), want)
		_, err = executor.SubmitKey(ctx, executor.NewKeyed[int](e), 1, result)
		require.EqualError(t, err, want)
		_, err = e.After(ctx, time.Hour, none)
		require.EqualError(t, err, want)
		require.NoError(t, e.Go(inLane(""), none), "the lane without a name is always there")
		require.Zero(t, quiet(t, e).Rejected)
	}
}

// Mutant seen to fail: every lane has weight 1.
func TestLanes_TheLightOneGetsItsHundredth(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 3} {
		e := bare(t, slots, executor.WithLanes(
			executor.Lane{Name: "heavy", Weight: 100, QueueLimit: 40_000}, executor.Lane{Name: "light", QueueLimit: 40_000}))
		held := stick(t, e, slots)
		var heavy, light, atEnd atomic.Int64
		const n = 20_000
		for range n {
			require.NoError(t, e.TryGo(inLane("heavy"), func(context.Context) {
				if heavy.Add(1) == n/2 { // before a lane has run dry
					atEnd.Store(light.Load())
				}
			}))
			require.NoError(t, e.TryGo(inLane("light"), func(context.Context) { light.Add(1) }))
		}
		held.Open()
		quiet(t, e)
		require.InDelta(t, n/2/100, atEnd.Load(), n/2/100*0.2)
		require.EqualValues(t, n, laneStats(t, e, "light").Taken)
	}
}

// Mutant seen to fail: a lane that comes back has the turns that it has missed.
func TestLanes_APauseGivesNoCredit(t *testing.T) {
	e := bare(t, 1, executor.WithLanes(executor.Lane{Name: "a"}, executor.Lane{Name: "b"}))
	var j journal
	for range 500 { // b is away
		require.NoError(t, e.Go(inLane("a"), func(context.Context) {}))
	}
	quiet(t, e)
	held := stick(t, e, 1)
	for range 100 {
		require.NoError(t, e.Go(inLane("a"), j.note("a")))
		require.NoError(t, e.Go(inLane("b"), j.note("b")))
	}
	held.Open()
	quiet(t, e)
	require.InDelta(t, 50, times(j.all()[:100], "b"), 33, "it does not catch up") // a batch may be on its way
}

// Mutants seen to fail: shares are not looked at; the lanes that have not reserved anything come in batches.
func TestLanes_AReservedSlotIsThereWithinOneTask(t *testing.T) {
	e := bare(t, 2, executor.WithLanes(executor.Lane{Name: "background", Weight: 1000}, executor.Lane{Name: "urgent", Reserved: 1}))
	require.NoError(t, inTaskWith(inLane("urgent"), t, e, func(context.Context) error { return nil })) // its turn by weight is far away now
	held := stick(t, e, 1)
	step := make(chan struct{})
	var j journal
	for range 50 {
		require.NoError(t, e.Go(inLane("background"), func(ctx context.Context) {
			j.note("background")(ctx)
			<-step
		}))
	}
	eventually(t, "one runs", func() bool { return len(j.all()) == 1 })
	for range 3 {
		require.NoError(t, e.Go(inLane("urgent"), func(ctx context.Context) {
			j.note("urgent")(ctx)
			<-step
		}))
	}
	step <- struct{}{}
	eventually(t, "the next one", func() bool { return len(j.all()) == 2 })
	require.Equal(t, []string{"background", "urgent"}, j.all())
	require.Equal(t, 1, laneStats(t, e, "urgent").Running)
	held.Open() // its slot is for anybody: the share is taken
	eventually(t, "the next one", func() bool { return len(j.all()) == 3 })
	require.Equal(t, "background", j.all()[2])
	close(step)
	quiet(t, e)
	require.Zero(t, laneStats(t, e, "urgent").Running)
}

// Mutants seen to fail: who blocks stays counted; who comes back is not counted.
func TestLanes_MaxCountsTasksWithASlot(t *testing.T) {
	e := spared(t, 3, 3, executor.WithLanes(executor.Lane{Name: "few", Max: 2}))
	var p testkit.Peak
	gates := [2]*testkit.Gate{newGate(t), newGate(t)}
	for range 2 { // two that lend their slots are none
		require.NoError(t, e.Go(inLane("few"), func(ctx context.Context) {
			executor.Blocking(ctx, gates[0].Wait)
			gates[1].Wait()
		}))
	}
	eventually(t, "both block", func() bool { return e.Stats().Blocked == 2 })
	for range 20 {
		require.NoError(t, e.Go(inLane("few"), func(context.Context) {
			p.Enter()
			defer p.Leave()
			gates[1].Wait()
		}))
	}
	eventually(t, "two more run", func() bool { return p.Now() == 2 && laneStats(t, e, "few").Running == 2 })
	require.NoError(t, result(t, must(executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 0, nil }))), "others go on")
	gates[0].Open()
	eventually(t, "they are back, beside their Max", func() bool { return laneStats(t, e, "few").Running == 4 })
	require.EqualValues(t, 2, p.Max())
	gates[1].Open()
	quiet(t, e)
	require.EqualValues(t, 2, p.Max())
	require.NoError(t, executor.Settled(e, guard))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A Max is exact, whatever ends a task. Mutants seen to fail: a Max is not looked at; the end of a task is not counted; a drain goes
// on with tasks of another lane; what a group holds back goes to a deque.
func TestLanes_MaxIsExact(t *testing.T) {
	t.Parallel()
	e := newExecutor(t, executor.WithSlots(4), executor.WithLanes(executor.Lane{Name: "one", Max: 1}, executor.Lane{Name: "two", Max: 2, Fair: true}),
		executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	var one, two testkit.Peak
	s := executor.NewSerial(e)
	run := func(p *testkit.Peak, i int) func(context.Context) {
		return func(context.Context) {
			p.Enter()
			defer p.Leave()
			runtime.Gosched()
			switch i % 16 {
			case 3:
				panic("on purpose")
			case 5:
				runtime.Goexit()
			}
		}
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range scaled(2000) {
				ctx, p := inLane("one"), &one
				if i%3 == 0 {
					ctx, p = executor.WithTenant(inLane("two"), fmt.Sprint(i%7)), &two
				}
				fn := run(p, i)
				switch (i + n) % 5 {
				case 0:
					require.NoError(t, e.Go(ctx, fn))
				case 1:
					func() {
						defer func() { _ = recover() }()
						_ = e.Do(ctx, func(ctx context.Context) error {
							if i%16 != 5 { // the test's own goroutine
								fn(ctx)
							}
							return nil
						})
					}()
				case 2:
					_, _ = must(executor.Submit(ctx, e, func(ctx context.Context) (int, error) { fn(ctx); return 0, nil })).Wait(context.Background())
				case 3:
					require.NoError(t, s.Go(ctx, fn))
				case 4:
					g := e.NewGroup(ctx)
					g.SetLimit(1)
					for range 3 {
						g.Go(func(ctx context.Context) error { fn(ctx); return nil })
					}
					_ = g.Wait()
				}
			}
		})
	}
	wg.Wait()
	quiet(t, e)
	require.EqualValues(t, 1, one.Max())
	require.LessOrEqual(t, two.Max(), int64(2))
	require.NoError(t, executor.Settled(e, guard))
}

// Mutants seen to fail: tenants are not asked for; the one that has had most goes next.
func TestLanes_ATenantWithManyTasksDelaysNobody(t *testing.T) {
	for _, slots := range []int{1, 2} {
		e := bare(t, slots, executor.WithQueueLimit(20_000), executor.WithLanes(executor.Lane{Fair: true}))
		tenant := func(name string) context.Context { return executor.WithTenant(context.Background(), name) }
		held := stick(t, e, slots)
		var j journal
		for range 10_000 {
			require.NoError(t, e.TryGo(tenant("elephant"), j.note("elephant")))
		}
		for i := range 10 {
			require.NoError(t, e.TryGo(tenant(fmt.Sprint("mouse", i)), j.note("mouse")))
		}
		held.Open()
		quiet(t, e)
		// A runner may stand still between taking a mouse and noting it, while the others go on.
		require.GreaterOrEqual(t, times(j.all()[:11+slots], "mouse"), 10-(slots-1))
	}
}

// Who has had more of the time gets less of it, whatever the numbers. Mutant seen to fail: a task is not charged for its time.
func TestLanes_TenantsAreFairByTimeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := bare(t, 1, executor.WithLanes(executor.Lane{Name: "fair", Fair: true}))
		var spent [2]atomic.Int64
		for i, length := range []time.Duration{100 * time.Millisecond, 10 * time.Millisecond} {
			name := fmt.Sprint("tenant", i)
			for range 400 {
				require.NoError(t, e.Go(executor.WithTenant(inLane("fair"), name), func(context.Context) {
					time.Sleep(length)
					spent[i].Add(int64(length))
				}))
			}
		}
		time.Sleep(6 * time.Second)
		require.InDelta(t, time.Duration(spent[0].Load()).Seconds(), time.Duration(spent[1].Load()).Seconds(), 0.3)
		require.NoError(t, e.Close())
	})
}

func TestLanes_EachHasItsOwnBound(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(3), executor.WithLanes(executor.Lane{Name: "a", QueueLimit: 2}, executor.Lane{Name: "b"}))
	held := stick(t, e, 1)
	var j journal
	fill := func(lane string, n int) {
		for range n {
			require.NoError(t, e.TryGo(inLane(lane), j.note(lane)))
		}
		require.ErrorIs(t, e.TryGo(inLane(lane), j.note(lane)), executor.ErrQueueFull)
	}
	fill("a", 2)
	fill("b", 3)
	fill("", 3)
	s := e.Stats()
	require.Equal(t, []int{8, 8}, []int{s.Queued, s.QueueLimit})
	require.EqualValues(t, 1, laneStats(t, e, "a").Rejected)
	waits := make(chan error)
	go func() { waits <- e.Go(inLane("a"), j.note("late")) }()
	eventually(t, "it waits for room in its lane", func() bool { return laneStats(t, e, "a").Waiting == 1 && e.Stats().Waiting == 1 })
	ctx, cancel := context.WithCancel(inLane("b"))
	go func() { waits <- e.Go(ctx, j.note("never")) }()
	eventually(t, "another one", func() bool { return e.Stats().Waiting == 2 })
	cancel()
	require.ErrorIs(t, await(t, "it leaves", waits), context.Canceled)
	held.Open()
	require.NoError(t, await(t, "room", waits))
	quiet(t, e)
	require.Len(t, j.all(), 9)
	require.NotContains(t, j.all(), "never")
}

func TestLanes_SharesShrinkWithTheSlots(t *testing.T) {
	e := bare(t, 4, executor.WithLanes(executor.Lane{Name: "a", Reserved: 3}, executor.Lane{Name: "b", Reserved: 1}))
	shares := func() []int { return []int{laneStats(t, e, "a").Share, laneStats(t, e, "b").Share} }
	require.Equal(t, []int{2, 1}, shares(), "one slot is left to others")
	for slots, want := range map[int][]int{8: {3, 1}, 4: {2, 1}, 3: {1, 1}, 2: {1, 0}, 1: {0, 0}} {
		require.NoError(t, e.Resize(slots))
		require.Equal(t, want, shares(), "%d slots", slots)
		require.NoError(t, inTask(t, e, func(context.Context) error { return nil }))
	}
}
