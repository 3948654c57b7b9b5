package executor

import (
	"fmt"
	"slices"
	"strings"
)

// chart is one small line over the last minute.
type chart struct {
	Label, Value, Max string
	Line              string // points of the line; "" while there are fewer than two
	Bad               bool
}

func charts(history []DebugPoint) []chart {
	of := func(label string, value func(*DebugPoint) float64, text func(float64) string) chart {
		values := make([]float64, len(history))
		for i := range history {
			values[i] = value(&history[i])
		}
		c := chart{Label: label, Value: "–", Max: "–"}
		if n := len(values); n > 0 {
			top := slices.Max(values)
			c.Value, c.Max, c.Line = text(values[n-1]), text(top), sparkline(values, top)
		}
		return c
	}
	all := []chart{
		of("Submitted", func(p *DebugPoint) float64 { return p.Submitted }, rateText),
		of("Completed", func(p *DebugPoint) float64 { return p.Completed }, rateText),
		of("Rejected", func(p *DebugPoint) float64 { return p.Rejected }, rateText),
		of("Queued", func(p *DebugPoint) float64 { return float64(p.Queued) }, countText),
		of("Wait, median", func(p *DebugPoint) float64 { return float64(p.WaitP50) }, timeText),
		of("Wait, p99", func(p *DebugPoint) float64 { return float64(p.WaitP99) }, timeText),
	}
	all[2].Bad = slices.ContainsFunc(history, func(p DebugPoint) bool { return p.Rejected > 0 })
	return all
}

const (
	chartWidth  = 4 * (historyLength - 1)
	chartHeight = 44
)

// sparkline returns the points of a line that ends at the right edge, at most top high.
func sparkline(values []float64, top float64) string {
	if len(values) < 2 {
		return ""
	}
	var b strings.Builder
	for i, value := range values {
		y := chartHeight - 1.0
		if top > 0 {
			y -= value / top * (chartHeight - 3)
		}
		fmt.Fprintf(&b, "%d,%.1f ", chartWidth-4*(len(values)-1-i), y)
	}
	return strings.TrimSuffix(b.String(), " ")
}

// Area closes a line to the ground.
func (v *section) Area(line string) string {
	first, _, _ := strings.Cut(line, ",")
	return fmt.Sprintf("%s,%d %s %d,%d", first, chartHeight, line, chartWidth, chartHeight)
}
