package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// On a loaded machine the spinning workers get less of the processors, and an idle one still nothing.
func TestSpinningFinder_AnIdleExecutorUsesNothing(t *testing.T) {
	o := try(t, spinningFinder, 1)
	require.Greater(t, o.before.get(t, spinningFinderBurnt), 5*o.after.get(t, spinningFinderBurnt))
}

func TestSpinningPool_RunsItsTasks(t *testing.T) {
	p := newSpinningPool(&trial{timeline: newTimeline()}, 3)
	done := make(chan int)
	for i := range 10 {
		p.queues[0].push(func() { done <- i })
	}
	sum := 0
	for range 10 {
		sum += <-done
	}
	p.stopped.Store(true)
	p.workers.Wait()
	require.Equal(t, 45, sum)
}
