// Command compare runs the benchmarks of package suite, all contenders in turn
// round by round, and reports medians, ratios and goals.
//
// Its output is Go's benchmark format, which benchstat reads, followed by a
// page in Markdown. With -out DIR it also writes
//
//	results.txt      the benchmark lines, written after each row
//	BENCHMARKS.md    the page; in a page that exists, only the generated part is replaced
//	*.svg            pictures of some rows, and an overview
//
// A run that was interrupted goes on with -resume; -keep measures some rows anew, and
// leaves the others as they are. Such rows say when they were measured.
//
// Run it from the root of the repository with `go run ./benchmarks/cmd/compare`.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/seed-97bda89a/executor/benchmarks/internal/suite"
)

func main() { os.Exit(realMain(os.Args[1:], os.Stdout, os.Stderr)) }

// Exit codes.
const (
	ok       = 0
	failed   = 1
	badUsage = 2
)

// flags are what the command line says.
type flags struct {
	quick   bool
	list    bool
	times   bool
	keep    bool
	resume  bool
	rounds  int
	out     string
	foreign string
	rows    *regexp.Regexp
}

func realMain(args []string, stdout, stderr io.Writer) int {
	f, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return ok
	}
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return badUsage
	}
	var rows []suite.Row
	for _, r := range suite.All() {
		if f.rows.MatchString(r.Name()) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		fmt.Fprintf(stderr, "compare: -run %q matches no row; -list shows them\n", f.rows)
		return badUsage
	}
	if f.list {
		for _, r := range rows {
			fmt.Fprintf(stdout, "%-36s %s\n", r.Name(), r.Title)
		}
		return ok
	}
	begun := time.Now()
	clean, err := compare(rows, f, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return failed
	}
	fmt.Fprintf(stderr, "done in %v\n", time.Since(begun).Round(time.Second))
	if !clean {
		return failed
	}
	return ok
}

func parse(args []string, stderr io.Writer) (flags, error) {
	var f flags
	var pattern string
	set := flag.NewFlagSet("compare", flag.ContinueOnError)
	set.SetOutput(io.Discard) // the caller says what is wrong, once
	set.BoolVar(&f.quick, "quick", false, "small samples: orders of magnitude in under two minutes")
	set.BoolVar(&f.list, "list", false, "list the rows and stop")
	set.BoolVar(&f.times, "times", false, "say how long each row took")
	set.BoolVar(&f.keep, "keep", false, "with -out: rows that are not run now stay as its results.txt has them")
	set.BoolVar(&f.resume, "resume", false, "with -out: as -keep, and of the rows run only those that results.txt lacks, or has of another commit or with fewer rounds")
	set.IntVar(&f.rounds, "rounds", 5, "rounds of every row; fewer than 5 are no basis for a claim")
	set.StringVar(&f.out, "out", "", "`directory` for results.txt, BENCHMARKS.md and pictures; made if it is missing")
	set.StringVar(&f.foreign, "foreign", "benchmarks/foreign/results.txt", "`file` with the results of benchmarks/foreign/run.sh, if there is one")
	set.StringVar(&pattern, "run", "", "only rows whose name matches the `regexp`")
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "usage: compare [flags]")
		set.SetOutput(stderr)
		set.PrintDefaults()
		return f, err
	}
	if err != nil {
		return f, err
	}
	if set.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q; all settings are flags, see -help", set.Arg(0))
	}
	if f.rounds < 1 {
		return f, fmt.Errorf("-rounds %d: must be at least 1", f.rounds)
	}
	if (f.keep || f.resume) && f.out == "" {
		return f, errors.New("-keep and -resume need -out: they go on from its results.txt")
	}
	if f.rows, err = regexp.Compile(pattern); err != nil {
		return f, fmt.Errorf("-run: %w", err)
	}
	return f, nil
}
