package suite

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

func TestAll_RowsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range All() {
		if seen[r.Name()] {
			t.Errorf("%s is there twice", r.Name())
		}
		seen[r.Name()] = true
		if r.Title == "" || r.Op == "" || r.Size < 1 || r.QuickSize < 1 || r.QuickSize > r.Size {
			t.Errorf("%s lacks a title, an operation or a size", r.Name())
		}
		names := map[string]bool{}
		for _, e := range r.Entries {
			if names[e.Name] {
				t.Errorf("%s has %s twice", r.Name(), e.Name)
			}
			names[e.Name] = true
			if (e.Run == nil) == (e.Skip == "") {
				t.Errorf("%s: %s must either run or say why not", r.Name(), e.Name)
			}
		}
		if !names[contend.Executor] {
			t.Errorf("%s lacks the executor", r.Name())
		}
		for _, g := range r.Goals {
			for _, name := range append(g.Against, g.Of) {
				if name != "" && !names[name] {
					t.Errorf("%s has a goal for %q, who is not in it", r.Name(), name)
				}
			}
		}
	}
}

// times makes results in which each entry took these times, round by round.
func times(goals []Goal, took map[string][]float64) *Results {
	r := NewResults(Row{Group: "Some", Scenario: "row", Op: "task", Goals: goals})
	for name, rounds := range took {
		r.Row.Entries = append(r.Row.Entries, Entry{Name: name, Run: func(*meter.Meter) error { return nil }})
		for _, v := range rounds {
			r.Samples[name] = append(r.Samples[name], meter.Sample{Ops: 1, Values: []meter.Value{{Unit: meter.NsPerOp, V: v}}})
		}
	}
	return r
}

func TestGoal_JudgesTheMedianOfTheRatiosWithinRounds(t *testing.T) {
	// The third round was disturbed: both took ten times as long.
	r := times(nil, map[string][]float64{contend.Executor: {40, 42, 400}, "channel": {50, 50, 500}})
	v := atMostTimes(0.8, "channel").Judge(r)
	if !v.Met || !v.Known || v.Measured != "0.80x channel" {
		t.Errorf("verdict %+v", v)
	}
	if v := atMostTimes(0.79, "channel").Judge(r); v.Met {
		t.Errorf("verdict %+v", v)
	}
}

func TestGoal_TakesTheBestOfSeveral(t *testing.T) {
	r := times(nil, map[string][]float64{contend.Executor: {100}, "ants": {200}, "pond": {80}})
	v := atMostTimes(1.1, "ants", "pond").Judge(r)
	if v.Met || v.Measured != "1.25x pond" {
		t.Errorf("verdict %+v", v)
	}
}

func TestGoal_CanBeAnAbsoluteNumberADifferenceOrASpeed(t *testing.T) {
	r := times(nil, map[string][]float64{contend.Executor: {100}, "executor-tracer": {130}, plain: {95}})
	for _, c := range []struct {
		goal     Goal
		met      bool
		measured string
	}{
		{atMost(100), true, "100 ns"},
		{atMost(99), false, "100 ns"},
		{atMostMore(40, contend.Executor).of("executor-tracer"), true, "30.0 ns more"},
		{atMostMore(20, contend.Executor).of("executor-tracer"), false, "30.0 ns more"},
		{speed(0.95, plain), true, "95 % of plain"},
		{speed(0.96, plain), false, "95 % of plain"},
	} {
		if v := c.goal.Judge(r); v.Met != c.met || v.Measured != c.measured || !v.Known {
			t.Errorf("%s: %+v", v.Goal, v)
		}
	}
}

func TestGoal_IsUnknownWhenSomebodyDidNotRun(t *testing.T) {
	r := times(nil, map[string][]float64{contend.Executor: {100}, "channel": {100}})
	r.Failed["channel"] = errors.New("no result")
	if v := atMostTimes(2, "channel").Judge(r); v.Known || v.Met {
		t.Errorf("a goal was judged against nobody: %+v", v)
	}
	if v := atMost(200).of("nobody").Judge(r); v.Known || v.Met {
		t.Errorf("nobody was judged: %+v", v)
	}
}

func TestGoal_WordsSayTheBound(t *testing.T) {
	r := times(nil, map[string][]float64{contend.Executor: {1}, "go": {1}, plain: {1}})
	for want, g := range map[string]Goal{
		"at most 0.8x go":                                        atMostTimes(0.8, "go"),
		"at least 9x faster than go":                             atMostTimes(1.0/9, "go"),
		"at most 45.0 ns":                                        atMost(45),
		"no allocation per operation":                            noAllocs(),
		"at least 90 % of the speed of plain":                    speed(0.9, plain),
		"at most 1.1x the best of go and plain":                  atMostTimes(1.1, "go", plain),
		"at most 40.0 ns more than go":                           atMostMore(40, "go"),
		"at most 4.5x go (executor-256-spares)":                  atMostTimes(4.5, "go").of("executor-256-spares"),
		"at most 1 allocation per operation":                     {Unit: meter.AllocsPerOp, AtMost: 1.01},
		"at most 64.0 KB":                                        {Unit: heldUnit, AtMost: 64 << 10},
		"at most 10 context switches per operation more than go": {Unit: meter.SwitchesPerOp, Against: []string{"go"}, Minus: true, AtMost: 10},
	} {
		if got := g.Judge(r).Goal; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestFormat_FitsTheUnit(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{45.123, "ns/op", "45.1 ns"}, {999.7, "ns/op", "1000 ns"}, {1234, "ns/op", "1.23 µs"},
		{2.5e9, "wait-p99-ns", "2.50 s"}, {-12, "ns/op", "-12.0 ns"}, {64, "B/op", "64 B"}, {3 << 10, "B-held/op", "3.00 KB"},
		{0.0001, "vcsw/op", "0"}, {0.25, "allocs/op", "0.25"}, {12345, "allocs/op", "12345"}, {61.23, "%-goodput", "61.2 %"},
		{math.NaN(), "ns/op", "-"},
	} {
		if got := Format(c.v, c.unit); got != c.want {
			t.Errorf("Format(%v, %s) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestPlan_AlternatesAndRotates(t *testing.T) {
	var order []string
	entry := func(name string) Entry {
		return Entry{Name: name, Run: func(*meter.Meter) error { order = append(order, name); return nil }}
	}
	down := false
	row := Row{Group: "Some", Scenario: "row", QuickSize: 1, QuickRounds: 2,
		Setup:   func(bool) (func(), error) { return func() { down = true }, nil },
		Entries: []Entry{entry("a"), entry("b"), {Name: "absent", Skip: "because"}}}
	plan := Plan{Quick: true, Rounds: 5, Limit: time.Second}
	r, err := plan.Run(row)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "a b b a" {
		t.Errorf("order %q, want a b b a", got)
	}
	if !down || len(r.Samples["a"]) != 2 || len(r.Samples["absent"]) != 0 {
		t.Errorf("teardown %v, samples %v", down, r.Samples)
	}
}

func TestPlan_LeavesBehindWhoFailsOrHangs(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	row := Row{Group: "Some", Scenario: "row", Size: 1, Entries: []Entry{
		{Name: "fails", Run: func(*meter.Meter) error { return errors.New("wrong result") }},
		{Name: "panics", Run: func(*meter.Meter) error { panic("oh") }},
		{Name: "hangs", Run: func(*meter.Meter) error { <-hang; return nil }},
		{Name: "works", Run: func(*meter.Meter) error { return nil }},
	}}
	plan := Plan{Rounds: 3, Limit: 50 * time.Millisecond}
	r, err := plan.Run(row)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failed) != 3 || len(r.Samples["works"]) != 3 {
		t.Errorf("failed %v, samples %v", r.Failed, r.Samples)
	}
	if got := r.Values("fails", meter.NsPerOp); got != nil {
		t.Errorf("a failed entry has values %v", got)
	}
}

func TestResults_BestIsTheSmallestMedian(t *testing.T) {
	r := times(nil, map[string][]float64{contend.Executor: {1}, "executor-for": {1}, "ants": {5, 5}, "pond": {1, 20, 20}, serial: {0.1}})
	if got := r.Best(meter.NsPerOp, r.Rivals()); got != "ants" {
		t.Errorf("the best rival is %q of %v", got, r.Rivals())
	}
	if got := r.Ratio("ants", contend.Executor); got != 5 {
		t.Errorf("ratio %v", got)
	}
}

func TestChunks_CoverEverythingOnce(t *testing.T) {
	for _, n := range []int{0, 1, 7, 100} {
		seen := make([]int, n)
		chunks(n, 3, func(from, to int) {
			for i := from; i < to; i++ {
				seen[i]++
			}
		})
		for i, times := range seen {
			if times != 1 {
				t.Errorf("index %d of %d came %d times", i, n, times)
			}
		}
		sum := 0
		for i := range 3 {
			sum += share(n, 3, i)
		}
		if sum != n {
			t.Errorf("the shares of %d add up to %d", n, sum)
		}
	}
}
