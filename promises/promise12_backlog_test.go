package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// limited returns a group with a limit and a backlog whose first task holds all there is until the gate opens.
func limited(t *testing.T, e *executor.Executor, limit, backlog int) (*executor.Group, *gate) {
	t.Helper()
	g := e.NewGroup(context.Background())
	g.SetLimit(limit)
	g.SetBacklog(backlog)
	first := newGate(t)
	for range limit {
		in := make(chan struct{})
		g.Go(func(context.Context) error { close(in); first.Wait(); return nil })
		await(t, "a task of the group runs", in)
	}
	return g, first
}

// Mutant: held tasks take places in the executor's queue.
func TestPromise12_AGroupAtItsLimitRefusesNobodyElse(t *testing.T) {
	const queue = 64
	e := bare(t, 4, executor.WithQueueLimit(queue))
	g, first := limited(t, e, 1, queue)
	for range queue {
		g.Go(func(context.Context) error { return nil })
	}
	require.Equal(t, queue, e.Stats().Queued)
	for range 3 { // the other slots are idle
		ran := make(chan struct{})
		require.NoError(t, e.TryGo(context.Background(), func(context.Context) { close(ran) }))
		await(t, "somebody else's task runs", ran)
	}
	first.Open()
	require.NoError(t, g.Wait())
	quiet(t, e)
}

// Mutant: the backlog has no bound, or one more or less. Mutant: a place in it is given back, and nobody who waits gets it.
// Mutant: those who wait are served newest first.
func TestPromise12_GoFromOutsideWaitsAtTheBacklogsBound(t *testing.T) {
	for _, backlog := range []int{0, 1, 3} {
		t.Run(fmt.Sprint("backlog=", backlog), func(t *testing.T) {
			e := bare(t, 2, executor.WithQueueLimit(1000))
			g, first := limited(t, e, 1, backlog)
			var mu sync.Mutex
			var order []int
			task := func(i int) func(context.Context) error {
				return func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, i)
					return nil
				}
			}
			for i := range backlog {
				g.Go(task(i))
			}
			require.Zero(t, e.Stats().Waiting)
			const waiting = 3
			var wg sync.WaitGroup
			for i := range waiting {
				wg.Go(func() { g.Go(task(backlog + i)) })
				eventually(t, "Go waits at the bound", func() bool { return e.Stats().Waiting == i+1 })
			}
			require.Equal(t, backlog, e.Stats().Queued)
			require.False(t, g.TryGo(task(-1)))
			first.Open()
			within(t, "all are taken", wg.Wait)
			require.NoError(t, g.Wait())
			require.Len(t, order, backlog+waiting)
			for i, got := range order {
				require.Equal(t, i, got, "order %v", order)
			}
			s := quiet(t, e)
			require.EqualValues(t, 1+backlog+waiting, s.Completed)
			require.Zero(t, s.Rejected)
		})
	}
}

// Mutant: Quiesce does not see who waits at a group's bound.
func TestPromise12_QuiesceSeesWhoWaitsAtTheBound(t *testing.T) {
	e := bare(t, 2)
	for range scaled(300) {
		g, first := limited(t, e, 1, 0)
		var ran atomic.Bool
		accepted := make(chan struct{})
		go func() {
			defer close(accepted)
			g.Go(func(context.Context) error { ran.Store(true); return nil })
		}()
		eventually(t, "Go waits at the bound", func() bool { return e.Stats().Waiting == 1 })
		quieted := make(chan error, 1)
		go func() { quieted <- e.Quiesce(context.Background()) }()
		first.Open()
		require.NoError(t, await(t, "Quiesce", quieted))
		require.True(t, ran.Load(), "Quiesce returned beside a caller that waited")
		await(t, "Go returns", accepted)
		require.NoError(t, g.Wait())
	}
}

// Mutant: who waits at the bound does not look at the group's context. Mutant: who left is served all the same.
func TestPromise12_TheEndOfTheContextEndsTheWaitAtTheBound(t *testing.T) {
	e := bare(t, 2)
	ctx, cancel := context.WithCancelCause(context.Background())
	g := e.NewGroup(ctx)
	g.SetLimit(1)
	g.SetBacklog(0)
	first, in := newGate(t), make(chan struct{})
	g.Go(func(context.Context) error { close(in); first.Wait(); return nil })
	await(t, "the task runs", in)
	left := make(chan struct{})
	go func() {
		defer close(left)
		g.Go(func(context.Context) error { t.Error("ran, although its caller had left"); return nil })
	}()
	eventually(t, "Go waits at the bound", func() bool { return e.Stats().Waiting == 1 })
	cancel(errCause)
	await(t, "Go returns", left)
	require.Zero(t, e.Stats().Waiting)
	first.Open()
	requireDoneSoft(t, g.Wait())
	s := quiet(t, e)
	require.EqualValues(t, 1, s.Submitted)
	require.EqualValues(t, 1, s.RejectedCanceled)
}

// Mutant: Shutdown and Close do not reach those who wait at a group's bound.
func TestPromise12_TheEndOfTheExecutorEndsTheWaitAtTheBound(t *testing.T) {
	for name, end := range map[string]func(*executor.Executor) error{
		"Shutdown": func(e *executor.Executor) error { return e.Shutdown(context.Background()) },
		"Close":    (*executor.Executor).Close,
	} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 2)
			g, first := limited(t, e, 1, 0)
			left := make(chan struct{})
			go func() {
				defer close(left)
				g.Go(func(context.Context) error { t.Error("accepted while closing"); return nil })
			}()
			eventually(t, "Go waits at the bound", func() bool { return e.Stats().Waiting == 1 })
			ended := make(chan error, 1)
			go func() { ended <- end(e) }()
			await(t, "Go returns", left)
			first.Open()
			require.NoError(t, await(t, "the end", ended))
			require.ErrorIs(t, g.Wait(), executor.ErrClosed)
		})
	}
}

// Mutant: a task of the group takes a second permit, or waits with its own, where the backlog is full.
// Mutant: what runs in place gives a permit back that it did not have: the limit is passed.
func TestPromise12_ATaskOfTheGroupRunsTheChildInPlace(t *testing.T) {
	for _, backlog := range []int{0, 1, 5} {
		for _, limit := range []int{1, 2, 3} {
			e := spared(t, 2, 8)
			g := e.NewGroup(context.Background())
			g.SetLimit(limit)
			g.SetBacklog(backlog)
			var p peak
			var ran atomic.Int64
			var grow func(depth int) func(context.Context) error
			grow = func(depth int) func(context.Context) error {
				return func(ctx context.Context) error {
					p.Enter()
					ran.Add(1)
					executor.Blocking(ctx, runtime.Gosched)
					p.Leave() // the child may run on this very stack
					for range 3 {
						if depth > 0 {
							g.Go(grow(depth - 1))
						}
					}
					return nil
				}
			}
			g.Go(grow(5))
			within(t, "Wait", func() { require.NoError(t, g.Wait()) })
			require.EqualValues(t, 364, ran.Load())
			require.LessOrEqual(t, p.Max(), int64(limit))
			quiet(t, e)
		}
	}
}

// Mutant: a Goexit in a child that runs in place is taken for the end of the child alone: its permit, or the one of the
// task below, gets lost.
func TestPromise12_GoexitInPlaceEndsTheTaskBelowToo(t *testing.T) {
	e := bare(t, 1)
	g := e.NewGroup(context.Background())
	g.SetLimit(1)
	g.SetBacklog(0)
	g.KeepGoing()
	g.Go(func(context.Context) error {
		g.Go(func(context.Context) error { runtime.Goexit(); return nil })
		t.Error("went on after a Goexit on its own stack")
		return nil
	})
	var after atomic.Bool
	g.Go(func(context.Context) error { after.Store(true); return nil })
	var err error
	within(t, "Wait", func() { err = g.Wait() })
	require.True(t, after.Load(), "the permit is lost")
	require.Equal(t, errors.Join(executor.ErrGoexit, executor.ErrGoexit).Error(), err.Error())
	require.EqualValues(t, 2, quiet(t, e).Panicked)
}

// Mutant: a task of something else keeps its slot while it waits at the bound. Mutant: with no spare left it waits for a
// task that nobody else can run.
func TestPromise12_AnotherTaskWaitsAtTheBoundWithItsSlotLent(t *testing.T) {
	for _, spares := range []int{0, 1, 4} {
		for _, inside := range []bool{false, true} {
			e := spared(t, 1, spares)
			g := e.NewGroup(context.Background())
			g.SetLimit(1)
			g.SetBacklog(1)
			var ran atomic.Int64
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				add := func() {
					for range 50 {
						g.Go(func(context.Context) error { ran.Add(1); return nil })
					}
				}
				if inside {
					executor.Blocking(ctx, add)
				} else {
					add()
				}
				return g.Wait()
			}), "spares %d, inside Blocking %v", spares, inside)
			require.EqualValues(t, 50, ran.Load())
			quiet(t, e)
		}
	}
}

// Two tasks wait at the bound inside Blocking, with no spare left for the second one: they run what is queued themselves. Chaos
// programs stood still here.
func TestPromise12_InsideBlockingTasksAtTheBoundHelp(t *testing.T) {
	e := spared(t, 1, 1)
	var ran atomic.Int64
	in := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	var futures []*executor.Future[int]
	for i := range in {
		f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
			g := e.NewGroup(ctx)
			g.SetLimit(1)
			g.SetBacklog(0)
			executor.Blocking(ctx, func() {
				close(in[i])
				<-in[1-i]
				for range 3 {
					g.Go(func(context.Context) error { ran.Add(1); return nil })
				}
			})
			return 0, g.Wait()
		})
		require.NoError(t, err)
		futures = append(futures, f)
	}
	for _, f := range futures {
		require.NoError(t, result(t, f))
	}
	require.EqualValues(t, 6, ran.Load())
	quiet(t, e)
}

// Two executors whose tasks add to each other's groups. Mutant: a task keeps its slot while it waits at the bound of
// another executor's group.
func TestPromise12_ATaskOfAnotherExecutorWaitsAtTheBound(t *testing.T) {
	a, b := spared(t, 1, 2), spared(t, 1, 2)
	g, first := limited(t, b, 1, 0)
	in := make(chan error, 1)
	require.NoError(t, a.Go(context.Background(), func(context.Context) {
		g.Go(func(context.Context) error { return nil })
		in <- nil
	}))
	eventually(t, "the task of a waits at b's bound", func() bool { return b.Stats().Waiting == 1 })
	alive(t, a)
	first.Open()
	require.NoError(t, await(t, "Go returns", in))
	require.NoError(t, g.Wait())
	quiet(t, a)
	quiet(t, b)
}

// A parent canceled with a cause that wraps ErrQueueFull. Mutant: refusals are told apart by errors.Is.
func TestPromise12_ACauseThatLooksLikeAFullQueue(t *testing.T) {
	for _, limit := range []int{-1, 1} {
		e := bare(t, 1)
		ctx, cancel := context.WithCancelCause(context.Background())
		require.NoError(t, inTask(t, e, func(context.Context) error {
			g := e.NewGroup(ctx)
			g.SetLimit(limit)
			g.SetBacklog(0)
			cancel(fmt.Errorf("backend: %w", executor.ErrQueueFull))
			g.Go(func(context.Context) error { return errors.New("ran under a done context") })
			if err := g.Wait(); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}))
		s := quiet(t, e)
		require.Zero(t, s.RejectedFull)
		require.EqualValues(t, 1, s.RejectedCanceled)
	}
}

// The crawl of benchmarks/: pages that a group with a limit visits, and that add the pages they link to. Mutant: a task
// waits for room with its permit in its hands (it took minutes then). Mutant: a waiting task is not accepted over the limit when the
// last spare is gone.
func TestPromise12_ACrawlAtAnyQueueLimit(t *testing.T) {
	for _, queue := range []int{1, 16, 64, 4096} {
		for _, limit := range []int{20, -1} {
			for _, marked := range []bool{true, false} {
				e := newExecutor(t, executor.WithSlots(2), executor.WithQueueLimit(queue), executor.WithMaxSpares(32))
				g := e.NewGroup(context.Background())
				g.SetLimit(limit)
				var p peak
				var seen atomic.Int64
				var visit func(depth int) func(context.Context) error
				visit = func(depth int) func(context.Context) error {
					return func(ctx context.Context) error {
						p.Enter()
						seen.Add(1)
						fetch := func() { time.Sleep(100 * time.Microsecond) }
						if marked {
							executor.Blocking(ctx, fetch)
						} else {
							fetch()
						}
						p.Leave()
						for range 8 {
							if depth > 0 {
								g.Go(visit(depth - 1))
							}
						}
						return nil
					}
				}
				g.Go(visit(3))
				within(t, fmt.Sprintf("queue limit %d, group limit %d, marked %v", queue, limit, marked), func() {
					if err := g.Wait(); err != nil {
						t.Error(err)
					}
				})
				require.EqualValues(t, 585, seen.Load())
				if limit > 0 {
					require.LessOrEqual(t, p.Max(), int64(limit))
				}
				quiet(t, e)
			}
		}
	}
}
