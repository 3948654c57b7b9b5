package promises

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// one is a task that gives 1.
func one(context.Context) (int, error) { return 1, nil }

// shapes are the ways to submit work and wait for it. Each gets the executor that it may already be a
// task of, and any of ctxKinds.
var shapes = []struct {
	name string
	run  func(ctx context.Context, e *executor.Executor) error
}{
	{"Submit+Wait", func(ctx context.Context, e *executor.Executor) error {
		return sumWaits(ctx, e, 1, func([]*executor.Future[int]) {})
	}},
	{"Submit x20+Wait in order", func(ctx context.Context, e *executor.Executor) error {
		return sumWaits(ctx, e, 20, func([]*executor.Future[int]) {})
	}},
	{"Submit x20+Wait in reverse", func(ctx context.Context, e *executor.Executor) error {
		return sumWaits(ctx, e, 20, slices.Reverse[[]*executor.Future[int]])
	}},
	{"TrySubmit+Wait", func(ctx context.Context, e *executor.Executor) error {
		f, err := executor.TrySubmit(ctx, e, one)
		if err != nil {
			return err
		}
		_, err = f.Wait(ctx)
		return err
	}},
	{"Submit+Wait 30 deep", func(ctx context.Context, e *executor.Executor) error { return deep(ctx, e, 30) }},
	{"Group", func(ctx context.Context, e *executor.Executor) error {
		g := e.NewGroup(ctx)
		var n atomic.Int64
		for range 20 {
			g.Go(func(context.Context) error { n.Add(1); return nil })
		}
		return want(g.Wait(), n.Load(), 20)
	}},
	{"groups nested 10 deep", func(ctx context.Context, e *executor.Executor) error {
		var n atomic.Int64
		return errors.Join(groups(ctx, e, 10, -1, &n), want(nil, n.Load(), 1<<10))
	}},
	{"groups with SetLimit(1) nested 6 deep", func(ctx context.Context, e *executor.Executor) error {
		var n atomic.Int64
		return errors.Join(groups(ctx, e, 6, 1, &n), want(nil, n.Load(), 1<<6))
	}},
	{"Fork+Join", func(ctx context.Context, _ *executor.Executor) error {
		return want(nil, int64(fib(ctx, 12)), 144)
	}},
	{"For", func(ctx context.Context, e *executor.Executor) error {
		var n atomic.Int64
		err := executor.For(ctx, e, 1000, func(context.Context, int) error { n.Add(1); return nil })
		return want(err, n.Load(), 1000)
	}},
	{"For nested 3 deep", func(ctx context.Context, e *executor.Executor) error {
		var n atomic.Int64
		err := executor.For(ctx, e, 5, func(ctx context.Context, _ int) error {
			return executor.For(ctx, e, 5, func(ctx context.Context, _ int) error {
				return executor.For(ctx, e, 5, func(context.Context, int) error { n.Add(1); return nil })
			})
		})
		return want(err, n.Load(), 125)
	}},
	{"Map nested", func(ctx context.Context, e *executor.Executor) error {
		sums, err := executor.Map(ctx, e, []int{1, 2, 3}, func(ctx context.Context, i int) (int, error) {
			in, err := executor.Map(ctx, e, make([]int, i), func(ctx context.Context, _ int) (int, error) { return 1, nil })
			return len(in), err
		})
		if err == nil && !slices.Equal(sums, []int{1, 2, 3}) {
			err = fmt.Errorf("got %v", sums)
		}
		return err
	}},
	{"ForEach nested", func(ctx context.Context, e *executor.Executor) error {
		var n atomic.Int64
		err := executor.ForEach(ctx, e, slices.Values(make([]int, 9)), func(ctx context.Context, _ int) error {
			return executor.ForEach(ctx, e, slices.Values(make([]int, 9)), func(context.Context, int) error { n.Add(1); return nil })
		})
		return want(err, n.Load(), 81)
	}},
	{"Submit, wait inside Blocking", func(ctx context.Context, e *executor.Executor) (err error) {
		executor.Blocking(ctx, func() { err = deep(ctx, e, 3) })
		return err
	}},
	{"Group.Wait inside Blocking", func(ctx context.Context, e *executor.Executor) (err error) {
		var n atomic.Int64
		executor.Blocking(ctx, func() { err = groups(ctx, e, 3, 1, &n) })
		return want(err, n.Load(), 1<<3)
	}},
	{"Submit before, wait inside Blocking", func(ctx context.Context, e *executor.Executor) error {
		f, err := executor.Submit(ctx, e, one)
		if err != nil {
			return err
		}
		executor.Blocking(ctx, func() { _, err = f.Wait(ctx) })
		return err
	}},
	{"inside a Bulkhead", func(ctx context.Context, e *executor.Executor) error {
		b, err := executor.NewBulkhead("shape", 1)
		if err != nil {
			return err
		}
		err2 := b.Blocking(ctx, func() { err = deep(ctx, e, 3) })
		return errors.Join(err, err2)
	}},
	{"OnThread between", func(ctx context.Context, e *executor.Executor) error {
		f, err := executor.Submit(ctx, e, one)
		if err != nil {
			return err
		}
		ran := int64(0)
		executor.OnThread(ctx, func() { ran++ })
		_, err = f.Wait(ctx)
		return want(err, ran, 1)
	}},
	{"Yield and Checkpoint between", func(ctx context.Context, e *executor.Executor) error {
		f, err := executor.Submit(ctx, e, one)
		if err != nil {
			return err
		}
		if err := errors.Join(executor.Yield(ctx), executor.Checkpoint(ctx)); err != nil {
			return err
		}
		_, err = f.Wait(ctx)
		return err
	}},
}

func want(err error, got, n int64) error {
	if err == nil && got != n {
		err = fmt.Errorf("got %d, want %d", got, n)
	}
	return err
}

func sumWaits(ctx context.Context, e *executor.Executor, n int, order func([]*executor.Future[int])) error {
	fs, sum := make([]*executor.Future[int], n), 0
	for i := range fs {
		f, err := executor.Submit(ctx, e, one)
		if err != nil {
			return err
		}
		fs[i] = f
	}
	order(fs)
	for _, f := range fs {
		v, err := f.Wait(ctx)
		if err != nil {
			return err
		}
		sum += v
	}
	return want(nil, int64(sum), int64(n))
}

func deep(ctx context.Context, e *executor.Executor, depth int) error {
	if depth == 0 {
		return nil
	}
	f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { return 0, deep(ctx, e, depth-1) })
	if err != nil {
		return err
	}
	_, err = f.Wait(ctx)
	return err
}

func groups(ctx context.Context, e *executor.Executor, depth, limit int, leaves *atomic.Int64) error {
	if depth == 0 {
		leaves.Add(1)
		return nil
	}
	g := e.NewGroup(ctx)
	g.SetLimit(limit)
	for range 2 {
		g.Go(func(ctx context.Context) error { return groups(ctx, e, depth-1, limit, leaves) })
	}
	return g.Wait()
}

func fib(ctx context.Context, n int) int {
	if n < 2 {
		return n
	}
	a := executor.Fork(ctx, func(ctx context.Context) int { return fib(ctx, n-1) })
	b := fib(ctx, n-2)
	return a.Join(ctx) + b
}

// Mutant: the waiter parks without claiming what it waits for: with one slot and no spare nobody runs it.
// Mutant: a call that is about to wait looks for its runner in the context only, so Background keeps the
// slot. Mutant: Wait inside Blocking neither claims nor takes a slot back.
func TestPromise03_SubmitAndWaitInsideATaskNeverDeadlocks(t *testing.T) {
	for _, shape := range shapes {
		t.Run(shape.name, func(t *testing.T) {
			for _, kind := range ctxKinds {
				for _, cfg := range [][2]int{{1, 0}, {1, 1}, {2, 0}} {
					e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(4096))
					err := inTask(t, e, func(ctx context.Context) error {
						ctx, cancel := kind.Of(ctx)
						defer cancel()
						return shape.run(ctx, e)
					})
					require.NoError(t, err, "%s, %d slots, %d spares", kind.Name, cfg[0], cfg[1])
					quiet(t, e)
					closeNow(t, e)
				}
			}
		})
	}
}

// Mutant: as above, with many tasks that do it at once, so that futures are claimed, stolen and awaited
// while they run.
func TestPromise03_EveryShapeAtOnce(t *testing.T) {
	for _, cfg := range [][2]int{{1, 0}, {2, 0}, {2, 8}, {4, 2}} {
		t.Run(fmt.Sprintf("slots=%d/spares=%d", cfg[0], cfg[1]), func(t *testing.T) {
			e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(4096))
			g := e.NewGroup(context.Background())
			for i := range scaled(1500) {
				shape, kind := shapes[i%len(shapes)], ctxKinds[i/len(shapes)%len(ctxKinds)]
				g.Go(func(ctx context.Context) error {
					ctx, cancel := kind.Of(ctx)
					defer cancel()
					if err := shape.run(ctx, e); err != nil {
						return fmt.Errorf("%s, %s: %w", shape.name, kind.Name, err)
					}
					return nil
				})
			}
			within(t, "all shapes end", func() {
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			})
			quiet(t, e)
		})
	}
}

// Mutant: every shape from outside runs tasks on the caller's goroutine, or needs a task context.
func TestPromise03_EveryShapeFromOutside(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(4096))
	for _, shape := range shapes {
		within(t, shape.name, func() {
			if err := shape.run(context.Background(), e); err != nil {
				t.Errorf("%s: %v", shape.name, err)
			}
		})
	}
	quiet(t, e)
}

// A future whose parent ends before anybody has started it is canceled there and then, for whoever waits with whatever context.
// Mutant: the waiter does not listen to the parent.
func TestPromise03_TheEndOfTheParentEndsTheWait(t *testing.T) {
	for _, c := range callers {
		t.Run(c.name, func(t *testing.T) {
			e, other := bare(t, 1), spared(t, 1, 1)
			stick(t, e, 1)
			why := errors.New("why")
			parent, cancel := context.WithCancelCause(context.Background())
			f, err := executor.Submit(parent, e, one)
			require.NoError(t, err)
			waited := make(chan error, 1)
			go func() {
				waited <- c.run(t, other, func(context.Context) error {
					_, err := f.Wait(context.Background())
					return err
				})
			}()
			cancel(why)
			require.ErrorIs(t, await(t, "the wait ends", waited), why)
			require.EqualValues(t, 1, e.Stats().Canceled)
		})
	}
}

// A task that waits inside Blocking runs what it waits for in place, as ordinary work, and is inside again afterwards.
// Mutant: it stays outside, with its slot, and Blocking lends nothing any more.
func TestPromise03_AfterATaskInPlaceBlockingGoesOn(t *testing.T) {
	e := spared(t, 1, 1)
	ran := make(chan struct{})
	within(t, "the slot is lent", func() {
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			executor.Blocking(ctx, func() {
				var f *executor.Future[int]
				if f, err = executor.Submit(ctx, e, one); err == nil {
					_, err = f.Wait(ctx)
				}
				_ = e.Go(context.Background(), func(context.Context) { close(ran) })
				<-ran
			})
			return err
		}))
	})
	quiet(t, e)
}

// A task waits for one of a Serial while another one still runs, which then blocks until that has run: nobody is left to run it
// but the one that waits. Mutant: relieve does nothing.
func TestPromise03_AWaiterForASerialIsWokenWhenNobodyElseRuns(t *testing.T) {
	e := bare(t, 2)
	s := executor.NewSerial(e)
	ran, started, block := make(chan struct{}), make(chan struct{}), newGate(t)
	other, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		close(started)
		block.Wait()
		executor.Blocking(ctx, func() { <-ran })
		return 1, nil
	})
	require.NoError(t, err)
	await(t, "it runs", started)
	waits, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		f, err := executor.SubmitOn(ctx, s, func(context.Context) (int, error) { close(ran); return 1, nil })
		if err != nil {
			return 0, err
		}
		return f.Wait(ctx)
	})
	require.NoError(t, err)
	eventually(t, "the task waits", func() bool { return e.Stats().Lendable == 1 })
	block.Open()
	require.NoError(t, result(t, waits))
	require.NoError(t, result(t, other))
	quiet(t, e)
}

// Mutant: a task that waits for itself parks, and hangs. Mutant: only the innermost task on the stack is looked at, or only
// outside of Blocking.
func TestPromise03_WaitingForOneselfIsAnError(t *testing.T) {
	e := spared(t, 1, 1)
	self := make(chan *executor.Future[error], 1)
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (error, error) {
		me := <-self
		_, direct := me.Wait(ctx)
		_, foreign := me.Wait(context.Background())
		var blocking error
		executor.Blocking(ctx, func() { _, blocking = me.Wait(ctx) })
		child, err := executor.Submit(ctx, e, func(ctx context.Context) (error, error) { // runs in place
			_, err := me.Wait(ctx)
			return err, nil
		})
		if err != nil {
			return nil, err
		}
		below, err := child.Wait(ctx)
		for i, got := range []error{direct, foreign, blocking, below} {
			if !errors.Is(got, executor.ErrSelfWait) {
				t.Errorf("%d: %v", i, got)
			}
		}
		return nil, err
	})
	require.NoError(t, err)
	self <- f
	within(t, "the task returns", func() { require.NoError(t, result(t, f)) })

	g := e.NewGroup(context.Background())
	g.Go(func(ctx context.Context) error {
		require.ErrorIs(t, g.Wait(), executor.ErrSelfWait)
		executor.Blocking(ctx, func() { require.ErrorIs(t, g.Wait(), executor.ErrSelfWait) })
		inner := e.NewGroup(ctx)
		inner.Go(func(context.Context) error { return g.Wait() }) // runs in place, in inner's Wait
		require.ErrorIs(t, inner.Wait(), executor.ErrSelfWait)
		g.Go(func(context.Context) error { return nil }) // the group goes on
		return nil
	})
	within(t, "the group ends", func() { require.NoError(t, g.Wait()) })
	quiet(t, e)

	_, err = new(executor.Future[int]).Wait(context.Background())
	require.EqualError(t, err, "executor: Future not made by Submit")
	require.PanicsWithError(t, "executor: Future not made by Submit", func() { new(executor.Future[int]).Done() })
}
