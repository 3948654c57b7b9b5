package executor

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Interleavings that were bugs once, each forced as far as the public API allows.

// Mutant: a surplus runner that yields does not ask for the slot of a waiter that was denied a spare
// before: the waiter and the task it waits for wait for each other.
func TestRegression_SurplusYieldsToAWaiterThatWasDenied(t *testing.T) {
	e, err := New(WithSlots(1), WithMaxSpares(1), WithStallDetection(false))
	require.NoError(t, err)
	ctx := context.Background()
	in, out, back, yield := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	first, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		Blocking(ctx, func() { close(in); <-out })
		close(back) // surplus: the other task has the slot
		<-yield
		return 1, Yield(ctx)
	})
	require.NoError(t, err)
	<-in
	started, wait := make(chan struct{}), make(chan struct{})
	second, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		close(started)
		<-wait
		return first.Wait(ctx)
	})
	require.NoError(t, err)
	<-started
	close(out)
	<-back
	close(wait)
	testkit.Eventually(t, "the waiter lends its slot", func() bool { return e.lazilyBlocked() == 1 })
	require.NoError(t, e.Go(ctx, func(context.Context) {}))
	testkit.Eventually(t, "it is denied a spare", func() bool { return e.Stats().Uncompensated > 0 })
	close(yield)
	v, err := second.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, v)
	require.NoError(t, e.Shutdown(ctx))
}

// Mutant: what is left of a loop is run in place when it can not be queued, under the lock of the body that
// blocks.
func TestRegression_BodiesThatBlockUnderALock(t *testing.T) {
	e, err := New(WithSlots(1), WithStallDetection(false))
	require.NoError(t, err)
	ctx := context.Background()
	var mu sync.Mutex
	hog, in := make(chan struct{}), make(chan struct{})
	f, err := Submit(ctx, e, func(ctx context.Context) (int, error) {
		Blocking(ctx, func() { // comes back surplus
			_ = e.Go(context.Background(), func(context.Context) { close(in); <-hog })
			<-in
		})
		return 0, For(ctx, e, 100, func(ctx context.Context, _ int) error {
			mu.Lock()
			defer mu.Unlock()
			Blocking(ctx, runtime.Gosched)
			return nil
		})
	})
	require.NoError(t, err)
	_, err = f.Wait(ctx)
	require.NoError(t, err)
	close(hog)
	require.NoError(t, e.Shutdown(ctx))
}

// Mutant: a body that calls Goexit leaves For without waiting for the bodies that others run.
func TestRegression_ForWaitsForAllBodiesAfterGoexit(t *testing.T) {
	e, err := New(WithSlots(2))
	require.NoError(t, err)
	var running atomic.Int32
	other, gone := make(chan struct{}), make(chan struct{})
	err = For(context.Background(), e, 2, func(_ context.Context, i int) error {
		running.Add(1)
		defer running.Add(-1)
		if i == 1 {
			close(other)
			<-gone
			runtime.Gosched()
			return nil
		}
		<-other
		defer close(gone)
		runtime.Goexit()
		return nil
	})
	require.ErrorIs(t, err, ErrGoexit)
	require.Zero(t, running.Load())
	require.NoError(t, e.Close())
}

// Mutant: only what comes after the current chunk is exposed when a body blocks.
func TestRegression_BodiesThatBlockLateInAChunkOverlap(t *testing.T) {
	e, err := New(WithSlots(2), WithMaxSpares(100))
	require.NoError(t, err)
	const from, n = 50_000, 100
	var here atomic.Int32
	all := make(chan struct{})
	require.NoError(t, For(context.Background(), e, 4*from, func(ctx context.Context, i int) error {
		if i >= from && i < from+n {
			Blocking(ctx, func() {
				if here.Add(1) == n {
					close(all)
				}
				<-all
			})
		}
		return nil
	}))
	require.NoError(t, e.Close())
}

// countingContext counts how often it is asked for a value.
type countingContext struct {
	context.Context
	asked *atomic.Int64
}

func (c countingContext) Value(key any) any {
	c.asked.Add(1)
	return c.Context.Value(key)
}

// Mutant: a task context asks both its link and its parent for each key: 2^depth questions.
func TestRegression_ValueAsksEachLevelOnce(t *testing.T) {
	e, err := New(WithSlots(2))
	require.NoError(t, err)
	var asked atomic.Int64
	var nest func(ctx context.Context, depth int) error
	nest = func(ctx context.Context, depth int) error {
		if depth == 0 {
			before := asked.Load()
			ctx.Value(countingContext{})
			require.LessOrEqual(t, asked.Load()-before, int64(2))
			return nil
		}
		g := e.NewGroup(ctx)
		g.Go(func(ctx context.Context) error { return nest(ctx, depth-1) })
		return g.Wait()
	}
	f, err := Submit(countingContext{context.Background(), &asked}, e, func(ctx context.Context) (int, error) { return 0, nest(ctx, 16) })
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// A runner that ends by Goexit leaves its slot to another one. If the executor ends at that moment there is none,
// and a dead entry stayed on the slot's deque, with the task it belonged to. Found by the soak. The test holds
// both at a lock that they take next, so long that sync.Mutex hands it to them in turns.
func TestRegression_EndLeavesNoDeadEntryAfterGoexit(t *testing.T) {
	for range 20 {
		e, err := New(WithSlots(1), WithStallDetection(false))
		require.NoError(t, err)
		last := make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			canceled, cancel := context.WithCancel(ctx)
			f, err := Submit(canceled, e, func(context.Context) (int, error) { return 0, nil })
			if err == nil {
				done := f.Done()
				cancel()
				<-done
			}
			<-last
			runtime.Goexit()
		}))
		testkit.Eventually(t, "the child is canceled", func() bool { return e.sum().Canceled == 1 })
		e.closeInjector(false) // which passes idle.mu, once
		e.idle.mu.Lock()
		close(last)
		testkit.Eventually(t, "the task counts as ended", func() bool { return e.sum().Panicked == 1 })
		ended := make(chan error, 1)
		go func() { ended <- e.Shutdown(context.Background()) }()
		testkit.Eventually(t, "Shutdown is past the drain", func() bool { return e.word.Load()&stopping != 0 })
		for range 2 {
			time.Sleep(2 * time.Millisecond)
			e.idle.mu.Unlock()
			e.idle.mu.Lock()
		}
		e.idle.mu.Unlock()
		require.NoError(t, <-ended)
		require.NoError(t, settled(e, patience))
	}
}

// Mutant: a task that waits for a group, with its slot lent, is not told when the last spare is gone. The group's
// queued task has nobody to run it then but the waiter. Found by the soak.
func TestRegression_GroupWaiterHelpsOnceTheSparesAreGone(t *testing.T) {
	e, err := New(WithSlots(1), WithMaxSpares(1), WithStallDetection(false))
	require.NoError(t, err)
	f, err := Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		g := e.NewGroup(ctx)
		started, parked := make(chan struct{}), make(chan struct{})
		g.Go(func(ctx context.Context) error {
			close(started)
			<-parked
			late := make(chan struct{})
			g.Go(func(context.Context) error { close(late); return nil })
			Blocking(ctx, func() { <-late }) // keeps the slot: the only spare stands in for the waiter
			return nil
		})
		Blocking(ctx, func() { <-started }) // elsewhere, or Wait would run it
		go func() {
			testkit.Eventually(t, "the first task waits", func() bool {
				e.stuck.mu.Lock()
				defer e.stuck.mu.Unlock()
				return len(e.stuck.waits) == 1
			})
			close(parked)
		}()
		return 0, g.Wait()
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.NoError(t, e.Shutdown(context.Background()))
}

// Mutant: fairness counts picks only. Beside tasks of a millisecond that start themselves again, one task from
// outside then starts for each 61 of them.
func TestRegression_OutsideIsNotStarvedByLongTasksThatComeBack(t *testing.T) {
	e, err := New(WithSlots(1), WithStallDetection(false))
	require.NoError(t, err)
	const outside = 50
	var stop atomic.Bool
	var long atomic.Int64
	var chain func(context.Context)
	chain = func(ctx context.Context) {
		long.Add(1)
		testkit.Spin(time.Millisecond)
		if !stop.Load() {
			_ = e.Go(ctx, chain)
		}
	}
	require.NoError(t, e.Go(context.Background(), chain))
	testkit.Eventually(t, "the chain runs", func() bool { return long.Load() > 2*fairness })
	before := long.Load()
	g := e.NewGroup(context.Background())
	for range outside {
		g.Go(func(context.Context) error { return nil })
	}
	require.NoError(t, g.Wait())
	during := long.Load() - before
	stop.Store(true)
	require.NoError(t, e.Shutdown(context.Background()))
	require.Less(t, during, int64(10*outside))
}

// Mutant: parentOf strips the context of a task of any executor, not only of the same one.
func TestRegression_ClosingAnExecutorEndsWhatItsTasksStartedElsewhere(t *testing.T) {
	a, err := New()
	require.NoError(t, err)
	b, err := New()
	require.NoError(t, err)
	started, ended := make(chan struct{}), make(chan struct{})
	require.NoError(t, a.Go(context.Background(), func(ctx context.Context) {
		_ = b.Go(ctx, func(ctx context.Context) {
			close(started)
			<-ctx.Done()
			close(ended)
		})
	}))
	<-started
	require.NoError(t, a.Close())
	<-ended
	require.NoError(t, b.Shutdown(context.Background()))
}

// Mutant: pushLocal does not look whether the executor stops.
func TestRegression_CloseRefusesItsOwnTasksToo(t *testing.T) {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	in, refused := make(chan struct{}), make(chan error, 2)
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		close(in)
		<-ctx.Done()
		refused <- e.Go(context.Background(), func(context.Context) {})
		refused <- e.TryGo(context.WithoutCancel(ctx), func(context.Context) {})
	}))
	<-in
	require.NoError(t, e.Close())
	require.ErrorIs(t, <-refused, ErrClosed)
	require.ErrorIs(t, <-refused, ErrClosed)
}

// Mutant: a denied spare wakes every waiter, also while somebody runs: more tasks run than there are slots.
func TestRegression_ADeniedSpareDoesNotLiftTheBound(t *testing.T) {
	e, err := New(WithSlots(2), WithMaxSpares(1), WithStallDetection(false))
	require.NoError(t, err)
	started, hog, add, release := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	var second, early atomic.Bool
	f, err := Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		g := e.NewGroup(ctx)
		g.Go(func(context.Context) error {
			close(started)
			<-add
			g.Go(func(context.Context) error { second.Store(true); return nil })
			testkit.Eventually(t, "a spare is denied", func() bool { return e.Stats().Uncompensated > 0 })
			time.Sleep(20 * time.Millisecond)
			early.Store(second.Load())
			return nil
		})
		<-started // by a thief, on the other slot
		return 0, g.Wait()
	})
	require.NoError(t, err)
	<-started
	testkit.Eventually(t, "the waiter is parked", func() bool {
		e.stuck.mu.Lock()
		defer e.stuck.mu.Unlock()
		return len(e.stuck.waits) == 1
	})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { // takes the waiter's slot, and keeps it
		Blocking(ctx, func() { close(hog); <-release })
	}))
	<-hog
	close(add)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.False(t, early.Load(), "a third task ran on two slots")
	close(release)
	require.NoError(t, e.Shutdown(context.Background()))
}

// Mutant: ForEach prefers its context's error to an earlier one of fn.
func TestRegression_ForEachReturnsTheFirstError(t *testing.T) {
	e, err := New()
	require.NoError(t, err)
	mine := errors.New("mine")
	ctx, cancel := context.WithCancel(context.Background())
	err = ForEach(ctx, e, func(yield func(int) bool) {
		for i := 0; yield(i) && i < 1_000_000; i++ {
		}
		cancel()
	}, func(context.Context, int) error { return mine })
	require.ErrorIs(t, err, mine)
	require.NoError(t, e.Shutdown(context.Background()))
}

// Mutant: asPanicError passes a typed nil on.
func TestRegression_ANilPanicErrorAsAPanicValue(t *testing.T) {
	e, err := New()
	require.NoError(t, err)
	f, err := Submit(context.Background(), e, func(context.Context) (int, error) { panic((*PanicError)(nil)) })
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.NotEmpty(t, p.Stack)
	require.NotEmpty(t, err.Error())
	require.NoError(t, e.Shutdown(context.Background()))
}

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
