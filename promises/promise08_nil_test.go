package promises

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// misuse is one wrong call. It gives the call's error; those without one panic.
type misuse struct {
	name   string
	panics bool
	call   func(ctx context.Context, e *executor.Executor) error
}

func misuses() []misuse {
	var noCtx context.Context
	var noExec *executor.Executor
	var noFuture *executor.Future[int]
	var noGroup *executor.Group
	zero := func() *executor.Executor { return new(executor.Executor) }
	var noBulk *executor.Bulkhead
	fn := func(context.Context) {}
	body := func(context.Context, int) error { return nil }
	mapper := func(context.Context, int) (int, error) { return 0, nil }
	second := func(_ any, err error) error { return err }
	ranger := func(context.Context, int, int) error { return nil }
	folder := func(context.Context, int, int, int) (int, error) { return 0, nil }
	larger := func(a, b int) int { return max(a, b) }
	errs := func(_ []int, errs []error) []error { return errs }
	bulk := func() *executor.Bulkhead { b, _ := executor.NewBulkhead("nil", 1); return b }
	ok := func(context.Context) error { return nil }
	inGroupOf := func(e *executor.Executor, ctx context.Context, fn func(context.Context) error) error {
		g := e.NewGroup(ctx)
		g.Go(fn)
		return g.Wait()
	}
	type E = *executor.Executor
	type C = context.Context
	return []misuse{
		{"Go nil ctx", false, func(_ C, e E) error { return e.Go(noCtx, fn) }},
		{"Go nil fn", false, func(c C, e E) error { return e.Go(c, nil) }},
		{"Do nil ctx", false, func(_ C, e E) error { return e.Do(noCtx, ok) }},
		{"Do nil fn", false, func(c C, e E) error { return e.Do(c, nil) }},
		{"Do nil executor", false, func(c C, e E) error { return noExec.Do(c, ok) }},
		{"Do zero executor", false, func(c C, e E) error { return zero().Do(c, ok) }},
		{"TryDo nil ctx", false, func(_ C, e E) error { return e.TryDo(noCtx, ok) }},
		{"TryDo nil fn", false, func(c C, e E) error { return e.TryDo(c, nil) }},
		{"TryDo nil executor", false, func(c C, e E) error { return noExec.TryDo(c, ok) }},
		{"Go nil executor", false, func(c C, e E) error { return noExec.Go(c, fn) }},
		{"TryGo nil ctx", false, func(_ C, e E) error { return e.TryGo(noCtx, fn) }},
		{"TryGo nil fn", false, func(c C, e E) error { return e.TryGo(c, nil) }},
		{"TryGo nil executor", false, func(c C, e E) error { return noExec.TryGo(c, fn) }},
		{"Submit nil ctx", false, func(_ C, e E) error { return second(executor.Submit(noCtx, e, one)) }},
		{"Submit nil fn", false, func(c C, e E) error { return second(executor.Submit[int](c, e, nil)) }},
		{"Submit nil executor", false, func(c C, e E) error { return second(executor.Submit(c, nil, one)) }},
		{"TrySubmit nil ctx", false, func(_ C, e E) error { return second(executor.TrySubmit(noCtx, e, one)) }},
		{"TrySubmit nil fn", false, func(c C, e E) error { return second(executor.TrySubmit[int](c, e, nil)) }},
		{"TrySubmit nil executor", false, func(c C, e E) error { return second(executor.TrySubmit(c, nil, one)) }},
		{"Wait nil future", false, func(c C, _ E) error { return second(noFuture.Wait(c)) }},
		{"Done nil future", true, func(C, E) error { noFuture.Done(); return nil }},
		{"group of nil executor", false, func(c C, _ E) error { return inGroupOf(noExec, c, ok) }},
		{"group nil ctx", false, func(_ C, e E) error { return inGroupOf(e, noCtx, ok) }},
		{"group nil fn", false, func(c C, e E) error { return inGroupOf(e, c, nil) }},
		{"group TryGo nil fn", false, func(c C, e E) error { g := e.NewGroup(c); g.TryGo(nil); return g.Wait() }},
		{"zero group", false, func(C, E) error { g := new(executor.Group); g.Go(ok); g.TryGo(ok); return g.Wait() }},
		{"group of zero executor", false, func(c C, _ E) error { return inGroupOf(zero(), c, ok) }},
		{"Go zero executor", false, func(c C, _ E) error { return zero().Go(c, fn) }},
		{"TryGo zero executor", false, func(c C, _ E) error { return zero().TryGo(c, fn) }},
		{"Submit zero executor", false, func(c C, _ E) error { return second(executor.Submit(c, zero(), one)) }},
		{"For zero executor", false, func(c C, _ E) error { return executor.For(c, zero(), 3, body) }},
		{"Quiesce zero executor", false, func(c C, _ E) error { return zero().Quiesce(c) }},
		{"Shutdown zero executor", false, func(c C, _ E) error { return zero().Shutdown(c) }},
		{"Close zero executor", false, func(C, E) error { return zero().Close() }},
		{"Resize zero executor", false, func(C, E) error { return zero().Resize(1) }},
		{"Report zero executor", true, func(C, E) error { zero().Report(); return nil }},
		{"Watch zero executor", true, func(C, E) error { zero().Watch(); return nil }},
		{"Wait nil group", false, func(C, E) error { return noGroup.Wait() }},
		{"Go nil group", true, func(C, E) error { noGroup.Go(ok); return nil }},
		{"Fork nil ctx", true, func(C, E) error { executor.Fork(noCtx, func(C) int { return 1 }); return nil }},
		{"Fork nil fn", true, func(c C, _ E) error { executor.Fork[int](c, nil); return nil }},
		{"ForkWith nil ctx", true, func(C, E) error { executor.ForkWith(noCtx, func(C, int) int { return 1 }, 1); return nil }},
		{"ForkWith nil fn", true, func(c C, _ E) error { executor.ForkWith[int, int](c, nil, 1); return nil }},
		{"Join of nothing", true, func(c C, _ E) error { executor.Forked[int]{}.Join(c); return nil }},
		{"For nil ctx", false, func(_ C, e E) error { return executor.For(noCtx, e, 3, body) }},
		{"For nil executor", false, func(c C, _ E) error { return executor.For(c, nil, 3, body) }},
		{"For nil fn", false, func(c C, e E) error { return executor.For(c, e, 3, nil) }},
		{"For negative n", false, func(c C, e E) error { return executor.For(c, e, -1, body) }},
		{"ForRange nil ctx", false, func(_ C, e E) error { return executor.ForRange(noCtx, e, 3, ranger) }},
		{"ForRange nil executor", false, func(c C, _ E) error { return executor.ForRange(c, nil, 3, ranger) }},
		{"ForRange nil fn", false, func(c C, e E) error { return executor.ForRange(c, e, 3, nil) }},
		{"ForRange negative n", false, func(c C, e E) error { return executor.ForRange(c, e, -1, ranger) }},
		{"Reduce nil ctx", false, func(_ C, e E) error { return second(executor.Reduce(noCtx, e, 3, folder, larger)) }},
		{"Reduce nil executor", false, func(c C, _ E) error { return second(executor.Reduce(c, nil, 3, folder, larger)) }},
		{"Reduce nil fn", false, func(c C, e E) error { return second(executor.Reduce(c, e, 3, nil, larger)) }},
		{"Reduce nil merge", false, func(c C, e E) error { return second(executor.Reduce(c, e, 3, folder, nil)) }},
		{"Reduce negative n", false, func(c C, e E) error { return second(executor.Reduce(c, e, -1, folder, larger)) }},
		{"MapAll nil ctx", false, func(_ C, e E) error { return errors.Join(errs(executor.MapAll(noCtx, e, []int{1, 2}, mapper))...) }},
		{"MapAll nil executor", false, func(c C, _ E) error { return errors.Join(errs(executor.MapAll(c, nil, []int{1}, mapper))...) }},
		{"MapAll nil fn", false, func(c C, e E) error { return errors.Join(errs(executor.MapAll[int, int](c, e, []int{1}, nil))...) }},
		{"ForEach nil ctx", false, func(_ C, e E) error { return executor.ForEach(noCtx, e, slices.Values([]int{1}), body) }},
		{"ForEach nil executor", false, func(c C, _ E) error { return executor.ForEach(c, nil, slices.Values([]int{1}), body) }},
		{"ForEach nil seq", false, func(c C, e E) error { return executor.ForEach(c, e, nil, body) }},
		{"ForEach nil fn", false, func(c C, e E) error { return executor.ForEach(c, e, slices.Values([]int{1}), nil) }},
		{"Map nil ctx", false, func(_ C, e E) error { return second(executor.Map(noCtx, e, []int{1}, mapper)) }},
		{"Map nil executor", false, func(c C, _ E) error { return second(executor.Map(c, nil, []int{1}, mapper)) }},
		{"Map nil fn", false, func(c C, e E) error { return second(executor.Map[int, int](c, e, []int{1}, nil)) }},
		{"Blocking nil ctx", true, func(C, E) error { executor.Blocking(noCtx, func() {}); return nil }},
		{"Blocking nil fn", true, func(c C, _ E) error { executor.Blocking(c, nil); return nil }},
		{"OnThread nil ctx", true, func(C, E) error { executor.OnThread(noCtx, func() {}); return nil }},
		{"OnThread nil fn", true, func(c C, _ E) error { executor.OnThread(c, nil); return nil }},
		{"Checkpoint nil ctx", false, func(C, E) error { return executor.Checkpoint(noCtx) }},
		{"Yield nil ctx", false, func(C, E) error { return executor.Yield(noCtx) }},
		{"Bulkhead nil", false, func(c C, _ E) error { return noBulk.Blocking(c, func() {}) }},
		{"Bulkhead nil ctx", false, func(C, E) error { return bulk().Blocking(noCtx, func() {}) }},
		{"Bulkhead nil fn", false, func(c C, _ E) error { return bulk().Blocking(c, nil) }},
		{"Resize nil executor", false, func(C, E) error { return noExec.Resize(1) }},
		{"Quiesce nil executor", false, func(c C, _ E) error { return noExec.Quiesce(c) }},
		{"Quiesce nil ctx", false, func(_ C, e E) error { return e.Quiesce(noCtx) }},
		{"Shutdown nil executor", false, func(c C, _ E) error { return noExec.Shutdown(c) }},
		{"Shutdown nil ctx", false, func(_ C, e E) error { return e.Shutdown(noCtx) }},
		{"Close nil executor", false, func(C, E) error { return noExec.Close() }},
		{"FromContext nil ctx", true, func(C, E) error {
			if _, ok := executor.FromContext(noCtx); !ok {
				panic("executor: nil context") // Saying no is as good as panicking.
			}
			return nil
		}},
		{"Stats nil executor", true, func(C, E) error {
			_ = noExec.Stats()
			panic("executor: nil Executor") // Zero stats are as good as panicking.
		}},
	}
}

// judge makes the wrong call and tells what is wrong with the answer.
func (m misuse) judge(ctx context.Context, e *executor.Executor) (verdict error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		text := fmt.Sprint(p)
		switch {
		case !m.panics:
			verdict = fmt.Errorf("%s: panics with %s", m.name, text)
		case !strings.HasPrefix(text, "executor: "):
			verdict = fmt.Errorf("%s: panics with an unclear text: %s", m.name, text)
		}
	}()
	err := m.call(ctx, e)
	switch {
	case m.panics:
		return fmt.Errorf("%s: does not panic", m.name)
	case err == nil:
		return fmt.Errorf("%s: no error", m.name)
	case !strings.HasPrefix(err.Error(), "executor: "):
		return fmt.Errorf("%s: unclear text: %w", m.name, err)
	case errors.Is(err, executor.ErrClosed), errors.Is(err, executor.ErrQueueFull), errors.Is(err, context.Canceled), errors.Is(err, executor.ErrInTask):
		return fmt.Errorf("%s: misleading error: %w", m.name, err)
	}
	return nil
}

// Mutant: an argument is checked when the task runs, so nil crashes a worker. Mutant: the nil receiver is
// dereferenced.
func TestPromise08_WrongArgumentsAreToldToTheCaller(t *testing.T) {
	for _, m := range misuses() {
		t.Run(m.name, func(t *testing.T) {
			e := spared(t, 1, 1)
			within(t, "the call from outside", func() {
				if err := m.judge(context.Background(), e); err != nil {
					t.Errorf("outside: %v", err)
				}
			})
			err := inTask(t, e, func(ctx context.Context) error {
				if strings.HasPrefix(m.name, "Quiesce nil ctx") || strings.HasPrefix(m.name, "Shutdown nil ctx") {
					return nil // In a task there is a better reason to refuse.
				}
				return m.judge(ctx, e)
			})
			require.NoError(t, err, "inside a task")
			alive(t, e)
			quiet(t, e)
		})
	}
}

// Mutant: a future that is not finished waits under a nil context, which panics in a select.
func TestPromise08_WaitWithANilContext(t *testing.T) {
	e := bare(t, 1)
	g := stick(t, e, 1)
	f, err := executor.Submit(context.Background(), e, one)
	require.NoError(t, err)
	var noCtx context.Context
	_, err = f.Wait(noCtx)
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "executor: "), err)
	g.Open()
	require.NoError(t, result(t, f))
}

// Mutant: the zero n is refused, or needs a slot.
func TestPromise08_NothingToDoIsNoMisuse(t *testing.T) {
	e := bare(t, 1)
	stick(t, e, 1)
	within(t, "loops over nothing", func() {
		if err := executor.For(context.Background(), e, 0, func(context.Context, int) error { return errors.New("ran") }); err != nil {
			t.Error(err)
		}
		out, err := executor.Map(context.Background(), e, nil, func(context.Context, int) (int, error) { return 0, errors.New("ran") })
		if err != nil || len(out) != 0 {
			t.Error(out, err)
		}
		if err := executor.ForEach(context.Background(), e, func(func(int) bool) {}, func(context.Context, int) error { return errors.New("ran") }); err != nil {
			t.Error(err)
		}
		if err := e.NewGroup(context.Background()).Wait(); err != nil {
			t.Error(err)
		}
	})
}
