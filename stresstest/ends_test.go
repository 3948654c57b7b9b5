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
