package promises

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// taskKinds run body as, or inside, a task of each kind with an owner and give the owner's error.
var taskKinds = []struct {
	name   string
	inLoop bool
	run    func(t *testing.T, e *executor.Executor, body func()) error
}{
	{"Submit", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(context.Context) error { body(); return nil })
	}},
	{"TrySubmit", false, func(t *testing.T, e *executor.Executor, body func()) error {
		f, err := executor.TrySubmit(context.Background(), e, func(context.Context) (int, error) { body(); return 1, nil })
		require.NoError(t, err)
		return result(t, f)
	}},
	{"Submit in a task", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { body(); return 1, nil })
			if err == nil {
				_, err = f.Wait(ctx)
			}
			return err
		})
	}},
	{"Group", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inGroup(context.Background(), e, body)
	}},
	{"Group with SetLimit", false, func(t *testing.T, e *executor.Executor, body func()) error {
		g := e.NewGroup(context.Background())
		g.SetLimit(1)
		g.Go(func(context.Context) error { body(); return nil })
		return g.Wait()
	}},
	{"Group in a task", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error { return inGroup(ctx, e, body) })
	}},
	{"For", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return executor.For(context.Background(), e, 100, func(_ context.Context, i int) error { at(i, body); return nil })
	}},
	{"For in a task", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			return executor.For(ctx, e, 100, func(_ context.Context, i int) error { at(i, body); return nil })
		})
	}},
	{"ForRange", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return executor.ForRange(context.Background(), e, 100, eachOf(func(_ context.Context, i int) error { at(i, body); return nil }))
	}},
	{"ForRange in a task", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			return executor.ForRange(ctx, e, 100, eachOf(func(_ context.Context, i int) error { at(i, body); return nil }))
		})
	}},
	{"Reduce", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return loops["Reduce"](context.Background(), e, 100, func(_ context.Context, i int) error { at(i, body); return nil })
	}},
	{"Reduce in a task", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			return loops["Reduce"](ctx, e, 100, func(_ context.Context, i int) error { at(i, body); return nil })
		})
	}},
	{"ForEach", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return executor.ForEach(context.Background(), e, slices.Values([]int{40, 41, 42, 43}), func(_ context.Context, i int) error { at(i, body); return nil })
	}},
	{"ForEach in a task", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			return executor.ForEach(ctx, e, slices.Values([]int{40, 41, 42, 43}), func(_ context.Context, i int) error { at(i, body); return nil })
		})
	}},
	{"Map", true, func(t *testing.T, e *executor.Executor, body func()) error {
		_, err := executor.Map(context.Background(), e, []int{40, 41, 42, 43}, func(_ context.Context, i int) (int, error) { at(i, body); return i, nil })
		return err
	}},
	{"Map in a task", true, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			_, err := executor.Map(ctx, e, []int{40, 41, 42, 43}, func(_ context.Context, i int) (int, error) { at(i, body); return i, nil })
			return err
		})
	}},
	{"Fork run in place", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			executor.Fork(ctx, func(context.Context) int { body(); return 1 }).Join(ctx)
			return errors.New("Join came back")
		})
	}},
	{"ForkWith run in place", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error {
			executor.ForkWith(ctx, func(_ context.Context, body func()) int { body(); return 1 }, body).Join(ctx)
			return errors.New("Join came back")
		})
	}},
	{"Blocking", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error { executor.Blocking(ctx, body); return nil })
	}},
	{"Bulkhead", false, func(t *testing.T, e *executor.Executor, body func()) error {
		b, err := executor.NewBulkhead("kind", 1)
		require.NoError(t, err)
		return inTask(t, e, func(ctx context.Context) error { return b.Blocking(ctx, body) })
	}},
	{"OnThread", false, func(t *testing.T, e *executor.Executor, body func()) error {
		return inTask(t, e, func(ctx context.Context) error { executor.OnThread(ctx, body); return nil })
	}},
}

func inGroup(ctx context.Context, e *executor.Executor, body func()) error {
	g := e.NewGroup(ctx)
	g.Go(func(context.Context) error { body(); return nil })
	return g.Wait()
}

func at(i int, body func()) {
	if i == 42 {
		body()
	}
}

var errSentinel = errors.New("sentinel")

//go:noinline
func panicSite(v any) { panic(v) }

// panicLine is where.
var panicLine = func() int {
	_, _, line, _ := runtime.Caller(0)
	return line - 4
}()

// Mutant: the stack is taken where the panic is reported, not where it happened. Mutant: a waiter
// re-panics, or wraps what is a *PanicError already.
func TestPromise07_APanicComesBackAsPanicError(t *testing.T) {
	for _, kind := range taskKinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, cfg := range [][2]int{{1, 0}, {2, 4}} {
				e := spared(t, cfg[0], cfg[1])
				for _, v := range []any{"boom", 42, errSentinel, fmt.Errorf("wrapped: %w", errSentinel)} {
					err := kind.run(t, e, func() { panicSite(v) })
					var pe *executor.PanicError
					require.ErrorAs(t, err, &pe, "%v", v)
					require.Equal(t, v, pe.Value)
					require.Contains(t, string(pe.Stack), "panicSite", "the original stack")
					require.Equal(t, fmt.Sprintf("executor: task panicked: %v (promises.panicSite at promise07_test.go:%d)", v, panicLine), pe.Error())
					require.NotContains(t, fmt.Sprintf("%v %s %q", pe, pe, pe), "goroutine", "one line, for people and logs")
					require.Equal(t, pe.Error()+"\n\n"+string(pe.Stack), fmt.Sprintf("%+v", pe))
					if _, isErr := v.(error); isErr {
						require.ErrorIs(t, err, errSentinel)
					} else {
						require.NoError(t, pe.Unwrap())
					}
				}
				err := kind.run(t, e, func() { panicSite(nil) })
				var nilErr *runtime.PanicNilError
				require.ErrorAs(t, err, &nilErr, "panic(nil)")

				orig := &executor.PanicError{Value: "inner", Stack: []byte("the inner stack")}
				err = kind.run(t, e, func() { panicSite(orig) })
				var pe *executor.PanicError
				require.ErrorAs(t, err, &pe)
				require.Equal(t, "inner", pe.Value, "wrapped twice")
				require.Equal(t, "the inner stack", string(pe.Stack))

				var asRuntime runtime.Error
				err = kind.run(t, e, func() { var none []int; none[len(none)] = 1 })
				require.ErrorAs(t, err, &asRuntime)
				require.Regexp(t, `index out of range .* \(promises\.TestPromise07.* at promise07_test\.go:\d+\)$`, err.Error())
				s := quiet(t, e)
				if !kind.inLoop { // A loop that reports its body's panic has not panicked itself.
					require.GreaterOrEqual(t, s.Panicked, uint64(7))
				}
				requireParallelism(t, e, cfg[0])
			}
		})
	}
}

// Mutant: the end of a task by Goexit kills the runner without a replacement, leaves its future open, or
// loses the slot.
func TestPromise07_GoexitEndsTheTaskOnly(t *testing.T) {
	for _, kind := range taskKinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, cfg := range [][2]int{{1, 0}, {2, 4}} {
				e := spared(t, cfg[0], cfg[1])
				for range 20 {
					var err error
					within(t, "the owner hears of it", func() { err = kind.run(t, e, runtime.Goexit) })
					require.ErrorIs(t, err, executor.ErrGoexit)
				}
				quiet(t, e)
				requireParallelism(t, e, cfg[0])
			}
		})
	}
}

// Mutant: a Goexit of a stolen child leaves Join waiting, or a panic in it crashes the thief.
func TestPromise07_JoinOfAStolenChild(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		e := spared(t, 2, 4)
		stolen := func(body func()) error {
			return inTask(t, e, func(ctx context.Context) error {
				started := make(chan struct{})
				f := fork(ctx, func(context.Context) int {
					close(started)
					body()
					return 1
				})
				<-started // On the other slot.
				f.Join(ctx)
				return errors.New("Join came back")
			})
		}
		for range 50 {
			err := stolen(func() { panicSite(errSentinel) })
			var pe *executor.PanicError
			require.ErrorAs(t, err, &pe)
			require.ErrorIs(t, err, errSentinel)
			require.Contains(t, string(pe.Stack), "panicSite")
			require.Equal(t, errSentinel, pe.Value)

			err = stolen(runtime.Goexit)
			require.ErrorAs(t, err, &pe)
			require.ErrorIs(t, err, executor.ErrGoexit)
		}
		// Join panics like a call: the parent may recover.
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			f := fork(ctx, func(context.Context) int { panicSite("caught"); return 1 })
			defer func() {
				pe, ok := recover().(*executor.PanicError)
				if !ok || pe.Value != "caught" {
					err = fmt.Errorf("recovered %v", pe)
				}
			}()
			f.Join(ctx)
			return nil
		}))
		quiet(t, e)
		requireParallelism(t, e, 2)
	})
}

// Mutant: a Goexit in a child that its waiter runs in place is counted once for both, or not as panicked.
func TestPromise07_GoexitInPlaceTakesTheWaiterAlong(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, e *executor.Executor) error{
		"Future": func(ctx context.Context, e *executor.Executor) error {
			f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { runtime.Goexit(); return 1, nil })
			if err == nil {
				_, err = f.Wait(ctx)
			}
			return errors.Join(errors.New("came back"), err)
		},
		"Group": func(ctx context.Context, e *executor.Executor) error {
			return errors.Join(errors.New("came back"), inGroup(ctx, e, runtime.Goexit))
		},
		"Join": func(ctx context.Context, e *executor.Executor) error {
			executor.Fork(ctx, func(context.Context) int { runtime.Goexit(); return 1 }).Join(ctx)
			return errors.New("came back")
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 1)
			err := inTask(t, e, func(ctx context.Context) error { return run(ctx, e) })
			require.ErrorIs(t, err, executor.ErrGoexit)
			require.NotContains(t, err.Error(), "came back")
			s := quiet(t, e)
			require.EqualValues(t, 2, s.Panicked)
			requireParallelism(t, e, 1)
		})
	}
}

// Mutant: the handler gets the background context, or is called for a Goexit or for a task with an owner.
func TestPromise07_TheHandlerGetsContextAndPanic(t *testing.T) {
	type call struct {
		ctx context.Context
		pe  *executor.PanicError
	}
	calls := make(chan call, 100)
	e := spared(t, 1, 4, executor.WithPanicHandler(func(ctx context.Context, pe *executor.PanicError) { calls <- call{ctx, pe} }))
	ctx := context.WithValue(context.Background(), ctxKey{}, "mine")
	thread := func(ctx context.Context) { executor.OnThread(ctx, func() { panicSite("boom") }) }
	for _, submit := range []func(context.Context, func(context.Context)) error{e.Go, e.TryGo} {
		for _, body := range []func(context.Context){
			func(context.Context) { panicSite("boom") },
			func(ctx context.Context) { executor.Blocking(ctx, func() { panicSite("boom") }) },
			thread,
			func(ctx context.Context) {
				executor.Fork(ctx, func(context.Context) int { panicSite("boom"); return 1 }).Join(ctx)
			},
		} {
			require.NoError(t, submit(ctx, body))
			c := await(t, "the handler is called", calls)
			require.Equal(t, "mine", c.ctx.Value(ctxKey{}))
			of, ok := executor.FromContext(c.ctx)
			require.True(t, ok)
			require.Equal(t, e, of)
			require.Equal(t, "boom", c.pe.Value)
			require.Contains(t, string(c.pe.Stack), "panicSite")
		}
		require.NoError(t, submit(ctx, func(context.Context) { runtime.Goexit() }))
	}
	for _, kind := range taskKinds {
		require.Error(t, kind.run(t, e, func() { panicSite("owned") }))
	}
	quiet(t, e)
	require.Empty(t, calls)
	requireParallelism(t, e, 1)
}

// Mutant: a handler that ends its goroutine takes the runner with it.
func TestPromise07_AHandlerMaySubmitAndExit(t *testing.T) {
	var again atomic.Int64
	var e *executor.Executor
	e = bare(t, 1, executor.WithPanicHandler(func(ctx context.Context, _ *executor.PanicError) {
		if err := e.Go(ctx, func(context.Context) { again.Add(1) }); err != nil {
			t.Error(err)
		}
		runtime.Goexit()
	}))
	for range 50 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { panic("x") }))
	}
	s := quiet(t, e)
	require.EqualValues(t, 50, again.Load())
	require.EqualValues(t, 50, s.Panicked)
	requireParallelism(t, e, 1)
}

// Mutant: the panic of a child that nobody joins is lost without a trace, or crashes the process.
func TestPromise07_ThePanicOfAChildNeverJoinedIsCountedAndLogged(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		var errs atomic.Int64
		e := bare(t, 1, executor.WithLogger(slog.New(errorCounter{&errs, "nobody joins"})))
		for range 3 {
			require.NoError(t, inTask(t, e, func(ctx context.Context) error {
				fork(ctx, func(context.Context) int { panic("nobody joins") })
				return nil
			}))
		}
		s := quiet(t, e)
		require.EqualValues(t, 3, s.Panicked)
		eventually(t, "each panic is logged once", func() bool { return errs.Load() == 3 })
		alive(t, e)
	})
}

// errorCounter counts records of errors that mention a text.
type errorCounter struct {
	n    *atomic.Int64
	text string
}

func (h errorCounter) Enabled(context.Context, slog.Level) bool { return true }
func (h errorCounter) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	if r.Level == slog.LevelError && strings.Contains(text, h.text) {
		h.n.Add(1)
	}
	return nil
}
func (h errorCounter) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h errorCounter) WithGroup(string) slog.Handler      { return h }
