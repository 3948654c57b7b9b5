package executortest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/debugpage"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// recorder is a test that fails without failing this one.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	cleanups []func()
	errors   []string
	fatal    bool
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, "log: "+fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.fatal = true
	panic(r)
}

// run calls test with a recorder, ends it as a test is ended, and returns what was reported.
func run(test func(t *recorder)) *recorder {
	r := &recorder{}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(r) {
				panic(v)
			}
		}()
		test(r)
	}()
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func TestNew_IsClosedAtTheEnd(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var exec *executor.Executor
	r := run(func(t *recorder) {
		exec = executortest.New(t, executor.WithSlots(2))
		for range 100 {
			_ = exec.Go(context.Background(), func(context.Context) {})
		}
	})
	require.Empty(t, r.errors)
	require.ErrorIs(t, exec.Go(t.Context(), func(context.Context) {}), executor.ErrClosed)
	goleak.VerifyNone(t, before)
}

func TestNew_SaysWhichOptionIsWrong(t *testing.T) {
	r := run(func(t *recorder) { executortest.New(t, executor.WithSlots(0)) })
	require.True(t, r.fatal)
	require.Equal(t, []string{"executortest: executor: WithSlots(0): must be at least 1"}, r.errors)
}

func TestNew_LogsStalls(t *testing.T) {
	r := run(func(t *recorder) {
		exec := executortest.New(t, executor.WithSlots(1))
		done := make(chan struct{})
		_ = exec.Go(context.Background(), func(context.Context) { <-done }) // not marked
		_ = exec.Go(context.Background(), func(context.Context) { close(done) })
		<-done
		for logged := false; !logged; time.Sleep(time.Millisecond) {
			t.mu.Lock()
			logged = len(t.errors) > 0
			t.mu.Unlock()
		}
	})
	require.Contains(t, r.errors[0], "log: executor ")
	require.Contains(t, r.errors[0], "tasks stand still (")
}

func TestNew_InABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exec := executortest.New(t, executor.WithSlots(1))
		group := exec.NewGroup(t.Context())
		for range 3 {
			group.Go(func(ctx context.Context) error {
				executor.Blocking(ctx, func() { time.Sleep(time.Hour) })
				return nil
			})
		}
		require.NoError(t, group.Wait())
	})
}

func TestNoAdvice(t *testing.T) {
	t.Parallel()
	refuse := func(t *recorder, except ...string) {
		exec := executortest.New(t, executor.WithSlots(1), executor.WithQueueLimit(1))
		executortest.NoAdvice(t, exec, except...)
		block := make(chan struct{})
		for range 10 {
			_ = exec.TryGo(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, func() { <-block }) })
		}
		for exec.Stats().RejectedFull == 0 {
			_ = exec.TryGo(context.Background(), func(ctx context.Context) { executor.Blocking(ctx, func() { <-block }) })
		}
		close(block)
	}
	t.Run("healthy", func(t *testing.T) {
		t.Parallel()
		r := run(func(t *recorder) {
			exec := executortest.New(t, executor.WithSlots(2))
			executortest.NoAdvice(t, exec)
			for range 100 {
				_ = exec.Go(context.Background(), func(context.Context) {})
			}
			_ = exec.Quiesce(context.Background())
		})
		require.Empty(t, r.errors)
	})
	// What the advice about waiting looks at, as it should be: all wait, marked, and as many as there are places; a group with a
	// limit beside others; a queue that is full, of tasks that end. Mutant: a rule forgets that tasks end, or who waits.
	t.Run("healthy waits", func(t *testing.T) {
		t.Parallel()
		r := run(func(t *recorder) {
			exec := executortest.New(t, executor.WithSlots(2), executor.WithMaxSpares(6), executor.WithQueueLimit(4))
			executortest.NoAdvice(t, exec, debugpage.AdviceLatency) // that depends on the machine
			group, values := exec.NewGroup(context.Background()), make(chan int)
			group.SetLimit(6) // as many as may wait, less the two others
			taken := make(chan struct{})
			go func() { // not who submits
				defer close(taken)
				for range 200 {
					<-values
					_ = exec.Go(context.Background(), func(context.Context) {})
				}
			}()
			for i := range 200 {
				group.Go(func(ctx context.Context) error { return executor.Send(ctx, values, i) })
			}
			_ = group.Wait()
			<-taken
		})
		require.Empty(t, r.errors)
	})
	t.Run("refusals", func(t *testing.T) {
		t.Parallel()
		r := run(func(t *recorder) { refuse(t) })
		require.Len(t, r.errors, 1)
		require.True(t, strings.HasPrefix(r.errors[0], "executortest: advice: rejections: "), r.errors[0])
	})
	t.Run("allowed", func(t *testing.T) {
		t.Parallel()
		r := run(func(t *recorder) { refuse(t, debugpage.AdviceRejections) })
		require.Empty(t, r.errors)
	})
	t.Run("no such kind", func(t *testing.T) {
		r := run(func(t *recorder) { refuse(t, "weather") })
		require.True(t, r.fatal)
		require.Contains(t, r.errors[0], `"weather" is no kind of advice`)
	})
}
