// Scenarios shows the failures that an executor ends. Each one runs twice on this machine: the way people write it
// first, and with the executor.
//
//	go run ./examples/scenarios                    # all of them, as a table; a minute or so
//	go run ./examples/scenarios -list              # their names
//	go run ./examples/scenarios -run tight-loop    # one of them, or several with commas between
//	go run ./examples/scenarios -html page.html    # also a page with a timeline of every worker
//
// The first way is never a straw man: it is what a competent person writes without knowing better, and it does what
// it is meant to as long as the load is kind. scenario.go has the list; each scenario is in a file of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// errUsage is matched by errors about the command line.
var errUsage = errors.New("see -help")

func main() {
	if told() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the scenario to end
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		os.Exit(1)
	}
}

// run is the program but for the process around it.
func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) error {
	flags := flag.NewFlagSet("scenarios", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("run", "", "the `NAME` of a scenario, or several with commas between; all if empty")
	list := flags.Bool("list", false, "list the scenarios and leave")
	html := flags.String("html", "", "write a page with timelines to `FILE`")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return fmt.Errorf("wrong flags: %w", errUsage)
	case flags.NArg() > 0:
		return fmt.Errorf("%q: there are no arguments, only flags: %w", flags.Arg(0), errUsage)
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	if *list {
		return printList(stdout, chosen)
	}
	page, err := createPage(*html) // before the run, which would be lost if it can not be written
	if err != nil {
		return err
	}
	defer page.close()

	bar := newBar(stderr, 2*len(chosen))
	defer bar.finish()
	table := newTable(stdout)
	var outcomes []outcome
	for _, s := range chosen {
		o := perform(ctx, s, 1, bar)
		if ctx.Err() != nil {
			break // the user has seen enough
		}
		bar.clear()
		if o.err != nil {
			return fmt.Errorf("%s: %w", s.name, o.err)
		}
		if err := table.print(o); err != nil {
			return err
		}
		outcomes = append(outcomes, o)
	}
	return page.write(outcomes)
}

// choose returns the scenarios of a comma-separated list of names, in the order of the table; all if it is empty.
func choose(names string) ([]scenario, error) {
	if names == "" {
		return scenarios, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(names, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []scenario
	for _, s := range scenarios {
		if wanted[s.name] {
			chosen = append(chosen, s)
			delete(wanted, s.name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("no scenario is called %q, -list prints those that are: %w", name, errUsage)
	}
	return chosen, nil
}
