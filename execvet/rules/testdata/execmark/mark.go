package execmark

import (
	"context"
	"time"

	"github.com/seed-97bda89a/executor"
)

func only(ctx context.Context, e *executor.Executor) error {
	err := e.Go(ctx, func(ctx context.Context) { // want `the task does nothing outside of Blocking`
		executor.Blocking(ctx, func() { time.Sleep(1) })
	})
	if err != nil {
		return err
	}
	return e.Go(ctx, func(ctx context.Context) {
		executor.Blocking(ctx, func() { time.Sleep(1) })
		compute()
	})
}

func compute() {}
