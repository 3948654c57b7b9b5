package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGlobalQueue_DequesNeedNoLock(t *testing.T) {
	requireShorterLockWaits(t, globalQueue, 5)
}

// requireShorterLockWaits runs a scenario until what goroutines waited for locks before is that many times as much as
// with the executor. When two meet depends on what else the machine does; all runs count together.
func requireShorterLockWaits(t *testing.T, s scenario, times float64) {
	t.Helper()
	var before, after float64
	for range 10 {
		o := try(t, s, 0.2)
		before += o.before.get(t, queueWaits)
		after += o.after.get(t, queueWaits)
		if before > times*after && before > 0.001 {
			return
		}
	}
	require.Failf(t, "waiting for locks is not much shorter", "%v s before, %v s with the executor", before, after)
}
