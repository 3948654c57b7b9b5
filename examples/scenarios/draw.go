package main

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The size of a drawing, in its own units; the page scales it. A picture has so many cells in a lane at most, and so
// many lanes.
const (
	cells    = 450
	cellWide = 2
	maxLanes = 16
	laneHigh = 12
	laneGap  = 3
	axisHigh = 20
	palette  = 8 // colours that the style sheet has
)

// shades is how many steps there are from a cell that shows something short to a full one.
const shades = 4

// cell is what a piece of a lane shows.
type cell struct{ kind, shade int }

var nothing = cell{kind: idle}

// raster cuts a lane into cells, in which the most frequent kind wins; the shade says how much of the cell was
// anything at all.
func raster(lane []span, whole time.Duration) []cell {
	width := whole / cells
	if width == 0 {
		width = 1
	}
	parts := make([]map[int]time.Duration, cells)
	for _, s := range lane {
		if s.kind == idle {
			continue
		}
		for i := int(s.begin / width); i < cells && time.Duration(i)*width < s.end; i++ {
			if parts[i] == nil {
				parts[i] = map[int]time.Duration{}
			}
			left, right := time.Duration(i)*width, time.Duration(i+1)*width
			parts[i][s.kind] += min(s.end, right) - max(s.begin, left)
		}
	}
	row := make([]cell, cells)
	for i, part := range parts {
		row[i] = nothing
		var most, sum time.Duration
		for kind, d := range part {
			sum += d
			if d > most || d == most && kind > row[i].kind {
				most = d
				row[i].kind = kind
			}
		}
		if sum > 0 {
			row[i].shade = min(shades, int(math.Ceil(float64(shades)*float64(sum)/float64(width))))
		}
	}
	return row
}

// svg draws the first lanes, as if the picture had taken the time whole.
func (p picture) svg(title string, whole time.Duration) string {
	lanes := p.lanes[:min(len(p.lanes), maxLanes)]
	high := max(1, len(lanes))*(laneHigh+laneGap) + axisHigh
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, cells*cellWide, high, html.EscapeString(title))

	// One path for each colour and shade keeps the page small.
	paths := map[cell]*strings.Builder{}
	var order []cell
	for i, lane := range lanes {
		top := i * (laneHigh + laneGap)
		fmt.Fprintf(&b, `<rect class="lane" y="%d" width="%d" height="%d"/>`, top, cells*cellWide, laneHigh)
		row := raster(lane, whole)
		for from := 0; from < cells; {
			to := from + 1
			for to < cells && row[to] == row[from] {
				to++
			}
			if c := row[from]; c.kind != idle {
				if paths[c] == nil {
					paths[c] = &strings.Builder{}
					order = append(order, c)
				}
				fmt.Fprintf(paths[c], "M%d %dh%dv%dh-%dz", from*cellWide, top, (to-from)*cellWide, laneHigh, (to-from)*cellWide)
			}
			from = to
		}
	}
	for _, c := range order {
		fmt.Fprintf(&b, `<path class="%s s%d" d="%s"/>`, class(c.kind), c.shade, paths[c])
	}
	if p.took < whole { // after the end there was nothing to be idle
		x := int(int64(cells*cellWide) * int64(p.took) / int64(whole))
		fmt.Fprintf(&b, `<rect class="over" x="%d" width="%d" height="%d"/>`, x, cells*cellWide-x, high-axisHigh)
	}
	drawAxis(&b, whole, high)
	b.WriteString("</svg>")
	return b.String()
}

func class(kind int) string {
	if kind == blocked {
		return "blocked"
	}
	return fmt.Sprintf("c%d", kind%palette)
}

// drawAxis writes times below the lanes, at round numbers.
func drawAxis(b *strings.Builder, whole time.Duration, high int) {
	step := roundStep(whole)
	for at := time.Duration(0); at <= whole; at += step {
		x := int(int64(cells*cellWide) * int64(at) / int64(whole))
		anchor := "middle"
		switch {
		case at == 0:
			anchor = "start"
		case x > cells*cellWide-60:
			anchor = "end"
		}
		fmt.Fprintf(b, `<path class="tick" d="M%d 0v%d"/>`, x, high-axisHigh)
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s">%v</text>`, x, high-5, anchor, at)
	}
}

// roundStep is 1, 2 or 5 of some unit, and leads to four to ten steps.
func roundStep(whole time.Duration) time.Duration {
	step := time.Duration(1)
	for {
		for _, factor := range []time.Duration{1, 2, 5} {
			if whole/(step*factor) <= 8 {
				return step * factor
			}
		}
		step *= 10
	}
}
