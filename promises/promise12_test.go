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

// Mutant: the permit of a group task is counted when it ends only, or given to two held tasks at once.
func TestPromise12_SetLimitIsNeverExceeded(t *testing.T) {
	for _, limit := range []int{1, 2, 3} {
		for _, inside := range []bool{false, true} {
			t.Run(fmt.Sprintf("limit=%d/inside=%v", limit, inside), func(t *testing.T) {
				e := spared(t, 4, 8, executor.WithQueueLimit(128))
				var p peak
				var ran atomic.Int64
				n := scaled(5000)
				use := func(ctx context.Context) error {
					g := e.NewGroup(ctx)
					g.SetLimit(limit)
					for i := range n {
						g.Go(func(ctx context.Context) error {
							p.Enter()
							defer p.Leave()
							ran.Add(1)
							if i%16 == 0 {
								runtime.Gosched()
							}
							if i%64 == 0 {
								executor.Blocking(ctx, runtime.Gosched)
							}
							return nil
						})
					}
					return g.Wait()
				}
				if inside {
					require.NoError(t, inTask(t, e, use))
				} else {
					require.NoError(t, use(context.Background()))
				}
				require.EqualValues(t, n, ran.Load())
				require.LessOrEqual(t, p.Max(), int64(limit))
				quiet(t, e)
			})
		}
	}
}

// Mutant: the permit is passed on by a wake-up that may be lost, so fewer run than may.
func TestPromise12_SetLimitIsReached(t *testing.T) {
	e := bare(t, 4)
	for range 50 {
		g := e.NewGroup(context.Background())
		g.SetLimit(3)
		for range 200 {
			g.Go(func(context.Context) error { return nil })
		}
		var here atomic.Int64
		all := make(chan struct{})
		for range 3 {
			g.Go(func(context.Context) error {
				if here.Add(1) == 3 {
					close(all)
				}
				<-all
				return nil
			})
		}
		within(t, "three run at once", func() { _ = g.Wait() })
	}
	quiet(t, e)
}

// Mutant: held tasks are a stack.
func TestPromise12_HeldTasksStartInOrder(t *testing.T) {
	for _, inside := range []bool{false, true} {
		for _, slots := range []int{1, 4} {
			t.Run(fmt.Sprintf("inside=%v/slots=%d", inside, slots), func(t *testing.T) {
				e := spared(t, slots, 4, executor.WithQueueLimit(1<<12))
				const n = 1000
				var order []int
				use := func(ctx context.Context) error {
					g := e.NewGroup(ctx)
					g.SetLimit(1)
					for i := range n {
						g.Go(func(context.Context) error { order = append(order, i); return nil })
					}
					return g.Wait()
				}
				if inside {
					require.NoError(t, inTask(t, e, use))
				} else {
					require.NoError(t, use(context.Background()))
				}
				require.Len(t, order, n)
				for i, v := range order {
					require.Equal(t, i, v)
				}
			})
		}
	}
}

// Mutant: Go waits for a permit of the group, as errgroup's does.
func TestPromise12_GoDoesNotWaitForTheLimit(t *testing.T) {
	e := spared(t, 2, 4, executor.WithQueueLimit(1024))
	g := e.NewGroup(context.Background())
	g.SetLimit(1)
	first := newGate(t)
	g.Go(func(context.Context) error { first.Wait(); return nil })
	within(t, "Go returns although the limit is reached", func() {
		for range 500 {
			g.Go(func(context.Context) error { return nil })
		}
	})
	require.False(t, g.TryGo(func(context.Context) error { return errors.New("over the limit") }))
	require.GreaterOrEqual(t, e.Stats().Queued, 500)
	alive(t, e) // Held tasks take no slot.
	first.Open()
	require.NoError(t, g.Wait())
	quiet(t, e)
}

// Mutant: held tasks are outside every bound.
func TestPromise12_HeldTasksAreInsideABound(t *testing.T) {
	const limit = 16
	e := spared(t, 2, 4, executor.WithQueueLimit(limit)) // the default of SetBacklog too
	g := e.NewGroup(context.Background())
	g.SetLimit(1)
	first, in := newGate(t), make(chan struct{})
	g.Go(func(context.Context) error { close(in); first.Wait(); return nil })
	await(t, "the first one runs", in)
	var taken atomic.Int64
	done := make(chan struct{})
	const n = 4 * limit
	go func() {
		defer close(done)
		for range n {
			g.Go(func(context.Context) error { return nil })
			taken.Add(1)
		}
	}()
	eventually(t, "Go from outside waits for room", func() bool { return e.Stats().Waiting == 1 })
	require.EqualValues(t, limit, taken.Load())
	require.NoError(t, e.TryGo(context.Background(), func(context.Context) {}))
	first.Open()
	await(t, "all are taken", done)
	require.NoError(t, g.Wait())
	quiet(t, e)
}

// Mutant: SetLimit(0) means none, or a change while tasks run corrupts the count.
func TestPromise12_SetLimitMisusePanics(t *testing.T) {
	e := bare(t, 1)
	g := e.NewGroup(context.Background())
	require.Panics(t, func() { g.SetLimit(0) })
	g.SetLimit(3)
	g.SetLimit(-1)
	g.SetLimit(2)
	running := newGate(t)
	g.Go(func(context.Context) error { running.Wait(); return nil })
	require.Panics(t, func() { g.SetLimit(5) })
	running.Open()
	require.NoError(t, g.Wait())
	g.SetLimit(5) // Not active any more.
	g.Go(func(context.Context) error { return nil })
	require.NoError(t, g.Wait())
	quiet(t, e)
}

// Mutant: TryGo waits, or its refusal becomes the group's error.
func TestPromise12_TryGoRefusesWithoutAnError(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(2))
	g := stick(t, e, 1)
	group := e.NewGroup(context.Background())
	var ran atomic.Int64
	n := 0
	for group.TryGo(func(context.Context) error { ran.Add(1); return nil }) {
		n++
		require.LessOrEqual(t, n, 2)
	}
	require.Equal(t, 2, n)
	g.Open()
	require.NoError(t, group.Wait())
	require.EqualValues(t, 2, ran.Load())
	s := quiet(t, e)
	require.EqualValues(t, 1, s.Rejected)
}

// Mutant: a later error replaces the first. Mutant: the group's context is not canceled, or what has not
// started still runs.
func TestPromise12_TheFirstErrorWinsCancelsAndDrops(t *testing.T) {
	for _, limit := range []int{-1, 2} {
		t.Run(fmt.Sprint("limit=", limit), func(t *testing.T) {
			e := bare(t, 2, executor.WithQueueLimit(256))
			g := e.NewGroup(context.Background())
			g.SetLimit(limit)
			first, second := errors.New("first"), errors.New("second")
			running, fail := make(chan struct{}), newGate(t)
			g.Go(func(ctx context.Context) error {
				close(running)
				<-ctx.Done() // The group's context.
				return second
			})
			await(t, "one task runs", running)
			g.Go(func(context.Context) error { fail.Wait(); return first })
			for range 100 {
				g.Go(func(context.Context) error { t.Error("a task started after the first error"); return nil })
			}
			fail.Open()
			var err error
			within(t, "Wait", func() { err = g.Wait() })
			require.Equal(t, first, err)
			s := quiet(t, e)
			require.EqualValues(t, 100, s.Canceled)
			require.EqualValues(t, 2, s.Failed)
		})
	}
}

// Mutant: the first panic is replaced by an error that came later, or by the cancellation that it caused.
func TestPromise12_APanicIsAnErrorToo(t *testing.T) {
	e := bare(t, 2)
	g := e.NewGroup(context.Background())
	g.Go(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	g.Go(func(context.Context) error { panic(errSentinel) })
	var err error
	within(t, "Wait", func() { err = g.Wait() })
	var pe *executor.PanicError
	require.ErrorAs(t, err, &pe)
	require.ErrorIs(t, err, errSentinel)
	quiet(t, e)
}

// Mutant: after Wait the group keeps its error, its done context, or its count.
func TestPromise12_AfterWaitTheGroupIsNewAgain(t *testing.T) {
	for _, inside := range []bool{false, true} {
		e := bare(t, 1)
		bad := errors.New("bad")
		use := func(ctx context.Context) error {
			g := e.NewGroup(context.WithValue(ctx, ctxKey{}, "kept"))
			g.SetLimit(2)
			for round := range 50 {
				var kept context.Context
				ran := 0
				g.Go(func(ctx context.Context) error {
					ran++
					kept = ctx
					if ctx.Err() != nil || ctx.Value(ctxKey{}) != "kept" {
						return fmt.Errorf("round %d starts with %v", round, ctx.Err())
					}
					if round%2 == 0 {
						return bad
					}
					return nil
				})
				err := g.Wait()
				if (round%2 == 0) != errors.Is(err, bad) || ran != 1 {
					return fmt.Errorf("round %d: %v, ran %d", round, err, ran)
				}
				if kept.Err() == nil {
					return errors.New("the end of Wait does not cancel the group's context")
				}
				if err := g.Wait(); err != nil {
					return fmt.Errorf("an empty Wait gives %w", err)
				}
			}
			return nil
		}
		if inside {
			require.NoError(t, inTask(t, e, use))
		} else {
			require.NoError(t, use(context.Background()))
		}
		quiet(t, e)
	}
}

// Mutant: Wait returns when the count is zero for a moment, while a task of the group adds another.
func TestPromise12_TasksOfTheGroupMayCallGoDuringWait(t *testing.T) {
	for _, cfg := range [][3]int{{1, 0, -1}, {1, 0, 1}, {4, 4, -1}, {4, 4, 2}} {
		e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(64))
		for range scaled(100) + 1 {
			g := e.NewGroup(context.Background())
			g.SetLimit(cfg[2])
			var ran atomic.Int64
			var grow func(depth int) func(context.Context) error
			grow = func(depth int) func(context.Context) error {
				return func(context.Context) error {
					ran.Add(1)
					if depth > 0 {
						g.Go(grow(depth - 1))
						g.Go(grow(depth - 1))
					}
					return nil
				}
			}
			g.Go(grow(6))
			within(t, "Wait", func() {
				if err := g.Wait(); err != nil {
					t.Error(err)
				}
			})
			require.EqualValues(t, 127, ran.Load())
		}
		quiet(t, e)
	}
}

// Mutant: a refused task is counted as one to wait for, or its refusal is lost.
func TestPromise12_RefusalBecomesTheGroupsError(t *testing.T) {
	e := bare(t, 1)
	ctx, cancel := context.WithCancelCause(context.Background())
	g := e.NewGroup(ctx)
	cancel(errCause)
	g.Go(func(context.Context) error { t.Error("ran under a done context"); return nil })
	within(t, "Wait", func() { requireDoneSoft(t, g.Wait()) })
	quiet(t, e)
	g = e.NewGroup(context.Background())
	require.NoError(t, e.Close())
	g.Go(func(context.Context) error { t.Error("ran after Close"); return nil })
	require.False(t, g.TryGo(func(context.Context) error { t.Error("ran after Close"); return nil }))
	within(t, "Wait", func() {
		if err := g.Wait(); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func requireDoneSoft(t testing.TB, err error) {
	if !errors.Is(err, context.Canceled) || !errors.Is(err, errCause) {
		t.Errorf("got %v", err)
	}
}
