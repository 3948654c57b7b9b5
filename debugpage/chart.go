package debugpage

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// chart is one small line over the last minute.
type chart struct {
	Label, Value, Max string
	Lines             []string // points of each line; there is a gap where nothing was measured
	Bad               bool
}

func charts(history []Point) []chart {
	of := func(label string, value func(*Point) (v float64, known bool), text func(float64) string) chart {
		c := chart{Label: label, Value: "–", Max: "–"}
		values, top := make([]float64, len(history)), math.Inf(-1)
		for i := range history {
			v, known := value(&history[i])
			if values[i] = v; !known {
				values[i] = math.NaN()
				continue
			}
			top = max(top, v)
			c.Max = text(top)
		}
		if n := len(values); n > 0 && !math.IsNaN(values[n-1]) {
			c.Value = text(values[n-1])
		}
		c.Lines = sparklines(values, top)
		return c
	}
	known := func(value func(*Point) float64) func(*Point) (float64, bool) {
		return func(p *Point) (float64, bool) { return value(p), true }
	}
	all := []chart{
		of("Submitted", known(func(p *Point) float64 { return p.Submitted }), rateText),
		of("Completed", known(func(p *Point) float64 { return p.Completed }), rateText),
		of("Rejected", known(func(p *Point) float64 { return p.Rejected }), rateText),
		of("Queued", known(func(p *Point) float64 { return float64(p.Queued) }), countText),
		of("Wait, median", func(p *Point) (float64, bool) { return float64(p.WaitP50), p.Measured > 0 }, timeText),
		of("Wait, p99", func(p *Point) (float64, bool) { return float64(p.WaitP99), p.Measured > 0 }, timeText),
	}
	all[2].Bad = slices.ContainsFunc(history, func(p Point) bool { return p.Rejected > 0 })
	return all
}

const (
	chartWidth  = 4 * (historyLength - 1)
	chartHeight = 44
)

// sparklines returns the points of lines that end at the right edge, at most top high. A value that is not a number is
// a gap; a line has two points at least.
func sparklines(values []float64, top float64) (lines []string) {
	var points []string
	flush := func() {
		if len(points) > 1 {
			lines = append(lines, strings.Join(points, " "))
		}
		points = nil
	}
	for i, value := range values {
		if math.IsNaN(value) {
			flush()
			continue
		}
		y := chartHeight - 1.0
		if top > 0 {
			y -= value / top * (chartHeight - 3)
		}
		points = append(points, fmt.Sprintf("%d,%.1f", chartWidth-4*(len(values)-1-i), y))
	}
	flush()
	return lines
}

// Area closes a line to the ground.
func (v *section) Area(line string) string {
	first, _, _ := strings.Cut(line, ",")
	last, _, _ := strings.Cut(line[strings.LastIndexByte(line, ' ')+1:], ",")
	return fmt.Sprintf("%s,%d %s %s,%d", first, chartHeight, line, last, chartHeight)
}
