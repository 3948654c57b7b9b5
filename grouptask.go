package executor

import (
	"context"
	"sync/atomic"
)

// groupTask is one task of a Group.
type groupTask struct {
	origin
	round *round // until it has ended; the Group is in it
	fn    func(context.Context) error
	outer any // the group task below it on the same stack, or nil

	prev, next *groupTask // in a list of groupBooks; this under Group.mu
	listed     bool
	permit     bool // counts against the limit
	ended      bool // fn returned

	phase atomic.Uint32
}

func (t *groupTask) claim() bool { return t.phase.CompareAndSwap(promiseQueued, promiseClaimed) }

func (t *groupTask) dead() bool { return t.phase.Load() != promiseQueued }

func (t *groupTask) left(*runner) {}

func (t *groupTask) execute(r *runner) {
	if t.claim() {
		t.run(r)
	} else {
		r.e.inject.dead.Add(-1)
	}
}

func (t *groupTask) drop(e *Executor, err error) bool {
	if t.claim() {
		e.outside.cancel(err)
		t.round.g.settle(nil, t, err)
	} else {
		e.inject.dead.Add(-1) // claimed meanwhile; this was its entry
	}
	return true
}

// run runs the claimed task on r.
func (t *groupTask) run(r *runner) {
	g, ctx := t.round.g, t.round.ctx
	if err := r.refuses(ctx); err != nil {
		r.count.cancel(err)
		g.settle(r, t, err)
		return
	}
	fr := r.enterFrame()
	t.outer, r.stack.group = r.stack.group, t
	var err error
	defer func() {
		var value any
		if !t.ended {
			value = recover()
		}
		r.stack.group, t.outer = t.outer, nil
		if !t.ended || err != nil {
			r.failed(t.ended, err, value)
		}
		r.leaveFrame(fr)
		if t.ended {
			r.count.ended(err)
		} else {
			err = r.abnormal(value)
		}
		g.settle(r, t, err)
	}()
	err = t.fn(r.contextFor(ctx))
	t.ended = true
}

// letGo is called once the task has ended, or was refused: its queue entry may outlive it by far (R1).
func (t *groupTask) letGo() {
	t.origin.letGo()
	t.fn, t.round = nil, nil
}

// drop cancels the tasks of a round that have not started. The round's context is done.
func (g *Group) drop(rd *round) {
	err := errorOf(rd.ctx)
	g.mu.Lock()
	held := g.books.unhold(rd)
	g.mu.Unlock()
	for held != nil {
		t := held
		held, t.next, t.prev = t.next, nil, nil
		t.claim()
		g.e.inject.held.Add(-1)
		g.e.outside.cancel(err)
		g.settle(nil, t, err)
	}
	for {
		t := g.claimNewest(rd)
		if t == nil {
			break
		}
		g.e.bury()
		g.e.outside.cancel(err)
		g.settle(nil, t, err)
	}
	g.e.checkQuiet()
}

// claimNewest claims the newest task of the round that is queued and that nobody has started, or returns nil.
func (g *Group) claimNewest(rd *round) *groupTask {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := g.books.newest(rd); t != nil; t = g.books.newest(rd) {
		if t.claim() {
			g.books.queued.remove(t)
			return t
		}
	}
	return nil
}

// settle ends a task that somebody has claimed, and starts the one that gets its permit. If the executor refuses
// that, the permit goes to the next, and so on.
func (g *Group) settle(r *runner, t *groupTask, err error) {
	for next := g.end(t, err); next != nil; next = g.end(next, ErrClosed) {
		rd := next.round // it may have ended before it is announced
		if g.e.requeue(r, entry{of: &next.origin}) {
			g.announce(rd, next)
			return
		}
		next.claim()
		g.e.outside.cancel(ErrClosed)
	}
	g.e.checkQuiet()
}

// end takes a task off the books and returns the one that gets its permit.
func (g *Group) end(t *groupTask, err error) (next *groupTask) {
	g.mu.Lock()
	rd := t.round
	cancel := rd.record(err)
	next, served := g.books.end(t, g.accept)
	t.letGo()
	if g.books.active == 0 {
		g.tell()
	}
	g.mu.Unlock()
	wakeAll(served)
	if cancel && rd.ctx.Err() == nil {
		rd.cancel(err)
		g.drop(rd)
	}
	return next
}

// accept makes the task of a caller that waits at the bound one of the group, or says in the waiter why not. Caller
// holds g.mu.
func (g *Group) accept(w *waiter) bool {
	rd := w.task().round
	if rd.ctx.Err() != nil {
		w.err = errorOf(rd.ctx)
	} else if w.err = g.e.acceptHeld(w.own); w.err == nil {
		rd.started, rd.used = true, true
	}
	g.e.inject.groups.gone.Add(1)
	return w.err == nil
}
