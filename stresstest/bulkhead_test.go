package stresstest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// The calls are counted in C, so that nothing of ours can be wrong about it. Two executors and some
// goroutines of nobody share the limit. Mutant: one permit for each executor.
func TestBulkhead_LimitHoldsInC(t *testing.T) {
	needC(t)
	const limit, n = 8, 250
	cgotest.Shut()
	b, err := executor.NewBulkhead("c", limit)
	require.NoError(t, err)
	e1 := newExecutor(t, executor.WithSlots(2), executor.WithMaxSpares(300))
	e2 := newExecutor(t, executor.WithSlots(3), executor.WithMaxSpares(20))
	var ran atomic.Int64
	call := func(ctx context.Context) {
		if err := b.Blocking(ctx, func() { cgotest.Sleep(2); ran.Add(1) }); err != nil {
			t.Error(err)
		}
	}
	var others sync.WaitGroup
	for i := range n {
		require.NoError(t, e1.Go(context.Background(), call))
		require.NoError(t, e2.Go(context.Background(), call))
		if i%10 == 0 {
			others.Go(func() { call(context.Background()) })
		}
	}
	quiet(t, e1)
	quiet(t, e2)
	within(t, "the others end", others.Wait)
	require.EqualValues(t, 2*n+n/10, ran.Load())
	require.LessOrEqual(t, cgotest.Most(), limit)
	require.Positive(t, cgotest.Most())
	require.Zero(t, cgotest.Inside())
}
