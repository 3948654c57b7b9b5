package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSingleProc_SlotsFollowTheRise(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	o := try(t, singleProc, 1)
	require.Equal(t, 1.0, o.before.get(t, singleProcSize))
	require.Greater(t, o.after.get(t, singleProcSize), 1.0) // how many may depend on a quota
	require.Greater(t, o.after.get(t, singleProcBusy), 1.5*o.before.get(t, singleProcBusy))
	require.Equal(t, procs, runtime.GOMAXPROCS(0), "the scenario leaves it as it was")
	require.Contains(t, o.after.remarks[0], "GOMAXPROCS")
}
