package executor

import (
	"context"
	"errors"
	"fmt"
	rtrace "runtime/trace"
	"sync"
)

// Group is a set of tasks that work on one thing, with the shape of errgroup.Group: the first error
// cancels the others, and Wait returns it. Any goroutine may call Go and TryGo; while Wait runs, only the
// group's own tasks may. After Wait it is as new, and Wait has nothing more to say; what SetLimit, SetBacklog and
// KeepGoing said stays. Cost: one allocation per task.
type Group struct {
	e      *Executor
	parent context.Context
	home   context.Context // the task context in parent, or nil: to recognise its runner quickly
	traced bool            // its tasks have spans
	misuse error           // NewGroup got a bad argument

	mu        sync.Mutex
	books     groupBooks
	keepGoing bool
	round     *round
	news      chan struct{} // closed when those who wait for the group may have something to do
	seat      groupSeat
}

// NewGroup returns an empty Group whose tasks run on e under ctx.
func (e *Executor) NewGroup(ctx context.Context) *Group {
	g := &Group{e: e, parent: ctx, books: groupBooks{limit: -1}}
	if g.misuse = e.valid(ctx, false); g.misuse != nil {
		return g
	}
	g.books.backlog = e.inject.limit
	g.seat.of = g
	g.traced = sampledSpan(ctx)
	if tc := taskOf(ctx); tc != nil {
		g.home = tc
	}
	return g
}

// misused returns why the group can not be used, or nil.
func (g *Group) misused() error {
	if g.e == nil && g.misuse == nil {
		return errZeroGroup
	}
	return g.misuse
}

// SetLimit bounds how many tasks of the group run at once; negative means no bound. Tasks beyond it wait
// in the group, first in first out, and count as queued, but take no place in the executor's queue: see SetBacklog.
// A limit of 0, or a change while tasks are active, panics.
func (g *Group) SetLimit(n int) {
	if g == nil {
		panic(errNilGroup)
	}
	if n == 0 {
		panic(errors.New("executor: Group.SetLimit(0): must not be 0"))
	}
	g.configure("SetLimit", n, func() { g.books.limit = n })
}

// SetBacklog bounds how many tasks may wait in the group for the limit of SetLimit. When they are as many, Go waits
// until there is room or the group's context is done, except in a task: one of this group runs the function in place,
// and any other one waits with its slot lent, and if no spare is left to take that, it runs tasks of the group itself. 0
// means that Go waits for the limit, as errgroup's does. In OnThread in a task of this group nothing can be run in its place: there
// ErrSelfWait becomes the group's error. The default is the executor's queue limit
// (WithQueueLimit). Without SetLimit it has no effect. A negative number, or a change while tasks are active,
// panics.
func (g *Group) SetBacklog(n int) {
	if g == nil {
		panic(errNilGroup)
	}
	if n < 0 {
		panic(fmt.Errorf("executor: Group.SetBacklog(%d): must not be negative", n))
	}
	g.configure("SetBacklog", n, func() { g.books.backlog = n })
}

func (g *Group) configure(name string, n int, set func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.books.active > 0 {
		panic(fmt.Errorf("executor: Group.%s(%d): %d tasks are active", name, n, g.books.active))
	}
	set()
}

// KeepGoing makes the group run all its tasks whatever becomes of the others: an error, a panic or a Goexit cancels
// nothing. Wait then returns one error as it is, and several joined by errors.Join, in the order in which the tasks
// ended; that the context given to NewGroup has ended counts once, for all the tasks that it kept from running. KeepGoing
// panics after the first Go of a round.
func (g *Group) KeepGoing() {
	if g == nil {
		panic(errNilGroup)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.round != nil && g.round.started {
		panic(errors.New("executor: Group.KeepGoing: tasks have been started"))
	}
	g.keepGoing = true
}

// Context returns the context that the group's tasks get, for those who work beside them: it is done at the group's
// first error (unless KeepGoing), when the context given to NewGroup is, and when Wait returns. It
// may be called before the first Go; Wait ends it also if nothing was started.
func (g *Group) Context() context.Context {
	if g == nil {
		panic(errNilGroup)
	}
	if err := g.misused(); err != nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(err)
		return ctx
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rd := g.open()
	rd.used = true
	return rd.ctx
}

// Go starts fn as a task of the group. It waits for room in the queue like Executor.Go, and at the bound of
// SetBacklog, never for the group's limit. If the task is refused, the reason becomes the group's error, as if the
// task had returned it. In a task, where Executor.Go would return ErrQueueFull, fn is run in place; a Goexit in it then
// ends the task that called Go too.
func (g *Group) Go(fn func(context.Context) error) { g.start(fn, true) }

// TryGo is Go without waiting. It reports whether the task was accepted; a refusal is not an error of
// the group. A group at its limit refuses too.
func (g *Group) TryGo(fn func(context.Context) error) bool { return g.start(fn, false) }

func (g *Group) start(fn func(context.Context) error, wait bool) bool {
	switch {
	case g == nil:
		panic(errNilGroup)
	case g.misused() != nil:
		return false
	case fn == nil:
		g.fail(nil, errNilFunc)
		return false
	}
	caller := currentRunner(g.home)
	if accepted := false; g.e.asTask(caller, func() { accepted = g.start(fn, wait) }) {
		return accepted
	}
	g.e.meetInside(caller, "a Group's task")
	r := g.e.own(caller)
	t := &groupTask{fn: fn}
	t.job = t
	g.watch(r, t)
	rd, place, w, err := g.admit(caller, t, wait)
	switch place {
	case placeStart:
		if err = g.queue(r, t, rd, wait); err != nil {
			t.claim()
			g.settle(r, t, nil)
		}
	case placeInPlace:
		t.claim()
		r.inPlace(func() { t.run(r) })
	case placeWait:
		err = g.waitAtBound(caller, w, rd)
	}
	switch {
	case err != nil:
		t.letGo()
		g.refuse(rd, err, wait)
		return false
	case place == placeRefused:
		t.letGo()
		return false
	case rd.ctx.Err() != nil: // it came after the others were dropped
		g.drop(rd)
	}
	return true
}

// watch gives t its probe, if it is to have one. That asks somebody else's code, so no lock is held.
func (g *Group) watch(r *runner, t *groupTask) {
	due := g.e.sampleDue(r)
	if !due && !g.traced && !rtrace.IsEnabled() {
		return
	}
	ctx := g.current().ctx
	t.probe = g.e.newProbe(ctx, ctx, r, due, g.traced, false)
	t.probe.does(g)
	t.fn = t.probe.failing(t.fn)
}

// current opens the round.
func (g *Group) current() *round {
	g.mu.Lock()
	defer g.mu.Unlock() // open may panic
	return g.open()
}

// admit opens the round and enters t in the books; w is for the caller that is to wait. An error says why the task is
// refused; it is on no book then.
func (g *Group) admit(caller *runner, t *groupTask, wait bool) (rd *round, place placement, w *waiter, err error) {
	r := g.e.own(caller)
	behind := r == nil && caller.orBelow(func(r *runner) bool { return r.inGroup(g) }) // OnThread, in a task of the group
	g.mu.Lock()
	defer g.mu.Unlock()
	place = g.books.place(g.books.limit > 0 && r.inGroup(g), wait)
	if place == placeRefused {
		return nil, place, nil, nil
	}
	rd = g.open()
	if rd.ctx.Err() != nil {
		return rd, placeRefused, nil, errorOf(rd.ctx)
	}
	t.round, t.parent = rd, rd.ctx
	switch place {
	case placeHeld, placeInPlace: // the others are accepted later
		if err = g.e.acceptHeld(r != nil); err != nil {
			return rd, placeRefused, nil, err
		}
		if place == placeInPlace {
			g.e.inject.held.Add(-1)
		}
		rd.started, rd.used = true, true
	case placeWait:
		if behind { // it would wait for the permit of the task that waits for it
			return rd, placeRefused, nil, ErrSelfWait
		}
		g.e.meet(caller, "waiting for room in a Group")
		w = &waiter{of: t, ready: make(chan struct{}), own: r != nil}
		g.e.inject.groups.came.Add(1)
		g.books.waiting.push(w)
		return rd, place, w, nil
	}
	if g.books.enter(t, place); g.books.active == 1 {
		g.e.groups.add(&g.seat)
	}
	return rd, place, nil, nil
}

// queue gives a task that need not be held to the executor. It waits for room as Executor.Go does, except for a task
// of a group with a limit: that would wait with a permit in its hands (G2).
func (g *Group) queue(r *runner, t *groupTask, rd *round, wait bool) error {
	member := t.permit && r.inGroup(g)
	en := entry{of: &t.origin}
	err := g.e.submit(r, rd.ctx, en, wait && !member)
	if wait && r != nil && sameError(err, ErrQueueFull) {
		if !member || !g.e.pushOver(en) {
			t.claim()
			r.count.submitted.inc()
			r.inPlace(func() { t.run(r) })
			return nil
		}
		err = nil
	}
	if err == nil {
		g.announce(rd, t)
	}
	return err
}

// announce makes a queued task known to those who wait for the group and may claim it.
func (g *Group) announce(rd *round, t *groupTask) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rd.started, rd.used = true, true
	g.books.announce(t)
	if g.e.denied.Load() {
		g.tell() // one that had to keep its slot, because no spare was left, runs the task itself
	}
}

// refuse is the end of a task that was not accepted.
func (g *Group) refuse(rd *round, err error, wait bool) {
	if rd.ctx.Err() != nil && !over(g.parent) {
		g.e.outside.dismissed.Add(1) // by the group itself
	} else {
		_ = g.e.rejected(err)
	}
	if wait {
		g.fail(rd, err)
		return
	}
	g.mu.Lock()
	idle := g.round == rd && !rd.used && g.books.active == 0
	if idle { // nobody has seen it
		g.round = nil
	}
	g.mu.Unlock()
	if idle {
		rd.cancel(context.Canceled)
	}
}

// fail records an error of the round, nil for the current one. The first error cancels the round's context and drops
// what has not started, unless the group is to keep going.
func (g *Group) fail(rd *round, err error) {
	rd, cancel := g.record(rd, err)
	if cancel {
		rd.cancel(err)
		g.drop(rd)
	}
}

func (g *Group) record(rd *round, err error) (in *round, cancel bool) {
	g.mu.Lock()
	defer g.mu.Unlock() // open may panic
	if rd == nil {
		rd = g.open()
	}
	return rd, rd.record(err)
}

// open returns the current round. Caller holds g.mu.
func (g *Group) open() *round {
	if g.round == nil {
		g.e.meet(nil, "a Group's task") // whose round has a context that both sides use
		g.round = &round{g: g}
		g.round.ctx, g.round.cancel = context.WithCancelCause(sound(g.parent))
	}
	return g.round
}

// stopped reports whether the group hands out no more.
func (g *Group) stopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.round != nil && g.round.ctx.Err() != nil
}
