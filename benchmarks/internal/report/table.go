package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// table writes a Markdown table. The first column is left-aligned, all others
// right-aligned.
func table(b *strings.Builder, header []string, rows [][]string) {
	b.WriteString("| " + strings.Join(header, " | ") + " |\n|---|" + strings.Repeat("---:|", len(header)-1) + "\n")
	for _, r := range rows {
		b.WriteString("| " + strings.Join(r, " | ") + " |\n")
	}
	b.WriteString("\n")
}

// headings of the units that need one.
var headings = map[string]string{
	meter.NsPerOp:       "time",
	meter.BytesPerOp:    "allocated",
	meter.AllocsPerOp:   "allocs",
	meter.SwitchesPerOp: "switches",
	"wait-p50-ns":       "wait p50",
	"wait-p99-ns":       "wait p99",
	"wait-p99.9-ns":     "wait p99.9",
	"response-p50-ns":   "response p50",
	"response-p99-ns":   "response p99",
	"response-p99.9-ns": "response p99.9",
	"%-goodput":         "goodput",
	"%-refused":         "refused",
	"%-undone":          "undone",
	"cpu-ns/op":         "processor",
	"B-held/op":         "held",
	"steals/op":         "steals",
	"parks/op":          "parks",
	"handoffs/op":       "hand-offs",
}

// columns returns the units that a row's table shows, the main one first.
func columns(r *suite.Results) []string {
	out := []string{r.Row.MainUnit()}
	latency := out[0] != meter.NsPerOp
	for _, unit := range r.Units() {
		switch {
		case unit == out[0]:
		case latency && (unit == meter.NsPerOp || unit == meter.AllocsPerOp || unit == meter.BytesPerOp):
			// Beside a latency or a size, neither says anything.
		case strings.HasPrefix(unit, "late-"), unit == "arrivals/s":
			// How many arrived, and how late, is in the raw lines for those who
			// doubt the rest.
		case unit == "steals/op", unit == "parks/op":
			// Only the executor knows them: they stand in the raw lines.
		default:
			out = append(out, unit)
		}
	}
	return out
}

// Row writes a row's results: what it is, the table, who is absent and why, and
// the verdicts. earlier says how it was measured, if that was not in the run that the page is about.
func Row(b *strings.Builder, r *suite.Results, foreign *Foreign, earlier string) {
	fmt.Fprintf(b, "### %s: %s\n\n", r.Row.Name(), r.Row.Title)
	if earlier != "" {
		b.WriteString("Measured earlier: " + earlier + ".\n\n")
	}
	units := columns(r)
	header := []string{"per " + r.Row.Op}
	for i, unit := range units {
		h := headings[unit]
		if h == "" {
			h = unit
		}
		header = append(header, h)
		if i == 0 {
			header = append(header, "±", "x executor")
		}
	}
	var rows [][]string
	for _, name := range ranked(r) {
		rows = append(rows, cells(r, name, units))
	}
	table(b, header, rows)
	absent(b, r)
	if r.Row.Note != "" {
		b.WriteString(r.Row.Note + "\n\n")
	}
	if said := foreign.of(r.Row); said != "" {
		b.WriteString("Other languages, in a run of their own: " + said + ".\n\n")
	}
	for _, v := range r.Verdicts() {
		fmt.Fprintf(b, "- goal: %s; measured: %s: **%s**\n", v.Goal, v.Measured, word(v))
	}
	if len(r.Row.Goals) > 0 {
		b.WriteString("\n")
	}
}

// ranked returns the entries that have a result, best first.
func ranked(r *suite.Results) []string {
	var names []string
	for _, e := range r.Row.Entries {
		if len(r.Values(e.Name, r.Row.MainUnit())) > 0 {
			names = append(names, e.Name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return compare(r.Median(a, r.Row.MainUnit()), r.Median(b, r.Row.MainUnit()))
	})
	return names
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func cells(r *suite.Results, name string, units []string) []string {
	shown := name
	if strings.HasPrefix(name, contend.Executor) {
		shown = "**" + name + "**"
	}
	out := []string{shown}
	for i, unit := range units {
		values := r.Values(name, unit)
		out = append(out, suite.Format(meter.Median(values), unit))
		if i == 0 {
			out = append(out, fmt.Sprintf("%.0f %%", 100*meter.Spread(values)), times(r.Ratio(name, contend.Executor)))
		}
	}
	return out
}

func times(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "-"
	case ratio < 10:
		return fmt.Sprintf("%.2f", ratio)
	default:
		return fmt.Sprintf("%.0f", ratio)
	}
}

// absent says who has no result, grouped by reason.
func absent(b *strings.Builder, r *suite.Results) {
	var reasons []string
	names := map[string][]string{}
	for _, e := range r.Row.Entries {
		reason := e.Skip
		if err := r.Failed[e.Name]; err != nil {
			reason = "FAILED: " + firstLine(err)
		}
		if reason == "" {
			continue
		}
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], e.Name)
	}
	for _, reason := range reasons {
		fmt.Fprintf(b, "n/a: %s: %s.\n\n", strings.Join(names[reason], ", "), reason)
	}
}

func word(v suite.Verdict) string {
	switch {
	case !v.Known:
		return "unknown"
	case v.Met:
		return "met"
	default:
		return "not met"
	}
}
