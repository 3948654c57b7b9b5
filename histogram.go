package executor

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// histogram counts durations in buckets that are an eighth of a power of two wide, so what it tells is at
// most 12.5 % above the truth. Recording is two atomic additions and may happen on any goroutine; a
// snapshot taken meanwhile may miss what is being recorded.
type histogram struct {
	buckets [histogramBuckets]atomic.Uint64
	sum     atomic.Int64
}

const (
	histogramSteps   = 3 // bits: 8 buckets in each power of two
	histogramPowers  = 42
	histogramBuckets = (histogramPowers - histogramSteps + 1) << histogramSteps // up to 73 minutes; 2.5 KB
)

// bucketOf returns the bucket of a duration. Below 8 ns each nanosecond has its own.
func bucketOf(d time.Duration) int {
	n := uint64(max(0, d))
	shift := max(0, bits.Len64(n)-histogramSteps-1)
	return min(histogramBuckets-1, shift<<histogramSteps+int(n>>shift))
}

// bucketEnd returns the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	shift := max(0, i>>histogramSteps-1)
	return time.Duration(i-shift<<histogramSteps+1)<<shift - 1
}

func (h *histogram) record(d time.Duration) {
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
}

// histogramCounts is a snapshot of a histogram, or the difference between two.
type histogramCounts struct {
	buckets [histogramBuckets]uint64
	count   uint64
	sum     time.Duration
}

func (h *histogram) snapshot() (c histogramCounts) {
	for i := range h.buckets {
		c.buckets[i] = h.buckets[i].Load()
		c.count += c.buckets[i]
	}
	c.sum = time.Duration(h.sum.Load())
	return c
}

// since returns what was recorded after an earlier snapshot of the same histogram.
func (c *histogramCounts) since(before *histogramCounts) (d histogramCounts) {
	for i := range c.buckets {
		d.buckets[i] = c.buckets[i] - before.buckets[i]
	}
	d.count, d.sum = c.count-before.count, c.sum-before.sum
	return d
}

// quantile returns a duration that at least the share q of what was recorded does not exceed, or 0 if
// nothing was. q is from 0 to 1.
func (c *histogramCounts) quantile(q float64) time.Duration {
	rank, seen := q*float64(c.count), uint64(0)
	for i, n := range c.buckets {
		if seen += n; n > 0 && float64(seen) >= rank {
			return bucketEnd(i)
		}
	}
	return 0
}

// mean returns the average of what was recorded, or 0.
func (c *histogramCounts) mean() time.Duration {
	if c.count == 0 {
		return 0
	}
	return c.sum / time.Duration(c.count)
}
