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
	machine := report.ThisMachine()
	var lines bytes.Buffer
	raw := io.MultiWriter(stdout, &lines)
	if err := report.Preamble(raw, machine); err != nil {
		return false, err
	}
	all, clean, err := runAll(rows, f, machine, raw, stderr)
	if err != nil {
		return false, err
	}
	options := report.Options{Machine: machine, Command: command(f), Quick: f.quick, Rounds: f.rounds, Foreign: foreign}
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
	if err := os.WriteFile(filepath.Join(f.out, "results.txt"), lines.Bytes(), 0o644); err != nil {
		return false, err
	}
	return clean, writePage(filepath.Join(f.out, "BENCHMARKS.md"), page)
}

// runAll runs row after row, with a line on stderr that says how far it is.
func runAll(rows []suite.Row, f flags, machine report.Machine, raw, stderr io.Writer) ([]*suite.Results, bool, error) {
	plan := suite.Plan{Quick: f.quick, Rounds: f.rounds, Limit: 3 * time.Minute}
	if f.quick {
		plan.Limit = 40 * time.Second
	}
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
		if err := report.Line(raw, machine, r, entry, s); err != nil && writing == nil {
			writing = err
		}
	}
	var all []*suite.Results
	clean := true
	for _, r := range rows {
		began := time.Now()
		results, err := plan.Run(r)
		if err == nil {
			err = writing
		}
		if err != nil {
			return nil, false, err
		}
		for entry, err := range results.Failed {
			clean = false
			fmt.Fprintf(stderr, "\r\x1b[K%s: %s failed: %v\n", r.Name(), entry, err)
		}
		if f.times {
			fmt.Fprintf(stderr, "\r\x1b[K%6.1fs  %s\n", time.Since(began).Seconds(), r.Name())
		}
		all = append(all, results)
	}
	fmt.Fprint(stderr, "\r\x1b[K")
	return all, clean, nil
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
	if pattern := f.rows.String(); pattern != "" {
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
