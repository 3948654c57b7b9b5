package suite

import (
	"fmt"
	"math"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// A Goal is a bound that was set before the code was written. It is kept when
// it is missed.
type Goal struct {
	Of      string   // the contender that is judged; the executor when empty
	Unit    string   // the row's when empty
	Against []string // the best of these is the yardstick; nobody: the number itself is judged
	Minus   bool     // judge the difference to the yardstick, not the ratio
	AtMost  float64
	Percent bool // say the ratio as a speed: yardstick / ours in percent
}

// atMostTimes bounds the ratio to the best of the named contenders.
func atMostTimes(x float64, against ...string) Goal { return Goal{AtMost: x, Against: against} }

// atMost bounds the number itself.
func atMost(x float64) Goal { return Goal{AtMost: x} }

// noAllocs wants no allocation per operation, as testing.B counts them: opening
// a pool, and blocks that hold many tasks, are spread over the operations. The
// bytes stand beside it in the table.
func noAllocs() Goal { return Goal{Unit: meter.AllocsPerOp, AtMost: 0.04} }

// of judges another entry than the one called executor.
func (g Goal) of(name string) Goal {
	g.Of = name
	return g
}

// speed says the bound as a share of the yardstick's speed.
func speed(share float64, against string) Goal {
	return Goal{AtMost: 1 / share, Against: []string{against}, Percent: true}
}

// atMostMore bounds the difference to another contender.
func atMostMore(x float64, than string) Goal {
	return Goal{AtMost: x, Against: []string{than}, Minus: true}
}

// A Verdict is a goal held against what was measured.
type Verdict struct {
	Goal     string // the goal in words
	Measured string
	Met      bool
	Known    bool // false: one side did not run
}

// Judge holds the goal against the row's results.
func (g Goal) Judge(r *Results) Verdict {
	unit := g.Unit
	if unit == "" {
		unit = r.Row.MainUnit()
	}
	who := g.Of
	if who == "" {
		who = contend.Executor
	}
	ours := r.Values(who, unit)
	v := Verdict{Goal: g.words(unit, who)}
	if len(ours) == 0 {
		v.Measured = "not run"
		return v
	}
	if len(g.Against) == 0 {
		got := meter.Median(ours)
		return g.settle(v, got, Format(got, unit))
	}
	best := r.Best(unit, g.Against)
	if best == "" {
		v.Measured = "nothing to compare with"
		return v
	}
	theirs := r.Values(best, unit)
	if g.Minus {
		got := meter.Median(ours) - meter.Median(theirs)
		return g.settle(v, got, Format(got, unit)+" more")
	}
	got := meter.Median(meter.PairedRatios(ours, theirs))
	text := fmt.Sprintf("%.2fx %s", got, best)
	if g.Percent {
		text = fmt.Sprintf("%.0f %% of %s", 100/got, best)
	}
	return g.settle(v, got, text)
}

func (g Goal) settle(v Verdict, got float64, text string) Verdict {
	v.Measured = text
	v.Known = !math.IsNaN(got)
	v.Met = v.Known && got <= g.AtMost
	return v
}

// words says the goal as a table does.
func (g Goal) words(unit, who string) string {
	s := ""
	switch {
	case len(g.Against) == 0 && g.AtMost < 0.05:
		s = "no " + noun(unit)
	case len(g.Against) == 0:
		s = "at most " + amount(g.AtMost, unit)
	case g.Minus:
		s = fmt.Sprintf("at most %s more than %s", amount(g.AtMost, unit), g.Against[0])
	case g.Percent:
		s = fmt.Sprintf("at least %.0f %% of the speed of %s", 100/g.AtMost, g.Against[0])
	case len(g.Against) == 1 && g.AtMost < 0.2:
		s = fmt.Sprintf("at least %.0fx faster than %s", 1/g.AtMost, g.Against[0])
	case len(g.Against) == 1:
		s = fmt.Sprintf("at most %.3gx %s", g.AtMost, g.Against[0])
	default:
		s = fmt.Sprintf("at most %.3gx the best of %s", g.AtMost, listOf(g.Against))
	}
	if who != contend.Executor {
		s += " (" + who + ")"
	}
	return s
}

// amount is a number with what it counts.
func amount(v float64, unit string) string {
	what := noun(unit)
	switch {
	case what == "":
		return Format(v, unit)
	case v < 2:
		return fmt.Sprintf("%.0f %s", v, what)
	default:
		return fmt.Sprintf("%.0f %s", v, plurals.Replace(what))
	}
}

// plurals makes nouns fit for more than one.
var plurals = strings.NewReplacer("allocation", "allocations", "context switch", "context switches")

// noun names what a unit counts, where it counts.
func noun(unit string) string {
	switch unit {
	case meter.AllocsPerOp:
		return "allocation per operation"
	case meter.SwitchesPerOp:
		return "context switch per operation"
	default:
		return ""
	}
}
