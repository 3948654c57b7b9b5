package execctx

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

type keeper struct{ ctx context.Context }

var global context.Context

func use(context.Context) {}

func wrong(ctx context.Context, e *executor.Executor) error {
	return e.Go(ctx, func(own context.Context) {
		_ = executor.Checkpoint(ctx)                       // want `Checkpoint is given ctx, which is not the context of this task`
		_ = executor.Yield(ctx)                            // want `Yield is given ctx`
		executor.Fork(ctx, func(ctx context.Context) int { // want `Fork is given ctx`
			_ = executor.Checkpoint(ctx)
			_ = executor.Checkpoint(own) // want `Checkpoint is given own`
			return 1
		})
		derived, cancel := context.WithCancel(own)
		defer cancel()
		_ = executor.Checkpoint(derived)
		executor.Blocking(ctx, func() {}) // any context will do
	})
}

func ignored(ctx context.Context, e *executor.Executor) error {
	return e.Go(ctx, func(_ context.Context) {
		use(ctx) // want `the task ignores its own context and uses ctx from outside`
	})
}

func stored(ctx context.Context, e *executor.Executor, k *keeper, ch chan context.Context) error {
	var outer context.Context
	err := e.Go(ctx, func(ctx context.Context) {
		k.ctx = ctx  // want `the task's context is stored where it outlives the task`
		global = ctx // want `stored where it outlives`
		outer = ctx  // want `stored where it outlives`
		ch <- ctx    // want `sent to a channel`
		local := ctx
		use(local)
		var mine keeper
		mine.ctx = ctx // ends with the task
		go use(ctx)    // as an argument it is only read
		go func() {
			_ = executor.Checkpoint(ctx) // want `used by a goroutine of its own`
		}()
	})
	_ = outer
	return err
}

func fine(ctx context.Context, e *executor.Executor) error {
	return e.Go(ctx, func(ctx context.Context) {
		use(ctx)
		_ = executor.Checkpoint(ctx)
	})
}
