package executor

import (
	"context"
	"errors"
	rtrace "runtime/trace"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Fork and join. A forked child is a record that is used again and again, from a free list on its
// runner: forking allocates nothing but the caller's closure. One word tells its state; the number in
// front of it says which use is meant, so that a Forked value of an earlier use is recognised. A record
// is used again only when it has been joined and its queue entry is gone (F1).

// The state of a forked child: use<<8 | flags | phase.
const (
	forkQueued  = 0
	forkRunning = 1
	forkDone    = 2
	forkPhase   = 3

	forkJoined  = 1 << 2 // Join was called: only one caller sets it
	forkAwaited = 1 << 3 // the joiner waits for signal
	forkOrphan  = 1 << 4 // its task ended without joining it
	forkUse     = 1 << 8
)

// forkNode is the part of a forked child that does not depend on its type.
type forkNode struct {
	state atomic.Uint64
	r     *runner // whose task forked it, and whose free list it is on; nil outside of tasks
	origin
	slot   *slot  // in whose deque it was queued
	at     uint32 // the index there
	queued bool   // joined in place, and the dead entry is still in a deque
	joined bool   // and the joiner is through with it: the record can be used again once the entry is gone
	depth  int    // of the task that forked it, on r's stack
	failed *PanicError
	signal chan struct{} // set by a joiner before forkAwaited

	listed     bool // in r.stack.forks
	prev, next *forkNode
}

// forked is a forked child with its function and result.
type forked[T any] struct {
	forkNode
	pool     *forkPool[T]
	fn       func(context.Context) T
	fixed    bool // fn belongs to the record, see forkedWith
	returned bool
	val      T
}

// forkedWith is a forked child that brings an argument for its function. The record has one closure, made with
// it, that passes the argument on; so forking such a child allocates nothing.
type forkedWith[A, T any] struct {
	forked[T]
	to  func(context.Context, A) T
	arg A
}

// apply is the function of the record's closure. It lets go of the argument first.
func (f *forkedWith[A, T]) apply(ctx context.Context) T {
	var none A
	to, arg := f.to, f.arg
	f.to, f.arg = nil, none
	return to(ctx, arg)
}

// Forked is a child started by Fork.
type Forked[T any] struct {
	f   *forked[T]
	use uint64
}

var (
	errJoinTwice = errors.New("executor: Forked.Join: joined before")
	errNoFork    = errors.New("executor: Forked.Join: not made by Fork")
)

// Fork starts fn as a child of the calling task, on its slot's own deque, where an idle slot may steal
// it. The child belongs to the task: it is never dropped, and sees its ctx done when the task's is.
// Where it can not be queued (outside of a task, inside Blocking, deque full, executor closed) Fork runs
// it before it returns. A child that is never joined runs all the same; its panic is then counted and
// logged. Cost, with its Join: about 40 ns, and no allocation but the closure.
func Fork[T any](ctx context.Context, fn func(context.Context) T) Forked[T] {
	if ctx == nil {
		panic(errNilContext)
	}
	if fn == nil {
		panic(errNilFunc)
	}
	r, parent, p := forker(ctx)
	if r == nil {
		return forkOutside(ctx, fn)
	}
	if p != nil {
		return forkProbed(r, parent, p, fn)
	}
	f := forkPoolOf[T](r).get(r)
	f.fn, f.parent = fn, parent
	return f.start(r)
}

// ForkWith is Fork for a function that gets what it needs as an argument: without a closure, a child
// allocates nothing. A function declared at the top level, and an argument that is a number, a pointer or a
// small struct, make the most of it; the argument is kept until the child is joined. Where Fork runs the child
// before it returns, ForkWith does too.
func ForkWith[A, T any](ctx context.Context, fn func(context.Context, A) T, arg A) Forked[T] {
	if ctx == nil {
		panic(errNilContext)
	}
	if fn == nil {
		panic(errNilFunc)
	}
	r, parent, p := forker(ctx)
	if r == nil {
		return forkOutside(ctx, closure(fn, arg))
	}
	if p != nil {
		return forkProbed(r, parent, p, closure(fn, arg))
	}
	f := forkWithPoolOf[A, T](r).get(r)
	f.to, f.arg, f.parent = fn, arg, parent
	return f.start(r)
}

// forkProbed forks a child that is measured or has a span.
func forkProbed[T any](r *runner, parent context.Context, p *probe, fn func(context.Context) T) Forked[T] {
	f := forkPoolOf[T](r).get(r)
	f.fn, f.parent = probeFork(p, fn), parent
	child := f.start(r)
	p.forkedInTurn()
	return child
}

// closure binds the argument of a function. It is a function of its own, so that an argument too large for a
// closure is moved to the heap only here.
func closure[A, T any](fn func(context.Context, A) T, arg A) func(context.Context) T {
	return func(ctx context.Context) T { return fn(ctx, arg) }
}

// forker returns the runner whose task forks a child with ctx, the child's parent, and its probe, which is nil
// as a rule. The runner is nil if that is no task, or not this goroutine's.
func forker(ctx context.Context) (*runner, context.Context, *probe) {
	if tc, ok := ctx.(*taskContext); ok && tc.r.isCurrent() {
		if r := tc.r; r.samples.until > 1 && tc.spans.Load() == spansNone && !rtrace.IsEnabled() {
			r.samples.until-- // as in sampleDue
			return r, tc.parent, nil
		}
	}
	tc := taskOf(ctx)
	if tc == nil || !tc.r.isCurrent() {
		return nil, nil, nil
	}
	r := tc.r
	parent := r.e.parentOf(ctx)
	return r, parent, r.e.probeFor(ctx, parent, r, r.e.traced(ctx, parent), false)
}

// forkOutside runs a child that does not belong to a task.
func forkOutside[T any](ctx context.Context, fn func(context.Context) T) Forked[T] {
	f := &forked[T]{fn: fn}
	f.runOutside(ctx)
	return Forked[T]{f, 0}
}

// start queues the child of r's task, or runs it at once.
func (f *forked[T]) start(r *runner) Forked[T] {
	child := Forked[T]{f, f.use()}
	if !r.pushFork(&f.forkNode) {
		r.count.submitted.inc()
		f.state.Store(child.use | forkRunning)
		r.inPlace(func() { f.run(r) })
	}
	return child
}

// tryFork makes a child of r's task and queues it, if it can.
func tryFork[T any](r *runner, parent context.Context, fn func(context.Context) T) (f *forked[T], queued bool) {
	f = forkPoolOf[T](r).get(r)
	f.fn, f.parent = fn, parent
	return f, r.pushFork(&f.forkNode)
}

// pushFork puts a child on the own deque, if that has room. The child is not counted as submitted yet:
// its task is, and is in flight (L3).
func (r *runner) pushFork(n *forkNode) bool {
	if r.block.nested > 0 || r.slot == nil && !r.takeGift() || r.e.word.Load()&stopping != 0 {
		return false
	}
	d := &r.slot.deque
	if chaos.Forced(chaos.I2Full) || d.room() == 0 {
		return false
	}
	n.slot, n.at = r.slot, d.next
	d.push(entry{of: &n.origin})
	chaos.At(chaos.P1Published)
	r.e.notify()
	return true
}

// Join returns the child's result, once; a second Join panics. If nobody has started the child, Join
// runs it on the spot; otherwise it waits with the slot lent. If the child panicked, Join panics with its
// *PanicError; if it called Goexit, with a *PanicError around ErrGoexit.
func (c Forked[T]) Join(ctx context.Context) T {
	f := c.f
	if f == nil {
		panic(errNoFork)
	}
	if ctx == nil {
		panic(errNilContext)
	}
	var val T
	var failed *PanicError
	if r := f.r; r != nil && r.isCurrent() && f.takeBack(r, c.use) {
		val, failed = f.runTakenBack(r)
	} else {
		val, failed = f.joinQueued(ctx, c.use)
	}
	if failed != nil {
		panic(failed)
	}
	return val
}

// joinQueued joins a child that is not at the tail of the caller's own deque.
func (f *forked[T]) joinQueued(ctx context.Context, use uint64) (T, *PanicError) {
	r := currentRunner(ctx)
	if r == nil || f.r == nil || !f.joinInPlace(r, use) {
		f.joinElsewhere(r, use)
	}
	val, failed := f.val, f.failed
	f.recycle(r)
	return val, failed
}

// takeBack takes the child off the tail of the own deque, if it is there: the usual way of a fork to be
// joined. No queue entry is left then, so the record goes straight to its next use, which makes every
// other handle of this one invalid.
func (f *forked[T]) takeBack(r *runner, use uint64) bool {
	if r.slot == nil || r.slot != f.slot || r.block.nested > 0 || r.slot.next != f.at+1 || f.use() != use {
		return false
	}
	en, ok := r.slot.pop()
	if !ok {
		return false
	}
	chaos.At(chaos.F1Popped)
	if en.of != &f.origin {
		r.slot.push(en)
		r.e.notify() // nobody could see it for a moment (P4)
		return false
	}
	if !f.state.CompareAndSwap(use|forkQueued, use+forkUse|forkQueued) {
		// Another task joins it at the same time: it waits for this entry to be run, or runs it itself.
		if en.dead() {
			r.e.inject.dead.Add(-1)
		} else {
			r.slot.push(en)
			r.e.notify() // (P4)
		}
		return false
	}
	if r.slot.buried {
		r.trim()
	}
	return true
}

// joinInPlace runs the child on r if nobody has started it. Its queue entry stays behind as a dead one.
func (f *forked[T]) joinInPlace(r *runner, use uint64) bool {
	if r.e != f.r.e {
		return false
	}
	for {
		state := f.state.Load()
		if !queued(state, use) || state&forkJoined != 0 {
			return false
		}
		if state&forkOrphan == 0 {
			r.count.submitted.inc() // as whoever starts a child does (L3)
		}
		chaos.At(chaos.L3Counted)
		if f.state.CompareAndSwap(state, state|forkRunning|forkJoined) {
			break
		}
		if state&forkOrphan == 0 {
			r.count.submitted.undo()
		}
	}
	if r == f.r {
		f.queued = true
	}
	r.buryBelow()
	r.inPlace(func() { f.run(r) })
	return true
}

// reclaim joins a child without running it, if nobody has started it.
func (f *forked[T]) reclaim(r *runner, use uint64) bool {
	if f.r != r {
		return false
	}
	if f.takeBack(r, use) {
		r.closeFork(&f.forkNode)
		f.recycle(r)
		return true
	}
	if !queued(f.state.Load(), use) || !f.state.CompareAndSwap(use|forkQueued, use|forkDone|forkJoined) {
		return false
	}
	f.queued = true
	r.buryBelow()
	f.recycle(r)
	return true
}

// joinElsewhere waits for a child that runs somewhere else, or has ended. r is nil outside of tasks.
func (f *forked[T]) joinElsewhere(r *runner, use uint64) {
	if f.r != nil && f.state.Load()&forkPhase != forkDone {
		f.r.e.meet(r, "Forked.Join")
	}
	var state uint64
	for {
		state = f.state.Load()
		if state&^(forkUse-1) != use || state&forkJoined != 0 {
			panic(errJoinTwice)
		}
		if f.state.CompareAndSwap(state, state|forkJoined) {
			break
		}
	}
	if state&forkPhase == forkDone {
		return
	}
	f.signal = make(chan struct{}, 1)
	if r != nil {
		if r.stack.signal == nil {
			r.stack.signal = make(chan struct{}, 1)
		}
		f.signal = r.stack.signal
	}
	chaos.At(chaos.F1Joined)
	if f.state.Or(forkAwaited)&forkPhase == forkDone { // pairs with finish
		return
	}
	if r == nil {
		<-f.signal
		return
	}
	r.lendFor(r.e, func() { <-f.signal })
}
