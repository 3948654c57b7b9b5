package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// The widths of the columns. Lines are printed as the scenarios end, so they can not depend on what comes; a test
// checks that everything fits.
const (
	maxName     = 16
	maxMeasured = 30
	maxBefore   = 14
	maxAfter    = 18
	maxRatio    = 13
	atLeast     = 36 // letters for the explanation, and
	otherwise   = 60 // where nobody knows how wide the screen is
)

var widths = []int{maxName, maxMeasured, maxBefore, maxAfter, maxRatio}

// table prints outcomes in aligned columns.
type table struct {
	out     io.Writer
	explain int // the width of the last column
	begun   bool
}

func newTable(out io.Writer) *table {
	t := &table{out: out, explain: otherwise}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			t.explain = max(atLeast, width-len(pad("", "", "", "", "")))
		}
	}
	return t
}

// print adds a scenario: a line for each thing measured, the explanation beside them, and remarks below.
func (t *table) print(o outcome) error {
	var b strings.Builder
	if !t.begun {
		b.WriteString(pad("name", "measured", "before", "with the executor", "ratio") + "what happens\n")
		t.begun = true
	}
	rows, explanation := o.rows(), wrap(o.scenario.explain, t.explain)
	if o.skipped != "" {
		rows, explanation = []row{{measured: "-", before: "-", after: "-"}}, wrap("Skipped: "+o.skipped, t.explain)
	}
	name := o.scenario.name
	for i := range max(len(rows), len(explanation)) {
		var r row
		if i < len(rows) {
			r = rows[i]
		}
		line := pad(name, r.measured, r.before, r.after, r.ratio)
		if i < len(explanation) {
			line += explanation[i]
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		name = ""
	}
	for _, remark := range o.remarks() {
		for _, line := range wrap(remark, t.explain+maxMeasured+maxBefore+maxAfter+maxRatio) {
			b.WriteString(pad("") + line + "\n")
		}
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// pad makes columns as wide as they must be, with two blanks between.
func pad(columns ...string) string {
	var b strings.Builder
	for i, c := range columns {
		b.WriteString(c + strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(c))+2))
	}
	return b.String()
}

// wrap breaks a text into lines.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

func printList(out io.Writer, chosen []scenario) error {
	for _, s := range chosen {
		if _, err := fmt.Fprintf(out, "%-*s  %s\n", maxName, s.name, s.explain); err != nil {
			return err
		}
	}
	return nil
}
