package promises

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// silentCtx is done and says no error. Frameworks have shipped such contexts.
type silentCtx struct {
	context.Context
	done chan struct{}
}

func (c silentCtx) Done() <-chan struct{} { return c.done }
func (c silentCtx) Err() error            { return nil }

func silent() silentCtx { return silentCtx{context.Background(), make(chan struct{})} }

// Mutants: errorOf returns what the context says (each wait here ends with nil, and "no error" means that something
// happened that has not); over looks at Err only (the first three start); sound returns its argument (the context
// package panics on a goroutine of its own, and the process ends).
func TestPromise01_AContextThatIsDoneAndSaysNoError(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(1))
	gate := stick(t, e, 1)
	over := silent()
	close(over.done)
	never := func(context.Context) { t.Error("a task ran that nobody accepted") }
	require.ErrorIs(t, e.Go(over, never), context.Canceled, "done before, with room")
	require.ErrorIs(t, e.TryGo(over, never), context.Canceled)
	require.ErrorIs(t, executor.For(over, e, 1, nil1), context.Canceled)

	f, err := executor.Submit(context.Background(), e, one)
	require.NoError(t, err)
	e.NewGroup(over).Go(func(context.Context) error { return nil }) // nobody waits, nothing panics
	waits := map[string]func(ctx context.Context) error{
		"Go":          func(ctx context.Context) error { return e.Go(ctx, never) },
		"Future.Wait": func(ctx context.Context) error { _, err := f.Wait(ctx); return err },
		"Quiesce":     e.Quiesce,
		"Group":       func(ctx context.Context) error { g := e.NewGroup(ctx); g.Go(nil1ctx); return g.Wait() },
	}
	full, err := executor.NewBulkhead("full", 1)
	require.NoError(t, err)
	inside, leave := make(chan struct{}), make(chan struct{})
	go func() { _ = full.Blocking(context.Background(), func() { close(inside); <-leave }) }()
	await(t, "somebody is inside", inside)
	waits["Bulkhead"] = func(ctx context.Context) error {
		return full.Blocking(ctx, func() { t.Error("two inside a bulkhead for one") })
	}
	for name, wait := range waits {
		ctx, got := silent(), make(chan error, 1)
		go func() { got <- wait(ctx) }()
		if name == "Go" {
			eventually(t, "it waits", func() bool { return e.Stats().Waiting == 1 })
		}
		close(ctx.done)
		require.ErrorIs(t, await(t, name, got), context.Canceled, name)
	}
	close(leave)
	gate.Open()
	quiet(t, e)

	// The end of such a parent reaches a task, and what hangs below the task's context.
	parent, below := silent(), make(chan error, 1)
	require.NoError(t, e.Go(parent, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		close(parent.done)
		<-ctx.Done()
		below <- ctx.Err()
	}))
	require.ErrorIs(t, await(t, "the end reaches the task", below), context.Canceled)
}

func nil1(context.Context, int) error { return nil }
func nil1ctx(context.Context) error   { return nil }

// liarCtx is done from the start, with an error of its own choice.
type liarCtx struct {
	context.Context
	err error
}

func (c liarCtx) Err() error { return c.err }

// Mutants: reject or cancel tells errors apart by errors.Is: what somebody else's cause says is taken for what happened.
func TestPromise01_ARefusalIsCountedByWhatHappened(t *testing.T) {
	closedOne := bare(t, 1)
	leaked := make(chan context.Context, 1)
	require.NoError(t, closedOne.Go(context.Background(), func(ctx context.Context) { leaked <- ctx }))
	ofClosed := <-leaked
	require.NoError(t, closedOne.Close())
	because := func(err error) context.Context {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(fmt.Errorf("somebody else: %w", err))
		return ctx
	}
	late, cancel := context.WithTimeoutCause(context.Background(), 0, fmt.Errorf("mine: %w", executor.ErrQueueFull))
	defer cancel()
	e := bare(t, 1)
	for name, c := range map[string]struct {
		ctx     context.Context
		expired uint64
	}{
		"cause is a full queue":            {because(executor.ErrQueueFull), 0},
		"cause is a closed executor":       {because(executor.ErrClosed), 0},
		"cause is a deadline":              {because(context.DeadlineExceeded), 0},
		"of a task of a closed executor":   {ofClosed, 0},
		"says that an executor is closed":  {liarCtx{context.Background(), executor.ErrClosed}, 0},
		"says that a queue is full":        {liarCtx{context.Background(), executor.ErrQueueFull}, 0},
		"says a list of errors":            {liarCtx{context.Background(), errorList{"a", "b"}}, 0},
		"deadline whose cause is the full": {late, 1},
	} {
		before := e.Stats()
		err := e.Go(c.ctx, func(context.Context) {})
		require.ErrorIs(t, err, c.ctx.Err(), name)
		require.ErrorIs(t, err, context.Cause(c.ctx), name)
		after := e.Stats()
		require.Equal(t, [4]uint64{0, 0, 1 - c.expired, c.expired}, [4]uint64{
			after.RejectedFull - before.RejectedFull, after.RejectedClosed - before.RejectedClosed,
			after.RejectedCanceled - before.RejectedCanceled, after.RejectedExpired - before.RejectedExpired,
		}, "%s: full, closed, canceled, expired", name)
	}

	// Tasks that never start, too: a group is canceled with its first error.
	g := e.NewGroup(context.Background())
	gate := stick(t, e, 1)
	g.Go(func(context.Context) error { return fmt.Errorf("upstream: %w", context.DeadlineExceeded) })
	for range 3 {
		g.Go(func(context.Context) error { return nil })
	}
	gate.Open()
	require.ErrorIs(t, g.Wait(), context.DeadlineExceeded)
	quiet(t, e)
	require.Zero(t, e.Stats().Expired)
}

type errorList []string

func (l errorList) Error() string { return fmt.Sprint([]string(l)) }
func (l errorList) Is(target error) bool {
	other, ok := target.(errorList)
	return ok && len(l) == len(other)
}

// Mutant: a group tells by errors.Is whether its task was refused for the bound, and tries again for ever: the cause of
// its context says so.
func TestPromise01_AGroupWhoseCauseIsAFullQueueEnds(t *testing.T) {
	e := bare(t, 1, executor.WithQueueLimit(1))
	cause := fmt.Errorf("somebody else: %w", executor.ErrQueueFull)
	within(t, "the group ends", func() {
		require.NoError(t, inTask(t, e, func(ctx context.Context) error {
			ctx, cancel := context.WithCancelCause(ctx)
			g := e.NewGroup(ctx)
			g.SetLimit(1)
			g.Go(func(ctx context.Context) error { <-ctx.Done(); return nil })
			cancel(cause)
			g.Go(func(context.Context) error { t.Error("ran"); return nil })
			_ = g.Wait()
			return nil
		}))
	})
}

// Mutant: a loop takes a panic whose value is an error for a Goexit, if errors.Is says so.
func TestPromise01_APanicAboutGoexitIsAPanic(t *testing.T) {
	e := spared(t, 2, 2)
	var inside atomic.Int32
	both := make(chan struct{})
	err := executor.For(context.Background(), e, 2, func(ctx context.Context, _ int) error {
		if inside.Add(1) == 2 {
			close(both)
		}
		executor.Blocking(ctx, func() { <-both }) // so the second half is another's
		panic(fmt.Errorf("about: %w", executor.ErrGoexit))
	})
	var p *executor.PanicError
	require.True(t, errors.As(err, &p), "%v", err)
}
