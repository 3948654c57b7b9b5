package executor

import (
	"context"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/seed-97bda89a/executor/internal/sched"
)

// Budgets. As a rule the keeper, not the task, reads the clock: when a task has run for its budget while
// others wait, the keeper writes the runner's progress count into the runner's flag (plus one, so that zero
// means no flag). A flag that was meant for an earlier task does not match any more and is ignored, and
// a leaked context only reads it. While no slot is free the task looks as well, see pace.

// Checkpoint is for long loops inside a task: it returns ctx's error if ctx is done, and otherwise lets
// other tasks go first if this one has used its budget (WithBudget) and others wait. If no slot is free, it also
// lets other goroutines of the process have the processor now and then. Hold no lock
// across it. Outside of a task, or with a context that does not stem from the calling task's, it only
// checks ctx. It costs about 2 ns while the budget lasts, and 10 while no slot is free.
func Checkpoint(ctx context.Context) error {
	tc, ok := ctx.(*taskContext)
	if !ok {
		return checkpointWrapped(ctx)
	}
	r := tc.r
	word := r.e.word.Load()
	if word&stopping != 0 || !sameContext(tc.parent, background) { // else there is nothing to ask
		if tc.Err() != nil {
			return errorOf(tc)
		}
	}
	if r.hurried(word) {
		r.checkpoint()
	}
	return nil
}

// checkpointWrapped is Checkpoint for a context made from a task's.
func checkpointWrapped(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return errorOf(ctx)
	}
	if tc := taskOf(ctx); tc != nil && tc.r.hurried(tc.r.e.word.Load()) {
		tc.r.checkpoint()
	}
	return nil
}

// hurried reports whether there is more to a Checkpoint than the context, by the state word. Anybody may ask.
func (r *runner) hurried(word uint64) bool { return word&freeMask == 0 || r.flagged.Load() != 0 }

func (r *runner) checkpoint() {
	if !r.isCurrent() {
		return
	}
	if r.flagged.Load() != 0 {
		if r.e.pool != nil {
			takeTurn(r, sched.Checkpoint)
			return
		}
		meant := r.flagged.Swap(0) == r.count.progress()+1 // the keeper sets it in look
		if meant && r.spend() {
			return
		}
	}
	if r.block.nested == 0 { // the time inside is not the task's
		r.pace()
	}
}

// spend yields at the end of the budget.
func (r *runner) spend() bool {
	if r.block.nested > 0 || !r.yield() {
		return false
	}
	r.count.budget.inc()
	return true
}

// Yield lets other tasks go first, if any wait: the task goes to the end of the injector and continues
// when its turn comes. Otherwise it does nothing. When MaxSpares tasks have yielded or lent their slots,
// the next turn is that of a task that has yielded; if none has, Yield does nothing. It returns ctx's
// error if ctx is done. Hold no lock across it. Like Checkpoint it goes by ctx alone.
func Yield(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return errorOf(ctx)
	}
	if tc := taskOf(ctx); tc != nil && tc.r.isCurrent() && tc.r.block.nested == 0 {
		if tc.r.e.pool != nil {
			takeTurn(tc.r, sched.Yield)
			return nil
		}
		tc.r.yield()
	}
	return nil
}

// yield gives the slot away and parks until somebody who takes the runner's entry from the injector
// hands over theirs. Nothing runs on top of the yielder's stack meanwhile. It reports whether it did.
func (r *runner) yield() bool {
	e := r.e
	r.takeGift()
	s := r.slot
	if !e.othersWait(s) {
		return false
	}
	var next *resume // a yielded runner that goes on in place of this one, when no spare is left for anybody else
	switch {
	case s == nil: // surplus: it has a credit, and giving up running is just what it owes
		if r.stopSurplus() {
			return false
		}
	case !e.credits.TryAcquire(1):
		if next = e.inject.takeOldestResume(); next == nil {
			return false
		}
	}
	if p := r.probe.Load(); p != nil {
		p.event("executor.yield")
	}
	r.release()
	e.inject.addResume(newResume(r))
	switch {
	case next != nil: // its credit is this runner's now (B5)
		next.r.token <- s
		e.notify()
	case s != nil:
		e.staff(s, !r.guest)
	default:
		e.word.Or(lent) // a blocked runner that was denied a spare can give its slot to this one
		e.notify()
	}
	r.adopt(<-r.token)
	// Not before: the keeper charges what has not moved for its budget, and the time in the queue is not the task's.
	r.count.yields.inc()
	return true
}

// othersWait reports whether queued tasks wait for a slot.
func (e *Executor) othersWait(own *slot) bool {
	if e.inject.filled.Load() || own != nil && own.len() > 0 {
		return true
	}
	return e.word.Load()&(searchingMask|freeMask) == 0 && e.hasWork()
}

// Letting other goroutines have the processor. A runner that always finds a task never enters Go's scheduler.
// Where there are as many slots as processors, those who wait for results, for timers and for room in the queue
// would get a processor only when the runtime preempts a runner, which takes it 10 to 20 ms. So runners give
// theirs up now and then: docs/decisions/0011-the-processor-goes-round.md.

const (
	// minTurn and maxTurn are how long a runner keeps the processor from others at a stretch, as far as the
	// length of tasks allows. Giving it up costs about 200 ns if nobody wants it. In between it is as long as the
	// runner has waited for its turn, so that it gets about as much as goroutines which compute until the runtime
	// preempts them, after 10 ms.
	minTurn = time.Millisecond
	maxTurn = 10 * time.Millisecond

	// paceTime is about how often a Checkpoint reads the clock while no slot is free, and maxPace how many
	// there may be from one time to the next.
	paceTime = 100 * time.Microsecond
	maxPace  = 64
)

// crowded reports whether runners may have all processors: every slot is in use, and there are as many.
func (e *Executor) crowded() bool {
	return freeSlots(e.word.Load()) == 0 && e.slotCount() >= runtime.GOMAXPROCS(0)
}

// turn is how long a runner has the processor.
type turn struct {
	length time.Duration // of the next one
	ends   time.Duration // of this one, since epoch; unread: it begins when the clock is read next
	over   bool          // between two tasks others get the processor
	woke   bool          // submitters, since they last got it
	low    bool          // the queue, when something was taken from it last
}

// isOver reports whether the turn has ended at a time since epoch.
func (t *turn) isOver(now time.Duration) bool {
	if t.ends == unread {
		t.ends = now + t.length
	}
	return now >= t.ends
}

// giveWay lets others have the processor between two tasks, if the turn is over, or if the runner has woken
// submitters and has nothing to do beside a queue that runs low: they can fill it before it is empty and all
// runners park. Nobody counts on the runner as a searcher there (P1).
func (r *runner) giveWay() {
	if t := &r.processor.turn; t.over || t.woke && r.slot.len() == 0 {
		t.over, t.woke = false, false
		r.passOn(time.Since(epoch))
	}
}

// shareProcessor is giveWay inside a task that reads the clock. It takes and returns the time since epoch.
func (r *runner) shareProcessor(now time.Duration) time.Duration {
	if !r.processor.turn.isOver(now) {
		return now
	}
	return r.passOn(now)
}

// passOn lets other goroutines run, where they may have to wait for that. The next turn is as long as it took.
func (r *runner) passOn(now time.Duration) (back time.Duration) {
	t := &r.processor.turn
	if !r.e.crowded() {
		t.ends = now + minTurn
		return now
	}
	runtime.Gosched()
	back = time.Since(epoch)
	t.length = min(max(minTurn, back-now), maxTurn)
	t.ends = back + t.length
	if r.batches.at != 0 && r.batches.at != unread { // the tasks did not take that long
		r.batches.at += back - now
	}
	if r.picks.fairAt != 0 {
		r.picks.fairAt += back - now
	}
	return back
}

// pacer is what a runner knows about the task that it runs from its Checkpoints.
type pacer struct {
	task          uint32        // which of the runner's tasks that is
	calls, period int           // Checkpoints since the clock was read, and how many there are to be
	readAt        time.Duration // when that was, since epoch
	slice         uint64        // the runner's progress at that time
	since         time.Duration // since when, as far as seen here, the task has had its slot
}

// pace is what a Checkpoint does while no slot is free, or when the keeper's flag was set. It may give up the
// processor, and the slot if the task's budget is spent: the keeper, whose timer waits for a processor like
// everybody else, may be late.
func (r *runner) pace() {
	p := &r.processor.pacer
	if p.task != r.tasks { // another may call it less often
		p.task, p.period = r.tasks, 0
	}
	if p.calls++; p.calls < p.period {
		return
	}
	p.calls = 0
	now := time.Since(epoch)
	took := max(1, now-p.readAt)
	p.period = int(min(maxPace, paceTime*time.Duration(p.period+1)/took))
	if slice := r.count.progress() + r.word.Load()/oneEpoch; slice != p.slice {
		p.slice, p.since = slice, now
	}
	if budget := r.e.cfg.budget; now-p.since >= budget {
		if r.spend() {
			return
		}
		p.since = now - budget + minTurn // nobody waits, or no spare is left: not again at once
	}
	p.readAt = r.shareProcessor(now)
}

// goroutineStates is how many goroutines of the process run, could run, and are in C or in system calls.
type goroutineStates struct{ running, runnable, procs, calls, threads int }

// readStates reads the states from the runtime. It takes about 200 ns.
func readStates(samples []metrics.Sample) goroutineStates {
	metrics.Read(samples)
	value := func(i int) int {
		if samples[i].Value.Kind() != metrics.KindUint64 {
			return 0
		}
		return int(samples[i].Value.Uint64())
	}
	return goroutineStates{value(0), value(1), value(2), value(3), value(4)}
}

func stateSamples() []metrics.Sample {
	return []metrics.Sample{
		{Name: "/sched/goroutines/running:goroutines"},
		{Name: "/sched/goroutines/runnable:goroutines"},
		{Name: "/sched/gomaxprocs:threads"},
		{Name: "/sched/goroutines/not-in-go:goroutines"},
		{Name: "/sched/threads/total:threads"},
	}
}
