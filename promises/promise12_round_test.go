package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: Context opens another round than Go, or Wait ends it only if something was started.
func TestPromise12_ContextIsWhatTheTasksGet(t *testing.T) {
	e := bare(t, 2)
	g := e.NewGroup(context.WithValue(context.Background(), ctxKey{}, "kept"))
	ctx := g.Context()
	require.Equal(t, ctx, g.Context())
	require.Equal(t, "kept", ctx.Value(ctxKey{}))
	require.NoError(t, ctx.Err())
	bad, running := errors.New("bad"), make(chan struct{})
	g.Go(func(ctx context.Context) error { close(running); <-ctx.Done(); return nil })
	await(t, "a task runs", running)
	g.Go(func(context.Context) error { return bad })
	await(t, "a producer sees that the group has failed", ctx.Done())
	require.Equal(t, bad, context.Cause(ctx))
	require.Equal(t, bad, g.Wait())

	again := g.Context()
	require.NoError(t, again.Err(), "a new round has a new context")
	require.NoError(t, g.Wait())
	require.ErrorIs(t, again.Err(), context.Canceled, "Wait ends it also if nothing was started")
	quiet(t, e)
}

// Mutant: the context of a group that can not be used is nil, or never done.
func TestPromise12_ContextOfAGroupThatCanNotBeUsed(t *testing.T) {
	e := bare(t, 1)
	require.Error(t, new(executor.Group).Context().Err())
	//lint:ignore SA1012 on purpose
	require.ErrorContains(t, context.Cause(e.NewGroup(nil).Context()), "nil context") //nolint
	require.Panics(t, func() { (*executor.Group)(nil).Context() })
	require.Panics(t, func() { (*executor.Group)(nil).KeepGoing() })
	require.Panics(t, func() { (*executor.Group)(nil).SetBacklog(1) })
}

// Mutant: a refused TryGo ends the round's context, although somebody has seen it.
func TestPromise12_ARefusedTryGoLeavesAContextThatWasSeen(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(1))
	g := e.NewGroup(context.Background())
	ctx := g.Context()
	busy := stick(t, e, 1)
	require.Equal(t, 1, fill(t, e))
	require.False(t, g.TryGo(func(context.Context) error { return nil }))
	require.NoError(t, ctx.Err())
	busy.Open()
	require.NoError(t, g.Wait())
	require.Error(t, ctx.Err())
	quiet(t, e)
}

// Mutant: the calls of Go after the first error count as refused for want of room, or because somebody canceled.
func TestPromise12_RefusalsAfterTheGroupsOwnEndAreCountedApart(t *testing.T) {
	e := bare(t, 2)
	g := e.NewGroup(context.Background())
	ctx := g.Context()
	bad := errors.New("bad")
	g.Go(func(context.Context) error { return bad })
	await(t, "the group fails", ctx.Done())
	for range 50 {
		g.Go(func(context.Context) error { t.Error("ran after the first error"); return nil })
	}
	require.False(t, g.TryGo(func(context.Context) error { return nil }))
	require.Equal(t, bad, g.Wait())
	s := quiet(t, e)
	require.EqualValues(t, 51, s.Dismissed)
	require.Zero(t, s.Rejected)
}

// Mutant: an error, a panic or a Goexit cancels the others. Mutant: errors are kept in the order of submission.
// Mutant: one error comes wrapped.
func TestPromise12_KeepGoing(t *testing.T) {
	for _, limit := range []int{-1, 1} {
		for _, inside := range []bool{false, true} {
			t.Run(fmt.Sprintf("limit=%d/inside=%v", limit, inside), func(t *testing.T) {
				e := bare(t, 1)
				use := func(ctx context.Context) error {
					g := e.NewGroup(ctx)
					g.SetLimit(limit)
					g.KeepGoing()
					one := errors.New("one")
					g.Go(func(context.Context) error { return one })
					if err := g.Wait(); err != one {
						return fmt.Errorf("a single error is %w", err)
					}
					var order []error
					var ran int
					end := func(err error) error { ran++; order = append(order, err); return err }
					for i := range 10 {
						g.Go(func(ctx context.Context) error {
							if ctx.Err() != nil {
								t.Error("canceled by another's error")
							}
							if i%2 == 0 {
								return end(fmt.Errorf("task %d", i))
							}
							ran++
							return nil
						})
					}
					g.Go(func(context.Context) error { _ = end(executor.ErrGoexit); runtime.Goexit(); return nil })
					err := g.Wait()
					if ran != 11 {
						t.Errorf("%d ran", ran)
					}
					require.Equal(t, errors.Join(order...).Error(), err.Error(), "in the order of their ends")
					g.Go(func(context.Context) error { panic(errSentinel) })
					g.Go(func(context.Context) error { return one })
					err = g.Wait()
					var pe *executor.PanicError
					if !errors.As(err, &pe) || !errors.Is(err, one) {
						return fmt.Errorf("a panic and an error give %w", err)
					}
					return g.Wait()
				}
				if inside {
					f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) { return 0, use(ctx) })
					require.NoError(t, err)
					err = result(t, f)
					if limit < 0 { // Wait runs the tasks itself, and a Goexit ends it
						require.ErrorIs(t, err, executor.ErrGoexit)
					}
				} else {
					require.NoError(t, use(context.Background()))
				}
				quiet(t, e)
			})
		}
	}
}

// Mutant: each task that the end of the parent keeps from running is an error of its own. Mutant: KeepGoing starts them.
func TestPromise12_KeepGoingCountsTheEndOfTheParentOnce(t *testing.T) {
	for _, limit := range []int{-1, 2} {
		e := bare(t, 2)
		ctx, cancel := context.WithCancelCause(context.Background())
		g := e.NewGroup(ctx)
		g.SetLimit(limit)
		g.KeepGoing()
		bad := errors.New("bad")
		failed, running := make(chan struct{}), make(chan struct{})
		g.Go(func(ctx context.Context) error { close(running); <-ctx.Done(); return ctx.Err() })
		await(t, "a task runs", running)
		g.Go(func(context.Context) error { defer close(failed); return bad })
		await(t, "a task fails", failed)
		stuck := newGate(t)
		for range 2 { // on the other slot
			g.Go(func(context.Context) error { stuck.Wait(); return nil })
		}
		for range 20 {
			g.Go(func(context.Context) error { t.Error("started after the end of the parent"); return nil })
		}
		cancel(errCause)
		stuck.Open()
		g.Go(func(context.Context) error { t.Error("started after the end of the parent"); return nil })
		err := g.Wait()
		require.ErrorIs(t, err, bad)
		require.ErrorIs(t, err, errCause)
		require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 2, "%v", err)
		quiet(t, e)
	}
}

// Behind OnThread a task of the group can not run the child in place, and would wait for its own permit: it waited for ever. It is told,
// as by Wait. With room in the backlog, and in TryGo, nothing is different. Mutants: it is not asked who waits for the caller; it
// counts as such outside of OnThread too.
func TestPromise12_BehindOnThreadATaskAtTheBoundIsTold(t *testing.T) {
	e := bare(t, 2)
	g := e.NewGroup(context.Background())
	g.SetLimit(1)
	g.SetBacklog(1)
	g.KeepGoing()
	var ran atomic.Int64
	child := func(context.Context) error { ran.Add(1); return nil }
	g.Go(func(ctx context.Context) error {
		executor.OnThread(ctx, func() {
			g.Go(child) // fills the backlog
			g.Go(child)
			if g.TryGo(child) {
				t.Error("TryGo at the limit")
			}
		})
		return nil
	})
	var err error
	within(t, "Wait returns", func() { err = g.Wait() })
	require.ErrorIs(t, err, executor.ErrSelfWait)
	require.EqualValues(t, 1, ran.Load())
	require.NoError(t, inTask(t, e, func(ctx context.Context) error { // another task waits there as ever
		g.Go(child)
		executor.OnThread(ctx, func() { g.Go(child); g.Go(child); g.Go(child) })
		return g.Wait()
	}))
	require.EqualValues(t, 5, ran.Load())
	quiet(t, e)
}

// Mutant: a limit, a backlog or KeepGoing is forgotten with the round, or may change in it.
func TestPromise12_SettingsStayOverRounds(t *testing.T) {
	e := bare(t, 4)
	g := e.NewGroup(context.Background())
	g.SetLimit(2)
	g.SetBacklog(0)
	g.KeepGoing()
	for range 3 {
		var p peak
		for i := range 20 {
			g.Go(func(context.Context) error {
				p.Enter()
				defer p.Leave()
				runtime.Gosched()
				return fmt.Errorf("task %d", i)
			})
		}
		err := g.Wait()
		require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 20)
		require.LessOrEqual(t, p.Max(), int64(2))
	}
	running := newGate(t)
	g.Go(func(context.Context) error { running.Wait(); return nil })
	require.Panics(t, func() { g.SetBacklog(5) })
	require.Panics(t, func() { g.KeepGoing() })
	running.Open()
	require.NoError(t, g.Wait())
	require.PanicsWithError(t, "executor: Group.SetBacklog(-1): must not be negative", func() { g.SetBacklog(-1) })
	g.KeepGoing()
	quiet(t, e)
}
