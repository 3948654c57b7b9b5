package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"runtime"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is the file that -html names; a nil one writes nothing.
type page struct{ file *os.File }

func createPage(name string) (*page, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return &page{f}, nil
}

func (p *page) close() {
	if p != nil {
		p.file.Close() // write has looked for errors
	}
}

// write writes a page that needs no other file.
func (p *page) write(outcomes []outcome) error {
	if p == nil {
		return nil
	}
	data := struct {
		Go, Platform string
		Processors   int
		Scenarios    []pageScenario
	}{Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.GOMAXPROCS(0)}
	for _, o := range outcomes {
		data.Scenarios = append(data.Scenarios, newPageScenario(o))
	}
	if err := pageTemplate.Execute(p.file, data); err != nil {
		return err
	}
	return p.file.Sync()
}

// pageScenario is what the page says about one scenario.
type pageScenario struct {
	Name, Explain, Skipped string
	Rows                   []pageRow
	Remarks                []string
	Figures                []pageFigure
	Zoomed                 bool // the two timelines have scales of their own
}

type pageRow struct{ Measured, Before, After, Ratio string }

type pageFigure struct {
	Side, With string
	Drawing    template.HTML
	Labels     []pageLabel
	Blocked    bool
	Hidden     string // how many lanes are not drawn; empty if all are
}

type pageLabel struct{ Class, Name string }

// alike is how many times as long one side may take and still share a scale with the other.
const alike = 10

func newPageScenario(o outcome) pageScenario {
	s := pageScenario{Name: o.scenario.name, Explain: o.scenario.explain, Skipped: o.skipped}
	if o.skipped != "" {
		return s
	}
	for _, r := range o.rows() {
		s.Rows = append(s.Rows, pageRow{r.measured, r.before, r.after, r.ratio})
	}
	s.Remarks = o.remarks()
	before, after := o.before.timeline, o.after.timeline
	longest := max(before.took, after.took)
	s.Zoomed = min(before.took, after.took)*alike < longest
	scale := func(p picture) time.Duration {
		if s.Zoomed {
			return p.took
		}
		return longest
	}
	// Both sides give a task the same colour if they give it the same name.
	labels := before.labels
	after = after.relabel(&labels)
	s.Figures = []pageFigure{
		newPageFigure("Before", o.scenario.beforeWith, before, labels, scale(before)),
		newPageFigure("With the executor", o.scenario.afterWith, after, labels, scale(after)),
	}
	return s
}

func newPageFigure(name, with string, p picture, labels []string, whole time.Duration) pageFigure {
	title := fmt.Sprintf("%s: %s", name, with)
	f := pageFigure{
		Side: name, With: with,
		Drawing: template.HTML(p.svg(title, whole)), // made of numbers and of the escaped title
	}
	if more := len(p.lanes) - maxLanes; more > 0 {
		f.Hidden = formatCount(float64(more))
	}
	seen := map[int]bool{}
	for _, lane := range p.lanes {
		for _, s := range lane {
			seen[s.kind] = true
		}
	}
	for i, label := range labels {
		if seen[i] {
			f.Labels = append(f.Labels, pageLabel{class(i), label})
		}
	}
	f.Blocked = seen[blocked]
	return f
}

// relabel numbers the labels of a picture as in the list, and adds those that are not in it.
func (p picture) relabel(labels *[]string) picture {
	number := make([]int, len(p.labels))
	for i, label := range p.labels {
		number[i] = -1
		for j, known := range *labels {
			if label == known {
				number[i] = j
			}
		}
		if number[i] < 0 {
			number[i] = len(*labels)
			*labels = append(*labels, label)
		}
	}
	for _, lane := range p.lanes {
		for i, s := range lane {
			if s.kind >= 0 {
				lane[i].kind = number[s.kind]
			}
		}
	}
	return p
}
