//go:build race

package executortest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tasks that take turns are no synchronization: a data race is found in an order in which the result is right, too. Not in
// every such order, for a task may end before the other one is submitted. Mutant: the race detector sees the gates.
func TestExplore_FindsDataRaces(t *testing.T) {
	t.Parallel()
	for seed := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestExplore_Scenario$", "-test.v")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", scenario+"=plain", fmt.Sprintf("EXECUTOR_SEED=%d", seed))
		out, _ := cmd.CombinedOutput()
		if strings.Contains(string(out), "counted 1 of 2") || !strings.Contains(string(out), "WARNING: DATA RACE") {
			continue
		}
		require.Contains(t, string(out), fmt.Sprintf("executortest: seed %d fails: the test failed", seed))
		return
	}
	t.Error("in none of 20 orders")
}
