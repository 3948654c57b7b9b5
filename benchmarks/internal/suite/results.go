package suite

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// Results are the samples of one row, round by round.
type Results struct {
	Row     Row
	Samples map[string][]meter.Sample // by entry
	Failed  map[string]error          // entries that gave an error, or no answer in time
}

// NewResults returns the results of a row that nobody has run yet.
func NewResults(r Row) *Results {
	return &Results{Row: r, Samples: map[string][]meter.Sample{}, Failed: map[string]error{}}
}

// Values returns one number of an entry, a value a round. An entry that failed
// has none: half a result is no result.
func (r *Results) Values(entry, unit string) []float64 {
	if r.Failed[entry] != nil {
		return nil
	}
	var out []float64
	for _, s := range r.Samples[entry] {
		if v, ok := s.Get(unit); ok {
			out = append(out, v)
		}
	}
	return out
}

// Rounds returns how often the row was run.
func (r *Results) Rounds() int {
	rounds := 0
	for _, samples := range r.Samples {
		rounds = max(rounds, len(samples))
	}
	return rounds
}

// Median returns the median over the rounds, or NaN.
func (r *Results) Median(entry, unit string) float64 { return meter.Median(r.Values(entry, unit)) }

// Ratio returns the median over the rounds of one entry's main number divided
// by another's, or NaN.
func (r *Results) Ratio(entry, to string) float64 {
	unit := r.Row.MainUnit()
	return meter.Median(meter.PairedRatios(r.Values(entry, unit), r.Values(to, unit)))
}

// Best returns the entry among names with the smallest median, or "".
func (r *Results) Best(unit string, names []string) string {
	best, low := "", math.Inf(1)
	for _, name := range names {
		if v := r.Median(name, unit); v < low {
			best, low = name, v
		}
	}
	return best
}

// references are entries that show a limit instead of a way to run tasks.
var references = []string{serial, plain, call, nothing, inlined}

// The names of those entries.
const (
	serial  = "serial"  // one goroutine, no tasks
	plain   = "plain"   // the same work in as many goroutines as slots, cut by hand
	call    = "call"    // the bare function call
	nothing = "nothing" // the process without anything
	inlined = "inlined" // plain, with the body written into the loop
)

// Rivals returns the names of the entries that are not an executor's and that
// do the same work under the same promise as one: everybody but references.
func (r *Results) Rivals() []string {
	var out []string
	for _, e := range r.Row.Entries {
		if e.Run != nil && !strings.HasPrefix(e.Name, contend.Executor) && !slices.Contains(references, e.Name) {
			out = append(out, e.Name)
		}
	}
	return out
}

// Units returns every unit that some entry reported, in order of appearance.
func (r *Results) Units() []string {
	var out []string
	for _, e := range r.Row.Entries {
		for _, s := range r.Samples[e.Name] {
			for _, v := range s.Values {
				if !slices.Contains(out, v.Unit) {
					out = append(out, v.Unit)
				}
			}
		}
	}
	return out
}

// Verdicts judges every goal of the row.
func (r *Results) Verdicts() []Verdict {
	var out []Verdict
	for _, g := range r.Row.Goals {
		out = append(out, g.Judge(r))
	}
	return out
}

// Format writes a number as a reader likes it: times in the unit that fits,
// counts without noise.
func Format(v float64, unit string) string {
	if math.IsNaN(v) {
		return "-"
	}
	base, _, _ := strings.Cut(unit, "/")
	switch {
	case base == "ns" || strings.HasSuffix(base, "-ns"):
		return formatTime(v)
	case base == "B" || strings.HasPrefix(base, "B-"):
		return formatBytes(v)
	case strings.HasPrefix(unit, "%"):
		return fmt.Sprintf("%.1f %%", v)
	case math.Abs(v) < 0.0005:
		return "0"
	case math.Abs(v) < 10:
		return fmt.Sprintf("%.2g", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func formatTime(ns float64) string {
	for _, step := range []struct {
		size float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if math.Abs(ns) >= step.size {
			return digits(ns/step.size) + " " + step.name
		}
	}
	return digits(ns) + " ns"
}

// digits keeps about three digits and never an exponent.
func digits(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case abs >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func formatBytes(b float64) string {
	if math.Abs(b) >= 1<<10 {
		return digits(b/(1<<10)) + " KB"
	}
	return fmt.Sprintf("%.0f B", b)
}

// listOf joins names as prose does.
func listOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
