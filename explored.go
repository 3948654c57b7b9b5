package executor

import (
	"context"

	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/sched"
)

// Explored tasks: executortest.Explore decides who goes on. The executor is told so by internal/sched; each task has a probe
// then, and what a task does that is not seen by its probe asks sched.On first, where it waits anyway.

// letExplore hands a new executor to the explorer of its bubble, if there is one, and returns what it is to be like:
// with a runner for every task, and nobody but the explorer to decide when one goes on.
func (e *Executor) letExplore() config {
	if x := sched.Of(e.bubble); x != nil {
		sched.SetTaskOf(func(ctx context.Context) sched.Task { return exploredBy(currentRunner(ctx)) })
		c := &e.cfg
		e.pool, c.slots = x.Open(c.slots, e.Resize)
		c.sampling, c.paced, c.tickless, c.detect, c.maxSpares = 1, false, true, false, maxSpareLimit
		if c.onPanic == nil {
			c.onPanic = func(context.Context, *PanicError) {} // the explorer knows
		}
	}
	return e.cfg
}

// newExplored returns the probe of a task that is submitted with ctx.
func (e *Executor) newExplored(ctx, parent context.Context, r *runner) *probe {
	if r == nil {
		r = currentRunner(ctx)
	}
	p := &probe{e: e, by: exploredBy(r)}
	p.explored = e.pool.Submit(p.by, nameOf(parent))
	return p
}

// exploredBy returns the task that the calling goroutine runs, whose runner is given, or nil.
func exploredBy(r *runner) sched.Task {
	if r != nil {
		if p := r.probe.Load(); p != nil && p.explored != nil {
			return p.explored
		}
		if r.e.pool == nil {
			return nil
		}
	}
	if t, ok := sched.Known(goid.ID()); ok {
		return t
	}
	if x := sched.Of(goid.Bubble()); x != nil {
		return x.Adopt()
	}
	return nil
}

// takeTurn makes the calling goroutine, whose runner is given or nil, wait for its turn at a point.
func takeTurn(r *runner, p sched.Point) {
	if t := exploredBy(r); t != nil {
		t.At(p)
	}
}

// takeTurnFor is takeTurn of a goroutine that is about to wait for a *Future or a *Group.
func takeTurnFor(r *runner, what any) {
	if t := exploredBy(r); t != nil {
		t.For(what)
		t.At(sched.Wait)
	}
}

// does says which *Future is the task's, or which *Group it is in. A nil probe may be given.
func (p *probe) does(what any) {
	if p != nil && p.explored != nil {
		p.explored.Does(what)
	}
}

// waitInTurn calls wait, with a point behind it for an explored task. t is nil for all others.
func waitInTurn(t sched.Task, wait func()) {
	if t == nil {
		wait()
		return
	}
	t.Lend(true)
	wait()
	t.Lend(false)
	t.At(sched.Back)
}

// lockInTurn is Lock for an explored task: it never waits in a lock, as a bubble whose goroutine does so stands still. It
// reports false if the caller is no such task, or the lock can not be tried.
func lockInTurn(ctx context.Context, l interface{ TryLock() bool }) bool {
	t := exploredBy(currentRunner(ctx))
	if t == nil {
		return false
	}
	t.For(l)
	t.At(sched.Wait)
	if l == nil {
		return false
	}
	for !l.TryLock() {
		t.Lend(true)
		t.At(sched.Locked)
		t.Lend(false)
	}
	t.Locks(l)
	return true
}

// blockInTurn is block for an explored task.
func (p *probe) blockInTurn() (leave func()) {
	t := p.explored
	t.At(sched.Block)
	t.Lend(true)
	return func() {
		t.Lend(false)
		t.At(sched.Unblock)
	}
}

// submitInTurn waits for the submitter's turn.
func (p *probe) submitInTurn() {
	if p.by != nil {
		p.by.At(sched.Submit)
	}
}

// forkedInTurn waits until nobody but other runners can take the child that was forked.
func (p *probe) forkedInTurn() {
	if p != nil && p.by != nil {
		p.by.At(sched.Forked)
	}
}

// exploredFlag is a flag that is no task's: every Checkpoint of an explored task looks closer.
const exploredFlag = 1 << 63

// inTurn runs the function of an explored task, with the task's context. Its ctx may have ended before its first turn: then
// it has not begun, unless it is a forked child, and its error is returned.
func (p *probe) inTurn(ctx context.Context, drop bool, fn func(context.Context)) (refused error) {
	p.begun = true
	r := ctx.(*taskContext).r
	outer := r.probe.Load()
	var below sched.Task
	if outer != nil {
		below = outer.explored
	}
	p.explored.Start(below)
	r.probe.Store(p)
	r.flagged.Store(exploredFlag)
	returned := false
	defer func() {
		var value any
		if !returned {
			value = recover()
		}
		p.explored.End(returned, value, below)
		r.probe.Store(outer)
		if value != nil {
			panic(value)
		}
	}()
	if drop && ctx.Err() != nil {
		refused = errorOf(ctx)
	} else {
		fn(ctx)
	}
	returned = true
	return refused
}
