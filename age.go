package executor

import (
	"math"
	"time"
)

// queueAges tells how long the oldest entry of the injector has been there, without a clock reading for each
// entry. While tasks wait, the keeper ticks anyway, and notes at each tick how many entries have ever been
// queued: whatever has a lower number was queued by then. When no task waits, there is no age to tell.
//
// The age is never too high, and too low by a tick at most, or by an eighth: when there is no room for
// another mark, the one that is missed least goes. Entries removed from the middle make those behind them
// look younger, until the queue has passed the next mark. All of it is under the injector's lock.
type queueAges struct {
	marks [128]ageMark
	n     int
}

type ageMark struct {
	pushed uint64 // entries with lower numbers were queued by then
	at     time.Duration
}

// mark notes the time since epoch. first says that tasks did not wait until now.
func (a *queueAges) mark(q *fifo, now time.Duration, first bool) {
	if first {
		a.n = 0
	}
	head, passed := q.pushed-uint64(q.len), 0
	for passed < a.n && a.marks[passed].pushed <= head {
		passed++
	}
	a.n = copy(a.marks[:], a.marks[passed:a.n])
	if q.len == 0 || a.n > 0 && a.marks[a.n-1].pushed == q.pushed { // nothing was queued since
		return
	}
	if a.n == len(a.marks) {
		a.thin(now)
	}
	a.marks[a.n] = ageMark{q.pushed, now}
	a.n++
}

// thin drops a mark: the one whose neighbours are closest to each other, compared with their age.
func (a *queueAges) thin(now time.Duration) {
	drop, least := 0, math.Inf(1)
	for i := 1; i < a.n-1; i++ {
		gap := float64(a.marks[i+1].at-a.marks[i-1].at) / float64(now-a.marks[i].at+1)
		if gap < least {
			drop, least = i, gap
		}
	}
	copy(a.marks[drop:], a.marks[drop+1:a.n])
	a.n--
}

// oldest returns the age of the oldest entry at a time since epoch.
func (a *queueAges) oldest(q *fifo, now time.Duration) time.Duration {
	head := q.pushed - uint64(q.len)
	for _, m := range a.marks[:a.n] {
		if m.pushed > head && q.len > 0 {
			return max(0, now-m.at)
		}
	}
	return 0
}
