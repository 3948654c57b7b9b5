package report

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"

	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// Colours that are told apart by everybody.
var (
	ours    = color.RGBA{R: 0x00, G: 0x72, B: 0xb2, A: 0xff}
	others  = color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff}
	lost    = color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff}
	barStep = vg.Points(15)
)

// Plots writes the pictures into dir and returns their file names by row name;
// "" is the overview.
func Plots(dir string, all []*suite.Results) (map[string]string, error) {
	files := map[string]string{}
	save := func(row, file string, p *plot.Plot, bars int) error {
		files[row] = file
		height := vg.Length(bars)*(barStep+vg.Points(7)) + vg.Points(70)
		return writeSVG(filepath.Join(dir, file), p, 17*vg.Centimeter, height)
	}
	for _, r := range all {
		names := ranked(r)
		if !r.Row.Plot || len(names) < 2 {
			continue
		}
		p, err := rowPlot(r, names)
		if err != nil {
			return nil, err
		}
		if err := save(r.Row.Name(), fileName(r.Row.Name()), p, len(names)); err != nil {
			return nil, err
		}
	}
	p, bars, err := overview(all)
	if err != nil || bars == 0 {
		return files, err
	}
	return files, save("", "overview.svg", p, bars)
}

// writeSVG writes a picture by way of a file in memory, so that a failure
// leaves no half of one.
func writeSVG(path string, p *plot.Plot, width, height vg.Length) error {
	w, err := p.WriterTo(width, height, "svg")
	if err != nil {
		return err
	}
	var b strings.Builder
	if _, err := w.WriteTo(&b); err != nil {
		return err
	}
	// The font is not in the picture; these have the same widths.
	svg := strings.ReplaceAll(b.String(), "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")
	return os.WriteFile(path, []byte(svg), 0o644)
}

// newPlot returns an empty plot with a title and a label below.
func newPlot(title, below string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Points(10)
	p.X.Label.Text = below
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant = "Sans"
	}
	return p
}

// fileName makes a row's name fit for a file.
func fileName(row string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		default:
			return '-'
		}
	}, strings.ToLower(row))
	return strings.Trim(clean, "-") + ".svg"
}

// rowPlot draws a bar a contender, the best on top.
func rowPlot(r *suite.Results, names []string) (*plot.Plot, error) {
	unit := r.Row.MainUnit()
	p := newPlot(r.Row.Title, fmt.Sprintf("%s, per %s; shorter is better", strings.TrimSuffix(unit, "/op"), r.Row.Op))
	slices.Reverse(names) // the axis counts upwards
	own, rest := make(plotter.Values, len(names)), make(plotter.Values, len(names))
	labels := make([]string, len(names))
	for i, name := range names {
		v := r.Median(name, unit)
		labels[i] = name + "  " + suite.Format(v, unit)
		if strings.HasPrefix(name, contend.Executor) {
			own[i] = v
		} else {
			rest[i] = v
		}
	}
	p.X.Min = 0
	return p, bars(p, labels, map[color.Color]plotter.Values{ours: own, others: rest})
}

// overview draws the distance to the best other contender of every row, as a
// power of two: to the right of the middle the executor is ahead.
func overview(all []*suite.Results) (*plot.Plot, int, error) {
	p := newPlot("Best other contender / executor", "right of 1x: the executor is ahead")
	p.X.Tick.Marker = plot.TickerFunc(powersOfTwo)
	var labels []string
	var ahead, behind plotter.Values
	for _, r := range slices.Backward(all) {
		rival, ratio := bestRival(r)
		if rival == "" || ratio <= 0 {
			continue
		}
		labels = append(labels, r.Row.Name()+"  ("+rival+")")
		x := max(-maxPower, min(maxPower, math.Log2(ratio)))
		ahead, behind = append(ahead, max(x, 0)), append(behind, min(x, 0))
	}
	if len(labels) == 0 {
		return p, 0, nil
	}
	return p, len(labels), bars(p, labels, map[color.Color]plotter.Values{ours: ahead, lost: behind})
}

// maxPower is where bars of the overview are cut off.
const maxPower = 5.0

func powersOfTwo(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for x := math.Floor(low); x <= math.Ceil(high); x++ {
		label := fmt.Sprintf("%gx", math.Exp2(x))
		if x < 0 {
			label = fmt.Sprintf("1/%gx", math.Exp2(-x))
		}
		ticks = append(ticks, plot.Tick{Value: x, Label: label})
	}
	return ticks
}

// bars puts horizontal bars with labels on the left.
func bars(p *plot.Plot, labels []string, groups map[color.Color]plotter.Values) error {
	for c, values := range groups {
		b, err := plotter.NewBarChart(values, barStep)
		if err != nil {
			return err
		}
		b.Horizontal = true
		b.Color = c
		b.LineStyle.Width = 0
		p.Add(b)
	}
	p.NominalY(labels...)
	return nil
}
