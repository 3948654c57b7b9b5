package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// heap is what is reachable now.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// flat checks that work, done once to warm up and then again at full length, leaves the heap as it was.
func flat(t *testing.T, e *executor.Executor, n int, work func(n int)) {
	t.Helper()
	within(t, "the work ends", func() { work(n / 10) })
	quiet(t, e)
	before := heap()
	within(t, "the work ends", func() { work(n) })
	quiet(t, e)
	var after uint64
	eventually(t, "what the work left is collected", func() bool {
		after = heap()
		return after < before+1<<20
	})
	t.Logf("heap %d -> %d after %d rounds", before, after, n)
}

// Mutant: every Done call of a task context registers with the parent and stays there.
func TestPromise05_DoneUnderALongLivedParentLeavesNothing(t *testing.T) {
	root, cancel := context.WithCancel(context.Background())
	defer cancel()
	odd := oddCtx{Context: context.Background(), done: make(chan struct{})}
	e := newExecutor(t, executor.WithSlots(2))
	for name, parent := range map[string]context.Context{"WithCancel": root, "WithValue": context.WithValue(root, ctxKey{}, 1), "odd": odd} {
		t.Run(name, func(t *testing.T) {
			flat(t, e, scaled(1_000_000), func(n int) {
				for range n {
					if err := e.Go(parent, func(ctx context.Context) { <-pick(ctx.Done()) }); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
	close(odd.done)
}

// Mutant: the link that all tasks under a long-lived parent share is made from the context of the first one,
// with its values.
func TestPromise05_DoneDoesNotKeepTheValuesOfTheFirst(t *testing.T) {
	root, cancelRoot := context.WithCancel(context.Background())
	defer cancelRoot()
	e := newExecutor(t, executor.WithSlots(1))
	var seen weak.Pointer[[1 << 16]byte]
	var derived context.Context
	var cancel context.CancelFunc
	func() {
		large := new([1 << 16]byte)
		seen = weak.Make(large)
		f, err := executor.Submit(context.WithValue(root, ctxKey{}, large), e, func(ctx context.Context) (int, error) {
			<-pick(ctx.Done())
			return 1, nil
		})
		require.NoError(t, err)
		require.NoError(t, result(t, f))
	}()
	f, err := executor.Submit(root, e, func(ctx context.Context) (int, error) {
		derived, cancel = context.WithCancel(ctx) // hangs below the link
		return 1, derived.Err()
	})
	require.NoError(t, err)
	require.NoError(t, result(t, f))
	quiet(t, e)
	eventually(t, "the value is collected", func() bool {
		runtime.GC()
		return seen.Value() == nil
	})
	require.NoError(t, e.Close())
	require.ErrorIs(t, context.Cause(derived), executor.ErrClosed)
	cancel()
}

// pick uses a channel without waiting for it.
func pick(ch <-chan struct{}) <-chan struct{} {
	ready := make(chan struct{}, 1)
	if ch != nil {
		ready <- struct{}{}
	}
	return ready
}

// Mutant: the entry for a parent's Done channel outlives the parent: a service with one context per
// request fills the memory.
func TestPromise05_ManyShortLivedParentsLeaveNothing(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2))
	goroutines := runtime.NumGoroutine()
	flat(t, e, scaled(200_000), func(n int) {
		for i := range n {
			parent, cancel := context.WithCancel(context.Background())
			f, err := executor.Submit(parent, e, func(ctx context.Context) (int, error) { <-pick(ctx.Done()); return 1, nil })
			if err != nil {
				t.Error(err)
			} else if i%2 == 0 {
				<-f.Done()
			}
			cancel()
		}
	})
	eventually(t, "no goroutine is left for a parent", func() bool { return runtime.NumGoroutine() < goroutines+20 })
}

// Mutant: contexts derived from a task's are attached to something that outlives their cancel.
func TestPromise05_ContextsUnderATaskContextLeaveNothing(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2))
	flat(t, e, scaled(100_000), func(n int) {
		for range n {
			parent, cancel := context.WithTimeout(context.Background(), time.Hour)
			done := make(chan struct{})
			if err := e.Go(parent, func(ctx context.Context) {
				c, cancel := context.WithTimeout(ctx, time.Minute)
				_ = c.Done()
				cancel()
				close(done)
			}); err != nil {
				t.Error(err)
			}
			<-done
			cancel()
		}
	})
}

// depthCtx notes how deep the stack is when a lookup reaches it.
type depthCtx struct{ context.Context }

var lookupDepth atomic.Int64

func (c depthCtx) Value(key any) any {
	if key == (ctxKey{}) {
		lookupDepth.Store(stackDepth())
	}
	return nil
}

func stackDepth() int64 {
	var pcs [4096]uintptr
	return int64(runtime.Callers(0, pcs[:]))
}

// Mutant: a child's parent is the task context of its parent, so the chain grows by one at each step.
func TestPromise05_TasksThatResubmitThemselvesStayFlat(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2))
	root := depthCtx{context.Background()}
	var step func(ctx context.Context, n int, how int, done chan<- error)
	step = func(ctx context.Context, n, how int, done chan<- error) {
		if n == 0 {
			ctx.Value(ctxKey{})
			lookupDepth.Add(-stackDepth())
			done <- nil
			return
		}
		next := func(ctx context.Context) { step(ctx, n-1, how, done) }
		var err error
		switch how {
		case 0:
			err = e.Go(ctx, next)
		case 1:
			_, err = executor.Submit(ctx, e, func(ctx context.Context) (int, error) { next(ctx); return 0, nil })
		case 2:
			executor.Fork(ctx, func(ctx context.Context) int { next(ctx); return 0 })
		case 3:
			err = e.TryGo(ctx, next)
		}
		if err != nil {
			done <- err
		}
	}
	for how, name := range []string{"Go", "Submit", "Fork", "TryGo"} {
		t.Run(name, func(t *testing.T) {
			depth := func(n int) int64 {
				done := make(chan error, 1)
				require.NoError(t, e.Go(root, func(ctx context.Context) { step(ctx, n, how, done) }))
				require.NoError(t, await(t, "the last of the line runs", done))
				return lookupDepth.Load()
			}
			// A lookup goes as deep as the chain of contexts is long.
			require.Equal(t, depth(10), depth(2000))
			flat(t, e, scaled(500_000), func(n int) {
				done := make(chan error, 1)
				if err := e.Go(root, func(ctx context.Context) { step(ctx, n, how, done) }); err != nil {
					t.Error(err)
					return
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Mutant: an entry that its waiter claimed stays in the deque, behind one that is always popped first.
func TestPromise05_ForkForkJoinJoinStaysFlat(t *testing.T) {
	for _, slots := range []int{1, 2} {
		e := bare(t, slots, executor.WithQueueLimit(16))
		flat(t, e, scaled(2_000_000), func(n int) {
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				for i := range n {
					a := executor.Fork(ctx, func(context.Context) int { return i })
					b := executor.Fork(ctx, func(context.Context) int { return i })
					if a.Join(ctx)+b.Join(ctx) != 2*i {
						return 0, errors.New("wrong sum")
					}
				}
				return 0, nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := f.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Mutant: futures that were canceled while queued, and claimed entries in the injector, are never dropped.
func TestPromise05_AbandonedWorkStaysFlat(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(1), executor.WithQueueLimit(64))
	flat(t, e, scaled(300_000), func(n int) {
		for i := range n {
			ctx, cancel := context.WithCancel(context.Background())
			f, err := executor.Submit(ctx, e, func(context.Context) ([]byte, error) { return make([]byte, 100), nil })
			if err != nil {
				t.Error(err)
			} else if i%2 == 0 {
				<-f.Done()
			}
			cancel()
		}
	})
}

// Mutant: a task keeps the record of every child that it forked until it ends: a task that serves for ever
// and never joins fills the memory.
func TestPromise05_ChildrenNeverJoinedLeaveNothingWhileTheirTaskRuns(t *testing.T) {
	e := bare(t, 2)
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		var ran atomic.Int64
		forks := func(n int) {
			for range n {
				executor.Fork(ctx, func(context.Context) [64]byte { ran.Add(1); return [64]byte{} })
			}
		}
		forks(10_000)
		before := heap()
		forks(scaled(500_000))
		if after := heap(); after > before+4<<20 {
			return fmt.Errorf("heap %d -> %d with %d children run", before, after, ran.Load())
		}
		return nil
	}))
	quiet(t, e)
}

// Mutant: a task that is dropped starts the next one of its group from its own stack frame, and so on.
func TestPromise05_ManyHeldTasksAreDroppedWithoutRecursion(t *testing.T) {
	n := scaled(1_000_000)
	for _, end := range []string{"Close", "cancel"} {
		for _, surplus := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/surplus=%v", end, surplus), func(t *testing.T) {
				defer debug.SetMaxStack(debug.SetMaxStack(32 << 20))
				e := spared(t, 1, 1, executor.WithQueueLimit(2*n))
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				g := e.NewGroup(ctx)
				g.SetLimit(1)
				started := make(chan struct{})
				g.Go(func(ctx context.Context) error {
					close(started)
					if surplus {
						executor.Blocking(ctx, func() { <-ctx.Done() })
					} else {
						<-ctx.Done()
					}
					return nil
				})
				await(t, "the first runs", started)
				for range n {
					g.Go(func(context.Context) error { t.Error("a held task ran"); return nil })
				}
				other := newGate(t)
				if surplus { // It holds the slot when the first comes back.
					other = stick(t, e, 1)
				}
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if end == "Close" {
						_ = e.Close()
					} else {
						cancel()
					}
				}()
				waited := make(chan error, 1)
				go func() { waited <- g.Wait() }()
				require.Error(t, await(t, "Wait", waited))
				other.Open()
				await(t, "the end", ended)
				s := quiet(t, e)
				require.EqualValues(t, n, s.Canceled)
			})
		}
	}
}
