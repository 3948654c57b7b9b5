package executortest_test

import (
	"context"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
)

var t *testing.T // of the test that the examples are in

// A test that fails, with "hits = 1" and the order in which that happens: both tasks read before one of them writes.
func ExampleExplore() {
	executortest.Explore(t, func(t *testing.T, exec *executor.Executor) {
		hits := 0
		group := exec.NewGroup(t.Context())
		for range 2 {
			group.Go(func(ctx context.Context) error {
				before := hits
				if err := executor.Checkpoint(ctx); err != nil { // others may come in between here
					return err
				}
				hits = before + 1
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if hits != 2 {
			t.Errorf("hits = %d", hits)
		}
	})
}

// The order that a failing test has printed is worth keeping as a test of its own.
func ExampleReplay() {
	executortest.Explore(t, func(t *testing.T, exec *executor.Executor) {
		// ...
	}, executortest.Replay("17/0@4>2,2@1>1"))
}

func ExampleRand() {
	executortest.Explore(t, func(t *testing.T, exec *executor.Executor) {
		_ = exec.Go(t.Context(), func(ctx context.Context) {
			if executortest.Rand(ctx).IntN(10) == 0 {
				t.Log("one time in ten, and in each run of a seed the same")
			}
		})
	})
}
