package promises

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

func TestBulkhead_ValidatesItsLimit(t *testing.T) {
	for _, limit := range []int{0, -1} {
		b, err := executor.NewBulkhead("b", limit)
		require.Error(t, err)
		require.Nil(t, b)
		require.Contains(t, err.Error(), "executor: NewBulkhead")
		require.Contains(t, err.Error(), strconv.Itoa(limit))
		require.Contains(t, err.Error(), "must be at least 1")
	}
}

// Mutant: the limit is per executor, or a nested context kind passes by the permit.
func TestBulkhead_LimitHoldsOverAllExecutorsAndCallers(t *testing.T) {
	const limit = 3
	b, err := executor.NewBulkhead("shared", limit)
	require.NoError(t, err)
	e1, e2 := spared(t, 2, 16), spared(t, 4, 2)
	var p peak
	var ran atomic.Int64
	body := func(ctx context.Context) {
		err := b.Blocking(ctx, func() {
			p.Enter()
			defer p.Leave()
			ran.Add(1)
			for range 5 {
				runtime.Gosched()
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	n := scaled(2000)
	var wg sync.WaitGroup
	for i := range n {
		ctx, cancel := ctxKinds[i%len(ctxKinds)].Of(context.Background())
		defer cancel()
		require.NoError(t, e1.Go(ctx, body))
		require.NoError(t, e2.Go(ctx, func(context.Context) { body(context.Background()) }))
		if i%10 == 0 {
			wg.Add(1)
			go func() { defer wg.Done(); body(context.Background()) }()
		}
	}
	within(t, "the outside callers end", wg.Wait)
	quiet(t, e1)
	quiet(t, e2)
	require.EqualValues(t, 2*n+(n+9)/10, ran.Load())
	require.LessOrEqual(t, p.Max(), int64(limit))
}

// hold takes one permit of b until the gate opens.
func hold(t *testing.T, b *executor.Bulkhead) *gate {
	g, inside := newGate(t), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Blocking(context.Background(), func() { close(inside); g.Wait() })
	}()
	await(t, "the permit is taken", inside)
	t.Cleanup(func() { g.Open(); await(t, "the permit is given back", done) })
	return g
}

// Mutant: a task waits for the permit with its slot.
func TestBulkhead_WaitingForAPermitLendsTheSlot(t *testing.T) {
	for _, kind := range ctxKinds {
		t.Run(kind.Name, func(t *testing.T) {
			b, err := executor.NewBulkhead("busy", 1)
			require.NoError(t, err)
			held := hold(t, b)
			e := spared(t, 1, 1)
			about := make(chan struct{})
			f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
				ctx, cancel := kind.Of(ctx)
				defer cancel()
				close(about)
				ran := false
				err := b.Blocking(ctx, func() { ran = true })
				if err == nil && !ran {
					err = errors.New("fn did not run")
				}
				return 1, err
			})
			require.NoError(t, err)
			await(t, "the task asks for a permit", about)
			alive(t, e)
			held.Open()
			require.NoError(t, result(t, f))
			quiet(t, e)
		})
	}
}

// Mutant: a waiter that leaves with its context keeps its place, or takes the permit with it.
func TestBulkhead_WaitLeavesWithItsContext(t *testing.T) {
	b, err := executor.NewBulkhead("busy", 1)
	require.NoError(t, err)
	e := spared(t, 1, 4)
	cause := errors.New("cause")
	for round := range 50 {
		held := hold(t, b)
		ctx, cancel := context.WithCancelCause(context.Background())
		never := func() { t.Error("fn ran without a permit") }
		f, err := executor.Submit(context.Background(), e, func(context.Context) (int, error) {
			return 1, b.Blocking(ctx, never)
		})
		require.NoError(t, err)
		outside := make(chan error, 1)
		go func() { outside <- b.Blocking(ctx, never) }()
		for range round {
			runtime.Gosched()
		}
		cancel(cause)
		for _, err := range []error{result(t, f), await(t, "the outside waiter leaves", outside)} {
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
		}
		held.Open()
		within(t, "the permit is free again", func() {
			if err := b.Blocking(context.Background(), func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, b.Blocking(done, func() { t.Error("ran under a done context") }), context.Canceled)
	quiet(t, e)
}

// Mutant: the permit is not released by a deferred call.
func TestBulkhead_AbnormalEndsGiveThePermitBack(t *testing.T) {
	b, err := executor.NewBulkhead("once", 1)
	require.NoError(t, err)
	e := spared(t, 1, 1)
	bad := errors.New("bad")
	for range 20 {
		err := inTask(t, e, func(ctx context.Context) error { return b.Blocking(ctx, func() { panic(bad) }) })
		require.ErrorIs(t, err, bad)
		err = inTask(t, e, func(ctx context.Context) error { return b.Blocking(ctx, runtime.Goexit) })
		require.ErrorIs(t, err, executor.ErrGoexit)
		within(t, "a Goexit outside a task", func() { _ = b.Blocking(context.Background(), runtime.Goexit) })
		require.Panics(t, func() { _ = b.Blocking(context.Background(), func() { panic(bad) }) })
		within(t, "the permit is free again", func() {
			if err := b.Blocking(context.Background(), func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	quiet(t, e)
}

// Mutant: Close waits for a task that waits for a permit under its own context, which Close cancels.
func TestBulkhead_WaitersLeaveAtClose(t *testing.T) {
	b, err := executor.NewBulkhead("closing", 1)
	require.NoError(t, err)
	hold(t, b)
	e := spared(t, 1, 4)
	about := make(chan struct{})
	f, err := executor.Submit(context.Background(), e, func(ctx context.Context) (int, error) {
		close(about)
		return 1, b.Blocking(ctx, func() {})
	})
	require.NoError(t, err)
	await(t, "the task asks for a permit", about)
	within(t, "Close", func() { _ = e.Close() })
	require.ErrorIs(t, result(t, f), executor.ErrClosed)
}

// Mutant: a nested call waits for a permit that its own goroutine has. Mutant: it gives that one back, or forgets who has it.
func TestBulkhead_ANestedCallIsPartOfTheOuterOne(t *testing.T) {
	e, alone := spared(t, 1, 1), spared(t, 1, 0)
	b, err := executor.NewBulkhead("nested", 1)
	require.NoError(t, err)
	nest := func(ctx context.Context) error {
		for range 2 { // the second time the permit must be back
			ran := 0
			err := b.Blocking(ctx, func() {
				for range 2 {
					if err := b.Blocking(ctx, func() { ran++ }); err != nil {
						t.Error(err)
					}
				}
				if on, _ := executor.FromContext(ctx); on != alone {
					return // a spare could take what is submitted here, and wait for our permit
				}
				other, err := executor.Submit(ctx, alone, func(ctx context.Context) (int, error) { // run in place
					return 0, b.Blocking(ctx, func() { ran++ })
				})
				if err == nil {
					_, err = other.Wait(ctx)
				}
				if err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				return err
			}
			if on, _ := executor.FromContext(ctx); ran < 2 || on == alone && ran < 3 {
				return fmt.Errorf("ran %d times", ran)
			}
			func() { // a panic gives it back
				defer func() { _ = recover() }()
				_ = b.Blocking(ctx, func() { _ = b.Blocking(ctx, func() { panic(errSentinel) }) })
			}()
		}
		return nil
	}
	within(t, "in a task", func() { require.NoError(t, inTask(t, e, nest)) })
	within(t, "in a task without spares", func() { require.NoError(t, inTask(t, alone, nest)) })
	within(t, "on a goroutine", func() { require.NoError(t, b.Blocking(context.Background(), func() {})) })
	within(t, "nested on a goroutine", func() {
		require.NoError(t, b.Blocking(context.Background(), func() {
			require.NoError(t, b.Blocking(context.Background(), func() {}))
			outside := make(chan error, 1) // another goroutine has no part in it
			ctx, cancel := context.WithCancel(context.Background())
			go func() { outside <- b.Blocking(ctx, func() { t.Error("two at once") }) }()
			cancel()
			require.ErrorIs(t, <-outside, context.Canceled)
		}))
	})
	quiet(t, e)
	quiet(t, alone)
	require.EqualError(t, new(executor.Bulkhead).Blocking(context.Background(), func() {}), "executor: Bulkhead not made by NewBulkhead")
}
