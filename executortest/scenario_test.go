package executortest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/executortest"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// scenario is what the process below runs.
const scenario = "EXECUTORTEST_SCENARIO"

func TestExplore_Scenario(t *testing.T) {
	opts := []executortest.Option{}
	switch os.Getenv(scenario) {
	case "":
		t.Skip("for other tests, in a process of its own")
	case "Seeds(0)":
		opts = append(opts, executortest.Seeds(0))
	case "Slots(0)":
		opts = append(opts, executortest.Slots(0))
	case "PCT(0)":
		opts = append(opts, executortest.PCT(0))
	case "Exhaustive(0)":
		opts = append(opts, executortest.Exhaustive(0))
	case "Exhaustive(500)":
		opts = append(opts, executortest.Exhaustive(500))
	case "Replay":
		opts = append(opts, executortest.Replay("2/1@1>2"))
	}
	executortest.Explore(t, func(t *testing.T, e *executor.Executor) {
		n := 0
		group := e.NewGroup(executor.WithTaskName(t.Context(), "add"))
		for range 2 {
			group.Go(func(ctx context.Context) error {
				old := n
				_ = executor.Checkpoint(ctx)
				n = old + 1
				return nil
			})
		}
		_ = group.Wait()
		if n != 2 {
			t.Errorf("counted %d of 2", n)
		}
	}, opts...)
}

// runScenario runs it in a process of its own, and returns its output. It has to fail if fails is set.
func runScenario(t *testing.T, fails bool, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestExplore_Scenario$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.Equal(t, fails, err != nil, "%s", out)
	return string(out)
}

func TestExplore_Output(t *testing.T) {
	t.Parallel()
	out := runScenario(t, true, scenario+"=plain")
	if strings.Contains(out, "DATA RACE") {
		require.Contains(t, out, "EXECUTOR_REPLAY='") // whichever order it was found in
		return
	}
	require.Equal(t, 1, strings.Count(out, "counted 1 of 2"), out)
	require.Contains(t, out, "executortest: seed 2 fails: the test failed\n        EXECUTOR_REPLAY='2/1@1>2' go test -run '^TestExplore_Scenario$'\n")
	for _, line := range []string{
		"   2  0 (test)  Group.Go: 1 (add)             scenario_test.go:",
		"   7  2 (add)   Checkpoint                    scenario_test.go:",
		"   8  2 (add)   ends\n",
		"  11  0 (test)  is back from Group.Wait       scenario_test.go:",
	} {
		require.Contains(t, out, line)
	}

	again := runScenario(t, true, scenario+"=plain", "EXECUTOR_REPLAY=2/1@1>2")
	require.Contains(t, again, "executortest: schedule 2/1@1>2 fails: the test failed\n")
	require.Contains(t, runScenario(t, true, scenario+"=Replay"), "executortest: schedule 2/1@1>2 fails: the test failed\n")
	require.Contains(t, runScenario(t, false, scenario+"=plain", "EXECUTOR_REPLAY=2/"), "executortest: schedule 2/ passes\n")
	require.Contains(t, runScenario(t, false, scenario+"=plain", "EXECUTOR_REPLAY=2/7@1>2"), "could follow 2/\n")
	require.Contains(t, runScenario(t, false, scenario+"=plain", "EXECUTOR_SEED=0"), "PASS")
	require.Contains(t, runScenario(t, true, scenario+"=plain", "EXECUTOR_SEED=2"), "executortest: seed 2 fails")
}

func TestExplore_BadInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, says string }{
		{scenario + "=Seeds(0)", "executortest: Seeds(0): must be at least 1"},
		{scenario + "=Slots(0)", "executortest: Slots(0): must be at least 1"},
		{scenario + "=PCT(0)", "executortest: PCT(0): must be at least 1"},
		{scenario + "=Exhaustive(0)", "executortest: Exhaustive(0): must be at least 1"},
		{"EXECUTOR_SEED=x", "executortest: EXECUTOR_SEED=x: must be a number"},
		{"EXECUTOR_REPLAY=x", `executortest: schedule "x": "x" is not of the form`},
	} {
		require.Contains(t, runScenario(t, true, scenario+"=plain", c.env), c.says, fmt.Sprint(c))
	}
}

// A task that spins until another has gone on does not starve it, whatever their priorities.
func TestExplore_PCTIsFair(t *testing.T) {
	t.Parallel()
	v := seeds.Explore(t, seeds.Config{Last: 9, PCT: 1}, func(t *testing.T, e *executor.Executor) {
		var set atomic.Bool
		group := e.NewGroup(t.Context())
		group.Go(func(ctx context.Context) error { return executor.Yield(ctx) })
		group.Go(func(ctx context.Context) error {
			for !set.Load() {
				executor.Checkpoint(ctx)
			}
			return nil
		})
		group.Go(func(context.Context) error { set.Store(true); return nil })
		require.NoError(t, group.Wait())
	})
	require.Equal(t, seeds.Passed, v.Kind, v.Text)
}
