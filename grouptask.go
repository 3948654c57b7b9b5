package executor

import (
	"context"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/sched"
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
		if g.e.requeue(r, entry{of: &next.origin}, g.spot(rd)) {
			g.announce(rd, next)
			return
		}
		next.claim()
		g.e.outside.cancel(ErrClosed)
	}
	g.e.checkQuiet()
}

// spot returns the lane in which tasks of a group wait that was made outside of tasks of the executor, if there are lanes.
func (g *Group) spot(rd *round) *spot {
	l := g.e.inject.lanes
	if tc, ok := g.home.(*taskContext); l == nil || ok && tc.r.e == g.e {
		return nil
	}
	at, _ := l.spot(rd.ctx) // it is known: there is a task of the group
	return at
}

// end takes a task off the books and returns the one that gets its permit.
func (g *Group) end(t *groupTask, err error) (next *groupTask) {
	g.mu.Lock()
	rd := t.round
	cancel := rd.record(err)
	next, served := g.books.end(t, g.accept)
	t.letGo()
	if g.books.active == 0 {
		g.e.groups.remove(&g.seat)
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

// Waiting for a group: for its end, and for room in its backlog.

// Wait returns when all tasks of the group have ended, with the group's first error. Inside a task it
// runs tasks of the group that nobody has started, and lends the slot while it waits for the others.
// When the group's context is done, tasks that have not started are dropped at once. A task of the group that
// waits for it gets ErrSelfWait at once; the group goes on.
func (g *Group) Wait() error {
	if g == nil {
		return errNilGroup
	}
	if err := g.misused(); err != nil {
		return err
	}
	caller := currentRunner(g.home)
	if err := error(nil); g.e.asTask(caller, func() { err = g.Wait() }) {
		return err
	}
	r := g.e.own(caller)
	if caller.orBelow(func(r *runner) bool { return r.inGroup(g) }) {
		return ErrSelfWait
	}
	if sched.On() {
		takeTurnFor(caller, g)
	}
	g.mu.Lock()
	rd, idle := g.round, g.books.active == 0
	g.mu.Unlock()
	if !idle {
		g.e.meet(caller, "Group.Wait")
	}
	if rd == nil {
		return nil
	}
	parked := false
	for !g.waitOnce(caller, r, rd, &parked) {
	}
	rd.cancel(context.Canceled)
	g.mu.Lock()
	defer g.mu.Unlock()
	return rd.result()
}

// waitOnce does one step of waiting and reports whether the round is over. Before it has parked, and with a slot,
// it runs what nobody has started. A waiter that was woken and has no slot does so only while nobody else could, or
// there would be more tasks running than slots.
func (g *Group) waitOnce(caller, r *runner, rd *round, parked *bool) (over bool) {
	canceled := rd.ctx.Err() != nil
	if canceled {
		g.drop(rd)
	}
	if r != nil && (!*parked || r.held.Load() != nil || g.e.nobodyRuns()) && g.help(r, rd) {
		if g.e.word.Load()&freeMask == 0 {
			r.pace() // as at a Checkpoint: it may be one of thousands
		}
		return false
	}
	g.mu.Lock()
	if g.round != rd || g.books.active == 0 {
		if g.round == rd {
			g.round = nil
		}
		g.mu.Unlock()
		return true
	}
	w := groupWait{news: g.listen()}
	g.mu.Unlock()
	if !canceled {
		w.done = rd.ctx.Done()
	}
	*parked = true
	g.park(caller, rd, w)
	return false
}

// waitAtBound waits until the group takes the task that its caller could not add. A task of the same executor whose slot no spare
// takes runs tasks of the group meanwhile, for somebody has to.
func (g *Group) waitAtBound(caller *runner, w *waiter, rd *round) error {
	r := g.e.own(caller)
	for {
		wait := groupWait{ready: w.ready, done: rd.ctx.Done(), closed: g.e.inject.refusing(w.own)}
		if r != nil {
			g.mu.Lock()
			wait.news = g.listen()
			g.mu.Unlock()
		}
		switch g.park(caller, rd, wait) {
		case wokenReady:
			return w.err
		case wokenToHelp:
			g.help(r, rd)
			continue
		case wokenByNews: // look whether it has to help
			continue
		}
		g.mu.Lock()
		left := w.listed
		if left {
			g.books.waiting.remove(w)
			g.e.inject.groups.gone.Add(1)
		}
		g.mu.Unlock()
		if !left { // served at the same moment
			<-w.ready
			return w.err
		}
		g.e.checkQuiet()
		if rd.ctx.Err() != nil {
			return errorOf(rd.ctx)
		}
		return ErrClosed
	}
}

// groupWait is what ends a wait; a nil channel does not.
type groupWait struct {
	ready  <-chan struct{} // the task at the bound is taken, or refused
	news   <-chan struct{} // there may be something to do
	done   <-chan struct{} // the round's context
	closed <-chan struct{} // the executor refuses the caller
}

// woken is which of them did.
type woken int

const (
	wokenReady woken = iota
	wokenByNews
	wokenToHelp
	wokenByEnd
)

// park waits with the caller's slot lent. If every slot is held by a task that waits, with no spare left, it
// returns at once when a task of the round is there for the caller to run: a task that came before the caller could be
// woken. If it comes to that later, the caller is woken (wakeStuck).
func (g *Group) park(caller *runner, rd *round, w groupWait) (by woken) {
	own := caller != nil && caller.e == g.e
	if own {
		g.e.stuck.add(g)
		defer g.e.stuck.remove(g)
	}
	caller.lendFor(g.e, func() {
		if own && g.e.nobodyRuns() && g.hasQueued(rd) {
			by = wokenToHelp
			return
		}
		select {
		case <-w.ready:
			by = wokenReady
		case <-w.news:
			by = wokenByNews
		case <-w.done:
			by = wokenByEnd
		case <-w.closed:
			by = wokenByEnd
		}
	})
	return by
}

// help runs a task of the round in place that nobody has started, and reports whether there was one.
func (g *Group) help(r *runner, rd *round) bool {
	t := g.claimNewest(rd)
	if t == nil {
		return false
	}
	r.bury()
	r.inPlace(func() { t.run(r) })
	return true
}

// hasQueued reports whether a task of the round is queued that nobody has claimed.
func (g *Group) hasQueued(rd *round) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.books.newest(rd) != nil
}

// wakeStuck wakes the tasks that wait for this one's tasks, if there is one that they can run.
func (g *Group) wakeStuck() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.round != nil && g.books.newest(g.round) != nil {
		g.tell()
	}
}

// listen returns the channel that tell closes next. Caller holds g.mu.
func (g *Group) listen() <-chan struct{} {
	if g.news == nil {
		g.news = make(chan struct{})
	}
	return g.news
}

// tell wakes those who listen. Caller holds g.mu.
func (g *Group) tell() {
	if g.news != nil {
		close(g.news)
		g.news = nil
	}
}

// inGroup reports whether a task of g is on r's stack.
func (r *runner) inGroup(g *Group) bool {
	if r == nil {
		return false
	}
	for t, ok := r.stack.group.(*groupTask); ok; t, ok = t.outer.(*groupTask) {
		if t.round.g == g {
			return true
		}
	}
	return false
}
