package promises

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// What tasks can do, a guest can: from its deque idle slots steal, waits run what they wait for, Blocking lends.
//
// Mutants: what fn left in the deque is lost, or waits for the next one; a guest that is without a slot at its end loses
// the slot of another, or a credit.
func TestDo_IsATaskInEveryRespect(t *testing.T) {
	for _, cfg := range [][2]int{{1, 0}, {1, 2}, {3, 4}} {
		e := spared(t, cfg[0], cfg[1], executor.WithQueueLimit(1000))
		var ran atomic.Int64
		for range 20 {
			require.NoError(t, e.Do(bg, func(ctx context.Context) error {
				sum, err := executor.Reduce(ctx, e, 1000, func(_ context.Context, lo, hi, acc int) (int, error) { return acc + hi - lo, nil }, func(a, b int) int { return a + b })
				if err := want(err, int64(sum), 1000); err != nil {
					return err
				}
				if n := fib(ctx, 12); n != 144 {
					return fmt.Errorf("fib is %d", n)
				}
				g := e.NewGroup(ctx)
				for range 10 {
					g.Go(func(ctx context.Context) error {
						executor.Blocking(ctx, runtime.Gosched)
						return executor.Yield(ctx)
					})
				}
				if err := g.Wait(); err != nil {
					return err
				}
				executor.Blocking(ctx, func() {
					f, err := executor.Submit(ctx, e, one)
					if err == nil && cfg[1] > 0 {
						_, err = f.Wait(ctx)
					}
					if err != nil {
						t.Error(err)
					}
				})
				if err := executor.Checkpoint(ctx); err != nil {
					return err
				}
				for range 300 { // left behind, beyond the deque too
					if err := e.Go(ctx, func(context.Context) { ran.Add(1) }); err != nil {
						return err
					}
				}
				return executor.Yield(ctx)
			}))
		}
		quiet(t, e)
		require.EqualValues(t, 20*300, ran.Load())
		requireParallelism(t, e, cfg[0])
	}
}

// Mutants: a guest without a slot at its end counts as having one; a slot is given twice.
func TestDo_ComingBackAsSurplus(t *testing.T) {
	e := spared(t, 1, 2)
	for range 100 {
		hold := newGate(t)
		require.NoError(t, e.Do(bg, func(ctx context.Context) error {
			started := make(chan struct{})
			executor.Blocking(ctx, func() {
				require.NoError(t, e.Go(bg, func(context.Context) { close(started); hold.Wait() }))
				await(t, "the slot is somebody else's", started)
			})
			return nil // without a slot
		}))
		hold.Open()
		quiet(t, e)
	}
	requireParallelism(t, e, 1)
}

// Mutants: labels of a named task are left on the caller; a lock on the thread is undone.
func TestDo_LeavesTheGoroutineAsItIs(t *testing.T) {
	e := bare(t, 1)
	pprof.Do(bg, pprof.Labels("mine", "kept"), func(ctx context.Context) {
		require.NoError(t, e.Do(executor.WithTaskName(ctx, "named"), func(ctx context.Context) error {
			executor.Fork(ctx, func(context.Context) int { return 1 }).Join(ctx)
			runtime.LockOSThread()
			return nil
		}))
		var text strings.Builder
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(&text, 1))
		require.Contains(t, text.String(), `"mine":"kept"`)
	})
	require.Contains(t, header(), "locked to thread")
	runtime.UnlockOSThread()
	require.NotContains(t, header(), "locked to thread")
	executor.OnThread(bg, func() {
		require.NoError(t, e.Do(bg, func(context.Context) error { return nil }))
	})
	quiet(t, e)
}

// Mutants: the record of a guest keeps its context, its function or its children.
func TestDo_KeepsNothing(t *testing.T) {
	e := bare(t, 1)
	var held []weak.Pointer[large]
	fresh := func() *large {
		v := new(large)
		held = append(held, weak.Make(v))
		return v
	}
	var leaked context.Context
	for range 3 {
		value, closure, child := fresh(), fresh(), fresh()
		require.NoError(t, e.Do(context.WithValue(bg, ctxKey{}, value), func(ctx context.Context) error {
			_ = ctx.Done()
			runtime.KeepAlive(closure)
			executor.ForkWith(ctx, func(_ context.Context, v *large) *large { return v }, child)
			return nil
		}))
		require.NoError(t, e.Do(bg, func(ctx context.Context) error { leaked = ctx; return nil }))
	}
	quiet(t, e)
	for i, w := range held {
		eventually(t, fmt.Sprintf("object %d is collected", i), func() bool { runtime.GC(); return w.Value() == nil })
	}
	// Its context may leak, and does no harm to the next guest.
	require.NoError(t, e.Do(bg, func(context.Context) error {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_ = e.TryGo(leaked, func(context.Context) {})
				_ = executor.Checkpoint(leaked)
				executor.Blocking(leaked, func() {})
				executor.Fork(leaked, func(context.Context) int { return 1 }).Join(leaked)
			})
		}
		wg.Wait()
		return nil
	}))
	quiet(t, e)
}

// Mutants: the figures of a name miss guests; a panic counts as Goexit there.
func TestDo_CountsForItsName(t *testing.T) {
	e := bare(t, 1)
	ctx := executor.WithTaskName(bg, "guest")
	require.NoError(t, e.Do(ctx, func(context.Context) error { return nil }))
	require.Error(t, e.Do(ctx, func(context.Context) error { return errSentinel }))
	require.Panics(t, func() { _ = e.Do(ctx, func(context.Context) error { panic("boom") }) })
	within(t, "Goexit", func() { _ = e.Do(ctx, func(context.Context) error { runtime.Goexit(); return nil }) })
	s := quiet(t, e)
	require.EqualValues(t, 4, s.Submitted)
	require.EqualValues(t, 2, s.Panicked)
	figures := e.TaskStats()
	require.Len(t, figures, 1)
	require.Equal(t, "guest", figures[0].Name)
	require.EqualValues(t, 4, figures[0].Count)
	require.EqualValues(t, 1, figures[0].Failed)
	require.EqualValues(t, 2, figures[0].Panicked)
	var texts []string
	for _, err := range figures[0].Errors {
		texts = append(texts, err.Text)
	}
	require.Equal(t, []string{executor.ErrGoexit.Error(), "panic", errSentinel.Error()}, texts)
}

// Mutant: a Shutdown that ends without it does not say that a guest still runs, or says that idle records do.
func TestDo_AnUnfinishedGuest(t *testing.T) {
	e := bare(t, 2)
	require.NoError(t, e.Do(bg, func(context.Context) error { return nil }))
	hold, started, ended := newGate(t), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- e.Do(executor.WithTaskName(bg, "guest"), func(context.Context) error { close(started); hold.Wait(); return nil })
	}()
	await(t, "the guest", started)
	var u *executor.UnfinishedError
	require.ErrorAs(t, e.Shutdown(canceled()), &u)
	require.Len(t, u.Running, 1)
	require.Equal(t, "guest", u.Running[0].Name)
	require.Contains(t, u.Running[0].Func, "TestDo_AnUnfinishedGuest")
	hold.Open()
	require.NoError(t, await(t, "the guest's end", ended))
	require.NoError(t, e.Shutdown(bg))
}

// A task of a Serial that a guest runs in place, because it waits for one behind it and no spare is left, may take the
// guest's goroutine along: it is counted, and the tasks behind it run all the same.
// Mutants: workInPlace leaves the strand as it is, drained by nobody; a bare task is run as if nothing were below it.
func TestDo_GoexitOfATaskThatAGuestHelps(t *testing.T) {
	for name, submit := range map[string]func(ctx context.Context, s *executor.Serial) error{
		"bare": func(ctx context.Context, s *executor.Serial) error {
			return s.Go(ctx, func(context.Context) { runtime.Goexit() })
		},
		"future": func(ctx context.Context, s *executor.Serial) error {
			_, err := executor.SubmitOn(ctx, s, func(context.Context) (int, error) { runtime.Goexit(); return 0, nil })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 2, executor.WithMaxSpares(0))
			s := executor.NewSerial(e)
			release := make(chan struct{})
			var behind atomic.Bool
			within(t, "the guest ends", func() {
				_ = e.Do(bg, func(ctx context.Context) error {
					for range 2 { // the other slot is lent once, and then held by who waits
						_ = e.Go(bg, func(ctx context.Context) { _, _, _ = executor.Receive(ctx, release) })
					}
					eventually(t, "no spare is left", func() bool { return e.Stats().Uncompensated > 0 })
					err := submit(ctx, s)
					if err == nil {
						err = s.Do(ctx, func(context.Context) error { behind.Store(true); return nil })
					}
					t.Errorf("the guest came back: %v", err)
					return err
				})
			})
			close(release)
			st := quiet(t, e)
			require.True(t, behind.Load())
			require.EqualValues(t, 2, st.Panicked, "the guest, and the task")
		})
	}
}

// Blocking that nobody marked is found in a guest too (promise 13).
func TestDo_StallDetectionSeesIt(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(2))
	require.NoError(t, e.Do(bg, func(context.Context) error {
		ran := make(chan struct{})
		if err := e.Go(bg, func(context.Context) { close(ran) }); err != nil {
			return err
		}
		await(t, "a queued task runs beside a guest that blocks", ran)
		return nil
	}))
	quiet(t, e)
}

func TestDo_InABubble(t *testing.T) {
	outside := bare(t, 1)
	synctest.Test(t, func(t *testing.T) {
		e := spared(t, 1, 2)
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_ = e.Do(bg, func(context.Context) error { time.Sleep(time.Second); return nil })
			})
		}
		wg.Wait()
		require.GreaterOrEqual(t, time.Since(start), time.Second)
		require.Panics(t, func() { _ = outside.Do(bg, func(context.Context) error { return nil }) })
		require.NoError(t, e.Close())
	})
	require.NoError(t, outside.Do(bg, func(context.Context) error { return nil }))
	quiet(t, outside)
}

// Everything at once, in every order that comes up: each accepted call runs once, never more than slots at a time, and the books
// balance.
func TestDo_RacesEverything(t *testing.T) {
	for round := range 6 {
		slots := 1 + round%3
		e := bare(t, slots, executor.WithQueueLimit(8), executor.WithMaxSpares(round/3*4))
		other := spared(t, 1, 4)
		var ran, accepted atomic.Int64
		var p peak
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
				for range scaled(400) {
					ctx, cancel := context.WithCancel(bg)
					how := rng.IntN(8)
					did := false
					fn := func(ctx context.Context) error {
						p.Enter()
						did = true
						ran.Add(1)
						if how%2 == 0 {
							runtime.Gosched()
						}
						p.Leave()
						if how == 5 {
							executor.Blocking(ctx, runtime.Gosched)
						}
						if how == 6 {
							executor.Fork(ctx, func(context.Context) int { return 1 })
						}
						return nil
					}
					var err error
					switch how {
					case 0:
						err = e.TryDo(ctx, fn)
					case 1:
						go cancel()
						err = e.Do(ctx, fn)
					case 2:
						err = e.TryGo(ctx, func(context.Context) { ran.Add(1) })
						did = err == nil
						if err == nil {
							accepted.Add(1)
						}
						cancel = func() {}
					case 3:
						_ = other.Do(ctx, func(ctx context.Context) error { err = e.Do(ctx, fn); return err })
					default:
						err = e.Do(ctx, fn)
					}
					if how != 2 {
						if did != (err == nil) {
							t.Errorf("ran %v, error %v", did, err)
						}
						if did {
							accepted.Add(1)
						}
					}
					cancel()
				}
			})
		}
		within(t, "all callers", wg.Wait)
		quiet(t, other)
		quiet(t, e)
		require.Equal(t, accepted.Load(), ran.Load())
		require.LessOrEqual(t, p.Max(), int64(slots))
		requireParallelism(t, e, slots)
	}
}

// Mutants: a guest that gets its slot while the executor closes or shrinks is lost, or keeps it.
func TestDo_RacesCloseAndResize(t *testing.T) {
	for round := range scaled(100) + 10 {
		e, err := executor.New(executor.WithSlots(3), executor.WithMaxSpares(2), executor.WithStallDetection(false))
		require.NoError(t, err)
		var wg sync.WaitGroup
		var ran, done atomic.Int64
		for range 6 {
			wg.Go(func() {
				for {
					ok := false
					err := e.Do(bg, func(ctx context.Context) error {
						ran.Add(1)
						executor.Blocking(ctx, func() {})
						_ = e.TryGo(ctx, func(context.Context) {})
						ok = true
						return nil
					})
					if ok {
						done.Add(1)
					}
					if err != nil {
						require.ErrorIs(t, err, executor.ErrClosed)
						return
					}
				}
			})
		}
		for i := range 4 {
			_ = e.Resize(1 + (round+i)%4)
			runtime.Gosched()
		}
		if round%2 == 0 {
			require.NoError(t, e.Shutdown(bg))
		} else {
			closeNow(t, e)
		}
		within(t, "all guests", wg.Wait)
		require.Equal(t, ran.Load(), done.Load())
		balanced(t, e)
	}
}
