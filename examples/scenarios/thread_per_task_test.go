package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A thread for each task, and then as many as Go happens to put runners on.
func TestThreadPerTask_RunnersAreReused(t *testing.T) {
	o := try(t, threadPerTask, 1)
	require.Greater(t, o.before.get(t, threadPerTaskThreads), 0.9*threadPerTaskTasks) // a number can come again
	require.Less(t, o.after.get(t, threadPerTaskThreads), 100.0)
}
