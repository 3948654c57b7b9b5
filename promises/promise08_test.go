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
	"github.com/stretchr/testify/require"
)

// Mutant: a second Close waits for a signal that the first has used up.
func TestPromise08_CloseAndShutdownAreIdempotent(t *testing.T) {
	for _, stuckTask := range []bool{false, true} {
		e := spared(t, 2, 4)
		g := newGate(t)
		if stuckTask {
			g = stick(t, e, 1)
		}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var err error
				if i%2 == 0 {
					err = e.Close()
				} else {
					err = e.Shutdown(context.Background())
				}
				if err != nil {
					t.Error(err)
				}
				if s := e.Stats(); s.Running != 0 {
					t.Errorf("the end was reported while tasks run: %+v", s)
				}
			}()
		}
		g.Open()
		within(t, "everybody sees the end", wg.Wait)
		require.NoError(t, e.Close())
		require.NoError(t, e.Shutdown(context.Background()))
		balanced(t, e)
	}
}

// Mutant: Close drops the queue without resolving the futures, or does not cancel the running tasks.
func TestPromise08_CloseCancelsRunningAndDropsQueued(t *testing.T) {
	for name, parent := range map[string]context.Context{"Background": context.Background(), "with Done": t.Context()} {
		t.Run(name, func(t *testing.T) {
			e := spared(t, 2, 2, executor.WithQueueLimit(64))
			started := make(chan struct{}, 2)
			running := func(ctx context.Context) (int, error) {
				started <- struct{}{}
				<-ctx.Done()
				return 5, context.Cause(ctx)
			}
			var fs []*executor.Future[int]
			for range 2 {
				f, err := executor.Submit(parent, e, running)
				require.NoError(t, err)
				fs = append(fs, f)
				await(t, "it starts", started)
			}
			group := e.NewGroup(parent)
			group.SetLimit(1)
			for range 8 {
				f, err := executor.Submit(parent, e, func(context.Context) (int, error) { t.Error("a queued task ran after Close"); return 1, nil })
				require.NoError(t, err)
				fs = append(fs, f)
				require.NoError(t, e.Go(parent, func(context.Context) { t.Error("a queued task ran after Close") }))
				group.Go(func(context.Context) error { t.Error("a group's task ran after Close"); return nil })
			}
			within(t, "Close", func() { _ = e.Close() })
			for i, f := range fs {
				select {
				case <-f.Done():
				default:
					t.Fatalf("future %d is open after Close", i)
				}
				v, err := f.Wait(context.Background())
				require.ErrorIs(t, err, executor.ErrClosed)
				if i < 2 {
					require.Equal(t, 5, v)
				}
			}
			require.ErrorIs(t, group.Wait(), executor.ErrClosed)
			s := balanced(t, e)
			require.EqualValues(t, 2, s.Completed)
			require.EqualValues(t, 24, s.Canceled)
		})
	}
}

// Mutant: Shutdown drops what is queued, or refuses what the draining tasks submit.
func TestPromise08_ShutdownFinishesWhatWasAcceptedAndWhatItSubmits(t *testing.T) {
	e := spared(t, 1, 2, executor.WithQueueLimit(256))
	g, leakedCtx := newGate(t), make(chan context.Context, 1)
	var ran atomic.Int64
	count := func(context.Context) { ran.Add(1) }
	work := func(ctx context.Context) error {
		leakedCtx <- ctx
		g.Wait()
		for i := range 100 {
			shape := shapes[i%len(shapes)]
			if err := shape.run(ctx, e); err != nil {
				return fmt.Errorf("%s: %w", shape.name, err)
			}
		}
		for range 10 {
			if err := errors.Join(e.Go(ctx, count), e.TryGo(ctx, count)); err != nil {
				return err
			}
		}
		return nil
	}
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) { return 1, work(ctx) })
	require.NoError(t, err)
	for range 100 {
		require.NoError(t, e.Go(context.Background(), count))
	}
	leaked := await(t, "the task runs", leakedCtx)
	down := make(chan error, 1)
	go func() { down <- e.Shutdown(context.Background()) }()
	refused := 0
	eventually(t, "outsiders are refused", func() bool {
		err := e.TryGo(context.Background(), count)
		if err == nil {
			refused--
		}
		return errors.Is(err, executor.ErrClosed)
	})
	ran.Add(int64(refused))
	require.ErrorIs(t, e.Go(context.Background(), count), executor.ErrClosed)
	require.ErrorIs(t, e.Go(leaked, count), executor.ErrClosed, "a leaked context does not make an insider")
	_, err = executor.Submit(context.Background(), e, one)
	require.ErrorIs(t, err, executor.ErrClosed)
	require.ErrorIs(t, inGroup(context.Background(), e, func() {}), executor.ErrClosed)
	require.ErrorIs(t, executor.For(context.Background(), e, 10, func(context.Context, int) error { return nil }), executor.ErrClosed)
	require.NoError(t, leaked.Err())
	require.Empty(t, down)
	g.Open()
	require.NoError(t, result(t, f), "draining tasks may submit, fork and wait")
	require.NoError(t, await(t, "Shutdown returns", down))
	require.EqualValues(t, 120, ran.Load())
	s := balanced(t, e)
	require.Zero(t, s.Canceled)
	require.ErrorIs(t, e.Resize(1), executor.ErrClosed)
	require.NoError(t, e.Quiesce(context.Background()))
}

// Mutant: Shutdown whose context ends gives up and leaves the tasks alone.
func TestPromise08_ShutdownBecomesCloseAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := spared(t, 1, 1)
		f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 1, context.Cause(ctx)
		})
		require.NoError(t, err)
		queued, err := executor.Submit(context.Background(), e, one)
		require.NoError(t, err)
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, e.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.ErrorIs(t, result(t, f), executor.ErrClosed)
		require.ErrorIs(t, result(t, queued), executor.ErrClosed)
		balanced(t, e)
	})
}

// Mutant: as above, with a context that is done from the start.
func TestPromise08_ShutdownWithADoneContextIsClose(t *testing.T) {
	e := spared(t, 1, 1)
	started := make(chan struct{})
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		close(started)
		<-ctx.Done()
		return 1, context.Cause(ctx)
	})
	require.NoError(t, err)
	await(t, "it starts", started)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	within(t, "Shutdown", func() {
		if err := e.Shutdown(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, errCause) {
			t.Errorf("got %v", err)
		}
	})
	require.ErrorIs(t, result(t, f), executor.ErrClosed)
	balanced(t, e)
}

// Mutant: Close returns before the running tasks end.
func TestPromise08_CloseWaitsForTheRunning(t *testing.T) {
	e := spared(t, 2, 2)
	inSlot := stick(t, e, 1)
	inside, blocked := make(chan struct{}), newGate(t)
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		executor.Blocking(ctx, func() { close(inside); blocked.Wait() })
	}))
	await(t, "it blocks", inside)
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	eventually(t, "outsiders are refused", func() bool {
		return errors.Is(e.TryGo(context.Background(), func(context.Context) {}), executor.ErrClosed)
	})
	require.Empty(t, closed)
	inSlot.Open()
	require.Empty(t, closed)
	blocked.Open()
	require.NoError(t, await(t, "Close returns", closed))
	balanced(t, e)
}

// Mutant: the calls look for a task in their context only, or not at all: they wait for themselves.
func TestPromise08_LifeCallsFromATaskReturnErrInTask(t *testing.T) {
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			e := spared(t, 2, 4)
			calls := func(ctx context.Context) error {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				for name, err := range map[string]error{"Shutdown": e.Shutdown(ctx), "Close": e.Close(), "Quiesce": e.Quiesce(ctx)} {
					if !errors.Is(err, executor.ErrInTask) {
						return fmt.Errorf("%s: %v", name, err)
					}
				}
				return nil
			}
			require.NoError(t, inTask(t, e, calls))
			require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
				executor.Blocking(ctx, func() { err = calls(ctx) })
				return err
			}))
			require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
				return executor.Fork(ctx, calls).Join(ctx)
			}))
			g := e.NewGroup(context.Background())
			g.Go(calls)
			require.NoError(t, g.Wait())
			require.NoError(t, executor.For(context.Background(), e, 20, func(ctx context.Context, _ int) error { return calls(ctx) }))
			alive(t, e)
			quiet(t, e)
		})
	}
}

// Mutant: a task of one executor that ends another keeps its slot meanwhile.
func TestPromise08_ATaskMayEndAnotherExecutor(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, e *executor.Executor) error{
		"Close":    func(_ context.Context, e *executor.Executor) error { return e.Close() },
		"Shutdown": func(ctx context.Context, e *executor.Executor) error { return e.Shutdown(ctx) },
		"Quiesce":  func(ctx context.Context, e *executor.Executor) error { return e.Quiesce(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := spared(t, 1, 1), spared(t, 1, 1)
			g := stick(t, b, 1)
			about := make(chan struct{})
			f, err := executor.Submit(context.Background(), a, func(ctx context.Context) (int, error) {
				close(about)
				return 1, end(ctx, b)
			})
			require.NoError(t, err)
			await(t, "the task of a is about to wait for b", about)
			// b's task goes on when a runs another.
			require.NoError(t, a.Go(context.Background(), func(context.Context) { g.Open() }))
			require.NoError(t, result(t, f))
			quiet(t, a)
		})
	}
}

// Mutant: Quiesce looks at the queue only. Mutant: it closes the executor. Mutant: it does not leave.
func TestPromise08_QuiesceWaitsForEverythingAndStaysOpen(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(1))
	require.NoError(t, e.Quiesce(context.Background()))
	for range 20 {
		g := stick(t, e, 1)
		var ran atomic.Int64
		chain := func(ctx context.Context) {
			if err := e.Go(ctx, func(ctx context.Context) {
				if err := e.Go(ctx, func(context.Context) { ran.Add(1) }); err != nil {
					t.Error(err)
				}
			}); err != nil {
				t.Error(err)
			}
		}
		require.NoError(t, e.Go(context.Background(), chain))
		blocked := make(chan error, 1)
		go func() { blocked <- e.Go(context.Background(), chain) }()
		eventually(t, "a submitter waits", func() bool { return e.Stats().Waiting == 1 })
		ctx, cancel := context.WithCancelCause(context.Background())
		left := make(chan error, 1)
		go func() { left <- e.Quiesce(ctx) }()
		still := make(chan error, 1)
		go func() { still <- e.Quiesce(context.Background()) }()
		cancel(errCause)
		requireDone(t, await(t, "Quiesce leaves with its context", left))
		require.Empty(t, still)
		g.Open()
		require.NoError(t, await(t, "Quiesce returns", still))
		require.EqualValues(t, 2, ran.Load())
		require.NoError(t, <-blocked)
	}
	alive(t, e)
	quiet(t, e)
}
