package executor

import (
	"context"
	"sync"
	"testing"
	"time"

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

// TestShutdown_LeavesNothingInTheQueue: found by FuzzTree and TestSoak. The last task may be canceled, and leave a
// dead entry, when no runner is going to look any more; and a runner that ends by Goexit does not park again.
func TestShutdown_LeavesNothingInTheQueue(t *testing.T) {
	e := newTested(t)
	q := &e.inject
	q.originOf(context.WithValue(context.Background(), treeKey{}, 1))
	last := newNumbered(0)
	last.gone = true
	q.mu.Lock()
	q.queue.push(entry{of: &last.origin})
	q.used++
	q.dead.Add(1)
	q.unlock()
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, validate(e))
}

// Entries that a filter keeps are not pushed again: the age of a queue goes by how many ever were.
//
// Mutant: a filter that counts as pops and pushes.
func TestFifo_AFilterPushesNothing(t *testing.T) {
	var q fifo
	for range 3 * chunkCap {
		q.push(entry{})
	}
	n := 0
	q.filter(func(entry) bool { n++; return n%2 == 0 })
	require.EqualValues(t, 3*chunkCap, q.pushed)
	require.Equal(t, 3*chunkCap/2, q.len)
}

// The age of a real queue: behind a task that does not end.
func TestAge_OfAQueueThatStands(t *testing.T) {
	e := newMeasured(t, WithStallDetection(false))
	start := time.Now()
	running, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(t.Context(), func(ctx context.Context) { close(running); <-release }))
	<-running
	require.Zero(t, e.Stats().OldestAge)
	for range 3 {
		require.NoError(t, e.Go(t.Context(), func(context.Context) {}))
	}
	for e.Stats().OldestAge < 50*time.Millisecond {
		require.Less(t, time.Since(start), patience)
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, e.Stats().OldestAge, time.Since(start))
	close(release)
	require.NoError(t, e.Quiesce(t.Context()))
	require.Zero(t, e.Stats().OldestAge)
}
