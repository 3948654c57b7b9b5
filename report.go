package executor

import (
	"sync"
	"time"

	"github.com/seed-97bda89a/executor/internal/meter"
)

// Report is what an executor is doing, as plain data, for a page or a program that shows it: package debugpage
// does. Its parts are read one after another while tasks go on. Fields may be added.
type Report struct {
	Name      string
	Lifecycle string        // open, draining (Shutdown), stopping (Close) or closed
	Time      time.Time     // when the report was made
	Since     time.Time     // when the executor was made
	Budget    time.Duration // WithBudget
	MaxSpares int           // WithMaxSpares

	Stats   Stats // counters since the executor was made, and gauges
	Sizing  Sizing
	Runners RunnerInfo
	Slots   []SlotInfo  // all of them, lent ones included
	Groups  []GroupInfo // those that have tasks, the largest first; at most 100

	Bulkheads []BulkheadStats // of the process: they belong to no executor

	Limited    bool       // whether there is a CPU quota
	Throttling Throttling // what it did, if there is one

	// Of the tasks that were measured since the executor was made: how long they waited to be started, and ran.
	// The difference between two reports is what was measured in between.
	Waits, Runs DurationCounts

	Panics []EventInfo // the last ones, newest first; at most 16
	Stalls []EventInfo // likewise; they are noted while somebody watches, or there is a handler: WithOnStall
}

// SlotInfo is one slot of a Report.
type SlotInfo struct {
	Slot   int           // from 0
	State  string        // idle, running, blocking, waiting or searching
	Task   string        // its name; without one, the function of a task that stands still
	Age    time.Duration // how long, at least, the task has been there: since the first Report that saw it
	Queued int           // tasks in the slot's own queue
	Lent   bool          // an extra slot, for a task that blocks without Blocking
	In     string        // what a task that stands still does: computing, cgo, syscall, or where it waits, in the runtime's words
	Stack  string        // its stack, without arguments

	// Overdue says that the task has used its budget, others wait, and it has not called Checkpoint.
	Overdue bool
}

// RunnerInfo counts the runners of a Report that have no slot of their own, and the tasks that lend theirs.
type RunnerInfo struct {
	Parked   int // sleep, ready for work
	Blocking int // inside Blocking
	Waiting  int // wait for a future, a group, a child or room in the queue
	Yielded  int // let others go first
	Surplus  int // are back from Blocking and have no slot yet
}

// EventInfo is a panic or a stall of a Report, with those from the same place.
type EventInfo struct {
	Time  time.Time // of the last one
	Task  string    // its name; of a stall without one, the function of the task
	Count int       // how often it came from the same place
	Stack string    // of the last one, without arguments
	Place string    // tells one place from another; not for people

	Panic string // the value, as text; "" for a stall

	// Of the last stall, as StallInfo has it.
	Reason string
	Age    time.Duration // of the oldest task that stood still
	Still  int           // how many stood still
	Queued int
}

// DurationCounts is how often durations of each length were measured.
type DurationCounts struct {
	Count   uint64
	Sum     time.Duration
	Buckets []DurationBucket // those with a count, shortest first
}

// DurationBucket is how many durations were at most UpTo, and longer than any in the bucket below. It is at most
// 12.5 % wide.
type DurationBucket struct {
	UpTo  time.Duration
	Count uint64
}

// Since returns what was measured after an earlier report of the same executor.
func (c DurationCounts) Since(before DurationCounts) DurationCounts {
	d := DurationCounts{Count: c.Count - before.Count, Sum: c.Sum - before.Sum}
	old := before.Buckets
	for _, b := range c.Buckets {
		if len(old) > 0 && old[0].UpTo == b.UpTo { // each that was there then is there now
			b.Count -= old[0].Count
			old = old[1:]
		}
		if b.Count > 0 {
			d.Buckets = append(d.Buckets, b)
		}
	}
	return d
}

// Quantile returns a duration that at least the share q of what was measured does not exceed, or 0 if nothing was
// measured. q is from 0 to 1.
func (c DurationCounts) Quantile(q float64) time.Duration {
	rank, seen := q*float64(c.Count), uint64(0)
	for _, b := range c.Buckets {
		if seen += b.Count; float64(seen) >= rank {
			return b.UpTo
		}
	}
	return 0
}

// Mean returns the average of what was measured, or 0 if nothing was.
func (c DurationCounts) Mean() time.Duration {
	if c.Count == 0 {
		return 0
	}
	return c.Sum / time.Duration(c.Count)
}

// Executors returns the executors of the process that have not ended, by name.
func Executors() []*Executor { return names.live() }

// Name returns the executor's name, which is like no other's in the process: WithName's, or that with a number.
func (e *Executor) Name() string {
	if e == nil {
		return ""
	}
	return e.name
}

// Ended reports whether Shutdown or Close has done its work: nothing runs, nor ever will. It costs one load.
func (e *Executor) Ended() bool { return e.missing() != nil || e.word.Load()&ended != 0 }

// Watch makes the executor measure tasks, one in 64 unless WithHistogramSampling says otherwise, and note stalls
// that no handler is told of, until stop is called. Who shows reports calls it while somebody looks. Calls may
// overlap, and stop may be called more than once. It costs nothing but that.
func (e *Executor) Watch() (stop func()) {
	if err := e.missing(); err != nil {
		panic(err)
	}
	report := stallReport((*keeper).report)
	e.report.Store(&report) // before there is a viewer
	noter := spanNoter(noteSpan)
	e.noter.Store(&noter)
	e.viewers.Add(1)
	return sync.OnceFunc(func() {
		if e.viewers.Add(-1) == 0 {
			e.observer.forget()
			e.spans.forget()
		}
	})
}

// Report takes stock of the executor. It takes some microseconds, more with many slots, and holds nothing up. What
// tasks do that have stood still since an earlier Report is in their stacks: for those it stops the world, for some
// 5 µs per goroutine, unless the process has more than 1,000 goroutines, and at most twice a second for all
// executors of the process together. It works after the end too.
func (e *Executor) Report() Report {
	if err := e.missing(); err != nil {
		panic(err)
	}
	o := &e.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	slots := o.slots(e, now)
	o.trace(now, slots)
	p := Report{
		Name: e.name, Lifecycle: e.lifecycle(), Time: now, Since: e.born, Budget: e.cfg.budget, MaxSpares: e.cfg.maxSpares,
		Stats: e.Stats(), Sizing: e.Sizing(), Runners: e.beside(), Slots: make([]SlotInfo, len(slots)),
		Waits: durationCounts(&e.waits), Runs: durationCounts(&e.runs),
	}
	for i := range slots {
		p.Slots[i] = slots[i].SlotInfo
	}
	p.Throttling, p.Limited = e.Throttling()
	p.Panics, p.Stalls = e.events.list()
	p.Groups, p.Bulkheads = e.groups.look(&e.inject), Bulkheads()
	return p
}

func durationCounts(h *meter.Histogram) DurationCounts {
	var d DurationCounts
	for upTo, n := range h.All() {
		d.Count += n
		d.Buckets = append(d.Buckets, DurationBucket{upTo, n})
	}
	d.Sum = h.Sum()
	return d
}

// lifecycle names the state of ending.
func (e *Executor) lifecycle() string {
	e.inject.mu.Lock()
	closed := e.inject.closed
	e.inject.mu.Unlock()
	word := e.word.Load()
	switch {
	case word&ended != 0:
		return "closed"
	case word&stopping != 0:
		return "stopping"
	case closed:
		return "draining"
	}
	return "open"
}

// beside counts the runners without a slot of their own.
func (e *Executor) beside() (d RunnerInfo) {
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
	d.Yielded = e.inject.yields.len
	e.inject.mu.Unlock()
	return d
}
