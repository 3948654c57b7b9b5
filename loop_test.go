package executor

import (
	"context"
	"math"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A loop may reach to the last number that there is: its spans must not wrap. Mutant: the middle of a span is (lo+hi)/2.
func TestFor_AtTheEndOfInt(t *testing.T) {
	for _, slots := range []int{1, 4} {
		e := newTested(t, WithSlots(slots))
		var runs [100]atomic.Int32
		l := &loop{e: e}
		f, err := Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			l.work(ctx, eachIndex(func(_ context.Context, i int) error {
				runs[math.MaxInt-1-i].Add(1)
				return nil
			}), math.MaxInt-len(runs), math.MaxInt)
			return 0, l.result()
		})
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
		for i := range runs {
			require.EqualValues(t, 1, runs[i].Load(), "MaxInt-1-%d", i)
		}
	}
}
