package executor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
)

// Guests: their entries in the injector, their records, and how they are found.

// seat is the entry of a guest that waits for a slot. It is claimed by whoever has a slot for it, or drops it, or by
// the guest itself when it leaves (H2).
type seat struct {
	origin
	r     *runner
	state atomic.Uint32
	err   error // why it was dropped
}

const (
	seatWaiting = iota
	seatGranted
	seatDropped
	seatLeft
)

func (w *seat) claim(as uint32) bool { return w.state.CompareAndSwap(seatWaiting, as) }

// wait waits for a slot, or for the end of the parent.
func (w *seat) wait() error {
	e, r, parent := w.r.e, w.r, w.parent
	var s *slot
	select {
	case s = <-r.token:
	case <-parent.Done():
		if w.claim(seatLeft) {
			e.bury()
			err := errorOf(parent)
			e.outside.cancel(err) // after that nothing of it may be counted as queued
			e.checkQuiet()
			return err
		}
		s = <-r.token // on its way
	}
	if s == nil {
		return w.err
	}
	r.adopt(s)
	return nil
}

// execute hands the slot of r to the guest. r parks: it is listed before the slot is gone, so that it is never a
// runner beyond the slots without a credit (B5), and nobody starts a new one for it.
func (w *seat) execute(r *runner) {
	if !w.claim(seatGranted) {
		r.e.inject.dead.Add(-1)
		return
	}
	w.hand(r)
}

// hand hands the slot of r to the guest, whose seat has been claimed for it.
func (w *seat) hand(r *runner) {
	e := r.e
	r.forget()
	r.count.parks.inc()
	e.idle.mu.Lock()
	s := r.release()
	e.idle.parked.push(r)
	r.away, r.timed = true, e.idle.live > e.slotCount()
	e.idle.mu.Unlock()
	w.r.token <- s
}

func (w *seat) drop(e *Executor, err error) bool {
	if w.claim(seatDropped) {
		w.err = err
		e.outside.cancel(err)
		w.r.token <- nil
	} else {
		e.inject.dead.Add(-1) // it has left; this was its entry
	}
	return true
}

func (w *seat) dead() bool   { return w.state.Load() != seatWaiting }
func (w *seat) left(*runner) {}

// takeSeat takes the oldest entry of the injector if that is a guest's, and nothing that is served in turns with it
// waits (P6).
func (e *Executor) takeSeat() (*seat, holding) {
	q := &e.inject
	q.mu.Lock()
	if q.lanes != nil && q.queue.len+q.returned.len == 0 && !q.resumeDue() {
		w, h, granted := q.lanes.takeSeat()
		q.unlock()
		wakeAll(granted)
		if granted != nil {
			e.notify()
		}
		return w, h
	}
	if q.seats == 0 || q.queue.len == 0 || q.returned.len > 0 || q.yields.due(q.popped()) || !q.queue.peek().alone() {
		q.mu.Unlock()
		return nil, nil
	}
	if q.delay != nil {
		q.delay.taken(&q.queue, 1, time.Since(epoch))
	}
	en := q.queue.pop()
	q.seats--
	q.moved++
	granted := q.free(1)
	q.unlock()
	wakeAll(granted)
	if granted != nil {
		e.notify()
	}
	return en.of.job.(*seat), nil
}

// nobodyWaits reports whether there is no entry but dead ones in the queue, which it drops. Caller holds mu, and nobody
// waits for room.
func (q *injector) nobodyWaits() bool {
	if q.beside > 0 {
		return false
	}
	for q.queue.len > 0 {
		if !q.queue.peek().dead() {
			return false
		}
		en := q.queue.pop()
		q.discards(en)
		q.moved++
		if en.alone() {
			q.seats--
		}
		q.used -= q.vacate(en)
	}
	return true
}

// guestList keeps the records of guests for the next ones. They stay registered, for what they have counted.
type guestList struct {
	spare atomic.Pointer[runner] // one, without a lock
	mu    sync.Mutex
	more  []*runner
}

// maxGuests bounds how many records are kept: a burst of callers that wait must not be remembered for ever.
const maxGuests = 64

// take returns a record that is free, or nil.
func (l *guestList) take() *runner {
	if r := l.spare.Swap(nil); r != nil {
		return r
	}
	l.mu.Lock()
	if last := len(l.more) - 1; last >= 0 {
		r := l.more[last]
		l.more[last] = nil
		l.more = l.more[:last]
		l.mu.Unlock()
		return r
	}
	l.mu.Unlock()
	return nil
}

// add makes a new record. The caller is in e's bubble, or neither is in one: the record has a channel.
func (l *guestList) add(e *Executor) *runner {
	r := newRunner(e)
	r.guest = true
	e.registry.add(r)
	return r
}

func (l *guestList) put(r *runner) {
	if l.spare.CompareAndSwap(nil, r) {
		if r.e.over() { // the end came before the guest was through: pairs with clear
			l.clear()
		}
		return
	}
	l.mu.Lock()
	kept := len(l.more) < maxGuests && !r.e.over()
	if kept {
		l.more = append(l.more, r)
	}
	l.mu.Unlock()
	if !kept {
		r.e.registry.remove(r)
	}
}

// clear forgets the records. Nothing is in flight any more.
func (l *guestList) clear() {
	l.mu.Lock()
	more := l.more
	l.more = nil
	l.mu.Unlock()
	if r := l.spare.Swap(nil); r != nil {
		more = append(more, r)
	}
	for _, r := range more {
		r.e.registry.remove(r)
	}
}

// guestTable finds the guest that a goroutine is, in most cases without a lock. Two goroutines may want the same place;
// then the second one goes to the table of all runners. A goroutine's last entry of the two is the one that counts: a
// guest goes there only if the place here is somebody else's.
type guestTable [256]atomic.Pointer[runner]

var guests guestTable

// find returns the guest that goroutine id is, if it has a place here.
func (t *guestTable) find(id int64) *runner {
	if r := t[uint64(id)%uint64(len(t))].Load(); r != nil && r.goid.Load() == id {
		return r
	}
	return nil
}

// set makes r the runner that goroutine id is. What was there before goes to reset.
func (t *guestTable) set(id int64, r *runner) (before *runner, direct bool) {
	place := &t[uint64(id)%uint64(len(t))]
	for {
		now := place.Load()
		if now != nil && now.goid.Load() != id {
			return runners.swap(id, r), false
		}
		if place.CompareAndSwap(now, r) {
			return now, true
		}
	}
}

func (t *guestTable) reset(id int64, before *runner, direct bool) {
	if direct {
		t[uint64(id)%uint64(len(t))].Store(before)
	} else {
		runners.swap(id, before)
	}
}

// Runners are recognised by their goroutine, whatever context a call is given (API promise 4).
// A task context that names the runner is checked against the goroutine's number, which takes two
// nanoseconds. A call without one that is about to wait asks the table below.

// learnRuntime finds out, once, what can not be known before the program runs.
func learnRuntime() {
	contexts.Do(learnContexts)
	goid.Learn()
}

// isCurrent reports whether the calling goroutine is r's. It is false everywhere if the fast number
// can not be trusted: then tasks are never pushed locally, and the slow paths read a stack trace. While the goroutine
// is a guest of another executor it is that one's (H1).
func (r *runner) isCurrent() bool { return goid.Is(r.goid.Load()) && r.cover == nil }

// runnerTable finds the runner of a goroutine, of any executor in the process.
type runnerTable [64]struct {
	mu      sync.RWMutex
	runners map[int64]*runner
	len     atomic.Int32 // of runners, for those who are none themselves: as a rule it is zero
	_       [88]byte
}

var runners runnerTable

func (t *runnerTable) add(r *runner)    { t.swap(r.goid.Load(), r) }
func (t *runnerTable) remove(r *runner) { t.swap(r.goid.Load(), nil) }

// swap makes r the runner of a goroutine, or nobody if it is nil, and returns who was it before.
func (t *runnerTable) swap(id int64, r *runner) (before *runner) {
	shard := &t[uint64(id)%uint64(len(t))]
	shard.mu.Lock()
	if shard.runners == nil {
		shard.runners = make(map[int64]*runner)
	}
	before = shard.runners[id]
	if r != nil {
		shard.runners[id] = r
	} else {
		delete(shard.runners, id)
	}
	shard.len.Store(int32(len(shard.runners)))
	shard.mu.Unlock()
	return before
}

// currentRunner returns the runner that the calling goroutine is, or nil. ctx, which may be nil, only
// makes the answer faster.
func currentRunner(ctx context.Context) *runner {
	if ctx != nil {
		if tc := taskOf(ctx); tc != nil && tc.r.isCurrent() {
			return tc.r
		}
	}
	id := goid.ID()
	if r := guests.find(id); r != nil {
		return r
	}
	shard := &runners[uint64(id)%uint64(len(runners))]
	if shard.len.Load() == 0 {
		return nil
	}
	shard.mu.RLock()
	r := shard.runners[id]
	shard.mu.RUnlock()
	return r
}
