package promises

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// crash makes an executor, runs a plain task on it and waits for the end of the process.
func crash(task func(ctx context.Context), opts ...executor.Option) func() {
	return func() {
		e, err := executor.New(append(opts, executor.WithSlots(2))...)
		if err != nil {
			panic(err)
		}
		if err := e.Go(context.Background(), task); err != nil {
			panic(err)
		}
		// The panic ends the process while Shutdown waits, or Shutdown returns and the exit code is 0.
		_ = e.Shutdown(context.Background())
		println("survived")
	}
}

//go:noinline
func crashSite() { panic("the crash value") }

var crashes = []struct{ name, site string }{
	{child("crash in a task", crash(func(context.Context) { crashSite() })), "crashSite"},
	{child("crash in a child", crash(func(ctx context.Context) {
		e, _ := executor.FromContext(ctx)
		_ = e.Go(ctx, func(context.Context) { crashSite() })
	})), "crashSite"},
	{child("crash inside Blocking", crash(func(ctx context.Context) { executor.Blocking(ctx, crashSite) })), "crashSite"},
	{child("crash inside OnThread", crash(func(ctx context.Context) { executor.OnThread(ctx, crashSite) })), "crashSite"},
	{child("crash in a joined child", crash(func(ctx context.Context) {
		executor.Fork(ctx, func(context.Context) int { crashSite(); return 1 }).Join(ctx)
	})), "crashSite"},
	{child("crash in the handler", crash(func(context.Context) { panic("for the handler") },
		executor.WithPanicHandler(func(context.Context, *executor.PanicError) { crashSite() }))), "crashSite"},
	{child("crash in the handler inside Blocking", crash(func(ctx context.Context) {
		executor.Blocking(ctx, func() { panic("for the handler") })
	}, executor.WithPanicHandler(func(context.Context, *executor.PanicError) { crashSite() }))), "crashSite"},
}

// Mutant: a bare task's panic is recovered and logged. Mutant: it is re-panicked from the runner with the
// value only, so the stack printed is the runner's. Mutant: the handler's own panic is recovered too.
func TestPromise07_ABarePanicCrashesWithTheOriginalStack(t *testing.T) {
	for _, c := range crashes {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := runChild(t, c.name)
			require.Equal(t, 2, code, "exit code of a crashed Go program\n%s", stderr)
			require.NotContains(t, stderr, "survived")
			require.Contains(t, stderr, "panic: ")
			require.Contains(t, stderr, "the crash value")
			require.Contains(t, stderr, c.site)
		})
	}
}

var tracedCrash = child("crash in a traced task", func() {
	tp := sdktrace.NewTracerProvider()
	ctx, _ := tp.Tracer("test").Start(context.Background(), "request")
	crash(func(context.Context) {
		e, err := executor.New()
		if err != nil {
			panic(err)
		}
		if err := e.Go(ctx, func(context.Context) { crashSite() }); err != nil {
			panic(err)
		}
		select {}
	})()
})

// Mutant: the span's deferred function keeps the panic to itself.
func TestPromise07_ATracedPanicCrashesToo(t *testing.T) {
	_, stderr, code := runChild(t, tracedCrash)
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stderr, "panic: the crash value")
	require.Contains(t, stderr, "crashSite")
}

var goexitChild = child("goexit", crash(func(ctx context.Context) {
	executor.Blocking(ctx, func() {})
	runtime.Goexit()
}))

// Mutant: a Goexit in a bare task is taken for a panic with a nil value.
func TestPromise07_ABareGoexitJustEnds(t *testing.T) {
	_, stderr, code := runChild(t, goexitChild)
	require.Zero(t, code, stderr)
	require.Contains(t, stderr, "survived")
}

// A Goexit in a task of a Serial that a waiter runs in place ends the waiter too; before its goroutine is gone, a loop below it waits for its
// other half, which waits for the Serial. Mutant: the Serial is let go only with the goroutine.
func TestPromise07_GoexitInASerialsTaskInPlaceLetsTheSerialGo(t *testing.T) {
	e := bare(t, 2)
	s := executor.NewSerial(e)
	other, submitted := make(chan struct{}), make(chan struct{})
	var ran atomic.Int32
	within(t, "the loop ends", func() {
		_ = executor.For(context.Background(), e, 2, func(ctx context.Context, i int) error {
			if i == 0 {
				executor.Blocking(ctx, func() { <-other }) // the other half is forked, and somebody else has it
			} else {
				close(other)
				<-submitted
			}
			f, err := executor.SubmitOn(ctx, s, func(context.Context) (int, error) {
				ran.Add(1)
				runtime.Goexit()
				return 1, nil
			})
			if err != nil {
				return err
			}
			if i == 0 {
				close(submitted)
				for e.Stats().Lendable == 0 { // the other half waits
					runtime.Gosched()
				}
			}
			_, err = f.Wait(ctx)
			return err
		})
	})
	require.EqualValues(t, 2, ran.Load())
	quiet(t, e)
}
