package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Equal shares of eight tasks, on two slots, would be 12.5 % each.
func TestForeverTasks_EachGetsItsShare(t *testing.T) {
	o := try(t, foreverTasks, 1)
	require.Equal(t, float64(cores()), o.before.get(t, foreverTasksRan))
	require.Zero(t, o.before.get(t, foreverTasksLast))
	require.Equal(t, float64(foreverTasksEach*cores()), o.after.get(t, foreverTasksRan))
	equal := 1 / float64(foreverTasksEach*cores())
	require.Greater(t, o.after.get(t, foreverTasksLeast), equal/3)
	require.Less(t, o.after.get(t, foreverTasksMost), 3*equal)
}
