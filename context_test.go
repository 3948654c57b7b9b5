package executor

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// gone waits until what p points to is collected.
func gone[T any](t *testing.T, what string, p weak.Pointer[T]) {
	t.Helper()
	testkit.Eventually(t, what+" is collected", func() bool { runtime.GC(); return p.Value() == nil })
}

type cargo [1 << 12]byte

type cargoKey struct{}

// freight returns ctx with a value, and a weak pointer to that.
func freight(ctx context.Context) (context.Context, weak.Pointer[cargo]) {
	c := new(cargo)
	return context.WithValue(ctx, cargoKey{}, c), weak.Make(c)
}

// size returns how many links an executor's table lists.
func (t *linkTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.links)
}

// askDone runs a task that asks for Done, and more, of its context.
func askDone(t *testing.T, e *Executor, parent context.Context) {
	t.Helper()
	f, err := Submit(parent, e, func(ctx context.Context) (bool, error) {
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		return ctx.Done() != nil, c.Err()
	})
	require.NoError(t, err)
	_, err = f.Wait(background)
	require.NoError(t, err)
	require.NoError(t, e.Quiesce(background))
}

// foreignCtx has a Done of its own.
type foreignCtx struct {
	context.Context
	done chan struct{}
}

func (c *foreignCtx) Done() <-chan struct{} { return c.done }
func (c *foreignCtx) Err() error {
	if closed(c.done) {
		return context.DeadlineExceeded
	}
	return nil
}

// Mutants: the table holds its links; the watcher holds the link; no cleanup ends the watcher; no cleanup removes the
// entry.
func TestContext_ALinkDiesWithTheLastThatNeededIt(t *testing.T) {
	e := newTested(t, WithSlots(2))
	for range 20 {
		never, cargo1 := freight(background)
		never, cancel := context.WithCancel(never) // and nobody calls cancel
		askDone(t, e, never)
		_ = cancel
		inner, cargo2 := freight(background)
		askDone(t, e, &foreignCtx{inner, make(chan struct{})})
		never, inner = nil, nil
		gone(t, "what a parent that is never canceled refers to", cargo1)
		gone(t, "what a parent with a Done of its own refers to", cargo2)
	}
	testkit.Eventually(t, "the table is empty", func() bool { runtime.GC(); return e.links.size() == 0 })
	testkit.Eventually(t, "no goroutine is left", func() bool { return !strings.Contains(allStacks(), "(*watcher).watch(") })
}

// Mutants: a link is not a child of its source, or not held by what is made from it: it is collected although somebody
// waits; Close forgets links that only a leaked context holds.
func TestContext_ALinkLivesAsLongAsSomebodyNeedsIt(t *testing.T) {
	collect := func() {
		for range 5 {
			runtime.GC()
		}
	}
	leak := func(e *Executor, parent context.Context) context.Context {
		f, err := Submit(parent, e, func(ctx context.Context) (context.Context, error) { _ = ctx.Done(); return ctx, nil })
		require.NoError(t, err)
		ctx, err := f.Wait(background)
		require.NoError(t, err)
		require.NoError(t, e.Quiesce(background))
		return ctx
	}
	e := newTested(t, WithSlots(1))
	t.Run("the channel alone, while the parent lives", func(t *testing.T) {
		parent, cancel := context.WithCancel(background)
		done := leak(e, parent).Done()
		collect()
		cancel()
		<-done
	})
	t.Run("a context made from it, of a parent with a Done of its own", func(t *testing.T) {
		parent := &foreignCtx{background, make(chan struct{})}
		ctx, cancel := context.WithCancel(leak(e, parent))
		defer cancel()
		collect()
		close(parent.done)
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
	})
	t.Run("Close", func(t *testing.T) {
		never, cancel := context.WithCancel(background)
		ctx := leak(e, never)
		done := leak(e, never).Done()
		own := leak(e, &foreignCtx{background, make(chan struct{})})
		collect()
		require.NoError(t, e.Close())
		<-done
		<-own.Done()
		require.ErrorIs(t, context.Cause(ctx), ErrClosed)
		require.ErrorIs(t, context.Cause(own), ErrClosed)
		cancel()
	})
}

// Mutant: parents that ended before somebody asked share one link, for they share one channel: the second has the
// cause of the first.
func TestContext_CausesOfParentsThatEndedBefore(t *testing.T) {
	e := newTested(t, WithSlots(1))
	for i := range 3 {
		parent, cancel := context.WithCancelCause(background)
		cause := errorf("cause " + strconv.Itoa(i))
		f, err := Submit(parent, e, func(ctx context.Context) (error, error) {
			cancel(cause)
			_ = ctx.Done()
			return context.Cause(ctx), nil
		})
		require.NoError(t, err)
		got, err := f.Wait(background)
		require.NoError(t, err)
		require.Equal(t, cause, got)
	}
	require.Zero(t, e.links.size())
}

type errorf string

func (e errorf) Error() string { return string(e) }

// A collected link must not touch a channel of a bubble from outside: that is fatal. Mutant: take no bubble for one.
func TestContext_LinksInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(WithSlots(1))
		require.NoError(t, err)
		for range 10 {
			askDone(t, e, &foreignCtx{background, make(chan struct{})})
		}
		for range 5 {
			runtime.GC()
		}
		require.NoError(t, e.Close())
	})
}

// Mutants: exit keeps the context of the task that called Goexit; the keeper keeps the runners that it saw stuck.
func TestContext_AnIdleExecutorKeepsNoContextOfATaskThatCalledGoexit(t *testing.T) {
	e := newTested(t, WithSlots(1))
	leaked := make(chan context.Context, 1)
	require.NoError(t, e.Go(background, func(ctx context.Context) { leaked <- ctx }))
	before := <-leaked // who holds it holds the runner
	parent, load := freight(background)
	in, out := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(parent, func(context.Context) { close(in); <-out; runtime.Goexit() }))
	<-in
	require.NoError(t, e.Go(background, func(context.Context) {})) // waits, so the keeper watches
	close(out)
	parent = nil
	require.NoError(t, e.Quiesce(background))
	gone(t, "the task's parent", load)
	runtime.KeepAlive(before)
}

// pass sends a task round executors for so many steps, and returns the context of the last.
func pass(t *testing.T, ring []*Executor, first context.Context, steps int, with func(context.Context) context.Context) context.Context {
	last := make(chan context.Context, 1)
	var step func(i int) func(context.Context)
	step = func(i int) func(context.Context) {
		return func(ctx context.Context) {
			_ = ctx.Done()
			if i == steps {
				last <- ctx
				return
			}
			if err := ring[(i+1)%len(ring)].Go(with(ctx), step(i+1)); err != nil {
				t.Error(err)
				close(last)
			}
		}
	}
	require.NoError(t, ring[0].Go(first, step(0)))
	ctx := <-last
	for _, e := range ring {
		require.NoError(t, e.Quiesce(background))
	}
	return ctx
}

// Mutants: the parent of a task from another executor is that one's context (the depth grows with each step); an executor
// is noted each time that a task comes through it; names, spans or the mark of Detached pile up; links of each step
// stay in the tables.
func TestContext_ATaskThatIsHandedOnForEverStaysFlat(t *testing.T) {
	ring := make([]*Executor, 3)
	for i := range ring {
		ring[i] = newTested(t, WithSlots(1), WithName("ring "+strconv.Itoa(i)))
	}
	_, tp := newTracing(t)
	root, cancel := context.WithCancel(context.WithValue(background, cargoKey{}, "found"))
	defer cancel()
	traced, span := tp.Tracer("test").Start(root, "request")
	defer span.End()
	plain := func(ctx context.Context) context.Context { return ctx }
	for name, c := range map[string]struct {
		first context.Context
		with  func(context.Context) context.Context
		ends  bool
	}{
		"as it is":        {root, plain, true},
		"background":      {background, plain, false},
		"traced":          {traced, plain, true},
		"named":           {traced, func(ctx context.Context) context.Context { return WithTaskName(WithTaskName(ctx, "a"), "b") }, true},
		"detached":        {traced, Detached, false},
		"detached, named": {root, func(ctx context.Context) context.Context { return Detached(WithTaskName(Detached(ctx), "a")) }, false},
	} {
		for _, n := range []int{1, 2, 3} {
			few, many := pass(t, ring[:n], c.first, 30, c.with), pass(t, ring[:n], c.first, 3000, c.with)
			require.Equal(t, contextDepth(few), contextDepth(many), "%s, %d executors", name, n)
			if c.first != background {
				require.Equal(t, "found", many.Value(cargoKey{}), name)
			}
			require.Equal(t, c.ends, many.Done() != ring[0].links.root.ctx.Done() && c.first != background && many.(*taskContext).parent.Done() != nil, name)
		}
	}
	testkit.Eventually(t, "the tables hold what is needed", func() bool {
		runtime.GC()
		return ring[0].links.size() <= 8 && ring[1].links.size() <= 8
	})
}

// Mutant: across forgets one of the executors, or Value does not lead to the link: an end is not seen, or without its cause.
func TestContext_EveryExecutorThatATaskCameThroughEndsIt(t *testing.T) {
	for closing := range 3 {
		ring := make([]*Executor, 3)
		for i := range ring {
			ring[i] = newTested(t, WithSlots(1), WithName("through "+strconv.Itoa(i)))
		}
		ctx := pass(t, ring, background, 7, func(ctx context.Context) context.Context { return ctx })
		below, cancel := context.WithCancel(ctx)
		defer cancel()
		require.NoError(t, ctx.Err())
		require.NoError(t, ring[closing].Close())
		<-ctx.Done()
		<-below.Done()
		for _, c := range []context.Context{ctx, below} {
			require.ErrorIs(t, c.Err(), context.Canceled)
			require.ErrorIs(t, context.Cause(c), ErrClosed)
		}
		err := ring[(closing+1)%3].Go(ctx, func(context.Context) {})
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, err, context.Canceled)
	}
}

// An executor that has ended is not kept alive by those that its tasks went to. Mutant: forget keeps the remembered parent.
func TestContext_AnIdleExecutorKeepsNoOther(t *testing.T) {
	a := newTested(t, WithSlots(1))
	var seen weak.Pointer[cargo]
	func() {
		b, err := New(WithSlots(1))
		require.NoError(t, err)
		held := new(cargo) // not a small object, which lives as long as what shares its block
		seen = weak.Make(held)
		b.cfg.onStall = func(StallInfo) { held[0]++ }
		pass(t, []*Executor{a, b}, background, 1, func(ctx context.Context) context.Context { return ctx })
		require.NoError(t, b.Close())
	}()
	gone(t, "the other executor", seen)
}

// Err and Cause agree at each moment, also before Close has come to the link. Mutant: Err does not end the link.
func TestContext_TheCauseIsThereAsSoonAsTheError(t *testing.T) {
	e, err := New(WithSlots(1))
	require.NoError(t, err)
	other := newTested(t, WithSlots(1))
	ctx := pass(t, []*Executor{other, e}, background, 1, func(ctx context.Context) context.Context { return ctx })
	f, err := Submit(ctx, other, func(ctx context.Context) (context.Context, error) { return ctx, nil })
	require.NoError(t, err)
	through, err := f.Wait(background)
	require.NoError(t, err)
	require.NoError(t, context.Cause(ctx))
	e.word.Or(stopping)
	for _, c := range []context.Context{ctx, through} {
		require.ErrorIs(t, context.Cause(c), ErrClosed)
		require.ErrorIs(t, c.Err(), context.Canceled)
	}
	require.NoError(t, e.Close())
}

// A task that submits itself again, traced, does not build a chain of contexts. Mutants: the span over the
// parent's tracedContext; a name over the name before.
func TestSpans_TasksThatSubmitThemselvesDoNotGrow(t *testing.T) {
	const generations = 100
	x, tp := newTracing(t)
	for name, rename := range map[string]func(context.Context) context.Context{
		"unnamed": func(ctx context.Context) context.Context { return ctx },
		"named":   func(ctx context.Context) context.Context { return WithTaskName(ctx, "again") },
	} {
		t.Run(name, func(t *testing.T) {
			x.Reset()
			e := newMeasured(t)
			ctx, span := request(tp)
			var sizes []int
			var again func(ctx context.Context)
			again = func(ctx context.Context) {
				sizes = append(sizes, contextDepth(ctx))
				if len(sizes) == generations {
					return
				}
				if err := e.Go(rename(ctx), again); err != nil {
					t.Error(err)
				}
			}
			require.NoError(t, e.Go(rename(ctx), again))
			require.NoError(t, e.Quiesce(context.Background()))
			span.End()
			require.Len(t, sizes, generations)
			require.Equal(t, sizes[1], sizes[generations-1], "%v", sizes)
			spans := x.GetSpans()
			require.Len(t, spans, generations+1)
		})
	}
}

// contextDepth counts the contexts below one, by the prints of those of package context.
func contextDepth(ctx context.Context) int {
	switch c := ctx.(type) {
	case *taskContext:
		return 1 + contextDepth(c.parent)
	case *tracedContext:
		return 1 + contextDepth(c.Context) + contextDepth(c.base)
	case *namedContext:
		return 1 + contextDepth(c.Context)
	case *acrossContext:
		return len(c.via) + contextDepth(c.Context)
	case *valuesContext:
		return 1 + contextDepth(c.from)
	case *detachedContext:
		return 1 + contextDepth(c.Context)
	}
	return 1 + strings.Count(fmt.Sprint(ctx), "With")
}
