package promises

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: a panic on the other goroutine crashes the process, or a Goexit there leaves the caller waiting.
func TestOnThread_PanicAndGoexitComeBack(t *testing.T) {
	bad := errors.New("bad")
	recovered := func() (v any) {
		defer func() { v = recover() }()
		executor.OnThread(context.Background(), func() { panic(bad) })
		return nil
	}()
	err, ok := recovered.(error)
	require.True(t, ok, "recovered %v", recovered)
	require.ErrorIs(t, err, bad)

	after := false
	within(t, "a Goexit ends its caller", func() {
		executor.OnThread(context.Background(), runtime.Goexit)
		after = true
	})
	require.False(t, after, "the caller went on after a Goexit")

	e := spared(t, 1, 1)
	for range 10 {
		err := inTask(t, e, func(ctx context.Context) error {
			executor.OnThread(ctx, onThreadPanicSite)
			return nil
		})
		var pe *executor.PanicError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "thread", pe.Value)
		require.Contains(t, string(pe.Stack), "onThreadPanicSite", "the stack is the original one")
		err = inTask(t, e, func(ctx context.Context) error {
			executor.OnThread(ctx, runtime.Goexit)
			return nil
		})
		require.ErrorIs(t, err, executor.ErrGoexit)
	}
	quiet(t, e)
}

//go:noinline
func onThreadPanicSite() { panic("thread") }

// Mutant: OnThread's goroutine is taken for the runner: its pushes go to a deque that it does not own.
func TestOnThread_CallsInsideCountAsFromOutside(t *testing.T) {
	for range 20 {
		e := spared(t, 1, 1)
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			executor.OnThread(ctx, func() { err = deep(ctx, e, 5) })
			return err
		}))
		quiet(t, e)
	}
}

// Whoever waits for a task on a goroutine that this task waits for, gets an error: in OnThread, in a Do of another executor, and in
// both. A Bulkhead that such a task is in already serves there too. Mutants: only the goroutine's own runner is asked, or not what is below a
// guest; who is no task is not known behind OnThread.
func TestPromise04_WaitingForOneselfBehindOnThreadAndDo(t *testing.T) {
	other := spared(t, 1, 1)
	onThread := func(ctx context.Context, fn func(context.Context)) {
		executor.OnThread(ctx, func() { fn(ctx) })
	}
	do := func(ctx context.Context, fn func(context.Context)) {
		require.NoError(t, other.Do(ctx, func(ctx context.Context) error { fn(ctx); return nil }))
	}
	for name, behind := range map[string]func(context.Context, func(context.Context)){
		"OnThread": onThread,
		"Do":       do,
		"both": func(ctx context.Context, fn func(context.Context)) {
			onThread(ctx, func(ctx context.Context) { do(ctx, func(ctx context.Context) { onThread(ctx, fn) }) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := spared(t, 1, 2)
			serial, keyed := executor.NewSerial(e), executor.NewKeyed[int](e)
			one := func(context.Context) (int, error) { return 1, nil }
			bulkhead, err := executor.NewBulkhead("behind", 1)
			require.NoError(t, err)
			self := make(chan *executor.Future[int], 1)
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				me := <-self
				behind(ctx, func(ctx context.Context) {
					for _, ctx := range []context.Context{ctx, context.Background()} {
						if _, err := me.Wait(ctx); !errors.Is(err, executor.ErrSelfWait) {
							t.Errorf("Future: %v", err)
						}
					}
				})
				return 1, nil
			})
			require.NoError(t, err)
			self <- f
			within(t, "the future's task ends", func() { require.NoError(t, result(t, f)) })

			g := e.NewGroup(context.Background())
			g.Go(func(ctx context.Context) error {
				behind(ctx, func(context.Context) {
					if err := g.Wait(); !errors.Is(err, executor.ErrSelfWait) {
						t.Errorf("Group: %v", err)
					}
				})
				return nil
			})
			within(t, "the group ends", func() { require.NoError(t, g.Wait()) })

			selfish := func(ctx context.Context) error {
				behind(ctx, func(ctx context.Context) {
					if err := serial.Do(ctx, func(context.Context) error { return nil }); !errors.Is(err, executor.ErrSelfWait) {
						t.Errorf("Serial.Do: %v", err)
					}
					next, err := executor.SubmitOn(ctx, serial, one)
					if err == nil {
						_, err = next.Wait(ctx)
					}
					if !errors.Is(err, executor.ErrSelfWait) {
						t.Errorf("SubmitOn: %v", err)
					}
					if err := keyed.Do(ctx, 1, func(context.Context) error { return nil }); err != nil {
						t.Errorf("Keyed: %v", err)
					}
				})
				return nil
			}
			within(t, "the Serial's task ends", func() { require.NoError(t, serial.Do(context.Background(), selfish)) })

			nested := func(ctx context.Context) error {
				ran := false
				err := bulkhead.Blocking(ctx, func() {
					behind(ctx, func(ctx context.Context) {
						if err := bulkhead.Blocking(ctx, func() { ran = true }); err != nil {
							t.Errorf("Bulkhead: %v", err)
						}
					})
				})
				require.True(t, ran)
				return err
			}
			within(t, "the bulkhead serves", func() {
				require.NoError(t, inTask(t, e, nested))
				require.NoError(t, nested(context.Background()))
			})
			quiet(t, e)
		})
	}
}

// A call that lends nothing because nothing waits gives no slot away, however often.
func TestBlocking_NothingWaitsNoHandoff(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2), executor.WithMaxSpares(8))
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for range scaled(100000) {
			executor.Blocking(ctx, func() {})
		}
		return nil
	}))
	s := quiet(t, e)
	require.Zero(t, s.Handoffs)
	require.Zero(t, s.Uncompensated)
	require.Zero(t, s.Compensated)
	require.Zero(t, s.Spares)
}

// Mutant: runners beyond the slots stay, or credits do.
func TestBlocking_ABurstLeavesNothingBehind(t *testing.T) {
	const slots = 2
	n := scaled(1000)
	e := newExecutor(t, executor.WithSlots(slots), executor.WithMaxSpares(n), executor.WithStallDetection(false),
		executor.WithKeepAlive(time.Millisecond))
	alive(t, e)
	for range 2 {
		before := runtime.NumGoroutine()
		g := newGate(t)
		var inside atomic.Int64
		for range n {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				executor.Blocking(ctx, func() { inside.Add(1); g.Wait() })
			}))
		}
		eventually(t, "all are inside", func() bool { return inside.Load() == int64(n) })
		s := e.Stats()
		require.Equal(t, n, s.Blocked)
		require.GreaterOrEqual(t, s.Handoffs, uint64(n-slots))
		g.Open()
		quiet(t, e)
		eventually(t, "the spares retire", func() bool {
			return e.Stats().Spares == 0 && runtime.NumGoroutine() <= before+slots
		})
		require.Zero(t, e.Stats().Uncompensated)
	}
}
