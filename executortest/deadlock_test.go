package executortest_test

import (
	"context"
	"sync"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// Who waits in a deadlock says for whom: a task, those of a group, and the last one that took a lock. Mutants: no Does of a future, of a group's
// task; For is not said; who has ended is no holder; the first that took a lock is named.
func TestExplore_DeadlockSaysForWhom(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Ordered: true, Last: 0}, func(t *testing.T, e *executor.Executor) {
		var mu sync.Mutex
		never := make(chan int)
		named := func(name string) context.Context { return executor.WithTaskName(t.Context(), name) }
		first, err := executor.Submit(named("first"), e, func(ctx context.Context) (int, error) {
			executor.Lock(ctx, &mu)
			mu.Unlock()
			return 0, nil
		})
		require.NoError(t, err)
		_, _ = first.Wait(t.Context())
		careless, err := executor.Submit(named("careless"), e, func(ctx context.Context) (int, error) {
			executor.Lock(ctx, &mu) // and never unlocks
			return 0, nil
		})
		require.NoError(t, err)
		_, _ = careless.Wait(t.Context())
		locker, err := executor.Submit(named("locker"), e, func(ctx context.Context) (int, error) {
			executor.Lock(ctx, &mu)
			return 0, nil
		})
		require.NoError(t, err)
		group := e.NewGroup(named("member"))
		group.Go(func(ctx context.Context) error { _, err := locker.Wait(ctx); return err })
		group.Go(func(context.Context) error { return nil })
		group.Go(func(context.Context) error { <-never; return nil })
		_ = group.Wait()
	})
	require.Equal(t, seeds.Deadlock, v.Kind, v.Text)
	for _, line := range []string{
		`0 \(test\) waits in Group.Wait, deadlock_test.go:\d+, for 4 \(member\), 6 \(member\)`,
		`3 \(locker\) waits in Lock, deadlock_test.go:\d+, for what 2 \(careless\) locked last, which has ended`,
		`4 \(member\) waits in Future.Wait, deadlock_test.go:\d+, for 3 \(locker\)`,
		`6 \(member\) waits in chan receive, deadlock_test.go:\d+(\n|$)`,
	} {
		require.Regexp(t, line, v.Text)
	}
}
