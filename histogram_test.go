package executor

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Buckets cover the durations without gaps and in order, and are narrow enough. Mutants: a bucket that is
// one too long, a step of the wrong width.
func TestHistogram_BucketsCoverEveryDuration(t *testing.T) {
	last := time.Duration(-1)
	for i := range histogramBuckets - 1 {
		end := bucketEnd(i)
		require.Equal(t, i, bucketOf(last+1), "the bucket after %d", last)
		require.Equal(t, i, bucketOf(end), "the last of bucket %d", i)
		require.LessOrEqual(t, float64(end-last), 1+float64(end)/8, "bucket %d is %d wide", i, end-last)
		last = end
	}
	require.Greater(t, last, time.Hour)
	require.Equal(t, 0, bucketOf(-5))
	require.Equal(t, histogramBuckets-1, bucketOf(math.MaxInt64))
}

func TestHistogram_QuantilesAreCloseToTheTruth(t *testing.T) {
	var h histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	c := h.snapshot()
	require.EqualValues(t, len(all), c.count)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
		truth := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := c.quantile(q)
		require.GreaterOrEqual(t, got, truth, "%g", q)
		require.LessOrEqual(t, float64(got), float64(truth)*1.125+1, "%g", q)
	}
}

func TestHistogram_DifferencesAndEmptiness(t *testing.T) {
	var h histogram
	empty := h.snapshot()
	require.Zero(t, empty.quantile(0.99))
	require.Zero(t, empty.mean())
	h.record(time.Second)
	before := h.snapshot()
	h.record(time.Millisecond)
	h.record(3 * time.Millisecond)
	now := h.snapshot()
	d := now.since(&before)
	require.EqualValues(t, 2, d.count)
	require.Equal(t, 2*time.Millisecond, d.mean())
	require.Less(t, d.quantile(1), 4*time.Millisecond)
	require.GreaterOrEqual(t, now.quantile(1), time.Second)
}

func TestHistogram_NothingIsLostWhenManyRecord(t *testing.T) {
	var h histogram
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 1000 {
				h.record(time.Duration(i) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	c := h.snapshot()
	require.EqualValues(t, 4000, c.count)
	require.Equal(t, 6*time.Millisecond, c.sum)
}
