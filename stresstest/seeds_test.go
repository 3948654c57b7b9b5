package stresstest

import (
	"testing"

	"github.com/seed-97bda89a/executor/internal/classics"
	"github.com/seed-97bda89a/executor/internal/seeds"
	"github.com/stretchr/testify/require"
)

// The right version of each classic bug passes 2,000 seeds.
func TestSeeds_TheRightVersionsPass(t *testing.T) {
	for _, bug := range classics.All {
		t.Run(bug.Name, func(t *testing.T) {
			t.Parallel()
			v := seeds.Explore(t, seeds.Config{Last: 1999, Slots: bug.Slots, Ordered: true}, bug.Right)
			require.Equal(t, seeds.Passed, v.Kind, "seed %d, %v: %s", v.Seed, v.Schedule, v.Text)
		})
	}
}
