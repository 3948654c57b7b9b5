package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The queue before is wrong in a way that shows when two threads meet, so it is tried until they have.
func TestRacyQueue_RunsEverythingOnce(t *testing.T) {
	wrong := 0.0
	for i := 0; i < 50 && wrong == 0; i++ {
		o := try(t, racyQueue, 0.2)
		wrong += o.before.get(t, racyQueueLost) + o.before.get(t, racyQueueTwice)
		require.Zero(t, o.after.get(t, racyQueueLost))
		require.Zero(t, o.after.get(t, racyQueueTwice))
	}
	require.Positive(t, wrong, "the queue before never went wrong")
}

// It is a queue all right while nobody else is there.
func TestRacyQueue_WorksAlone(t *testing.T) {
	var q ring
	for i := range int64(256) {
		require.True(t, q.push(i))
	}
	require.False(t, q.push(256))
	half := q.stealHalf(nil)
	require.Len(t, half, 128)
	for want := int64(255); want >= 128; want-- {
		got, ok := q.pop()
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := q.pop()
	require.False(t, ok)
	require.Empty(t, q.stealHalf(nil))
}
