package executor

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/seed-97bda89a/executor/internal/testkit"
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
		r.processor.pacer.slice, r.processor.pacer.since = r.count.progress()+r.word.Load()/oneEpoch, time.Since(epoch)-2*time.Hour
	})
	require.True(t, overtaken)
	require.EqualValues(t, 1, s.YieldsBudget)
}

// Mutant: the time of the task before counts.
func TestPace_ANewSliceStartsWithTheTask(t *testing.T) {
	overtaken, s := pacedTask(t, func(_ context.Context, r *runner) {
		r.processor.pacer.slice, r.processor.pacer.since = r.count.progress()+r.word.Load()/oneEpoch-1, time.Since(epoch)-2*time.Hour
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
		defer close(hold)
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
		return 0, nil
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
}

// pacing returns a runner that runs nothing, to call pace on.
func pacing(t *testing.T) *runner {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	r := newRunner(e)
	r.goid.Store(goid.ID())
	return r
}

// Mutant: the age of the process counts as the time that the first task of a new runner has used.
func TestPace_TheFirstTaskOfARunnerHasItsBudget(t *testing.T) {
	r := pacing(t)
	before := time.Since(epoch)
	r.pace()
	require.GreaterOrEqual(t, r.processor.pacer.since, before)
}

// Mutant: only the number of tasks that have ended tells slices apart.
func TestPace_BlockingStartsANewSlice(t *testing.T) {
	r := pacing(t)
	r.pace()
	since := r.processor.pacer.since
	r.word.Add(oneEpoch)
	r.processor.pacer.period = 0
	r.pace()
	require.Greater(t, r.processor.pacer.since, since)
}

// Mutant: a Checkpoint inside Blocking starts a slice there.
func TestPace_NotInsideBlocking(t *testing.T) {
	r := pacing(t)
	r.block.nested = 1
	r.checkpoint()
	require.Zero(t, r.processor.pacer.readAt)
	r.block.nested = 0
	r.checkpoint()
	require.NotZero(t, r.processor.pacer.readAt)
}

// Mutants: after a task with many Checkpoints a second, the next reads the clock at one in 64; or each reads it.
func TestPace_ThePeriodIsTheTasksOwn(t *testing.T) {
	r := pacing(t)
	reads := 0
	pace := func() {
		before := r.processor.pacer.calls
		if r.pace(); r.processor.pacer.calls <= before {
			reads++
		}
	}
	for range 1000 * maxPace {
		pace()
	}
	require.Less(t, reads, 500*maxPace)
	r.tasks++
	reads = 0
	pace()
	require.Equal(t, 1, reads)
}

// Mutant: a task whose budget is spent asks again at each look, and takes the injector's lock for it.
func TestPace_ARefusedYieldIsNotAskedForAtOnce(t *testing.T) {
	r := pacing(t)
	r.pace()
	r.processor.pacer.since -= 10 * time.Hour
	r.processor.pacer.period = 0
	r.pace()
	require.Less(t, time.Since(epoch)-r.processor.pacer.since, time.Hour)
}

// Mutants: a runner that has slept goes to the end of the scheduler's queue at once; a turn is as short beside
// goroutines that compute.
func TestTurn_BeginsAfterSleepAndIsAsLongAsTheWait(t *testing.T) {
	turn := turn{length: 7 * time.Millisecond, ends: unread}
	require.False(t, turn.isOver(time.Second))
	require.False(t, turn.isOver(time.Second+7*time.Millisecond-1))
	require.True(t, turn.isOver(time.Second+7*time.Millisecond))

	r := pacing(t)
	r.processor.turn.length = 7 * time.Millisecond
	r.forget()
	require.False(t, r.processor.turn.isOver(0))
	require.Equal(t, 7*time.Millisecond, r.processor.turn.ends)
}

// Where a processor is left for others, nothing is given up. Mutant: slots alone count.
func TestTurn_CrowdedOnlyWithoutAProcessorLeft(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	e, err := New(WithSlots(2), WithMaxSpares(0))
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	release := make(chan struct{})
	defer close(release) // before Close, which waits for the tasks
	var started sync.WaitGroup
	for range 2 {
		require.False(t, e.crowded())
		started.Add(1)
		require.NoError(t, e.Go(context.Background(), func(context.Context) { started.Done(); <-release }))
		started.Wait()
	}
	runtime.GOMAXPROCS(2)
	require.True(t, e.crowded())
	runtime.GOMAXPROCS(3)
	require.False(t, e.crowded())
}

// The slot of a call that was thought short, and turned out to be long, goes to others at a tick. A few short calls after it
// count for nothing: one that waits for queued work is short when its slot is handed over, and long when it is not. Mutants:
// each short call counts; a tick that hands over changes nothing; a long call does not count while there are doubts.
func TestBlocking_ShortCallsAreDoubtedAfterALongOne(t *testing.T) {
	if seam.Tickless {
		t.Skip("slots left to short calls are handed over by the keeper's ticks")
	}
	e := newPool(t, WithSlots(1), WithMaxSpares(1))
	e.lastCall.Store(0)
	queued, ran := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		<-queued
		Blocking(ctx, func() { <-ran })
	}))
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(ran) }))
	close(queued)
	require.NoError(t, e.Quiesce(context.Background()))
	require.EqualValues(t, doubtSamples, e.doubts.Load())
	require.GreaterOrEqual(t, e.lastCall.Load(), int64(shortCall), "the call was long")
	for i := range doubtSamples {
		if i == doubtSamples/2 {
			e.sampled(time.Hour)
		}
		e.sampled(shortCall - 1)
		require.GreaterOrEqual(t, e.lastCall.Load(), int64(shortCall), "short call %d", i)
	}
	require.Equal(t, int64(time.Hour), e.lastCall.Load())
	e.sampled(shortCall - 1)
	require.Equal(t, int64(shortCall-1), e.lastCall.Load())
}

// Where nothing moves, and no slot can be lent, ticks become rarer, until something happens. Mutants: the pause stays one tick; what
// happens does not end it.
func TestKeeper_TicksBecomeRarerWhileNothingMoves(t *testing.T) {
	if seam.Tickless {
		t.Skip("there are no ticks")
	}
	e := newPool(t, WithSlots(1), WithMaxSpares(0))
	started, leave := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(started); <-leave }))
	<-started
	require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
	testkit.Eventually(t, "the ticks become rarer", e.keeper.slow.Load)
	e.keeper.poke() // as whoever needs a tick does
	testkit.Eventually(t, "they are as before", func() bool { return !e.keeper.slow.Load() })
	testkit.Eventually(t, "and become rarer again", e.keeper.slow.Load)
	close(leave)
	require.NoError(t, e.Quiesce(context.Background()))
}
