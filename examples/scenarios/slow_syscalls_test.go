package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Before, there are as many calls at once as workers. With the executor there are as many as the machine can start in
// 100 ms, and the whole takes a fraction of the time, which depends on the machine.
func TestSlowSyscalls_AreManyAtOnce(t *testing.T) {
	o := try(t, slowSyscalls, 0.3)
	require.Equal(t, float64(cores()), o.before.get(t, slowSyscallsAtOnce))
	require.Greater(t, o.after.get(t, slowSyscallsAtOnce), 10*o.before.get(t, slowSyscallsAtOnce))
	require.Less(t, 5*o.after.get(t, slowSyscallsTime), o.before.get(t, slowSyscallsTime))
	require.Less(t, 5*o.after.get(t, slowSyscallsUnmarked), o.before.get(t, slowSyscallsUnmarked))
}
