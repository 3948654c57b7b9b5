package executor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each rule of the advice, with a state in which it speaks and one, as near as can be, in which it does not.
// Mutant: drop a condition from a rule, or move a bound.
func TestDebug_AdviceRules(t *testing.T) {
	const ms = time.Millisecond
	slot := func(in string, age time.Duration, overdue bool) []DebugSlot {
		return []DebugSlot{
			{Slot: 0, State: "idle"},
			{Slot: 1, State: "running", Task: "resize", Age: age, In: in, Overdue: overdue},
			{Slot: 2, State: "running", Age: ms},
		}
	}
	times := func(count uint64, p50, p99 time.Duration) DebugTimes {
		return DebugTimes{Count: count, P50: p50, P99: p99}
	}
	open := func(d DebugState) DebugState {
		d.Lifecycle, d.Budget, d.MaxSpares = "open", 10*ms, 8
		d.Window.Length = time.Minute
		return d
	}
	for _, c := range []struct {
		kind           string
		speaks, silent DebugState
		says           []string
	}{
		{
			AdviceCheckpoint,
			DebugState{Slots: slot("computing", 300*ms, true), Stats: Stats{Queued: 5}},
			DebugState{Slots: slot("computing", 300*ms, false), Stats: Stats{Queued: 5}},
			[]string{"resize", "slot 1", "300 ms", "budget of 10 ms", "5 others wait", "executor.Checkpoint(ctx)"},
		},
		{
			AdviceCheckpoint,
			DebugState{Slots: slot("", 300*ms, true), Stats: Stats{Queued: 1}}, // its stack is not known
			DebugState{Slots: slot("computing", 300*ms, true)},                 // nobody waits
			nil,
		},
		{
			AdviceCgo,
			DebugState{Slots: slot("cgo", 20*ms, false)},
			DebugState{Slots: slot("cgo", 19*ms, false)},
			[]string{"resize", "C call", "20 ms", "Bulkhead", "bulkhead.Blocking(ctx, fn)"},
		},
		{
			AdviceSyscall,
			DebugState{Slots: slot("syscall", 20*ms, false)},
			DebugState{Slots: slot("syscall", 19*ms, false)},
			[]string{"resize", "system call", "20 ms", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceBlocked,
			DebugState{Slots: slot("chan receive", 3*time.Second, false)},
			DebugState{Slots: slot("", 3*time.Second, false)},
			[]string{"resize", "3 s", "chan receive", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceLatency,
			DebugState{Wait: times(30, 0, 11*ms), Run: times(30, ms, ms)},
			DebugState{Wait: times(30, 0, 10*ms), Run: times(30, ms, ms)},
			[]string{"11 ms", "1 ms", "Checkpoint"},
		},
		{
			AdviceLatency,
			DebugState{Wait: times(30, 0, ms), Run: times(30, 0, 0)},
			DebugState{Wait: times(29, 0, time.Second), Run: times(30, ms, ms)}, // too few
			nil,
		},
		{
			AdviceRejections,
			DebugState{Window: DebugWindow{Rejected: 3, RejectedFull: 1}, Stats: Stats{QueueLimit: 7}},
			DebugState{Stats: Stats{Rejected: 1000}}, // long ago
			[]string{"3 submissions were refused", "1 of them", "60 s", "limit 7", "e.Go(ctx, fn)", "WithQueueLimit"},
		},
		{
			AdviceRejections,
			DebugState{Window: DebugWindow{Rejected: 1}},
			DebugState{},
			[]string{"1 submission was refused", "contexts ended", "e.TryGo(ctx, fn)"},
		},
		{
			AdviceSpares,
			DebugState{Window: DebugWindow{Uncompensated: 3}},
			DebugState{Stats: Stats{Uncompensated: 3}}, // long ago
			[]string{"3 times", "all 8 spares", "WithMaxSpares(n)", "NewBulkhead"},
		},
		{
			AdviceSpares,
			DebugState{Window: DebugWindow{NoSpare: 1}},
			DebugState{Stats: Stats{StallsNoSpare: 1}},
			nil,
		},
		{
			AdviceThrottled,
			DebugState{Window: DebugWindow{Periods: 100, Throttled: 6}},
			DebugState{Window: DebugWindow{Periods: 100, Throttled: 5}},
			[]string{"6 of 100 periods", "e.Go(ctx, fn)"},
		},
		{
			AdviceThrottled,
			DebugState{Window: DebugWindow{Periods: 100, Throttled: 6}, Sizing: Sizing{Fixed: true}},
			DebugState{Sizing: Sizing{Fixed: true}},
			[]string{"slots is fixed", "e.Resize(0)"},
		},
	} {
		d := open(c.silent)
		require.Empty(t, advise(&d), "%s: nothing is wrong", c.kind)
		d = open(c.speaks)
		all := advise(&d)
		require.Len(t, all, 1, c.kind)
		require.Equal(t, c.kind, all[0].Kind)
		require.NotEmpty(t, all[0].Remedy)
		require.NotEmpty(t, all[0].Call)
		for _, words := range c.says {
			require.Contains(t, all[0].Problem+" "+all[0].Remedy+" "+all[0].Call, words)
		}
		require.NotContains(t, all[0].Problem, "%!", "a format that does not fit")
	}
	d := open(DebugState{Window: DebugWindow{Rejected: 9}})
	d.Lifecycle = "draining"
	require.Empty(t, advise(&d), "a closed executor refuses, as it should")
	d = open(DebugState{Window: DebugWindow{Uncompensated: 1}})
	d.MaxSpares = 0
	require.Contains(t, advise(&d)[0].Problem, "turned off")
	d = open(DebugState{Slots: slot("syscall", time.Second, false)})
	d.Slots = append(d.Slots, DebugSlot{Slot: 3, State: "running", In: "syscall", Age: time.Minute})
	require.Contains(t, advise(&d)[0].Problem, "slot 3", "the oldest")
}

// Mutant: a stack is kept as it is.
func TestDebug_StacksHaveNoArgumentsAndNoLabels(t *testing.T) {
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

func TestDebug_WhatAGoroutineDoes(t *testing.T) {
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
func TestDebug_EventsAreBoundedAndCounted(t *testing.T) {
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
	require.Less(t, len(panics[0].What), 2*maxRecentText)
	for i := range 100 {
		ev.stalled("", &StallInfo{Reason: StallBlocked, Queued: i, Ages: []time.Duration{time.Second}, Stack: "main.f" + strings.Repeat("x", i) + "()\n\tx.go:1\n" + ScopeName + ".(*runner).bare()\n"})
	}
	_, stalls = ev.list()
	require.Len(t, stalls, maxRecent)
	require.Equal(t, "blocks outside of Blocking for 1 s; 1 stood still, 99 waited", stalls[0].What)
}

func TestDebug_PanicValues(t *testing.T) {
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

func TestDebug_NumbersReadWell(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1: "0"} {
		require.Equal(t, want, numberText(n))
	}
	for n, want := range map[float64]string{0.4: "0", 1234: "1,234", 12345: "12.3 k", 123456: "123 k", 1234567: "1.23 M", 2.5e9: "2.50 G"} {
		require.Equal(t, want, countText(n))
	}
	for d, want := range map[time.Duration]string{
		0: "0 ns", 850: "850 ns", 1500: "1.5 µs", 12 * time.Millisecond: "12 ms", 2 * time.Second: "2 s", 90 * time.Second: "90 s",
		3*time.Minute + 4*time.Second: "3 min 4 s", 26 * time.Hour: "26 h 0 min", 72 * time.Hour: "3 d",
	} {
		require.Equal(t, want, durationText(d))
	}
}

// Mutant: the line starts at the left edge. Mutant: a division by the zero that is the highest value.
func TestDebug_SparklinesEndNow(t *testing.T) {
	require.Equal(t, "", sparkline([]float64{1}, 1))
	require.Equal(t, "228,43.0 232,22.5 236,2.0", sparkline([]float64{0, 1, 2}, 2))
	require.Equal(t, "232,43.0 236,43.0", sparkline([]float64{0, 0}, 0))
	full := sparkline(make([]float64, historyLength), 1)
	require.True(t, strings.HasPrefix(full, "0,"))
	require.Equal(t, historyLength, len(strings.Fields(full)))
}

// Mutant: the history is not bounded.
func TestDebug_HistoryIsBounded(t *testing.T) {
	e := newTested(t, WithSlots(2))
	o := observer{e: e}
	o.start()
	var d DebugState
	for range 3 * historyLength {
		d = o.look()
	}
	require.Len(t, d.History, historyLength)
	require.Len(t, o.counts, historyLength)
	require.Len(t, o.names, historyLength)
}
