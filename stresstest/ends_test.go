package stresstest

import (
	"context"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// A task that C calls back is a task, and would wait for itself. Mutant: tasks are recognised by a context only.
func TestEnds_FromACallbackOfC(t *testing.T) {
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
	e, err := executor.New(executor.WithSlots(1))
	require.NoError(t, err)
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (errs []error, err error) {
		ends := func() {
			errs = append(errs, e.Close(), e.Shutdown(context.Background()), e.Quiesce(context.Background()))
		}
		cgotest.CallBack(ends)
		executor.Blocking(ctx, func() { cgotest.CallBack(ends) })
		executor.OnThread(ctx, func() { cgotest.CallBack(ends) })
		return errs, nil
	})
	require.NoError(t, err)
	errs, err := f.Wait(context.Background())
	require.NoError(t, err)
	require.Len(t, errs, 9)
	for _, err := range errs {
		require.ErrorIs(t, err, executor.ErrInTask)
	}
	outside := make(chan error, 1)
	cgotest.CallBack(func() { outside <- e.Close() })
	require.NoError(t, <-outside)
}

// A goroutine that C has called back is a guest as any other one, and a task there stays the task that it is. Mutants: Do looks for
// the runner at the thread, or gives up the slot of a task in whose Blocking call C calls back.
func TestDo_FromACallbackOfC(t *testing.T) {
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
	e, other := newExecutor(t, executor.WithSlots(1)), newExecutor(t, executor.WithSlots(1))
	bg := context.Background()
	sum := func(e *executor.Executor) (got int) {
		cgotest.CallBack(func() {
			err := e.Do(bg, func(ctx context.Context) error {
				child := executor.Fork(ctx, func(context.Context) int { return 40 })
				f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { return 2, nil })
				if err != nil {
					return err
				}
				two, err := f.Wait(ctx)
				got = child.Join(ctx) + two
				return err
			})
			if err != nil {
				got = -1
			}
		})
		return got
	}
	require.Equal(t, 42, sum(e), "a plain goroutine")
	f, err := executor.Submit(bg, e, func(ctx context.Context) (sums []int, err error) {
		sums = append(sums, sum(e), sum(other))
		executor.Blocking(ctx, func() { sums = append(sums, sum(e), sum(other)) })
		executor.OnThread(ctx, func() { sums = append(sums, sum(other)) })
		return sums, nil
	})
	require.NoError(t, err)
	sums, err := f.Wait(bg)
	require.NoError(t, err)
	require.Equal(t, []int{42, 42, 42, 42, 42}, sums)
	quiet(t, e)
	quiet(t, other)
}
