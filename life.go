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
//	L2 Outsiders check for a closed executor under the injector's lock, and are refused once it is set.
//	   Tasks need none for a drain: they are in flight themselves, so it is not over. Close refuses them too.

// life is the state of ending.
type life struct {
	mu       sync.Mutex
	resizing sync.Mutex
	ending   bool          // somebody waits for the drain, or has
	done     chan struct{} // closed when the executor has ended
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
	return e.inject.waiters.len == 0
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
	_, err := currentRunner(context.Background()).await(ctx, c, nil) // a task of another executor, perhaps
	e.quiet.mu.Lock()
	delete(e.quiet.waiters, c)
	e.quiet.mu.Unlock()
	e.quiet.wanted.Add(-1)
	return err
}

// Quiesce waits for a moment in which nothing is queued, running or waiting for room, and returns nil,
// or ctx's error. The executor stays open. Under steady load there may be no such moment.
func (e *Executor) Quiesce(ctx context.Context) error {
	if err := e.valid(ctx, false); err != nil {
		return err
	}
	caller := currentRunner(ctx)
	if e.own(caller) != nil {
		return ErrInTask
	}
	if e.visits(caller, "Quiesce", e.quiescent) {
		return nil
	}
	return e.awaitQuiet(ctx)
}

// Shutdown refuses new work, lets everything that was accepted finish, and ends the executor. While it
// drains, tasks of this executor may still submit, fork and wait. If ctx is done first it goes on as
// Close does and returns ctx's error. Calling it again, also at the same time, is harmless; a task of
// the same executor gets ErrInTask.
func (e *Executor) Shutdown(ctx context.Context) error {
	if err := e.valid(ctx, false); err != nil {
		return err
	}
	caller := currentRunner(ctx)
	if e.own(caller) != nil {
		return ErrInTask
	}
	if e.visits(caller, "Shutdown", e.over) {
		return nil
	}
	e.closeInjector(false)
	err := e.end(ctx)
	if err != nil {
		e.stop()
		_ = e.end(context.Background())
	}
	return err
}

// Close refuses new work, cancels the contexts of tasks, drops queued tasks (their error is ErrClosed)
// and waits for the running ones. Calling it again, also at the same time, is harmless; a task of the
// same executor gets ErrInTask.
func (e *Executor) Close() error {
	if err := e.missing(); err != nil {
		return err
	}
	caller := currentRunner(context.Background())
	if e.own(caller) != nil {
		return ErrInTask
	}
	if e.visits(caller, "Close", e.over) {
		return nil
	}
	e.closeInjector(true)
	e.stop()
	return e.end(context.Background())
}

// closeInjector makes the injector refuse outsiders, or everybody, and those who wait for room.
func (e *Executor) closeInjector(everybody bool) {
	q := &e.inject
	q.mu.Lock()
	q.closed = true
	q.stopped = q.stopped || everybody
	e.word.Or(draining)
	refused := q.dismiss(func(w *waiter) (bool, error) { return everybody || !w.own, ErrClosed })
	q.mu.Unlock()
	chaos.At(chaos.L2Closed)
	wakeAll(refused)
	if o := e.orders(); o != nil {
		o.refuse(everybody)
	}
	e.checkQuiet()
}

// stop cancels the tasks' contexts and drops what is queued. Forked children and yielded runners go on:
// they belong to tasks that run.
func (e *Executor) stop() {
	e.closeInjector(true)
	if e.word.Or(stopping)&stopping != 0 {
		return
	}
	e.links.close()
	keep := func(en entry) bool { return !e.inject.discards(en) && !en.drop(e, ErrClosed) }
	var kept []entry
	for _, s := range *e.slots.Load() { // this goroutine is one more thief
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
	q.mu.Lock()
	var queued []entry
	for q.queue.len > 0 {
		en := q.queue.pop()
		if !en.placeless() {
			q.used--
		}
		queued = append(queued, en)
	}
	q.resumes, q.drains = 0, 0
	q.unlock()
	for _, en := range queued {
		if keep(en) {
			kept = append(kept, en)
		}
	}
	q.mu.Lock()
	for _, en := range kept {
		if en.yielded() != nil {
			q.resumes++
		} else {
			q.used++
		}
		q.queue.push(en)
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

// end waits until nothing is in flight, then ends every goroutine of the executor and waits for them.
func (e *Executor) end(ctx context.Context) error {
	select {
	case <-e.life.done:
		return nil
	default:
	}
	if err := e.awaitQuiet(ctx); err != nil {
		select {
		case <-e.life.done: // somebody else ended it meanwhile
			return nil
		default:
			return err
		}
	}
	e.life.mu.Lock()
	first := !e.life.ending
	e.life.ending = true
	e.life.mu.Unlock()
	if first {
		e.finish()
		close(e.life.done)
	}
	<-e.life.done
	return nil
}

// finish runs once, when nothing is in flight and nothing can be submitted.
func (e *Executor) finish() {
	e.word.Or(stopping) // before the contexts are done, so that a done one has an error
	e.links.close()
	e.debug.close() // before ended: what was asked for until then, the keeper still starts
	chaos.At(chaos.L2Ending)
	e.idle.mu.Lock()
	e.word.Or(ended)
	parked := e.unlist(e.idle.live)
	e.idle.mu.Unlock()
	endRunners(parked)
	e.keeper.poke()
	e.group.Wait()
	for _, s := range *e.slots.Load() { // dead entries may be left where the last runner called Goexit
		e.inject.empty(&s.deque)
	}
	e.inject.purge()
	e.sizer.reader.Close()
	if err := e.metrics(); err != nil {
		e.cfg.log.Warn("executor: metrics were not unregistered", "executor", e.name, "err", err)
	}
	names.give(e.name)
}

// Resize fixes the number of slots from now on, 1 to 4096; 0 follows the CPU quota again. More slots
// serve waiting tasks at once. Fewer take effect as the tasks on them end; what is queued there moves
// to the injector. It returns ErrClosed after the end.
func (e *Executor) Resize(slots int) error {
	if err := e.missing(); err != nil {
		return err
	}
	if slots != 0 {
		if err := checkSlots("Resize", slots); err != nil {
			return err
		}
	}
	if !e.setSize(slots, "Resize") {
		return fmt.Errorf("%w: Resize(%d)", ErrClosed, slots)
	}
	return nil
}

// resize makes n the number of slots that are not to be retired. It reports false after the end. Caller
// holds life.resizing.
func (e *Executor) resize(n int) bool {
	e.idle.mu.Lock()
	if e.word.Load()&ended != 0 {
		e.idle.mu.Unlock()
		return false
	}
	before := e.slotCount()
	switch have := e.slotCount(); {
	case n > have:
		e.grow(n - have)
	case n < have:
		e.shrink(have - n)
	}
	e.size.Store(int32(n))
	if n < before && e.idle.live > n {
		e.idle.extra = true
		e.keeper.poke() // it has the timers: the caller may be in another bubble
	}
	e.idle.mu.Unlock()
	for ; n > before && e.hasWork(); n-- {
		e.notify()
	}
	return true
}

// thin ends runners beyond the slots that sleep without a timer, because there were more slots when they parked.
func (e *Executor) thin() {
	e.idle.mu.Lock()
	extra := e.unlist(e.idle.live - e.slotCount())
	e.idle.mu.Unlock()
	endRunners(extra)
}

// unlist takes up to n parked runners off the list: they count as living no more. Caller holds idle.mu, and calls
// endRunners after releasing it.
func (e *Executor) unlist(n int) (gone []*runner) {
	for ; n > 0 && e.idle.parked.top != nil; n-- {
		gone = append(gone, e.idle.parked.pop())
		e.idle.live--
	}
	return gone
}

func endRunners(unlisted []*runner) {
	for _, r := range unlisted {
		r.token <- nil
	}
}

// grow adds n slots, first those that were to be retired and are still held. Caller holds idle.mu.
func (e *Executor) grow(n int) {
	for _, s := range e.idle.slots {
		if n > 0 && s.loan == nil && s.retire.Load() {
			s.retire.Store(false)
			n--
		}
	}
	slots := slices.Clone(e.idle.slots)
	for range n {
		s := &slot{}
		slots = append(slots, s)
		e.pushFree(s)
	}
	e.setSlots(slots)
}

// shrink retires n slots: free ones at once, others at their holder's next boundary. Caller holds
// idle.mu.
func (e *Executor) shrink(n int) {
	gone := make(map[*slot]bool)
	for n > 0 && len(e.idle.free) > 0 {
		gone[e.popFree()] = true
		n--
	}
	e.setSlots(slices.DeleteFunc(slices.Clone(e.idle.slots), func(s *slot) bool { return gone[s] }))
	for _, s := range e.idle.slots {
		if n > 0 && s.loan == nil && !s.retire.Load() {
			s.retire.Store(true)
			n--
		}
	}
}

// dropSlot removes a slot that nobody holds and whose deque is empty. Caller holds idle.mu.
func (e *Executor) dropSlot(s *slot) {
	slots := slices.Clone(e.idle.slots)
	e.setSlots(slices.DeleteFunc(slots, func(t *slot) bool { return t == s }))
	if s.loan != nil {
		e.idle.lent--
	}
}

func (e *Executor) setSlots(slots []*slot) {
	e.idle.slots = slots
	e.slots.Store(&slots)
}

// leaves reports whether the slot's holder has to give it up at this boundary.
func (s *slot) leaves() bool { return s.retire.Load() || s.loan != nil && s.loan.over() }
