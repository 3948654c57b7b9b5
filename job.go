package executor

import (
	"context"
	"runtime"
)

// job is what an entry of a queue runs. There are five: a bare function (Go), a Future's task, a
// Group's task, a forked child, and the entry of a yielded runner.
type job interface {
	// execute runs the job on r, which holds a slot, unless it was claimed before.
	execute(r *runner, parent context.Context, gen uint64)

	// drop ends the job without running it, with err, unless it was claimed before. It reports false
	// if the job insists on running.
	drop(e *Executor, err error) bool

	// dead reports whether the job was claimed through something else than its queue entry.
	dead(gen uint64) bool
}

// bare is a task of Go or TryGo: nobody waits for it, so nobody can claim it.
type bare func(context.Context)

func (fn bare) execute(r *runner, parent context.Context, _ uint64) {
	if r.refuses(parent) != nil {
		r.count.canceled.inc()
		return
	}
	ctx := r.contextFor(parent)
	if r.e.cfg.onPanic != nil {
		r.guard(ctx, fn)
		return
	}
	// No recover: a panic crashes the process with its own stack, as after a go statement. A Goexit
	// ends this goroutine, and runner.exit counts the task and replaces the runner.
	r.inBare = true
	fn(ctx)
	r.inBare = false
	r.count.completed.inc()
}

// guard runs a bare task whose panics go to the handler.
func (r *runner) guard(ctx context.Context, fn bare) {
	r.inBare = true
	defer func() {
		if !r.inBare {
			return
		}
		value := recover()
		if value == nil {
			return // Goexit
		}
		r.e.cfg.onPanic(ctx, asPanicError(value)) // a panic in the handler crashes
		r.inBare = false
		r.count.panicked.inc()
	}()
	fn(ctx)
	r.inBare = false
	r.count.completed.inc()
}

func (fn bare) drop(e *Executor, _ error) bool {
	e.outside.canceled.Add(1)
	return true
}

func (fn bare) dead(uint64) bool { return false }

// resume is the entry of a runner that yielded and wants a slot back.
type resume struct{ r *runner }

// execute hands the slot over: the yielded runner continues on it, and r becomes a spare, with the
// yielder's credit until it has parked (B5).
func (y *resume) execute(r *runner, _ context.Context, _ uint64) {
	s := r.slot
	r.release()
	r.credit = true
	y.r.token <- s
}

func (y *resume) drop(*Executor, error) bool { return false }
func (y *resume) dead(uint64) bool           { return false }

// refuses returns why a task with this parent must not start, or nil.
func (r *runner) refuses(parent context.Context) error {
	if parent.Err() != nil {
		return errorOf(parent)
	}
	if r.e.word.Load()&stopping != 0 {
		return ErrClosed
	}
	return nil
}

// contextFor returns the context of a task with this parent on this runner.
func (r *runner) contextFor(parent context.Context) *taskContext {
	if tc := r.tc; tc != nil && sameContext(tc.parent, parent) {
		return tc
	}
	r.tc = &taskContext{parent: parent, r: r}
	return r.tc
}

// unlockThread undoes one LockOSThread that a task left on. It costs half a nanosecond when
// there is none. Deeper locks and changed thread state are beyond it; that is what OnThread is for.
func unlockThread() { runtime.UnlockOSThread() }
