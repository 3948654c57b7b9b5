package report

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Figures in prose, and the rows of docs/BENCHMARKS.md that they must agree with. After a new run either the sentence or
// what it is compared with changes, never the row.

// figure is one number in prose, or a range, in nanoseconds.
type figure struct {
	file, sentence string // a regular expression with the number, or both ends of the range, in brackets
	want           string // row, contender, column; or the difference of two contenders: "row | a - b | time"
	times          float64
	slack          float64 // by which factor the two may differ; if most is set, only up
	most           bool    // the sentence says how much it is at most
}

var figures = []figure{
	{"budget.go", `It costs about ([\d.]+) ns while the budget lasts`, "Checkpoint/budget=left | executor | time", 1, 1.5, false},
	{"blocking.go", `A call that lends nothing costs about ([\d.]+) ns`, "Blocking/queue=empty | executor | time", 1, 1.5, false},
	{"docs/ARCHITECTURE.md", `one compare-and-swap to come back, ([\d.]+) to ([\d.]+) ns each`, "Blocking/queue=empty | executor | time", 2, 1.5, false},
	{"fork.go", `Cost, with its Join: about ([\d.]+) ns, and no allocation but the closure`, "Fork/fib | executor | time", 1, 1.5, false},
	{"docs/ARCHITECTURE.md", `some 20 ns of the ([\d.]+) to ([\d.]+) ns of processor time that an empty task takes`, "Submit/outside=1 | executor | time", 1, 1.25, false},
	{"docs/OBSERVING.md", `a meter costs up to ([\d.]+) ns`, "Telemetry/outside=1 | executor-meter - executor | time", 1, 1.25, true},
	{"docs/OBSERVING.md", `a parent that is not sampled up to ([\d.]+) ns`, "Telemetry/outside=1 | executor-tracer - executor | time", 1, 1.25, true},
}

// elsewhere are sentences with nanoseconds that are not of the run: what was measured says so, or is nobody's to compare.
var elsewhere = []string{
	`some 20 ns of the`, // of locked instructions, on no row of their own
	`40 ns the first time`, `costs about 200 ns if nobody`, `It takes about 200 ns`,
	`tasks with a name less than 10 ns`, // go test -bench Named, of the root package
	`some 20 ns a call`,                 // exechttp, of a request that takes microseconds
}

// rows reads the tables of the published run: row, contender and column to what the cell says.
func rows(t *testing.T) map[string]string {
	t.Helper()
	cells := make(map[string]string)
	var row string
	var columns []string
	for line := range strings.Lines(read(t, "docs/BENCHMARKS.md")) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "### "); ok {
			row, _, _ = strings.Cut(title, ":")
			columns = nil
		}
		if row == "" || !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		for i := range fields {
			fields[i] = strings.Trim(fields[i], " *")
		}
		if columns == nil {
			columns = fields
			continue
		}
		for i, column := range columns[:min(len(columns), len(fields))] {
			cells[row+" | "+fields[0]+" | "+column] = fields[i]
		}
	}
	return cells
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// flat is a text without line breaks, and without what begins a line of a comment.
func flat(text string) string {
	return regexp.MustCompile(`\s*\n(?://)?\s*`).ReplaceAllString(text, " ")
}

// nanoseconds reads a cell: 37.2 ns, 3.88 µs, 107 ms.
func nanoseconds(cell string) (float64, error) {
	number, unit, _ := strings.Cut(cell, " ")
	n, err := strconv.ParseFloat(number, 64)
	factor, ok := map[string]float64{"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
	if err != nil || !ok {
		return 0, fmt.Errorf("%q is no time", cell)
	}
	return n * factor, nil
}

// measured is what the run says of "row | contender | column".
func measured(cells map[string]string, want string) (ns float64, said string, err error) {
	parts := strings.Split(want, " | ")
	sign := 1.0
	for _, contender := range strings.Split(parts[1], " - ") {
		key := parts[0] + " | " + contender + " | " + parts[2]
		cell, ok := cells[key]
		if !ok {
			return 0, "", fmt.Errorf("the run has no cell %q", key)
		}
		n, err := nanoseconds(cell)
		if err != nil {
			return 0, "", err
		}
		ns, said, sign = ns+sign*n, said+" - "+cell, -1
	}
	return ns, strings.TrimPrefix(said, " - "), nil
}

// contradicts says how a sentence differs from the run, or nothing.
func (f figure) contradicts(sentence []string, ns float64) string {
	low, _ := strconv.ParseFloat(sentence[1], 64)
	high := low
	if len(sentence) > 2 {
		high, _ = strconv.ParseFloat(sentence[2], 64)
	}
	low, high = low*f.times/f.slack, high*f.times*f.slack
	if f.most {
		low = 0
	}
	if ns >= low && ns <= high || f.most && ns < low {
		return ""
	}
	return fmt.Sprintf("%.3g ns are outside of %.3g to %.3g ns, which is what the sentence allows", ns, low, high)
}

// A figure in prose is what the last published run measured. It fails with the sentence and the row: correct the
// sentence. Mutants: 10 ns for a Blocking call; a row that is called otherwise; a sentence that is gone.
func TestProse_FiguresAreThoseOfTheRun(t *testing.T) {
	cells := rows(t)
	if len(cells) < 100 {
		t.Fatalf("only %d cells were read from docs/BENCHMARKS.md", len(cells))
	}
	for _, f := range figures {
		found := regexp.MustCompile(f.sentence).FindStringSubmatch(flat(read(t, f.file)))
		if found == nil {
			t.Errorf("%s: no sentence is like %q any more: change or remove its line in figures", f.file, f.sentence)
			continue
		}
		ns, said, err := measured(cells, f.want)
		if err != nil {
			t.Errorf("%s: %q can not be compared: %v", f.file, found[0], err)
			continue
		}
		if text := f.contradicts(found, ns); text != "" {
			t.Errorf("%s says %q; the run says %s for %q: %s", f.file, found[0], said, f.want, text)
		}
	}
}

// Nobody writes a figure in nanoseconds that is compared with nothing. Mutant: such a sentence in the README.
func TestProse_NoFigureIsForgotten(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md", "*.go", "exechttp/*.go", "execsql/*.go", "debugpage/*.go"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		file, _ := filepath.Rel(filepath.Join("..", "..", ".."), path)
		file = filepath.ToSlash(file)
		switch file {
		case "docs/BENCHMARKS.md", "CHANGELOG.md": // the run; and what was measured before
			continue
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := read(t, file)
		if strings.HasSuffix(file, ".go") { // comments alone
			text = strings.Join(regexp.MustCompile(`(?m)//.*$`).FindAllString(text, -1), "\n")
		}
		text = flat(text)
		for _, f := range figures {
			if f.file == file {
				text = regexp.MustCompile(f.sentence).ReplaceAllString(text, "")
			}
		}
		for _, sentence := range elsewhere {
			text = regexp.MustCompile(sentence).ReplaceAllString(text, "")
		}
		for _, at := range regexp.MustCompile(`[\d.]+ ns\b`).FindAllStringIndex(text, -1) {
			t.Errorf("%s: %q is in neither list of prose_test.go", file, text[max(0, at[0]-60):min(len(text), at[1]+20)])
		}
	}
}

// README says against how many others the rows are.
func TestProse_TheNumberOfContenders(t *testing.T) {
	_, text, found := strings.Cut(read(t, "docs/BENCHMARKS.md"), "## Contenders\n")
	text, _, _ = strings.Cut(text, "\n## ")
	others := strings.Count(text, "\n| ") - 2 // the heading, and the executor
	words := []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
	if !found || others < 1 || others >= len(words) {
		t.Fatalf("%d contenders were read from docs/BENCHMARKS.md", others)
	}
	if says := "measured against " + words[others] + " other ways"; !strings.Contains(flat(read(t, "README.md")), says) {
		t.Errorf("README.md does not say %q, as the table of contenders of docs/BENCHMARKS.md does", says)
	}
}
