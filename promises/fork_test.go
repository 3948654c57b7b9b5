package promises

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/trace"
	"strconv"
	"testing"
	"weak"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// forkFunc is what Fork and ForkWith have in common.
type forkFunc func(context.Context, func(context.Context) int) executor.Forked[int]

// eachFork runs a test for Fork, and for ForkWith with the function as its argument.
func eachFork(t *testing.T, test func(t *testing.T, fork forkFunc)) {
	t.Run("Fork", func(t *testing.T) { test(t, executor.Fork[int]) })
	t.Run("ForkWith", func(t *testing.T) {
		call := func(ctx context.Context, fn func(context.Context) int) int { return fn(ctx) }
		test(t, func(ctx context.Context, fn func(context.Context) int) executor.Forked[int] {
			return executor.ForkWith(ctx, call, fn)
		})
	})
}

type (
	large  [300]int
	metres *int
	feet   *int
)

// Each child gets the argument that it was forked with, whatever else is on the free lists: types of the same
// shape, arguments too large for a closure, none at all.
//
// Mutant: a record is found by the type of its result alone.
func TestForkWith_EachChildGetsItsArgument(t *testing.T) {
	rounds := func(ctx context.Context) error {
		n := 0
		p := &n
		for i := range 2_000 {
			big := large{7: i}
			a := executor.ForkWith(ctx, func(_ context.Context, v large) large { v[8] = v[7]; return v }, big)
			b := executor.ForkWith(ctx, func(_ context.Context, v metres) feet { return feet(v) }, metres(p))
			c := executor.ForkWith(ctx, func(_ context.Context, v feet) metres { return metres(v) }, feet(p))
			d := executor.ForkWith(ctx, func(_ context.Context, v int) string { return strconv.Itoa(v) }, i)
			f := executor.ForkWith(ctx, func(_ context.Context, v int) int { return -v }, i)
			g := executor.ForkWith(ctx, func(_ context.Context, _ struct{}) error { return errSentinel }, struct{}{})
			h := executor.Fork(ctx, func(context.Context) int { return i + 1 })
			k := executor.ForkWith(ctx, func(_ context.Context, v error) any { return v }, error(nil))
			big[7] = -1
			got := []any{a.Join(ctx)[8], (*int)(b.Join(ctx)), (*int)(c.Join(ctx)), d.Join(ctx), f.Join(ctx), g.Join(ctx), h.Join(ctx), k.Join(ctx)}
			want := []any{i, p, p, strconv.Itoa(i), -i, errSentinel, i + 1, nil}
			for j := range want {
				if got[j] != want[j] {
					return fmt.Errorf("round %d: child %d gave %v, want %v", i, j, got[j], want[j])
				}
			}
		}
		return nil
	}
	for _, slots := range []int{1, 3} {
		e := spared(t, slots, 4)
		require.NoError(t, inTask(t, e, rounds))
		require.NoError(t, rounds(context.Background()), "outside of tasks")
		require.NoError(t, inTask(t, e, func(ctx context.Context) (err error) {
			executor.Blocking(ctx, func() { err = rounds(ctx) })
			return errors.Join(err, rounds(context.WithValue(ctx, ctxKey{}, 1)))
		}))
		require.NoError(t, trace.Start(io.Discard)) // now each child has a probe
		err := inTask(t, e, rounds)
		trace.Stop()
		require.NoError(t, err)
		quiet(t, e)
	}
}

// Mutant: a record whose child panicked keeps the argument, or the panic, for its next use.
func TestForkWith_ARecordIsUsedAgainAfterAPanic(t *testing.T) {
	e := bare(t, 1)
	child := func(_ context.Context, v int) int {
		if v%2 == 0 {
			panic(v)
		}
		return v
	}
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for i := range 100 {
			f := executor.ForkWith(ctx, child, i)
			var got any
			func() {
				defer func() {
					if p, ok := recover().(*executor.PanicError); ok {
						got = p.Value
					}
				}()
				if v := f.Join(ctx); v%2 == 1 {
					got = v
				}
			}()
			if got != i {
				return fmt.Errorf("child %d ended with %v", i, got)
			}
		}
		return nil
	}))
	s := quiet(t, e)
	require.EqualValues(t, 50, s.Panicked)
	require.EqualValues(t, 51, s.Completed)
}

// Mutant: a record keeps the argument, or the result, for its next use.
func TestForkWith_KeepsNothing(t *testing.T) {
	e := bare(t, 1)
	var held []weak.Pointer[large]
	same := func(_ context.Context, v *large) *large { return v }
	require.NoError(t, inTask(t, e, func(ctx context.Context) error {
		for i := range 20 {
			v := new(large)
			held = append(held, weak.Make(v))
			switch f := executor.ForkWith(ctx, same, v); i % 3 {
			case 0:
				f.Join(ctx)
			case 1:
				executor.Fork(ctx, func(ctx context.Context) *large { return f.Join(ctx) }).Join(ctx)
			}
		}
		return nil
	}))
	quiet(t, e)
	for i, w := range held {
		eventually(t, fmt.Sprintf("argument %d is collected", i), func() bool {
			runtime.GC()
			return w.Value() == nil
		})
	}
	alive(t, e)
}

// Mutant: the entries of children that are joined before newer ones are left in the deque until it is full of
// them. Then Fork runs its children itself, and nothing is parallel any more.
func TestFork_JoiningTheOldestFirstLeavesRoom(t *testing.T) {
	eachFork(t, func(t *testing.T, fork forkFunc) {
		e := bare(t, 1)
		child := func(context.Context) int { return 1 }
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			for range 2 * dequeSize {
				a, b, c := fork(ctx, child), fork(ctx, child), fork(ctx, child)
				_, _, _ = a.Join(ctx), b.Join(ctx), c.Join(ctx)
			}
			atOnce := 0
			var many []executor.Forked[int]
			for range dequeSize {
				many = append(many, fork(ctx, func(context.Context) int { atOnce++; return 1 }))
			}
			err := want(nil, int64(atOnce), 0)
			for _, f := range many {
				f.Join(ctx)
			}
			return err
		}))
		quiet(t, e)
	})
}
