package executortest_test

import (
	"context"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// The executor has the options; a bad one fails the test and says so.
func TestExplore_Options(t *testing.T) {
	t.Parallel()
	executortest.Explore(t, func(t *testing.T, e *executor.Executor) {
		if e.Name() != "shop" {
			t.Errorf("its name is %q", e.Name())
		}
		group := e.NewGroup(executor.WithLane(t.Context(), "urgent"))
		for range 5 {
			group.Go(func(ctx context.Context) error { return executor.Checkpoint(ctx) })
		}
		if err := e.Go(executor.WithLane(t.Context(), "none"), func(context.Context) {}); err == nil {
			t.Error("there is no such lane")
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	}, executortest.Slots(2), executortest.Options(executor.WithName("shop"), executor.WithLanes(executor.Lane{Name: "urgent", Weight: 8}, executor.Lane{Name: "bulk"})))
	v := seeds.Explore(t, seeds.Config{Options: []executor.Option{executor.WithQueueLimit(-1)}}, func(*testing.T, *executor.Executor) {})
	require.Equal(t, seeds.Panicked, v.Kind)
	require.Contains(t, v.Text, "executor: WithQueueLimit(-1): must be at least")
}

// In the usual order a task goes on until it waits, and one that yields lets others go first. Mutant: Yield is as any point.
func TestExplore_WhoYieldsGoesLast(t *testing.T) {
	t.Parallel()
	order := ""
	v := seeds.Explore(t, seeds.Config{Ordered: true}, func(t *testing.T, e *executor.Executor) {
		order = ""
		group := e.NewGroup(t.Context())
		group.Go(func(ctx context.Context) error {
			order += "a"
			_ = executor.Checkpoint(ctx)
			order += "b"
			_ = executor.Yield(ctx)
			order += "d"
			return nil
		})
		group.Go(func(context.Context) error { order += "c"; return nil })
		_ = group.Wait()
	})
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
	require.Equal(t, "abcd", order)
}
