package meter

import (
	"math"
	"time"
)

// Ages tells how long the oldest entry of a queue has been there, without a clock reading for each
// entry. Somebody who ticks while entries wait notes at each tick how many have ever been
// queued: whatever has a lower number was queued by then. When nobody ticks, there is no age to tell.
//
// A queue is told by how many entries were ever pushed and how many of them are left. The age is never too high, and too low by a tick at most, or by an eighth: when there is no room for
// another mark, the one that is missed least goes. Entries removed from the middle make those behind them
// look younger, until the queue has passed the next mark. The lock of the queue guards it.
type Ages struct {
	marks [128]ageMark
	n     int
}

type ageMark struct {
	pushed uint64 // entries with lower numbers were queued by then
	at     time.Duration
}

// Mark notes that it is now, as a time since some fixed moment. first says that nothing waited before.
func (a *Ages) Mark(pushed uint64, left int, now time.Duration, first bool) {
	if first {
		a.n = 0
	}
	head, passed := pushed-uint64(left), 0
	for passed < a.n && a.marks[passed].pushed <= head {
		passed++
	}
	a.n = copy(a.marks[:], a.marks[passed:a.n])
	if left == 0 || a.n > 0 && a.marks[a.n-1].pushed == pushed { // nothing was queued since
		return
	}
	if a.n == len(a.marks) {
		a.thin(now)
	}
	a.marks[a.n] = ageMark{pushed, now}
	a.n++
}

// thin drops a mark: the one whose neighbours are closest to each other, compared with their age.
func (a *Ages) thin(now time.Duration) {
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

// Oldest returns the age of the oldest entry.
func (a *Ages) Oldest(pushed uint64, left int, now time.Duration) time.Duration {
	head := pushed - uint64(left)
	for _, m := range a.marks[:a.n] {
		if m.pushed > head && left > 0 {
			return max(0, now-m.at)
		}
	}
	return 0
}
