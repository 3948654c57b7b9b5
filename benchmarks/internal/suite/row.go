// Package suite holds the benchmarks: each row is one kind of work, done by
// several contenders with the same code, with the goals that were set for it.
package suite

import (
	"github.com/seed-97bda89a/executor/benchmarks/internal/contend"
	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
)

// A Row is one kind of work and everybody who does it.
type Row struct {
	Group    string // the Go benchmark is called Benchmark<Group>
	Scenario string
	Title    string // one line for a table
	Op       string // what one operation is: "task", "fork"
	Unit     string // the number that counts; ns/op when empty

	// Size is the number of operations in a sample, or whatever else says how
	// big it is. QuickSize is the same for a quick look.
	Size, QuickSize int
	// Whole says that a sample is one piece of work of that size, not a
	// number of equal operations: testing.B then repeats it as it is.
	Whole bool
	// QuickRounds is how often a quick look repeats the row; 0 = as asked.
	QuickRounds int

	// Setup makes what all contenders share, and returns what frees it.
	Setup   func(quick bool) (teardown func(), err error)
	Entries []Entry
	Goals   []Goal

	Note    string // what a reader has to know
	Foreign string // what benchmarks/foreign calls the same work in other languages
	Plot    bool   // worth a picture
}

// Name is the row's name: group and scenario.
func (r Row) Name() string { return r.Group + "/" + r.Scenario }

// MainUnit is the unit of the number that counts.
func (r Row) MainUnit() string {
	if r.Unit == "" {
		return meter.NsPerOp
	}
	return r.Unit
}

// SizeFor returns the size of a sample.
func (r Row) SizeFor(quick bool) int {
	if quick {
		return r.QuickSize
	}
	return r.Size
}

// An Entry is one contender in a row.
type Entry struct {
	Name string
	Run  func(m *meter.Meter) error
	Skip string // why this contender cannot do this work; Run is nil then
}

// entriesFor makes an entry for each contender. The body gets an open pool, and
// brackets what counts.
func entriesFor(cs []contend.Contender, body func(m *meter.Meter, c contend.Contender, p contend.Pool) error) []Entry {
	var out []Entry
	for _, c := range cs {
		out = append(out, Entry{Name: c.Name, Run: func(m *meter.Meter) error {
			return withPool(m, c, contend.Config{Slots: m.Slots}, func(p contend.Pool) error { return body(m, c, p) })
		}})
	}
	return out
}

// withPool opens a pool, runs body, and adds the pool's own counts to the
// sample.
func withPool(m *meter.Meter, c contend.Contender, cfg contend.Config, body func(contend.Pool) error) error {
	p, err := c.Open(cfg)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := body(p); err != nil {
		return err
	}
	report(m, p)
	return nil
}

// report adds what a pool knows about its own work to the sample.
func report(m *meter.Meter, p contend.Pool) {
	if counter, ok := p.(contend.Counter); ok {
		stolen, parks := counter.Counts()
		ops := float64(m.OpsDone())
		m.Set("steals/op", float64(stolen)/ops)
		m.Set("parks/op", float64(parks)/ops)
	}
}

// skipped lists contenders that cannot do a row's work, with one reason.
func skipped(reason string, names ...string) []Entry {
	var out []Entry
	for _, name := range names {
		out = append(out, Entry{Name: name, Skip: reason})
	}
	return out
}

// concat joins lists of entries.
func concat(lists ...[]Entry) []Entry {
	var out []Entry
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
