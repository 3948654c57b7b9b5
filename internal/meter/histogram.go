// Package meter has the arithmetic of measuring: how long things took, how old a queue is, and when to look again.
package meter

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets that are an eighth of a power of two wide, so what it tells is at
// most 12.5 % above the truth. Recording is two atomic additions and may happen on any goroutine; a
// snapshot taken meanwhile may miss what is being recorded.
type Histogram struct {
	counts [buckets]atomic.Uint64
	sum    atomic.Int64
}

const (
	steps   = 3 // bits: 8 buckets in each power of two
	powers  = 42
	buckets = (powers - steps + 1) << steps // up to 73 minutes; 2.5 KB
)

// bucketOf returns the bucket of a duration. Below 8 ns each nanosecond has its own.
func bucketOf(d time.Duration) int {
	n := uint64(max(0, d))
	shift := max(0, bits.Len64(n)-steps-1)
	return min(buckets-1, shift<<steps+int(n>>shift))
}

// bucketEnd returns the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	shift := max(0, i>>steps-1)
	return time.Duration(i-shift<<steps+1)<<shift - 1
}

// Record adds a duration.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// Counts is a snapshot of a histogram, or the difference between two.
type Counts struct {
	counts [buckets]uint64
	Count  uint64
	Sum    time.Duration
}

// Snapshot returns what has been recorded so far.
func (h *Histogram) Snapshot() (c Counts) {
	for i := range h.counts {
		c.counts[i] = h.counts[i].Load()
		c.Count += c.counts[i]
	}
	c.Sum = time.Duration(h.sum.Load())
	return c
}

// Since returns what was recorded after an earlier snapshot of the same histogram.
func (c *Counts) Since(before *Counts) (d Counts) {
	for i := range c.counts {
		d.counts[i] = c.counts[i] - before.counts[i]
	}
	d.Count, d.Sum = c.Count-before.Count, c.Sum-before.Sum
	return d
}

// Quantile returns a duration that at least the share q of what was recorded does not exceed, or 0 if
// nothing was. q is from 0 to 1.
func (c *Counts) Quantile(q float64) time.Duration {
	rank, seen := q*float64(c.Count), uint64(0)
	for i, n := range c.counts {
		if seen += n; n > 0 && float64(seen) >= rank {
			return bucketEnd(i)
		}
	}
	return 0
}

// Mean returns the average of what was recorded, or 0.
func (c *Counts) Mean() time.Duration {
	if c.Count == 0 {
		return 0
	}
	return c.Sum / time.Duration(c.Count)
}
