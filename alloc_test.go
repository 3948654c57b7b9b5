package executor

import (
	"context"
	"testing"

	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

// TestAllocations fails when an operation allocates more than it did. Allocations are exact on every machine, so
// this is the one property of speed that a test may assert. A hundredth of one is let through: a submitter that
// waits for room allocates, and so does Quiesce at the end.
//
// Mutants: wait for a future on a channel made for it; let go of the queue's chunks whenever a runner parks.
func TestAllocations(t *testing.T) {
	if testkit.RaceDetector {
		t.Skip("under the race detector pools drop things at random")
	}
	ctx := context.Background()
	const ops = 10_000
	empty := func(context.Context) {}
	inTask := func(e *Executor, fn func(context.Context)) {
		f, err := Submit(ctx, e, func(ctx context.Context) (int, error) { fn(ctx); return 0, nil })
		require.NoError(t, err)
		_, err = f.Wait(ctx)
		require.NoError(t, err)
	}
	laned, err := New(WithLanes(Lane{Name: "a"}, Lane{Name: "b"}, Lane{Name: "c"}))
	require.NoError(t, err)
	defer func() { require.NoError(t, laned.Close()) }()
	var inLanes []context.Context
	for _, name := range []string{"a", "b", "c", ""} {
		inLanes = append(inLanes, WithLane(ctx, name))
	}
	for _, c := range []struct {
		name string
		most float64
		run  func(e *Executor)
	}{
		{"Go from outside", 0, func(e *Executor) {
			for range ops {
				_ = e.Go(ctx, empty)
			}
		}},
		{"Go from outside, in several lanes: a context for each batch", 0.05, func(*Executor) {
			for range ops / len(inLanes) {
				for _, ctx := range inLanes {
					_ = laned.Go(ctx, empty)
				}
			}
			_ = laned.Quiesce(ctx)
		}},
		{"Go from a task", 0, func(e *Executor) {
			inTask(e, func(ctx context.Context) {
				for range ops {
					_ = e.Go(ctx, empty)
				}
			})
		}},
		{"Submit and Wait: the future", 1, func(e *Executor) {
			for range ops {
				f, _ := Submit(ctx, e, func(context.Context) (int, error) { return 1, nil })
				_, _ = f.Wait(ctx)
			}
		}},
		{"Fork and Join: the closure", 1, func(e *Executor) {
			inTask(e, func(ctx context.Context) {
				for i := range ops {
					Fork(ctx, func(context.Context) int { return i }).Join(ctx)
				}
			})
		}},
		{"ForkWith and Join", 0, func(e *Executor) {
			square := func(_ context.Context, arg [4]int) [3]int { return [3]int{arg[0], arg[1], arg[2] * arg[3]} }
			inTask(e, func(ctx context.Context) {
				for i := range ops {
					ForkWith(ctx, square, [4]int{i, i, i, i}).Join(ctx)
				}
			})
		}},
		{"Do", 0, func(e *Executor) {
			for range ops {
				_ = e.Do(ctx, func(context.Context) error { return nil })
			}
		}},
		{"Do with a request's context: the task's context", 1, func(e *Executor) {
			request, cancel := context.WithCancel(ctx)
			defer cancel()
			for range ops {
				_ = e.Do(request, func(context.Context) error { return nil })
			}
		}},
		{"Group.Go: the task", 1, func(e *Executor) {
			for range ops / 100 {
				g := e.NewGroup(ctx)
				for range 100 {
					g.Go(func(context.Context) error { return nil })
				}
				_ = g.Wait()
			}
		}},
		{"Blocking", 0, func(e *Executor) {
			inTask(e, func(ctx context.Context) {
				for range ops {
					Blocking(ctx, func() {})
				}
			})
		}},
		{"Checkpoint and Yield", 0, func(e *Executor) {
			inTask(e, func(ctx context.Context) {
				for range ops {
					_ = Checkpoint(ctx)
					_ = Yield(ctx)
				}
			})
		}},
		{"For: not for each index", 0, func(e *Executor) {
			_ = For(ctx, e, ops, func(context.Context, int) error { return nil })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := New()
			require.NoError(t, err)
			each := testing.AllocsPerRun(5, func() {
				c.run(e)
				_ = e.Quiesce(ctx)
			}) / ops
			t.Logf("%.4f allocations", each)
			slack := 0.01
			if c.name == "Group.Go: the task" {
				slack = 0.25 // the group, its round and its list
			}
			require.LessOrEqual(t, each, c.most+slack)
			require.NoError(t, e.Shutdown(ctx))
		})
	}
}
