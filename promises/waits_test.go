package promises

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// callers are the kinds of callers of a wait. Each runs fn on a slot of an executor, or beside it.
var callers = []struct {
	name string
	run  func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error
}{
	{"a plain goroutine", func(t *testing.T, _ *executor.Executor, fn func(context.Context) error) error {
		return fn(context.Background())
	}},
	{"a task", inTaskOf},
	{"a task, a foreign ctx", func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
		return inTaskOf(t, e, func(context.Context) error { return fn(context.Background()) })
	}},
	{"inside Blocking", func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
		return inTaskOf(t, e, func(ctx context.Context) (err error) {
			executor.Blocking(ctx, func() { err = fn(ctx) })
			return err
		})
	}},
	{"OnThread", func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
		return inTaskOf(t, e, func(ctx context.Context) (err error) {
			executor.OnThread(ctx, func() { err = fn(ctx) })
			return err
		})
	}},
	{"a child, run in place", func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
		return inTaskOf(t, e, func(ctx context.Context) error {
			f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { return 0, fn(ctx) })
			if err == nil {
				_, err = f.Wait(ctx)
			}
			return err
		})
	}},
	{"a body of For", func(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
		return executor.For(context.Background(), e, 1, func(ctx context.Context, _ int) error { return fn(ctx) })
	}},
	{"a task of another executor", func(t *testing.T, _ *executor.Executor, fn func(context.Context) error) error {
		return inTaskOf(t, spared(t, 1, 0), fn)
	}},
}

func inTaskOf(t *testing.T, e *executor.Executor, fn func(context.Context) error) error {
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) { return 0, fn(ctx) })
	require.NoError(t, err)
	return result(t, f)
}

// every runs a test for each kind of caller, with one slot, and with and without a spare.
func every(t *testing.T, test func(t *testing.T, e *executor.Executor, spares int, run func(func(context.Context) error) error)) {
	for _, c := range callers {
		for _, spares := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s/spares=%d", c.name, spares), func(t *testing.T) {
				t.Parallel()
				e := spared(t, 1, spares)
				test(t, e, spares, func(fn func(context.Context) error) (err error) {
					within(t, "the wait", func() { err = c.run(t, e, fn) })
					return err
				})
				quiet(t, e)
			})
		}
	}
}

// Mutant: what is there is not taken when ctx is done. Mutant: a closed channel is an error, or ok.
func TestReceive_TakesWhatIsThere(t *testing.T) {
	every(t, func(t *testing.T, e *executor.Executor, _ int, run func(func(context.Context) error) error) {
		require.NoError(t, run(func(ctx context.Context) error {
			ch := make(chan int, 2)
			ch <- 1
			over, cancel := context.WithCancel(ctx)
			cancel()
			if v, ok, err := executor.Receive(over, ch); v != 1 || !ok || err != nil {
				return fmt.Errorf("a value: %d %v %v", v, ok, err)
			}
			close(ch)
			if v, ok, err := executor.Receive(ctx, ch); v != 0 || ok || err != nil {
				return fmt.Errorf("closed: %d %v %v", v, ok, err)
			}
			return nil
		}))
	})
}

// Mutant: the wait keeps the slot: with a spare, the task that is waited for never runs. Mutant: Send or Receive wait
// without trying, or lose a value.
func TestWaits_LendTheSlot(t *testing.T) {
	every(t, func(t *testing.T, e *executor.Executor, spares int, run func(func(context.Context) error) error) {
		other := e
		if spares == 0 { // nobody could take the slot
			other = bare(t, 1)
		}
		require.NoError(t, run(func(ctx context.Context) error {
			there, back := make(chan int), make(chan int)
			var wg sync.WaitGroup
			var mu sync.Mutex
			mu.Lock()
			wg.Add(1)
			err := other.Go(context.Background(), func(ctx context.Context) {
				for range 20 {
					v, _, err := executor.Receive(ctx, there)
					if err == nil {
						err = executor.Send(ctx, back, v+1)
					}
					if err != nil {
						t.Error(err)
					}
				}
				mu.Unlock()
				wg.Done()
			})
			if err != nil {
				return err
			}
			for i := range 20 {
				if err := executor.Send(ctx, there, i); err != nil {
					return err
				}
				if v, ok, err := executor.Receive(ctx, back); v != i+1 || !ok || err != nil {
					return fmt.Errorf("got %d, %v, %w", v, ok, err)
				}
			}
			executor.Lock(ctx, &mu)
			mu.Unlock()
			return executor.WaitFor(ctx, &wg)
		}))
		quiet(t, other)
	})
}

// Mutant: ctx's end does not end the wait, or its error lacks the cause. Mutant: a value is sent or received all the same.
func TestWaits_EndWithTheContext(t *testing.T) {
	every(t, func(t *testing.T, e *executor.Executor, _ int, run func(func(context.Context) error) error) {
		require.NoError(t, run(func(ctx context.Context) error {
			var wg sync.WaitGroup
			wg.Add(1)
			defer wg.Done() // ends the goroutine of WaitFor
			for name, wait := range map[string]func(ctx context.Context) error{
				"Receive": func(ctx context.Context) error { _, _, err := executor.Receive(ctx, make(chan int)); return err },
				"nil":     func(ctx context.Context) error { _, _, err := executor.Receive[int](ctx, nil); return err },
				"Send":    func(ctx context.Context) error { return executor.Send(ctx, make(chan int), 1) },
				"WaitFor": func(ctx context.Context) error { return executor.WaitFor(ctx, &wg) },
			} {
				ctx, cancel := context.WithCancelCause(ctx)
				go cancel(errCause)
				if err := wait(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, errCause) {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			return nil
		}))
	})
}

// plainLocker has no TryLock.
type plainLocker struct {
	mu     sync.Mutex
	locked atomic.Int32
}

func (l *plainLocker) Lock()   { l.mu.Lock(); l.locked.Add(1) }
func (l *plainLocker) Unlock() { l.mu.Unlock() }

// Mutant: a lock is locked twice, or not at all.
func TestLock_AnyLocker(t *testing.T) {
	every(t, func(t *testing.T, e *executor.Executor, _ int, run func(func(context.Context) error) error) {
		require.NoError(t, run(func(ctx context.Context) error {
			l := &plainLocker{}
			executor.Lock(ctx, l)
			if l.mu.TryLock() || l.locked.Load() != 1 {
				return errors.New("not locked once")
			}
			l.Unlock()
			var rw sync.RWMutex
			executor.Lock(ctx, rw.RLocker())
			executor.Lock(ctx, rw.RLocker())
			rw.RUnlock()
			rw.RUnlock()
			executor.Lock(ctx, &rw)
			rw.Unlock()
			return nil
		}))
	})
}

func TestWaits_WrongArgumentsAreTold(t *testing.T) {
	var none context.Context
	_, _, err := executor.Receive(none, make(chan int))
	require.ErrorContains(t, err, "nil context")
	require.ErrorContains(t, executor.Send(none, make(chan int), 1), "nil context")
	require.ErrorContains(t, executor.WaitFor(none, new(sync.WaitGroup)), "nil context")
	require.ErrorContains(t, executor.WaitFor(context.Background(), nil), "nil WaitGroup")
	require.PanicsWithError(t, "executor: nil context", func() { executor.Lock(none, new(sync.Mutex)) })
	require.PanicsWithError(t, "executor: nil Locker", func() { executor.Lock(context.Background(), nil) })
	closed := make(chan int)
	close(closed)
	require.Panics(t, func() { _ = executor.Send(context.Background(), closed, 1) })
}

// A task that sends to a closed channel while it waits. Mutant: the panic leaves the slot lent.
func TestSend_AChannelClosedMeanwhile(t *testing.T) {
	if testkit.RaceDetector {
		t.Skip("to close a channel that somebody sends to is a race, as the detector says")
	}
	e := spared(t, 1, 1)
	ch := make(chan int)
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		return 0, executor.Send(ctx, ch, 1)
	})
	require.NoError(t, err)
	eventually(t, "the slot is lent", func() bool { return e.Stats().Lendable == 1 })
	close(ch)
	var pe *executor.PanicError
	require.ErrorAs(t, result(t, f), &pe)
	alive(t, e)
	quiet(t, e)
}

// In a bubble. Mutant: WaitFor's goroutine, or a wait, is not the bubble's own, and synctest takes it for one that runs.
func TestWaits_InABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := executor.New(executor.WithSlots(1))
		require.NoError(t, err)
		ch, done := make(chan int), make(chan error, 1)
		var wg sync.WaitGroup
		wg.Add(1)
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			_, _, err := executor.Receive(ctx, ch)
			done <- errors.Join(err, executor.WaitFor(ctx, &wg))
		}))
		synctest.Wait()
		ch <- 1
		synctest.Wait()
		wg.Done()
		require.NoError(t, <-done)
		require.NoError(t, e.Shutdown(context.Background()))
	})
}

// Mutant: slots in Blocking keep their deques out of the thieves' sight.
func TestPromise04_ChildrenOfABlockedTaskAreStolen(t *testing.T) {
	for _, n := range []int{1, 2, 100} {
		e := bare(t, 2)
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			var wg sync.WaitGroup
			for range n {
				wg.Add(1)
				if err := e.Go(ctx, func(context.Context) { wg.Done() }); err != nil {
					return err
				}
			}
			// No spare: the other slot must come for them.
			executor.Blocking(ctx, wg.Wait)
			return nil
		}), fmt.Sprint(n))
		quiet(t, e)
	}
}

// An element of a stream is refused because ctx has ended, while another one runs: seq cleans up when that has ended too. Mutant: seq is
// told at once, and what was started is waited for afterwards.
func TestStream_ARefusedElementWaitsForTheOthers(t *testing.T) {
	for name, stream := range map[string]streamFunc{"Ordered": executor.Ordered[int, string], "Unordered": executor.Unordered[int, string]} {
		e := spared(t, 2, 4)
		inAndOut(t, e, func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			var running atomic.Int64
			runs, atCleanup := newGate(t), int64(-1)
			seq := func(yield func(int) bool) {
				if yield(0) {
					executor.Blocking(ctx, runs.Wait)
					cancel(errCause)
					yield(1)
				}
				atCleanup = running.Load()
			}
			var got error
			for _, err := range stream(ctx, e, seq, func(ctx context.Context, _ int) (string, error) {
				running.Add(1)
				defer running.Add(-1)
				runs.Open()
				executor.Blocking(ctx, func() { <-ctx.Done(); time.Sleep(time.Millisecond) })
				return "", nil
			}) {
				got = err
			}
			require.ErrorIs(t, got, errCause, name)
			require.Zero(t, atCleanup, "elements of %s that run while seq cleans up", name)
			return nil
		})
		quiet(t, e)
	}
}
