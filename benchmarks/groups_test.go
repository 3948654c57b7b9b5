package benchmarks

import (
	"slices"
	"testing"

	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

func TestGroups_EveryRowHasABenchmark(t *testing.T) {
	for _, r := range suite.All() {
		if !slices.Contains(groups, r.Group) {
			t.Errorf("row %s has no function Benchmark%s", r.Name(), r.Group)
		}
	}
}
