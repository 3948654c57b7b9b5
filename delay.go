package executor

import (
	"sync/atomic"
	"time"
)

// WithQueueDelay makes the executor refuse work early, with ErrOverloaded, when tasks wait too long: when the shortest wait
// of two targets' time exceeded target, and for as long as that goes on, the queue gets no longer than what starts within target at the
// present pace. A burst that is worked off passes, a queue that stands does not, and no slot idles for it: nothing is refused
// while one is idle. After a moment in which every slot was idle the age of the oldest queued task has to exceed target too, until waits are
// long again. At 150 % load, of tasks of equal length, 99 % of what is accepted wait for little more than target, and all of the
// slots' time is used; with 5 % of the tasks 20 times as long 97 % of it is, and the 99th percentile of the wait is 3 targets.
// Where the slots idle about as much as is refused, all of it could be served, only later: then the queue may become longer, up to
// 16 targets. So choose a target not below the length of the longest common tasks. Work of Serials and Keyeds is refused too.
// Only calls from outside are refused: never children, the firings of timers, or who waits
// for room already. WithQueueLimit stays the bound. With it, a task from outside costs a clock reading more.
// 1ms to 1m. Default: none.
func WithQueueDelay(target time.Duration) Option {
	return option(func(c *config) {
		switch {
		case target < time.Millisecond:
			c.problem("WithQueueDelay(%v): must be at least %v", target, time.Millisecond)
		case target > time.Minute:
			c.problem("WithQueueDelay(%v): must be at most %v", target, time.Minute)
		}
		c.queueDelay = func() delaying { return &queueDelay{rule: newDelayRule(target)} }
	})
}

// delaying is what the injector knows of it; a program without the option does not link what is behind it.
type delaying interface {
	came(q *fifo, now time.Duration)         // an entry was queued
	taken(q *fifo, n int, now time.Duration) // the n oldest are about to be taken
	refuses(q *fifo, now time.Duration, idle bool, free float64) bool
	idled(free float64) // a task found a slot; called with the lock or without
}

// delayRule decides when to refuse. That there is an overload is CoDel's finding, as folly has it; how much may wait then is
// Little's law. It is a pure function of what it is told. An interval is one target.
//
//	V1 It refuses only during an overload, while no slot is idle, and while as much is queued as starts within target times
//	   stretch at the present pace, or more. Since every slot was idle, and until the next late interval, the oldest task has
//	   to be older than target too.
//	V2 An overload begins when the shortest wait was over target in lateIntervals in a row, and ends when it was not,
//	   and nobody was refused, in calmIntervals in a row. If nothing started in an interval, the age of the oldest task at its end is its wait.
//	V3 stretch grows only while the share of the slots that is idle exceeds half of the share of the tasks that is refused:
//	   then what is refused could have been done.
type delayRule struct {
	target   time.Duration
	begun    bool          // there is an interval; times since epoch may be negative, in a bubble
	until    time.Duration // its end
	shortest time.Duration // wait in it; none: nothing has started
	starts   int           // in it
	asked    bool          // a task found a slot idle in it
	shed     bool          // one was refused in it

	pace       float64 // starts in an interval, of late; 0 is not known
	overloaded bool
	rested     bool // a task found every slot idle since the last interval that was late
	late       int  // intervals in a row whose shortest wait was over target
	calm       int  // intervals in a row in which it was not, and nobody was refused

	stretch float64
	looks   int     // intervals of overload since it was last changed
	refused float64 // in these
	idle    float64 // in these, of the submissions: the sum of the shares of the slots that were idle
}

const (
	none time.Duration = -1

	lateIntervals = 2
	calmIntervals = 20
	paceMemory    = 16  // intervals
	stretchLooks  = 50  // intervals
	stretchMost   = 16  // targets
	forgetDelays  = 200 // intervals, after which nothing of what was matters
)

func newDelayRule(target time.Duration) delayRule {
	return delayRule{target: target, shortest: none, stretch: 1}
}

// pass closes the intervals that are over at now, when the oldest task has that age; 0 if there is none.
func (d *delayRule) pass(now, oldest time.Duration) {
	if !d.begun {
		d.begun, d.until = true, now+d.target
	}
	if skip := (now - d.until) / d.target; skip > forgetDelays {
		until := now - (now-d.until)%d.target - (lateIntervals-1)*d.target // what is queued may stand since (V2)
		*d = newDelayRule(d.target)
		d.begun, d.until = true, until
	}
	for ; now >= d.until; d.until += d.target {
		d.close(max(0, oldest-(now-d.until)))
	}
}

// close ends an interval, when the oldest task has that age (V2).
func (d *delayRule) close(oldest time.Duration) {
	if !d.asked && (d.starts > 0 || oldest > 0) { // the slots were busy, or stood still
		if d.pace == 0 {
			d.pace = float64(d.starts)
		} else {
			d.pace += (float64(d.starts) - d.pace) / paceMemory
		}
	}
	wait := d.shortest
	if wait == none {
		wait = oldest
	}
	if d.late++; wait <= d.target {
		d.late = 0
	}
	d.rested = d.rested && d.late == 0
	if d.calm++; d.late > 0 || d.shed {
		d.calm = 0
	}
	d.overloaded = d.late >= lateIntervals || d.overloaded && d.calm < calmIntervals
	d.balance()
	d.shortest, d.starts, d.asked, d.shed = none, 0, false, false
}

// balance changes stretch now and then (V3).
func (d *delayRule) balance() {
	if !d.overloaded {
		return
	}
	if d.looks++; d.looks < stretchLooks {
		return
	}
	switch {
	case d.refused == 0:
	case d.idle > d.refused/2:
		d.stretch = min(stretchMost, 2*d.stretch)
	case d.idle < d.refused/4:
		d.stretch = max(1, d.stretch/2)
	}
	d.looks, d.refused, d.idle = 0, 0, 0
}

// started says that n tasks have started, the last one after that wait, when the oldest one had that age.
func (d *delayRule) started(now, oldest, wait time.Duration, n int) {
	d.pass(now, oldest)
	d.starts += n
	if d.shortest == none || wait < d.shortest {
		d.shortest = wait
	}
}

// foundIdle says that tasks found slots idle: the sum of their shares.
func (d *delayRule) foundIdle(free float64) {
	d.asked = true
	if d.overloaded {
		d.idle += free
	}
}

// foundRest says that a task found every slot idle (V1).
func (d *delayRule) foundRest() { d.rested = true }

// refuses reports whether a task that comes now is refused, when so many are queued (V1).
func (d *delayRule) refuses(now, oldest time.Duration, queued int, idle bool) bool {
	d.pass(now, oldest)
	if !d.overloaded || idle || d.rested && oldest <= d.target || float64(queued) < max(1, d.pace*d.stretch) {
		return false
	}
	d.shed = true
	d.refused++
	return true
}

// queueDelay is the rule of an executor with WithQueueDelay, and when its queued tasks came. All of it is under the
// injector's lock.
type queueDelay struct {
	rule  delayRule
	found atomic.Uint64 // in 1/1024, each at least that: the sum of what idled was told, since the rule was
	rests atomic.Bool   // idled was told of every slot since
	marks []delayMark   // oldest first; those before first are over
	first int
}

// delayMark says that entries with that number or a higher one came at that time or later.
type delayMark struct {
	number uint64
	at     time.Duration
}

// came notes the time at which the newest entry was queued. Entries that come within a sixteenth of the target share a
// mark, so they look older by that at most.
func (d *queueDelay) came(q *fifo, now time.Duration) {
	number := q.pushed - 1
	d.over(number - uint64(q.len-1))
	if n := len(d.marks); n > d.first && q.len > 1 && now-d.marks[n-1].at < d.rule.target/16 {
		return
	}
	d.marks = append(d.marks, delayMark{number, now})
}

// over forgets the marks of entries that are gone: all but the last that is not above the oldest entry's number.
func (d *queueDelay) over(oldest uint64) {
	for d.first+1 < len(d.marks) && d.marks[d.first+1].number <= oldest {
		d.first++
	}
	if d.first > len(d.marks)/2 && d.first > 32 {
		d.marks = d.marks[:copy(d.marks, d.marks[d.first:])]
		d.first = 0
	}
}

// age returns how long the entry with that number has waited, at most a sixteenth of the target too much.
func (d *queueDelay) age(number uint64, now time.Duration) time.Duration {
	at := now
	for _, m := range d.marks[d.first:] {
		if m.number > number {
			break
		}
		at = m.at
	}
	return now - at
}

// taken notes that the n oldest entries are about to be taken.
func (d *queueDelay) taken(q *fifo, n int, now time.Duration) {
	d.tell()
	head := q.pushed - uint64(q.len)
	d.over(head)
	d.rule.started(now, d.age(head, now), d.age(head+uint64(n)-1, now), n)
}

func (d *queueDelay) idled(free float64) {
	if free >= 1 && !d.rests.Load() {
		d.rests.Store(true)
	}
	d.found.Add(max(1, uint64(free*1024)))
}

// tell passes on to the rule what idled was told.
func (d *queueDelay) tell() {
	if d.found.Load() != 0 {
		d.rule.foundIdle(float64(d.found.Swap(0)) / 1024)
	}
	if d.rests.Load() {
		d.rests.Store(false)
		d.rule.foundRest()
	}
}

// refuses reports whether a task that comes now is refused. free is the share of the slots that is free.
func (d *queueDelay) refuses(q *fifo, now time.Duration, idle bool, free float64) bool {
	if free > 0 {
		d.idled(free)
	}
	d.tell()
	oldest := time.Duration(0)
	if q.len > 0 {
		head := q.pushed - uint64(q.len)
		d.over(head)
		oldest = d.age(head, now)
	}
	return d.rule.refuses(now, oldest, q.len, idle)
}

// overloaded reports whether a task from outside is to be refused by the rule of the queue. Caller holds the injector's lock.
func (e *Executor) overloaded(d delaying, q *fifo, en entry) bool {
	if d == nil || en.of.firing {
		return false
	}
	word := e.word.Load()
	return d.refuses(q, time.Since(epoch), word&(freeMask|searchingMask) != 0, e.freeShare(word))
}

// freeShare is the share of the slots that is free.
func (e *Executor) freeShare(word uint64) float64 {
	return float64(freeSlots(word)) / float64(e.slotCount())
}

// handOverNoting is handOver, of which the rule of a queue is told.
func (e *Executor) handOverNoting(d delaying, en entry) bool {
	if d == nil {
		return e.handOver(en)
	}
	free := e.freeShare(e.word.Load())
	if !e.handOver(en) {
		return false
	}
	d.idled(free)
	return true
}
