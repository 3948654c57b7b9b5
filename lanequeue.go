package executor

import (
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/lane"
	"github.com/seed-97bda89a/executor/internal/meter"
)

// spot is where a task waits: a lane, and in a fair one a tenant.
type spot struct {
	lane   waitedFor
	tenant string
}

// waitedFor is the *laneQueue, whose type entries do not name: a program without lanes does not link them.
type waitedFor interface{ removeWaiter(w *waiter) }

// in returns the lane, or nil.
func (at *spot) in() waitedFor {
	if at == nil {
		return nil
	}
	return at.lane
}

// queue is called only where there are lanes.
func (at *spot) queue() *laneQueue { return at.lane.(*laneQueue) }

func (q *laneQueue) removeWaiter(w *waiter) { q.waiters.remove(w) }

// laneQueue is one lane. All of it is under the injector's lock, but for what never changes.
type laneQueue struct {
	l       *lanes
	name    string
	counted bool // its tasks have holds
	limit   int
	at      spot // of a lane that is not fair
	index   int

	used    int
	seats   int // entries of guests
	waiters waiterList
	queue   fifo              // of a fair lane only the counts
	fair    *lane.Fair[entry] // or nil
	delay   delaying
	ages    meter.Ages
	free    *hold
	swept   uint64
	moved   uint64 // as the injector's, for this lane
	stood   uint64
	seen    uint64 // moved, when the keeper last looked
	still   int

	submitted, taken, rejected, shed uint64
	handed                           atomic.Uint64 // tasks that never were in the queue (P7)
}

func (q *laneQueue) class() *lane.Class { return &q.l.rule.Classes[q.index] }

// overloaded returns ErrOverloaded if the lane refuses the task. Caller holds the injector's lock.
func (l *lanes) overloaded(at *spot, en entry) error {
	if lq := at.queue(); l.e.overloaded(lq.delay, &lq.queue, en) {
		lq.shed++
		return ErrOverloaded
	}
	return nil
}

// accept is injector.accept (N7).
func (q *laneQueue) accept(at *spot, en entry) bool {
	if q.waiters.len > 0 || q.used >= q.limit && !q.sweep() {
		return false
	}
	q.grant(at, en)
	return true
}

// acceptOver is accept for a task of another executor that must not wait for a lane that stands still.
func (q *laneQueue) acceptOver(w *waiter) bool {
	if q.used >= 2*q.limit {
		return false
	}
	q.grant(w.of.(*spot), w.en)
	return true
}

func (q *laneQueue) grant(at *spot, en entry) {
	q.used++
	q.submitted++
	q.l.e.inject.note()
	q.push(at, en)
}

// push queues an entry.
func (q *laneQueue) push(at *spot, en entry) {
	if q.fair != nil {
		q.fair.Push(at.tenant, en)
		q.queue.len++
		q.queue.pushed++
	} else {
		q.queue.push(en)
	}
	if en.alone() {
		q.seats++
	}
	if q.delay != nil {
		q.delay.came(&q.queue, time.Since(epoch))
	}
	q.l.rule.Came(q.index, 1)
	q.l.e.inject.recount()
}

// peek returns the entry that goes next, of a lane that is not empty.
func (q *laneQueue) peek() entry {
	if q.fair != nil {
		return q.fair.Peek()
	}
	return *q.queue.peek()
}

// pop removes the entry that goes next, and returns how many places that frees.
func (q *laneQueue) pop() (en entry, t *lane.Tenant[entry], freed int) {
	if q.fair != nil {
		en, t = q.fair.Pop()
		q.queue.len--
	} else {
		en = q.queue.pop()
	}
	freed = 1
	if en.drains() {
		freed = 0
		q.l.e.inject.drains--
	}
	if en.alone() {
		q.seats--
	}
	return en, t, freed
}

// leave is for n entries that are about to be popped.
func (q *laneQueue) leave(n int) {
	if q.delay != nil {
		q.delay.taken(&q.queue, n, time.Since(epoch))
	}
	q.l.rule.Took(q.index, n)
	q.taken += uint64(n)
	q.moved += uint64(n)
	q.l.e.inject.moved += uint64(n)
}

// give gives n places back and passes them on to waiters, oldest first, as injector.free.
func (q *laneQueue) give(n int) *waiter {
	q.used -= n
	var first *waiter
	link := &first
	for q.used < q.limit && q.waiters.first != nil {
		w := q.waiters.first
		q.waiters.remove(w)
		q.grant(w.of.(*spot), w.en)
		w.en = entry{}
		*link, link = w, &w.next
	}
	return first
}

// sweep is injector.sweep for a lane that is full.
func (q *laneQueue) sweep() bool {
	if q.l.e.inject.buried.Load()-q.swept < uint64(1+q.limit/256) {
		return false
	}
	q.clean()
	return q.used < q.limit
}

// clean takes dead entries out.
func (q *laneQueue) clean() {
	in := &q.l.e.inject
	q.swept = in.buried.Load()
	gone := 0
	keep := func(en entry) bool {
		if !in.discards(en) {
			return true
		}
		gone++
		if en.alone() {
			q.seats--
		}
		return false
	}
	if q.fair != nil {
		q.fair.Filter(keep)
		q.queue.len -= gone
	} else {
		q.queue.filter(keep)
	}
	q.used -= gone
	q.taken += uint64(gone)
	q.l.rule.Gone(q.index, gone)
	in.recount()
}

func (l *lanes) stats(now time.Duration) []LaneStats {
	all := make([]LaneStats, len(l.all))
	for i, q := range l.all {
		c, handed := q.class(), q.handed.Load()
		all[i] = LaneStats{
			Name: q.name, Queued: q.queue.len, QueueLimit: q.limit, Waiting: q.waiters.len, Running: c.Running, Share: c.Share(),
			Submitted: q.submitted + handed, Taken: q.taken + handed, Rejected: q.rejected, Shed: q.shed, OldestAge: q.ages.Oldest(q.queue.pushed, q.queue.len, now),
		}
	}
	return all
}
