package executor

import (
	"math"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// runner is a goroutine that executes tasks while it holds a slot.
type runner struct {
	e       *Executor
	goid    atomic.Int64 // of its goroutine, written before any task sees the runner; a guest's changes, and is 0 between two
	token   chan *slot   // one place: a slot for a runner that is parked or has yielded; nil: it ends
	counted bool         // and the runner is counted as searching
	handed  entry        // a task that comes with the token, or nothing

	// The runner's own, plain.
	slot      *slot   // its copy of held, for all that a task does: see "Who has a slot" in ARCHITECTURE.md
	done      bool    // the loop ended by itself
	away      bool    // it is listed as parked already: a guest has its slot
	timed     bool    // and it is to wait no longer than the keep-alive
	guest     bool    // it is a goroutine that called Do, for that time
	last      int64   // the goroutine that was the last guest with this record
	below     *runner // what the goroutine is beside that: a runner of another executor, whose task called Do
	cover     *runner // the guest that the goroutine is now, instead
	tasks     uint32  // tasks so far; the labels are reset after each 64
	picks     picks
	batches   batches
	processor processor
	stack     stack
	block     block
	hold      holding // of its task from outside, if that is of a lane that counts them; else nil
	samples   samples
	_         [64]byte

	// Shared.
	word    atomic.Uint64            // the Blocking word, see blocking.go
	held    atomicSlot               // the slot that it has, or nil; written by the runner, and by repay
	flagged atomic.Uint64            // see budget.go
	name    atomic.Pointer[taskName] // of the task that runs, or nil; written by the runner
	strand  atomic.Pointer[onStack]  // the innermost one that it drains; written by the runner
	probe   atomic.Pointer[probe]    // of the innermost task on this stack that has a span; written by the runner

	waits atomicFlag // the task waits for tasks, of whatever executor (B7)

	list       *runnerList // idle.parked or idle.surplus; this and the links under idle.mu
	prev, next *runner
	sibling    *runner // the registry's list
	elder      *runner
	seen       sighting // the keeper's own

	count counters
}

// picks is where a runner looks next.
type picks struct {
	rng    uint64
	count  uint32        // picks since the injector went first
	fair   uint32        // the count at which it goes first again
	fairAt time.Duration // the time since epoch when it did; 0: asleep since
	visits bool          // another deque's turn is next
	then   uint32        // and this is fair after it
	next   uint32        // which deque that is, going round
	pops   uint32        // of the own deque
	misses int           // looks in a row, after parking, that saw work and got none
}

// batches is how much a runner takes from the injector at once.
type batches struct {
	tasks    uint32        // the runner's tasks at the last batch
	at       time.Duration // and the time since epoch
	taskTime time.Duration // estimate of how long a task takes
}

// processor is how long the runner keeps its processor, and its task the slot.
type processor struct {
	turn  turn
	pacer pacer
}

// stack is what a runner knows of the tasks on its stack: the one that it took from a queue, and those that run in
// place on top of it.
type stack struct {
	tc       *taskContext
	span     unbegun   // innermost range of a loop, or nil
	group    any       // innermost *groupTask, or nil
	promises []any     // each *promise of a Future whose task is on it, the innermost is last
	forks    *forkNode // children that are not joined yet, newest first
	joined   uint64    // children taken back and run since the last flush, not counted yet
	open     int       // how many forks there are
	sweepAt  int       // and how many there may be before sweepForks
	pools    []any     // free forked children, one *forkPool[T] for each T
	signal   chan struct{}
	within   []any  // calls of a *Bulkhead that are under way, the innermost is last
	frames   int    // tasks with a frame since the last boundary
	depth    int    // nested tasks, run in place by waiters
	inBare   bool   // a task of Go is running
	wrong    *wrong // how the task went wrong that is about to be counted
}

// unbegun is a range of a loop, of which other runners may take what is not begun. The types of stack's fields are
// interfaces where they can be: the linker keeps, of every type that a field of a runner leads to, all methods that an
// interface has, even of groups and loops in a program without any.
type unbegun interface{ expose(r *runner) }

// expose lets others have what the innermost loop has not begun, before its body blocks.
func (r *runner) expose() {
	if s := r.stack.span; s != nil {
		s.expose(r)
	}
}

// block is what a runner knows of its calls of Blocking. The Blocking word is shared, and not here.
type block struct {
	nested int    // calls inside each other; only the outermost counts
	calls  uint32 // so far, for sampling
	short  bool   // the last one that was measured was short
}

// samples is which of the tasks that the runner submits are measured.
type samples struct {
	until uint64       // how many more until the next
	last  atomic.Int64 // when that was last, since epoch
}

type (
	atomicSlot   = atomic.Pointer[slot]
	atomicRunner = atomic.Pointer[runner]
	atomicFlag   = atomic.Bool
)

func newRunner(e *Executor) *runner {
	return &runner{
		e: e, token: make(chan *slot, 1),
		picks:     picks{rng: e.seed.Add(0x9e3779b97f4a7c15)},
		batches:   batches{taskTime: firstTaskTime},
		processor: processor{turn: turn{length: minTurn, ends: unread}, pacer: pacer{slice: math.MaxUint64}},
		samples:   samples{until: e.cfg.sampling},
	}
}

// main is the life of a runner. It starts with a slot, and counted as searching.
func (r *runner) main(s *slot) {
	e := r.e
	pprof.SetGoroutineLabels(e.labels) // first of all: the starter may have carried foreign ones
	r.goid.Store(goid.ID())
	r.picks.fair = fairness
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
			r.bare(en)
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
			r.e.inject.empty(&r.slot.deque) // park gives the slot up
		} else if r.slot != nil {
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
		if s := r.slot; s != nil && s.loan != nil && !s.leaves() && r.e.hasWork() {
			runtime.Gosched() // a thief was interrupted between claim and release: a lent slot would be gone
			continue
		}
		if !r.park(search) {
			return entry{}, false
		}
		if en := r.handed; en.of != nil { // (P7)
			r.handed = entry{}
			if r.counted {
				r.e.found()
			}
			return en, true
		}
		search = true
	}
}

// boundary is what happens between two tasks.
func (r *runner) boundary() {
	unlockThread()
	for ; r.stack.frames > 0; r.stack.frames-- { // one for each task that was run, also in place
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
	if (r.processor.turn.over || r.processor.turn.woke && r.processor.turn.low) && r.slot != nil {
		r.giveWay()
	}
}

// hasChildren reports whether endChildren has something to do.
func (r *runner) hasChildren() bool { return r.stack.forks != nil || r.stack.joined > 0 }

// endChildren accounts for the children of a task that has ended, at depth on this stack, before the task
// itself is counted (L3): those that were not joined are let go, and those that were taken back and run in
// place are counted. Their task was in flight all the time, so nobody can have missed them.
func (r *runner) endChildren(depth int) {
	if r.stack.forks != nil {
		r.orphan(depth)
	}
	if r.stack.joined > 0 {
		r.count.submitted.add(r.stack.joined)
		r.count.completed.add(r.stack.joined)
		r.stack.joined = 0
	}
}

// forget drops everything that a parked runner must not keep alive or pass on.
func (r *runner) forget() {
	if r.stack.tc != nil && (!sameContext(r.stack.tc.parent, background) || r.stack.tc.across.Load() != nil) {
		r.stack.tc = nil
	}
	r.batches.at, r.picks.fairAt = 0, 0                          // the time asleep does not count
	r.processor.turn.ends, r.processor.turn.woke = unread, false // and others had the processor
	pprof.SetGoroutineLabels(r.e.labels)
}

// adopt takes hold of a slot.
func (r *runner) adopt(s *slot) {
	r.slot = s
	r.held.Store(s)
	if s.holder.Load() != r {
		s.holder.Store(r)
	}
}

// release lets go of the slot, before anybody else can get it, and returns it. From then until it has parked, the
// runner has a credit (B5).
func (r *runner) release() *slot {
	s := r.slot
	r.slot = nil
	r.held.Store(nil)
	return s
}

// has reports whether r has s. Anybody may ask, at any time: held is stale only while the word is TAKEN (B6).
func (r *runner) has(s *slot) bool {
	return s != nil && r.held.Load() == s && r.word.Load()&phaseMask != phaseTaken
}

// owner returns the runner that has s, or nil if it is free or on its way. Anybody may ask.
func (s *slot) owner() *runner {
	if h := s.holder.Load(); h != nil && h.has(s) {
		return h
	}
	return nil
}

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
		if r.stack.inBare {
			if n := r.name.Load(); n != nil {
				r.failed(false, nil, nil)
				n.note(r)
			}
			r.count.panicked.inc()
		}
		if o := e.orders(); o != nil {
			o.exited(r)
		}
		e.idle.mu.Lock()
		e.idle.live--
		e.idle.mu.Unlock()
		if r.slot == nil {
			r.settle()
		}
		if r.slot != nil {
			e.staff(r.release(), true)
		} else {
			e.returnCredit() // (B5)
		}
	}
	r.stack.tc, r.stack.group, r.stack.span = nil, nil, nil // whoever holds a context of one of its tasks holds the runner
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
	r.stack.depth++
	r.stack.frames++
	return frame{r.stack.tc, r.name.Load()}
}

// leaveFrame ends a task that is about to be counted; dropFrame one that is not counted yet.
func (r *runner) leaveFrame(f frame) {
	r.endChildren(r.stack.depth)
	r.popFrame(f)
}

func (r *runner) dropFrame(f frame) {
	if n := r.stack.forks; n != nil && n.depth >= r.stack.depth {
		r.orphan(r.stack.depth)
	}
	r.popFrame(f)
}

func (r *runner) popFrame(f frame) {
	if r.stack.depth--; r.stack.depth > 0 {
		r.stack.tc = f.tc
	}
	n := r.name.Load()
	if n != nil {
		n.note(r)
	}
	if n != f.name {
		r.rename(f.name)
	}
}

// abnormal counts a task that did not return, given what recover said, and returns its error.
func (r *runner) abnormal(recovered any) error {
	r.count.panicked.inc()
	if recovered == nil {
		return ErrGoexit
	}
	return r.panicked(recovered)
}
