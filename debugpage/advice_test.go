package debugpage

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Each rule of the advice, with a state in which it speaks and one, as near as can be, in which it does not.
// Mutant: drop a condition from a rule, or move a bound.
func TestPage_AdviceRules(t *testing.T) {
	const ms = time.Millisecond
	slot := func(in string, age time.Duration, overdue bool) []Slot {
		return []Slot{
			{Slot: 0, State: "idle"},
			{Slot: 1, State: "running", Task: "resize", Age: age, In: in, Overdue: overdue},
			{Slot: 2, State: "running", Age: ms},
		}
	}
	times := func(count uint64, p50, p99 time.Duration) Times {
		return Times{Count: count, P50: p50, P99: p99}
	}
	waiting := []Slot{{State: "blocking"}, {State: "waiting"}}
	still := func(n int) []Point { return slices.Repeat([]Point{{Queued: 1}}, n) }
	full := func(n int) []Point { return slices.Repeat([]Point{{Waiting: 1}}, n) }
	group := func(others, started int) []executor.GroupInfo {
		return []executor.GroupInfo{{Name: "backup", Limit: -1, Active: started, Started: started, Others: others}}
	}
	open := func(d State) State {
		d.Lifecycle, d.Budget, d.MaxSpares = "open", 10*ms, 8
		d.Window.Length = time.Minute
		return d
	}
	for _, c := range []struct {
		kind           string
		speaks, silent State
		says           []string
	}{
		{
			AdviceCheckpoint,
			State{Slots: slot("computing", 300*ms, true), Stats: executor.Stats{Queued: 5}},
			State{Slots: slot("computing", 300*ms, false), Stats: executor.Stats{Queued: 5}},
			[]string{"resize", "slot 1", "300 ms", "budget of 10 ms", "5 others wait", "executor.Checkpoint(ctx)"},
		},
		{
			AdviceCheckpoint,
			State{Slots: slot("", 300*ms, true), Stats: executor.Stats{Queued: 1}}, // its stack is not known
			State{Slots: slot("computing", 300*ms, true)},                          // nobody waits
			nil,
		},
		{
			AdviceCgo,
			State{Slots: slot("cgo", 20*ms, false)},
			State{Slots: slot("cgo", 19*ms, false)},
			[]string{"resize", "C call", "20 ms", "Bulkhead", "bulkhead.Blocking(ctx, fn)"},
		},
		{
			AdviceSyscall,
			State{Slots: slot("syscall", 20*ms, false)},
			State{Slots: slot("syscall", 19*ms, false)},
			[]string{"resize", "system call", "20 ms", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceBlocked,
			State{Slots: slot("chan receive", 3*time.Second, false)},
			State{Slots: slot("", 3*time.Second, false)},
			[]string{"resize", "3 s", "chan receive", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceLatency,
			State{Wait: times(30, 0, 11*ms), Run: times(30, ms, ms)},
			State{Wait: times(30, 0, 10*ms), Run: times(30, ms, ms)},
			[]string{"11 ms", "1 ms", "Checkpoint"},
		},
		{
			AdviceLatency,
			State{Wait: times(30, 0, ms), Run: times(30, 0, 0)},
			State{Wait: times(29, 0, time.Second), Run: times(30, ms, ms)}, // too few
			nil,
		},
		{
			AdviceRejections,
			State{Window: Window{Rejected: 3, RejectedFull: 1}, Stats: executor.Stats{QueueLimit: 7}},
			State{Stats: executor.Stats{Rejected: 1000}}, // long ago
			[]string{"3 submissions were refused", "1 of them", "60 s", "limit 7", "e.Go(ctx, fn)", "WithQueueLimit"},
		},
		{
			AdviceRejections,
			State{Window: Window{Rejected: 1}, History: []Point{{}, {Waiting: 1}, {}}},
			State{Window: Window{Rejected: 1}, History: []Point{{}}}, // a group that failed: nobody waited
			[]string{"1 submission was refused", "contexts ended", "e.TryGo(ctx, fn)"},
		},
		{
			AdviceSpares,
			State{Window: Window{Uncompensated: 3}},
			State{Stats: executor.Stats{Uncompensated: 3}}, // long ago
			[]string{"3 times", "all 8 spares", "WithMaxSpares(n)", "NewBulkhead"},
		},
		{
			AdviceSpares,
			State{Window: Window{NoSpare: 92}},
			State{Stats: executor.Stats{StallsNoSpare: 92}},
			[]string{"For 920 ms", "tasks that block outside of Blocking"}, // not 92 times
		},
		{
			AdviceThrottled,
			State{Window: Window{Periods: 100, Throttled: 6}},
			State{Window: Window{Periods: 100, Throttled: 5}},
			[]string{"6 of 100 periods", "e.Go(ctx, fn)"},
		},
		{
			AdviceThrottled,
			State{Window: Window{Periods: 100, Throttled: 6}, Sizing: executor.Sizing{Fixed: true}},
			State{Sizing: executor.Sizing{Fixed: true}},
			[]string{"slots is fixed", "e.Resize(0)"},
		},
		{
			AdviceSubmitters,
			State{Stats: executor.Stats{Slots: 2, Spares: 8, Queued: 9, Waiting: 2}, Slots: waiting, History: still(10)},
			State{Stats: executor.Stats{Slots: 2, Spares: 8, Queued: 9, Waiting: 2}, Slots: waiting, History: still(9)},
			[]string{"All 10 tasks", "2 submitters wait for room", "WithQueueLimit"},
		},
		{
			AdviceWaiters,
			State{Stats: executor.Stats{Slots: 2, Spares: 8, Queued: 9}, Slots: waiting, History: still(10)},
			State{Stats: executor.Stats{Slots: 2, Spares: 7, Queued: 9}, Slots: waiting, History: still(10)}, // a spare is left
			[]string{"All 10 tasks", "9 tasks wait in the queue", "WithMaxSpares"},
		},
		{
			AdviceWaiters,
			State{Stats: executor.Stats{Spares: 8, Queued: 1}, Slots: waiting, History: still(10)},
			State{Stats: executor.Stats{Spares: 8, Queued: 1}, Slots: slot("computing", ms, false), History: still(10)}, // one works
			nil,
		},
		{
			AdviceWaiters,
			State{Stats: executor.Stats{Spares: 8, Queued: 1}, Slots: waiting, History: still(10)},
			State{Stats: executor.Stats{Spares: 8, Queued: 1}, Slots: waiting, History: append(still(9), Point{Completed: 0.1, Queued: 1})}, // slowly
			nil,
		},
		{
			AdviceGroup,
			State{Stats: executor.Stats{QueueLimit: 8, Running: 2}, Groups: group(1, 6), History: full(3)},
			State{Stats: executor.Stats{QueueLimit: 8, Running: 2}, Groups: group(0, 6), History: full(3)}, // it holds up itself alone
			[]string{"backup", "at least 4 of the queue's 8", "1 submitter waits", "SetLimit"},
		},
		{
			AdviceGroup,
			State{Stats: executor.Stats{QueueLimit: 8, Running: 2}, Groups: group(5, 6), History: full(3)},
			State{Stats: executor.Stats{QueueLimit: 8, Running: 2}, Groups: group(5, 5), History: full(3)}, // others fill the queue
			nil,
		},
		{
			AdviceGroup,
			State{Stats: executor.Stats{QueueLimit: 8}, Groups: group(1, 6), History: full(3)},
			State{Stats: executor.Stats{QueueLimit: 8}, Groups: group(1, 6), History: append(full(2), Point{})}, // a burst
			nil,
		},
		{
			AdviceLoans,
			State{Window: Window{Returned: 20}},
			State{Window: Window{Returned: 19}},
			[]string{"60 s 20 slots", "executor.Receive"},
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
		require.Contains(t, all[0].More, "/docs/advice/"+c.kind+".md")
		for _, words := range c.says {
			require.Contains(t, all[0].Problem+" "+all[0].Remedy+" "+all[0].Call, words)
		}
		require.NotContains(t, all[0].Problem, "%!", "a format that does not fit")
	}
	d := open(State{Window: Window{Rejected: 9}})
	d.Lifecycle = "draining"
	require.Empty(t, advise(&d), "a closed executor refuses, as it should")
	d = open(State{Window: Window{Uncompensated: 1}})
	d.MaxSpares = 0
	require.Contains(t, advise(&d)[0].Problem, "turned off")
	d = open(State{Slots: slot("syscall", time.Second, false)})
	d.Slots = append(d.Slots, Slot{Slot: 3, State: "running", In: "syscall", Age: time.Minute})
	require.Contains(t, advise(&d)[0].Problem, "slot 3", "the oldest")
}
