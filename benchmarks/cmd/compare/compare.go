package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/meter"
	"github.com/seed-97bda89a/executor/benchmarks/internal/report"
	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

// compare runs the rows and writes everything. It says whether every contender
// gave a result.
func compare(rows []suite.Row, f flags, stdout, stderr io.Writer) (clean bool, err error) {
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o755); err != nil {
			return false, err
		}
	}
	foreign, err := report.ReadForeign(f.foreign)
	if err != nil {
		return false, err
	}
	book := &book{machine: report.ThisMachine(), quick: f.quick, known: map[string]*suite.Results{}, from: map[string]report.Origin{}}
	if f.out != "" {
		book.path = filepath.Join(f.out, "results.txt")
	}
	if f.keep || f.resume {
		if err := book.read(); err != nil {
			return false, err
		}
	}
	if f.resume {
		rows = book.missing(rows, f.plan())
	}
	if err := report.Preamble(stdout, book.machine); err != nil {
		return false, err
	}
	clean, err = runAll(rows, f, book, stdout, stderr)
	if err != nil {
		return false, err
	}
	all := book.all()
	options := report.Options{Machine: book.machine, Command: command(f), Quick: f.quick, Rounds: f.rounds, From: book.from, Foreign: foreign}
	if f.out != "" {
		if options.Plots, err = report.Plots(f.out, all); err != nil {
			return false, err
		}
	}
	page := report.Page(all, options)
	if _, err := io.WriteString(stdout, "\n"+page); err != nil {
		return false, err
	}
	if f.out == "" {
		return clean, nil
	}
	return clean, writePage(filepath.Join(f.out, "BENCHMARKS.md"), page)
}

// A book holds the results of all rows, and keeps them in a file.
type book struct {
	path    string // "": no file
	machine report.Machine
	quick   bool
	known   map[string]*suite.Results
	from    map[string]report.Origin
}

// read takes over what is in the file, if there is one.
func (b *book) read() error {
	file, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	if b.known, b.from, err = report.Read(file, b.machine, suite.All()); err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}

// missing returns those of the rows of which the book has not as many rounds as planned, of this commit.
func (b *book) missing(rows []suite.Row, plan suite.Plan) (out []suite.Row) {
	for _, r := range rows {
		got := b.known[r.Name()]
		if got == nil || b.from[r.Name()] != b.machine.Now(b.quick) || b.machine.Changed ||
			got.Rounds() < plan.RoundsOf(r) || len(got.Failed) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// add replaces a row's results, in the file too.
func (b *book) add(r *suite.Results) error {
	b.known[r.Row.Name()] = r
	b.from[r.Row.Name()] = b.machine.Now(b.quick)
	if b.path == "" {
		return nil
	}
	var text bytes.Buffer
	if err := report.Write(&text, b.machine, b.all(), b.from); err != nil {
		return err
	}
	if err := os.WriteFile(b.path+".new", text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(b.path+".new", b.path)
}

// all returns what is known, in the order of the page.
func (b *book) all() (out []*suite.Results) {
	for _, r := range suite.All() {
		if got := b.known[r.Name()]; got != nil {
			out = append(out, got)
		}
	}
	return out
}

// plan is what the flags say of each row.
func (f flags) plan() suite.Plan {
	p := suite.Plan{Quick: f.quick, Rounds: f.rounds, Limit: 3 * time.Minute}
	if f.quick {
		p.Limit = 40 * time.Second
	}
	return p
}

// runAll runs row after row, with a line on stderr that says how far it is.
func runAll(rows []suite.Row, f flags, book *book, raw, stderr io.Writer) (clean bool, err error) {
	plan := f.plan()
	total, done := 0, 0
	for _, r := range rows {
		total += plan.RoundsOf(r) * running(r)
	}
	begun := time.Now()
	var writing error
	plan.Before = func(r suite.Row, entry string, round, rounds int) {
		fmt.Fprintf(stderr, "\r\x1b[K%3d%% %4.0fs  %s, round %d of %d: %s",
			100*done/total, time.Since(begun).Seconds(), r.Name(), round+1, rounds, entry)
		done++
	}
	plan.After = func(r suite.Row, entry string, s meter.Sample) {
		if err := report.Line(raw, book.machine, r, entry, s); err != nil && writing == nil {
			writing = err
		}
	}
	clean = true
	for _, r := range rows {
		began := time.Now()
		results, err := plan.Run(r)
		if err == nil {
			err = writing
		}
		if err == nil {
			err = book.add(results)
		}
		if err != nil {
			return false, err
		}
		for entry, err := range results.Failed {
			clean = false
			fmt.Fprintf(stderr, "\r\x1b[K%s: %s failed: %v\n", r.Name(), entry, err)
		}
		if f.times {
			fmt.Fprintf(stderr, "\r\x1b[K%6.1fs  %s\n", time.Since(began).Seconds(), r.Name())
		}
	}
	fmt.Fprint(stderr, "\r\x1b[K")
	return clean, nil
}

// running counts the entries that do something.
func running(r suite.Row) (n int) {
	for _, e := range r.Entries {
		if e.Run != nil {
			n++
		}
	}
	return n
}

// command is how to make the page again.
func command(f flags) string {
	s := []string{"go run ./benchmarks/cmd/compare"}
	if f.quick {
		s = append(s, "-quick")
	}
	if pattern := f.rows.String(); pattern != "" && !f.keep && !f.resume { // else the page has more than these
		s = append(s, fmt.Sprintf("-run '%s'", pattern))
	}
	if f.rounds != 5 {
		s = append(s, fmt.Sprintf("-rounds %d", f.rounds))
	}
	return strings.Join(s, " ")
}

// writePage writes the page, or the generated part of one that exists.
func writePage(path, generated string) error {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	page, err := report.Merge(string(old), generated)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(page), 0o644)
}
