package promises

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// inAndOut runs a test from outside and in a task of e.
func inAndOut(t *testing.T, e *executor.Executor, test func(ctx context.Context) error) {
	t.Helper()
	within(t, "outside", func() {
		if err := test(context.Background()); err != nil {
			t.Errorf("outside: %v", err)
		}
	})
	require.NoError(t, inTask(t, e, test), "inside")
}

// A merge that is associative and not commutative shows each fault of the order: concatenation.
//
// Mutants: halves are added in the order in which they end; a half that was taken back starts from zero.
func TestReduce_IsAFoldInIndexOrder(t *testing.T) {
	concat := func(_ context.Context, lo, hi int, acc []int32) ([]int32, error) {
		if lo >= hi {
			return nil, fmt.Errorf("[%d, %d)", lo, hi)
		}
		for i := lo; i < hi; i++ {
			acc = append(acc, int32(i))
			if i%64 == 0 {
				runtime.Gosched()
			}
		}
		return acc, nil
	}
	for _, cfg := range [][2]int{{1, 0}, {2, 4}, {5, 0}} {
		e := spared(t, cfg[0], cfg[1])
		for _, n := range []int{0, 1, 2, 3, 100, 30_000} {
			inAndOut(t, e, func(ctx context.Context) error {
				var merged atomic.Int64
				got, err := executor.Reduce(ctx, e, n, concat, func(a, b []int32) []int32 {
					merged.Add(1)
					if len(a) == 0 || len(b) == 0 || a[len(a)-1]+1 != b[0] {
						t.Errorf("merged %d and %d values", len(a), len(b))
					}
					return append(a, b...)
				})
				switch {
				case err != nil:
					return err
				case len(got) != n || (n == 0) != (got == nil):
					return fmt.Errorf("%d of %d values", len(got), n)
				case cfg[0] == 1 && merged.Load() != 0:
					return errors.New("one slot has nothing to merge")
				}
				for i, v := range got {
					if int(v) != i {
						return fmt.Errorf("value %d is %d", i, v)
					}
				}
				return nil
			})
		}
		quiet(t, e)
	}
}

// Bodies that block hand on what they have not begun. What they gave before counts once.
func TestReduce_BodiesThatBlock(t *testing.T) {
	e := spared(t, 2, 8)
	inAndOut(t, e, func(ctx context.Context) error {
		got, err := executor.Reduce(ctx, e, 5_000, func(ctx context.Context, lo, hi int, acc large) (large, error) {
			executor.Blocking(ctx, runtime.Gosched)
			for i := lo; i < hi; i++ {
				acc[i%len(acc)]++
				acc[0] += i % len(acc)
			}
			return acc, nil
		}, func(a, b large) large {
			for i := range a {
				a[i] += b[i]
			}
			return a
		})
		var want large
		for i := range 5_000 {
			want[i%len(want)]++
			want[0] += i % len(want)
		}
		if err == nil && got != want {
			err = errors.New("wrong sum")
		}
		return err
	})
	quiet(t, e)
}

// Mutant: a panic of merge is not caught, or the result so far is returned with the error.
func TestReduce_AMergeThatFails(t *testing.T) {
	e := spared(t, 2, 4)
	for name, fail := range map[string]func(){"panic": func() { panicSite(errSentinel) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				// The other slot takes the upper half, and ends it while the lower one waits.
				reduce := func(ctx context.Context) (int, error) {
					var other atomic.Bool
					up := newGate(t)
					return executor.Reduce(ctx, e, 1000, func(_ context.Context, lo, hi, acc int) (int, error) {
						if lo == 0 {
							up.Wait()
						} else if lo >= 500 && other.CompareAndSwap(false, true) {
							up.Open()
						}
						return acc + hi - lo, nil
					}, func(a, b int) int { fail(); return a + b })
				}
				f, err := executor.Submit(context.Background(), e, reduce)
				require.NoError(t, err)
				await(t, "the future", f.Done())
				got, err := f.Wait(context.Background())
				require.Zero(t, got)
				if name == "panic" {
					var pe *executor.PanicError
					require.ErrorAs(t, err, &pe)
					require.Contains(t, string(pe.Stack), "panicSite")
				} else {
					require.ErrorIs(t, err, executor.ErrGoexit)
				}
				got, err = reduce(context.Background())
				require.Zero(t, got)
				require.Error(t, err)
			}
		})
	}
	quiet(t, e)
	requireParallelism(t, e, 2)
}

// The last index is 2^63-2, or 2^31-2: the ends of ranges do not overflow.
//
// Mutant: the end of a chunk is the least of hi and lo+chunk.
func TestLoops_NearTheHighestInt(t *testing.T) {
	bad := errors.New("far enough")
	for _, slots := range []int{1, 3} {
		e := bare(t, slots)
		for name, loop := range loops {
			if name == "Map" || name == "ForEach" {
				continue
			}
			inAndOut(t, e, func(ctx context.Context) error {
				var most atomic.Int64
				err := loop(ctx, e, math.MaxInt, func(_ context.Context, i int) error {
					if i < 0 || i == math.MaxInt {
						return fmt.Errorf("index %d", i)
					}
					if most.Add(1) == 100_000 {
						return bad
					}
					return nil
				})
				if !errors.Is(err, bad) {
					return fmt.Errorf("%s: %w", name, err)
				}
				return nil
			})
		}
		quiet(t, e)
	}
}

// Loops in loops, of all kinds, in tasks and outside, with results as large as they like.
func TestLoops_Nest(t *testing.T) {
	for _, cfg := range [][2]int{{1, 0}, {3, 4}} {
		e := spared(t, cfg[0], cfg[1])
		inAndOut(t, e, func(ctx context.Context) error {
			sum, err := executor.Reduce(ctx, e, 20, func(ctx context.Context, lo, hi, acc int) (int, error) {
				for i := lo; i < hi; i++ {
					out, errs := executor.MapAll(ctx, e, make([]large, 5), func(ctx context.Context, v large) (large, error) {
						var n atomic.Int64
						err := executor.ForRange(ctx, e, 50, func(ctx context.Context, lo, hi int) error {
							n.Add(int64(hi - lo))
							return nil
						})
						v[1] = int(n.Load())
						return v, err
					})
					if err := errors.Join(errs...); err != nil {
						return 0, err
					}
					for _, v := range out {
						acc += v[1]
					}
				}
				return acc, nil
			}, func(a, b int) int { return a + b })
			return want(err, int64(sum), 20*5*50)
		})
		quiet(t, e)
	}
}

// Mutants: the first error ends the loop; a panic ends it; a Goexit takes the rest of its range along, or only that
// of a half that somebody else runs.
func TestMapAll_TriesEveryElement(t *testing.T) {
	const n = 2_000
	in := make([]int, n)
	for i := range in {
		in[i] = i
	}
	fn := func(goexit bool) func(context.Context, int) (string, error) {
		return func(_ context.Context, i int) (string, error) {
			switch {
			case i%7 == 1:
				return "", fmt.Errorf("element %d: %w", i, errSentinel)
			case i%7 == 2:
				panicSite(i)
			case i%7 == 3 && goexit:
				runtime.Goexit()
			case i%64 == 0:
				runtime.Gosched()
			}
			return fmt.Sprint(i), nil
		}
	}
	check := func(out []string, errs []error, goexit bool) error {
		if len(out) != n || len(errs) != n {
			return fmt.Errorf("%d results, %d errors", len(out), len(errs))
		}
		for i, err := range errs {
			var pe *executor.PanicError
			ok := err == nil && out[i] == fmt.Sprint(i)
			switch {
			case i%7 == 1:
				ok = errors.Is(err, errSentinel) && strings.HasPrefix(err.Error(), fmt.Sprintf("element %d:", i))
			case i%7 == 2:
				ok = errors.As(err, &pe) && pe.Value == i && strings.Contains(string(pe.Stack), "panicSite")
			case i%7 == 3 && goexit:
				ok = errors.Is(err, executor.ErrGoexit)
			}
			if !ok {
				return fmt.Errorf("element %d: %q, %v", i, out[i], err)
			}
		}
		return nil
	}
	for _, cfg := range [][2]int{{1, 0}, {2, 4}, {5, 0}} {
		e := spared(t, cfg[0], cfg[1])
		inAndOut(t, e, func(ctx context.Context) error {
			out, errs := executor.MapAll(ctx, e, in, fn(false))
			return check(out, errs, false)
		})
		within(t, "Goexit, from outside", func() {
			out, errs := executor.MapAll(context.Background(), e, in, fn(true))
			if err := check(out, errs, true); err != nil {
				t.Error(err)
			}
		})
		// In a task the caller works along, so a Goexit of an element may end it too: then all elements have been tried.
		var tried atomic.Int64
		err := inTask(t, e, func(ctx context.Context) error {
			_, errs := executor.MapAll(ctx, e, in, func(ctx context.Context, i int) (string, error) {
				tried.Add(1)
				return fn(true)(ctx, i)
			})
			return errors.Join(errs...)
		})
		require.Error(t, err)
		require.EqualValues(t, n, tried.Load())
		quiet(t, e)
		requireParallelism(t, e, cfg[0])
	}
}

// Mutant: elements that were not tried have no error.
func TestMapAll_WhatWasNotTriedSaysWhy(t *testing.T) {
	e := bare(t, 2)
	inAndOut(t, e, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var tried atomic.Int64
		_, errs := executor.MapAll(ctx, e, make([]int, 1_000_000), func(context.Context, int) (int, error) {
			if tried.Add(1) == 1000 {
				cancel(errCause)
			}
			return 0, nil
		})
		var not int64
		for _, err := range errs {
			if err != nil {
				if !errors.Is(err, context.Canceled) || !errors.Is(err, errCause) {
					return err
				}
				not++
			}
		}
		if not == 0 {
			return errors.New("all were tried")
		}
		return want(nil, not+tried.Load(), 1_000_000)
	})
	out, errs := executor.MapAll(context.Background(), e, []int{}, func(context.Context, int) (int, error) { return 0, nil })
	require.Empty(t, out)
	require.Empty(t, errs)
	closeNow(t, e)
	_, errs = executor.MapAll(context.Background(), e, []int{1, 2}, func(context.Context, int) (int, error) { return 0, nil })
	require.Len(t, slices.DeleteFunc(errs, func(err error) bool { return !errors.Is(err, executor.ErrClosed) }), 2)
}

// What the documents say: a panic in a call is the loop's error, and the part of the range that it belongs
// to completes all the same.
func TestFor_PanicsAreNotCountedAsPanickedTasks(t *testing.T) {
	e := newExecutor(t, executor.WithSlots(2))
	loop := func(ctx context.Context) error {
		return executor.For(ctx, e, 100, func(_ context.Context, i int) error {
			if i == 50 {
				panic("fifty")
			}
			return nil
		})
	}
	var p *executor.PanicError
	require.ErrorAs(t, loop(context.Background()), &p)
	require.ErrorAs(t, inTask(t, e, loop), &p)
	require.Zero(t, quiet(t, e).Panicked)
}

// Mutant: what is split off before a body blocks is run on top of the loop that split it, one frame deeper
// for each index: the stack overflows.
func TestFor_BlockingBodiesDoNotNest(t *testing.T) {
	defer debug.SetMaxStack(debug.SetMaxStack(1 << 20))
	for _, spares := range []int{0, 2} {
		e, err := executor.New(executor.WithSlots(1), executor.WithMaxSpares(spares))
		require.NoError(t, err)
		const n = 20_000
		var ran, accepted atomic.Int64
		require.NoError(t, executor.For(context.Background(), e, n, func(ctx context.Context, i int) error {
			if i%2 == 0 { // a child on top of the half that was split off
				if e.Go(ctx, func(context.Context) { ran.Add(1) }) == nil {
					accepted.Add(1)
				}
			}
			executor.Blocking(ctx, func() { ran.Add(1) })
			return nil
		}))
		require.NoError(t, e.Shutdown(context.Background()))
		require.Equal(t, n+accepted.Load(), ran.Load())
	}
}

// Mutant: a range is split only between bodies, so a body that blocks keeps the rest of its range.
func TestFor_BlockingBodiesOverlap(t *testing.T) {
	e, err := executor.New(executor.WithSlots(2), executor.WithMaxSpares(100))
	require.NoError(t, err)
	const n = 100
	var here atomic.Int64
	all := make(chan struct{})
	require.NoError(t, executor.For(context.Background(), e, n, func(ctx context.Context, _ int) error {
		executor.Blocking(ctx, func() {
			if here.Add(1) == n {
				close(all)
			}
			<-all
		})
		return nil
	}))
	require.NoError(t, e.Close())
}
