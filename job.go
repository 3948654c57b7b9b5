package executor

import (
	"context"
	"runtime"

	"github.com/seed-97bda89a/executor/internal/crash"
)

// entry is one place in a queue. Entries are stored by value and are two words, so that queueing a task
// allocates nothing, and four of them travel between processors in one cache line.
type entry struct {
	fn func(context.Context) // a bare task, of Go or TryGo: nobody waits for it, so nobody can claim it
	of *origin               // its parent; or, without fn, the job itself
}

// origin is where an entry comes from. Bare tasks with the same parent share one; a job has its own.
type origin struct {
	parent  context.Context // of the task
	job     job             // nil for bare tasks
	probe   *probe          // of a job, or of a bare task that is watched, until it has ended; or nil
	plain   bool            // parent is known not to stem from a task, nor to be traced or foreign
	drain   bool            // job is a strand
	firing  bool            // of a timer: WithQueueDelay does not refuse it
	lone    bool            // job is a guest that waits for a slot: it never enters a deque
	traced  bool            // tasks with this parent have spans; known only to bare tasks from outside
	endless bool            // parent is known never to be done
}

// job is a task that can be claimed through something else than its queue entry. There are three: of a
// Future, of a Group, and a forked child. The entry of a yielded runner is a fourth.
type job interface {
	// execute runs the job on r, which holds a slot, unless it was claimed before.
	execute(r *runner)

	// drop ends the job without running it, with err, unless it was claimed before. It reports false
	// if the job insists on running.
	drop(e *Executor, err error) bool

	// dead reports whether the job was claimed without its queue entry.
	dead() bool

	// left tells that r, its owner, has taken the dead entry off its deque.
	left(r *runner)
}

func (en entry) dead() bool { return en.fn == nil && en.of.job.dead() }

// drains reports whether en is the entry of a strand: it takes no place in the bound.
func (en entry) drains() bool { return en.fn == nil && en.of.drain }

// alone reports whether en is the entry of a guest.
func (en entry) alone() bool { return en.fn == nil && en.of.lone }

// drop ends the task without running it. It reports false if the task insists on running.
func (en entry) drop(e *Executor, err error) bool {
	if en.fn == nil {
		return en.of.job.drop(e, err)
	}
	e.outside.cancel(err)
	e.inject.forgetParent(en.of.parent)
	en.letGo()
	return true
}

// letGo is for a bare task that ends without having started.
func (en entry) letGo() { en.of.probe.abandon() }

// letGo is for a job that has ended, by whoever claimed it, before the end is published. The job lives on in a Future, or in a
// dead queue entry, and must not keep its context alive; each kind of job lets go of its function too (R1).
func (o *origin) letGo() {
	o.probe.abandon()
	o.probe, o.parent = nil, nil
}

// bare runs a bare task.
func (r *runner) bare(en entry) {
	fn, parent := en.fn, en.of.parent
	if !sameContext(parent, background) && !en.of.endless || r.e.word.Load()&stopping != 0 { // else there is nothing to ask
		if err := r.refuses(parent); err != nil {
			r.count.cancel(err)
			en.letGo()
			return
		}
	}
	ctx := r.contextFor(parent)
	if r.e.cfg.onPanic != nil {
		r.guard(ctx, fn)
		return
	}
	// No recover: a panic crashes the process with its own stack, as after a go statement. A Goexit
	// ends this goroutine, and runner.exit counts the task and replaces the runner.
	r.stack.inBare = true
	fn(ctx)
	r.stack.inBare = false
	if r.hasChildren() {
		r.endChildren(0)
	}
	if ctx.name != nil {
		ctx.name.note(r)
	}
	r.count.completed.inc()
}

// guard runs a bare task whose panics go to the handler.
func (r *runner) guard(ctx context.Context, fn func(context.Context)) {
	r.stack.inBare = true
	defer func() {
		if !r.stack.inBare || crash.Marked(ctx) {
			return
		}
		value := recover()
		if value == nil {
			return // Goexit
		}
		r.e.cfg.onPanic(ctx, r.panicked(value)) // a panic in the handler crashes
		r.stack.inBare = false
		r.endChildren(0)
		if n := r.name.Load(); n != nil {
			r.failed(false, nil, value)
			n.note(r)
		}
		r.count.panicked.inc()
	}()
	fn(ctx)
	r.stack.inBare = false
	r.endChildren(0)
	if n := r.name.Load(); n != nil {
		n.note(r)
	}
	r.count.completed.inc()
}

// resume is the entry of a runner that yielded and wants a slot back.
type resume struct {
	origin
	r    *runner
	turn uint64 // how many tasks ever queued in the injector go first
	next *resume
}

// resumeList is the injector's queue of yielded runners. Their turns do not fall.
type resumeList struct {
	first, last *resume
	len         int
}

func (l *resumeList) push(y *resume) {
	if l.last != nil {
		l.last.next = y
	} else {
		l.first = y
	}
	l.last = y
	l.len++
}

// pop removes the oldest of a list that is not empty.
func (l *resumeList) pop() *resume {
	y := l.first
	if l.first = y.next; l.first == nil {
		l.last = nil
	}
	y.next = nil
	l.len--
	return y
}

// unpop undoes pop.
func (l *resumeList) unpop(y *resume) {
	if y.next = l.first; l.last == nil {
		l.last = y
	}
	l.first = y
	l.len++
}

// due reports whether it is the oldest one's turn, once popped tasks have left the queue.
func (l *resumeList) due(popped uint64) bool { return l.first != nil && l.first.turn <= popped }

func newResume(r *runner) *resume {
	y := &resume{r: r}
	y.job = y
	return y
}

// execute hands the slot over: the yielded runner continues on it, and r becomes a spare, with the
// yielder's credit until it has parked (B5).
func (y *resume) execute(r *runner) { y.r.token <- r.release() }

func (y *resume) drop(*Executor, error) bool { return false }
func (y *resume) dead() bool                 { return false }
func (y *resume) left(*runner)               {}

// refuses returns why a task with this parent must not start, or nil.
func (r *runner) refuses(parent context.Context) error {
	if !alive(parent) {
		return errorOf(parent)
	}
	if r.e.word.Load()&stopping != 0 {
		return ErrClosed
	}
	return nil
}

// contextFor returns the context of a task with this parent on this runner.
func (r *runner) contextFor(parent context.Context) *taskContext {
	tc := r.stack.tc
	if tc == nil || !sameContext(tc.parent, parent) {
		tc = &taskContext{origin: origin{parent: parent, endless: endless(parent)}, r: r, name: r.e.taskNameOf(parent)}
		r.stack.tc = tc
	}
	if tc.name != r.name.Load() {
		r.rename(tc.name)
	}
	return tc
}

// unlockThread undoes one LockOSThread that a task left on. It costs half a nanosecond when
// there is none. Deeper locks and changed thread state are beyond it; that is what OnThread is for.
func unlockThread() { runtime.UnlockOSThread() }

// addResume queues the entry of a yielded runner, outside of the bound: its turn comes after what is queued now.
func (q *injector) addResume(y *resume) {
	q.mu.Lock()
	y.turn = q.pushed()
	q.yields.push(y)
	q.recount()
	q.unlock()
}

// putBack undoes takeResume.
func (q *injector) putBack(y *resume) {
	q.mu.Lock()
	q.yields.unpop(y)
	q.recount()
	q.unlock()
}

// takeOldestResume removes the entry of a yielded runner if that is the oldest of all: nobody else is overtaken.
func (q *injector) takeOldestResume() *resume {
	q.mu.Lock()
	defer q.unlock()
	if q.returned.len > 0 || !q.resumeDue() {
		return nil
	}
	defer q.recount()
	return q.yields.pop()
}

// takeResume removes the oldest entry of a yielded runner, if there is one, whatever came before it.
func (q *injector) takeResume() *resume {
	q.mu.Lock()
	defer q.unlock()
	if q.yields.len == 0 {
		return nil
	}
	defer q.recount()
	return q.yields.pop()
}

// bareInPlace runs a bare task on the stack of another one, which waits for a task behind it on its strand.
func (r *runner) bareInPlace(en entry) {
	fn, parent := en.fn, en.of.parent
	if err := r.refuses(parent); err != nil {
		r.count.cancel(err)
		en.letGo()
		return
	}
	fr, ctx, returned := r.enterFrame(), r.contextFor(parent), false
	defer func() {
		var value any
		if !returned {
			value = recover()
		}
		if value != nil {
			if r.e.cfg.onPanic == nil || crash.Marked(ctx) {
				crashWith(value)
			}
			r.e.cfg.onPanic(ctx, r.panicked(value))
		}
		if !returned {
			r.failed(false, nil, value)
		}
		r.leaveFrame(fr)
		if returned {
			r.count.completed.inc()
		} else {
			r.count.panicked.inc()
		}
	}()
	fn(ctx)
	returned = true
}

// crashWith ends the process, as a panic does that nobody may recover from.
func crashWith(value any) {
	p := asPanicError(value)
	go func() { panic(&crashError{p}) }()
	select {}
}

// crashError prints the stack of the task too.
type crashError struct{ p *PanicError }

func (c *crashError) Error() string { return c.p.Error() + "\n\n" + string(c.p.Stack) }
