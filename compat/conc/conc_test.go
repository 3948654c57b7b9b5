package conc_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/conc"
	"github.com/seed-97bda89a/executor/compat/conc/iter"
	"github.com/seed-97bda89a/executor/compat/conc/pool"
	"github.com/seed-97bda89a/executor/compat/conc/stream"
)

// What the door shares with the packages that it stands for is tested beside them, in compat/difftest.

func TestUse_BindsAllPackages(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	use := func() {
		w := conc.NewWaitGroup()
		w.Go(func() {})
		w.Wait()
		p := pool.NewWithResults[int]().WithMaxGoroutines(1)
		p.Go(func() int { return 1 })
		p.Go(func() int { return 2 })
		require.Len(t, p.Wait(), 2)
		iter.Iterator[int]{MaxGoroutines: 3}.ForEach(make([]int, 5), func(*int) {})
		s := stream.New()
		s.Go(func() stream.Callback { return func() {} })
		s.Wait()
	}
	const functions = 1 + 2 + 3 + 2 // a stream's callbacks are one more
	before := conc.Unbound()
	use()
	require.Equal(t, before+functions, conc.Unbound())

	restore := conc.Use(e)
	use()
	restore()
	require.NoError(t, e.Quiesce(context.Background()))
	require.GreaterOrEqual(t, e.Stats().Completed+conc.Unbound(), before+2*functions)
	require.Less(t, conc.Unbound(), before+2*functions)
}
