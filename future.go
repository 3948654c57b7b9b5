package executor

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// Future is the result of a task started by Submit or TrySubmit. All methods may be called from any
// goroutine, any number of times.
type Future[T any] struct {
	promise
	fn  func(context.Context) (T, error)
	val T
}

// promise is the part of a Future that does not depend on its type.
type promise struct {
	origin // until the end
	e      *Executor
	phase  atomic.Uint32               // promiseQueued, then claimed, then done; and how many read the parent
	ended  bool                        // fn returned
	lasts  bool                        // the parent is never done
	strand any                         // the *strand where it waits for its turn, or nil
	at     atomic.Pointer[waitPoint]   // where somebody waits; openPoint at the end
	watch  atomic.Pointer[func() bool] // stops watching the parent on behalf of Done
	err    error                       // valid once done
}

const (
	promiseQueued  = 0
	promiseClaimed = 1
	promiseDone    = 2
	promisePhase   = 3
	promiseReader  = 4 // somebody reads the parent: counted, in the bits above the phase
)

// waitPoint is where one waits for a result. A private one is for a single waiter: it gets one value, and is used
// again, so that waiting allocates nothing. A shared one is closed, and is what Done returns.
type waitPoint struct {
	c      chan struct{}
	shared bool
	next   *waitPoint // a shared one's: the private one that was there before
}

// openPoint is where nobody need wait any more.
var openPoint = func() *waitPoint {
	c := make(chan struct{})
	close(c)
	return &waitPoint{c: c, shared: true}
}()

// Submit starts fn as a task and returns its Future. It waits for room like Executor.Go, and refuses
// for the same reasons; then no Future is returned. Cost: one allocation.
func Submit[T any](ctx context.Context, e *Executor, fn func(context.Context) (T, error)) (*Future[T], error) {
	return submitFuture(ctx, e, fn, true)
}

// TrySubmit is Submit without waiting: at the queue limit it returns ErrQueueFull.
func TrySubmit[T any](ctx context.Context, e *Executor, fn func(context.Context) (T, error)) (*Future[T], error) {
	return submitFuture(ctx, e, fn, false)
}

func submitFuture[T any](ctx context.Context, e *Executor, fn func(context.Context) (T, error), wait bool) (*Future[T], error) {
	if err := e.valid(ctx, fn == nil); err != nil {
		return nil, err
	}
	r := e.runnerOf(ctx)
	f := newFuture(r, e, ctx, fn)
	if err := e.rejected(e.submit(r, ctx, entry{of: &f.origin}, wait)); err != nil {
		f.probe.abandon()
		return nil, err
	}
	return f, nil
}

// newFuture makes the future of a task that is to be submitted with ctx, by r if that is not nil.
func newFuture[T any](r *runner, e *Executor, ctx context.Context, fn func(context.Context) (T, error)) *Future[T] {
	parent, traced := ctx, false
	if !sameContext(ctx, background) { // of which there is nothing to ask
		parent = e.parentOf(ctx)
		traced = e.traced(ctx, parent)
	}
	e.meetContext(r, parent)
	p := e.probeFor(ctx, parent, r, traced, false)
	f := &Future[T]{promise: promise{e: e, origin: origin{parent: parent, probe: p}, lasts: sameContext(parent, background)}, fn: probeResult(p, fn)}
	f.job = f
	p.does(f)
	return f
}

// Done returns a channel that is closed when the result is there. A task that is canceled before it
// starts closes it at once.
func (f *Future[T]) Done() <-chan struct{} {
	if f == nil {
		panic(errNilFuture)
	}
	if f.e == nil {
		panic(errZeroFuture)
	}
	if !f.done() {
		f.e.meet(currentRunner(background), "Future.Done")
	}
	c := f.sharedPoint().c
	if f.dead() || f.watch.Load() != nil {
		return c
	}
	// Nobody may ever wait, so somebody has to watch the parent: it may end before the task starts.
	parent, live := f.source()
	if !live || parent.Done() == nil {
		return c
	}
	stop := context.AfterFunc(sound(parent), func() { f.cancel(errorOf(parent)) })
	switch {
	case !f.watch.CompareAndSwap(nil, &stop):
		stop()
	case f.dead(): // pairs with the load in finish: one of the two sees the other
		stop()
		f.watch.CompareAndSwap(&stop, nil)
	}
	return c
}

// Wait returns the task's result. If ctx is done first it returns ctx's error, and the task goes on; the
// result of a finished task is returned whatever ctx. Inside a task of the same executor, Wait runs the
// awaited task itself if nobody has started it; inside any task it lends the slot while it waits. A task that waits for
// its own Future gets ErrSelfWait at once.
func (f *Future[T]) Wait(ctx context.Context) (T, error) {
	var zero T
	switch {
	case f == nil:
		return zero, errNilFuture
	case f.e == nil:
		return zero, errZeroFuture
	case ctx == nil:
		return zero, errNilContext
	}
	if f.done() {
		return f.val, f.err
	}
	r := currentRunner(ctx)
	if r.onTop() {
		if val, err, done := f.waitBelow(r, ctx); done {
			return val, err
		}
	}
	if sched.On() {
		takeTurnFor(r, f)
	}
	if r != nil && r.e == f.e && f.strand == nil && ctx.Err() == nil && f.claim() {
		r.bury()
		r.inPlace(func() { f.run(r) })
		return f.val, f.err
	}
	if r.runs(&f.promise) {
		return zero, ErrSelfWait
	}
	f.e.meet(r, "Future.Wait")
	var parent context.Context
	var early <-chan struct{}
	if !f.lasts {
		live := false
		if parent, live = f.source(); !live {
			return f.val, f.err
		}
		early = parent.Done()
	}
	at := f.pointToWait()
	canceled, err := f.waitAt(r, ctx, at, early)
	if canceled { // a task that has not started is not going to
		f.cancel(errorOf(parent))
		_, err = r.await(f.e, ctx, at.c, nil)
	}
	f.leavePoint(at, err == nil)
	if err != nil && !f.done() {
		return zero, err
	}
	return f.val, f.err
}

// waitBelow is Wait for the task further down, if there is one (H5).
func (f *Future[T]) waitBelow(r *runner, ctx context.Context) (val T, err error, done bool) {
	done = f.e.asTask(r, func() { val, err = f.Wait(ctx) })
	return val, err, done
}

// waitAt waits for the end, for ctx, or for the end of the parent, which is canceled.
func (p *promise) waitAt(r *runner, ctx context.Context, at *waitPoint, parent <-chan struct{}) (canceled bool, err error) {
	if p.strand != nil {
		return p.e.orders().awaits(p, r, ctx, at, parent)
	}
	return r.await(p.e, ctx, at.c, parent)
}

// runs reports whether the task of p is on r's stack, or waits for the caller. r is nil outside of tasks.
func (r *runner) runs(p *promise) bool {
	return r.orBelow(func(r *runner) bool { return slices.Contains(r.stack.promises, any(p)) })
}

// sharedPoint returns the point that finish closes, making it if need be.
func (p *promise) sharedPoint() *waitPoint {
	for {
		at := p.at.Load()
		if at != nil && at.shared {
			return at
		}
		shared := &waitPoint{c: make(chan struct{}), shared: true, next: at}
		if p.at.CompareAndSwap(at, shared) {
			return shared
		}
	}
}

// pointToWait returns a private point for the first who waits, and the shared one for everybody else.
func (p *promise) pointToWait() *waitPoint {
	if p.at.Load() != nil {
		return p.sharedPoint()
	}
	// Each executor has its own: a channel made in a synctest bubble must not be used in another.
	at, _ := p.e.points.Get().(*waitPoint)
	if at == nil {
		at = &waitPoint{c: make(chan struct{}, 1)}
	}
	if p.at.CompareAndSwap(nil, at) {
		return at
	}
	p.e.points.Put(at)
	return p.sharedPoint()
}

// leavePoint ends a wait: the value of a private point has been received, or the waiter has given up. If finish
// may still send then, the point is not used again.
func (p *promise) leavePoint(at *waitPoint, received bool) {
	if !at.shared && (received || p.at.CompareAndSwap(at, nil)) {
		p.e.points.Put(at)
	}
}

// claim makes the caller the one that runs or cancels the task.
func (p *promise) claim() bool {
	for {
		word := p.phase.Load()
		if word&promisePhase != promiseQueued {
			return false
		}
		if p.phase.CompareAndSwap(word, word|promiseClaimed) {
			return true
		}
	}
}

func (p *promise) dead() bool { return p.phase.Load()&promisePhase != promiseQueued }
func (p *promise) done() bool { return p.phase.Load()&promisePhase == promiseDone }

// source returns the parent, unless the task has ended: then that is gone. Only who has claimed the task reads it without.
func (p *promise) source() (parent context.Context, live bool) {
	for {
		word := p.phase.Load()
		if word&promisePhase == promiseDone {
			return nil, false
		}
		if p.phase.CompareAndSwap(word, word+promiseReader) {
			break
		}
	}
	parent = p.parent
	chaos.At(chaos.R1Reads)
	if p.phase.Add(^uint32(promiseReader-1)) == promiseDone {
		p.parent = nil // finish has left it to the last reader
	}
	return parent, true
}

func (p *promise) left(*runner) {}

// finish publishes the result: phase first, then it wakes those who wait. It is called once. A Future may be kept for
// long, so nothing of the task stays in it but the result (R1).
func (p *promise) finish() {
	p.probe.abandon()
	p.probe = nil
	if p.phase.Add(promiseDone-promiseClaimed) == promiseDone {
		p.parent = nil // else the last who reads it does that
	}
	chaos.At(chaos.W1Done)
	for at := p.at.Swap(openPoint); at != nil; {
		next := at.next // a private point belongs to its waiter once it has the value
		if at.shared {
			close(at.c)
		} else {
			at.c <- struct{}{}
		}
		at = next
	}
	if p.watch.Load() != nil { // pairs with the look in Done
		if stop := p.watch.Swap(nil); stop != nil {
			(*stop)()
		}
	}
}

// cancel ends the task without running it, unless it has been claimed. Its queue entry stays behind as a dead one.
func (p *promise) cancel(err error) bool {
	if !p.claim() {
		return false
	}
	if p.strand != nil {
		p.e.orders().canceled(p)
	} else {
		p.e.bury()
	}
	p.err = err
	p.e.outside.cancel(err) // after that nothing of the task may be counted as queued
	p.finish()
	p.e.checkQuiet()
	return true
}

func (p *promise) drop(e *Executor, err error) bool {
	if !p.claim() {
		return false
	}
	if p.strand != nil {
		e.orders().claimed(p)
	}
	p.err = err
	e.outside.cancel(err)
	p.finish()
	return true
}

// cancel and drop let go of fn too.
func (f *Future[T]) cancel(err error) {
	if f.promise.cancel(err) {
		f.fn = nil
	}
}

func (f *Future[T]) drop(e *Executor, err error) bool {
	if f.promise.drop(e, err) {
		f.fn = nil
	} else if f.strand == nil {
		e.inject.dead.Add(-1) // claimed meanwhile; this was its entry
	}
	return true
}

func (f *Future[T]) execute(r *runner) {
	switch claimed := f.claim(); {
	case claimed && f.strand != nil:
		r.e.orders().claimed(&f.promise)
		f.run(r)
	case claimed:
		f.run(r)
	case f.strand == nil:
		r.e.inject.dead.Add(-1)
	}
}

// run runs the claimed task on r.
func (f *Future[T]) run(r *runner) {
	parent := f.parent
	if err := r.refuses(parent); err != nil {
		f.err, f.fn = err, nil
		r.count.cancel(err)
		f.finish()
		return
	}
	fr := r.enterFrame()
	r.stack.promises = append(r.stack.promises, &f.promise)
	defer f.settle(r, fr)
	f.val, f.err = f.fn(r.contextFor(parent))
	f.ended = true
}

// settle records how fn ended and is deferred around it.
func (f *Future[T]) settle(r *runner, fr frame) {
	var value any
	if !f.ended {
		value = recover()
	}
	if !f.ended || f.err != nil {
		r.failed(f.ended, f.err, value)
	}
	last := len(r.stack.promises) - 1
	r.stack.promises[last] = nil
	r.stack.promises = r.stack.promises[:last]
	r.leaveFrame(fr)
	if f.ended {
		r.count.ended(f.err)
	} else {
		f.err = r.abnormal(value)
	}
	f.fn = nil
	f.finish()
}
