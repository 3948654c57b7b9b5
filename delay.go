package executor

import "time"

// WithQueueDelay makes the executor refuse work early, with ErrOverloaded, when tasks wait too long: while the shortest
// wait of the last interval and the age of the oldest queued task both exceed target, and no slot is idle. A burst that
// is worked off passes, a queue that stands does not, and no slot idles for it. At 150 % load, of tasks of equal length, half
// of what is accepted waits for at most 1.5 targets, and 99 % for at most 4. An interval is two targets. Only calls from outside are refused: never children, the firings of timers, or who waits
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
	refuses(q *fifo, now time.Duration, idle bool) bool
}

// delayRule decides when to refuse. It is CoDel's rule as folly has it, with one condition more: the oldest task has
// to be late too, so that the queue does not run empty while tasks are refused. It is a pure function of what it is told.
//
//	V1 It refuses only if the shortest wait of the last full interval was over target, the oldest task is older than that
//	   now, and no slot is idle. If nothing started in an interval, the age of the oldest task at its end is its wait.
type delayRule struct {
	target   time.Duration
	interval time.Duration
	begun    bool          // there is an interval; times since epoch may be negative, in a bubble
	until    time.Duration // its end
	shortest time.Duration // wait in it; none: nothing has started
	late     bool          // the shortest of the last one was over target
}

const none time.Duration = -1

func newDelayRule(target time.Duration) delayRule {
	return delayRule{target: target, interval: 2 * target, shortest: none}
}

// pass closes the intervals that are over at now, when the oldest task has that age; 0 if there is none.
func (d *delayRule) pass(now, oldest time.Duration) {
	if !d.begun {
		d.begun, d.until = true, now+d.interval
	}
	if now < d.until {
		return
	}
	over := now - d.until // the age that the oldest task had at the end of the interval
	wait := d.shortest
	if wait == none || over >= d.interval { // then nothing has started in the last one
		wait = max(0, oldest-over%d.interval)
	}
	d.late = wait > d.target
	d.until = now - over%d.interval + d.interval
	d.shortest = none
}

// started says that a task has started after that wait, when the oldest one had that age.
func (d *delayRule) started(now, oldest, wait time.Duration) {
	d.pass(now, oldest)
	if d.shortest == none || wait < d.shortest {
		d.shortest = wait
	}
}

// refuses reports whether a task that comes now is refused (V1).
func (d *delayRule) refuses(now, oldest time.Duration, idle bool) bool {
	d.pass(now, oldest)
	return d.late && oldest > d.target && !idle
}

// queueDelay is the rule of an executor with WithQueueDelay, and when its queued tasks came. All of it is under the
// injector's lock.
type queueDelay struct {
	rule  delayRule
	marks []delayMark // oldest first; those before first are over
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
	head := q.pushed - uint64(q.len)
	d.over(head)
	d.rule.started(now, d.age(head, now), d.age(head+uint64(n)-1, now))
}

// overloaded reports whether a task from outside is to be refused. Caller holds the injector's lock.
func (e *Executor) overloaded(en entry) bool {
	q := &e.inject
	idle := e.word.Load()&(freeMask|searchingMask) != 0
	return q.delay.refuses(&q.queue, time.Since(epoch), idle) && !en.of.firing
}

// refuses reports whether a task that comes now is refused.
func (d *queueDelay) refuses(q *fifo, now time.Duration, idle bool) bool {
	oldest := time.Duration(0)
	if q.len > 0 {
		head := q.pushed - uint64(q.len)
		d.over(head)
		oldest = d.age(head, now)
	}
	return d.rule.refuses(now, oldest, idle)
}
