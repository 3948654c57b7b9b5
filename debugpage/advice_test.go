package debugpage

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Each rule of the advice, with a state in which it speaks and one, as near as can be, in which it does not: what lasts a look
// less, or is a smaller share. Mutant: drop a condition from a rule, or move a bound.
func TestPage_AdviceRules(t *testing.T) {
	const ms = time.Millisecond
	now := time.Now()
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
	blocking := func(age time.Duration) []Slot {
		return []Slot{{State: "idle"}, {Slot: 1, State: "blocking", Task: "resize", Age: age}}
	}
	seen := func(n int, p Point) []Point { // at each second up to now
		all := slices.Repeat([]Point{p}, n)
		for i := range all {
			all[i].Time = now.Add(time.Duration(i+1-n) * time.Second)
		}
		return all
	}
	once := func(n int, p Point) []Point { return append(seen(n-1, p), Point{}) } // n times, but not now
	still := func(n int) []Point { return slices.Repeat([]Point{{Queued: 1}}, n) }
	full := func(n int) []Point { return slices.Repeat([]Point{{Waiting: 1}}, n) }
	group := func(others, started int) []executor.GroupInfo {
		return []executor.GroupInfo{{Name: "backup", Limit: -1, Active: started, Started: started, Others: others}}
	}
	open := func(d State) State {
		d.Time, d.Lifecycle, d.Budget, d.MaxSpares = now, "open", 10*ms, 8
		d.Window.Length = cmp.Or(d.Window.Length, time.Minute)
		return d
	}
	for _, c := range []struct {
		kind           string
		speaks, silent State
		says           []string
	}{
		{
			AdviceCheckpoint,
			State{Slots: slot("computing", 300*ms, true), Stats: executor.Stats{Queued: 5}, History: seen(3, Point{Overdue: 1})},
			State{Slots: slot("computing", 300*ms, false), Stats: executor.Stats{Queued: 5}, History: seen(3, Point{Overdue: 1})},
			[]string{"resize", "slot 1", "300 ms", "budget of 10 ms", "5 others wait", "executor.Checkpoint(ctx)"},
		},
		{
			AdviceCheckpoint,
			State{Slots: slot("", 300*ms, true), Stats: executor.Stats{Queued: 1}, History: seen(3, Point{Overdue: 1})}, // its stack is not known
			State{Slots: slot("computing", 300*ms, true), History: seen(3, Point{Overdue: 1})},                          // nobody waits
			nil,
		},
		{
			AdviceCheckpoint, // one look had none: a machine that stood still, or a task that was long for once
			State{Slots: slot("computing", 2*time.Second, true), Stats: executor.Stats{Queued: 5}, History: seen(3, Point{Overdue: 1})},
			State{Slots: slot("computing", 2*time.Second, true), Stats: executor.Stats{Queued: 5}, History: seen(2, Point{Overdue: 1})},
			nil,
		},
		{
			AdviceCgo,
			State{Slots: slot("cgo", 20*ms, false), History: seen(3, Point{Cgo: 1})},
			State{Slots: slot("cgo", 19*ms, false), History: seen(3, Point{Cgo: 1})},
			[]string{"resize", "C call", "20 ms", "Bulkhead", "bulkhead.Blocking(ctx, fn)"},
		},
		{
			AdviceCgo,
			State{Slots: slot("cgo", 20*ms, false), History: seen(3, Point{Cgo: 1})},
			State{Slots: slot("cgo", 20*ms, false), History: once(3, Point{Cgo: 1})},
			nil,
		},
		{
			AdviceSyscall,
			State{Slots: slot("syscall", 20*ms, false), History: seen(3, Point{Syscall: 1})},
			State{Slots: slot("syscall", 19*ms, false), History: seen(3, Point{Syscall: 1})},
			[]string{"resize", "system call", "20 ms", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceSyscall,
			State{Slots: slot("syscall", 20*ms, false), History: seen(3, Point{Syscall: 1})},
			State{Slots: slot("syscall", 5*time.Second, false), History: seen(2, Point{Syscall: 1})},
			nil,
		},
		{
			AdviceBlocked,
			State{Slots: slot("chan receive", 3*time.Second, false), History: seen(3, Point{Blocked: 1})},
			State{Slots: slot("", 3*time.Second, false), History: seen(3, Point{Blocked: 1})},
			[]string{"resize", "3 s", "chan receive", "executor.Blocking(ctx, fn)"},
		},
		{
			AdviceBlocked,
			State{Slots: slot("sync.Mutex.Lock", 20*ms, false), History: seen(3, Point{Blocked: 1})},
			State{Slots: slot("sync.Mutex.Lock", 2*time.Second, false), History: once(3, Point{Blocked: 1})},
			nil,
		},
		{
			AdviceLatency,
			State{Wait: times(30, 0, 11*ms), Run: times(30, ms, ms), History: seen(10, Point{WaitP99: 11 * ms})},
			State{Wait: times(30, 0, 10*ms), Run: times(30, ms, ms), History: seen(10, Point{WaitP99: 11 * ms})},
			[]string{"11 ms", "1 ms", "Checkpoint"},
		},
		{
			AdviceLatency,
			State{Wait: times(30, 0, ms), Run: times(30, 0, 0), History: seen(10, Point{WaitP99: ms})},
			State{Wait: times(29, 0, time.Second), Run: times(30, ms, ms), History: seen(10, Point{WaitP99: time.Second})}, // too few
			nil,
		},
		{
			AdviceLatency, // a second in which the machine stood still is in five points, each of which is about 5 s
			State{Wait: times(30, 0, time.Second), Run: times(30, ms, ms), History: seen(10, Point{WaitP99: time.Second})},
			State{Wait: times(30, 0, time.Second), Run: times(30, ms, ms), History: append(seen(50, Point{}), seen(9, Point{WaitP99: time.Second})...)},
			nil,
		},
		{
			AdviceRejections,
			State{Window: Window{Submitted: 56, Rejected: 3, RejectedFull: 1}, Stats: executor.Stats{QueueLimit: 7}},
			State{Stats: executor.Stats{Rejected: 1000}}, // long ago
			[]string{"3 submissions were refused", "1 of them", "60 s", "limit 7", "e.Go(ctx, fn)", "WithQueueLimit"},
		},
		{
			AdviceRejections,
			State{Window: Window{Submitted: 949, Rejected: 51, RejectedFull: 51}},
			State{Window: Window{Submitted: 950, Rejected: 50, RejectedFull: 50}}, // one in twenty
			nil,
		},
		{
			AdviceRejections,
			State{Window: Window{Rejected: 1}, History: []Point{{}, {Waiting: 1}, {}}},
			State{Window: Window{Rejected: 1}, History: []Point{{}}}, // a group that failed: nobody waited
			[]string{"1 submission was refused", "contexts ended", "e.TryGo(ctx, fn)"},
		},
		{
			AdviceSpares,
			State{Window: Window{Uncompensated: 20, Handoffs: 379}},
			State{Window: Window{Uncompensated: 20, Handoffs: 380}}, // one in twenty
			[]string{"20 times", "all 8 spares", "WithMaxSpares(n)", "NewBulkhead"},
		},
		{
			AdviceSpares,
			State{Window: Window{Uncompensated: 20}},
			State{Window: Window{Uncompensated: 19}, Stats: executor.Stats{Uncompensated: 1000}}, // the others long ago
			nil,
		},
		{
			AdviceSpares, // one task, for long
			State{Stats: executor.Stats{Queued: 3, Spares: 8}, Slots: blocking(2 * time.Second), History: seen(3, Point{Kept: 1})},
			State{Stats: executor.Stats{Queued: 3, Spares: 8}, Slots: blocking(1999 * ms), History: seen(3, Point{Kept: 1})}, // another one than at first
			[]string{"The task resize in slot 1 has blocked for at least 2 s and kept its slot, while 3 others wait: all 8 spares"},
		},
		{
			AdviceSpares,
			State{Stats: executor.Stats{Queued: 3, Spares: 8}, Slots: blocking(time.Hour), History: seen(3, Point{Kept: 1})},
			State{Stats: executor.Stats{Queued: 3, Spares: 7}, Slots: blocking(time.Hour), History: seen(3, Point{Kept: 1})}, // one is left
			nil,
		},
		{
			AdviceSpares,
			State{Window: Window{NoSpare: 301}},
			State{Window: Window{NoSpare: 300}}, // of 6,000 looks
			[]string{"For 3 s of the last 60 s", "tasks that block outside of Blocking"},
		},
		{
			AdviceSpares,
			State{Window: Window{Length: 3 * time.Second, NoSpare: 300}},
			State{Window: Window{Length: 3 * time.Second, NoSpare: 299}, Stats: executor.Stats{StallsNoSpare: 1000}},
			nil,
		},
		{
			AdviceThrottled,
			State{Window: Window{Periods: 100, Throttled: 6}},
			State{Window: Window{Periods: 100, Throttled: 5}},
			[]string{"6 of 100 periods", "e.Go(ctx, fn)"},
		},
		{
			AdviceThrottled,
			State{Window: Window{Periods: 50, Throttled: 50}},
			State{Window: Window{Periods: 49, Throttled: 49}}, // not yet 5 s
			nil,
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
			State{Window: Window{Returned: 151, Ended: 3000}, History: seen(3, Point{Returned: 7})},
			State{Window: Window{Returned: 150, Ended: 3000}, History: seen(3, Point{Returned: 7})}, // one in twenty
			[]string{"60 s 151 slots", "executor.Receive"},
		},
		{
			AdviceLoans,
			State{Window: Window{Returned: 20}, History: seen(3, Point{Returned: 7})},
			State{Window: Window{Returned: 19}, History: seen(3, Point{Returned: 7})},
			nil,
		},
		{
			AdviceLoans,
			State{Window: Window{Returned: 1000}, History: seen(3, Point{Returned: 300})},
			State{Window: Window{Returned: 1000}, History: append(seen(50, Point{}), seen(2, Point{Returned: 500})...)}, // a moment
			nil,
		},
		{
			AdviceIdle,
			State{Stats: executor.Stats{Waiting: 3, Idle: 2, Slots: 4}, History: seen(10, Point{Waiting: 2, Idle: 1})},
			State{Stats: executor.Stats{Waiting: 3, Idle: 2, Slots: 4}, History: seen(9, Point{Waiting: 2, Idle: 1})},
			[]string{"3 submitters wait for room, for 9 s now, while 2 of 4 slots are idle", "NewKeyed"},
		},
		{
			AdviceIdle,
			State{
				Stats:   executor.Stats{Waiting: 3, Idle: 2, Slots: 4, Lanes: []executor.LaneStats{{}, {Name: "batch", Waiting: 1}}},
				History: seen(10, Point{Waiting: 2, Idle: 1}),
			},
			State{Stats: executor.Stats{Waiting: 3, Idle: 2, Slots: 4}, History: once(10, Point{Waiting: 2, Idle: 1})},
			[]string{"1 submitter waits for room in the lane batch", "Lane{Max: n}"},
		},
		{
			AdviceIdle, // those of a group wait for its limit, which somebody has set
			State{Stats: executor.Stats{Waiting: 3, Idle: 2}, Groups: []executor.GroupInfo{{Waiting: 2}}, History: seen(10, Point{Waiting: 3, Idle: 2})},
			State{Stats: executor.Stats{Waiting: 3, Idle: 2}, Groups: []executor.GroupInfo{{Waiting: 1}, {Waiting: 2}}, History: seen(10, Point{Waiting: 3, Idle: 2})},
			nil,
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
	d = open(State{Window: Window{Uncompensated: 20}})
	d.MaxSpares = 0
	require.Contains(t, advise(&d)[0].Problem, "turned off")
	d = open(State{Slots: slot("syscall", time.Second, false), History: seen(3, Point{Syscall: 1})})
	d.Slots = append(d.Slots, Slot{Slot: 3, State: "running", In: "syscall", Age: time.Minute})
	require.Contains(t, advise(&d)[0].Problem, "slot 3", "the oldest")
}

// What a look notes for the rules that want it to last.
//
// Mutants: two states are told as one; a blocked task counts though a spare is left, or nobody waits.
func TestPage_WhatALookNotes(t *testing.T) {
	const long = time.Second
	d := State{MaxSpares: 2, Stats: executor.Stats{Queued: 1, Spares: 2}, Slots: []Slot{
		{State: "blocking"}, {State: "waiting"}, {State: "idle"}, {State: "searching"},
		{State: "running", In: "computing", Overdue: true, Age: long}, {State: "running", Overdue: true, Age: long}, {State: "running", In: "computing", Age: long},
		{State: "running", In: "cgo", Age: long}, {State: "running", In: "syscall", Age: long}, {State: "running", In: "select", Age: long},
		{State: "running", In: "sleep", Age: 20 * time.Millisecond}, {State: "running", In: "sleep", Age: 19 * time.Millisecond},
	}}
	var p Point
	p.note(&d)
	require.Equal(t, Point{Kept: 2, Overdue: 2, Cgo: 1, Syscall: 1, Blocked: 2}, p)
	for _, change := range []func(){func() { d.Stats.Spares = 1 }, func() { d.Stats.Queued, d.Stats.Spares = 0, 2 }} {
		change()
		p = Point{}
		p.note(&d)
		require.Zero(t, p.Kept)
	}
	require.Zero(t, p.Overdue, "nobody waits")
}

// An executor that a machine stops for two seconds in each minute, as reports see it: no rule speaks, however full the
// queue is and however many tasks are late meanwhile. Then the same for longer, and they do.
//
// Mutant: a rule speaks of what it sees for the first time.
func TestPage_AMachineThatStandsStillIsNoAdvice(t *testing.T) {
	waits := func(n uint64, d time.Duration) executor.DurationCounts {
		return executor.DurationCounts{Count: n, Sum: time.Duration(n) * d, Buckets: []executor.DurationBucket{{UpTo: d, Count: n}}}
	}
	var o observer
	p := executor.Report{
		Lifecycle: "open", Time: time.Now(), Budget: 10 * time.Millisecond, MaxSpares: 4, Limited: true,
		Waits: waits(0, time.Microsecond), Runs: waits(0, time.Microsecond),
		Slots: []executor.SlotInfo{{State: "idle"}, {Slot: 1, State: "idle"}},
	}
	p.Stats.Slots, p.Stats.QueueLimit = 2, 64
	o.start(&p)
	well := func() {
		p.Time = p.Time.Add(time.Second)
		p.Stats.Submitted += 1000
		p.Stats.Completed += 1000
		p.Stats.Handoffs += 100
		p.Throttling.Periods += 10
		p.Runs.Count, p.Runs.Buckets = p.Runs.Count+100, waits(p.Runs.Count+100, time.Microsecond).Buckets
		p.Waits.Count, p.Waits.Buckets = p.Waits.Count+100, waits(p.Waits.Count+100, time.Microsecond).Buckets
		p.Stats.Queued, p.Stats.Waiting, p.Stats.Idle, p.Stats.Spares = 0, 0, 2, 0
		p.Slots = []executor.SlotInfo{{State: "idle"}, {Slot: 1, State: "idle"}}
	}
	ill := func(second int) { // nobody gets the processor but who submits, and the keeper
		p.Time = p.Time.Add(time.Second)
		p.Stats.Submitted += 64
		p.Stats.Rejected += 8
		p.Stats.RejectedFull += 8
		p.Stats.Uncompensated += 5
		p.Stats.StallsNoSpare += 100
		p.Stats.Compensated += 4
		p.Throttling.Periods += 10
		p.Throttling.Throttled += 10
		p.Stats.Queued, p.Stats.Waiting, p.Stats.Idle, p.Stats.Spares = 64, 3, 0, 4
		age := time.Duration(second+1) * time.Second
		p.Slots = []executor.SlotInfo{
			{State: "running", In: "syscall", Age: age}, {Slot: 1, State: "running", Overdue: true, In: "computing", Age: age}, {Slot: 2, State: "blocking", Age: age},
		}
	}
	for range 60 {
		well()
		d := o.look(&p)
		require.Empty(t, d.Advice)
	}
	for range 3 {
		for second := range 2 {
			ill(second)
			d := o.look(&p)
			require.Empty(t, d.Advice)
		}
		for range 58 {
			well()
			d := o.look(&p)
			require.Empty(t, d.Advice)
		}
	}
	kinds := make(map[string]bool)
	for second := range 60 {
		ill(second)
		d := o.look(&p)
		for _, a := range d.Advice {
			kinds[a.Kind] = true
		}
	}
	for _, kind := range []string{AdviceCheckpoint, AdviceSyscall, AdviceSpares, AdviceRejections, AdviceThrottled} {
		require.True(t, kinds[kind], kind)
	}
}
