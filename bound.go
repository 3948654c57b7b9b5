package executor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed-97bda89a/executor/internal/chaos"
)

// offer is the fast path of a submitter from outside: it accepts the task if nothing is in the way.
func (q *injector) offer(en entry) bool {
	q.mu.Lock()
	if q.closed || q.used >= q.limit || q.waiters.len > 0 {
		q.mu.Unlock()
		return false
	}
	q.count()
	q.queue.push(en)
	q.unlock()
	return true
}

// accept takes a place within the bound and queues en. It reports false when there is no room, which is also
// the case when others wait already. Caller holds mu.
func (q *injector) accept(en entry) bool {
	if q.waiters.len > 0 || q.used >= q.limit && !q.sweep() {
		return false
	}
	q.grant(en)
	return true
}

// acceptOver is accept for a child whose task can not wait any longer: up to twice the limit (I2).
// Caller holds mu.
func (q *injector) acceptOver(en entry) bool {
	if q.used >= 2*q.limit {
		return false
	}
	q.grant(en)
	return true
}

// refusal returns why a submitter is refused, or nil. Caller holds mu.
func (q *injector) refusal(own bool) error {
	if q.stopped || q.closed && !own {
		return ErrClosed
	}
	return nil
}

// refusing returns a channel that is closed when the injector refuses everybody, or everybody but tasks of this
// executor.
func (q *injector) refusing(own bool) <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.refuses[0]
	if own {
		c = &q.refuses[1]
	}
	if *c == nil {
		*c = make(chan struct{})
		if q.refusal(own) != nil {
			close(*c)
		}
	}
	return *c
}

// tellRefused closes the channels of refusing that are due. Caller holds mu, and has just set closed or stopped.
func (q *injector) tellRefused(already [2]bool) {
	for i, due := range [2]bool{q.closed && !already[0], q.stopped && !already[1]} {
		if due && q.refuses[i] != nil {
			close(q.refuses[i])
		}
	}
}

// free gives n places back and passes them on to waiters, oldest first. It returns the granted
// waiters, linked by next; the caller wakes them after mu is released. Caller holds mu.
func (q *injector) free(n int) *waiter {
	q.used -= n
	var first *waiter
	link := &first
	for q.used < q.limit && q.waiters.first != nil {
		w := q.waiters.first
		q.waiters.remove(w)
		q.grant(w.en)
		w.en = entry{}
		*link, link = w, &w.next
	}
	return first
}

// grant accepts a task. Caller holds mu.
func (q *injector) grant(en entry) {
	q.count()
	q.push(en)
	if en.alone() {
		q.seats++
	}
}

// count counts an accepted task with a place. Caller holds mu.
func (q *injector) count() {
	q.used++
	q.note()
}

// note counts an accepted task. Caller holds mu.
func (q *injector) note() {
	q.submitted++
	if q.until--; q.until == 0 {
		q.until = q.sampling
		q.due.Store(true)
	}
}

// dismiss ends the wait of those waiters that judge says, with the error it says; nil means that judge
// has accepted the task. Caller holds mu and wakes the returned waiters after releasing it.
func (q *injector) dismiss(judge func(*waiter) (bool, error)) *waiter {
	return q.waiters.dismiss(nil, judge)
}

func (l *waiterList) dismiss(first *waiter, judge func(*waiter) (bool, error)) *waiter {
	for w := l.first; w != nil; {
		next := w.next
		if dismissed, err := judge(w); dismissed {
			l.remove(w)
			w.err, w.en, w.next = err, entry{}, first
			first = w
		}
		w = next
	}
	return first
}

// boundCrowd counts those who wait for room in some group.
type boundCrowd struct{ came, gone atomic.Uint64 }

func (c *boundCrowd) waiting() int {
	gone := c.gone.Load() // first: nobody goes before coming
	return int(c.came.Load() - gone)
}

// waiter is a submitter that waits for room, in the executor's queue or in a group, in arrival order. Each waits on a
// channel of its own: thousands of goroutines queueing on one mutex cost the garbage collector dearly (golang/go#81957).
type waiter struct {
	caller     *runner // whose task waits, of whatever executor, or nil
	en         entry
	ready      chan struct{} // closed when the waiter is granted or refused
	err        error         // why it was refused; read after ready
	own        bool          // a task of this executor waits: a drain does not refuse it
	inTask     bool          // some task waits: it must not wait for a queue that stands still
	listed     bool
	of         any // at another bound than the queue's: a *groupTask, an *orderWait of a Serial or Keyed, or the *spot in a lane
	prev, next *waiter
}

// waiterList is a first-in first-out list of waiters.
type waiterList struct {
	first, last *waiter
	len, inTask int
}

func (l *waiterList) push(w *waiter) {
	w.listed, w.prev, w.next = true, l.last, nil
	if l.last != nil {
		l.last.next = w
	} else {
		l.first = w
	}
	l.last = w
	l.len++
	if w.inTask {
		l.inTask++
	}
}

func (l *waiterList) remove(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.listed, w.prev, w.next = false, nil, nil
	l.len--
	if w.inTask {
		l.inTask--
	}
}

// wakeAll wakes waiters that were granted or refused.
func wakeAll(w *waiter) {
	for w != nil {
		next := w.next
		w.next = nil
		close(w.ready)
		w = next
	}
}

// markAge notes the time, for the age of the oldest entry: the keeper does so at each tick while tasks wait. first
// says that they did not wait until now. The injector's lock is held.
func (q *injector) markAge(now time.Duration, first bool) {
	q.ages.Mark(q.queue.pushed, q.queue.len, now, first)
	if q.lanes != nil {
		q.lanes.markAge(now, first)
	}
}

// oldest returns the age of the oldest entry. The injector's lock is held.
func (q *injector) oldest(now time.Duration) time.Duration {
	age := q.ages.Oldest(q.queue.pushed, q.queue.len, now)
	if q.returned.len > 0 {
		age = max(age, now-q.returns)
	}
	if q.lanes != nil {
		age = max(age, q.lanes.oldest(now))
	}
	return age
}

// spotOf returns where tasks from outside with this parent wait, which is nil without lanes, or why they can not be submitted.
func (e *Executor) spotOf(parent context.Context) (*spot, error) {
	if e.inject.lanes != nil {
		return e.inject.lanes.spot(parent)
	}
	return nil, e.checkLane(parent)
}

// checkLane returns why tasks with this parent can not be submitted to an executor without lanes, or nil.
func (e *Executor) checkLane(parent context.Context) error {
	if name := laneOf(parent, e); name != "" {
		return &unknownLane{e, name}
	}
	return nil
}

// admitByRule is admit for a task from outside, where lanes or WithQueueDelay may have a say.
func (e *Executor) admitByRule(ctx context.Context, en entry, wait bool) (*waiter, error) {
	q := &e.inject
	if q.lanes != nil {
		return q.lanes.admit(ctx, en, wait)
	}
	if err := e.checkLane(en.of.parent); err != nil {
		return nil, err
	}
	if !en.alone() && e.handOverNoting(q.delay, en) {
		return nil, nil
	}
	q.mu.Lock()
	err := q.refusal(false)
	if err == nil && e.overloaded(q.delay, &q.queue, en) {
		err = ErrOverloaded
	}
	if err == nil && q.accept(en) {
		q.unlock()
		chaos.At(chaos.P1Published)
		e.notify()
		return nil, nil
	}
	q.unlock()
	return e.admitLate(nil, ctx, en, wait, err)
}
