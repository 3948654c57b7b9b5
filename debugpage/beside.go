package debugpage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// Table is something of the process beside its executors, as text: a queue at a broker, a cache. It is shown below the executors.
type Table struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"` // names of the columns; the first names the rows
	Rows  [][]string `json:"rows"`
	Notes []string   `json:"notes,omitempty"` // what is not as it should be, and what to do about it
}

// Show adds tables to all pages of this process, in every format, until hide is called. read is called at each look, so it must be quick, may be
// called from any goroutine, and must not change what it returned. Package jobs/jobspage shows queues of jobs so.
func Show(read func() []Table) (hide func()) {
	if read == nil {
		panic("debugpage: Show: read must not be nil")
	}
	shown.mu.Lock()
	defer shown.mu.Unlock()
	entry := &read
	shown.all = append(shown.all, entry)
	return func() {
		shown.mu.Lock()
		defer shown.mu.Unlock()
		shown.all = slices.DeleteFunc(slices.Clone(shown.all), func(e *func() []Table) bool { return e == entry })
	}
}

var shown struct {
	mu  sync.Mutex // a leaf
	all []*func() []Table
}

// tables are what Show was given, in that order.
func tables() (all []Table) {
	shown.mu.Lock()
	list := shown.all
	shown.mu.Unlock()
	for _, read := range list {
		all = append(all, (*read)()...)
	}
	return all
}

func writeTextTables(b *bytes.Buffer) {
	columns := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, t := range tables() {
		fmt.Fprintf(columns, "\n%s\n", printable(t.Title))
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			cells := make([]string, len(row))
			for j, cell := range row {
				cells[j] = printable(cell)
			}
			fmt.Fprintf(columns, "  %s\n", strings.Join(cells, "\t"))
		}
		_ = columns.Flush()
		for _, note := range t.Notes {
			fmt.Fprintf(b, "\n! %s\n", printable(note))
		}
	}
}
