package promises

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: a panic on the other goroutine crashes the process, or a Goexit there leaves the caller waiting.
func TestOnThread_PanicAndGoexitComeBack(t *testing.T) {
	bad := errors.New("bad")
	recovered := func() (v any) {
		defer func() { v = recover() }()
		executor.OnThread(context.Background(), func() { panic(bad) })
		return nil
	}()
	err, ok := recovered.(error)
	require.True(t, ok, "recovered %v", recovered)
	require.ErrorIs(t, err, bad)

	after := false
	within(t, "a Goexit ends its caller", func() {
		executor.OnThread(context.Background(), runtime.Goexit)
		after = true
	})
	require.False(t, after, "the caller went on after a Goexit")

	e := spared(t, 1, 1)
	for range 10 {
		err := inTask(t, e, func(ctx context.Context) error {
			executor.OnThread(ctx, onThreadPanicSite)
			return nil
		})
		var pe *executor.PanicError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "thread", pe.Value)
		require.Contains(t, string(pe.Stack), "onThreadPanicSite", "the stack is the original one")
		err = inTask(t, e, func(ctx context.Context) error {
			executor.OnThread(ctx, runtime.Goexit)
			return nil
		})
		require.ErrorIs(t, err, executor.ErrGoexit)
	}
	quiet(t, e)
}

//go:noinline
func onThreadPanicSite() { panic("thread") }

// Mutant: OnThread's goroutine is taken for the runner: its pushes go to a deque that it does not own.
func TestOnThread_CallsInsideCountAsFromOutside(t *testing.T) {
	for range 20 {
		e := spared(t, 1, 1)
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			executor.OnThread(ctx, func() { err = deep(ctx, e, 5) })
			return err
		}))
		quiet(t, e)
	}
}
