package promises

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// exercise makes e start everything that it has: runners, spares, thieves, the keeper.
func exercise(e *executor.Executor) error {
	ctx := context.Background()
	g := e.NewGroup(ctx)
	for range 50 {
		g.Go(func(ctx context.Context) error {
			executor.Blocking(ctx, func() { runtime.Gosched() })
			fib(ctx, 5)
			c, cancel := context.WithCancel(ctx)
			defer cancel()
			return errors.Join(executor.Yield(c), executor.Checkpoint(c), deep(c, e, 3))
		})
	}
	meet := make(chan struct{})
	g.Go(func(ctx context.Context) error { executor.Blocking(ctx, func() { <-meet }); return nil })
	g.Go(func(context.Context) error { close(meet); return nil })
	return errors.Join(g.Wait(), e.Quiesce(ctx))
}

var stateLine = regexp.MustCompile(`(?m)^goroutine \d+ \[([^\]]+)\]:$`)

// Mutant: an idle runner spins, yields to others in a loop, or sleeps in steps.
func TestPromise10_IdleMeansParked(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(4))
	require.NoError(t, exercise(e))
	var busy []string
	eventually(t, "all goroutines of the executor are parked", func() bool {
		busy = busy[:0]
		for _, g := range strings.Split(stacks(), "\n\n") {
			state := stateLine.FindStringSubmatch(g)
			if state == nil || !strings.Contains(g, "seed-97bda89a/executor.") {
				continue
			}
			what, _, _ := strings.Cut(state[1], ",")
			switch what {
			case "chan receive", "select", "sync.Cond.Wait":
			default:
				busy = append(busy, what)
			}
		}
		return len(busy) == 0
	}) // A state seen here is named in the dump that a failure prints.
	require.Empty(t, busy)
}

// Mutant: a goroutine outlives Close: the keeper, a spare in its keep-alive, the watcher of a parent.
func TestPromise10_NothingIsLeftAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(e *executor.Executor) error{
		"Close":    func(e *executor.Executor) error { return e.Close() },
		"Shutdown": func(e *executor.Executor) error { return e.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			here := goleak.IgnoreCurrent()
			for range 20 {
				e, err := executor.New(executor.WithSlots(4))
				require.NoError(t, err)
				parent, cancel := context.WithCancel(context.Background())
				odd := oddCtx{Context: context.Background(), done: make(chan struct{})}
				for _, c := range []context.Context{parent, odd} {
					require.NoError(t, e.Go(c, func(ctx context.Context) { <-pick(ctx.Done()) }))
				}
				require.NoError(t, exercise(e))
				require.NoError(t, end(e))
				cancel()
				close(odd.done)
			}
			goleak.VerifyNone(t, here)
			e, err := executor.New()
			require.NoError(t, err)
			require.NoError(t, end(e), "an executor that never ran a task")
			goleak.VerifyNone(t, here)
		})
	}
}

// Mutant: the keeper ends without starting the runner that somebody asked for just before, so the end
// waits for a runner that never was.
func TestPromise10_TheEndRacesTheStartOfRunners(t *testing.T) {
	for i := range scaled(5000) {
		e, err := executor.New(executor.WithSlots(1+i%3), executor.WithStallDetection(false))
		require.NoError(t, err)
		var f *executor.Future[int]
		for range 1 + i%4 {
			f, err = executor.Submit(context.Background(), e, one)
			require.NoError(t, err)
		}
		if i%2 == 0 {
			<-f.Done()
		}
		if i%5 == 0 {
			_ = e.Quiesce(context.Background())
		}
		within(t, "the end", func() {
			if i%3 == 0 {
				_ = e.Shutdown(context.Background())
			} else {
				_ = e.Close()
			}
		})
	}
}

// Mutant: a failed New leaves what it had started.
func TestPromise10_AFailedNewLeavesNothing(t *testing.T) {
	here := goleak.IgnoreCurrent()
	_, err := executor.New(executor.WithSlots(2), executor.WithQueueLimit(0))
	require.Error(t, err)
	goleak.VerifyNone(t, here)
}

// Mutant: channels or timers are shared by executors (a package-level pool): the second bubble panics.
// Mutant: something in an idle executor is not durably blocked: synctest.Wait never returns.
func TestPromise10_WorksInASynctestBubble(t *testing.T) {
	for round := range 3 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			e := newExecutor(t, executor.WithSlots(1+round))
			synctest.Wait()
			require.NoError(t, exercise(e))
			synctest.Wait()
			for _, shape := range shapes {
				require.NoError(t, shape.run(context.Background(), e), shape.name)
			}
			// Now and then the keeper's backstop is what goes on, so some fake time may have passed.
			require.Less(t, time.Since(start), time.Minute)
			start = time.Now()
			f, err := executor.Submit(t.Context(), e, func(ctx context.Context) (int, error) {
				executor.Blocking(ctx, func() { time.Sleep(time.Hour) })
				return 1, ctx.Err()
			})
			require.NoError(t, err)
			_, err = f.Wait(context.Background())
			require.NoError(t, err)
			require.GreaterOrEqual(t, time.Since(start), time.Hour)
			require.Less(t, time.Since(start), time.Hour+time.Minute)
			synctest.Wait()
			if round == 1 {
				require.NoError(t, e.Shutdown(context.Background()))
			}
		})
	}
}

// Mutant: a ticker, or a spare that wakes up again and again after its keep-alive.
func TestPromise10_NoTimerOutlivesTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newExecutor(t, executor.WithSlots(2), executor.WithKeepAlive(time.Minute))
		g := newGate(t)
		for range 6 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, g.Wait) }))
		}
		synctest.Wait()
		require.Equal(t, 6, e.Stats().Blocked)
		g.Open()
		require.NoError(t, e.Quiesce(context.Background()))
		synctest.Wait()
		require.NotZero(t, e.Stats().Spares, "spares are kept for a while")
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		before := e.Stats()
		require.Zero(t, before.Spares, "and no longer")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.Equal(t, before, e.Stats())
	})
}

const deadlockEnv = "EXECUTOR_TEST_DEADLOCK"

// Mutant: a goroutine of an idle executor sleeps or ticks, so the runtime cannot see that nothing will
// ever happen again. In the child the bubble waits for ever beside an idle executor, which synctest
// reports only if no timer runs in it.
func TestPromise10_AnIdleExecutorHasNoTimer(t *testing.T) {
	if os.Getenv(deadlockEnv) != "" {
		synctest.Test(t, func(*testing.T) {
			for _, opts := range [][]executor.Option{{executor.WithSlots(2)}, {}} { // by default it follows the quota
				e, err := executor.New(append(opts, executor.WithKeepAlive(time.Second))...)
				if err == nil {
					err = exercise(e)
				}
				if err != nil {
					fmt.Println(err)
					return
				}
			}
			fmt.Println("idle from here on")
			select {}
		})
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPromise10_AnIdleExecutorHasNoTimer$")
	cmd.Env = append(os.Environ(), deadlockEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, ctx.Err(), "fake time runs on: there is a timer\n%s", out)
	require.Error(t, err)
	require.Contains(t, string(out), "idle from here on")
	require.Contains(t, string(out), "deadlock")
}

type big struct{ _ [1 << 16]byte }

// Mutant: a popped cell is not cleared; a parked runner keeps its last task, the cached context of its last
// parent, or what its last Blocking closed over.
func TestPromise10_AParkedRunnerHoldsNothing(t *testing.T) {
	e := spared(t, 2, 4)
	held := map[string]weak.Pointer[big]{}
	fresh := func(what string) *big {
		b := new(big)
		held[fmt.Sprintf("%s, object %d", what, len(held))] = weak.Make(b)
		return b
	}
	use := func(b *big) { runtime.KeepAlive(b) }
	with := func(b *big) context.Context { return context.WithValue(context.Background(), ctxKey{}, b) }
	for range 4 {
		closure, value := fresh("closure"), fresh("context value")
		require.NoError(t, e.Go(with(value), func(context.Context) { use(closure) }))
		in, out, value2 := fresh("inside Blocking"), fresh("result"), fresh("second context value")
		f, err := executor.Submit(with(value2), e, func(ctx context.Context) (*big, error) {
			_ = ctx.Done()
			executor.Blocking(ctx, func() { use(in) })
			return out, nil
		})
		require.NoError(t, err)
		require.NoError(t, result(t, f))
		child, gone, forked, argument := fresh("group"), fresh("canceled"), fresh("forked"), fresh("argument")
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			g := e.NewGroup(with(child))
			g.SetLimit(1)
			for range 3 {
				g.Go(func(context.Context) error { use(child); return nil })
			}
			c, cancel := context.WithCancel(ctx)
			defer cancel()
			dropped, err := executor.Submit(c, e, func(context.Context) (int, error) { use(gone); return 1, nil })
			if err != nil {
				return err
			}
			cancel()
			_, _ = dropped.Wait(ctx)
			executor.Fork(ctx, func(context.Context) *big { return forked }).Join(ctx)
			executor.Fork(ctx, func(context.Context) *big { return forked })
			same := func(_ context.Context, b *big) *big { return b }
			executor.ForkWith(ctx, same, argument).Join(ctx)
			executor.ForkWith(ctx, same, argument)
			return g.Wait()
		}))
		panics, exits := fresh("panic"), fresh("Goexit")
		require.Error(t, inTask(t, e, func(context.Context) error { panic(panics) }))
		require.Error(t, inTask(t, e, func(context.Context) error { use(exits); runtime.Goexit(); return nil }))
		loop := fresh("loop")
		require.NoError(t, executor.For(with(loop), e, 100, func(context.Context, int) error { use(loop); return nil }))
	}
	quiet(t, e)
	for what, w := range held {
		eventually(t, "collection: "+what, func() bool {
			runtime.GC()
			return w.Value() == nil
		})
	}
	runtime.KeepAlive(e)
}

// All blocking is marked, so the clock of the bubble says when the program ends, and nothing else does. Mutants: a
// call that took no fake time counts as short, and keeps its slot until the next tick.
func TestPromise10_MarkedProgramsEndAtTheSameFakeTime(t *testing.T) {
	ends := map[string]time.Duration{"spares for all": 10 * time.Millisecond, "hand over hand": 0}
	programs := map[string]func(e *executor.Executor) error{
		"spares for all": func(e *executor.Executor) error {
			ctx := context.Background()
			g := e.NewGroup(ctx)
			for i := range 120 {
				g.Go(func(ctx context.Context) error {
					executor.Blocking(ctx, func() { time.Sleep(time.Duration(i%7) * time.Millisecond) })
					f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
						executor.Blocking(ctx, func() { time.Sleep(time.Duration(i%5) * time.Millisecond) })
						return 1, nil
					})
					if err == nil {
						_, err = f.Wait(ctx)
					}
					executor.Blocking(ctx, func() {})
					return err
				})
			}
			return g.Wait()
		},
		"hand over hand": func(e *executor.Executor) error { // each waits inside Blocking for the next, which is queued
			for range 300 {
				queued, ran := make(chan struct{}), make(chan struct{})
				wait := func(ctx context.Context) { <-queued; executor.Blocking(ctx, func() { <-ran }) }
				if err := errors.Join(e.Go(context.Background(), wait), e.Go(context.Background(), func(context.Context) { close(ran) })); err != nil {
					return err
				}
				close(queued)
				if err := e.Quiesce(context.Background()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, program := range programs {
		for _, slots := range []int{1, 2, 3} {
			var took [10]time.Duration
			for i := range took {
				synctest.Test(t, func(t *testing.T) {
					e, err := executor.New(executor.WithSlots(slots))
					require.NoError(t, err)
					start := time.Now()
					require.NoError(t, program(e))
					took[i] = time.Since(start)
					require.NoError(t, e.Close())
				})
			}
			require.Equal(t, slices.Repeat([]time.Duration{ends[name]}, len(took)), took[:], "%s, %d slots", name, slots)
		}
	}
}
