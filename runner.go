package executor

import (
	"math"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// runner is a goroutine that executes tasks while it holds a slot.
type runner struct {
	e     *Executor
	goid  int64      // written once, before any task sees the runner
	token chan *slot // one place: a slot for a runner that is parked or has yielded; nil: look again

	// The runner's own, plain.
	slot    *slot // nil while parked, yielded, lent away or surplus
	tc      *taskContext
	span    *span      // innermost range of For on this stack
	group   *groupTask // innermost group task on this stack
	forks   *forkNode  // children that are not joined yet, newest first
	joined  uint64     // children taken back and run since the last flush, not counted yet
	open    int        // how many those are
	sweepAt int        // and how many there may be before sweepForks
	pools   []any      // free forked children, one *forkPool[T] for each T
	signal  chan struct{}
	rng     uint64
	tick    uint32        // picks since the injector went first
	fair    uint32        // the tick at which it goes first again
	fairAt  time.Duration // the time since epoch when it did; 0: asleep since
	pops    uint32
	tasks   uint32 // tasks so far; the labels are reset after each 64

	untilSample uint64       // how many more tasks it submits until it measures one
	lastSample  atomic.Int64 // when that was last, since epoch

	batchTasks uint32        // tasks at the last batch
	batchAt    time.Duration // and the time since epoch
	taskTime   time.Duration // estimate of how long a task takes
	calls      uint32        // Blocking calls, for sampling
	shortCalls bool          // the last one that was measured was short
	misses     int

	turn  turn
	pacer pacer

	frames   int  // tasks with a frame since the last boundary
	depth    int  // nested tasks on this stack, run in place by waiters
	blocking int  // nested Blocking calls; only the outermost counts
	credit   bool // counts against WithMaxSpares
	inBare   bool // a task of Go is running
	done     bool // the loop ended by itself
	_        [64]byte

	// Shared.
	word    atomic.Uint64            // the Blocking word, see blocking.go
	held    atomicSlot               // slot, for retakers
	gift    atomicSlot               // a slot that repays this surplus runner; written under idle.mu
	flagged atomic.Uint64            // see budget.go
	name    atomic.Pointer[taskName] // of the task that runs, or nil; written by the runner
	probe   atomic.Pointer[probe]    // of the innermost task on this stack that has a span; written by the runner

	list       *runnerList // idle.parked or idle.surplus; this and the links under idle.mu
	prev, next *runner
	sibling    *runner // the registry's list
	elder      *runner
	seen       sighting // the keeper's own

	count counters
}

type (
	atomicSlot   = atomic.Pointer[slot]
	atomicRunner = atomic.Pointer[runner]
	atomicFlag   = atomic.Bool
)

func newRunner(e *Executor) *runner {
	return &runner{
		e: e, token: make(chan *slot, 1), rng: e.seed.Add(0x9e3779b97f4a7c15), taskTime: firstTaskTime, untilSample: e.cfg.sampling,
		turn: turn{length: minTurn, ends: unread}, pacer: pacer{slice: math.MaxUint64},
	}
}

// main is the life of a runner. It starts with a slot, and counted as searching.
func (r *runner) main(s *slot) {
	e := r.e
	pprof.SetGoroutineLabels(e.labels) // first of all: the starter may have carried foreign ones
	r.goid = goid.ID()
	r.fair = fairness
	runners.add(r)
	e.registry.add(r)
	defer r.exit()

	r.adopt(s)
	search := true
	for {
		en, ok := r.nextTask(search)
		if !ok {
			break
		}
		search = false
		if en.fn != nil {
			r.bare(en.fn, en.of.parent)
		} else {
			en.of.job.execute(r)
		}
		r.boundary()
	}
	r.done = true
}

// nextTask returns the next task to run, parking until there is one. It reports false when the runner
// is to end.
func (r *runner) nextTask(search bool) (entry, bool) {
	for {
		if r.slot != nil && r.slot.leaves() {
			if search {
				r.e.found()
				search = false
			}
			r.retireSlot()
		}
		if r.slot != nil {
			if en, ok := r.pick(); ok {
				if search {
					r.e.found()
				}
				return en, true
			}
			if !search {
				search = r.e.startSearching()
			}
			if search {
				if en, ok := r.search(); ok {
					r.e.found()
					return en, true
				}
			}
		}
		if !r.park(search) {
			return entry{}, false
		}
		search = true
	}
}

// boundary is what happens between two tasks.
func (r *runner) boundary() {
	unlockThread()
	for ; r.frames > 0; r.frames-- { // one for each task that was run, also in place
		unlockThread()
	}
	if r.tasks++; r.tasks%64 == 0 { // labels that a task left on reach at most 63 others
		pprof.SetGoroutineLabels(r.e.labels)
	}
	if r.name.Load() != nil {
		r.rename(nil)
	}
	if r.slot == nil || r.e.word.Load()&debt != 0 {
		r.settle()
	}
	if (r.turn.over || r.turn.woke && r.turn.low) && r.slot != nil {
		r.giveWay()
	}
}

// hasChildren reports whether endChildren has something to do.
func (r *runner) hasChildren() bool { return r.forks != nil || r.joined > 0 }

// endChildren accounts for the children of a task that has ended, at depth on this stack, before the task
// itself is counted (L3): those that were not joined are let go, and those that were taken back and run in
// place are counted. Their task was in flight all the time, so nobody can have missed them.
func (r *runner) endChildren(depth int) {
	if r.forks != nil {
		r.orphan(depth)
	}
	if r.joined > 0 {
		r.count.submitted.add(r.joined)
		r.count.completed.add(r.joined)
		r.joined = 0
	}
}

// forget drops everything that a parked runner must not keep alive or pass on.
func (r *runner) forget() {
	if r.tc != nil && !sameContext(r.tc.parent, background) {
		r.tc = nil
	}
	r.batchAt, r.fairAt = 0, 0               // the time asleep does not count
	r.turn.ends, r.turn.woke = unread, false // and others had the processor
	pprof.SetGoroutineLabels(r.e.labels)
}

// adopt takes hold of a slot; release lets go of it.
func (r *runner) adopt(s *slot) {
	r.slot = s
	r.held.Store(s)
	s.holder.Store(r)
}

func (r *runner) release() { r.slot = nil }

// exit ends the goroutine. If it did not end by itself, then a task called Goexit, and somebody else
// takes over the slot; or a task panicked, and the process is about to crash.
func (r *runner) exit() {
	e := r.e
	if !r.done {
		if value := recover(); value != nil {
			// Only a bare task gets here, without a handler. Nothing may run on as if all were well,
			// so panic on, with the stack of the task still in place.
			panic(value)
		}
		r.endChildren(0)
		if r.inBare {
			r.count.panicked.inc()
		}
		e.idle.mu.Lock()
		e.idle.live--
		e.idle.mu.Unlock()
		if r.slot == nil {
			r.settle()
		}
		if s := r.slot; s != nil {
			r.release()
			e.staff(s, true)
		}
		r.returnCredit()
	}
	runners.remove(r)
	e.registry.remove(r)
	e.checkQuiet()
	e.group.Done()
}

// frame marks the start of a task that may be one of several on the same stack, because waiters run
// tasks in place.
type frame struct {
	tc   *taskContext // the context of the task below
	name *taskName    // and its name
}

func (r *runner) enterFrame() frame {
	r.depth++
	r.frames++
	return frame{r.tc, r.name.Load()}
}

// leaveFrame ends a task that is about to be counted; dropFrame one that is not counted yet.
func (r *runner) leaveFrame(f frame) {
	r.endChildren(r.depth)
	r.popFrame(f)
}

func (r *runner) dropFrame(f frame) {
	if r.forks != nil {
		r.orphan(r.depth)
	}
	r.popFrame(f)
}

func (r *runner) popFrame(f frame) {
	if r.depth--; r.depth > 0 {
		r.tc = f.tc
	}
	if r.name.Load() != f.name {
		r.rename(f.name)
	}
}
