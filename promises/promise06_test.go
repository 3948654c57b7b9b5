package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

var errCause = errors.New("the cause")

// requireDone checks that err is the error of a context canceled with errCause.
func requireDone(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errCause)
}

// Mutant: a queued task is found to be canceled only when a runner gets to it. Mutant: Wait returns at
// once, but the Done channel does not close.
func TestPromise06_AQueuedFutureResolvesAtOnce(t *testing.T) {
	for name, derive := range map[string]func(context.Context) context.Context{
		"plain": func(c context.Context) context.Context { return c },
		"value": func(c context.Context) context.Context { return context.WithValue(c, ctxKey{}, 1) },
		"child": func(c context.Context) context.Context {
			c, cancel := context.WithCancel(c)
			t.Cleanup(cancel)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 2)
			g := stick(t, e, 2)
			ctx, cancel := context.WithCancelCause(context.Background())
			never := func(context.Context) (int, error) { t.Error("a canceled task ran"); return 1, nil }
			byDone, err := executor.Submit(derive(ctx), e, never)
			require.NoError(t, err)
			byWait, err := executor.Submit(derive(ctx), e, never)
			require.NoError(t, err)
			late, err := executor.Submit(derive(ctx), e, never)
			require.NoError(t, err)
			waited := make(chan error, 1)
			go func() {
				_, err := byWait.Wait(context.Background())
				waited <- err
			}()
			ch := byDone.Done()
			cancel(errCause)
			await(t, "Done closes although no slot is free", ch)
			requireDone(t, await(t, "Wait returns although no slot is free", waited))
			await(t, "a Done channel asked for later is closed", late.Done())
			for _, f := range []*executor.Future[int]{byDone, byWait, late} {
				_, err := f.Wait(context.Background())
				requireDone(t, err)
			}
			g.Open()
			s := quiet(t, e)
			require.EqualValues(t, 3, s.Canceled)
		})
	}
}

// Mutant: a deadline of the parent does not reach a queued task's future.
func TestPromise06_AQueuedFutureResolvesAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := bare(t, 1)
		g := stick(t, e, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		f, err := executor.Submit(ctx, e, one)
		require.NoError(t, err)
		require.ErrorIs(t, result(t, f), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		g.Open()
		quiet(t, e)
		require.NoError(t, e.Close())
	})
}

// Mutant: Wait inside a task claims the canceled task and runs it.
func TestPromise06_ACanceledFutureIsNotClaimed(t *testing.T) {
	e := bare(t, 1)
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		c, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		f, err := executor.Submit(c, e, func(context.Context) (int, error) { return 1, errors.New("ran") })
		if err != nil {
			return err
		}
		cancel(errCause)
		_, err = f.Wait(ctx)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errCause) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	}))
	s := quiet(t, e)
	require.EqualValues(t, 1, s.Canceled)
}

// Mutant: Group.Wait waits for slots to drop its canceled tasks.
func TestPromise06_AGroupOfQueuedTasksEndsAtOnce(t *testing.T) {
	for _, limit := range []int{-1, 1} {
		e := bare(t, 1)
		g := stick(t, e, 1)
		ctx, cancel := context.WithCancelCause(context.Background())
		group := e.NewGroup(ctx)
		group.SetLimit(limit)
		for range 20 {
			group.Go(func(context.Context) error { t.Error("a canceled task ran"); return nil })
		}
		waited := make(chan error, 1)
		go func() { waited <- group.Wait() }()
		runtime.Gosched()
		cancel(errCause)
		requireDone(t, await(t, "Wait returns although no slot is free", waited))
		g.Open()
		s := quiet(t, e)
		require.EqualValues(t, 20, s.Canceled)
	}
}

// Mutant: a plain task whose context is done is run all the same, or is not counted.
func TestPromise06_AQueuedGoTaskIsDropped(t *testing.T) {
	e := bare(t, 1)
	g := stick(t, e, 1)
	ctx, cancel := context.WithCancel(context.Background())
	for range 10 {
		require.NoError(t, e.Go(ctx, func(context.Context) { t.Error("a canceled task ran") }))
	}
	cancel()
	g.Open()
	s := quiet(t, e)
	require.EqualValues(t, 10, s.Canceled)
	// The same in the own deque.
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for range 10 {
			if err := e.Go(ctx, func(context.Context) { t.Error("a canceled child ran") }); err != nil {
				return err
			}
		}
		return nil
	}))
	s = quiet(t, e)
	require.EqualValues(t, 20, s.Canceled)
}

// Mutant: the task's context is cut off from its parent.
func TestPromise06_RunningAndBlockedTasksSeeTheirContextEnd(t *testing.T) {
	e := spared(t, 2, 4)
	ctx, cancel := context.WithCancelCause(context.Background())
	started := make(chan struct{}, 3)
	waitDone := func(ctx context.Context) (int, error) {
		started <- struct{}{}
		<-ctx.Done()
		return 1, errors.Join(ctx.Err(), context.Cause(ctx))
	}
	fs := []*executor.Future[int]{}
	for _, body := range []func(context.Context) (int, error){
		waitDone,
		func(ctx context.Context) (v int, err error) {
			executor.Blocking(ctx, func() { v, err = waitDone(ctx) })
			return v, err
		},
		func(ctx context.Context) (int, error) {
			started <- struct{}{}
			for {
				if err := executor.Checkpoint(ctx); err != nil {
					return 1, err
				}
				if err := executor.Yield(ctx); err != nil {
					return 1, err
				}
				runtime.Gosched()
			}
		},
	} {
		f, err := executor.Submit(ctx, e, body)
		require.NoError(t, err)
		fs = append(fs, f)
		await(t, "the task starts", started)
	}
	cancel(errCause)
	for _, f := range fs {
		requireDone(t, result(t, f))
		v, _ := f.Wait(context.Background())
		require.Equal(t, 1, v, "a task that started keeps its own result")
	}
	s := quiet(t, e)
	require.Zero(t, s.Canceled)
	require.EqualValues(t, 3, s.Failed)
}

// Mutant: a forked child is dropped like any task when its context is done.
func TestPromise06_AForkedChildIsNeverDropped(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		for _, slots := range []int{1, 2} {
			e := bare(t, slots)
			var ran atomic.Int64
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				ctx, cancel := context.WithCancelCause(ctx)
				child := func(ctx context.Context) int {
					ran.Add(1)
					if ctx.Err() == nil || !errors.Is(context.Cause(ctx), errCause) {
						return 0
					}
					return 1
				}
				before := fork(ctx, child)
				fork(ctx, func(context.Context) int { ran.Add(1); return 1 }) // Never joined.
				cancel(errCause)
				after := fork(ctx, child)
				fork(ctx, func(context.Context) int { ran.Add(1); return 1 })
				done, _ := after.Join(ctx), before.Join(ctx)
				return want(nil, int64(done), 1) // the child sees its context done
			}))
			s := quiet(t, e)
			require.EqualValues(t, 4, ran.Load())
			require.Zero(t, s.Canceled)
		}
	})
}

// Mutant: Fork outside a task, or of a closed executor, needs somebody to run the child.
func TestPromise06_ForkWithoutAQueueRunsAtOnce(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		ran := 0
		f := fork(context.Background(), func(context.Context) int { ran++; return 5 })
		require.Equal(t, 1, ran, "Fork outside a task runs the child before it returns")
		require.Equal(t, 5, f.Join(context.Background()))

		e := bare(t, 1)
		fut, err := executor.Submit(context.Background(), e, func(ctx context.Context) (context.Context, error) { return ctx, nil })
		require.NoError(t, err)
		require.NoError(t, result(t, fut))
		leaked, _ := fut.Wait(context.Background())
		require.NoError(t, e.Close())
		f = fork(leaked, func(ctx context.Context) int { ran++; return 6 })
		require.Equal(t, 2, ran)
		require.Equal(t, 6, f.Join(leaked))
	})
}

// Mutant: a never-joined child is only run by Join.
func TestPromise06_AChildThatIsNeverJoinedStillRunsOnce(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		for _, cfg := range [][2]int{{1, 4}, {1, 4096}, {2, 16}} {
			e := bare(t, cfg[0], executor.WithQueueLimit(cfg[1]))
			const n = 3000
			runs := make([]atomic.Int32, n)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				for i := range n {
					f := fork(ctx, func(context.Context) int { runs[i].Add(1); return i })
					if i%3 == 0 {
						f.Join(ctx)
					}
				}
			}))
			quiet(t, e)
			for i := range runs {
				require.EqualValues(t, 1, runs[i].Load(), "child %d of %v", i, cfg)
			}
		}
	})
}

// Mutant: Join from another goroutine claims the child and runs it without being a runner.
func TestPromise06_JoinFromAnotherTaskAndFromOutside(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		e := spared(t, 2, 4)
		for range 100 {
			kids := make(chan executor.Forked[int], 2)
			g := newGate(t)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				for i := range 2 {
					kids <- fork(ctx, func(context.Context) int { return i + 1 })
				}
				executor.Blocking(ctx, g.Wait)
			}))
			outside, task := await(t, "a child", kids), await(t, "a child", kids)
			var got int
			within(t, "Join from outside", func() { got = outside.Join(context.Background()) })
			require.Equal(t, 1, got)
			require.NoError(t, inTask(t, e, func(ctx context.Context) error { return want(nil, int64(task.Join(ctx)), 2) }))
			g.Open()
			quiet(t, e)
		}
	})
}

// Mutant: a second Join returns the zero value.
func TestPromise06_ASecondJoinPanics(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		f := fork(context.Background(), func(context.Context) int { return 1 })
		require.Equal(t, 1, f.Join(context.Background()))
		require.Panics(t, func() { f.Join(context.Background()) })
		e := bare(t, 1)
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			f := fork(ctx, func(context.Context) int { return 1 })
			f.Join(ctx)
			// Other children must not be hit by a node that is used again.
			g := fork(ctx, func(context.Context) int { return 2 })
			defer func() {
				if recover() == nil {
					err = errors.New("no panic")
				}
				err = errors.Join(err, want(nil, int64(g.Join(ctx)), 2))
			}()
			f.Join(ctx)
			return nil
		}))
		quiet(t, e)
	})
}
