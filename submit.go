package executor

import (
	"context"
	rtrace "runtime/trace"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// How a task gets in: a child goes to the own deque, everything else to the injector, and a full
// injector makes the submitter wait.

// startBare submits a task of Go or TryGo.
func (e *Executor) startBare(ctx context.Context, fn func(context.Context), wait bool) error {
	if tc, ok := ctx.(*taskContext); ok && tc.r.e == e && tc.r.isCurrent() {
		en := entry{fn: fn, of: &tc.origin}
		if due, traced := tc.r.sampleDue(), tc.traced(); due || traced || rtrace.IsEnabled() {
			en = e.newProbe(ctx, tc.parent, tc.r, due, traced, true).entry(fn, &tc.origin)
		}
		return e.refused(en, e.submit(tc.r, ctx, en, wait))
	}
	// The context of a plain origin is of no foreign kind, so its error tells whether it is done: see over.
	if o := e.inject.recent.Load(); o != nil && o.plain && !e.inject.due.Load() && !rtrace.IsEnabled() && sameContext(o.parent, ctx) && (sameContext(ctx, background) || ctx.Err() == nil) {
		if e.handOver(entry{fn: fn, of: o}) {
			return nil
		}
		if e.inject.offer(entry{fn: fn, of: o}) {
			chaos.At(chaos.P1Published)
			e.notify()
			return nil
		}
	}
	if l := e.inject.lanes; l != nil && l.start(ctx, fn) {
		return nil
	}
	r, parent := e.runnerOf(ctx), e.parentOf(ctx)
	e.meetContext(r, parent)
	o := e.inject.originOf(parent)
	en := e.probeFor(ctx, o.parent, r, o.traced, true).entry(fn, o)
	return e.refused(en, e.submit(r, ctx, en, wait))
}

// refused counts the refusal of a bare task, if it was refused, and lets go of it (R1).
func (e *Executor) refused(en entry, err error) error {
	if err != nil {
		e.inject.forgetParent(en.of.parent) // nothing may come any more that would
		en.letGo()
	}
	return e.rejected(err)
}

// rejected counts a refusal.
func (e *Executor) rejected(err error) error {
	if err != nil {
		e.outside.reject(err)
	}
	return err
}

// runnerOf returns the calling goroutine's runner if ctx names it and it is one of this executor.
func (e *Executor) runnerOf(ctx context.Context) *runner {
	if tc := taskOf(ctx); tc != nil && tc.r.e == e && tc.r.isCurrent() {
		return tc.r
	}
	return nil
}

// handOver gives a task from outside to a parked runner together with a free slot, if nothing waits and nobody looks for
// work (P7): it never is in a queue. It reports false if it has not, and then it has done nothing.
func (e *Executor) handOver(en entry) bool {
	if !e.idles() {
		return false
	}
	e.idle.mu.Lock()
	r := e.idle.parked.top
	if r == nil || !e.idles() {
		e.idle.mu.Unlock()
		return false
	}
	e.idle.parked.remove(r)
	// The first of an idle executor is not counted as searching: that would cost its runner more than a second wake-up
	// costs if more tasks come. Later ones are, so that a burst wakes one runner after the other.
	r.counted = len(e.idle.free) < len(*e.slots.Load())
	count := uint64(0)
	if r.counted {
		count = oneSearching
	}
	s := e.takeFree(count)
	e.idle.wakeups++
	r.count.submitted.inc() // before it can run (L1); and the word has said in here that nobody has closed (L2)
	if e.idle.until--; e.idle.until == 0 {
		e.idle.until = e.cfg.sampling
		e.inject.due.Store(true)
	}
	e.idle.mu.Unlock()
	chaos.At(chaos.P1Token)
	r.handed = en
	r.token <- s
	return true
}

// idles reports whether a task from outside could start at once: a slot is free, nothing waits in the injector, nobody
// looks for work, and the executor is open.
func (e *Executor) idles() bool {
	word := e.word.Load()
	return word&freeMask != 0 && word&(searchingMask|draining|stopping|ended) == 0 && !e.inject.filled.Load()
}

// submit queues a task. r is the calling goroutine's runner if the caller knows that it is one of this
// executor, else nil.
func (e *Executor) submit(r *runner, ctx context.Context, en entry, wait bool) error {
	switch {
	case !alive(ctx):
		return errorOf(ctx)
	case r != nil && r.pushLocal(en):
		return nil
	}
	w, err := e.admit(r, ctx, en, wait)
	if w != nil {
		return e.waitForRoom(ctx, w)
	}
	return err
}

// pushLocal puts a child on the own deque. A drain does not matter to it: the calling task itself is in flight.
// It fails if the executor stops, if the runner has no slot to itself at the moment, or if the deque is full and
// the injector too.
func (r *runner) pushLocal(en entry) bool {
	if r.block.nested > 0 || r.slot == nil && !r.takeGift() || r.e.word.Load()&stopping != 0 {
		return false
	}
	d := &r.slot.deque
	if (chaos.Forced(chaos.I2Full) || d.room() == 0) && r.e.inject.overflow(d, dequeCap/2) == 0 {
		r.e.notify() // it may have lowered the tail, and nobody could see what is above (P4)
		return false
	}
	r.count.submitted.inc() // before anybody can run it (L1)
	chaos.At(chaos.L1Counted)
	d.push(en)
	chaos.At(chaos.P1Published)
	r.e.notify()
	return true
}

// admit gets the submitter what it wants, or returns a waiter for waitForRoom. It does not wait itself, and
// waitForRoom has little on its stack, because thousands may wait: that way 2 KB of stack are enough for each.
func (e *Executor) admit(r *runner, ctx context.Context, en entry, wait bool) (*waiter, error) {
	if r == nil {
		if anyRule.Load() {
			return e.admitByRule(ctx, en, wait)
		}
		if !en.alone() && e.handOver(en) {
			return nil, nil
		}
	}
	q := &e.inject
	q.mu.Lock()
	err := q.refusal(r != nil)
	if err == nil && q.accept(en) {
		q.unlock()
		chaos.At(chaos.P1Published)
		e.notify()
		return nil, nil
	}
	q.unlock()
	return e.admitLate(r, ctx, en, wait, err)
}

// admitLate is admit for a task that is refused, with err, or about to wait: now it matters whose goroutine this is,
// whatever ctx says.
func (e *Executor) admitLate(r *runner, ctx context.Context, en entry, wait bool, err error) (*waiter, error) {
	caller := r
	if r == nil {
		caller = currentRunner(ctx)
		if r = e.own(caller); r != nil {
			if r.pushLocal(en) {
				return nil, nil
			}
			return e.admit(r, ctx, en, wait)
		}
		if e.asTask(caller, func() { err = e.submit(nil, ctx, en, wait) }) {
			return nil, err
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !wait:
		return nil, ErrQueueFull
	}
	return &waiter{caller: caller, en: en, own: r != nil, inTask: caller != nil}, nil
}

// waitForRoom waits until w is granted, refused, or ctx is done. A task lends its slot meanwhile. It
// waits only as long as that helps: without a spare left, or when the queue stands still, its child is
// accepted over the limit, and refused beyond the hard cap.
func (e *Executor) waitForRoom(ctx context.Context, w *waiter) error {
	e.meet(w.caller, "waiting for room") // here, not in admit, whose stack stays small so
	w.ready = make(chan struct{})
	if w.caller != nil {
		return e.waitInTask(ctx, w)
	}
	return e.waitOnList(ctx, w, false)
}

// waitInTask is waitForRoom for a task.
func (e *Executor) waitInTask(ctx context.Context, w *waiter) error {
	caller := w.caller
	if !w.own {
		e.visitors.enter(e)
		defer e.visitors.leave()
	}
	if caller.block.nested == 0 {
		caller.expose()
		if caller.hold != nil {
			defer caller.unhold()()
		}
		caller.enter(kindWait)
		defer caller.leave()
	}
	if !caller.waits.Load() { // it does already, for a turn of Do
		caller.waitsForTasks()
		defer caller.goesOn()
	}
	return e.waitOnList(ctx, w, w.own && caller.stuck())
}

// waitOnList waits among those who wait for room.
func (e *Executor) waitOnList(ctx context.Context, w *waiter, stuck bool) error {
	if settled, err := e.enlist(w, stuck); settled {
		return err
	}
	if ctx.Done() == nil {
		<-w.ready // not a select, which needs more stack
		return w.err
	}
	select {
	case <-w.ready:
		return w.err
	case <-ctx.Done():
	}
	return e.leaveList(ctx, w)
}

// enlist makes w wait, unless by now there is no reason to: then it reports true, and w's error.
func (e *Executor) enlist(w *waiter, stuck bool) (settled bool, err error) {
	q := &e.inject
	if w.of != nil {
		return q.lanes.enlist(w, stuck)
	}
	q.mu.Lock()
	err = q.refusal(w.own)
	accepted := err == nil && q.accept(w.en)
	if !accepted && err == nil && w.inTask && (stuck || q.stood == q.moved+1) {
		accepted = q.acceptOver(w.en)
		if !accepted {
			err = ErrQueueFull
		}
	}
	if !accepted && err == nil && w.own && w.inTask && e.denied.Load() { // its slot's task could use the spare that it holds
		accepted = q.acceptOver(w.en)
	}
	if accepted || err != nil {
		q.unlock()
		if accepted {
			e.notify()
		}
		return true, err
	}
	q.waiters.push(w)
	q.unlock()
	if w.inTask {
		e.attend() // the keeper notices when the queue stands still
	}
	chaos.At(chaos.I1Waits)
	return false, nil
}

// letOver accepts the child of one task that waits for room over the limit (I2): the last spare is gone, and a slot is held
// by a task that only blocks. The waiting one has a credit, and can go on in its place.
func (e *Executor) letOver() {
	q := &e.inject
	q.mu.Lock()
	if q.waiters.inTask == 0 {
		q.mu.Unlock()
		return
	}
	taken := false
	served := q.dismiss(func(w *waiter) (bool, error) {
		if taken || !w.own || !w.inTask {
			return false, nil
		}
		taken = q.acceptOver(w.en)
		return taken, nil
	})
	q.unlock()
	wakeAll(served)
}

// leaveList ends the wait of w, since ctx is done.
func (e *Executor) leaveList(ctx context.Context, w *waiter) error {
	chaos.At(chaos.I1Leaves)
	q := &e.inject
	q.mu.Lock()
	left := w.listed
	if at, ok := w.of.(*spot); ok && left {
		at.lane.removeWaiter(w)
	} else if left {
		q.waiters.remove(w)
	}
	q.mu.Unlock()
	if !left { // granted or refused at the same moment
		<-w.ready
		return w.err
	}
	e.checkQuiet()
	return errorOf(ctx)
}

// acceptHeld accepts a task that its group holds back: it takes no place in the queue. own says that a task of this
// executor submits it.
func (e *Executor) acceptHeld(own bool) error {
	q := &e.inject
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.refusal(own); err != nil {
		return err
	}
	q.submitted++
	q.held.Add(1)
	return nil
}

// requeue queues a task that was held back, whatever the bound says: it has been accepted long ago. r is the calling
// goroutine's runner, or nil. at is where the task waits if it is from outside and there are lanes. It reports false if
// the executor drops what is queued.
func (e *Executor) requeue(r *runner, en entry, at *spot) bool {
	q := &e.inject
	if at == nil && r != nil && r.block.nested == 0 && r.slot != nil && r.slot.room() > 0 {
		r.slot.push(en)
		q.held.Add(-1)
		e.notify()
		return true
	}
	q.mu.Lock()
	stopped := q.stopped
	switch {
	case stopped:
	case at != nil:
		q.lanes.requeue(at, en)
	default:
		q.queue.push(en)
		q.used++
	}
	q.held.Add(-1)
	q.unlock()
	if !stopped {
		e.notify()
	}
	return !stopped
}

// pushOver queues a child that must not wait for room, up to twice the limit (I2).
func (e *Executor) pushOver(en entry) bool {
	q := &e.inject
	q.mu.Lock()
	ok := !q.stopped && q.acceptOver(en)
	q.unlock()
	if ok {
		e.notify()
	}
	return ok
}

// bury is the injector's, with the notification that may be due.
func (e *Executor) bury() {
	if e.inject.bury() {
		e.notify()
	}
}

// own returns r if it is a runner of this executor, else nil.
func (e *Executor) own(r *runner) *runner {
	if r == nil || r.e != e {
		return nil
	}
	return r
}
