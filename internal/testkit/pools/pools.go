// Package pools makes executors for tests, as any user would, and checks at their end that the books balance.
package pools

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
)

// New makes an executor that is closed, and seen to end, when the test ends.
func New(t testing.TB, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { Close(t, e) })
	return e
}

// Close closes e and sees it end.
func Close(t testing.TB, e *executor.Executor) {
	t.Helper()
	testkit.Within(t, "Close", func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// Bare is New with n slots, no stall detection and no spares: nothing but the slots runs tasks,
// so a test can say which task is stuck and which cannot start.
func Bare(t testing.TB, slots int, opts ...executor.Option) *executor.Executor {
	t.Helper()
	return New(t, append([]executor.Option{
		executor.WithSlots(slots), executor.WithMaxSpares(0), executor.WithStallDetection(false),
	}, opts...)...)
}

// Spared is Bare with spares.
func Spared(t testing.TB, slots, spares int, opts ...executor.Option) *executor.Executor {
	t.Helper()
	return Bare(t, slots, append([]executor.Option{executor.WithMaxSpares(spares)}, opts...)...)
}

// ForBench makes an executor that is closed when the benchmark ends.
func ForBench(b *testing.B, opts ...executor.Option) *executor.Executor {
	e, err := executor.New(opts...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	b.ReportAllocs()
	return e
}

// Stick starts n tasks that hold a slot each, unmarked, until the gate opens. It returns when all run.
func Stick(t testing.TB, e *executor.Executor, n int) *testkit.Gate {
	t.Helper()
	g := testkit.NewGate(t)
	started := make(chan struct{}, n)
	for range n {
		require.NoError(t, e.Go(context.Background(), func(context.Context) {
			started <- struct{}{}
			g.Wait()
		}))
		testkit.Await(t, "a sticking task starts", started)
	}
	return g
}

// InTask runs fn as a task of e and gives what it returned.
func InTask(t testing.TB, e *executor.Executor, fn func(ctx context.Context) error) error {
	t.Helper()
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, fn(ctx)
	})
	require.NoError(t, err)
	return Result(t, f)
}

// Result waits for the future and gives its error.
func Result[T any](t testing.TB, f *executor.Future[T]) error {
	t.Helper()
	testkit.Await(t, "the future resolves", f.Done())
	_, err := f.Wait(context.Background())
	return err
}

// Quiet waits for quiescence and checks that the books balance.
func Quiet(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	testkit.Within(t, "Quiesce", func() {
		if err := e.Quiesce(context.Background()); err != nil {
			t.Errorf("Quiesce: %v", err)
		}
	})
	return Balanced(t, e)
}

// Balanced checks that an executor at rest accounts for every task and holds none.
func Balanced(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	s := e.Stats()
	require.Equal(t, s.Submitted, s.Completed+s.Panicked+s.Canceled, "accepted tasks that did not end, or ended twice: %+v", s)
	require.LessOrEqual(t, s.Failed, s.Completed, "%+v", s)
	testkit.Eventually(t, "gauges of an executor at rest are zero", func() bool {
		s = e.Stats()
		return s.Queued == 0 && s.Waiting == 0 && s.Running == 0 && s.Blocked == 0
	})
	return s
}

// Alive runs a few tasks, to see that the executor survived what was done to it.
func Alive(t testing.TB, e *executor.Executor) {
	t.Helper()
	testkit.Within(t, "the executor still runs tasks", func() {
		var wg sync.WaitGroup
		for range 50 {
			wg.Add(1)
			if err := e.Go(context.Background(), func(context.Context) { wg.Done() }); err != nil {
				t.Error(err)
				return
			}
		}
		wg.Wait()
	})
}

// Contexts are the contexts that a task may hand to a call instead of its own.
var Contexts = []struct {
	Name string
	Of   func(context.Context) (context.Context, context.CancelFunc)
}{
	{"task ctx", func(c context.Context) (context.Context, context.CancelFunc) { return c, func() {} }},
	{"Background", func(context.Context) (context.Context, context.CancelFunc) { return context.Background(), func() {} }},
	{"WithValue", func(c context.Context) (context.Context, context.CancelFunc) {
		return context.WithValue(c, ctxKey{}, 1), func() {}
	}},
	{"WithTimeout", func(c context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(c, time.Hour)
	}},
	{"WithoutCancel", func(c context.Context) (context.Context, context.CancelFunc) {
		return context.WithoutCancel(c), func() {}
	}},
}

type ctxKey struct{}
