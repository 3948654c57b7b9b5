package executor

import "context"

// Budgets. As a rule the keeper, not the task, reads the clock: when a task has run for its budget while
// others wait, the keeper writes the runner's progress count into the runner's flag (plus one, so that zero
// means no flag). A flag that was meant for an earlier task does not match any more and is ignored, and
// a leaked context only reads it. While no slot is free the task looks as well, see pace.

// Checkpoint is for long loops inside a task: it returns ctx's error if ctx is done, and otherwise lets
// other tasks go first if this one has used its budget (WithBudget) and others wait. If no slot is free, it also
// lets other goroutines of the process have the processor now and then. Hold no lock
// across it. Outside of a task, or with a context that does not stem from the calling task's, it only
// checks ctx. It costs about 4 ns while the budget lasts, and 10 while no slot is free.
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
