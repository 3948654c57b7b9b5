package errgroup_test

import (
	"context"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/compat/errgroup"
)

// What the door shares with the package that it stands for is tested beside that one, in compat/difftest.

func newExecutor(t *testing.T, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func run(g *errgroup.Group, n int) error {
	for range n {
		g.Go(func() error { return nil })
	}
	return g.Wait()
}

func TestUse_BindsAndRestores(t *testing.T) {
	first, second := newExecutor(t, executor.WithSlots(1)), newExecutor(t, executor.WithSlots(1))
	before := errgroup.Unbound()
	require.NoError(t, run(new(errgroup.Group), 3))
	require.Equal(t, before+3, errgroup.Unbound(), "without an executor they are goroutines")

	restoreFirst := errgroup.Use(first)
	restoreSecond := errgroup.Use(second)
	require.NoError(t, run(new(errgroup.Group), 5))
	restoreSecond()
	require.NoError(t, run(new(errgroup.Group), 7))
	restoreFirst()
	require.NoError(t, run(new(errgroup.Group), 2))
	require.NoError(t, first.Quiesce(context.Background()))
	require.NoError(t, second.Quiesce(context.Background()))
	require.EqualValues(t, 5, second.Stats().Completed)
	require.EqualValues(t, 7, first.Stats().Completed)
	require.Equal(t, before+5, errgroup.Unbound())
}

func TestOn_ComesBeforeUse(t *testing.T) {
	bound, own := newExecutor(t, executor.WithSlots(1)), newExecutor(t, executor.WithSlots(1))
	defer errgroup.Use(bound)()
	require.NoError(t, run(new(errgroup.Group).On(own), 3))
	require.Zero(t, bound.Stats().Submitted)
	require.EqualValues(t, 3, own.Stats().Submitted)
}

func TestWithContext_InATaskTakesTheTasksExecutor(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithMaxSpares(1))
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (bool, error) {
		g, ctx := errgroup.WithContext(ctx)
		var inTask bool
		g.Go(func() error {
			_, inTask = executor.FromContext(ctx)
			return nil
		})
		return inTask, g.Wait()
	})
	require.NoError(t, err)
	_, err = f.Wait(context.Background())
	require.NoError(t, err)
	require.EqualValues(t, 2, e.Stats().Submitted)
}

// A producer is never held up by a full queue, and what it starts runs in order on one slot.
func TestGo_NeverWaitsForTheExecutorsQueue(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithQueueLimit(2), executor.WithStallDetection(false))
	g := new(errgroup.Group).On(e)
	var order []int
	hold := make(chan struct{})
	var ran atomic.Int32
	g.SetLimit(1000)
	g.Go(func() error { <-hold; return nil })
	for i := range 100 {
		g.Go(func() error { ran.Add(1); return nil })
		order = append(order, i)
	}
	close(hold)
	require.NoError(t, g.Wait())
	require.EqualValues(t, len(order), ran.Load())
}

// A panic ends the process with its own stack, although the executor has a panic handler. Mutant: the question
// for the mark in the core's guard.
func TestPanic_EndsTheProcess(t *testing.T) {
	if os.Getenv("ERRGROUP_TEST_PANIC") != "" {
		e, err := executor.New(executor.WithPanicHandler(func(context.Context, *executor.PanicError) {}))
		if err != nil {
			panic(err)
		}
		g := new(errgroup.Group).On(e)
		g.Go(func() error { return thatPanics() })
		select {} // if the handler got it: a deadlock, which is no panic
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanic_EndsTheProcess$")
	cmd.Env = append(os.Environ(), "ERRGROUP_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "%s", out)
	require.Equal(t, 2, exit.ExitCode(), "%s", out)
	require.Contains(t, string(out), "panic: boom")
	require.Contains(t, string(out), "thatPanics")
}

func thatPanics() error { panic("boom") }
