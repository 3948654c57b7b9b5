package executor

import (
	"context"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// How a forked child runs, ends, and is used again.

func (f *forked[T]) execute(r *runner) {
	for {
		state := f.state.Load()
		if state&forkPhase != forkQueued { // joined in place; the entry was dead
			r.e.inject.dead.Add(-1)
			return
		}
		if state&forkOrphan == 0 {
			r.count.submitted.inc() // before it runs, and while its task is in flight (L3)
		}
		chaos.At(chaos.L3Counted)
		if f.state.CompareAndSwap(state, state|forkRunning) {
			f.run(r)
			return
		}
		if state&forkOrphan == 0 {
			r.count.submitted.undo()
		}
	}
}

func (f *forked[T]) drop(*Executor, error) bool { return false }

func (f *forked[T]) dead() bool { return f.state.Load()&forkPhase != forkQueued }

// left uses the record again, if it has been joined.
func (f *forked[T]) left(r *runner) {
	if f.r != r {
		return
	}
	f.queued = false
	if f.joined {
		f.recycle(r)
	}
}

// queued reports whether nobody has started this use of a child.
func queued(state, use uint64) bool {
	return state&^(forkUse-1) == use && state&forkPhase == forkQueued
}

// use returns the number of the record's current use.
func (f *forkNode) use() uint64 { return f.state.Load() &^ (forkUse - 1) }

// run runs the claimed child on r.
func (f *forked[T]) run(r *runner) {
	fr := r.enterFrame()
	defer f.settle(r, fr)
	f.val = f.fn(r.contextFor(f.parent))
	f.returned = true
}

// settle records how fn ended and is deferred around it.
func (f *forked[T]) settle(r *runner, fr frame) {
	var value any
	if !f.returned {
		value = recover()
	}
	if !f.returned {
		r.failed(false, nil, value)
	}
	r.leaveFrame(fr)
	if f.returned {
		r.count.completed.inc()
	} else {
		f.fail(r.abnormal(value))
	}
	f.letGo()
	f.finish(r.e)
}

// letGo is for a child that has run: its handle may be kept for long, and nobody may join it (R1).
func (f *forked[T]) letGo() {
	if f.origin.letGo(); !f.fixed {
		f.fn = nil
	}
}

// runTakenBack runs a child that takeBack took: nobody else knows of it any more.
func (f *forked[T]) runTakenBack(r *runner) (val T, failed *PanicError) {
	r.closeFork(&f.forkNode)
	fr := r.enterFrame()
	defer func() {
		if !f.returned {
			failed = r.failedTakenBack(recover(), fr)
		}
		f.reuse()
	}()
	val = f.fn(r.contextFor(f.parent))
	f.returned = true
	r.dropFrame(fr)
	r.stack.joined++ // counted with the task that the child belongs to
	return val, nil
}

// failedTakenBack records the end of such a child that did not return, given what recover said.
func (r *runner) failedTakenBack(recovered any, fr frame) *PanicError {
	r.failed(false, nil, recovered)
	r.leaveFrame(fr)
	r.count.submitted.inc()
	return panicOf(r.abnormal(recovered))
}

// fail records the error of a child that did not return.
func (f *forkNode) fail(err error) { f.failed = panicOf(err) }

// panicOf returns what Join panics with: the panic itself, or one around ErrGoexit.
func panicOf(err error) *PanicError {
	if p, ok := err.(*PanicError); ok {
		return p
	}
	return asPanicError(err)
}

// runOutside runs a child that does not belong to a task, at once and on the caller's goroutine.
func (f *forked[T]) runOutside(ctx context.Context) {
	f.state.Store(forkRunning)
	defer func() {
		if f.returned {
			f.finish(nil)
		} else if value := recover(); value != nil {
			f.failed = asPanicError(value)
			f.finish(nil)
		}
	}()
	fn := f.fn
	f.letGo()
	f.val = fn(ctx)
	f.returned = true
}

// finish publishes the end. From the moment the state says so, a joiner that does not wait for the
// signal may use the record again.
func (f *forkNode) finish(e *Executor) {
	failed := f.failed
	for {
		state := f.state.Load()
		chaos.At(chaos.F1Ended)
		if !f.state.CompareAndSwap(state, state&^forkPhase|forkDone) {
			continue
		}
		chaos.At(chaos.F1Signal)
		if state&forkAwaited != 0 {
			f.signal <- struct{}{}
		}
		if state&(forkOrphan|forkJoined) == forkOrphan && failed != nil {
			e.logOrphan(failed)
		}
		return
	}
}

// orphan lets go of the children at depth or deeper that their tasks have not joined. They run all the
// same.
func (r *runner) orphan(depth int) {
	for n := r.stack.forks; n != nil && n.depth >= depth; n = r.stack.forks {
		r.closeFork(n)
		r.count.submitted.inc() // nobody has started it, perhaps: then its task counts it (L3)
		chaos.At(chaos.L3Counted)
		state := n.state.Or(forkOrphan)
		if state&forkPhase != forkQueued {
			r.count.submitted.undo()
		}
		if state&forkPhase == forkDone && state&forkJoined == 0 && n.failed != nil {
			r.e.logOrphan(n.failed)
		}
	}
}

func (e *Executor) logOrphan(p *PanicError) {
	e.errand(func() {
		e.cfg.log.Error("executor: a forked child that nobody joined panicked", "executor", e.name, "err", p)
	})
}

func (r *runner) openFork(n *forkNode) {
	if r.stack.open++; r.stack.open > r.stack.sweepAt {
		r.sweepForks()
	}
	n.listed, n.depth, n.prev, n.next = true, r.stack.depth, nil, r.stack.forks
	if r.stack.forks != nil {
		r.stack.forks.prev = n
	}
	r.stack.forks = n
}

func (r *runner) closeFork(n *forkNode) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		r.stack.forks = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	}
	n.listed, n.prev, n.next = false, nil, nil
	r.stack.open--
}

// minSweep is how many open children a runner lists before it looks for ended ones among them.
const minSweep = 1024

// sweepForks takes children off the list that ended well and may never be joined. A task that forks for
// ever and never joins then keeps no more than about twice the children that are under way.
func (r *runner) sweepForks() {
	for n := r.stack.forks; n != nil; {
		next := n.next
		if n.state.Load()&forkPhase == forkDone && n.failed == nil {
			r.closeFork(n)
		}
		n = next
	}
	r.stack.sweepAt = max(minSweep, 2*r.stack.open)
}

// forkPool is a runner's free list of children with results of one type.
type forkPool[T any] struct {
	free []*forked[T]
}

// maxFreeForks bounds a free list: more children than fit into a deque are rarely open at once.
const maxFreeForks = dequeCap

func forkPoolOf[T any](r *runner) *forkPool[T] {
	for _, p := range r.stack.pools {
		if pool, ok := p.(*forkPool[T]); ok {
			return pool
		}
	}
	pool := &forkPool[T]{}
	r.stack.pools = append(r.stack.pools, pool)
	return pool
}

// forkWithPool is a runner's free list of children with arguments and results of one type each.
type forkWithPool[A, T any] struct{ forkPool[T] }

func forkWithPoolOf[A, T any](r *runner) *forkWithPool[A, T] {
	for _, p := range r.stack.pools {
		if pool, ok := p.(*forkWithPool[A, T]); ok {
			return pool
		}
	}
	pool := &forkWithPool[A, T]{}
	r.stack.pools = append(r.stack.pools, pool)
	return pool
}

func (p *forkWithPool[A, T]) get(r *runner) *forkedWith[A, T] {
	if f := p.take(); f != nil {
		r.openFork(&f.forkNode)
		return f.job.(*forkedWith[A, T])
	}
	f := &forkedWith[A, T]{forked: forked[T]{forkNode: forkNode{r: r}, pool: &p.forkPool, fixed: true}}
	f.job, f.fn = f, f.apply
	r.openFork(&f.forkNode)
	return f
}

// get returns a record that is open, queued by nobody, and listed as a child of r's innermost task.
func (p *forkPool[T]) get(r *runner) *forked[T] {
	f := p.take()
	if f == nil {
		f = &forked[T]{forkNode: forkNode{r: r}, pool: p}
		f.job = f
	}
	r.openFork(&f.forkNode)
	return f
}

func (p *forkPool[T]) take() *forked[T] {
	last := len(p.free) - 1
	if last < 0 {
		return nil
	}
	f := p.free[last]
	p.free[last] = nil
	p.free = p.free[:last]
	return f
}

// recycle makes a joined record ready for its next use, if the joiner is the runner that forked it.
// Records joined elsewhere, or after their task ended, are left to the garbage collector.
func (f *forked[T]) recycle(r *runner) {
	if r == nil || f.r != r {
		return
	}
	if f.listed { // not taken back
		if f.queued {
			f.joined = true
			return
		}
		r.closeFork(&f.forkNode)
		f.state.Store(f.use() + forkUse)
	} else if f.state.Load() != f.use() {
		return // an orphan
	}
	f.failed, f.signal, f.joined = nil, nil, false
	f.reuse()
}

// reuse puts a record on the free list that nobody else knows of.
func (f *forked[T]) reuse() {
	var zero T
	f.val, f.returned, f.parent, f.slot = zero, false, nil, nil
	if !f.fixed {
		f.fn = nil
	}
	if pool := f.pool; len(pool.free) < maxFreeForks {
		pool.free = append(pool.free, f)
	}
}
