package execself

import (
	"context"

	"github.com/seed-97bda89a/executor"
)

type server struct{ exec *executor.Executor }

func group(ctx context.Context, e *executor.Executor) error {
	g, other := e.NewGroup(ctx), e.NewGroup(ctx)
	g.Go(func(ctx context.Context) error {
		executor.Blocking(ctx, func() {
			_ = g.Wait() // want `Group.Wait in a task of g waits for the task itself`
		})
		_ = other.Wait()
		go g.Wait()     // another goroutine's wait
		return g.Wait() // want `Group.Wait in a task of g`
	})
	return g.Wait()
}

func end(ctx context.Context, s, other *server) error {
	return s.exec.Go(ctx, func(ctx context.Context) {
		_ = s.exec.Shutdown(ctx) // want `Executor.Shutdown in a task of s.exec waits for the task itself`
		_ = other.exec.Close()
		_ = s.exec.Close() // want `Executor.Close in a task of s.exec`
	})
}

func submit(ctx context.Context, e *executor.Executor) error {
	_, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
		return 0, e.Quiesce(ctx) // want `Executor.Quiesce in a task of e`
	})
	return err
}
