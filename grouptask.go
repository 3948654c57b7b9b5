package executor

import (
	"context"
	"sync/atomic"
)

// groupTask is one task of a Group.
type groupTask struct {
	origin
	g     *Group
	round *round
	fn    func(context.Context) error
	outer *groupTask // the group task below it on the same stack
	phase atomic.Uint32
	guest bool // has no permit: held back, or running under the permit of the task that started it
	ended bool // fn returned
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
		t.g.settle(nil, t, err)
	} else {
		e.inject.dead.Add(-1) // claimed meanwhile; this was its entry
	}
	return true
}

// run runs the claimed task on r.
func (t *groupTask) run(r *runner) {
	if err := r.refuses(t.round.ctx); err != nil {
		r.count.cancel(err)
		t.g.settle(r, t, err)
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
		r.stack.group, t.outer, t.fn = t.outer, nil, nil
		r.leaveFrame(fr)
		if t.ended {
			r.count.ended(err)
		} else {
			err = r.abnormal(value)
		}
		t.g.settle(r, t, err)
	}()
	err = t.fn(r.contextFor(t.round.ctx))
	t.ended = true
}

// settle ends a task and starts the one that was waiting for its permit.
func (g *Group) settle(r *runner, t *groupTask, err error) {
	g.release(r, g.end(t, !t.guest, err))
}

// hold keeps a task back until one of the group's permits is free. Its place in the queue counts. Past
// the hard cap it returns ErrQueueFull if the calling task may run t in place: one of this group, whose
// permit then serves for both, or any task when a permit is free. Any other task waits with its slot lent:
// what makes room is that tasks of this group end. If no spare takes the slot, it runs them itself.
func (g *Group) hold(r *runner, t *groupTask) error {
	for {
		err := g.e.reserve(r, t.round.ctx)
		if err == nil {
			break
		}
		if r == nil || r.inGroup(g) || !sameError(err, ErrQueueFull) {
			return err
		}
		g.mu.Lock()
		if g.permit(t) {
			g.mu.Unlock()
			return err
		}
		if g.change == nil {
			g.change = make(chan struct{})
		}
		change := g.change
		g.mu.Unlock()
		if g.park(r, t.round, change, t.round.ctx.Done()) {
			g.mu.Lock()
			next := g.next(t.round)
			g.mu.Unlock()
			if next != nil {
				next.help(r)
			}
		}
	}
	g.mu.Lock()
	start := g.permit(t)
	if !start {
		g.held = append(g.held, t)
	}
	g.mu.Unlock()
	if start {
		g.release(r, t)
	}
	return nil
}

// permit gives t a permit, if one is free. Caller holds g.mu.
func (g *Group) permit(t *groupTask) bool {
	if g.permits >= g.limit {
		return false
	}
	g.permits++
	t.guest = false
	return true
}

// changed wakes those who wait in hold. Caller holds g.mu.
func (g *Group) changed() {
	if g.change != nil {
		close(g.change)
		g.change = nil
	}
}

// help runs a task in place for r, which waits for it, unless it has been claimed.
func (t *groupTask) help(r *runner) {
	if t.claim() {
		r.bury()
		r.inPlace(func() { t.run(r) })
	}
}

// release queues a task that was held back and has a permit now. If the executor refuses it, its permit
// goes to the next, and so on.
func (g *Group) release(r *runner, t *groupTask) {
	for t != nil {
		if g.e.requeue(r, entry{of: &t.origin}) {
			g.announce(t)
			return
		}
		t.claim()
		g.e.outside.cancel(ErrClosed)
		t = g.end(t, true, ErrClosed)
		g.e.checkQuiet()
	}
}

// inGroup reports whether a task of g is on r's stack.
func (r *runner) inGroup(g *Group) bool {
	if r == nil {
		return false
	}
	for t := r.stack.group; t != nil; t = t.outer {
		if t.g == g {
			return true
		}
	}
	return false
}
