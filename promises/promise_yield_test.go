package promises

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// Mutant: Yield puts the yielder in front of those who wait, or lets one of them run on its stack.
func TestYield_LetsTheOthersRun(t *testing.T) {
	e := spared(t, 1, 4)
	for range 50 {
		g := stick(t, e, 1)
		var others atomic.Int64
		f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			for others.Load() < 10 {
				if err := executor.Yield(ctx); err != nil {
					return 0, err
				}
			}
			return 1, nil
		})
		require.NoError(t, err)
		for range 10 {
			require.NoError(t, e.Go(context.Background(), func(context.Context) { others.Add(1) }))
		}
		g.Open()
		require.NoError(t, result(t, f))
		quiet(t, e)
	}
	require.NotZero(t, e.Stats().Yields)
	requireParallelism(t, e, 1)
}

// Mutant: a yield is made although nobody waits: a spare is started for nothing.
func TestYield_AloneDoesNothing(t *testing.T) {
	e := spared(t, 1, 4)
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for range 1000 {
			if err := executor.Yield(ctx); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Zero(t, quiet(t, e).Yields)
}

// Mutant: yielded tasks are not counted against the spares.
func TestYield_WithoutSparesDoesNothing(t *testing.T) {
	e := bare(t, 1)
	g := stick(t, e, 1)
	other := false
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (bool, error) {
		return other, errors.Join(executor.Yield(ctx), executor.Yield(ctx))
	})
	require.NoError(t, err)
	require.NoError(t, e.Go(context.Background(), func(context.Context) { other = true }))
	g.Open()
	require.NoError(t, result(t, f))
	ran, _ := f.Wait(context.Background())
	require.False(t, ran)
	quiet(t, e)
}

// Mutant: of many yielded tasks some are never resumed, or resumed twice.
func TestYield_ManyYieldersAllComeBack(t *testing.T) {
	for _, cfg := range [][2]int{{1, 3}, {1, 64}, {2, 8}, {4, 2}} {
		e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(4))
		var steps atomic.Int64
		var wg sync.WaitGroup
		n := scaled(200)
		for range n {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := e.Go(context.Background(), func(ctx context.Context) {
					for i := range 20 {
						steps.Add(1)
						if i%5 == 0 {
							executor.Blocking(ctx, runtime.Gosched)
						}
						if err := executor.Yield(ctx); err != nil {
							t.Error(err)
						}
					}
				}); err != nil {
					t.Error(err)
				}
			}()
		}
		within(t, "all are submitted", wg.Wait)
		quiet(t, e)
		require.EqualValues(t, 20*n, steps.Load())
		requireParallelism(t, e, cfg[0])
	}
}

// Mutant: the calls forget to look at the context, or at its cause.
func TestYield_AndCheckpointGiveTheContextsError(t *testing.T) {
	e := spared(t, 1, 1)
	done, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	for _, call := range []func(context.Context) error{executor.Yield, executor.Checkpoint} {
		require.NoError(t, call(context.Background()))
		requireDone(t, call(done))
		err := inTask(t, e, func(ctx context.Context) error {
			if err := errors.Join(call(ctx), call(context.Background())); err != nil {
				return err
			}
			c, cancel := context.WithCancelCause(ctx)
			cancel(errCause)
			return call(c)
		})
		requireDone(t, err)
	}
	quiet(t, e)
}

// Mutant: the budget flag is never set, or set for a task that has not used its slice.
func TestCheckpoint_YieldsWhenTheBudgetIsSpent(t *testing.T) {
	for _, tc := range []struct {
		budget time.Duration
		yields bool
	}{{10 * time.Millisecond, true}, {time.Hour, false}} {
		synctest.Test(t, func(t *testing.T) {
			e := spared(t, 1, 2, executor.WithBudget(tc.budget))
			other := make(chan struct{})
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (bool, error) {
				for range 60_000 { // A minute of work, by the bubble's clock.
					time.Sleep(time.Millisecond)
					if err := executor.Checkpoint(ctx); err != nil {
						return false, err
					}
					select {
					case <-other:
						return true, nil
					default:
					}
				}
				return false, nil
			})
			require.NoError(t, err)
			synctest.Wait()
			require.NoError(t, e.Go(context.Background(), func(context.Context) { close(other) }))
			yielded, err := f.Wait(context.Background())
			require.NoError(t, err)
			require.Equal(t, tc.yields, yielded, "budget %v", tc.budget)
			require.NoError(t, e.Quiesce(context.Background()))
		})
	}
}

// Mutant: the budget flag that was meant for one task is found by the next one on that runner.
func TestCheckpoint_TheFlagDoesNotReachTheNextTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := spared(t, 1, 2)
		for range 20 {
			// It uses up its budget while another waits, and never asks.
			require.NoError(t, e.Go(context.Background(), func(context.Context) { time.Sleep(100 * time.Millisecond) }))
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				return 1, executor.Checkpoint(ctx)
			})
			require.NoError(t, err)
			require.NoError(t, e.Go(context.Background(), func(context.Context) {}))
			_, err = f.Wait(context.Background())
			require.NoError(t, err)
			require.NoError(t, e.Quiesce(context.Background()))
		}
		require.Zero(t, e.Stats().Yields)
	})
}

// Mutant: the owner looks at its own deque, newest first, for as long as there is something in it: the
// outside submitter, the oldest local task or the yielder never gets its turn.
func TestFairness_EverybodyProgressesOnOneSlot(t *testing.T) {
	for _, slots := range []int{1, 2} {
		e := spared(t, slots, 8)
		stop := make(chan struct{})
		stopped := func() bool {
			select {
			case <-stop:
				return true
			default:
				return false
			}
		}
		var respawns [2]atomic.Int64
		for i := range respawns {
			var again func(context.Context)
			again = func(ctx context.Context) {
				respawns[i].Add(1)
				if !stopped() {
					if err := e.Go(ctx, again); err != nil {
						t.Error(err)
					}
				}
			}
			require.NoError(t, e.Go(context.Background(), again))
		}
		var yields, oldest atomic.Int64
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			for !stopped() {
				yields.Add(1)
				if err := executor.Yield(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		}))
		// A local task that is the oldest of its deque while its parent's line goes on above it.
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			var line func(context.Context)
			line = func(ctx context.Context) {
				if oldest.Load() == 0 {
					if err := e.Go(ctx, line); err != nil {
						t.Error(err)
					}
				}
			}
			if err := errors.Join(e.Go(ctx, func(context.Context) { oldest.Store(1) }), e.Go(ctx, line)); err != nil {
				t.Error(err)
			}
		}))
		within(t, "an outside submitter is served", func() {
			for range 100 {
				f, err := executor.Submit(context.Background(), e, one)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.Wait(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
		eventually(t, "everybody progresses", func() bool {
			return respawns[0].Load() > 1000 && respawns[1].Load() > 1000 && yields.Load() > 50 && oldest.Load() == 1
		})
		close(stop)
		quiet(t, e)
	}
}

// Tasks that never end and call Checkpoint, as many as there are slots and spares. Mutants: the time in which a yielded
// task waits for its turn counts as its budget, so that its next turn ends at once; the last one for whom there is a
// spare keeps the slot.
func TestCheckpoint_GivesEachItsShare(t *testing.T) {
	for _, cfg := range []struct{ slots, spares, tasks int }{{1, 3, 4}, {2, 6, 8}, {2, 256, 8}} {
		e := spared(t, cfg.slots, cfg.spares)
		turns := make([]atomic.Int64, cfg.tasks)
		enough := make(chan struct{})
		stop := sync.OnceFunc(func() { close(enough) })
		ctx, cancel := context.WithCancel(context.Background())
		for i := range turns {
			require.NoError(t, e.Go(ctx, func(ctx context.Context) {
				for executor.Checkpoint(ctx) == nil {
					testkit.Spin(100 * time.Microsecond)
					if turns[i].Add(1) == 2000 {
						stop()
					}
				}
			}))
		}
		<-enough // somebody has worked for 200 ms, or for as long as 20 turns
		cancel()
		quiet(t, e)
		for i := range turns {
			require.Greater(t, turns[i].Load(), int64(2000/5), "task %d of %d on %d slots", i, cfg.tasks, cfg.slots)
		}
	}
}

// Everything that P6 speaks of at once, end to end, beside a stream of tasks from outside that never ends: eight tasks that have filled a
// deque and then block, marked and not; slots that are lent, retired and made; tasks that yield. Each of their children, and each that
// yields, has its turn while the stream goes on. Nothing is said about when, so this holds on any machine. Mutants seen to fail: nobody
// looks into the deques of others, lent slots included; who yields goes on only when nothing is queued.
func TestSlots_EveryTaskHasItsTurnBesideAStream(t *testing.T) {
	t.Parallel()
	for _, slots := range []int{1, 2} {
		e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(16), executor.WithQueueLimit(64), executor.WithBudget(time.Millisecond))
		bg := context.Background()
		var stop atomic.Bool
		var streamed, children, yielded atomic.Int64
		var outside sync.WaitGroup
		for range 2 {
			outside.Go(func() {
				for n := 0; !stop.Load(); n++ {
					if err := e.Go(bg, func(ctx context.Context) {
						switch streamed.Add(1) % 16 {
						case 0:
							executor.Blocking(ctx, runtime.Gosched)
						case 1:
							_ = executor.Yield(ctx)
						}
					}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		release := newGate(t)
		const loaded, each, yielders, yields = 8, 20, 4, 30
		for i := range loaded {
			require.NoError(t, e.Go(bg, func(ctx context.Context) {
				for range each {
					_ = e.Go(ctx, func(context.Context) { children.Add(1) })
				}
				if i%2 == 0 {
					executor.Blocking(ctx, release.Wait)
				} else {
					release.Wait()
				}
			}))
		}
		for range yielders {
			require.NoError(t, e.Go(bg, func(ctx context.Context) {
				for range yields {
					_ = executor.Yield(ctx)
				}
				yielded.Add(1)
			}))
		}
		outside.Go(func() {
			for n := 0; !stop.Load(); n++ {
				_ = e.Resize(slots + n%3)
				time.Sleep(time.Millisecond)
			}
		})
		eventually(t, "every child has its turn", func() bool { return children.Load() == loaded*each })
		eventually(t, "who yields goes on", func() bool { return yielded.Load() == yielders })
		before := streamed.Load()
		eventually(t, "the stream goes on", func() bool { return streamed.Load() > before })
		stop.Store(true)
		release.Open()
		within(t, "the goroutines outside", outside.Wait)
		quiet(t, e)
	}
}
