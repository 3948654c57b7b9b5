package promises

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// A consumer's context ends, and nothing is lost that was accepted. Mutants: parentOf ignores the mark, or finds it only
// on the outermost context (the tasks never start); the call ignores the context too (the last ones wait for ever).
func TestDetached_TheCallFollowsTheContextAndTheTaskDoesNot(t *testing.T) {
	for name, mark := range map[string]func(context.Context) context.Context{
		"plain": executor.Detached,
		"named": func(ctx context.Context) context.Context {
			return executor.WithTaskName(executor.Detached(ctx), "task")
		},
		"with a timeout": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(executor.Detached(ctx), time.Hour)
			t.Cleanup(cancel)
			return ctx
		},
		"twice": func(ctx context.Context) context.Context { return executor.Detached(executor.Detached(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 1, executor.WithQueueLimit(4))
			gate := stick(t, e, 1)
			root, cancel := context.WithTimeout(context.WithValue(context.Background(), ctxKey{}, "v"), time.Hour)
			defer cancel()
			ctx := mark(root)
			seen := make(chan error, 4)
			body := func(ctx context.Context) {
				_, deadline := ctx.Deadline()
				if ctx.Value(ctxKey{}) != "v" || deadline || ctx.Done() == nil {
					t.Error("a context with a deadline, or without the values")
				}
				seen <- ctx.Err()
			}
			result := func(ctx context.Context) (int, error) { body(ctx); return 7, nil }
			require.NoError(t, e.Go(ctx, body))
			require.NoError(t, e.TryGo(ctx, body))
			f, err := executor.Submit(ctx, e, result)
			require.NoError(t, err)
			g, err := executor.TrySubmit(ctx, e, result)
			require.NoError(t, err)
			waiting := make(chan error, 2)
			go func() { waiting <- e.Go(ctx, body) }()
			go func() { _, err := executor.Submit(ctx, e, result); waiting <- err }()
			eventually(t, "two wait for room", func() bool { return e.Stats().Waiting == 2 })
			cancel()
			for range 2 {
				require.ErrorIs(t, await(t, "the wait ends", waiting), context.Canceled)
			}
			require.ErrorIs(t, e.Go(ctx, body), context.Canceled, "done at submit")
			require.ErrorIs(t, e.TryGo(ctx, body), context.Canceled, "done at submit")
			gate.Open()
			for range 4 {
				require.NoError(t, await(t, "what was accepted runs", seen))
			}
			for _, f := range []*executor.Future[int]{f, g} {
				v, err := f.Wait(context.Background())
				require.NoError(t, err)
				require.Equal(t, 7, v)
			}
			quiet(t, e)
		})
	}
}

// Mutants: the mark is left in the task's own context; the values of the parent lead to the mark.
func TestDetached_TheTasksOwnContextIsNot(t *testing.T) {
	e := bare(t, 1)
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		f, err := executor.Submit(executor.Detached(ctx), e, func(ctx context.Context) (int, error) {
			if of, ok := executor.FromContext(ctx); !ok || of != e {
				t.Error("the task does not know its executor")
			}
			inner, cancel := context.WithCancel(context.WithValue(ctx, ctxKey{}, 1))
			err := e.Go(inner, func(context.Context) { t.Error("ran although its context was done") })
			cancel()
			return 0, err
		})
		if err == nil {
			_, err = f.Wait(ctx)
		}
		return err
	}))
	require.EqualValues(t, 1, quiet(t, e).Canceled)

	// Nor is that of a task of a group, whose context has the mark.
	g := e.NewGroup(executor.Detached(context.Background()))
	g.Go(func(ctx context.Context) error {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		return e.Go(inner, func(context.Context) { t.Error("ran although its context was done") })
	})
	require.NoError(t, g.Wait())
	require.EqualValues(t, 2, quiet(t, e).Canceled)
}

// Mutants: a detached task's context is never done; Close lets one start that it has to drop.
func TestDetached_CloseEndsIt(t *testing.T) {
	e := bare(t, 1)
	ctx, cancel := context.WithCancel(context.Background())
	in, cause := make(chan struct{}), make(chan error, 1)
	require.NoError(t, e.Go(executor.Detached(ctx), func(ctx context.Context) {
		close(in)
		<-ctx.Done()
		cause <- context.Cause(ctx)
	}))
	await(t, "it runs", in)
	f, err := executor.Submit(executor.Detached(ctx), e, one)
	require.NoError(t, err)
	cancel()
	require.NoError(t, e.Close())
	require.ErrorIs(t, await(t, "Close reaches it", cause), executor.ErrClosed)
	_, err = f.Wait(context.Background())
	require.ErrorIs(t, err, executor.ErrClosed)
}

// Mutants: For or ForEach submits with the mark: it goes on to the end although its context is done.
func TestDetached_GroupsAndLoopsIgnoreIt(t *testing.T) {
	e := spared(t, 1, 4)
	for name, run := range map[string]func(ctx context.Context, fn func(context.Context) error) error{
		"For": func(ctx context.Context, fn func(context.Context) error) error {
			return executor.For(ctx, e, math.MaxInt, func(ctx context.Context, _ int) error { return fn(ctx) })
		},
		"ForEach": func(ctx context.Context, fn func(context.Context) error) error {
			endless := func(yield func(int) bool) {
				for yield(0) {
				}
			}
			return executor.ForEach(ctx, e, endless, func(ctx context.Context, _ int) error { return fn(ctx) })
		},
		"Group": func(ctx context.Context, fn func(context.Context) error) error {
			g := e.NewGroup(ctx)
			g.Go(func(ctx context.Context) error { _ = fn(ctx); <-ctx.Done(); return context.Cause(ctx) })
			return g.Wait()
		},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		within(t, name, func() {
			require.ErrorIs(t, run(executor.Detached(ctx), func(context.Context) error { cancel(); return nil }), context.Canceled, name)
		})
	}
	//lint:ignore SA1012 nil is what is tested
	require.Panics(t, func() { executor.Detached(nil) })
}
