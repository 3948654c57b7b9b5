package executor

import (
	"runtime"
	"sync"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// The idle protocol. docs/PARKING.md states it and proves it; P0 to P4 refer to that page.

// The state word. See the table in docs/PARKING.md.
const (
	oneSearching  = 1
	searchingMask = 1<<20 - 1
	oneFree       = 1 << 20
	freeMask      = (1<<20 - 1) << 20
	lent          = 1 << 40 // some slot may be BLOCKED
	debt          = 1 << 41 // some runner is surplus
	watched       = 1 << 42 // the keeper's monitor runs
	stopping      = 1 << 43 // Close: tasks do not start any more
	ended         = 1 << 44 // nothing is in flight and nothing will be: runners end
	stale         = 1 << 45 // the size follows the CPU quota, and nobody looks while all slots are free
	pending       = 1 << 47 // tasks may wait that were published beside no free slot
	draining      = 1 << 46 // Shutdown or Close: only tasks of the executor may submit
)

func searching(word uint64) int { return int(word & searchingMask) }
func freeSlots(word uint64) int { return int(word & freeMask / oneFree) }

// slot is the permission to run one task at a time, and the deque that goes with it.
type slot struct {
	deque

	holder atomicRunner // who has it, or had it last: see owner
	retire atomicFlag   // leave at the next boundary; written under idle.mu
	loan   *loan        // what it was lent for, or nil; see stall.go
	index  int          // in Executor.slots; under idle.mu
}

// idle holds everything that is not running. Lock order: idle.mu is a leaf; see ARCHITECTURE.
type idle struct {
	mu      sync.Mutex
	free    []*slot    // held by nobody, deques empty; the last in is the first out
	parked  runnerList // runners without a slot; the last in is the first out
	surplus runnerList // runners that run without a slot
	unborn  []*slot    // slots for which the keeper starts runners
	live    int        // runners that exist or are about to
	extra   bool       // a resize has left more of them than slots: the keeper ends those that sleep on (thin)
	lent    int        // slots with a loan
	wakeups uint64     // runners that were woken or started
	until   uint64     // how many more tasks are handed over until the next is measured
}

// runnerList is a stack of runners that allows removal from the middle.
type runnerList struct {
	top *runner
	len int
}

func (l *runnerList) push(r *runner) {
	r.list, r.prev, r.next = l, nil, l.top
	if l.top != nil {
		l.top.prev = r
	}
	l.top = r
	l.len++
}

func (l *runnerList) remove(r *runner) {
	if r.prev != nil {
		r.prev.next = r.next
	} else {
		l.top = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.list, r.prev, r.next = nil, nil, nil
	l.len--
}

func (l *runnerList) pop() *runner {
	r := l.top
	if r != nil {
		l.remove(r)
	}
	return r
}

// notify is the second half of every publication of a task (P1): it sees to it that somebody will
// look for the task. In a busy executor it is one load.
func (e *Executor) notify() {
	word := e.word.Load() // pairs with the state changes of startSearching, found and park
	chaos.At(chaos.P1Looked)
	if word&(freeMask|lent|watched|pending) != watched|pending {
		e.summon(word)
	}
}

// summon is the part of notify for an executor in which somebody else could look, or nobody watches.
func (e *Executor) summon(word uint64) {
	if word&searchingMask != 0 {
		return
	}
	if word&freeMask != 0 {
		e.wake()
		return
	}
	if word&pending == 0 {
		word |= e.word.Or(pending) // then look for lent: pairs with the load in enter (B2)
	}
	if word&lent != 0 {
		e.retakeBlocked()
	}
	if word&watched == 0 {
		e.watch()
	}
}

// wake pairs a free slot with a runner, unless somebody searches by now. If the slot is gone, somebody who
// does not search may have it (Executor.findSlot), so a blocked one is needed all the same.
func (e *Executor) wake() {
	e.idle.mu.Lock()
	word := e.word.Load()
	if searching(word) > 0 || word&ended != 0 {
		e.idle.mu.Unlock()
		return
	}
	if freeSlots(word) == 0 {
		e.idle.mu.Unlock()
		e.notify()
		return
	}
	s := e.popFree()
	e.staffLocked(s, false)
}

// staff gives a slot that nobody holds to a parked or a new runner, which will search. A runner of
// this executor starts new ones itself; for everybody else the keeper does, so that no runner
// inherits anything from a submitter.
func (e *Executor) staff(s *slot, byRunner bool) {
	e.idle.mu.Lock()
	e.staffLocked(s, byRunner)
}

// staffLocked releases idle.mu.
func (e *Executor) staffLocked(s *slot, byRunner bool) {
	if e.word.Load()&ended != 0 {
		e.idle.mu.Unlock()
		return
	}
	e.word.Add(oneSearching) // before the token, on behalf of its receiver
	e.idle.wakeups++
	r := e.idle.parked.pop()
	if r == nil {
		e.idle.live++
		e.group.Add(1)
		if !byRunner {
			e.idle.unborn = append(e.idle.unborn, s)
		}
	}
	e.idle.mu.Unlock()
	chaos.At(chaos.P1Token)
	switch {
	case r != nil:
		r.token <- s
	case byRunner:
		go newRunner(e).main(s)
	default:
		e.keeper.poke()
	}
}

// popFree and pushFree move a slot off and onto the free list. The first slot that is taken makes the
// keeper look at the CPU quota again (P5). Caller holds idle.mu.
func (e *Executor) popFree() *slot { return e.takeFree(0) }

// takeFree is popFree for a caller that adds to the searching count too.
func (e *Executor) takeFree(searching uint64) *slot {
	last := len(e.idle.free) - 1
	s := e.idle.free[last]
	e.idle.free[last] = nil
	e.idle.free = e.idle.free[:last]
	if e.word.Add(^uint64(oneFree-1)+searching)&stale != 0 {
		e.word.And(^uint64(stale))
		e.keeper.poke()
	}
	return s
}

func (e *Executor) pushFree(s *slot) {
	e.idle.free = append(e.idle.free, s)
	e.word.Add(oneFree)
}

// rest marks the size as stale if every slot is free, and reports whether it is (P5).
func (e *Executor) rest() bool {
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	if len(e.idle.free) < len(*e.slots.Load()) {
		return false
	}
	e.word.Or(stale)
	return true
}

// startSearching counts the caller as searching, if at most half the slots search already, and if
// there is anybody to steal from.
func (e *Executor) startSearching() bool {
	for {
		word, slots := e.word.Load(), len(*e.slots.Load())
		if chaos.Forced(chaos.P2Search) || 2*searching(word) >= slots || freeSlots(word) >= slots-1 {
			return false
		}
		if e.word.CompareAndSwap(word, word+oneSearching) {
			return true
		}
	}
}

// found ends the caller's search. The last searcher to find work passes the search on (P3).
func (e *Executor) found() {
	word := e.word.Add(^uint64(oneSearching - 1))
	chaos.At(chaos.P3Found)
	if searching(word) == 0 && e.hasWork() {
		e.notify()
	}
}

// hasWork looks at every queue.
func (e *Executor) hasWork() bool {
	if e.inject.filled.Load() {
		return true
	}
	slots := *e.slots.Load()
	for i := range slots {
		if slots[i].Load().len() > 0 {
			return true
		}
	}
	return false
}

// park gives up the runner's slot, if it has one, and sleeps until it is given a slot again, which it
// then holds as a searcher. It reports false when the runner is to end.
func (r *runner) park(search bool) bool {
	e := r.e
	if r.away {
		r.away = false
		return r.sleep(r.timed)
	}
	r.forget()
	e.inject.forget()
	if e.inject.bulky.Load() { // not at once: the next burst would have to allocate it again
		e.attend()
	}
	r.count.parks.inc()

	chaos.At(chaos.P2Parks)
	e.idle.mu.Lock()
	if e.word.Load()&ended != 0 {
		e.idle.live--
		e.idle.mu.Unlock()
		return false
	}
	gave, credit := r.slot != nil, true // (B5) without a slot it has one
	if gave {
		credit = e.giveBack(r.release())
	}
	if search {
		e.word.Add(^uint64(oneSearching - 1))
	}
	e.idle.parked.push(r)
	timed := e.idle.live > e.slotCount()
	e.idle.mu.Unlock()

	chaos.At(chaos.B5Gave)
	if credit { // only now: a runner that is not parked has a slot or a credit (B5)
		e.returnCredit()
	}
	chaos.At(chaos.P2Parked)
	if gave && e.hasWork() { // always look again (P2)
		if r.unpark() {
			return true
		}
		e.notify() // the slot went elsewhere; another may be lent
	}
	e.checkQuiet()
	return r.sleep(timed)
}

// giveBack disposes of a slot whose deque is empty: it leaves if it is to be retired, repays a
// surplus runner, or becomes free. It reports whether that leaves a credit with the caller: the one of the runner
// that was repaid, or of the loan. Caller holds idle.mu.
func (e *Executor) giveBack(s *slot) (credit bool) {
	switch {
	case s.leaves() || s.loan != nil: // a lent slot is not needed by an executor with idle ones
		e.dropSlot(s)
		return s.loan != nil
	case e.idle.surplus.top != nil:
		e.repay(s)
		return true
	default:
		e.pushFree(s)
	}
	return false
}

// unpark takes a free slot back for a runner that saw work after it parked. It fails if a token is on
// its way or no slot is free.
func (r *runner) unpark() bool {
	e := r.e
	e.idle.mu.Lock()
	if chaos.Forced(chaos.P2Again) || r.list == nil || len(e.idle.free) == 0 {
		e.idle.mu.Unlock()
		return false
	}
	e.idle.parked.remove(r)
	s := e.popFree()
	e.word.Add(oneSearching)
	e.idle.mu.Unlock()
	r.adopt(s)
	if r.picks.misses++; r.picks.misses > 1 { // a thief was interrupted between claim and release
		runtime.Gosched()
	}
	return true
}

// sleep waits for a token. Runners beyond the slots wait no longer than the keep-alive.
func (r *runner) sleep(timed bool) bool {
	r.picks.misses = 0
	var s *slot
	if timed {
		timer := time.NewTimer(r.e.cfg.keepAlive)
		select {
		case s = <-r.token:
			timer.Stop()
		case <-timer.C:
			chaos.At(chaos.P2Retires)
			if r.retire() {
				return false
			}
			s = <-r.token
		}
	} else {
		s = <-r.token // not a select: it costs half as much
	}
	if s == nil { // it is to end, and not counted as living any more
		return false
	}
	r.adopt(s)
	return true
}

// retire takes the runner off the parked list for good, if there are more runners than slots. It
// fails if a token is on its way.
func (r *runner) retire() bool {
	e := r.e
	e.idle.mu.Lock()
	defer e.idle.mu.Unlock()
	if r.list == nil || e.idle.live <= e.slotCount() {
		return false
	}
	e.idle.parked.remove(r)
	e.idle.live--
	return true
}
