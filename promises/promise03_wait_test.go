package promises

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: only a future that the waiter itself created is claimed.
func TestPromise03_WaitClaimsAFutureThatSomebodyElseSubmitted(t *testing.T) {
	e := bare(t, 1)
	foreign := make(chan *executor.Future[int], 1)
	out, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		return (<-foreign).Wait(ctx)
	})
	require.NoError(t, err)
	f, err := executor.Submit(context.Background(), e, one)
	require.NoError(t, err)
	foreign <- f
	require.NoError(t, result(t, out))
	quiet(t, e)
}

// Mutant: a wait on a task that runs elsewhere parks with the slot.
func TestPromise03_WaitOnARunningTaskLendsTheSlot(t *testing.T) {
	type env struct {
		e       *executor.Executor
		running *gate
		started chan struct{}
	}
	stuck := func(v env) {
		close(v.started)
		v.running.Wait()
	}
	for name, run := range map[string]func(ctx context.Context, v env) error{
		"Future": func(ctx context.Context, v env) error {
			f, err := executor.Submit(ctx, v.e, func(context.Context) (int, error) { stuck(v); return 1, nil })
			if err != nil {
				return err
			}
			<-v.started
			_, err = f.Wait(ctx)
			return err
		},
		"Group": func(ctx context.Context, v env) error {
			g := v.e.NewGroup(ctx)
			g.Go(func(context.Context) error { stuck(v); return nil })
			<-v.started
			return g.Wait()
		},
		"Join": func(ctx context.Context, v env) error {
			f := executor.Fork(ctx, func(context.Context) int { stuck(v); return 1 })
			<-v.started
			f.Join(ctx)
			return nil
		},
		"foreign Future": func(ctx context.Context, v env) error {
			other := make(chan *executor.Future[int], 1)
			go func() {
				f, _ := executor.Submit(context.Background(), v.e, func(context.Context) (int, error) { stuck(v); return 1, nil })
				other <- f
			}()
			<-v.started
			_, err := (<-other).Wait(ctx)
			return err
		},
	} {
		for _, kind := range ctxKinds {
			if name == "Join" && kind.Name == "Background" {
				continue // A Fork outside a task's context runs at once.
			}
			t.Run(name+"/"+kind.Name, func(t *testing.T) {
				e := spared(t, 2, 1)
				v := env{e: e, running: newGate(t), started: make(chan struct{})}
				out, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
					ctx, cancel := kind.Of(ctx)
					defer cancel()
					return 1, run(ctx, v)
				})
				require.NoError(t, err)
				await(t, "the awaited task runs on the other slot", v.started)
				// Both slots are held; only a lent one can run this.
				require.NoError(t, e.Go(context.Background(), func(context.Context) { v.running.Open() }))
				require.NoError(t, result(t, out))
				quiet(t, e)
			})
		}
	}
}

// Mutant: a slot lent by a waiter goes to a spare only, so the task that yielded, and that the waiter
// waits for, never gets it when the spares are used up.
func TestPromise03_WaitOnAYieldedTask(t *testing.T) {
	for spares := 1; spares <= 3; spares++ {
		for range 50 {
			e := spared(t, 1, spares)
			var waiting atomic.Bool
			started := make(chan struct{})
			a, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				close(started)
				for !waiting.Load() {
					if err := executor.Yield(ctx); err != nil {
						return 0, err
					}
				}
				return 1, executor.Yield(ctx)
			})
			require.NoError(t, err)
			await(t, "the yielder starts", started)
			b, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				waiting.Store(true)
				return a.Wait(ctx)
			})
			require.NoError(t, err)
			require.NoError(t, result(t, b))
			closeNow(t, e)
		}
	}
}

// Mutant: a wait on another executor's future keeps the slot: two executors that call each other stop.
func TestPromise03_ExecutorsThatWaitForEachOther(t *testing.T) {
	for _, spares := range []int{0, 1, 4} {
		for _, kind := range ctxKinds {
			t.Run(fmt.Sprintf("spares=%d/%s", spares, kind.Name), func(t *testing.T) {
				a, b := spared(t, 1, spares), spared(t, 1, spares)
				depth := 20 // deeper than the runners and spares of both
				var pingPong func(ctx context.Context, here, there *executor.Executor, depth int) error
				pingPong = func(ctx context.Context, here, there *executor.Executor, depth int) error {
					ctx, cancel := kind.Of(ctx)
					defer cancel()
					if depth == 0 {
						return nil
					}
					f, err := executor.Submit(ctx, there, func(ctx context.Context) (int, error) {
						return 0, pingPong(ctx, there, here, depth-1)
					})
					if err != nil {
						return err
					}
					_, err = f.Wait(ctx)
					return err
				}
				require.NoError(t, inTask(t, a, func(ctx context.Context) error { return pingPong(ctx, a, b, depth) }))
				quiet(t, a)
				quiet(t, b)
			})
		}
	}
}

// Mutants: a task that waits in another executor brings no credit to it (B7), or none while it waits for room, for a Group
// or for a turn of Do; a guest of another executor does not come back to its task before it waits for it (H5): in
// Future.Wait, Group.Go, Group.Wait, a loop, a stream, Serial.Do, at a full queue.
func TestPromise03_TwoExecutorsInEveryShape(t *testing.T) {
	for _, cfg := range [][2]int{{1, 0}, {1, 1}, {2, 0}, {2, 3}} {
		t.Run(fmt.Sprintf("slots=%d/spares=%d", cfg[0], cfg[1]), func(t *testing.T) {
			t.Parallel()
			both := []*executor.Executor{
				spared(t, cfg[0], cfg[1], executor.WithQueueLimit(4)), spared(t, cfg[0], cfg[1], executor.WithQueueLimit(4)),
			}
			for seed := range uint64(40) {
				var wg sync.WaitGroup
				for i := range 6 {
					wg.Go(func() {
						p := &acrossProgram{both: both, rng: rand.New(rand.NewPCG(seed, uint64(i)))}
						if err := p.node(bg, 5); err != nil {
							t.Error(seed, i, err)
						}
					})
				}
				within(t, fmt.Sprintf("the programs of seed %d end", seed), wg.Wait)
			}
			quiet(t, both[0])
			quiet(t, both[1])
		})
	}
}

// acrossProgram is a tree of tasks of two executors, of which each waits for its children.
type acrossProgram struct {
	both []*executor.Executor
	mu   sync.Mutex
	rng  *rand.Rand
}

func (p *acrossProgram) pick(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rng.IntN(n)
}

func (p *acrossProgram) node(ctx context.Context, depth int) error {
	if depth == 0 {
		return nil
	}
	e := p.both[p.pick(2)]
	err := p.children(ctx, e, p.pick(7), func(ctx context.Context) error { return p.node(ctx, depth-1) })
	if errors.Is(err, executor.ErrQueueFull) { // beyond twice the limit a task is refused
		return nil
	}
	return err
}

func (p *acrossProgram) children(ctx context.Context, e *executor.Executor, shape int, child func(context.Context) error) error {
	switch shape {
	case 0, 1:
		return e.Do(ctx, child)
	case 2:
		f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { return 0, child(ctx) })
		if err != nil {
			return err
		}
		_, err = f.Wait(ctx)
		return err
	case 3:
		g := e.NewGroup(ctx)
		g.SetLimit(1 + p.pick(2))
		g.SetBacklog(p.pick(2))
		g.Go(child)
		g.Go(child)
		return g.Wait()
	case 4:
		return executor.For(ctx, e, 2, func(ctx context.Context, _ int) error { return child(ctx) })
	case 5:
		for _, err := range executor.Ordered(ctx, e, slices.Values([]int{1, 2}), func(ctx context.Context, _ int) (int, error) { return 0, child(ctx) }) {
			if err != nil {
				return err
			}
		}
		return nil
	default:
		return executor.NewSerial(e).Do(ctx, child)
	}
}

// Mutant: a waiter that leaves because its context is done leaves its claim behind: the task never runs,
// or the future of a task that the waiter runs is thrown away.
func TestPromise03_WaitLeavesWithItsContextAndTheTaskGoesOn(t *testing.T) {
	e := spared(t, 2, 1)
	for i := range 50 {
		running, started, waiting := newGate(t), make(chan struct{}), make(chan struct{})
		f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) {
			close(started)
			running.Wait()
			return 3, nil
		})
		require.NoError(t, err)
		await(t, "the awaited task runs", started)
		cause := errors.New("cause")
		ctx, cancel := context.WithCancelCause(context.Background())
		left, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) {
			close(waiting)
			return f.Wait(ctx)
		})
		require.NoError(t, err)
		await(t, "the waiter is about to wait", waiting)
		for range i {
			runtime.Gosched()
		}
		cancel(cause)
		err = result(t, left)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		running.Open()
		v, err := f.Wait(context.Background())
		require.NoError(t, err)
		require.Equal(t, 3, v)
		quiet(t, e)
	}
}

// Mutant: the end of a task wakes one of its waiters only.
func TestPromise03_AnyNumberOfWaitersFromAnywhere(t *testing.T) {
	e := spared(t, 2, 64)
	running := newGate(t)
	f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) {
		executor.Blocking(context.Background(), running.Wait)
		return 9, nil
	})
	require.NoError(t, err)
	results := make(chan error, 64)
	check := func(ctx context.Context) {
		v, err := f.Wait(ctx)
		results <- want(err, int64(v), 9)
	}
	for range 32 {
		go check(context.Background())
		require.NoError(t, e.Go(context.Background(), check))
	}
	running.Open()
	for range cap(results) {
		require.NoError(t, await(t, "a waiter gets the result", results))
	}
	quiet(t, e)
}

// Mutant: the claimed child of a task whose stack is inside Blocking runs as if it held a slot, and the
// number of tasks at work passes the slots for good.
func TestPromise03_SlotsAreNotMultipliedByWaits(t *testing.T) {
	const slots = 2
	e := spared(t, slots, 16)
	for range scaled(50) + 5 {
		g := e.NewGroup(context.Background())
		for range 30 {
			g.Go(func(ctx context.Context) error { return deep(ctx, e, 4) })
			g.Go(func(ctx context.Context) error {
				executor.Blocking(ctx, func() { _ = deep(ctx, e, 2) })
				return nil
			})
		}
		within(t, "the groups end", func() { require.NoError(t, g.Wait()) })
	}
	quiet(t, e)
	requireParallelism(t, e, slots)
}

// requireParallelism checks that e, at rest, runs n tasks at once and never more.
func requireParallelism(t testing.TB, e *executor.Executor, n int) {
	t.Helper()
	var p peak
	meet := make(chan struct{})
	var here atomic.Int64
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			p.Enter()
			defer p.Leave()
			if here.Add(1) == int64(n) {
				close(meet)
			}
			<-meet
		}))
	}
	await(t, fmt.Sprintf("%d tasks run at once", n), meet)
	for range 200 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			p.Enter()
			defer p.Leave()
			for range 2000 {
				here.Add(1)
			}
		}))
	}
	quiet(t, e)
	require.LessOrEqual(t, p.Max(), int64(n))
}
