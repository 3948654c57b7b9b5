//go:build race

package executortest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Tasks that take turns are no synchronization. Mutant: the race detector sees the gates.
func TestExplore_FindsDataRaces(t *testing.T) {
	t.Parallel()
	out := runScenario(t, true, scenario+"=plain", "EXECUTOR_SEED=0") // an order in which the result is right
	require.Contains(t, out, "WARNING: DATA RACE")
	require.NotContains(t, out, "counted 1 of 2")
	require.Contains(t, out, "executortest: seed 0 fails: the test failed")
}
