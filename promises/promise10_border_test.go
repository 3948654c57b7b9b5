package promises

import (
	"context"
	"errors"
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
	{"Serial.Go", false, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.NewSerial(e).Go(ctx, held)
	}},
	{"Keyed.Go", false, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		k := executor.NewKeyed[int](e)
		return errors.Join(k.Go(ctx, 1, held), k.TryGo(ctx, 1, held))
	}},
	{"Serial.Do", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.NewSerial(e).Do(ctx, func(ctx context.Context) error { held(ctx); return nil })
	}},
	{"Keyed.Do", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.NewKeyed[int](e).Do(ctx, 1, func(ctx context.Context) error { held(ctx); return nil })
	}},
	{"Keyed.Go at its bound", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		k := executor.NewKeyed[int](e)
		k.SetLimit(1)
		return errors.Join(k.Go(ctx, 1, held), k.Go(ctx, 1, held), k.Go(ctx, 1, held))
	}},
	{"Do", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error {
		return e.Do(ctx, func(context.Context) error { return nil })
	}},
	{"TryDo", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error {
		return e.TryDo(ctx, func(context.Context) error { return nil })
	}},
	{"After", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		_, err := e.After(ctx, time.Millisecond, held)
		return err
	}},
	{"Every", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		_, err := e.Every(ctx, time.Millisecond, held)
		return err
	}},
	{"ForRange", true, func(e *executor.Executor, ctx context.Context, held func(context.Context)) error {
		return executor.ForRange(ctx, e, 3, func(ctx context.Context, _, _ int) error { held(ctx); return nil })
	}},
	{"Ordered", true, func(e *executor.Executor, ctx context.Context, _ func(context.Context)) error {
		for _, err := range executor.Ordered(ctx, e, slices.Values([]int{1}), func(context.Context, int) (int, error) { return 0, nil }) {
			return err
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
// a goroutine outside, with an executor that was made in a bubble: it used to end the process with a submission. Mutants: a runner
// is not asked whose it is; meetInside does nothing; the last context is taken as known in a bubble too.
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
		// From outside into the bubble there is no way at all, but for those who only look: even a submission wakes somebody.
		hold := make(chan struct{})
		require.NoError(t, in.Go(context.Background(), func(context.Context) { <-hold }))
		synctest.Wait()
		g := in.NewGroup(context.Background())
		_ = g.Context()
		k := executor.NewKeyed[int](in)
		k.SetLimit(1)
		for range 3 {
			go func() { _ = k.Go(context.Background(), 1, func(context.Context) { <-hold }) }()
		}
		synctest.Wait()
		calls := []func(){func() { g.Go(func(context.Context) error { return nil }) }, func() { k.SetLimit(9) }}
		names := []string{"Group.Go of a round that was opened inside", "SetLimit while somebody waits inside"}
		for _, c := range borderCalls {
			calls = append(calls, func() { _ = c.call(in, context.Background(), func(context.Context) {}) })
			names = append(names, c.name)
		}
		for i, text := range elsewhere(calls) {
			if names[i] == "Stats" || names[i] == "Sizing" {
				require.Empty(t, text, names[i])
			} else {
				require.Contains(t, text, "make the executor inside the bubble", names[i])
			}
		}
		require.NoError(t, g.Wait())
		close(hold)
		synctest.Wait()
		again := make(chan struct{})
		require.NoError(t, k.Go(context.Background(), 1, func(context.Context) { <-again }))
		synctest.Wait()
		require.NoError(t, k.TryGo(context.Background(), 1, func(context.Context) {}))
		require.ErrorIs(t, k.TryGo(context.Background(), 1, func(context.Context) {}), executor.ErrQueueFull, "SetLimit has panicked, and changed the limit")
		close(again)
		require.NoError(t, in.Close())
		for _, text := range elsewhere([]func(){func() { _ = in.Go(context.Background(), func(context.Context) {}) }}) {
			require.Empty(t, text, "after its end there is nobody to wake")
		}
	})
	release.Open()
	quiet(t, out)
}

// A Bulkhead belongs to no executor, and may be shared across the border: calls that do not wait, and calls outside that wait for one
// inside. A call in a bubble waits for others in there only; where it would wait for one outside, and where one outside would then
// have to wake it, there is a panic in place of the end of the process. Mutants: Border lets everybody wait; who comes while somebody in a
// bubble waits is let in; the seal stays; calls outside are not counted.
func TestPromise10_ABulkheadAcrossTheBorder(t *testing.T) {
	const refused = "make a Bulkhead inside the bubble"
	bg := context.Background()
	elsewhere := outsiders(t)
	for _, adaptive := range []bool{false, true} {
		b, err := executor.NewBulkhead("shared", 1)
		if adaptive {
			b, err = executor.NewAdaptiveBulkhead("shared", 1, 1)
		}
		require.NoError(t, err)
		release := newGate(t)
		held := make(chan error, 1)
		go func() { held <- b.Blocking(bg, release.Wait) }()
		eventually(t, "the call outside has begun", func() bool { return b.Stats().Inside == 1 })
		out := newExecutor(t, executor.WithSlots(1))
		synctest.Test(t, func(t *testing.T) {
			in := newExecutor(t, executor.WithSlots(1))
			require.Contains(t, attempt(func() { _ = b.Blocking(bg, func() {}) }), refused)
			require.NoError(t, inTask(t, in, func(ctx context.Context) error {
				require.Contains(t, attempt(func() { _ = b.Blocking(ctx, func() {}) }), refused)
				return nil
			}))
		})
		waits := make(chan error, 1)
		require.NoError(t, out.Go(bg, func(ctx context.Context) { waits <- b.Blocking(ctx, func() {}) }))
		eventually(t, "a call outside waits for the one outside", func() bool { return b.Stats().Waiting == 1 })
		release.Open()
		require.NoError(t, await(t, "the first call", held))
		require.NoError(t, await(t, "the second", waits))
		eventually(t, "all have left", func() bool { return b.Stats().Inside == 0 })
		synctest.Test(t, func(t *testing.T) { // on one side only: as if it had been made there
			in := newExecutor(t, executor.WithSlots(2))
			start := time.Now()
			g := in.NewGroup(bg)
			for range 3 {
				g.Go(func(ctx context.Context) error { return b.Blocking(ctx, func() { time.Sleep(time.Hour) }) })
			}
			synctest.Wait()
			require.Equal(t, 2, b.Stats().Waiting)
			for _, text := range elsewhere([]func(){func() { _ = b.Blocking(bg, func() {}) }}) {
				require.Contains(t, text, refused)
			}
			require.NoError(t, g.Wait())
			require.Equal(t, 3*time.Hour, time.Since(start))
			for _, text := range elsewhere([]func(){func() { _ = b.Blocking(bg, func() {}) }}) {
				require.Empty(t, text, "nobody waits any more")
			}
		})
		synctest.Test(t, func(t *testing.T) { // a call outside waits for one in the bubble
			require.NoError(t, b.Blocking(bg, func() {
				require.NoError(t, out.Go(bg, func(ctx context.Context) { waits <- b.Blocking(ctx, func() {}) }))
				for b.Stats().Waiting == 0 {
					runtime.Gosched()
				}
			}))
		})
		require.NoError(t, await(t, "the call outside", waits))
		quiet(t, out)
	}
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
