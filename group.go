package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Group is a set of tasks that work on one thing, with the shape of errgroup.Group: the first error
// cancels the others, and Wait returns it. Any goroutine may call Go and TryGo; while Wait runs, only the
// group's own tasks may. After Wait it is as new, and Wait has nothing more to say. Cost: one allocation per task.
type Group struct {
	e      *Executor
	parent context.Context
	home   context.Context // the task context in parent, or nil: to recognise its runner quickly

	mu      sync.Mutex
	round   *round
	limit   int           // of running tasks; negative: none
	misuse  error         // NewGroup got a bad argument
	pending []*groupTask  // queued and not claimed, as far as known; the newest is last
	held    []*groupTask  // beyond the limit, oldest first
	active  int           // tasks accepted and not ended, the held ones included
	permits int           // tasks that count against the limit
	waiter  chan struct{} // closed when those in Wait may have something to do
	change  chan struct{} // closed at the next end or announcement, for hold
}

// round is one use of a Group, from the first Go to the end of Wait.
type round struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	traced bool  // its tasks have spans
	err    error // the first; under Group.mu
}

// NewGroup returns an empty Group whose tasks run on e under ctx.
func (e *Executor) NewGroup(ctx context.Context) *Group {
	g := &Group{e: e, parent: ctx, limit: -1}
	if g.misuse = e.valid(ctx, false); g.misuse == nil {
		if tc := taskOf(ctx); tc != nil {
			g.home = tc
		}
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
// in the group, first in first out, and count as queued. A limit of 0, or a change while tasks are
// active, panics.
func (g *Group) SetLimit(n int) {
	if g == nil {
		panic(errNilGroup)
	}
	if n == 0 {
		panic(errors.New("executor: Group.SetLimit(0): must not be 0"))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active > 0 {
		panic(fmt.Errorf("executor: Group.SetLimit(%d): %d tasks are active", n, g.active))
	}
	g.limit = n
}

// Go starts fn as a task of the group. It waits for room in the queue like Executor.Go, never for the
// group's limit. If the task is refused, the reason becomes the group's error, as if the task had
// returned it; at twice the queue limit a task that calls Go runs fn in place instead.
func (g *Group) Go(fn func(context.Context) error) { g.start(fn, true) }

// TryGo is Go without waiting. It reports whether the task was accepted; a refusal is not an error of
// the group. A group at its limit refuses too.
func (g *Group) TryGo(fn func(context.Context) error) bool { return g.start(fn, false) }

// begin registers a task, and says whether it must wait for a permit. One that may wait for room for ever is patient:
// it gets its place in the queue before its permit. Else those who are held back could fill the queue while it waits for
// room with the permit that they wait for.
func (g *Group) begin(wait, patient bool) (t *groupTask, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	held = g.limit > 0 && (patient || g.permits >= g.limit)
	if held && !wait {
		return nil, true
	}
	rd := g.open()
	t = &groupTask{origin: origin{parent: rd.ctx}, g: g, round: rd}
	t.job = t
	g.active++
	if !held {
		g.permits++
	}
	return t, held
}

func (g *Group) start(fn func(context.Context) error, wait bool) bool {
	switch {
	case g == nil:
		panic(errNilGroup)
	case g.misused() != nil:
		return false
	case fn == nil:
		g.fail(errNilFunc)
		return false
	}
	caller := currentRunner(g.home)
	r := g.e.own(caller)
	t, held := g.begin(wait, wait && caller == nil)
	if t == nil {
		return false
	}
	t.guest = held
	t.fn = g.e.probeFor(t.round.ctx, t.round.ctx, r, t.round.traced, false).failing(fn)
	var err error
	if held {
		err = g.hold(r, t)
	} else if err = g.e.submit(r, t.round.ctx, entry{of: &t.origin}, wait); err == nil {
		g.announce(t)
	}
	if err == nil {
		if t.round.ctx.Err() != nil { // it came after the others were dropped
			g.drop(t.round)
		}
		return true
	}
	t.claim()
	if wait && r != nil && sameError(err, ErrQueueFull) { // a held one: only inside a task of this group
		r.count.submitted.inc()
		r.inPlace(func() { t.run(r) })
		return true
	}
	_ = g.e.rejected(err)
	if wait {
		g.fail(err)
	}
	g.settle(r, t, nil)
	return false
}

// announce makes a task known to Wait, which may claim it from then on. Claimed ones are dropped when
// the list would have to grow, so it holds at most twice the tasks that are queued.
func (g *Group) announce(t *groupTask) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.e.denied.Load() {
		g.wakeWaiter() // one that had to keep its slot, because no spare was left, runs the task itself
	}
	if len(g.pending) == cap(g.pending) {
		queued := g.pending[:0]
		for _, p := range g.pending {
			if !p.dead() {
				queued = append(queued, p)
			}
		}
		clear(g.pending[len(queued):])
		g.pending = queued
	}
	g.pending = append(g.pending, t)
	g.changed()
}

// fail records the first error of the round, cancels its context and drops what has not started.
func (g *Group) fail(err error) {
	rd, first := g.recordFirst(err)
	if first {
		rd.cancel(err)
		g.drop(rd)
	}
}

func (g *Group) recordFirst(err error) (rd *round, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock() // open may panic
	rd = g.open()
	return rd, rd.record(err)
}

// open returns the current round. Caller holds g.mu.
func (g *Group) open() *round {
	if g.round == nil {
		g.e.meet(nil, "a Group's task") // whose round has a context that both sides use
		g.round = &round{}
		g.round.ctx, g.round.cancel = context.WithCancelCause(sound(g.parent))
		g.round.traced = sampledSpan(g.parent)
	}
	return g.round
}

// record keeps the round's first error and reports whether err is it. Caller holds g.mu.
func (rd *round) record(err error) bool {
	if rd.err != nil || err == nil {
		return false
	}
	rd.err = err
	return true
}

// drop cancels the tasks of a round that have not started. The round's context is done.
func (g *Group) drop(rd *round) {
	err := errorOf(rd.ctx)
	for {
		g.mu.Lock()
		var t *groupTask
		held := len(g.held) > 0 && g.held[0].round == rd
		if held {
			t = g.popHeld()
		} else {
			t = g.next(rd)
		}
		g.mu.Unlock()
		if t == nil {
			break
		}
		if !t.claim() {
			continue
		}
		if held {
			g.e.unreserve()
		} else {
			g.e.bury()
		}
		g.e.outside.cancel(err)
		g.settle(nil, t, err)
	}
	g.e.checkQuiet()
}

// popHeld removes the task that was held back first. Caller holds g.mu.
func (g *Group) popHeld() *groupTask {
	t := g.held[0]
	g.held[0] = nil
	g.held = g.held[1:]
	return t
}

// next takes the newest task of a round that looks unclaimed off the list. Caller holds g.mu.
func (g *Group) next(rd *round) *groupTask {
	for n := len(g.pending); n > 0; n = len(g.pending) {
		t := g.pending[n-1]
		if t.round != rd {
			return nil
		}
		g.pending[n-1] = nil
		g.pending = g.pending[:n-1]
		if t.dead() {
			continue
		}
		return t
	}
	return nil
}

// end takes an ended, dropped or refused task off the group's books. Its permit goes to the task that
// was held back first, which end returns.
func (g *Group) end(t *groupTask, permit bool, err error) (released *groupTask) {
	g.mu.Lock()
	first := t.round.record(err)
	g.active--
	switch {
	case !permit:
	case len(g.held) > 0:
		released = g.popHeld()
		released.guest = false
	default:
		g.permits--
	}
	if g.active == 0 {
		g.wakeWaiter()
	}
	g.changed()
	g.mu.Unlock()
	if first && t.round.ctx.Err() == nil {
		t.round.cancel(err)
		g.drop(t.round)
	}
	return released
}

// Wait returns when all tasks of the group have ended, with the group's first error. Inside a task it
// runs tasks of the group that nobody has started, and lends the slot while it waits for the others.
// When the group's context is done, tasks that have not started are dropped at once.
func (g *Group) Wait() error {
	if g == nil {
		return errNilGroup
	}
	if err := g.misused(); err != nil {
		return err
	}
	caller := currentRunner(g.home)
	r := g.e.own(caller)
	g.mu.Lock()
	rd, idle := g.round, g.active == 0
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
	g.mu.Lock()
	err := rd.err
	if g.round == rd {
		g.round = nil
	}
	g.mu.Unlock()
	rd.cancel(context.Canceled)
	return err
}

// waitOnce does one step of waiting and reports whether the round is over. Before it has parked, and with a slot,
// it runs what nobody has started. A waiter that was woken and has no slot does so only while nobody else could, or
// there would be more tasks running than slots.
func (g *Group) waitOnce(caller, r *runner, rd *round, parked *bool) (over bool) {
	canceled := rd.ctx.Err() != nil
	if canceled {
		g.drop(rd)
	}
	helps := r != nil && (!*parked || r.held.Load() != nil || g.e.nobodyRuns())
	g.mu.Lock()
	if helps {
		if t := g.next(rd); t != nil {
			g.mu.Unlock()
			t.help(r)
			if g.e.word.Load()&freeMask == 0 {
				r.pace() // as at a Checkpoint: it may be one of thousands
			}
			return false
		}
	}
	if g.active == 0 {
		g.mu.Unlock()
		return true
	}
	if g.waiter == nil {
		g.waiter = make(chan struct{})
	}
	wake := g.waiter
	g.mu.Unlock()
	var cancel <-chan struct{}
	if !canceled {
		cancel = rd.ctx.Done()
	}
	*parked = true
	g.park(caller, rd, wake, cancel)
	return false
}

// park waits with the caller's slot lent until wake or cancel is closed. If every slot is held by a task that waits,
// with no spare left, it returns at once, with true, when a task of the round is there for the caller to run: a
// task that came before the caller could be woken. If it comes to that later, the caller is woken (wakeStuck).
func (g *Group) park(caller *runner, rd *round, wake, cancel <-chan struct{}) (stuck bool) {
	own := caller != nil && caller.e == g.e
	if own {
		g.e.stuck.add(g)
		defer g.e.stuck.remove(g)
	}
	caller.lendWhile(func() {
		if stuck = own && g.e.nobodyRuns() && g.hasPending(rd); stuck {
			return
		}
		select {
		case <-wake:
		case <-cancel:
		}
	})
	return stuck
}

// wakeStuck wakes the tasks that wait for this one's tasks, if there is one that they can run.
func (g *Group) wakeStuck() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.ContainsFunc(g.pending, func(t *groupTask) bool { return !t.dead() }) {
		return
	}
	g.wakeWaiter()
	g.changed()
}

// wakeWaiter wakes those in Wait. Caller holds g.mu.
func (g *Group) wakeWaiter() {
	if g.waiter != nil {
		close(g.waiter)
		g.waiter = nil
	}
}

// hasPending reports whether a task of the round is queued that nobody has claimed.
func (g *Group) hasPending(rd *round) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.pending, func(t *groupTask) bool { return t.round == rd && !t.dead() })
}
