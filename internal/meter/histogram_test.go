package meter

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
	for i := range buckets - 1 {
		end := bucketEnd(i)
		require.Equal(t, i, bucketOf(last+1), "the bucket after %d", last)
		require.Equal(t, i, bucketOf(end), "the last of bucket %d", i)
		require.LessOrEqual(t, float64(end-last), 1+float64(end)/8, "bucket %d is %d wide", i, end-last)
		last = end
	}
	require.Greater(t, last, time.Hour)
	require.Equal(t, 0, bucketOf(-5))
	require.Equal(t, buckets-1, bucketOf(math.MaxInt64))
}

func TestHistogram_QuantilesAreCloseToTheTruth(t *testing.T) {
	var h Histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(math.Exp(random.Float64() * 25))
		all = append(all, d)
		h.Record(d)
	}
	slices.Sort(all)
	c := h.Snapshot()
	require.EqualValues(t, len(all), c.Count)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
		truth := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		got := c.Quantile(q)
		require.GreaterOrEqual(t, got, truth, "%g", q)
		require.LessOrEqual(t, float64(got), float64(truth)*1.125+1, "%g", q)
	}
}

func TestHistogram_DifferencesAndEmptiness(t *testing.T) {
	var h Histogram
	empty := h.Snapshot()
	require.Zero(t, empty.Quantile(0.99))
	require.Zero(t, empty.Mean())
	h.Record(time.Second)
	before := h.Snapshot()
	h.Record(time.Millisecond)
	h.Record(3 * time.Millisecond)
	now := h.Snapshot()
	d := now.Since(&before)
	require.EqualValues(t, 2, d.Count)
	require.Equal(t, 2*time.Millisecond, d.Mean())
	require.Less(t, d.Quantile(1), 4*time.Millisecond)
	require.GreaterOrEqual(t, now.Quantile(1), time.Second)
}

func TestHistogram_NothingIsLostWhenManyRecord(t *testing.T) {
	var h Histogram
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 1000 {
				h.Record(time.Duration(i) * time.Microsecond)
			}
		})
	}
	wg.Wait()
	c := h.Snapshot()
	require.EqualValues(t, 4000, c.Count)
	require.Equal(t, 6*time.Millisecond, c.Sum)
}
