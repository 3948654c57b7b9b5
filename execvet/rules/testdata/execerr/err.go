package execerr

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

func dropped(ctx context.Context, e *executor.Executor) {
	e.Go(ctx, func(context.Context) {})    // want `the error of Executor.Go is dropped: the function may never run`
	e.TryGo(ctx, func(context.Context) {}) // want `the error of Executor.TryGo is dropped`
	e.Shutdown(ctx)                        // want `the error of Executor.Shutdown is dropped: tasks may still be running`
	_ = e.Go(ctx, func(context.Context) {})
	defer e.Shutdown(ctx)
	e.NewGroup(ctx).Go(func(context.Context) error { return nil })
}

func returns(ctx context.Context, e *executor.Executor) error {
	e.Go(ctx, func(context.Context) {}) // want `the error of Executor.Go is dropped`
	return nil
}
