package promises

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/seam"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

var errPatience = errors.New("no more patience")

// unfinished calls Shutdown with a context that ends while it waits, and gives what it says is left.
func unfinished(t *testing.T, e *executor.Executor) *executor.UnfinishedError {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	down := make(chan error, 1)
	go func() { down <- e.Shutdown(ctx) }()
	accepted := 0
	eventually(t, "Shutdown has begun", func() bool {
		if err := e.TryGo(context.Background(), func(context.Context) {}); err != nil {
			return errors.Is(err, executor.ErrClosed)
		}
		accepted++
		return false
	})
	cancel(errPatience)
	err := await(t, "Shutdown returns although tasks run", down)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, errPatience)
	var u *executor.UnfinishedError
	require.True(t, errors.As(err, &u), "%v", err)
	require.NotContains(t, err.Error(), "\n")
	u.Dropped -= accepted
	return u
}

func blockMarked(ctx context.Context, in chan<- struct{}, until <-chan struct{}) {
	executor.Blocking(ctx, func() { in <- struct{}{}; <-until })
}

func blockUnmarked(in chan<- struct{}, until <-chan struct{}) { in <- struct{}{}; <-until }

// Mutants: Shutdown waits for the tasks after its deadline; nobody ends the executor when the last task does (the name is
// never given back); the contexts of tasks go on; a task that runs in place is not listed; what is dropped is not counted.
func TestPromise08_ShutdownSaysWhatIsUnfinished(t *testing.T) {
	e := spared(t, 3, 4, executor.WithName("unfinished"), executor.WithStallDetection(false))
	g, in, ended := newGate(t), make(chan struct{}, 3), make(chan error, 1)
	require.NoError(t, e.Go(executor.WithTaskName(context.Background(), "marked"), func(ctx context.Context) { blockMarked(ctx, in, g.Opened()) }))
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		child, err := executor.Submit(ctx, e, func(context.Context) (int, error) { blockUnmarked(in, g.Opened()); return 1, nil })
		if err != nil {
			return 0, err
		}
		return child.Wait(ctx) // runs it in place, or waits
	})
	require.NoError(t, err)
	require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
		in <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		g.Wait()
	}))
	for range 3 {
		await(t, "they run", in)
	}
	busy := stick(t, e, 1) // on the slot of the one that is marked
	for range 5 {
		require.NoError(t, e.Go(context.Background(), func(context.Context) { t.Error("a dropped task ran") }))
	}

	u := unfinished(t, e)
	require.ErrorIs(t, await(t, "the contexts of tasks end", ended), executor.ErrClosed)
	require.Equal(t, 5, u.Dropped)
	require.Zero(t, u.Queued)
	var functions []string
	marked := 0
	for i, task := range u.Running {
		functions = append(functions, task.Func)
		require.True(t, i == 0 || u.Running[i-1].Age >= task.Age, "oldest first: %+v", u.Running)
		if task.Name == "marked" {
			marked++
			require.True(t, task.Blocking)
			require.Positive(t, task.Age)
		}
	}
	require.Equal(t, 1, marked, "%+v", u.Running)
	require.Len(t, u.Running, 5, "the one that waits and the one that it waits for, one marked, one stuck, one that saw its end: %v", functions)
	for _, function := range functions {
		require.True(t, strings.HasPrefix(function, executor.ScopeName+"/"), "%v", functions)
	}
	require.Contains(t, u.Error(), "5 tasks still running")

	second, err := executor.New(executor.WithName("unfinished"))
	require.NoError(t, err)
	require.Equal(t, "unfinished-2", second.Name(), "the name is taken until the last task has ended")
	closeNow(t, second)

	again := unfinished(t, e) // waits on, with its own context
	require.Len(t, again.Running, len(u.Running))
	require.Zero(t, again.Dropped)
	down := make(chan error, 2)
	go func() { down <- e.Close() }()
	go func() { down <- e.Shutdown(context.Background()) }()
	before := e.Stats().Completed
	g.Open()
	require.NoError(t, result(t, f))
	eventually(t, "counters go on", func() bool { return e.Stats().Completed > before })
	busy.Open()
	for range 2 {
		require.NoError(t, await(t, "the last task ends it", down))
	}
	balanced(t, e)
}

// Mutant: only a call that waits ends the executor.
func TestPromise08_TheLastTaskEndsAnAbandonedExecutor(t *testing.T) {
	before := runtime.NumGoroutine()
	e, err := executor.New(executor.WithName("abandoned"), executor.WithSlots(1))
	require.NoError(t, err)
	g := stick(t, e, 1)
	require.Len(t, unfinished(t, e).Running, 1)
	g.Open()
	eventually(t, "nothing is left of it", func() bool { return runtime.NumGoroutine() <= before })
	next, err := executor.New(executor.WithName("abandoned"))
	require.NoError(t, err)
	require.Equal(t, "abandoned", next.Name())
	closeNow(t, next)
}

// Mutants: with only queued tasks it leaves the end to a task, and there is none; the error is nil then.
func TestPromise08_AnOverdueShutdownWithNothingRunning(t *testing.T) {
	e := bare(t, 1)
	g := stick(t, e, 1)
	leaving := newGate(t)
	require.NoError(t, e.Go(context.Background(), func(context.Context) { t.Error("ran") }))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := e.Shutdown(ctx)
	var u *executor.UnfinishedError
	require.True(t, errors.As(err, &u))
	require.Equal(t, 1, u.Dropped)
	g.Open()
	leaving.Open()
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, e.Shutdown(ctx), "it has ended: there is nothing to wait for")
}

// Mutant: end waits without lending: the other executor's only slot is held by a task that waits for a task behind it.
func TestPromise08_EndsLendTheSlotOfAnotherExecutorsTask(t *testing.T) {
	for name, end := range map[string]func(*executor.Executor) error{
		"Shutdown": func(e *executor.Executor) error { return e.Shutdown(context.Background()) },
		"Close":    (*executor.Executor).Close,
		"Quiesce":  func(e *executor.Executor) error { return e.Quiesce(context.Background()) },
	} {
		other := spared(t, 1, 1, executor.WithStallDetection(false))
		e := bare(t, 1)
		g := stick(t, e, 1)
		require.NoError(t, other.Go(context.Background(), func(context.Context) {
			if err := end(e); err != nil {
				t.Error(err)
			}
		}))
		require.NoError(t, other.Go(context.Background(), func(context.Context) { g.Open() }))
		quiet(t, other)
		require.EqualValues(t, 1, other.Stats().HandoffsWait, name)
	}
}

// Foreign code that does not return does not hold up the end, and may ask for it. Each of these calls Close and stays
// until the test is over. Mutants: Close waits for Unregister, for the stall handler, or for the keeper while that is in
// the logger; the keeper logs, or calls WithQuotaRounding's function, itself.
func TestPromise08_EndsWaitForNobodyElsesCode(t *testing.T) {
	type called struct {
		e    atomic.Pointer[executor.Executor]
		errs chan error
		stay chan struct{}
	}
	inside := func(c *called) {
		if e := c.e.Swap(nil); e != nil {
			c.errs <- e.Close()
			<-c.stay
		}
	}
	for name, with := range map[string]func(*called) []executor.Option{
		"OTel callback": func(c *called) []executor.Option {
			reader := sdkmetric.NewManualReader()
			provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			_, err := provider.Meter("somebody").Int64ObservableGauge("g", metric.WithInt64Callback(func(context.Context, metric.Int64Observer) error {
				inside(c)
				return nil
			}))
			require.NoError(t, err)
			go func() {
				for c.e.Load() == nil {
					runtime.Gosched()
				}
				_ = reader.Collect(context.Background(), &metricdata.ResourceMetrics{})
			}()
			return []executor.Option{executor.WithMeterProvider(provider)}
		},
		"stall handler": func(c *called) []executor.Option {
			return []executor.Option{executor.WithOnStall(func(executor.StallInfo) { inside(c) })}
		},
		"logger": func(c *called) []executor.Option {
			return []executor.Option{executor.WithLogger(slog.New(handler(func(r slog.Record) {
				if strings.Contains(r.Message, "slots lent") {
					inside(c)
				}
			})))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if seam.Tickless && (name == "logger" || name == "stall handler") {
				t.Skip("without ticks nothing stalls")
			}
			t.Parallel()
			c := &called{errs: make(chan error, 1), stay: make(chan struct{})}
			t.Cleanup(func() { close(c.stay) })
			e, err := executor.New(append(with(c), executor.WithSlots(1), executor.WithName("T5 "+name), executor.WithBudget(time.Millisecond))...)
			require.NoError(t, err)
			task, started := make(chan struct{}), make(chan struct{})
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { close(started); <-ctx.Done(); close(task) }))
			await(t, "a task blocks", started)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) { <-ctx.Done() })) // waits: a stall
			c.e.Store(e)
			require.NoError(t, await(t, "Close from inside returns", c.errs))
			await(t, "the task ended", task)
			require.NoError(t, e.Shutdown(context.Background()), "from outside, while the other is still inside")
		})
	}
}

type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }

// Mutants: OnThread's goroutine is not recognised, or only the outermost one; the handler of panics counts as outside.
func TestPromise08_EndsFromWithinATaskInDisguise(t *testing.T) {
	ends := func(e *executor.Executor) error {
		for _, err := range []error{e.Close(), e.Shutdown(context.Background()), e.Quiesce(context.Background())} {
			if !errors.Is(err, executor.ErrInTask) {
				return fmt.Errorf("not ErrInTask: %w", err)
			}
		}
		return nil
	}
	handled := make(chan error, 1)
	var e *executor.Executor
	e = spared(t, 1, 2, executor.WithPanicHandler(func(context.Context, *executor.PanicError) { handled <- ends(e) }))
	other := spared(t, 1, 2)
	require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
		executor.OnThread(ctx, func() {
			err = ends(e)
			executor.OnThread(ctx, func() { err = errors.Join(err, ends(e)) })
			err = errors.Join(err, ends(e), other.Close())
		})
		return err
	}))
	require.NoError(t, e.Go(context.Background(), func(context.Context) { panic("handled") }))
	require.NoError(t, await(t, "the handler", handled))
	executor.OnThread(context.Background(), func() { _ = e.Close() }) // outside of tasks
}

func nestedOuter(ctx context.Context, e *executor.Executor, in chan<- struct{}, until <-chan struct{}) (int, error) {
	f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) { return nestedMiddle(ctx, e, in, until) })
	if err != nil {
		return 0, err
	}
	return f.Wait(ctx)
}

func nestedMiddle(ctx context.Context, e *executor.Executor, in chan<- struct{}, until <-chan struct{}) (int, error) {
	f, err := executor.Submit(ctx, e, func(context.Context) (int, error) { return nestedInner(in, until) })
	if err != nil {
		return 0, err
	}
	return f.Wait(ctx)
}

func nestedInner(in chan<- struct{}, until <-chan struct{}) (int, error) {
	blockUnmarked(in, until)
	return 1, nil
}

// Tasks that run in place on top of one that waits for them are told in the order in which they began, and only the first one's
// age is known. Mutants: the innermost comes first; all have the first one's age.
func TestPromise08_TasksInPlaceAreToldOldestFirst(t *testing.T) {
	e := bare(t, 1)
	g, in := newGate(t), make(chan struct{})
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) { return nestedOuter(ctx, e, in, g.Opened()) })
	require.NoError(t, err)
	await(t, "the innermost runs", in)
	_ = unfinished(t, e)
	u := unfinished(t, e) // by now they have an age
	require.Len(t, u.Running, 3)
	require.Positive(t, u.Running[0].Age)
	for i, in := range []string{"TestPromise08_TasksInPlace", "nestedOuter", "nestedMiddle"} {
		require.Contains(t, u.Running[i].Func, in)
		require.True(t, i == 0 || u.Running[i].Age == 0, "%+v", u.Running)
	}
	g.Open()
	require.NoError(t, result(t, f))
}
