package executor

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/cgroup"
	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/meter"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Mutant: a stack is kept as it is.
func TestReport_StacksHaveNoArgumentsAndNoLabels(t *testing.T) {
	stack := "goroutine 7 [chan receive, 2 minutes labels:{\"user\": \"alice\"}]:\n" +
		"main.(*Shop).buy(0xc000123, {0xc000456, 0x5})\n\t/src/shop.go:12 +0x1f\n" +
		"main.main.func1()\n\t/src/main.go:9\n" +
		ScopeName + ".(*runner).bare(...)\n\t/src/job.go:1 +0x2\n" +
		"created by main.(*Shop).open in goroutine 1\n\t/src/shop.go:3 +0x9"
	plain := plainStack(stack)
	require.Equal(t, "goroutine 7 [chan receive, 2 minutes]:\n"+
		"main.(*Shop).buy\n\t/src/shop.go:12\n"+
		"main.main.func1\n\t/src/main.go:9\n"+
		ScopeName+".(*runner).bare\n\t/src/job.go:1\n"+
		"created by main.(*Shop).open in goroutine 1\n\t/src/shop.go:3", plain)
	require.Equal(t, "main.main.func1", taskFunction(plain))
	require.Equal(t, "main.(*Shop).buy", topFrame(plain))
	require.Equal(t, "", taskFunction("goroutine 1 [running]:\n"+ScopeName+".(*runner).nextTask\n\t/src/runner.go:1"))
	require.LessOrEqual(t, len(plainStack(strings.Repeat("f(0x1)\n", 1<<16))), maxRecentStack)
}

func TestReport_WhatAGoroutineDoes(t *testing.T) {
	for stack, want := range map[string]string{
		"goroutine 1 [running]:\nmain.f()":                                 "computing",
		"goroutine 1 [runnable, locked to thread]:\nmain.f()":              "computing",
		"goroutine 1 [GC assist wait]:\nmain.f()":                          "computing",
		"goroutine 1 [syscall, 2 minutes]:\nsyscall.Syscall(0x1)":          "syscall",
		"goroutine 1 [syscall]:\nmain._Cfunc_sleep(0x1)\n\tx.go:1\nmain.f": "cgo",
		"goroutine 1 [chan receive]:\nmain.f()":                            "chan receive",
		"goroutine 1 [IO wait labels:{\"a\": \"b\"}]:\nmain.f()":           "IO wait",
		"goroutine 1 [select (scan)]:\nmain.f()":                           "select",
		"":                                                                 "",
	} {
		require.Equal(t, want, doing(stack), stack)
	}
}

// Mutant: the ring grows. Mutant: what keeps happening drives out the rest.
func TestReport_EventsAreBoundedAndCounted(t *testing.T) {
	var ev events
	for range 1000 {
		ev.panicked("often", &PanicError{Value: "same", Stack: []byte("main.often(0x1)\n\tx.go:1")})
		ev.panicked("", &PanicError{Value: strings.Repeat("long ", 1<<16), Stack: []byte("main.other(0x1)\n\tx.go:1")})
	}
	panics, stalls := ev.list()
	require.Empty(t, stalls)
	require.Len(t, panics, 2)
	require.Equal(t, 1000, panics[1].Count)
	require.Equal(t, "often", panics[1].Task)
	require.Less(t, len(panics[0].Panic), 2*maxRecentText)
	for i := range 100 {
		ev.stalled("", &StallInfo{Reason: StallBlocked, Queued: i, Ages: []time.Duration{time.Second}, Stack: "main.f" + strings.Repeat("x", i) + "()\n\tx.go:1\n" + ScopeName + ".(*runner).bare()\n"})
	}
	_, stalls = ev.list()
	require.Len(t, stalls, maxRecent)
	e := stalls[0]
	require.Equal(t, []any{StallBlocked, time.Second, 1, 99}, []any{e.Reason, e.Age, e.Still, e.Queued})
}

func TestReport_PanicValues(t *testing.T) {
	type secret struct{ password string }
	for _, c := range []struct {
		value any
		want  string
	}{
		{"text", "text"},
		{42, "42"},
		{2.5, "2.5"},
		{ErrQueueFull, "executor: queue full"},
		{time.Second, "1s"},
		{&secret{"x"}, "(*executor.secret)"},
		{secret{"x"}, "(executor.secret)"},
		{[]string{"x"}, "([]string)"},
	} {
		require.Equal(t, c.want, panicText(c.value))
	}
}

func TestDurationCounts_QuantilesAreCloseToTheTruth(t *testing.T) {
	var h meter.Histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		all = append(all, d)
		h.Record(d)
	}
	slices.Sort(all)
	c := durationCounts(&h)
	require.EqualValues(t, len(all), c.Count)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
		truth := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := c.Quantile(q)
		require.GreaterOrEqual(t, got, truth, "%g", q)
		require.LessOrEqual(t, float64(got), float64(truth)*1.125+1, "%g", q)
	}
}

func TestDurationCounts_DifferencesAndEmptiness(t *testing.T) {
	var h meter.Histogram
	empty := durationCounts(&h)
	require.Zero(t, empty.Quantile(0.99))
	require.Zero(t, empty.Mean())
	h.Record(time.Second)
	before := durationCounts(&h)
	h.Record(time.Millisecond)
	h.Record(3 * time.Millisecond)
	now := durationCounts(&h)
	d := now.Since(before)
	require.EqualValues(t, 2, d.Count)
	require.Equal(t, 2*time.Millisecond, d.Mean())
	require.Less(t, d.Quantile(1), 4*time.Millisecond)
	require.GreaterOrEqual(t, now.Quantile(1), time.Second)
}

// One panic that comes up through ten Joins is one event (not eleven).
//
// Mutant: whoever hands a panic on notes it again.
func TestReport_APanicThatComesUpIsOneEvent(t *testing.T) {
	e := newTested(t, WithSlots(2))
	var deep func(ctx context.Context, n int) int
	deep = func(ctx context.Context, n int) int {
		if n == 0 {
			panic("once")
		}
		return Fork(ctx, func(ctx context.Context) int { return deep(ctx, n-1) }).Join(ctx)
	}
	f, err := Submit(t.Context(), e, func(ctx context.Context) (int, error) { return deep(ctx, 10), nil })
	require.NoError(t, err)
	_, err = f.Wait(t.Context())
	require.Error(t, err)
	panics := e.Report().Panics
	require.Len(t, panics, 1)
	require.Equal(t, 1, panics[0].Count)
	require.Equal(t, "once", panics[0].Panic)
}

// Mutants: a group is not listed, or for ever, or twice; what is held counts as started; those who wait are not counted.
func TestReport_Groups(t *testing.T) {
	e := newTested(t, WithSlots(2), WithMaxSpares(4), WithStallDetection(false))
	ctx := WithTaskName(context.Background(), "thumbnails")
	limited, free := e.NewGroup(ctx), e.NewGroup(context.Background())
	limited.SetLimit(2)
	limited.SetBacklog(3)
	gate := make(chan struct{})
	wait := func(ctx context.Context) error { Blocking(ctx, func() { <-gate }); return nil }
	require.Empty(t, e.Report().Groups)
	for range 5 {
		limited.Go(wait)
	}
	free.Go(wait)
	atBound := make(chan struct{})
	go func() { defer close(atBound); limited.Go(wait) }()
	testkit.Eventually(t, "one waits at the bound", func() bool {
		g := e.Report().Groups
		return len(g) == 2 && g[0].Waiting == 1
	})
	require.Equal(t, []GroupInfo{
		{Name: "thumbnails", Limit: 2, Backlog: 3, Active: 5, Started: 2, Held: 3, Waiting: 1},
		{Limit: -1, Backlog: e.inject.limit, Active: 1, Started: 1},
	}, e.Report().Groups)
	close(gate)
	testkit.Await(t, "the one at the bound gets room", atBound)
	require.NoError(t, limited.Wait())
	require.NoError(t, free.Wait())
	require.Empty(t, e.Report().Groups)

	bad, begun, on := errors.New("bad"), make(chan struct{}), make(chan struct{}) // and in a second round
	limited.Go(func(context.Context) error { close(begun); <-on; return nil })
	testkit.Await(t, "the first one begins", begun) // or the error would drop it
	limited.Go(func(context.Context) error { return bad })
	testkit.Eventually(t, "it has failed", func() bool {
		g := e.Report().Groups
		return len(g) == 1 && g[0].Failed && g[0].Active == 1
	})
	close(on)
	require.ErrorIs(t, limited.Wait(), bad)

	b, err := NewBulkhead("in a report", 3)
	require.NoError(t, err)
	require.Contains(t, e.Report().Bulkheads, BulkheadStats{Name: "in a report", Limit: 3})
	runtime.KeepAlive(b)
}

// Many groups at once, each with rounds that begin and end: what is listed stays whole, and is empty at the end.
func TestReport_GroupsComeAndGo(t *testing.T) {
	t.Parallel()
	e := newTested(t, WithSlots(4))
	var wg sync.WaitGroup
	var over atomic.Bool
	for range 8 {
		wg.Go(func() {
			g := e.NewGroup(context.Background())
			for range testkit.Scaled(1000) {
				for range 3 {
					g.Go(func(context.Context) error { return nil })
				}
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	looks := make(chan int)
	go func() {
		most := 0
		for !over.Load() {
			most = max(most, len(e.groups.look(&e.inject)))
		}
		looks <- most
	}()
	wg.Wait()
	over.Store(true)
	require.LessOrEqual(t, <-looks, 8)
	require.Empty(t, e.groups.look(&e.inject))
	for i := range e.groups {
		require.Nil(t, e.groups[i].first)
	}
}

// GroupInfo.Others counts who waits for room with a task that is not of the group: a bare one, or of another group.
//
// Mutants: its own are among them; those of another group are not.
func TestReport_OthersThatWaitForRoom(t *testing.T) {
	e := newTested(t, WithSlots(1), WithQueueLimit(2), WithStallDetection(false))
	gate, begun := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(t.Context(), func(context.Context) { close(begun); <-gate }))
	testkit.Await(t, "the slot is taken", begun)
	var went sync.WaitGroup
	nothing := func(context.Context) error { return nil }
	a, b := e.NewGroup(WithTaskName(t.Context(), "a")), e.NewGroup(WithTaskName(t.Context(), "b"))
	a.Go(nothing)
	b.Go(nothing) // and the queue is full
	for i, submit := range []func(){
		func() { a.Go(nothing) }, func() { a.Go(nothing) }, func() { b.Go(nothing) },
		func() { _ = e.Go(t.Context(), func(context.Context) {}) },
	} {
		went.Go(submit)
		testkit.Eventually(t, "it waits for room", func() bool { return e.Stats().Waiting == i+1 })
	}
	others := make(map[string]int)
	for _, g := range e.Report().Groups {
		others[g.Name] = g.Others
	}
	require.Equal(t, map[string]int{"a": 2, "b": 3}, others)
	close(gate)
	went.Wait()
	require.NoError(t, a.Wait())
	require.NoError(t, b.Wait())
}

func TestStall_ReasonFollowsTheOldestTask(t *testing.T) {
	for _, c := range []struct{ header, reason, want string }{
		{"", StallBlocked, StallBlocked},
		{"", StallCPU, StallCPU},
		{"goroutine 7 [running]:\nmain.f()", StallBlocked, StallCPU},
		{"goroutine 7 [runnable]:\nmain.f()", StallSpares, StallCPU},
		{"goroutine 7 [preempted (scan)]:", StallBlocked, StallCPU},
		{"goroutine 7 [GC assist wait, 1 minutes]:", StallBlocked, StallCPU},
		{"goroutine 7 [running, locked to thread]:", StallCPU, StallCPU},
		{"goroutine 7 [sleep]:", StallCPU, StallBlocked},
		{"goroutine 7 [chan receive, 2 minutes, locked to thread]:", StallCPU, StallBlocked},
		{"goroutine 7 [IO wait]:", StallSpares, StallSpares},
		{"goroutine 7 [syscall]:", StallCPU, StallCPU},
		{"goroutine 7 [syscall, 1 minutes]:", StallBlocked, StallBlocked},
	} {
		require.Equal(t, c.want, reasonOf(c.header, c.reason), "%q, %s", c.header, c.reason)
	}
}

// S4: only what the runtime names as waiting is certain. In C or in a system call, both is possible.
func TestStall_CertaintyFollowsTheState(t *testing.T) {
	for state, want := range map[string]certainty{
		"running": mayCompute, "runnable": mayCompute, "preempted (scan)": mayCompute, "GC assist wait": mayCompute,
		"GC assist marking": mayCompute, "coroutine": mayCompute, "something new": mayCompute, "": mayCompute,
		"syscall": inCall, "syscall, 1 minutes, locked to thread": inCall,
		"chan receive": waits, "chan send, 2 minutes": waits, "chan receive (nil chan)": waits, "select": waits, "select (no cases)": waits,
		"sleep": waits, "IO wait": waits, "semacquire": waits, "sync.Mutex.Lock": waits, "sync.WaitGroup.Wait": waits, "sync.Cond.Wait": waits,
	} {
		require.Equal(t, want, certaintyOf("goroutine 7 ["+state+"]:\nmain.f()"), state)
	}
	require.Equal(t, mayCompute, certaintyOf(""))
}

// stackOf must give the whole stack of just the goroutine it is asked for, the last one in the dump
// included, and nothing for one that has ended.
func TestStall_StackIsThatOfTheGoroutine(t *testing.T) {
	const n = 300
	release := make(chan struct{})
	ids := make(chan int64, n)
	for range n {
		go stallTestSleeper(ids, release)
	}
	all := make([]int64, 0, n)
	for range n {
		all = append(all, <-ids)
	}
	for _, id := range all[:20] {
		stack := stackOf(id)
		require.Contains(t, stack, "stallTestSleeper")
		require.NotContains(t, stack, "\n\n")
		require.Equal(t, 1, countHeaders(stack), stack)
	}
	require.NotEmpty(t, stackOf(slices.Max(all)))
	close(release)
	ended := make(chan int64)
	go func() { ended <- goid.ID() }()
	id := <-ended
	for stackOf(id) != "" { // it may be about to end
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func stallTestSleeper(ids chan<- int64, release <-chan struct{}) {
	ids <- goid.ID()
	<-release
}

func countHeaders(stack string) int {
	n := 0
	for line := range strings.Lines(stack) {
		if len(line) > 10 && line[:10] == "goroutine " {
			n++
		}
	}
	return n
}

// The processor time counts, on the systems where it is known.
func TestStall_ProcessTimeGrowsWithWork(t *testing.T) {
	start := cgroup.ProcessTime()
	if start == 0 {
		t.Skip("the processor time is not known on this system")
	}
	for guard := time.Now().Add(30 * time.Second); cgroup.ProcessTime() <= start; {
		require.True(t, time.Now().Before(guard), "the processor time stands still")
	}
}
