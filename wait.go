package executor

import (
	"context"
	"errors"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// Waiting inside a task. A waiter first runs what it waits for, if nobody has started it; only then
// does it lend its slot and park. It never runs anything else on its stack: an unrelated task could
// want a lock that the waiter holds, or take for ever.
//
// Why this can not deadlock, not even with one slot and no spares (W1): what is waited for is done,
// or queued, and then the waiter runs it; or running on another runner, which is itself not waiting
// for this one unless the program waits in a circle; or yielded, and then it holds a credit, and a
// waiter's slot can be given to it without another credit (Executor.retake).

// lendWhile runs wait, which parks the goroutine, with r's slot lent. r is nil outside of tasks.
func (r *runner) lendWhile(wait func()) {
	var t sched.Task
	if sched.On() {
		t = exploredBy(r)
	}
	if r == nil || r.block.nested > 0 {
		waitInTurn(t, wait)
		return
	}
	r.expose()
	if r.hold != nil {
		defer r.unhold()()
	}
	r.enter(kindWait)
	defer r.leave()
	chaos.At(chaos.W1Waits)
	waitInTurn(t, wait)
}

// lendFor is lendWhile for something that e's tasks do. A task of another executor is a visitor of e for that
// time (B7).
func (r *runner) lendFor(e *Executor, wait func()) {
	if r == nil {
		r.lendWhile(wait)
		return
	}
	if r.e != e {
		e.visitors.enter(e)
		defer e.visitors.leave()
	}
	r.lendWhile(func() {
		r.waitsForTasks()
		defer r.goesOn()
		wait()
	})
}

// waitsForTasks notes that r waits for tasks, until goesOn. It may have been the last one of its executor that did not
// (B7).
func (r *runner) waitsForTasks() {
	r.waits.Store(true)
	r.e.mayAllWait()
}

func (r *runner) goesOn() { r.waits.Store(false) }

// inPlace runs a claimed task on the waiter's stack. Inside Blocking the runner first comes back, as
// the task is ordinary work.
func (r *runner) inPlace(run func()) {
	if r.block.nested == 0 {
		run()
		return
	}
	nested := r.block.nested
	r.leaveBlocking()
	if r.hold != nil { // it has a slot again: counted once, as often as it lends it (N5)
		r.hold.count(1)
	}
	defer func() {
		if r.hold != nil {
			r.unhold()
		}
		r.enter(kindBlocking)
		r.block.nested = nested
	}()
	run()
}

// await parks until done is closed, by a task of e, which is nil's result, or ctx is done. early, if not nil, is another
// channel that ends the wait; early then says whether it did.
func (r *runner) await(e *Executor, ctx context.Context, done, early <-chan struct{}) (byEarly bool, err error) {
	if r == nil && !sched.On() {
		return receiveEnd(ctx, done, early)
	}
	r.lendFor(e, func() { byEarly, err = receiveEnd(ctx, done, early) })
	return byEarly, err
}

// receiveEnd is what await does once the slot is lent.
func receiveEnd(ctx context.Context, done, early <-chan struct{}) (byEarly bool, err error) {
	if early == nil && ctx.Done() == nil {
		<-done
		return false, nil
	}
	select {
	case <-done:
	case <-early:
		return true, nil
	case <-ctx.Done():
		select {
		case <-done: // both: the result counts
		default:
			return false, errorOf(ctx)
		}
	}
	return false, nil
}

// bury accounts for the queue entry of a task that r has claimed. The entry is dead. Usually it is the
// newest in the own deque, and goes, with any dead ones below it; otherwise it stays until it is popped
// or the deque or the injector is short of room.
func (r *runner) bury() {
	chaos.At(chaos.W1Claimed)
	if r.trim() == 0 {
		r.buryBelow()
	} else {
		r.e.inject.dead.Add(1) // trim has counted it already
	}
}

// buryBelow accounts for a dead entry that is not at the tail of the own deque: further down, perhaps, and then
// children that are taken back have to look for it.
func (r *runner) buryBelow() {
	if r.slot != nil && r.block.nested == 0 { // inside Blocking the slot may be somebody else's by now
		r.slot.buried = true
	}
	r.e.bury()
}

// trim pops dead entries off the tail of the own deque and returns how many.
func (r *runner) trim() int {
	if r.slot == nil || r.block.nested > 0 {
		return 0
	}
	d, n := &r.slot.deque, 0
	for {
		en, ok := d.pop()
		if !ok {
			d.buried = false
			break
		}
		chaos.At(chaos.P4Hidden)
		if !en.dead() {
			d.push(en)
			r.e.notify() // nobody could see it for a moment (P4)
			break
		}
		en.of.job.left(r)
		n++
	}
	if n > 0 {
		r.e.inject.dead.Add(int64(-n))
	}
	return n
}

// Waits ready-made: for a channel, a sync.WaitGroup, a lock. Each tries first, where it can, and lends the task's slot only
// if it has to wait. They are kind to pipelines: the slot goes at once to whoever is queued, who may be the one that is
// waited for, and never waits for a tick of the keeper, as that of a short Blocking does.

var (
	errNilWaitGroup = errors.New("executor: nil WaitGroup")
	errNilLocker    = errors.New("executor: nil Locker")
)

// Receive receives from ch, as <-ch does: ok is false when ch is closed and empty. If nothing is there, it waits with the
// task's slot lent, and returns ctx's error if ctx is done first; then nothing was received. Outside of a task, and
// inside Blocking, it just waits. Cost: as much as a receive in a select if something is there, a hand-over of the
// slot if others wait for it.
func Receive[T any](ctx context.Context, ch <-chan T) (v T, ok bool, err error) {
	if ctx == nil {
		return v, false, errNilContext
	}
	if sched.On() {
		takeTurn(currentRunner(ctx), sched.Wait)
	}
	select {
	case v, ok = <-ch:
		return v, ok, nil
	default:
	}
	done := ctx.Done()
	currentRunner(ctx).lendWhile(func() {
		select {
		case v, ok = <-ch:
		case <-done:
			err = errorOf(ctx)
		}
	})
	return v, ok, err
}

// Send sends v to ch. If nobody takes it and ch has no room, it waits with the task's slot lent, and returns ctx's error
// if ctx is done first; then v was not sent. Like ch <- v it panics if ch is closed.
func Send[T any](ctx context.Context, ch chan<- T, v T) error {
	if ctx == nil {
		return errNilContext
	}
	if sched.On() {
		takeTurn(currentRunner(ctx), sched.Wait)
	}
	select {
	case ch <- v:
		return nil
	default:
	}
	done := ctx.Done()
	var err error
	currentRunner(ctx).lendWhile(func() {
		select {
		case ch <- v:
		case <-done:
			err = errorOf(ctx)
		}
	})
	return err
}

// WaitFor waits for wg with the task's slot lent, or until ctx is done, which is its error then. If ctx can end, the wait
// is a goroutine of its own, which belongs to no executor: when ctx ends first, it stays until wg is done, and wg must
// not be used again before that.
func WaitFor(ctx context.Context, wg *sync.WaitGroup) error {
	switch {
	case ctx == nil:
		return errNilContext
	case wg == nil:
		return errNilWaitGroup
	}
	r := currentRunner(ctx)
	if sched.On() {
		takeTurn(r, sched.Wait)
	}
	if ctx.Done() == nil {
		r.lendWhile(wg.Wait)
		return nil
	}
	var err error
	gone := make(chan struct{})
	go func() {
		pprof.SetGoroutineLabels(context.Background())
		wg.Wait()
		close(gone)
	}()
	r.lendWhile(func() { _, err = receiveEnd(ctx, gone, nil) })
	return err
}

// Lock locks l. It calls TryLock first, if l has that (sync.Mutex does), and otherwise Lock with the task's slot lent. It is
// for locks that may be held for long; one that is held for less than a few microseconds needs no lending.
func Lock(ctx context.Context, l sync.Locker) {
	if ctx == nil {
		panic(errNilContext)
	}
	if l == nil {
		panic(errNilLocker)
	}
	t, ok := l.(interface{ TryLock() bool })
	if sched.On() && lockInTurn(ctx, t) {
		return
	}
	if ok && t.TryLock() {
		return
	}
	currentRunner(ctx).lendWhile(l.Lock)
}

// OnThread runs fn on an operating system thread of its own, which is thrown away afterwards, and waits
// for it with the task's slot lent. It is for code that changes its thread: C libraries with
// thread-local state, namespaces, signal masks, priorities; and for code that needs LockOSThread more
// than once. Inside fn, calls of this package count as coming from outside of the task: submitting to the
// same executor and waiting there needs a spare (WithMaxSpares). Waiting for the task's own Future, Group, Serial or key is ErrSelfWait
// there too. A panic in fn comes back as a panic with a *PanicError, a Goexit as a Goexit. Cost: a new thread, some 20 us.
func OnThread(ctx context.Context, fn func()) {
	if ctx == nil {
		panic(errNilContext)
	}
	if fn == nil {
		panic(errNilFunc)
	}
	var (
		returned bool
		failed   *PanicError
		done     = make(chan struct{})
		caller   = &threadCaller{r: currentRunner(ctx), id: goid.ID(), outer: threads.caller()}
	)
	Blocking(ctx, func() {
		go func() {
			runtime.LockOSThread() // and never unlocked: the runtime ends the thread with the goroutine
			defer close(done)
			defer threads.enter(caller)()
			defer func() {
				if !returned {
					if value := recover(); value != nil {
						failed = asPanicError(value)
					}
				}
			}()
			fn()
			returned = true
		}()
		<-done
	})
	switch {
	case failed != nil:
		panic(failed)
	case !returned:
		runtime.Goexit()
	}
}

// threads knows which goroutines are in OnThread, and who waits for them there.
var threads threadTable

type threadTable struct {
	mu sync.RWMutex
	of map[int64]*threadCaller // by goroutine
	n  atomic.Int32            // how many: as a rule there are none
}

// threadCaller is a goroutine that called OnThread. It waits, so what is its runner's own may be read meanwhile.
type threadCaller struct {
	r     *runner       // that it is, or nil
	id    int64         // its number
	outer *threadCaller // who waits for it in OnThread, or nil
}

// enter notes the calling goroutine, until leave is called.
func (t *threadTable) enter(caller *threadCaller) (leave func()) {
	id := goid.ID()
	set := func(change func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		change()
		t.n.Store(int32(len(t.of)))
	}
	set(func() {
		if t.of == nil {
			t.of = make(map[int64]*threadCaller)
		}
		t.of[id] = caller
	})
	return func() { set(func() { delete(t.of, id) }) }
}

// caller returns who waits for the calling goroutine in OnThread, or nil.
func (t *threadTable) caller() *threadCaller {
	if t.n.Load() == 0 {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.of[goid.ID()]
}

// executor returns the executor whose task waits for the calling goroutine in OnThread, or nil.
func (t *threadTable) executor() *Executor {
	for c := t.caller(); c != nil; c = c.outer {
		if c.r != nil {
			return c.r.e
		}
	}
	return nil
}
