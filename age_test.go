package executor

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A queue of a thousand lives, with a clock of its own: the age is never above the truth, and not far below.
// Mutants: the age of the mark before, or of the last one; marks thinned evenly; a filter that counts as pops
// and pushes.
func TestAge_IsCloseToTheTruth(t *testing.T) {
	const tick = 10 * time.Millisecond
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		var q fifo
		var ages queueAges
		var at []time.Duration // of the entries in the queue
		now := time.Hour
		ages.mark(&q, now, true)
		grow := random.IntN(3) // drains faster, steady, grows
		for range 20_000 {
			now += tick
			for range random.IntN(4 + grow) {
				q.push(entry{})
				at = append(at, now-time.Duration(random.Int64N(int64(tick))))
			}
			for range min(len(at), random.IntN(6)) {
				q.pop()
				at = at[1:]
			}
			if random.IntN(1000) == 0 {
				q.filter(func(entry) bool { return true })
			}
			ages.mark(&q, now, false)
			got := ages.oldest(&q, now)
			if len(at) == 0 {
				require.Zero(t, got)
				continue
			}
			truth := now - at[0]
			require.LessOrEqual(t, got, truth)
			require.GreaterOrEqual(t, got, truth-truth/8-tick, "seed %d", seed)
		}
	}
}

// The age of a real queue: behind a task that does not end.
func TestAge_OfAQueueThatStands(t *testing.T) {
	e := newMeasured(t, WithStallDetection(false))
	start := time.Now()
	running, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, e.Go(t.Context(), func(ctx context.Context) { close(running); <-release }))
	<-running
	require.Zero(t, e.Stats().OldestAge)
	for range 3 {
		require.NoError(t, e.Go(t.Context(), func(context.Context) {}))
	}
	for e.Stats().OldestAge < 50*time.Millisecond {
		require.Less(t, time.Since(start), patience)
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, e.Stats().OldestAge, time.Since(start))
	close(release)
	require.NoError(t, e.Quiesce(t.Context()))
	require.Zero(t, e.Stats().OldestAge)
}
