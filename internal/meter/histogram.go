// Package meter has the arithmetic of measuring: how long things took, how old a queue is, and when to look again.
package meter

import (
	"iter"
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations in buckets that are an eighth of a power of two wide, so what it tells is at
// most 12.5 % above the truth. Recording is two atomic additions and may happen on any goroutine; who
// reads meanwhile may miss what is being recorded.
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

// All yields how many durations were recorded in each bucket that has any, shortest first, with the longest
// duration of the bucket.
func (h *Histogram) All() iter.Seq2[time.Duration, uint64] {
	return func(yield func(time.Duration, uint64) bool) {
		for i := range h.counts {
			if n := h.counts[i].Load(); n > 0 && !yield(bucketEnd(i), n) {
				return
			}
		}
	}
}

// Sum returns the sum of what was recorded.
func (h *Histogram) Sum() time.Duration { return time.Duration(h.sum.Load()) }
