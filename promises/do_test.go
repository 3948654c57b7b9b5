package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

var bg = context.Background()

// waiting waits until n tasks or guests are queued.
func waiting(t testing.TB, e *executor.Executor, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d are queued", n), func() bool { return e.Stats().Queued == n })
}

// Mutants: fn runs on another goroutine; its context is not a task's; the slot is not given back; an error is not counted
// as failed.
func TestDo_RunsOnTheCallersGoroutine(t *testing.T) {
	e := bare(t, 2)
	me := header()
	for range 3 {
		ran := false
		err := e.Do(context.WithValue(bg, ctxKey{}, 7), func(ctx context.Context) error {
			of, ok := executor.FromContext(ctx)
			require.True(t, ok && of == e)
			require.Equal(t, 7, ctx.Value(ctxKey{}))
			require.Equal(t, me, header())
			require.EqualValues(t, 1, e.Stats().Running)
			require.ErrorIs(t, e.Close(), executor.ErrInTask)
			ran = true
			return errSentinel
		})
		require.Equal(t, errSentinel, err)
		require.True(t, ran)
		require.NoError(t, e.TryDo(bg, func(context.Context) error { return nil }))
	}
	s := quiet(t, e)
	require.EqualValues(t, 6, s.Submitted)
	require.EqualValues(t, 6, s.Completed)
	require.EqualValues(t, 3, s.Failed)
	require.Zero(t, e.Stats().Parked, "no runner was needed")
	requireParallelism(t, e, 2)
}

// Tasks and guests start in the order in which they came, and no guest overtakes.
//
// Mutants: TryDo waits; the entry of a guest enters a deque. (A guest that takes a free slot although others wait is
// found by the explorer: that a slot is free then lasts no longer than a wake-up.)
func TestDo_FirstComeFirstServed(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(100))
	for range 20 {
		g := stick(t, e, 1)
		var order []int
		var wg sync.WaitGroup
		for i := range 20 {
			note := func(context.Context) { order = append(order, i) }
			if i%3 == 0 {
				require.NoError(t, e.Go(bg, note))
			} else {
				wg.Go(func() { _ = e.Do(bg, func(ctx context.Context) error { note(ctx); return nil }) })
			}
			waiting(t, e, i+1)
			require.ErrorIs(t, e.TryDo(bg, func(context.Context) error { t.Error("overtook"); return nil }), executor.ErrQueueFull)
		}
		g.Open()
		within(t, "all guests", wg.Wait)
		quiet(t, e)
		require.Len(t, order, 20)
		for i, n := range order {
			require.Equal(t, i, n, "%v", order)
		}
	}
	require.EqualValues(t, 20*20, e.Stats().RejectedFull)
}

// Mutants: a guest's end wakes a runner that then hands the slot to the next guest; the slot is freed between two.
func TestDo_AGuestPassesItsSlotToTheNext(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(1000))
	var p peak
	var wg sync.WaitGroup
	const n = 200
	first := newGate(t)
	started := make(chan struct{})
	wg.Go(func() {
		_ = e.Do(bg, func(context.Context) error { close(started); first.Wait(); return nil })
	})
	await(t, "the first one", started)
	for range n {
		wg.Go(func() {
			if err := e.Do(bg, func(context.Context) error { p.Enter(); defer p.Leave(); runtime.Gosched(); return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	waiting(t, e, n)
	first.Open()
	within(t, "all guests", wg.Wait)
	require.EqualValues(t, 1, p.Max())
	require.Zero(t, e.Stats().Parked, "no runner was between two guests")
	quiet(t, e)
}

// Mutants: a guest whose ctx is done keeps its entry, or its place; it is not counted as canceled; one that waits for
// room is; Close leaves guests waiting; Shutdown drops them.
func TestDo_WhatEndsAWait(t *testing.T) {
	never := func(context.Context) error { t.Error("ran"); return nil }
	e := bare(t, 1, executor.WithQueueLimit(2))
	g := stick(t, e, 1)
	done, cancelDone := context.WithCancelCause(bg)
	cancelDone(errCause)
	requireDone(t, e.Do(done, never))
	ctx, cancel := context.WithCancelCause(bg)
	ends := make(chan error, 10)
	for range 2 {
		go func() { ends <- e.Do(ctx, never) }()
	}
	waiting(t, e, 2)
	room, cancelRoom := context.WithCancelCause(bg)
	go func() { ends <- e.Do(room, never) }()
	eventually(t, "one waits for room", func() bool { return e.Stats().Waiting == 1 })
	cancelRoom(errCause)
	requireDone(t, await(t, "the one that waits for room", ends))
	before := e.Stats()
	require.EqualValues(t, 0, before.Canceled)
	cancel(errCause)
	for range 2 {
		requireDone(t, await(t, "a guest in the queue", ends))
	}
	s := e.Stats()
	require.EqualValues(t, 2, s.Canceled)
	require.Zero(t, s.Queued)
	for range 2 { // their places are free
		require.NoError(t, e.TryGo(bg, func(context.Context) {}))
	}
	require.ErrorIs(t, e.TryGo(bg, func(context.Context) {}), executor.ErrQueueFull)
	g.Open()
	quiet(t, e)

	g = stick(t, e, 1) // Shutdown runs what was accepted, and refuses what waits for room.
	ran := make(chan struct{}, 2)
	for range 2 {
		go func() { ends <- e.Do(bg, func(context.Context) error { ran <- struct{}{}; return nil }) }()
	}
	waiting(t, e, 2)
	go func() { ends <- e.Do(bg, never) }()
	eventually(t, "one waits for room", func() bool { return e.Stats().Waiting == 1 })
	down := make(chan error, 1)
	go func() { down <- e.Shutdown(bg) }()
	require.ErrorIs(t, await(t, "the one that waits for room", ends), executor.ErrClosed)
	require.ErrorIs(t, e.Do(bg, never), executor.ErrClosed)
	require.ErrorIs(t, e.TryDo(bg, never), executor.ErrClosed)
	g.Open()
	for range 2 {
		require.NoError(t, await(t, "an accepted guest", ends))
	}
	require.NoError(t, await(t, "Shutdown", down))
	require.Len(t, ran, 2)

	e = bare(t, 1)
	g = stick(t, e, 1) // Close drops them.
	for range 2 {
		go func() { ends <- e.Do(bg, never) }()
	}
	waiting(t, e, 2)
	go func() { down <- e.Close() }()
	for range 2 {
		require.ErrorIs(t, await(t, "a dropped guest", ends), executor.ErrClosed)
	}
	g.Open()
	require.NoError(t, await(t, "Close", down))
	require.EqualValues(t, 2, e.Stats().Canceled)
}

// Inside a task fn is part of the task, wherever in it that is.
//
// Mutants: it counts; it wants a slot; after a Do inside Blocking the task computes on although it is in Blocking.
func TestDo_InATask(t *testing.T) {
	for _, try := range []bool{false, true} {
		e := spared(t, 1, 1)
		do := e.Do
		if try {
			do = e.TryDo
		}
		err := inTask(t, e, func(ctx context.Context) error {
			for _, kind := range ctxKinds {
				c, cancel := kind.Of(ctx)
				defer cancel()
				ran := 0
				run := func(ctx context.Context) error {
					if of, ok := executor.FromContext(ctx); !ok || of != e {
						return errors.New("not in the task")
					}
					ran++
					return do(ctx, func(context.Context) error { ran++; return nil })
				}
				if err := do(c, run); err != nil {
					return fmt.Errorf("%s: %w", kind.Name, err)
				}
				executor.Blocking(c, func() {
					blocked := e.Stats().Blocked
					if err := do(c, func(ctx context.Context) error {
						if n := e.Stats().Blocked; n != blocked-1 {
							return fmt.Errorf("%d blocked, was %d", n, blocked)
						}
						return run(ctx)
					}); err != nil {
						t.Errorf("%s, inside Blocking: %v", kind.Name, err)
					}
					if n := e.Stats().Blocked; n != blocked {
						t.Errorf("after Do inside Blocking %d are blocked", n)
					}
					ended := make(chan struct{})
					if err := e.Go(bg, func(context.Context) { close(ended) }); err != nil {
						t.Error(err)
					}
					await(t, "the slot is lent again", ended)
				})
				if ran != 4 {
					return fmt.Errorf("ran %d times", ran)
				}
				func() {
					defer func() {
						if recover() != "in place" {
							t.Error("the panic is lost")
						}
					}()
					executor.Blocking(c, func() { _ = do(c, func(context.Context) error { panic("in place") }) })
				}()
			}
			c, cancel := context.WithCancelCause(ctx)
			cancel(errCause)
			if err := do(c, func(context.Context) error { return errors.New("ran") }); !errors.Is(err, errCause) {
				return err
			}
			return nil
		})
		require.NoError(t, err)
		s := quiet(t, e)
		require.EqualValues(t, 1+len(ctxKinds), s.Submitted)
		requireParallelism(t, e, 1)
	}
}

// A task of another executor lends its slot for the whole call; by goroutine, it is whose guest it is.
//
// Mutants: the other slot is kept; coming back waits for it; a Do of the first executor, further in, takes a second slot
// of it; Blocking further in lends the outer slot; the goroutine is still the outer runner's.
func TestDo_InATaskOfAnotherExecutor(t *testing.T) {
	a, b := spared(t, 1, 2), spared(t, 1, 2)
	free := func(e *executor.Executor, what string) {
		ran := make(chan struct{})
		require.NoError(t, e.Go(bg, func(context.Context) { close(ran) }))
		await(t, what, ran)
	}
	onlyIn := func(in, out *executor.Executor) {
		require.ErrorIs(t, in.Quiesce(bg), executor.ErrInTask)
		require.NotErrorIs(t, out.Quiesce(canceled()), executor.ErrInTask)
	}
	for _, inBlocking := range []bool{false, true} {
		body := func(actx context.Context) error {
			outer := func() error {
				return b.Do(actx, func(bctx context.Context) error {
					of, _ := executor.FromContext(bctx)
					require.Equal(t, b, of)
					free(a, "the slot of a is lent")
					onlyIn(b, a)
					executor.Blocking(bg, func() { free(b, "Blocking lends the slot of b") })
					executor.Blocking(actx, func() { free(b, "whatever context it is given") })
					require.ErrorIs(t, b.TryGo(bg, func(context.Context) {}), nil)
					err := a.Do(bctx, func(actx context.Context) error {
						of, _ := executor.FromContext(actx)
						require.Equal(t, a, of)
						free(b, "the slot of b is lent")
						onlyIn(a, b)
						executor.Blocking(bg, func() { free(a, "Blocking lends the slot of a") })
						if err := b.Do(actx, func(bctx context.Context) error {
							onlyIn(b, a)
							free(a, "the slot of a is lent again")
							f, err := executor.Submit(bctx, b, one)
							if err == nil {
								_, err = f.Wait(bctx)
							}
							return err
						}); err != nil {
							return err
						}
						onlyIn(a, b)
						return nil
					})
					onlyIn(b, a)
					return err
				})
			}
			var err error
			if inBlocking {
				executor.Blocking(actx, func() { err = outer() })
			} else {
				err = outer()
			}
			require.ErrorIs(t, a.Quiesce(bg), executor.ErrInTask)
			return err
		}
		require.NoError(t, inTask(t, a, body))
		quiet(t, b)
		quiet(t, a)
		require.NoError(t, a.Do(bg, body), "in a guest of a")
		quiet(t, b)
		quiet(t, a)
	}
	// Coming back does not wait: the only slot of a is taken, and the task goes on.
	back := newGate(t)
	require.NoError(t, inTask(t, a, func(ctx context.Context) error {
		err := b.Do(ctx, func(context.Context) error {
			started := make(chan struct{})
			require.NoError(t, a.Go(bg, func(context.Context) { close(started); back.Wait() }))
			await(t, "another task of a", started)
			return nil
		})
		back.Open()
		return err
	}))
	requireParallelism(t, a, 1)
	requireParallelism(t, b, 1)
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	return ctx
}

// Mutants: a panic is recovered and thrown again; Goexit is counted as completed; the slot is lost; a handler is called.
func TestDo_PanicAndGoexitPassThrough(t *testing.T) {
	other := spared(t, 1, 1)
	e := bare(t, 1, executor.WithPanicHandler(func(context.Context, *executor.PanicError) { t.Error("the handler") }))
	for name, do := range map[string]func(fn func(context.Context) error) error{
		"outside": func(fn func(context.Context) error) error { return e.Do(bg, fn) },
		"another task": func(fn func(context.Context) error) error {
			return other.Do(bg, func(ctx context.Context) error { return e.Do(ctx, fn) })
		},
		"children left": func(fn func(context.Context) error) error {
			return e.Do(bg, func(ctx context.Context) error {
				for range 10 {
					executor.Fork(ctx, func(context.Context) int { return 1 })
				}
				return fn(ctx)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.Stats().Panicked
			stack := ""
			func() {
				defer func() {
					require.Equal(t, errSentinel, recover())
					stack = stacks()
				}()
				_ = do(func(context.Context) error { panicSite(errSentinel); return nil })
			}()
			require.Contains(t, stack, "panicSite", "the panicking stack still stands")
			require.NotContains(t, stack, "recovered")
			came := false
			within(t, "Goexit", func() {
				defer func() { came = recover() == nil }()
				_ = do(func(context.Context) error { runtime.Goexit(); return nil })
				t.Error("came back")
			})
			require.True(t, came)
			quiet(t, other)
			s := quiet(t, e)
			require.EqualValues(t, before+2, s.Panicked)
			requireParallelism(t, e, 1)
			require.NoError(t, e.Do(bg, func(context.Context) error { return nil }))
		})
	}
}
