package executor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// A point has what happened in its second; more than 10 minutes are not kept, in 64 KB.
//
// Mutants: counters are of the executor's whole life; the ring grows; the newest point comes first.
func TestHistory_HasTheLastTenMinutes(t *testing.T) {
	t.Parallel()
	e, err := New(WithSlots(2), WithHistory())
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	h := e.history
	h.mu.Lock()
	h.timer.Stop() // the test makes the points; a first one may be there
	h.mu.Unlock()

	release := make(chan struct{})
	started := make(chan struct{})
	require.NoError(t, e.Go(WithTaskName(context.Background(), "history"), func(context.Context) { close(started); <-release }))
	<-started
	for range 5 {
		f, err := Submit(context.Background(), e, func(context.Context) (int, error) { return 0, nil })
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
	}
	testkit.Eventually(t, "the runner of the last one parks", func() bool { return e.Stats().Idle == 1 })
	now := time.Now()
	h.add(e, now)
	close(release)
	require.NoError(t, e.Quiesce(context.Background()))
	h.add(e, now.Add(time.Second))
	all := e.History()
	busy, quiet := all[len(all)-2], all[len(all)-1]
	require.True(t, now.Equal(busy.Time))
	if len(all) == 2 { // otherwise the timer's point has some of the tasks
		require.EqualValues(t, 6, busy.Submitted)
		require.EqualValues(t, 5, busy.Completed)
	}
	require.Equal(t, 2, busy.Slots)
	require.Equal(t, 1, busy.Running)
	require.Contains(t, []string{"history", otherTasks}, busy.Task)
	require.Equal(t, 1, busy.Holds)
	require.Zero(t, quiet.Submitted)
	require.EqualValues(t, 1, quiet.Completed)
	require.Zero(t, quiet.Holds)

	for i := range 2 * historySeconds {
		h.add(e, now.Add(time.Duration(i+2)*time.Second))
	}
	all = e.History()
	require.Len(t, all, historySeconds)
	require.True(t, now.Add((2*historySeconds+1)*time.Second).Equal(all[historySeconds-1].Time))
	require.LessOrEqual(t, len(h.ring)*int(unsafe.Sizeof(moment{})), 64<<10)
}

// Mutants: the option is not asked; the timer goes on after the end; a bubble's timer hides a deadlock.
func TestHistory_OnlyIfAskedFor(t *testing.T) {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	require.Nil(t, e.History())
	require.NoError(t, e.Close())
	require.Nil(t, (*Executor)(nil).History())
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1), WithHistory())
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Nil(t, e.History())
		require.NoError(t, e.Close())
	})
	e, err = New(WithSlots(1), WithHistory())
	require.NoError(t, err)
	require.NoError(t, e.Close())
	closed := time.Now()
	require.Eventually(t, func() bool {
		all := e.History()
		return len(all) > 0 && all[len(all)-1].Time.After(closed)
	}, 30*time.Second, 5*time.Millisecond, "the last point")
	e.history.mu.Lock()
	defer e.history.mu.Unlock()
	require.False(t, e.history.timer.Stop())
}

// Mutants: tasks are noted though nobody watches; the submitter's slot is the task's own; a failed task is OK.
func TestMeasured_SaysWhoSubmittedAndWhoRan(t *testing.T) {
	t.Parallel()
	e, err := New(WithSlots(2), WithHistogramSampling(1))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	family := func() {
		f, err := Submit(WithTaskName(context.Background(), "parent"), e, func(ctx context.Context) (int, error) {
			child, err := Submit(WithTaskName(ctx, "child"), e, func(context.Context) (int, error) { return 0, context.Canceled })
			require.NoError(t, err)
			<-child.Done() // the other slot runs it
			return 0, nil
		})
		require.NoError(t, err)
		_, err = f.Wait(context.Background())
		require.NoError(t, err)
		require.NoError(t, e.Quiesce(context.Background()))
	}
	family()
	require.Empty(t, e.Measured(time.Time{}))
	stop := e.Watch()
	begin := time.Now()
	family()
	all := e.Measured(begin)
	require.Len(t, all, 2)
	child, parent := all[0], all[1]
	require.Equal(t, "child", child.Task)
	require.Equal(t, "parent", parent.Task)
	require.Equal(t, -1, parent.From)
	require.Equal(t, parent.Slot, child.From)
	require.NotEqual(t, parent.Slot, child.Slot)
	require.True(t, parent.OK)
	require.False(t, child.OK)
	require.False(t, child.Submitted.Before(parent.Started))
	require.False(t, child.Started.Before(child.Submitted))
	require.False(t, parent.Ended.Before(child.Ended))
	require.Empty(t, e.Measured(time.Now()))
	for range 2 * maxTaskSpans {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	}
	require.NoError(t, e.Quiesce(context.Background()))
	require.LessOrEqual(t, len(e.Measured(begin)), maxTaskSpans)
	stop()
	require.Empty(t, e.Measured(begin))
}
