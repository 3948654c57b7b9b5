package promises

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// Mutant: a split hands the index at the cut to both halves, or to none.
func TestPromise12_ForRunsEveryIndexOnce(t *testing.T) {
	for _, name := range []string{"For", "ForRange", "Reduce"} {
		t.Run(name, func(t *testing.T) { t.Parallel(); everyIndexOnce(t, name) })
	}
}

func everyIndexOnce(t *testing.T, name string) {
	for _, n := range []int{0, 1, 2, 7, 1000, 300_000} {
		for _, cfg := range [][2]int{{1, 0}, {2, 4}, {5, 0}} {
			for _, inside := range []bool{false, true} {
				e := spared(t, cfg[0], cfg[1])
				runs := make([]atomic.Int32, n)
				use := func(ctx context.Context) error {
					return loops[name](ctx, e, n, func(ctx context.Context, i int) error {
						runs[i].Add(1)
						if i%1000 == 0 {
							if of, ok := executor.FromContext(ctx); !ok || of != e {
								return errors.New("the body's context is not a task's")
							}
						}
						return nil
					})
				}
				if inside {
					require.NoError(t, inTask(t, e, use))
				} else {
					require.NoError(t, use(context.Background()))
				}
				for i := range runs {
					if runs[i].Load() != 1 {
						t.Fatalf("n %d, %v, inside %v: index %d ran %d times", n, cfg, inside, i, runs[i].Load())
					}
				}
				quiet(t, e)
				closeNow(t, e)
			}
		}
	}
}

// Mutant: the range is split once, at the start, so a slot that comes free later gets nothing.
func TestPromise12_ForSplitsForSlotsThatComeFreeLater(t *testing.T) {
	met := errors.New("two slots work on the loop")
	for _, inside := range []bool{false, true} {
		e := bare(t, 2)
		for range 20 {
			g := stick(t, e, 1)
			var p peak
			use := func(ctx context.Context) error {
				return executor.For(ctx, e, 10_000_000, func(_ context.Context, i int) error {
					p.Enter()
					defer p.Leave()
					if i == 10 {
						g.Open() // Only now is the other slot free.
					}
					runtime.Gosched()
					if p.Now() == 2 {
						return met
					}
					return nil
				})
			}
			var err error
			if inside {
				err = inTask(t, e, use)
			} else {
				within(t, "For", func() { err = use(context.Background()) })
			}
			require.Equal(t, met, err)
			quiet(t, e)
		}
	}
}

// Mutant: a loop goes on with its range after another part failed, or after its own body did.
func TestPromise12_LoopsStopAtTheFirstError(t *testing.T) {
	bad := errors.New("bad")
	for _, inside := range []bool{false, true} {
		e := bare(t, 1) // One slot: nothing else can run meanwhile.
		for name, loop := range loops {
			ran := 0
			use := func(ctx context.Context) error {
				return loop(ctx, e, 100_000, func(context.Context, int) error {
					if ran++; ran == 10 {
						return bad
					}
					return nil
				})
			}
			var err error
			if inside {
				err = inTask(t, e, use)
			} else {
				within(t, name, func() { err = use(context.Background()) })
			}
			require.ErrorIs(t, err, bad, name)
			require.Equal(t, 10, ran, "%s, inside %v", name, inside)
			s := quiet(t, e)
			require.Zero(t, s.Queued)
		}
	}
}

// loops are the loops that end at the first error, with one shape.
var loops = map[string]func(ctx context.Context, e *executor.Executor, n int, fn func(context.Context, int) error) error{
	"For": executor.For,
	"ForRange": func(ctx context.Context, e *executor.Executor, n int, fn func(context.Context, int) error) error {
		return executor.ForRange(ctx, e, n, eachOf(fn))
	},
	"Reduce": func(ctx context.Context, e *executor.Executor, n int, fn func(context.Context, int) error) error {
		each := eachOf(fn)
		_, err := executor.Reduce(ctx, e, n, func(ctx context.Context, lo, hi, acc int) (int, error) {
			return acc + hi - lo, each(ctx, lo, hi)
		}, func(a, b int) int { return a + b })
		return err
	},
	"Map": func(ctx context.Context, e *executor.Executor, n int, fn func(context.Context, int) error) error {
		in := make([]int, n)
		for i := range in {
			in[i] = i
		}
		_, err := executor.Map(ctx, e, in, func(ctx context.Context, i int) (int, error) { return i, fn(ctx, i) })
		return err
	},
	"ForEach": func(ctx context.Context, e *executor.Executor, n int, fn func(context.Context, int) error) error {
		return executor.ForEach(ctx, e, count(n), fn)
	},
}

// eachOf calls fn for each index of a range.
func eachOf(fn func(context.Context, int) error) func(ctx context.Context, lo, hi int) error {
	return func(ctx context.Context, lo, hi int) error {
		for i := lo; i < hi; i++ {
			if err := fn(ctx, i); err != nil {
				return err
			}
		}
		return nil
	}
}

// count yields 0 to n-1, or for ever if n is negative.
func count(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i != n; i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// Mutant: the context is asked once, before the loop.
func TestPromise12_LoopsStopWhenTheirContextIsDone(t *testing.T) {
	for name, loop := range loops {
		for _, inside := range []bool{false, true} {
			for _, cfg := range [][2]int{{1, 0}, {2, 4}} {
				e := spared(t, cfg[0], cfg[1])
				var ran atomic.Int64
				n := 1_000_000
				use := func(ctx context.Context) error {
					ctx, cancel := context.WithCancelCause(ctx)
					defer cancel(nil)
					return loop(ctx, e, n, func(ctx context.Context, _ int) error {
						if ran.Add(1) == 100 {
							cancel(errCause)
						}
						if ran.Load() > 100 {
							runtime.Gosched()
						}
						return nil
					})
				}
				var err error
				if inside {
					err = inTask(t, e, use)
				} else {
					within(t, name, func() { err = use(context.Background()) })
				}
				require.ErrorIs(t, err, context.Canceled, name)
				require.ErrorIs(t, err, errCause, name)
				require.Less(t, ran.Load(), int64(n/2), "%s, inside %v", name, inside)
				quiet(t, e)
			}
		}
		done, cancel := context.WithCancelCause(context.Background())
		cancel(errCause)
		e := bare(t, 1)
		requireDone(t, loop(done, e, 10, func(context.Context, int) error { t.Error("ran"); return nil }))
		closeNow(t, e)
		require.ErrorIs(t, loop(context.Background(), e, 10, func(context.Context, int) error { return nil }), executor.ErrClosed)
	}
}

// Mutant: results are stored in the order in which they come.
func TestPromise12_MapKeepsTheOrder(t *testing.T) {
	e := spared(t, 4, 4)
	for _, n := range []int{1, 2, 100, 10_000} {
		in := make([]int, n)
		want := make([]string, n)
		for i := range in {
			in[i] = n - i
			want[i] = fmt.Sprint(n - i)
		}
		f := func(_ context.Context, i int) (string, error) {
			if i%7 == 0 {
				runtime.Gosched()
			}
			return fmt.Sprint(i), nil
		}
		out, err := executor.Map(context.Background(), e, in, f)
		require.NoError(t, err)
		require.Equal(t, want, out)
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			out, err := executor.Map(ctx, e, in, f)
			if err == nil && !slices.Equal(out, want) {
				err = errors.New("out of order inside a task")
			}
			return err
		}))
	}
	quiet(t, e)
}

// Mutant: ForEach reads the sequence to its end before, or in spite of, an error; it reads ahead without
// bound; it does not let the sequence clean up.
func TestPromise12_ForEachOverAnEndlessSequence(t *testing.T) {
	const limit, slots = 16, 2
	bad := errors.New("bad")
	for _, inside := range []bool{false, true} {
		e := spared(t, slots, 4, executor.WithQueueLimit(limit))
		var yielded, finished, ahead atomic.Int64
		cleaned := false
		seq := func(yield func(int) bool) {
			defer func() { cleaned = true }()
			for i := 0; ; i++ {
				n := yielded.Add(1) - finished.Load()
				ahead.Store(max(ahead.Load(), n))
				if !yield(i) {
					return
				}
			}
		}
		use := func(ctx context.Context) error {
			return executor.ForEach(ctx, e, seq, func(_ context.Context, i int) error {
				defer finished.Add(1)
				if i == 20_000 {
					return bad
				}
				if i%64 == 0 {
					runtime.Gosched()
				}
				return nil
			})
		}
		var err error
		if inside {
			err = inTask(t, e, use)
		} else {
			within(t, "ForEach", func() { err = use(context.Background()) })
		}
		require.ErrorIs(t, err, bad)
		require.True(t, cleaned)
		require.LessOrEqual(t, ahead.Load(), int64(2*limit+slots*dequeSize+slots+8), "inside %v", inside)
		quiet(t, e)
	}
}

// Mutant: a panic or Goexit of the sequence itself leaves tasks behind, or takes a worker along.
func TestPromise12_ForEachWithASequenceThatFails(t *testing.T) {
	e := spared(t, 2, 4)
	failing := func(fail func()) iter.Seq[int] {
		return func(yield func(int) bool) {
			for i := range 50 {
				if !yield(i) {
					return
				}
			}
			fail()
		}
	}
	body := func(context.Context, int) error { return nil }
	for range 20 {
		within(t, "a sequence that panics", func() {
			defer func() { _ = recover() }()
			if err := executor.ForEach(context.Background(), e, failing(func() { panic("seq") }), body); err == nil {
				t.Error("the panic was lost")
			}
		})
		within(t, "a sequence that exits", func() {
			if err := executor.ForEach(context.Background(), e, failing(runtime.Goexit), body); err == nil {
				t.Error("the Goexit was lost")
			}
		})
		require.Error(t, inTask(t, e, func(ctx context.Context) error {
			return executor.ForEach(ctx, e, failing(func() { panic("seq") }), body)
		}))
		require.Error(t, inTask(t, e, func(ctx context.Context) error {
			return executor.ForEach(ctx, e, failing(runtime.Goexit), body)
		}))
	}
	quiet(t, e)
}

// Mutant: the panic in one part leaves the others running after For returned.
func TestPromise12_LoopsReturnWhenNothingOfThemRuns(t *testing.T) {
	e := spared(t, 4, 4)
	for name, loop := range loops {
		for range scaled(200) + 5 {
			var p peak
			err := loop(context.Background(), e, 200, func(_ context.Context, i int) error {
				p.Enter()
				defer p.Leave()
				runtime.Gosched()
				if i == 50 {
					panic("x")
				}
				return nil
			})
			require.Zero(t, p.Now(), name)
			var pe *executor.PanicError
			require.ErrorAs(t, err, &pe, name)
		}
	}
	quiet(t, e)
}

// Mutant: ForEach waits for what runs, and does not cancel it: what waits for the end of its context never ends.
func TestPromise12_ForEachCancelsWhenItsSequenceEndsAbnormally(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(errSentinel) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			e := bare(t, 1)
			var cause error
			var returned bool
			recovered := make(chan any, 1)
			go func() {
				defer func() { recovered <- recover() }()
				running := make(chan struct{})
				_ = executor.ForEach(context.Background(), e, func(yield func(int) bool) {
					yield(0)
					await(t, "the call runs", running)
					yield(1) // queued, and dropped
					end()
				}, func(ctx context.Context, i int) error {
					if i == 1 {
						t.Error("a queued call was started")
					}
					close(running)
					<-ctx.Done()
					cause = context.Cause(ctx)
					return nil
				})
				returned = true
			}()
			value := await(t, "ForEach lets it through", recovered)
			require.False(t, returned)
			if name == "panic" {
				require.Equal(t, errSentinel, value)
			} else {
				require.Nil(t, value)
			}
			require.ErrorContains(t, cause, "ForEach")
			require.EqualValues(t, 1, quiet(t, e).Canceled)
		})
	}
}
