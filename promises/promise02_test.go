package promises

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// dequeSize is what one slot's deque adds to the bound.
const dequeSize = 256

// Mutant: Go inside a task waits for room like an outsider does: the only runner waits for itself.
func TestPromise02_GoInsideATaskEndsAtTheHardCap(t *testing.T) {
	for _, limit := range []int{1, 8, 300} {
		for _, kind := range ctxKinds {
			t.Run(fmt.Sprintf("limit=%d/%s", limit, kind.Name), func(t *testing.T) {
				e := bare(t, 1, executor.WithQueueLimit(limit))
				var ran atomic.Int64
				accepted := 0
				require.NoError(t, inTask(t, e, func(ctx context.Context) error {
					ctx, cancel := kind.Of(ctx)
					defer cancel()
					for range 10 * (limit + dequeSize) {
						err := e.Go(context.WithoutCancel(ctx), func(context.Context) { ran.Add(1) })
						if errors.Is(err, executor.ErrQueueFull) {
							return nil
						}
						if err != nil {
							return err
						}
						accepted++
					}
					return errors.New("no limit at all")
				}))
				require.GreaterOrEqual(t, accepted, limit)
				require.LessOrEqual(t, accepted, 2*limit+dequeSize)
				quiet(t, e)
				require.EqualValues(t, accepted, ran.Load())
			})
		}
	}
}

// Mutant: Go inside Blocking, where the own deque is out of reach, waits for room like an outsider.
func TestPromise02_GoInsideBlockingEndsAtTheHardCap(t *testing.T) {
	const limit = 8
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			e := bare(t, 1, executor.WithQueueLimit(limit))
			var ran atomic.Int64
			accepted := 0
			require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				executor.Blocking(ctx, func() {
					for err == nil && accepted < 10*(limit+dequeSize) {
						if err = e.Go(context.WithoutCancel(ctx), func(context.Context) { ran.Add(1) }); err == nil {
							accepted++
						}
					}
				})
				if errors.Is(err, executor.ErrQueueFull) {
					return nil
				}
				return fmt.Errorf("accepted %d: %w", accepted, err)
			}))
			require.GreaterOrEqual(t, accepted, limit)
			require.LessOrEqual(t, accepted, 2*limit+dequeSize)
			quiet(t, e)
			require.EqualValues(t, accepted, ran.Load())
		})
	}
}

// Mutant: Submit lacks the hard cap that Go has, or waits at the limit.
func TestPromise02_SubmitInsideATaskEndsAtTheHardCap(t *testing.T) {
	const limit = 8
	e := bare(t, 1, executor.WithQueueLimit(limit))
	var fs []*executor.Future[int]
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for i := range 10 * (limit + dequeSize) {
			f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { return i, nil })
			if errors.Is(err, executor.ErrQueueFull) {
				break
			}
			if err != nil {
				return err
			}
			fs = append(fs, f)
		}
		for i, f := range fs {
			if v, err := f.Wait(ctx); v != i || err != nil {
				return fmt.Errorf("%d: %d %v", i, v, err)
			}
		}
		return nil
	}))
	require.GreaterOrEqual(t, len(fs), limit)
	require.LessOrEqual(t, len(fs), 2*limit+dequeSize)
	quiet(t, e)
}

// Mutant: TryGo inside a task goes over the limit as Go may, or waits.
func TestPromise02_TryGoInsideATaskEndsAtTheLimit(t *testing.T) {
	const limit = 8
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			e := bare(t, 1, executor.WithQueueLimit(limit))
			var ran atomic.Int64
			accepted := 0
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				for {
					err := e.TryGo(context.WithoutCancel(ctx), func(context.Context) { ran.Add(1) })
					if errors.Is(err, executor.ErrQueueFull) {
						return nil
					}
					if err != nil {
						return err
					}
					if accepted++; accepted > 10*(limit+dequeSize) {
						return errors.New("no limit at all")
					}
				}
			}))
			require.GreaterOrEqual(t, accepted, limit)
			require.LessOrEqual(t, accepted, limit+dequeSize)
			quiet(t, e)
			require.EqualValues(t, accepted, ran.Load())
		})
	}
}

// Mutant: Group.Go past the hard cap reports ErrQueueFull instead of running the child in place.
func TestPromise02_GroupGoInsideATaskNeverFails(t *testing.T) {
	for _, groupLimit := range []int{-1, 1, 3} {
		for _, slots := range []int{1, 2} {
			t.Run(fmt.Sprintf("SetLimit=%d/slots=%d", groupLimit, slots), func(t *testing.T) {
				e := bare(t, slots, executor.WithQueueLimit(4))
				const n = 5000
				runs := make([]atomic.Int32, n)
				require.NoError(t, inTask(t, e, func(ctx context.Context) error {
					g := e.NewGroup(ctx)
					g.SetLimit(groupLimit)
					for i := range n {
						g.Go(func(context.Context) error { runs[i].Add(1); return nil })
					}
					return g.Wait()
				}))
				for i := range runs {
					require.EqualValues(t, 1, runs[i].Load(), "child %d", i)
				}
				quiet(t, e)
			})
		}
	}
}

// Mutant: a group task past the hard cap, whose group has a limit, waits for a permit that it holds itself.
func TestPromise02_GroupTaskSpawnsIntoItsOwnLimitedGroup(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(4))
	var ran atomic.Int64
	const n = 3000
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		g := e.NewGroup(ctx)
		g.SetLimit(1)
		g.Go(func(context.Context) error {
			for range n {
				g.Go(func(context.Context) error { ran.Add(1); return nil })
			}
			return nil
		})
		return g.Wait()
	}))
	require.EqualValues(t, n, ran.Load())
	quiet(t, e)
}

// Mutant: Fork drops the child, or panics, where it cannot be queued.
func TestPromise02_ForkInsideATaskNeverFails(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		e := bare(t, 1, executor.WithQueueLimit(4))
		const n = 5000
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			var kids []executor.Forked[int]
			for i := range n {
				kids = append(kids, fork(ctx, func(context.Context) int { return i }))
			}
			for i, k := range kids {
				if v := k.Join(ctx); v != i {
					return fmt.Errorf("child %d gave %d", i, v)
				}
			}
			return nil
		}))
		quiet(t, e)
	})
}

// Mutant: Go at the limit keeps the slot while it waits: the queue it waits for never moves. Mutant: the
// overflow of a full deque into the injector forgets a task.
func TestPromise02_GoAtTheLimitLendsTheSlot(t *testing.T) {
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			e := spared(t, 1, 4, executor.WithQueueLimit(8))
			n := scaled(20000)
			var ran atomic.Int64
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				for i := range n {
					if err := e.Go(context.WithoutCancel(ctx), func(context.Context) { ran.Add(1) }); err != nil {
						return fmt.Errorf("child %d: %w", i, err)
					}
					if q := e.Stats().Queued; i%64 == 0 && q > 2*8+2*dequeSize {
						return fmt.Errorf("%d tasks are queued at child %d", q, i)
					}
				}
				return nil
			}))
			quiet(t, e)
			require.EqualValues(t, n, ran.Load())
		})
	}
}

// Mutant: Go at the limit waits although the queue stands still: the children wait for their parent.
func TestPromise02_GoPassesTheLimitWhenTheQueueStandsStill(t *testing.T) {
	const limit = 4
	e := spared(t, 1, 1, executor.WithQueueLimit(limit))
	var ran atomic.Int64
	accepted := 0
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		go1 := make(chan struct{})
		defer close(go1)
		for range limit + dequeSize + 2 {
			err := e.Go(ctx, func(context.Context) {
				<-go1
				ran.Add(1)
			})
			if errors.Is(err, executor.ErrQueueFull) {
				return nil
			}
			if err != nil {
				return err
			}
			accepted++
		}
		return nil
	}))
	require.GreaterOrEqual(t, accepted, limit)
	quiet(t, e)
	require.EqualValues(t, accepted, ran.Load())
}

// Mutant: a task that submits to another, full, executor keeps its own slot while it waits for room there.
func TestPromise02_GoToAnotherFullExecutorLendsTheSlot(t *testing.T) {
	a, b := spared(t, 1, 1), bare(t, 1, executor.WithQueueLimit(1))
	stuck := stick(t, b, 1)
	require.Equal(t, 1, fill(t, b))
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			leave, stop := context.WithCancel(context.Background())
			defer stop()
			errs := make(chan error, 1)
			require.NoError(t, a.Go(context.Background(), func(ctx context.Context) {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				ctx, cancel2 := context.WithCancel(ctx)
				defer cancel2()
				defer context.AfterFunc(leave, cancel2)()
				errs <- b.Go(ctx, func(context.Context) { t.Error("a submitter that left was served") })
			}))
			eventually(t, "the task of a waits for room in b", func() bool { return b.Stats().Waiting == 1 })
			alive(t, a)
			stop()
			require.ErrorIs(t, await(t, "the submitter leaves", errs), context.Canceled)
		})
	}
	stuck.Open()
	quiet(t, a)
	quiet(t, b)
}

// Mutant: a batch moved out of the injector is pushed to the head of the deque, so the oldest of many
// tasks waits until the queue is empty.
func TestPromise02_TasksThatMultiplyEnd(t *testing.T) {
	for _, slots := range []int{1, 4} {
		e := spared(t, slots, 8, executor.WithQueueLimit(16))
		var ran atomic.Int64
		var grow func(ctx context.Context, depth int)
		grow = func(ctx context.Context, depth int) {
			ran.Add(1)
			if depth == 0 {
				return
			}
			for range 4 {
				child := func(ctx context.Context) { grow(ctx, depth-1) }
				if err := e.Go(ctx, child); errors.Is(err, executor.ErrQueueFull) {
					child(ctx)
				} else if err != nil {
					t.Error(err)
				}
			}
		}
		require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { grow(ctx, 6) }))
		quiet(t, e)
		require.EqualValues(t, 5461, ran.Load())
	}
}
