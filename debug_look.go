package executor

import (
	"slices"
	"time"
)

// How DebugHandler sees an executor. All of it happens on the lookout's goroutine, and only while
// somebody looks.

const (
	maxDebugSlots = 512
	maxDebugTasks = 10
	maxNamesSeen  = 64 // told apart in one second; the others count as one
	maxNameShown  = 200

	// stuckAfter is how long a task must have stood still for its goroutine to be looked at: a system
	// call of that length is worth a Blocking.
	stuckAfter = 20 * time.Millisecond
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
		if r := s.owner(); r != nil {
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
