package meter

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A queue of a thousand lives, with a clock of its own: the age is never above the truth, and not far below.
// Mutants: the age of the mark before, or of the last one; marks thinned evenly.
func TestAge_IsCloseToTheTruth(t *testing.T) {
	const tick = 10 * time.Millisecond
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 7))
		var pushed uint64
		var ages Ages
		var at []time.Duration // of the entries in the queue
		now := time.Hour
		ages.Mark(pushed, len(at), now, true)
		grow := random.IntN(3) // drains faster, steady, grows
		for range 20_000 {
			now += tick
			for range random.IntN(4 + grow) {
				pushed++
				at = append(at, now-time.Duration(random.Int64N(int64(tick))))
			}
			for range min(len(at), random.IntN(6)) {
				at = at[1:]
			}
			ages.Mark(pushed, len(at), now, false)
			got := ages.Oldest(pushed, len(at), now)
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
