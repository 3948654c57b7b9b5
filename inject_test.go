package executor

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// busy is an executor whose only slot is held by a task until free is called, at the latest at the end.
func busy(t *testing.T, opts ...Option) (e *Executor, free func()) {
	t.Helper()
	e = newTested(t, append([]Option{WithSlots(1), WithMaxSpares(0), WithStallDetection(false)}, opts...)...)
	started, gate := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-gate }))
	<-started
	free = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(free)
	return e, free
}

// canceled leaves a dead entry in the queue.
func canceled(t *testing.T, e *Executor) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	f, err := Submit(ctx, e, func(context.Context) (int, error) { return 0, nil })
	require.NoError(t, err)
	done := f.Done()
	cancel()
	<-done
}

// TestClose_TakesDeadEntriesOffTheirCount: found by FuzzTree.
func TestClose_TakesDeadEntriesOffTheirCount(t *testing.T) {
	e, free := busy(t)
	canceled(t, e)
	require.EqualValues(t, 1, e.inject.dead.Load())
	e.stop()
	require.Zero(t, e.inject.dead.Load())
	free()
}
