package executor

import (
	"context"
	rtrace "runtime/trace"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/seed-97bda89a/executor/internal/chaos"
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
	class   *lane.Class // the rule's

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

	submitted, taken uint64
	rejected, shed   atomic.Uint64 // counted when it is known that no task of the executor asked
	handed           atomic.Uint64 // tasks that never were in the queue (P7)
}

// overloaded returns ErrOverloaded if the lane refuses the task. Caller holds the injector's lock.
func (l *lanes) overloaded(at *spot, en entry) error {
	if lq := at.queue(); l.e.overloaded(lq.delay, &lq.queue, en) {
		return ErrOverloaded
	}
	return nil
}

func (l *lanes) countShed(at *spot) { at.queue().shed.Add(1) }

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
	q.came()
}

// came notes an entry that has been pushed.
func (q *laneQueue) came() {
	if q.class.Queued > 0 { // then nothing is new of the lane
		q.class.Queued++
		return
	}
	q.l.rule.Came(q.index, 1)
	q.l.settle()
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

// popBare is pop for a lane that is not counted, while no guest waits in it.
func (q *laneQueue) popBare() entry {
	en := q.queue.pop()
	if in := &q.l.e.inject; in.drains > 0 && en.drains() {
		in.drains--
	}
	return en
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
	q.l.settle()
}

// placed remembers where tasks with a parent wait.
type placed struct {
	parent context.Context
	at     *spot
	lane   *laneQueue // of at
	known  bool       // whether the short way is open is known
	of     *origin    // then: of bare tasks that go it, or nil
}

// places are some contexts that tasks came with lately, and where such tasks wait: each lane may have one or two that
// most of its tasks come with. Each has one of two places next to each other.
type places [16]atomic.Pointer[placed]

func placeOf(parent context.Context) uint64 {
	return uint64((*[2]uintptr)(unsafe.Pointer(&parent))[1]) * 0x9e3779b97f4a7c15 >> 60
}

func (t *places) find(parent context.Context) *placed {
	i := placeOf(parent)
	if p := t[i].Load(); p != nil && sameContext(p.parent, parent) {
		return p
	}
	if p := t[i^1].Load(); p != nil && sameContext(p.parent, parent) {
		return p
	}
	return nil
}

// put remembers p instead of the one that nobody has asked for.
func (t *places) put(p *placed) {
	i := placeOf(p.parent)
	if old := t[i].Load(); old != nil && !sameContext(old.parent, p.parent) {
		t[i^1].Store(old)
	}
	t[i].Store(p)
}

func (t *places) forget(which func(*placed) bool) {
	for i := range t {
		if p := t[i].Load(); p != nil && which(p) {
			t[i].CompareAndSwap(p, nil)
		}
	}
}

// remember remembers where a bare task waits, for the next one. Whether that can go the short way is asked when there is a
// second one: many contexts are those of one task.
func (l *lanes) remember(parent context.Context, at *spot) {
	p, o := l.recent.find(parent), l.e.inject.recent.Load()
	switch {
	case p == nil:
		l.recent.put(&placed{parent: parent, at: at, lane: at.queue()})
	case !p.known && o != nil && sameContext(o.parent, parent):
		n := &placed{parent: parent, at: at, lane: p.lane, known: true}
		if !p.lane.counted && p.lane.delay == nil && !o.traced && !foreign(parent) && taskOf(parent) == nil {
			n.of = o
		}
		l.recent.put(n)
	}
}

// start submits a bare task from outside the short way, if that is open (N9).
func (l *lanes) start(ctx context.Context, fn func(context.Context)) bool {
	p, q := l.recent.find(ctx), &l.e.inject
	if p == nil || p.of == nil || q.enclosed || q.due.Load() || rtrace.IsEnabled() || !p.of.endless && over(ctx) {
		return false
	}
	en, lq := entry{fn: fn, of: p.of}, p.lane
	if l.e.handOver(en) {
		lq.handed.Add(1)
		return true
	}
	q.mu.Lock()
	if q.closed || lq.used >= lq.limit || lq.waiters.len > 0 {
		q.mu.Unlock()
		return false
	}
	lq.used++
	lq.submitted++
	q.note()
	lq.queue.push(en)
	lq.came()
	q.unlock()
	chaos.At(chaos.P1Published)
	l.e.notify()
	return true
}

// admit is Executor.admit for a task from outside.
func (l *lanes) admit(ctx context.Context, en entry, wait bool) (*waiter, error) {
	at, err := l.spot(en.of.parent)
	if err != nil {
		return nil, err
	}
	if en.fn != nil {
		l.remember(en.of.parent, at)
	}
	q, lq := &l.e.inject, at.queue()
	if !lq.counted && !en.alone() && l.e.handOverNoting(lq.delay, en) {
		lq.handed.Add(1)
		return nil, nil
	}
	q.mu.Lock()
	err = q.refusal(false)
	if err == nil {
		err = l.overloaded(at, en)
	}
	if err == nil && lq.accept(at, en) {
		q.unlock()
		chaos.At(chaos.P1Published)
		l.e.notify()
		return nil, nil
	}
	q.unlock()
	full := err == nil && !wait
	w, err := l.e.admitLate(nil, ctx, en, wait, err)
	switch {
	case w != nil && !w.own:
		w.of = at
	case sameError(err, ErrOverloaded):
		l.countShed(at)
	case full && sameError(err, ErrQueueFull):
		lq.rejected.Add(1)
	}
	return w, err
}

// enlist is Executor.enlist.
func (l *lanes) enlist(w *waiter, stuck bool) (settled bool, err error) {
	q, at := &l.e.inject, w.of.(*spot)
	lq := at.queue()
	q.mu.Lock()
	err = q.refusal(false)
	accepted := err == nil && lq.accept(at, w.en)
	if !accepted && err == nil && w.inTask && (stuck || lq.stood == lq.moved+1) {
		accepted = lq.acceptOver(w)
		if !accepted {
			err = ErrQueueFull
		}
	}
	if !accepted && err == nil {
		lq.waiters.push(w)
	}
	q.unlock()
	switch {
	case accepted:
		l.e.notify()
	case err == nil:
		if w.inTask {
			l.e.attend()
		}
		chaos.At(chaos.I1Waits)
	}
	return accepted || err != nil, err
}

func (l *lanes) stats(now time.Duration) []LaneStats {
	all := make([]LaneStats, len(l.all))
	for i, q := range l.all {
		c, handed := q.class, q.handed.Load()
		all[i] = LaneStats{
			Name: q.name, Queued: q.queue.len, QueueLimit: q.limit, Waiting: q.waiters.len, Running: c.Running, Share: c.Share(),
			Submitted: q.submitted + handed, Taken: q.taken + handed, Rejected: q.rejected.Load(), Shed: q.shed.Load(), OldestAge: q.ages.Oldest(q.queue.pushed, q.queue.len, now),
		}
	}
	return all
}
