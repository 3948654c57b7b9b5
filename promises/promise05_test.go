package promises

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// leakOps uses ctx, which belongs to a task of e or did so, in every call that takes one. The only errors
// it lets pass are those of a closed executor and a full queue.
func leakOps(ctx context.Context, e *executor.Executor, ran *atomic.Int64) error {
	count := func(context.Context) { ran.Add(1) }
	var errs []error
	note := func(err error) {
		if err != nil && !errors.Is(err, executor.ErrClosed) && !errors.Is(err, executor.ErrQueueFull) {
			errs = append(errs, err)
		}
	}
	note(e.Go(ctx, count))
	note(e.TryGo(ctx, count))
	if f, err := executor.Submit(ctx, e, one); err == nil {
		_, err = f.Wait(ctx)
		note(err)
	} else {
		note(err)
	}
	executor.Blocking(ctx, func() { note(e.Go(ctx, count)) })
	g := e.NewGroup(ctx)
	g.SetLimit(2)
	for range 3 {
		g.Go(func(ctx context.Context) error { return e.TryGo(ctx, count) })
	}
	note(g.Wait())
	a := executor.Fork(ctx, func(ctx context.Context) int { return fib(ctx, 3) })
	b := executor.Fork(ctx, func(context.Context) int { return 1 })
	if s := a.Join(ctx) + b.Join(ctx); s != 3 {
		errs = append(errs, want(nil, int64(s), 3))
	}
	note(executor.Checkpoint(ctx))
	note(executor.Yield(ctx))
	if of, ok := executor.FromContext(ctx); !ok || of != e {
		errs = append(errs, errors.New("the context forgot its executor"))
	}
	note(executor.For(ctx, e, 10, func(context.Context, int) error { return nil }))
	_, err := executor.Map(ctx, e, []int{1, 2}, func(_ context.Context, i int) (int, error) { return i, nil })
	note(err)
	note(executor.ForEach(ctx, e, slices.Values([]int{1, 2}), func(context.Context, int) error { return nil }))
	bulk, err := executor.NewBulkhead("leak", 1)
	note(err)
	note(bulk.Blocking(ctx, func() {}))
	_ = ctx.Err()
	_ = ctx.Done()
	_, _ = ctx.Deadline()
	return errors.Join(errs...)
}

// leakers run leakOps from n goroutines at once.
func leakers(t *testing.T, n, rounds int, ctx context.Context, e *executor.Executor) *sync.WaitGroup {
	var wg sync.WaitGroup
	var ran atomic.Int64
	for range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range rounds {
				if err := leakOps(ctx, e, &ran); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	return &wg
}

// Mutant: whoever holds the context pushes to the deque of its runner: the race detector reports, tasks
// are lost. Mutant: the runner's bookkeeping is read through the context without synchronisation.
func TestPromise05_ALeakedContextIsUsedByManyWhileItsTaskRuns(t *testing.T) {
	for _, cfg := range [][2]int{{1, 8}, {2, 8}, {2, 0}} {
		e := spared(t, cfg[0], cfg[1])
		rounds := scaled(300)
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			wg := leakers(t, 64, rounds/10, ctx, e)
			var own atomic.Int64
			// The owner uses its deque meanwhile, and lends its slot: with no spare the others need it.
			for range rounds {
				if err := leakOps(ctx, e, &own); err != nil {
					return err
				}
			}
			if cfg[1] > 0 {
				executor.Blocking(ctx, wg.Wait)
				return nil
			}
			t.Cleanup(wg.Wait)
			return nil
		}))
		within(t, "the books can be closed", func() { _ = e.Shutdown(context.Background()) })
	}
}

// Mutant: a context of a task that ended still names a runner, which meanwhile runs another task or none.
func TestPromise05_ALeakedContextIsUsedByManyAfterItsTask(t *testing.T) {
	for _, parent := range []string{"without Done", "with Done"} {
		t.Run(parent, func(t *testing.T) {
			e := spared(t, 2, 8)
			root := context.Background()
			if parent == "with Done" {
				var cancel context.CancelFunc
				root, cancel = context.WithCancel(root)
				defer cancel()
			}
			f, err := executor.Submit(root, e, func(ctx context.Context) (context.Context, error) { return ctx, nil })
			require.NoError(t, err)
			require.NoError(t, result(t, f))
			leaked, _ := f.Wait(context.Background())
			within(t, "the leaked context is used", leakers(t, 64, scaled(100)/10, leaked, e).Wait)
			require.NoError(t, leaked.Err(), "the context ended although the executor has not")
			quiet(t, e)

			wg := leakers(t, 64, scaled(100)/10, leaked, e)
			within(t, "Close", func() { _ = e.Close() })
			within(t, "the leaked context is used while the executor closes", wg.Wait)
			within(t, "the leaked context is used after the end", leakers(t, 64, 3, leaked, e).Wait)
			require.ErrorIs(t, leaked.Err(), context.Canceled)
			require.ErrorIs(t, context.Cause(leaked), executor.ErrClosed)
			balanced(t, e)
		})
	}
}

// Mutant: a leaked context in another task's hands counts as that task's own.
func TestPromise05_TasksThatSwapContexts(t *testing.T) {
	a, b := spared(t, 2, 8), spared(t, 1, 8)
	ctxs := make(chan context.Context, 64)
	body := func(e *executor.Executor) func(context.Context) error {
		return func(ctx context.Context) error {
			ctxs <- ctx
			other := <-ctxs
			of, ok := executor.FromContext(other)
			if !ok {
				return errors.New("no executor in a swapped context")
			}
			var ran atomic.Int64
			return errors.Join(leakOps(other, of, &ran), deep(other, e, 3), groups(other, of, 2, 1, &ran))
		}
	}
	ga, gb := a.NewGroup(context.Background()), b.NewGroup(context.Background())
	for range scaled(400) {
		ga.Go(body(a))
		gb.Go(body(b))
	}
	within(t, "the tasks end", func() {
		if err := errors.Join(ga.Wait(), gb.Wait()); err != nil {
			t.Error(err)
		}
	})
	quiet(t, a)
	quiet(t, b)
}

// oddCtx is a parent that no map may be keyed by and no == may touch, with a Done channel of its own and
// a Value that answers everything.
type oddCtx struct {
	context.Context
	done chan struct{}
	_    []int
}

func (c oddCtx) Done() <-chan struct{} { return c.done }
func (c oddCtx) Err() error {
	select {
	case <-c.done:
		return context.Canceled
	default:
		return nil
	}
}
func (c oddCtx) Value(any) any { return "an answer to everything" }

// Mutant: the cache of task contexts compares parents with ==, which panics for an uncomparable type.
// Mutant: the value found under the executor's key is asserted without a check.
func TestPromise05_OddParents(t *testing.T) {
	e := spared(t, 2, 4)
	root := oddCtx{Context: context.Background(), done: make(chan struct{})}
	_, ok := executor.FromContext(root)
	require.False(t, ok)
	for range 100 {
		require.NoError(t, e.Go(root, func(ctx context.Context) {
			_ = ctx.Done()
			if err := e.Go(ctx, func(context.Context) {}); err != nil {
				t.Error(err)
			}
			c, cancel := context.WithCancel(ctx)
			defer cancel()
			if err := deep(c, e, 2); err != nil {
				t.Error(err)
			}
		}))
	}
	quiet(t, e)
	seen, started := make(chan error, 1), make(chan struct{})
	require.NoError(t, e.Go(root, func(ctx context.Context) {
		close(started)
		executor.Blocking(ctx, func() { <-ctx.Done() })
		seen <- ctx.Err()
	}))
	await(t, "the task runs", started)
	close(root.done)
	require.ErrorIs(t, await(t, "the parent's end reaches the task", seen), context.Canceled)
	quiet(t, e)
}
