package promises

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// lenders are the calls that lend the slot while fn runs.
var lenders = []struct {
	name string
	run  func(ctx context.Context, fn func())
}{
	{"Blocking", executor.Blocking},
	{"OnThread", executor.OnThread},
	{"Bulkhead", func(ctx context.Context, fn func()) {
		b, err := executor.NewBulkhead("lender", 1)
		if err == nil {
			err = b.Blocking(context.WithoutCancel(ctx), fn)
		}
		if err != nil {
			panic(err)
		}
	}},
}

func forEachLender(t *testing.T, test func(t *testing.T, lend func(ctx context.Context, fn func()))) {
	for _, l := range lenders {
		for _, kind := range ctxKinds {
			t.Run(l.name+"/"+kind.Name, func(t *testing.T) {
				test(t, func(ctx context.Context, fn func()) {
					ctx, cancel := kind.Of(ctx)
					defer cancel()
					l.run(ctx, fn)
				})
			})
		}
	}
}

// Mutant: a submitter that finds every slot taken does not look for blocked ones to retake.
func TestPromise04_BlockingLendsTheSlotToLaterWork(t *testing.T) {
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		e := spared(t, 1, 1)
		g, inside := newGate(t), make(chan struct{})
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			lend(ctx, func() { close(inside); g.Wait() })
		}))
		await(t, "the task blocks", inside)
		alive(t, e)
		g.Open()
		quiet(t, e)
		requireParallelism(t, e, 1)
	})
}

// Mutant: a task that enters Blocking looks at the queues first and publishes itself as blocked then: work
// that came between is not seen by either side.
func TestPromise04_BlockingLendsTheSlotToEarlierWork(t *testing.T) {
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		e := spared(t, 1, 1)
		for range 20 {
			opened := make(chan struct{})
			// In the injector.
			g := stick(t, e, 1)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				lend(ctx, func() { <-opened })
			}))
			require.NoError(t, e.Go(context.Background(), func(context.Context) { close(opened) }))
			g.Open()
			quiet(t, e)
			// In the own deque.
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				opened := make(chan struct{})
				if err := e.Go(ctx, func(context.Context) { close(opened) }); err != nil {
					return err
				}
				lend(ctx, func() { <-opened })
				return nil
			}))
			quiet(t, e)
		}
	})
}

// Mutant: the look at the queues is left out altogether: the keeper's next tick hands the slot over. The
// bubble's clock shows it.
func TestPromise04_QueuedWorkIsHandedOverAtOnce(t *testing.T) {
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		synctest.Test(t, func(t *testing.T) {
			e := spared(t, 1, 2)
			start := time.Now()
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				opened := make(chan struct{})
				if err := e.Go(ctx, func(context.Context) { close(opened) }); err != nil {
					return err
				}
				lend(ctx, func() { <-opened })
				return nil
			}))
			require.Zero(t, time.Since(start))
		})
	})
}

// Mutant: a task that a waiter claims inside Blocking runs while the slot still counts as lent.
func TestPromise04_ATaskClaimedInsideBlockingTakesTheSlotBack(t *testing.T) {
	for _, kind := range ctxKinds {
		synctest.Test(t, func(t *testing.T) {
			e := spared(t, 1, 2)
			g := newGate(t)
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (v int, err error) {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				executor.Blocking(ctx, func() {
					child, err2 := executor.Submit(ctx, e, func(context.Context) (int, error) { g.Wait(); return 1, nil })
					if err = err2; err == nil {
						v, err = child.Wait(ctx)
					}
				})
				return v, err
			})
			require.NoError(t, err)
			synctest.Wait()
			var ran atomic.Bool
			require.NoError(t, e.Go(context.Background(), func(context.Context) { ran.Store(true) }))
			synctest.Wait()
			require.False(t, ran.Load(), "two tasks run on one slot (%s)", kind.Name)
			g.Open()
			require.NoError(t, result(t, f))
			quiet(t, e)
			require.True(t, ran.Load())
		})
	}
}

// Mutant: a lazily blocked slot is never retaken after many short calls taught the executor to stay lazy.
func TestPromise04_ALongCallAfterManyShortOnesStillLends(t *testing.T) {
	e := spared(t, 1, 2)
	for range 20 {
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			for range 1000 {
				executor.Blocking(ctx, func() {})
			}
			opened := make(chan struct{})
			if err := e.Go(ctx, func(context.Context) { close(opened) }); err != nil {
				return err
			}
			executor.Blocking(ctx, func() { <-opened })
			return nil
		}))
	}
	quiet(t, e)
}

// Mutant: Blocking takes a slot again before it returns: the holder of what all others wait for waits
// for their slots.
func TestPromise04_ReturningFromBlockingNeverWaitsForASlot(t *testing.T) {
	for _, slots := range []int{1, 2} {
		forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
			e := spared(t, slots, slots+2)
			granted, held, inside := newGate(t), newGate(t), make(chan struct{})
			owner, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				lend(ctx, func() { close(inside); granted.Wait() })
				// Now it owns what the others want, who hold every slot.
				held.Open()
				return 1, nil
			})
			require.NoError(t, err)
			await(t, "the owner blocks", inside)
			started := make(chan struct{}, 2*slots)
			for range 2 * slots {
				require.NoError(t, e.Go(context.Background(), func(context.Context) {
					started <- struct{}{}
					held.Wait()
				}))
			}
			for range slots {
				await(t, "the others hold all slots", started)
			}
			granted.Open()
			require.NoError(t, result(t, owner))
			quiet(t, e)
			requireParallelism(t, e, slots)
		})
	}
}

// Mutant: as above, with a real mutex and everybody entering and leaving all the time.
func TestPromise04_AMutexTakenInsideBlockingAndOutside(t *testing.T) {
	e := spared(t, 2, 8)
	var mu sync.Mutex
	n := 0
	for i := range scaled(5000) {
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			if i%2 == 0 {
				executor.Blocking(ctx, mu.Lock)
			} else {
				mu.Lock()
			}
			n++
			if i%3 == 0 {
				executor.Blocking(ctx, runtime.Gosched)
			}
			mu.Unlock()
		}))
	}
	quiet(t, e)
	require.Equal(t, scaled(5000), n)
	requireParallelism(t, e, 2)
}

// Mutant: the surplus of a task that came back without a slot is not repaid at its end: two runners share
// one slot from then on.
func TestPromise04_SurplusIsRepaid(t *testing.T) {
	e := spared(t, 1, 8)
	for range 50 {
		granted, hold := newGate(t), newGate(t)
		var wg sync.WaitGroup
		for range 4 {
			inside := make(chan struct{})
			wg.Add(1)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				executor.Blocking(ctx, func() { close(inside); granted.Wait() })
				wg.Done()
				hold.Wait()
			}))
			await(t, "a task blocks", inside)
		}
		g := stick(t, e, 1)
		granted.Open()
		within(t, "all come back as surplus", wg.Wait)
		hold.Open()
		g.Open()
		quiet(t, e)
		requireParallelism(t, e, 1)
	}
}

// Mutant: a nested Blocking lends the slot a second time, or takes it back at the inner end.
func TestPromise04_NestedBlockingJustRuns(t *testing.T) {
	e := spared(t, 1, 4)
	g, inside := newGate(t), make(chan struct{})
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		executor.Blocking(ctx, func() {
			executor.Blocking(ctx, func() {
				executor.Blocking(context.Background(), func() {})
			})
			close(inside)
			g.Wait()
		})
	}))
	await(t, "the outer call still blocks", inside)
	alive(t, e)
	require.Equal(t, 1, e.Stats().Blocked)
	g.Open()
	quiet(t, e)
	requireParallelism(t, e, 1)
}

// Mutant: spares are started without a permit, or a permit is kept by a spare that ended.
func TestPromise04_SparesAreBounded(t *testing.T) {
	const slots, spares, n = 2, 10, 200
	e := spared(t, slots, spares)
	for range 3 {
		g := newGate(t)
		var p peak
		var done atomic.Int64
		for range n {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				executor.Blocking(ctx, func() {
					p.Enter()
					defer p.Leave()
					g.Wait()
				})
				done.Add(1)
			}))
		}
		eventually(t, "as many block as there are runners", func() bool { return p.Now() == slots+spares })
		s := e.Stats()
		require.LessOrEqual(t, s.Spares, spares)
		require.Equal(t, slots+spares, s.Blocked)
		require.NotZero(t, s.Uncompensated)
		require.NotZero(t, s.Handoffs)
		g.Open()
		quiet(t, e)
		require.EqualValues(t, n, done.Load())
		require.EqualValues(t, slots+spares, p.Max())
	}
	requireParallelism(t, e, slots)
}

// Mutant: with no spare left Blocking waits for one, or fails, instead of running fn with the slot.
func TestPromise04_WithoutSparesBlockingJustRuns(t *testing.T) {
	e := bare(t, 2)
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		var ran atomic.Int64
		for range 100 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				lend(ctx, func() { ran.Add(1) })
			}))
		}
		quiet(t, e)
		require.EqualValues(t, 100, ran.Load())
	})
	requireParallelism(t, e, 2)
}

// Mutant: a chain of blocked tasks, each waiting for a later one, runs out of wake-ups after the first.
func TestPromise04_AChainOfBlockedTasks(t *testing.T) {
	const n = 100
	e := spared(t, 1, n)
	links := make([]chan struct{}, n+1)
	for i := range links {
		links[i] = make(chan struct{})
	}
	for i := range n {
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
			executor.Blocking(ctx, func() { <-links[i+1] })
			close(links[i])
		}))
	}
	require.NoError(t, e.Go(context.Background(), func(context.Context) { close(links[n]) }))
	await(t, "the whole chain unwinds", links[0])
	quiet(t, e)
	requireParallelism(t, e, 1)
}

// Mutant: a panic or Goexit inside fn skips the return of the slot.
func TestPromise04_AbnormalEndsInsideBlockingRestoreTheSlot(t *testing.T) {
	bad := errors.New("bad")
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		e := spared(t, 1, 2)
		for i := range 30 {
			err := inTask(t, e, func(ctx context.Context) error {
				lend(ctx, func() {
					if i%2 == 0 {
						panic(bad)
					}
					runtime.Goexit()
				})
				return nil
			})
			if i%2 == 0 {
				require.ErrorIs(t, err, bad)
			} else {
				require.ErrorIs(t, err, executor.ErrGoexit)
			}
			require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
				defer func() {
					if p := recover(); p == nil {
						err = errors.New("no panic")
					}
				}()
				lend(ctx, func() { panic(bad) })
				return nil
			}), "a recovered panic leaves a usable task")
			require.NoError(t, inTask(t, e, func(ctx context.Context) error { return deep(ctx, e, 2) }))
		}
		quiet(t, e)
		requireParallelism(t, e, 1)
	})
}

// Mutant: Blocking from a goroutine that is no runner's is counted, or lends somebody's slot.
func TestPromise04_BlockingOutsideATaskJustRuns(t *testing.T) {
	e := spared(t, 1, 2)
	forEachLender(t, func(t *testing.T, lend func(ctx context.Context, fn func())) {
		ran := 0
		lend(context.Background(), func() { ran++ })
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			done := make(chan struct{})
			go func() { // A leaked context.
				defer close(done)
				lend(ctx, func() { ran++ })
			}()
			<-done
			return nil
		}))
		require.Equal(t, 2, ran)
	})
	quiet(t, e)
}
