package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIdleThreads_SparesRetire(t *testing.T) {
	o := try(t, idleThreads, 0.5)
	burst := 0.5 * idleThreadsJobs
	require.Equal(t, burst, o.before.get(t, idleThreadsGoroutines))
	require.LessOrEqual(t, o.after.get(t, idleThreadsGoroutines), float64(cores()+2))
	require.GreaterOrEqual(t, o.after.get(t, idleThreadsPeak), burst)
	// No thread is left by OnThread, but some that Go has started to hand processors over.
	require.Less(t, 2*o.after.get(t, idleThreadsOwn), o.after.get(t, idleThreadsThreads))
}
