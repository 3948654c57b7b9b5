package executor

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// Size and end. An executor is open, then draining (Shutdown: only tasks may submit), perhaps stopping
// (Close: queued tasks are dropped, task contexts are done), and ended when nothing is in flight.
//
//	L1 A task is counted as submitted before anybody can run it, and as ended after it can not run any
//	   more. So "submitted == ended", read in the order of sum, means that nothing was in flight.
//	L3 A forked child is counted as submitted by whoever starts it, or by its task when that ends and
//	   nobody has: until then its task is in flight, and stands for it.
//	L2 Outsiders check for a closed executor under the injector's lock, or under idle.mu if they hand over, and are
//	   refused once it is set. It is set under both.
//	   Tasks need none for a drain: they are in flight themselves, so it is not over. Close refuses them too.

// life is the state of ending.
type life struct {
	resizing  sync.Mutex
	abandoned atomic.Bool   // a Shutdown did not wait any longer: the keeper starts the goroutine that does
	ending    atomic.Bool   // somebody runs finish
	done      chan struct{} // closed when the executor has ended

	mu   sync.Mutex
	seen map[*runner]seen // what ran when Shutdown was called
}

// quiet holds those who wait for a moment in which nothing is in flight.
type quiet struct {
	wanted  atomic.Int32  // how many wait
	newest  atomic.Uint64 // the number of the last who came; written under mu
	mu      sync.Mutex
	waiters map[chan struct{}]uint64 // by number
}

// crew counts the goroutines of an executor. It does what a sync.WaitGroup does, which would belong to the synctest
// bubble of whoever asks for a goroutine first: that may be a submitter in a bubble, and the executor is outside.
type crew struct {
	n    atomic.Int64
	gone chan struct{} // closed when the last one has ended: the keeper is there from New to the end
}

func (c *crew) Add(n int64) { c.n.Add(n) }

func (c *crew) Done() {
	if c.n.Add(-1) == 0 {
		close(c.gone)
	}
}

func (c *crew) Wait() { <-c.gone }

// checkQuiet wakes those who wait for quiescence, if it is there. It is called after everything that
// may have been the last in flight, and costs one load when nobody waits.
func (e *Executor) checkQuiet() {
	q := &e.quiet
	if q.wanted.Load() == 0 { // pairs with the add in awaitQuiet
		return
	}
	newest := q.newest.Load() // first: that moment may have been before somebody came who comes now
	if !e.quiescent() {
		return
	}
	var served []chan struct{}
	q.mu.Lock()
	for c, number := range q.waiters {
		if number <= newest {
			delete(q.waiters, c)
			served = append(served, c)
		}
	}
	q.mu.Unlock()
	for _, c := range served {
		close(c)
	}
}

// quiescent reports whether there was a moment during the call in which nothing was queued, running or
// waiting for room.
func (e *Executor) quiescent() bool {
	came := e.inject.groups.came.Load()
	if came != e.inject.groups.gone.Load() {
		return false
	}
	s := e.sum()
	if s.ended() != s.Submitted {
		return false
	}
	chaos.At(chaos.L1Summed)
	if o := e.orders(); o != nil && o.waiting() > 0 {
		return false
	}
	e.inject.mu.Lock()
	defer e.inject.mu.Unlock()
	if l := e.inject.lanes; l != nil && l.sum().waiting > 0 {
		return false
	}
	return e.inject.waiters.len == 0 && e.inject.groups.came.Load() == came // one that came may have been served since
}

// awaitQuiet waits for quiescence or for ctx.
func (e *Executor) awaitQuiet(ctx context.Context) error {
	c := make(chan struct{})
	e.quiet.wanted.Add(1)
	e.quiet.mu.Lock()
	if e.quiet.waiters == nil {
		e.quiet.waiters = make(map[chan struct{}]uint64)
	}
	e.quiet.waiters[c] = e.quiet.newest.Add(1)
	e.quiet.mu.Unlock()
	chaos.At(chaos.L1Wanted)
	e.checkQuiet()
	var err error
	select {
	case <-c:
	case <-ctx.Done():
		select {
		case <-c: // both: it is over
		default:
			err = errorOf(ctx)
		}
	}
	e.quiet.mu.Lock()
	delete(e.quiet.waiters, c)
	e.quiet.mu.Unlock()
	e.quiet.wanted.Add(-1)
	return err
}

// Quiesce waits for a moment in which nothing is queued, running or waiting for room, and returns nil,
// or ctx's error. The executor stays open. Under steady load there may be no such moment. A task of the same executor
// gets ErrInTask; a task of another one lends its slot meanwhile.
func (e *Executor) Quiesce(ctx context.Context) error {
	if err := e.valid(ctx, false); err != nil {
		return err
	}
	caller := currentRunner(ctx)
	if e.runsIn(caller) {
		return ErrInTask
	}
	if e.visits(caller, "Quiesce", e.quiescent) {
		return nil
	}
	var err error
	caller.lendFor(e, func() { err = e.awaitQuiet(ctx) })
	return err
}

// Shutdown refuses new work, lets everything that was accepted finish, and ends the executor. While it
// drains, tasks of this executor may still submit, fork and wait. It returns nil when nothing of the executor is left.
//
// If ctx is done first, it drops what is queued (with ErrClosed), ends the contexts of tasks, and returns at once with an
// error that matches ctx's and holds an *UnfinishedError. The tasks that still run end by themselves, and the last one ends
// the executor; Close, or another Shutdown, waits for that. Until then its name stays taken, and its counters go on.
//
// Calling it again, also at the same time, is harmless. It may be called from anywhere, callbacks of OpenTelemetry, loggers
// and stall handlers included, for it does not wait for code that is not the executor's. Only in a task of the same executor,
// which would wait for itself, it is ErrInTask: inside OnThread too, and in a panic handler. A task of another executor
// lends its slot meanwhile.
func (e *Executor) Shutdown(ctx context.Context) error {
	if err := e.valid(ctx, false); err != nil {
		return err
	}
	caller := currentRunner(ctx)
	if e.runsIn(caller) {
		return ErrInTask
	}
	if e.visits(caller, "Shutdown", e.over) {
		return nil
	}
	e.closeInjector(false)
	if ctx.Done() != nil {
		e.observe()
	}
	err := e.end(ctx, caller)
	if err != nil {
		err = fmt.Errorf("%w; %w", err, e.abandon())
	}
	return err
}

// Close refuses new work, ends the contexts of tasks, drops queued tasks (their error is ErrClosed)
// and waits for the running ones; it returns nil then. Calling it again, also at the same time, is harmless. As
// Shutdown it may be called from anywhere but a task of the same executor, which gets ErrInTask.
func (e *Executor) Close() error {
	if err := e.missing(); err != nil {
		return err
	}
	caller := currentRunner(context.Background())
	if e.runsIn(caller) {
		return ErrInTask
	}
	if e.visits(caller, "Close", e.over) {
		return nil
	}
	e.stop()
	return e.end(context.Background(), caller)
}

// runsIn reports whether the caller is a task of this executor, whose runner is given, or a goroutine of OnThread in one.
func (e *Executor) runsIn(r *runner) bool {
	if r == nil {
		return threads.executor() == e
	}
	return r.e == e
}

// closeInjector makes the injector refuse outsiders, or everybody, and those who wait for room.
func (e *Executor) closeInjector(everybody bool) {
	q := &e.inject
	q.mu.Lock()
	before := [2]bool{q.closed, q.stopped}
	q.closed = true
	q.stopped = q.stopped || everybody
	q.tellRefused(before)
	if !before[0] {
		e.idle.mu.Lock() // who hands over looks at it under this lock, so it has counted its task by now, or sees it (L2)
		e.word.Or(draining)
		e.idle.mu.Unlock()
	}
	judge := func(w *waiter) (bool, error) { return everybody || !w.own, ErrClosed }
	refused := q.dismiss(judge)
	var outside *waiter
	if q.lanes != nil {
		outside = q.lanes.dismiss(judge)
	}
	q.mu.Unlock()
	chaos.At(chaos.L2Closed)
	wakeAll(refused)
	wakeAll(outside)
	if o := e.orders(); o != nil {
		o.refuse(everybody)
	}
	if c := e.timers(); c != nil {
		c.stop()
	}
	e.checkQuiet()
}

// stop refuses everybody, cancels the tasks' contexts and drops what is queued. Forked children and yielded runners go on:
// they belong to tasks that run.
func (e *Executor) stop() {
	e.closeInjector(true)
	if e.word.Or(stopping)&stopping != 0 {
		return
	}
	e.links.close()
	keep := func(en entry) bool { return !e.inject.discards(en) && !en.drop(e, ErrClosed) }
	var kept []entry
	for s := range e.slots.Load().all() { // this goroutine is one more thief
		for {
			en, ok, more := s.take()
			if ok && keep(en) {
				kept = append(kept, en)
			}
			if !ok && !more {
				break
			}
		}
	}
	chaos.At(chaos.L2Dropping)
	q := &e.inject
	q.mu.Lock() // yielded runners stay listed: somebody may be looking for one
	var queued []entry
	for _, f := range []*fifo{&q.returned, &q.queue} {
		for f.len > 0 {
			en := f.pop()
			q.used -= q.vacate(en)
			queued = append(queued, en)
		}
	}
	q.seats = 0
	if q.lanes != nil {
		queued = append(queued, q.lanes.drain()...)
	}
	q.recount()
	q.unlock()
	for _, en := range queued {
		if keep(en) {
			kept = append(kept, en)
		}
	}
	q.mu.Lock()
	for _, en := range kept {
		q.push(en)
		q.occupy(en)
	}
	q.unlock()
	if o := e.orders(); o != nil {
		o.stop()
	}
	e.notify()
	e.checkQuiet()
}

// over reports whether nothing is in flight and nothing will be. Unlike life.done, anybody may ask.
func (e *Executor) over() bool { return e.word.Load()&ended != 0 }

// visits reports whether the caller is a stranger to e, with nothing to wait for, as done says. A stranger who
// would have to wait panics.
func (e *Executor) visits(r *runner, call string, done func() bool) bool {
	if !e.stranger(r) {
		return false
	}
	if !done() {
		panic(errBubble(e, call))
	}
	return true
}

// end waits until nothing is in flight, then ends every goroutine of the executor and waits for them. It fails if ctx is
// done first. A task of another executor lends its slot meanwhile.
func (e *Executor) end(ctx context.Context, caller *runner) (err error) {
	if closed(e.life.done) {
		return nil
	}
	caller.lendFor(e, func() {
		if err = e.awaitQuiet(ctx); err != nil {
			if closed(e.life.done) { // somebody else ended it meanwhile
				err = nil
			}
			return
		}
		if e.life.ending.CompareAndSwap(false, true) {
			e.finish()
			close(e.life.done)
		}
		<-e.life.done // soon: nobody else's code runs any more
	})
	return err
}

// abandon drops what is queued, and leaves the end of the executor to its last task.
func (e *Executor) abandon() *UnfinishedError {
	before := e.outside.canceled.Load()
	e.stop()
	dropped := e.outside.canceled.Load() - before
	if e.quiescent() {
		_ = e.end(context.Background(), nil)
	} else if e.life.abandoned.CompareAndSwap(false, true) {
		e.keeper.poke()
	}
	u := e.unfinished()
	u.Dropped = int(dropped)
	return u
}

// endLoans drops the slots that are still lent: their runners ended with them, or none was started any more (S3).
func (e *Executor) endLoans() {
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	for _, s := range slices.Collect(e.slots.Load().all()) {
		if s.loan != nil {
			e.dropSlot(s)
		}
	}
}

// finish runs once, when nothing is in flight and nothing can be submitted.
func (e *Executor) finish() {
	e.word.Or(stopping) // before the contexts are done, so that a done one has an error
	e.links.close()
	chaos.At(chaos.L2Ending)
	e.idle.mu.Lock()
	e.word.Or(ended)
	parked := e.unlist(e.idle.live)
	e.idle.mu.Unlock()
	endRunners(parked)
	e.keeper.poke()
	if c := e.timers(); c != nil {
		c.wait()
	}
	e.group.Wait()
	for s := range e.slots.Load().all() { // dead entries may be left where the last runner called Goexit
		e.inject.empty(&s.deque)
	}
	e.endLoans()
	e.inject.purge()
	e.guests.clear()
	e.sizer.reader.Close()
	e.ledger.close(e)
	e.life.mu.Lock()
	e.life.seen = nil
	e.life.mu.Unlock()
	names.give(e.name)
}
