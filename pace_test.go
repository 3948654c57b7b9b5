package executor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pacedTask runs fn in a task on the only slot, with another task queued, and says whether that ended first.
func pacedTask(t *testing.T, fn func(ctx context.Context, r *runner)) (overtaken bool, s Stats) {
	e, err := New(WithSlots(1), WithMaxSpares(2), WithBudget(time.Hour))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	other := make(chan struct{})
	f, err := Submit(context.Background(), e, func(ctx context.Context) (bool, error) {
		r := taskOf(ctx).r
		require.NoError(t, e.Go(context.Background(), func(context.Context) { close(other) }))
		fn(ctx, r)
		for range maxPace + 1 {
			if err := Checkpoint(ctx); err != nil {
				return false, err
			}
		}
		select {
		case <-other:
			return true, nil
		default:
			return false, nil
		}
	})
	require.NoError(t, err)
	overtaken, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(context.Background()))
	return overtaken, e.Stats()
}

// The keeper may be late, so a paced task looks at its budget itself. Mutant: it does not.
func TestPace_ATaskSpendsItsBudgetByItsOwnClock(t *testing.T) {
	overtaken, s := pacedTask(t, func(_ context.Context, r *runner) {
		r.pacer.slice, r.pacer.since = r.count.progress()+r.word.Load()/oneEpoch, time.Since(epoch)-2*time.Hour
	})
	require.True(t, overtaken)
	require.EqualValues(t, 1, s.YieldsBudget)
}

// Mutant: the time of the task before, or that inside Blocking, counts.
func TestPace_ANewSliceStartsWithTheTask(t *testing.T) {
	overtaken, s := pacedTask(t, func(_ context.Context, r *runner) {
		r.pacer.slice, r.pacer.since = r.count.progress()+r.word.Load()/oneEpoch-1, time.Since(epoch)-2*time.Hour
	})
	require.False(t, overtaken)
	require.Zero(t, s.YieldsBudget)
}

// Mutant: the clock is read although a slot is free, or a flag of the keeper is taken as nothing else but a reason to.
func TestPace_OnlyWhileNoSlotIsFree(t *testing.T) {
	e, err := New(WithSlots(2), WithMaxSpares(2), WithBudget(time.Hour))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	f, err := Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		r := taskOf(ctx).r
		require.False(t, r.hurried(e.word.Load()), "a slot is free")

		hold, held := make(chan struct{}), make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(context.Context) { close(held); <-hold }))
		<-held
		require.True(t, r.hurried(e.word.Load()))
		require.NoError(t, Checkpoint(ctx))

		queued, err := Submit(context.Background(), e, func(context.Context) (int, error) { return 0, nil })
		require.NoError(t, err)
		r.flagged.Store(r.count.progress() + 1) // as the keeper does at the end of the budget
		require.NoError(t, Checkpoint(ctx))
		<-queued.Done() // this task has yielded to it
		require.EqualValues(t, 1, e.Stats().YieldsBudget)
		close(hold)
		return 0, nil
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
}
