package promises

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// attempt calls fn and returns what it panicked with, as text, or "".
func attempt(fn func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = v.(error).Error()
		}
	}()
	fn()
	return ""
}

// borderCalls are the calls that a goroutine in a bubble may make to an executor outside of it. Those that wait have
// to say so; the others have to work.
var borderCalls = []struct {
	name  string
	waits bool // for something that does not come before release is called
	call  func(e *executor.Executor, ctx context.Context, held func(context.Context)) error
}{
	{"Go", false, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return e.Go(ctx, held)
	}},
	{"TryGo", false, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return e.TryGo(ctx, held)
	}},
	{"Submit", false, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		_, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { held(ctx); return 1, nil })
		return err
	}},
	{"Stats", false, func(e *executor.Executor, _ context.Context, _ func(context.Context)) error { e.Stats(); return nil }},
	{"Sizing", false, func(e *executor.Executor, _ context.Context, _ func(context.Context)) error {
		e.Sizing()
		e.Throttling()
		return nil
	}},
	{"Resize", false, func(e *executor.Executor, _ context.Context, _ func(context.Context)) error {
		for _, n := range []int{5, 1, 2} {
			if err := e.Resize(n); err != nil {
				return err
			}
		}
		return nil
	}},
	{"Go with a context that ends", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		return e.Go(c, held)
	}},
	{"Submit with a context that ends", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		c, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := executor.Submit(c, e, func(ctx context.Context) (int, error) { held(ctx); return 1, nil })
		return err
	}},
	{"Wait", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { held(ctx); return 1, nil })
		if err == nil {
			_, err = f.Wait(ctx)
		}
		return err
	}},
	{"Done", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		f, err := executor.TrySubmit(ctx, e, func(ctx context.Context) (int, error) { held(ctx); return 1, nil })
		if err == nil {
			<-f.Done()
		}
		return err
	}},
	{"Group", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		g := e.NewGroup(ctx)
		g.Go(func(ctx context.Context) error { held(ctx); return nil })
		return g.Wait()
	}},
	{"Group with a nil task", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error {
		g := e.NewGroup(ctx)
		g.Go(nil)
		return g.Wait()
	}},
	{"For", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.For(ctx, e, 3, func(ctx context.Context, _ int) error { held(ctx); return nil })
	}},
	{"ForEach", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.ForEach(ctx, e, func(yield func(int) bool) { yield(1) }, func(ctx context.Context, _ int) error { held(ctx); return nil })
	}},
	{"Quiesce", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error { return e.Quiesce(ctx) }},
	{"Shutdown", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error { return e.Shutdown(ctx) }},
	{"Close", true, func(e *executor.Executor, _ context.Context, _ func(context.Context)) error { return e.Close() }},
}

// A call across the border works, or the caller gets a panic that says what to do. Nothing ends the process, and the
// executor goes on: it is used from outside at the same time, and afterwards. Mutants: the runners are counted by a
// WaitGroup; a waiter's channel is made in the bubble; the context's end is not looked at. Each is a fatal error.
func TestPromise10_ABubbleMayCallAnExecutorOutside(t *testing.T) {
	for _, full := range []bool{false, true} {
		e, err := executor.New(executor.WithSlots(2), executor.WithQueueLimit(64), executor.WithKeepAlive(time.Millisecond))
		require.NoError(t, err)
		release := make(chan struct{})
		var started, ended atomic.Int64
		held := func(context.Context) { started.Add(1); <-release; ended.Add(1) }
		stop := make(chan struct{})
		var outside sync.WaitGroup
		if full {
			for e.TryGo(context.Background(), held) == nil {
				runtime.Gosched()
			}
		} else {
			outside.Go(func() { // runners come and go, wait points are pooled, while the bubble calls
				for {
					select {
					case <-stop:
						return
					default:
					}
					f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) { return 1, nil })
					if err == nil {
						_, err = f.Wait(context.Background())
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
			require.NoError(t, e.Go(context.Background(), held))
		}
		for range 3 {
			synctest.Test(t, func(t *testing.T) {
				for _, c := range borderCalls {
					var err error
					text := attempt(func() { err = c.call(e, context.WithValue(context.Background(), ctxKey{}, 1), held) })
					switch {
					case text != "":
						require.Contains(t, text, "make the executor inside the bubble", c.name)
						require.True(t, c.waits || full, c.name)
					case full:
						if err != nil {
							require.ErrorIs(t, err, executor.ErrQueueFull, c.name)
						}
					default:
						require.NoError(t, err, c.name)
						require.False(t, c.waits, c.name)
					}
				}
			})
		}
		close(stop)
		close(release)
		within(t, "the goroutine outside", outside.Wait)
		s := quiet(t, e)
		require.NotZero(t, started.Load())
		require.Equal(t, started.Load(), ended.Load(), "%+v", s)
		synctest.Test(t, func(*testing.T) { // nothing to wait for
			require.NoError(t, e.Quiesce(context.Background()))
		})
		closeNow(t, e)
		synctest.Test(t, func(*testing.T) {
			require.NoError(t, e.Close())
			require.NoError(t, e.Shutdown(context.Background()))
			require.ErrorIs(t, e.Go(context.Background(), held), executor.ErrClosed)
		})
	}
}

// Two executors, one of them in the bubble: a task of that one is a caller like any other, told by its runner. So is
// a goroutine outside, with an executor that was made in a bubble. Mutant: a runner is not asked whose it is.
func TestPromise10_TwoExecutorsOneInABubble(t *testing.T) {
	out := newExecutor(t, executor.WithSlots(1))
	elsewhere := outsiders(t)
	release := newGate(t)
	require.NoError(t, out.Go(context.Background(), func(context.Context) { release.Wait() }))
	synctest.Test(t, func(t *testing.T) {
		in := newExecutor(t, executor.WithSlots(2))
		for _, c := range borderCalls {
			text, err := "", error(nil)
			require.NoError(t, inTask(t, in, func(ctx context.Context) error {
				text = attempt(func() { err = c.call(out, ctx, func(context.Context) {}) })
				if text == "" {
					text = attempt(func() { err = c.call(out, context.WithoutCancel(ctx), func(context.Context) {}) })
				}
				return nil
			}))
			if text != "" {
				require.Contains(t, text, "make the executor inside the bubble", c.name)
				continue
			}
			require.NoError(t, err, c.name)
			require.False(t, c.waits, c.name)
		}
		alive(t, in)
		// From outside into the bubble: the same. A submission is not looked at, as that would cost everybody.
		hold := make(chan struct{})
		require.NoError(t, in.Go(context.Background(), func(context.Context) { <-hold }))
		synctest.Wait()
		for _, text := range elsewhere([]func(){
			func() { _ = in.Quiesce(context.Background()) },
			func() { _ = in.Shutdown(context.Background()) },
			func() { _ = in.Close() },
			func() { _ = executor.For(context.Background(), in, 3, func(context.Context, int) error { return nil }) },
		}) {
			require.Contains(t, text, "make the executor inside the bubble")
		}
		close(hold)
	})
	release.Open()
	quiet(t, out)
}

// outsiders starts a goroutine outside of bubbles. What it gives makes calls there, and gives what they panicked
// with. It waits by polling: no channel of a bubble may be used outside.
func outsiders(t *testing.T) func(calls []func()) []string {
	work := make(chan func())
	go func() {
		for fn := range work {
			fn()
		}
	}()
	t.Cleanup(func() { close(work) })
	return func(calls []func()) []string {
		var done atomic.Bool
		texts := make([]string, len(calls))
		work <- func() {
			for i, call := range calls {
				texts[i] = attempt(call)
			}
			done.Store(true)
		}
		for !done.Load() {
			runtime.Gosched()
		}
		return texts
	}
}

// standstills are programs for a bubble that end up with something queued and nothing that could ever happen.
var standstills = []struct {
	name string
	opts []executor.Option
	run  func(e *executor.Executor)
}{
	{"unmarked, all spares used", nil, func(e *executor.Executor) { submitMany(e, 300, func(context.Context) { select {} }) }},
	{"unmarked, few spares", []executor.Option{executor.WithMaxSpares(3)}, func(e *executor.Executor) {
		submitMany(e, 20, func(context.Context) { select {} })
	}},
	{"unmarked, no spares", []executor.Option{executor.WithMaxSpares(0)}, func(e *executor.Executor) {
		submitMany(e, 5, func(context.Context) { select {} })
	}},
	{"unmarked, no detection", []executor.Option{executor.WithStallDetection(false)}, func(e *executor.Executor) {
		submitMany(e, 5, func(context.Context) { select {} })
	}},
	{"marked, few spares", []executor.Option{executor.WithMaxSpares(3)}, func(e *executor.Executor) {
		submitMany(e, 20, func(ctx context.Context) { executor.Blocking(ctx, func() { select {} }) })
	}},
	{"a handler", []executor.Option{executor.WithMaxSpares(3), executor.WithOnStall(func(executor.StallInfo) {})}, func(e *executor.Executor) {
		submitMany(e, 20, func(context.Context) { select {} })
	}},
	{"tasks that wait for room", []executor.Option{executor.WithMaxSpares(3), executor.WithQueueLimit(1)}, func(e *executor.Executor) {
		submitMany(e, 4, func(ctx context.Context) {
			for e.Go(ctx, func(context.Context) { select {} }) == nil {
			}
			select {}
		})
	}},
}

func submitMany(e *executor.Executor, n int, fn func(context.Context)) {
	for range n {
		_ = e.Go(context.Background(), fn)
	}
}

const standstillEnv = "EXECUTOR_TEST_STANDSTILL"

// Something is queued, no slot is free, and nothing can change that any more: synctest has to see it. Mutants: the
// ticks go on where no slot can be lent; with a handler they go on for ever.
func TestPromise10_ADeadlockInABubbleIsReported(t *testing.T) {
	if name := os.Getenv(standstillEnv); name != "" {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range standstills {
				if s.name == name {
					e, err := executor.New(append([]executor.Option{executor.WithSlots(2)}, s.opts...)...)
					require.NoError(t, err)
					fmt.Println("still from here on")
					s.run(e)
					select {}
				}
			}
		})
		return
	}
	for _, s := range standstills {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPromise10_ADeadlockInABubbleIsReported$")
			cmd.Env = append(os.Environ(), standstillEnv+"="+s.name)
			out, err := cmd.CombinedOutput()
			require.NoError(t, ctx.Err(), "fake time runs on\n%s", out)
			require.Error(t, err)
			require.Contains(t, string(out), "still from here on")
			require.Contains(t, string(out), "deadlock")
		})
	}
}

// Fake time costs nothing while something is queued: with a tick every second this would take minutes.
// Mutant: the ticks go on where no slot can be lent.
func TestPromise10_FakeTimeIsFreeWhileSomethingIsQueued(t *testing.T) {
	for _, s := range standstills {
		if s.name == "tasks that wait for room" {
			continue // here the queue has room for all
		}
		synctest.Test(t, func(t *testing.T) {
			e, err := executor.New(append([]executor.Option{executor.WithSlots(2), executor.WithPanicHandler(
				func(context.Context, *executor.PanicError) {})}, s.opts...)...)
			require.NoError(t, err)
			release := make(chan struct{})
			submitMany(e, 300, func(ctx context.Context) {
				if s.name == "marked, few spares" {
					executor.Blocking(ctx, func() { <-release })
				} else {
					<-release
				}
			})
			time.Sleep(20_000 * time.Hour)
			close(release)
			require.NoError(t, e.Shutdown(context.Background()))
		})
	}
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
