package promises

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// payload is what a function and a context must not keep alive.
type payload [1 << 12]byte

// kinds of tasks, each ended in one way. Each returns what somebody may keep for long. fn keeps the payload alive, and so
// does ctx, whose cancel ends it. The executor has one slot, which busy holds until it is opened.
var retained = []struct {
	name string
	end  func(t *testing.T, e *executor.Executor, ctx context.Context, cancel context.CancelFunc, fn func(), busy *gate) any
}{
	{"a Future that ended", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { fn(); return 1, nil })
		require.NoError(t, err)
		done := f.Done() // watches the parent
		busy.Open()
		await(t, "the end", done)
		return f
	}},
	{"a Future that panicked", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { fn(); panic("boom") })
		require.NoError(t, err)
		busy.Open()
		require.Error(t, result(t, f))
		return f
	}},
	{"a Future that was canceled", func(t *testing.T, e *executor.Executor, ctx context.Context, cancel context.CancelFunc, fn func(), busy *gate) any {
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { fn(); return 1, nil })
		require.NoError(t, err)
		done := f.Done()
		cancel()
		await(t, "the end", done)
		return []any{f, busy} // its dead entry is still queued
	}},
	{"a Future whose waiter left", func(t *testing.T, e *executor.Executor, ctx context.Context, cancel context.CancelFunc, fn func(), busy *gate) any {
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { fn(); return 1, nil })
		require.NoError(t, err)
		left, leave := context.WithCancel(context.Background())
		leave()
		_, err = f.Wait(left)
		require.ErrorIs(t, err, context.Canceled)
		busy.Open()
		require.NoError(t, result(t, f))
		return f
	}},
	{"a Future that Close dropped", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { fn(); return 1, nil })
		require.NoError(t, err)
		go func() { _ = e.Close() }()
		require.ErrorIs(t, result(t, f), executor.ErrClosed)
		return []any{f, busy}
	}},
	{"a refused submission", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		fill(t, e)
		_, err := executor.TrySubmit(ctx, e, func(context.Context) (int, error) { fn(); return 1, nil })
		require.ErrorIs(t, err, executor.ErrQueueFull)
		require.ErrorIs(t, e.TryGo(ctx, func(context.Context) { fn() }), executor.ErrQueueFull)
		return busy
	}},
	{"a bare task that Close dropped", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		require.NoError(t, e.Go(ctx, func(context.Context) { fn() }))
		go func() { _ = e.Close() }()
		eventually(t, "it is dropped", func() bool { return e.Stats().Canceled == 1 })
		return busy
	}},
	{"a group task that ended", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		g := e.NewGroup(context.Background())
		g.Go(func(context.Context) error { fn(); return nil })
		busy.Open()
		eventually(t, "it ends", func() bool { return e.Stats().Completed == 2 })
		return g // before Wait
	}},
	{"group tasks that the first error dropped", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		g := e.NewGroup(context.Background())
		g.SetLimit(2)
		bad := newGate(t)
		g.Go(func(context.Context) error { bad.Wait(); return errors.New("bad") }) // behind busy
		for range 3 {                                                              // one queued, two held
			g.Go(func(context.Context) error { fn(); return nil })
		}
		bad.Open()
		busy.Open()
		eventually(t, "they are dropped", func() bool { return e.Stats().Canceled+e.Stats().Completed == 5 })
		return g
	}},
	{"group tasks that Wait dropped", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		over, stop := context.WithCancel(context.Background())
		g := e.NewGroup(over)
		g.SetLimit(1)
		for range 3 { // one queued, two held
			g.Go(func(context.Context) error { fn(); return nil })
		}
		stop()
		require.ErrorIs(t, g.Wait(), context.Canceled)
		return []any{g, busy} // the dead entry is still queued
	}},
	{"a refused group task", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		fill(t, e)
		g := e.NewGroup(context.Background())
		require.False(t, g.TryGo(func(context.Context) error { fn(); return nil }))
		return []any{g, busy}
	}},
	{"forked children that nobody joined, or another task", func(t *testing.T, e *executor.Executor, ctx context.Context, _ context.CancelFunc, fn func(), busy *gate) any {
		busy.Open()
		var kept []executor.Forked[int]
		require.NoError(t, inTaskOf(t, e, func(ctx context.Context) error {
			inner := context.WithValue(ctx, ctxKey{}, fn)
			for range 2 {
				kept = append(kept, executor.Fork(inner, func(context.Context) int { fn(); return 1 }))
			}
			return nil
		}))
		require.NoError(t, inTaskOf(t, e, func(ctx context.Context) error { kept[0].Join(ctx); return nil }))
		eventually(t, "they end", func() bool { s := e.Stats(); return s.Completed == s.Submitted })
		return kept
	}},
}

// Mutants: finish keeps the parent, or the stop function of Done; a dropped task keeps its function until somebody meets its
// entry; end keeps the round in the task; a refused submission stays the injector's last; settle of a child keeps its function.
func TestPromise05_WhatHasEndedKeepsNothingAlive(t *testing.T) {
	for _, k := range retained {
		t.Run(k.name, func(t *testing.T) {
			e := bare(t, 1, executor.WithQueueLimit(8))
			busy := stick(t, e, 1)
			gone, kept := func() (weak.Pointer[payload], any) {
				p := new(payload)
				ctx, cancel := context.WithCancel(context.WithValue(context.Background(), ctxKey{}, p))
				return weak.Make(p), k.end(t, e, ctx, cancel, func() { runtime.KeepAlive(p) }, busy)
			}()
			eventually(t, "nothing keeps its function or its context alive", func() bool {
				runtime.GC()
				return gone.Value() == nil
			})
			busy.Open()
			runtime.KeepAlive(kept)
		})
	}
}
