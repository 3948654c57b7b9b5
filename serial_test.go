package executor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/goid"
	"github.com/stretchr/testify/require"
)

// orderedKinds are the ways to run tasks in order: each test that takes one holds for both.
var orderedKinds = []struct {
	name string
	make func(e *executor.Executor, limit int) ordered
}{
	{"Serial", func(e *executor.Executor, _ int) ordered { return serialOf{executor.NewSerial(e)} }},
	{"Keyed", func(e *executor.Executor, limit int) ordered {
		k := executor.NewKeyed[string](e)
		if limit > 0 {
			k.SetLimit(limit)
		}
		return keyOf{k}
	}},
}

type ordered interface {
	Go(context.Context, func(context.Context)) error
	TryGo(context.Context, func(context.Context)) error
	Do(context.Context, func(context.Context) error) error
	Submit(context.Context, func(context.Context) (int, error)) (*executor.Future[int], error)
}

type serialOf struct{ *executor.Serial }

func (s serialOf) Submit(ctx context.Context, fn func(context.Context) (int, error)) (*executor.Future[int], error) {
	return executor.SubmitOn(ctx, s.Serial, fn)
}

type keyOf struct{ k *executor.Keyed[string] }

func (k keyOf) Go(ctx context.Context, fn func(context.Context)) error { return k.k.Go(ctx, "key", fn) }
func (k keyOf) TryGo(ctx context.Context, fn func(context.Context)) error {
	return k.k.TryGo(ctx, "key", fn)
}
func (k keyOf) Do(ctx context.Context, fn func(context.Context) error) error {
	return k.k.Do(ctx, "key", fn)
}
func (k keyOf) Submit(ctx context.Context, fn func(context.Context) (int, error)) (*executor.Future[int], error) {
	return executor.SubmitKey(ctx, k.k, "key", fn)
}

// eachOrdered runs a test for a Serial and for a key of a Keyed whose limit is that of the executor, or limit.
func eachOrdered(t *testing.T, limit int, make func(t *testing.T) *executor.Executor, test func(t *testing.T, e *executor.Executor, s ordered)) {
	for _, kind := range orderedKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			e := make(t)
			test(t, e, kind.make(e, limit))
			require.NoError(t, executor.Settled(e, guard))
		})
	}
}

// One at a time, in order, whatever the tasks do: block, yield, panic, exit. Fails if the strand does not stay
// draining while its task blocks, if rest forgets to launch, or if exited is not called.
func TestSerial_OneAtATimeInOrder(t *testing.T) {
	eachOrdered(t, 0, func(t *testing.T) *executor.Executor {
		return newExecutor(t, executor.WithSlots(4), executor.WithQueueLimit(64),
			executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
	}, func(t *testing.T, e *executor.Executor, s ordered) {
		n := scaled(5000)
		var running atomic.Int32
		var order []int
		for i := range n {
			require.NoError(t, s.Go(context.Background(), func(ctx context.Context) {
				if running.Add(1) != 1 {
					t.Error("two at once")
				}
				order = append(order, i)
				defer running.Add(-1)
				switch i % 16 {
				case 3:
					executor.Blocking(ctx, runtime.Gosched)
				case 7:
					_ = executor.Yield(ctx)
				case 9:
					panic("on purpose")
				case 12:
					runtime.Goexit()
				}
			}))
		}
		st := quiet(t, e)
		require.Len(t, order, n)
		for i := range order {
			require.Equal(t, i, order[i])
		}
		require.EqualValues(t, n, st.Submitted)
		require.EqualValues(t, n/16*2+min(1, max(0, n%16-9))+min(1, max(0, n%16-12)), st.Panicked)
	})
}

// The tasks of a Serial take turns with others, also on one slot: others need not wait for its end.
func TestSerial_OthersHaveTheirTurn(t *testing.T) {
	eachOrdered(t, 0, func(t *testing.T) *executor.Executor {
		return bare(t, 1, executor.WithQueueLimit(10000))
	}, func(t *testing.T, e *executor.Executor, s ordered) {
		hold := stick(t, e, 1)
		var ran, at atomic.Int64
		for range 1000 {
			require.NoError(t, s.Go(context.Background(), func(context.Context) { ran.Add(1) }))
		}
		require.NoError(t, e.Go(context.Background(), func(context.Context) { at.Store(ran.Load()) }))
		hold.Open()
		quiet(t, e)
		require.EqualValues(t, 1000, ran.Load())
		require.LessOrEqual(t, at.Load(), int64(16), "a drain is at most 16 tasks")
	})
}

// What waits behind its Serial takes no place in the executor's queue, and a full queue does not stop it.
func TestSerial_BoundsAreApart(t *testing.T) {
	eachOrdered(t, 4, func(t *testing.T) *executor.Executor {
		return bare(t, 1, executor.WithQueueLimit(4))
	}, func(t *testing.T, e *executor.Executor, s ordered) {
		hold := stick(t, e, 1)
		nothing := func(context.Context) {}
		for range 4 {
			require.NoError(t, e.TryGo(context.Background(), nothing))
		}
		require.ErrorIs(t, e.TryGo(context.Background(), nothing), executor.ErrQueueFull)
		for i := range 4 {
			require.NoError(t, s.TryGo(context.Background(), nothing), "%d", i)
		}
		require.ErrorIs(t, s.TryGo(context.Background(), nothing), executor.ErrQueueFull, "the bound is exact")
		require.Equal(t, 8, e.Stats().Queued)

		ctx, cancel := context.WithCancelCause(context.Background())
		why := errors.New("why")
		late := make(chan error)
		go func() { late <- s.Go(ctx, nothing) }()
		eventually(t, "a submitter waits", func() bool { return e.Stats().Waiting == 1 })
		cancel(why)
		require.ErrorIs(t, await(t, "the wait ends", late), why)
		go func() { late <- s.Go(context.Background(), nothing) }()
		eventually(t, "a submitter waits", func() bool { return e.Stats().Waiting == 1 })
		hold.Open()
		require.NoError(t, await(t, "there is room", late))
		st := quiet(t, e)
		require.EqualValues(t, 10, st.Completed)
		require.EqualValues(t, 2, st.RejectedFull)
		require.EqualValues(t, 1, st.RejectedCanceled)
	})
}

// Whoever waits for itself is told so, and never hangs. Fails if drains looks at the innermost strand only (the
// second Serial), or not at all.
func TestSerial_SelfWait(t *testing.T) {
	eachOrdered(t, 1, func(t *testing.T) *executor.Executor {
		return spared(t, 2, 4, executor.WithQueueLimit(1))
	}, func(t *testing.T, e *executor.Executor, s ordered) {
		one := func(context.Context) (int, error) { return 1, nil }
		for _, kind := range ctxKinds {
			require.NoError(t, s.Do(context.Background(), func(ctx context.Context) error {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				require.ErrorIs(t, s.Do(ctx, func(context.Context) error { return nil }), executor.ErrSelfWait, kind.Name)
				f, err := s.Submit(ctx, one)
				require.NoError(t, err)
				_, err = f.Wait(ctx)
				require.ErrorIs(t, err, executor.ErrSelfWait, kind.Name)
				executor.Blocking(ctx, func() {
					_, err = f.Wait(ctx)
					require.ErrorIs(t, err, executor.ErrSelfWait, "inside Blocking")
				})
				require.ErrorIs(t, s.Go(ctx, func(context.Context) {}), executor.ErrSelfWait, "no room")
				require.ErrorIs(t, s.TryGo(ctx, func(context.Context) {}), executor.ErrQueueFull)
				g, here := e.NewGroup(ctx), goid.ID()
				g.Go(func(ctx context.Context) error {
					if kind.Name == "task ctx" && goid.ID() != here {
						return nil // somebody else was faster, and would wait for who waits for it
					}
					_, err := f.Wait(ctx) // in place
					if err == nil {
						return errors.New("it ran out of turn")
					}
					return nil
				})
				if kind.Name == "task ctx" {
					require.NoError(t, g.Wait())
				}
				return nil
			}))
			quiet(t, e)
		}
	})
}

// With one slot and no spare the waiter runs what is before the awaited task, and that, itself, in order.
func TestSerial_WaitingNeverDeadlocks(t *testing.T) {
	for _, spares := range []int{0, 1} {
		t.Run(fmt.Sprint(spares, " spares"), func(t *testing.T) {
			eachOrdered(t, 0, func(t *testing.T) *executor.Executor { return spared(t, 1, spares) },
				func(t *testing.T, e *executor.Executor, s ordered) {
					var order []int
					var mu sync.Mutex
					add := func(i int) { mu.Lock(); order = append(order, i); mu.Unlock() }
					within(t, "the tasks end", func() {
						for _, kind := range ctxKinds {
							order = nil
							err := inTask(t, e, func(ctx context.Context) error {
								ctx, cancel := kind.Of(ctx)
								defer cancel()
								for i := range 20 {
									require.NoError(t, s.Go(ctx, func(context.Context) { add(i) }))
								}
								f, err := s.Submit(ctx, func(context.Context) (int, error) { add(20); return 20, nil })
								require.NoError(t, err)
								require.NoError(t, s.Go(ctx, func(context.Context) { add(21) }))
								v, err := f.Wait(ctx)
								require.Equal(t, 20, v)
								require.NoError(t, err)
								return s.Do(ctx, func(context.Context) error { add(22); return nil })
							})
							require.NoError(t, err)
							require.Len(t, order, 23)
							for i := range order {
								require.Equal(t, i, order[i])
							}
						}
					})
					quiet(t, e)
				})
		})
	}
}

// A task that finds no room, with no spare to run what would make it, is accepted over the limit, up to twice that.
func TestSerial_SubmittingInsideATaskNeverDeadlocks(t *testing.T) {
	eachOrdered(t, 4, func(t *testing.T) *executor.Executor { return bare(t, 1, executor.WithQueueLimit(4)) },
		func(t *testing.T, e *executor.Executor, s ordered) {
			var ran atomic.Int32
			accepted := 0
			within(t, "the task ends", func() {
				require.NoError(t, inTask(t, e, func(ctx context.Context) error {
					for range 20 {
						err := s.Go(ctx, func(context.Context) { ran.Add(1) })
						if err == nil {
							accepted++
						} else {
							require.ErrorIs(t, err, executor.ErrQueueFull)
						}
					}
					return nil
				}))
			})
			quiet(t, e)
			require.Equal(t, 8, accepted)
			require.EqualValues(t, 8, ran.Load())
		})
}

// Do waits for the end, whatever its ctx, once fn has started; before that the end of ctx cancels it at once.
func TestSerial_Do(t *testing.T) {
	eachOrdered(t, 0, func(t *testing.T) *executor.Executor { return bare(t, 1) }, func(t *testing.T, e *executor.Executor, s ordered) {
		oops := errors.New("oops")
		require.ErrorIs(t, s.Do(context.Background(), func(context.Context) error { return oops }), oops)
		var p *executor.PanicError
		require.ErrorAs(t, s.Do(context.Background(), func(context.Context) error { panic(oops) }), &p)
		require.ErrorIs(t, s.Do(context.Background(), func(context.Context) error { runtime.Goexit(); return nil }), executor.ErrGoexit)

		ctx, cancel := context.WithCancel(context.Background())
		require.NoError(t, s.Do(ctx, func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil }), "it had started")
		require.ErrorIs(t, s.Do(ctx, func(context.Context) error { t.Error("it ran"); return nil }), context.Canceled)

		g := newGate(t)
		require.NoError(t, s.Go(context.Background(), func(context.Context) { g.Wait() }))
		eventually(t, "it runs", func() bool { return e.Stats().Queued == 0 })
		ctx, cancel = context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- s.Do(ctx, func(context.Context) error { t.Error("it ran"); return nil }) }()
		eventually(t, "it is queued", func() bool { return e.Stats().Queued == 1 })
		cancel()
		require.ErrorIs(t, await(t, "Do ends at once", done), context.Canceled)
		require.Equal(t, 0, e.Stats().Queued, "and gives its place back")
		g.Open()
		st := quiet(t, e)
		require.EqualValues(t, 1, st.Canceled)
		require.EqualValues(t, 2, st.Panicked)
		require.EqualValues(t, 1, st.Failed)
	})
}

// Canceled futures leave neither places nor memory behind while the strand can not move. Mutant: start looks for a first task where
// there is none.
func TestSerial_CanceledTasksAreSwept(t *testing.T) {
	eachOrdered(t, 8, func(t *testing.T) *executor.Executor { return bare(t, 1, executor.WithQueueLimit(8)) }, func(t *testing.T, e *executor.Executor, s ordered) {
		g := newGate(t)
		require.NoError(t, s.Go(context.Background(), func(context.Context) { g.Wait() }))
		eventually(t, "it runs", func() bool { return e.Stats().Queued == 0 })
		var ran atomic.Int32
		canceled := func(n int) {
			for range n {
				ctx, cancel := context.WithCancel(context.Background())
				f, err := s.Submit(ctx, func(context.Context) (int, error) { ran.Add(1); return 0, nil })
				require.NoError(t, err)
				done := f.Done()
				cancel()
				await(t, "it is canceled at once", done)
			}
		}
		canceled(1000)
		last, err := s.Submit(context.Background(), func(context.Context) (int, error) { return 7, nil })
		require.NoError(t, err)
		g.Open()
		require.NoError(t, result(t, last))
		require.Zero(t, ran.Load())
		require.EqualValues(t, 1000, quiet(t, e).Canceled)
		g = newGate(t) // now nothing of it runs: it is ready, and each 17 are swept, the last ones too
		require.NoError(t, e.Go(context.Background(), func(context.Context) { g.Wait() }))
		eventually(t, "it runs", func() bool { return e.Stats().Queued == 0 })
		canceled(6 * 17)
		g.Open()
		require.EqualValues(t, 1000+6*17, quiet(t, e).Canceled)
	})
}

// Close drops what is queued, at once where nothing of the Serial runs and also behind a task that runs; Shutdown runs
// it all, and refuses outsiders meanwhile.
func TestSerial_Ends(t *testing.T) {
	for _, behind := range []bool{true, false} {
		eachOrdered(t, 0, func(t *testing.T) *executor.Executor { return bare(t, 1) }, func(t *testing.T, e *executor.Executor, s ordered) {
			g := newGate(t)
			hold := func(context.Context) { g.Wait() }
			if behind {
				require.NoError(t, s.Go(context.Background(), hold))
			} else {
				require.NoError(t, e.Go(context.Background(), hold))
			}
			eventually(t, "it runs", func() bool { return e.Stats().Queued == 0 })
			f, err := s.Submit(context.Background(), func(context.Context) (int, error) { return 0, nil })
			require.NoError(t, err)
			require.NoError(t, s.Go(context.Background(), func(context.Context) { t.Error("it ran") }))
			closed := make(chan error)
			go func() { closed <- e.Close() }()
			require.ErrorIs(t, result(t, f), executor.ErrClosed)
			require.ErrorIs(t, s.Go(context.Background(), hold), executor.ErrClosed)
			require.ErrorIs(t, s.TryGo(context.Background(), hold), executor.ErrClosed)
			g.Open()
			require.NoError(t, await(t, "Close", closed))
			st := balanced(t, e)
			require.EqualValues(t, 2, st.Canceled)
		})
	}
	eachOrdered(t, 2, func(t *testing.T) *executor.Executor { return bare(t, 1, executor.WithQueueLimit(2)) }, func(t *testing.T, e *executor.Executor, s ordered) {
		g := newGate(t)
		var ran atomic.Int32
		require.NoError(t, s.Go(context.Background(), func(ctx context.Context) {
			g.Wait()
			if err := s.TryGo(ctx, func(context.Context) { ran.Add(1) }); err != nil && !errors.Is(err, executor.ErrQueueFull) {
				t.Errorf("a task of the executor is refused: %v", err)
			}
		}))
		eventually(t, "it runs", func() bool { return e.Stats().Queued == 0 })
		for range 2 {
			require.NoError(t, s.Go(context.Background(), func(context.Context) { ran.Add(1) }))
		}
		waits := make(chan error)
		go func() { waits <- s.Go(context.Background(), func(context.Context) { t.Error("it ran") }) }()
		eventually(t, "it waits", func() bool { return e.Stats().Waiting == 1 })
		ended := make(chan error)
		go func() { ended <- e.Shutdown(context.Background()) }()
		require.ErrorIs(t, await(t, "who waits is refused", waits), executor.ErrClosed)
		g.Open()
		require.NoError(t, await(t, "Shutdown", ended))
		require.EqualValues(t, 2, ran.Load())
		balanced(t, e)
	})
}
