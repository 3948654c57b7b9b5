package work

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

func TestFibForks_CountsTheSplits(t *testing.T) {
	var splits func(n int) int
	splits = func(n int) int {
		if n < 2 {
			return 0
		}
		return 1 + splits(n-1) + splits(n-2)
	}
	for n := range 15 {
		if got, want := FibForks(n), splits(n); got != want {
			t.Errorf("FibForks(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestQueens_FindsTheKnownNumbers(t *testing.T) {
	for n, want := range QueensWays {
		if n > 10 && testing.Short() {
			continue
		}
		if got, _ := Queens(Board{}, n, 0); got != want {
			t.Errorf("%d queens: %d ways, want %d", n, got, want)
		}
	}
}

func TestPartition_SplitsIntoSmallerOrderedParts(t *testing.T) {
	inputs := [][]int{Ints(1000), {1, 1, 1}, {3, 2, 1}, {1, 2, 3}, make([]int, 100)}
	for _, in := range inputs {
		s := slices.Clone(in)
		left, right := Partition(s)
		if len(left) >= len(s) || len(right) >= len(s) {
			t.Fatalf("parts of %d and %d of %d", len(left), len(right), len(s))
		}
		if len(left) > 0 && len(right) > 0 && slices.Max(left) > slices.Min(right) {
			t.Fatalf("left reaches %d, right begins at %d", slices.Max(left), slices.Min(right))
		}
		slices.Sort(left)
		slices.Sort(right)
		if err := CheckSorted(in, s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMerge_KeepsEverything(t *testing.T) {
	in := Ints(101)
	s := slices.Clone(in)
	slices.Sort(s[:40])
	slices.Sort(s[40:])
	out := make([]int, len(s))
	Merge(out, s[:40], s[40:])
	if err := CheckSorted(in, out); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSorted_SeesALostElement(t *testing.T) {
	in := []int{3, 1, 2}
	for _, bad := range [][]int{{1, 2}, {1, 2, 4}, {1, 3, 2}, {1, 1, 4}} {
		if CheckSorted(in, bad) == nil {
			t.Errorf("%v passes as %v in order", bad, in)
		}
	}
}

func TestMultiplyRow_MatchesTheDefinition(t *testing.T) {
	a, b := NewMatrix(5, 1), NewMatrix(5, 2)
	out := Matrix{5, make([]float64, 25)}
	for i := range 5 {
		MultiplyRow(out, a, b, i)
	}
	for i := range 5 {
		for j := range 5 {
			want := 0.0
			for k := range 5 {
				want += a.Cells[i*5+k] * b.Cells[k*5+j]
			}
			if got := out.Cells[i*5+j]; got != want {
				t.Errorf("cell %d,%d is %v, want %v", i, j, got, want)
			}
		}
	}
}

func TestMandelbrotRow_CostsDifferMuch(t *testing.T) {
	edge, middle := MandelbrotRow(200, 100, 0), MandelbrotRow(200, 100, 50)
	if middle < 10*edge {
		t.Errorf("the middle row takes %d steps, the edge %d: too even to test balancing", middle, edge)
	}
}

func TestDocuments_CountAgainWhatWasWritten(t *testing.T) {
	docs, want := Documents(50)
	got := 0
	for _, d := range docs {
		n, err := CountArticles(d)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if got != want {
		t.Errorf("%d articles, want %d", got, want)
	}
}

func TestFileTree_WritesEveryFile(t *testing.T) {
	paths, err := FileTree(t.TempDir(), 40)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 40 || len(slices.Compact(slices.Sorted(slices.Values(paths)))) != 40 {
		t.Errorf("%d paths, some of them twice", len(paths))
	}
}

func TestCombine_DoesNotDependOnOrder(t *testing.T) {
	a, b := Digest{1, 2}, Digest{4, 2}
	if Combine([]Digest{a, b}) != Combine([]Digest{b, a}) {
		t.Error("the order shows")
	}
}

func TestArrivals_KeepTheRateAndTheShareOfHeavyOnes(t *testing.T) {
	const n, rate = 10000, 1000.0
	arrivals := Arrivals(n, rate)
	heavy := 0
	for _, a := range arrivals {
		if a.Heavy {
			heavy++
		}
	}
	if heavy != n/HeavyEvery {
		t.Errorf("%d heavy requests of %d", heavy, n)
	}
	if last := arrivals[n-1].At; last < 9*time.Second || last > 11*time.Second {
		t.Errorf("%d arrivals at %v per second take %v", n, rate, last)
	}
	if !slices.IsSortedFunc(arrivals, func(a, b Arrival) int { return int(a.At - b.At) }) {
		t.Error("arrivals go back in time")
	}
}

func TestPlay_CallsLateArrivalsWithTheirPlannedTime(t *testing.T) {
	arrivals := []Arrival{{At: 0}, {At: time.Nanosecond}, {At: 2 * time.Nanosecond}}
	var at []time.Time
	Play(arrivals, func(_ int, _ Arrival, planned time.Time) { at = append(at, planned) })
	if len(at) != 3 || at[2].Sub(at[0]) != 2*time.Nanosecond {
		t.Errorf("planned times are %v", at)
	}
}

func TestPercentiles_SetThree(t *testing.T) {
	m := &meter.Meter{N: 1}
	var d []time.Duration
	for i := range 1001 {
		d = append(d, time.Duration(1000-i))
	}
	Percentiles(m, "wait", d)
	for unit, want := range map[string]float64{"wait-p50-ns": 500, "wait-p99-ns": 990, "wait-p99.9-ns": 999} {
		if got, _ := m.Sample().Get(unit); got != want {
			t.Errorf("%s = %v, want %v", unit, got, want)
		}
	}
}

func TestDeep_CountsItsFrames(t *testing.T) {
	if got := Deep(100); got != 100 {
		t.Errorf("Deep(100) = %d", got)
	}
}

func TestUnits_GrowWithTime(t *testing.T) {
	if a, b := Units(time.Microsecond), Units(time.Millisecond); b < 500*a {
		t.Errorf("1 µs is %d units, 1 ms is %d", a, b)
	}
	if Units(0) < 1 {
		t.Error("no work at all")
	}
}
