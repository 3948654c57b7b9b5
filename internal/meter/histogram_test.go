package meter

import (
	"math"
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
	count := uint64(0)
	for _, n := range h.All() {
		count += n
	}
	require.EqualValues(t, 4000, count)
	require.Equal(t, 6*time.Millisecond, h.Sum())
}
