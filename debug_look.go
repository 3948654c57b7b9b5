package executor

import (
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// How DebugHandler sees an executor. All of it happens on the lookout's goroutine, and only while
// somebody looks.

const (
	historyLength = 60
	recentPoints  = 5 // for the quantiles of one point: few tasks are measured
	maxDebugSlots = 512
	maxDebugTasks = 10
	maxNamesSeen  = 64 // told apart in one second; the others count as one
	maxNameShown  = 200
	maxStacks     = 8

	// stuckAfter is how long a task must have stood still for its goroutine to be looked at: a system
	// call of that length is worth a Blocking.
	stuckAfter = 20 * time.Millisecond

	// A look at goroutines stops the world for 5 µs each, so it is not done among more than maxTraced, and a
	// task is looked at again only after traceAgain.
	maxTraced  = 1000
	traceAgain = 2 * time.Second
)

// observer remembers what it saw of an executor.
type observer struct {
	e       *Executor
	seen    map[*runner]sighted
	before  *counted
	history []DebugPoint
	counts  []*counted       // those at the start of each point
	names   []map[string]int // tasks seen in the second of each point
	buf     []byte           // for stacks
	traced  time.Time        // when stacks were last taken
}

// sighted is how far a runner was when it was first seen in its task.
type sighted struct {
	progress, epoch uint64
	since           time.Time
	flagged         bool // the last look saw its budget's flag
	traced          time.Time
	in, stack       string // what its goroutine did then
}

// counted is what rates, times and the window are made of.
type counted struct {
	at          time.Time
	stats       Stats
	quota       Throttling
	limited     bool // there is a quota
	waits, runs histogramCounts
}

func (e *Executor) counts(at time.Time) *counted {
	c := &counted{at: at, stats: e.Stats(), waits: e.waits.snapshot(), runs: e.runs.snapshot()}
	c.quota, c.limited = e.Throttling()
	return c
}

// held is a slot and its holder, as one look sees them.
type held struct {
	DebugSlot
	r *runner // nil unless it is in a task
}

// slots looks at every slot, and keeps track of the tasks in them.
func (o *observer) slots(now time.Time) []held {
	e := o.e
	e.idle.mu.Lock()
	all, free := make([]held, len(e.idle.slots)), slices.Clone(e.idle.free)
	searchers := searching(e.word.Load())
	slots := e.idle.slots // copied before each change
	for i, s := range slots {
		if r := s.holder.Load(); r != nil && r.held.Load() == s && r.list != &e.idle.parked {
			all[i].r = r
		}
	}
	e.idle.mu.Unlock()

	idle := make(map[*slot]bool, len(free))
	for _, s := range free {
		idle[s] = true
	}
	for i, s := range slots {
		at := &all[i]
		at.DebugSlot = DebugSlot{Slot: i, State: "searching", Queued: s.len(), Lent: s.loan != nil}
		switch {
		case idle[s]:
			at.State, at.r = "idle", nil
		case at.r != nil: // otherwise the slot is on its way to somebody
			at.State = slotState(at.r.word.Load())
		}
	}

	seen := make(map[*runner]sighted, len(all))
	for i := range all {
		at := &all[i]
		switch r := at.r; {
		case at.State == "searching":
			searchers--
		case r != nil:
			at.Task = r.taskName()
			seen[r] = o.sight(r, now)
			at.Age = now.Sub(seen[r].since)
		}
	}
	// A runner does not say that it searches, the state word counts them. Whoever has just done something and
	// has nothing queued is the likeliest.
	for i := range all {
		if at := &all[i]; searchers > 0 && at.State == "running" && at.Age == 0 && at.Queued == 0 {
			at.State, at.r = "searching", nil
			searchers--
		}
	}
	o.seen = seen
	return all
}

// slotState names the phase of a runner that holds a slot.
func slotState(word uint64) string {
	switch {
	case word&phaseMask == phaseRunning:
		return "running"
	case word&kindWait != 0:
		return "waiting"
	}
	return "blocking"
}

// sight notes how far r is. Its age starts again when it has moved.
func (o *observer) sight(r *runner, now time.Time) sighted {
	progress, epoch := r.count.progress(), r.word.Load()/oneEpoch
	was, known := o.seen[r]
	if !known || was.progress != progress || was.epoch != epoch {
		was = sighted{progress: progress, epoch: epoch, since: now}
	}
	return was
}

// trace finds out what the tasks do that stand still, oldest first.
func (o *observer) trace(now time.Time, all []held) {
	var stuck []*held
	fresh := false
	for i := range all {
		at := &all[i]
		if at.r == nil || at.State != "running" || at.Age < stuckAfter {
			continue
		}
		was := o.seen[at.r]
		flagged := at.r.flagged.Load() == was.progress+1
		at.Overdue = flagged && was.flagged
		was.flagged = flagged
		o.seen[at.r] = was
		stuck = append(stuck, at)
		fresh = fresh || now.Sub(was.traced) > traceAgain
	}
	slices.SortFunc(stuck, func(a, b *held) int { return int(b.Age - a.Age) })
	if len(stuck) > maxStacks {
		stuck = stuck[:maxStacks]
	}
	if fresh && now.Sub(o.traced) >= samplePeriod/2 && runtime.NumGoroutine() <= maxTraced {
		o.traceStacks(now, stuck)
		o.traced = now
	}
	for _, at := range stuck {
		was := o.seen[at.r]
		function := taskFunction(was.stack)
		if was.in != "" && function == "" { // it is not in a task, but wants a processor to look for one
			at.State, at.Overdue = "searching", false
			continue
		}
		at.In, at.Stack = was.in, was.stack
		if at.Task == "" {
			at.Task = function
		}
	}
}

// traceStacks takes the stacks of the stuck tasks' goroutines.
func (o *observer) traceStacks(now time.Time, stuck []*held) {
	if o.buf == nil {
		o.buf = make([]byte, 1<<20)
	}
	all := string(o.buf[:runtime.Stack(o.buf, true)])
	for _, at := range stuck {
		was := o.seen[at.r]
		stack := stackIn(all, at.r.goid)
		if at.r.count.progress() != was.progress { // it has moved meanwhile: the stack is another task's
			continue
		}
		was.traced, was.in, was.stack = now, doing(stack), plainStack(stack)
		o.seen[at.r] = was
	}
}

// stackIn returns the stack of one goroutine out of those of all.
func stackIn(all string, goid int64) string {
	head := "goroutine " + strconv.FormatInt(goid, 10) + " "
	if !strings.HasPrefix(all, head) {
		at := strings.Index(all, "\n\n"+head)
		if at < 0 {
			return ""
		}
		all = all[at+2:]
	}
	one, _, _ := strings.Cut(all, "\n\n")
	return one
}

// doing says what a goroutine does, from the header of its stack: computing, cgo, syscall, or what it
// waits for in the runtime's words.
func doing(stack string) string {
	_, state, _ := strings.Cut(stack, "[")
	state, _, _ = strings.Cut(state, "]")
	state, _, _ = strings.Cut(state, ",")
	state, _, _ = strings.Cut(state, " labels:")
	state = strings.TrimSuffix(state, " (scan)")
	switch {
	case state == "":
		return ""
	case state == "running", state == "runnable", state == "preempted", state == "copystack", strings.HasPrefix(state, "GC "):
		return "computing"
	case state == "syscall" && strings.Contains(topFrame(stack), "._Cfunc_"): // as the cgo command calls it
		return "cgo"
	}
	return state
}

// start makes rates and ages possible in the first look.
func (o *observer) start() {
	o.slots(time.Now())
	o.before = o.e.counts(time.Now())
}

// look takes stock of everything. The slots were seen a moment ago by an earlier call of slots, so tasks
// that stand still have an age.
func (o *observer) look() DebugState {
	e, now := o.e, time.Now()
	all := o.slots(now)
	o.trace(now, all)

	d := DebugState{Name: e.name, Lifecycle: e.lifecycle(), Time: now, Since: e.born, Budget: e.cfg.budget, MaxSpares: e.cfg.maxSpares}
	counts := e.counts(now)
	d.Stats, d.Sizing = counts.stats, e.Sizing()
	if counts.limited {
		d.Throttling = &counts.quota
	}
	d.Runners = e.beside()
	names := make(map[string]int)
	d.Slots = make([]DebugSlot, 0, min(len(all), maxDebugSlots))
	for _, at := range all {
		d.Local += at.Queued
		if len(d.Slots) < maxDebugSlots {
			d.Slots = append(d.Slots, at.DebugSlot)
		}
		if at.r == nil || at.State == "searching" {
			continue
		}
		if names[at.Task] > 0 || len(names) < maxNamesSeen {
			names[at.Task]++
		} else {
			names[""]++
		}
	}
	d.Shared = max(0, d.Stats.Queued-d.Local)
	o.remember(&d, counts, names)
	d.Panics, d.Stalls = e.debug.events.list()
	d.Advice = advise(&d)
	return d
}

// closedLifecycle is the lifecycle of an executor that has nothing in flight, nor ever will.
const closedLifecycle = "closed"

// lifecycle names the state of ending.
func (e *Executor) lifecycle() string {
	e.debug.mu.Lock()
	over := e.debug.closed
	e.debug.mu.Unlock()
	e.inject.mu.Lock()
	closed := e.inject.closed
	e.inject.mu.Unlock()
	switch {
	case over:
		return closedLifecycle
	case e.word.Load()&stopping != 0:
		return "stopping"
	case closed:
		return "draining"
	}
	return "open"
}

// beside counts the runners without a slot of their own.
func (e *Executor) beside() (d DebugRunners) {
	g := &e.registry
	g.mu.Lock()
	for r := g.first; r != nil; r = r.sibling {
		switch word := r.word.Load(); {
		case word&phaseMask == phaseRunning:
		case word&kindWait != 0:
			d.Waiting++
		default:
			d.Blocking++
		}
	}
	g.mu.Unlock()
	e.idle.mu.Lock()
	d.Parked, d.Surplus = e.idle.parked.len, e.idle.surplus.len
	e.idle.mu.Unlock()
	e.inject.mu.Lock()
	d.Yielded = e.inject.resumes
	e.inject.mu.Unlock()
	return d
}

// remember adds a point to the history, and puts the history into d.
func (o *observer) remember(d *DebugState, now *counted, names map[string]int) {
	if was := o.before; was != nil {
		o.counts = appendBounded(o.counts, was)
		o.names = appendBounded(o.names, names)
		recent := o.counts[max(0, len(o.counts)-recentPoints)]
		waits := now.waits.since(&recent.waits)
		rate := func(n uint64) float64 { return float64(n) / max(1e-3, now.at.Sub(was.at).Seconds()) }
		o.history = appendBounded(o.history, DebugPoint{
			Time:      d.Time,
			Submitted: rate(since(now.stats.Submitted, was.stats.Submitted)),
			Completed: rate(since(now.stats.ended(), was.stats.ended())),
			Rejected:  rate(since(now.stats.Rejected, was.stats.Rejected)),
			Queued:    now.stats.Queued, Running: now.stats.Running,
			WaitP50: waits.quantile(0.5), WaitP99: waits.quantile(0.99),
		})
	}
	o.before = now

	d.History = append([]DebugPoint{}, o.history...)
	if len(o.counts) > 0 {
		first := o.counts[0]
		d.Wait, d.Run = timesOf(now.waits.since(&first.waits)), timesOf(now.runs.since(&first.runs))
		d.Window = DebugWindow{
			Length:        now.at.Sub(first.at),
			Rejected:      since(now.stats.Rejected, first.stats.Rejected),
			Uncompensated: since(now.stats.Uncompensated, first.stats.Uncompensated),
			NoSpare:       since(now.stats.StallsNoSpare, first.stats.StallsNoSpare),
			Periods:       since(now.quota.Periods, first.quota.Periods),
			Throttled:     since(now.quota.Throttled, first.quota.Throttled),
		}
	}
	d.Tasks = o.topTasks()
}

// since is how much a counter has grown. Those of a quota start again when another cgroup sets it.
func since(now, before uint64) uint64 { return now - min(before, now) }

func timesOf(c histogramCounts) DebugTimes {
	return DebugTimes{Count: c.count, Mean: c.mean(), P50: c.quantile(0.5), P90: c.quantile(0.9), P99: c.quantile(0.99)}
}

// topTasks lists the names seen most often.
func (o *observer) topTasks() []DebugTask {
	total, sum := 0, make(map[string]int)
	for _, names := range o.names {
		for name, n := range names {
			sum[name] += n
			total += n
		}
	}
	names := slices.SortedFunc(maps.Keys(sum), func(a, b string) int {
		if sum[a] != sum[b] {
			return sum[b] - sum[a]
		}
		return strings.Compare(a, b)
	})
	top := []DebugTask{}
	for _, name := range names {
		if name == "" || len(top) == maxDebugTasks {
			continue
		}
		top = append(top, DebugTask{Name: name, Share: float64(sum[name]) / float64(total)})
	}
	return top
}

// appendBounded appends, and drops the oldest beyond historyLength.
func appendBounded[T any](to []T, v T) []T {
	if len(to) == historyLength {
		to = slices.Delete(to, 0, 1)
	}
	return append(to, v)
}
