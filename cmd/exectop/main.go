// Command exectop shows the executors of a process in a terminal, from the live page that the process serves:
//
//	go run github.com/seed-97bda89a/executor/cmd/exectop@latest http://localhost:8080/debug/executor/
//
// It reads the page's JSON, of any version of the library. Where standard output is no terminal, or with -once, it
// prints what it sees once and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/gdamore/tcell/v2"
	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command. It returns its exit code: 1 if the page can not be read, 2 if the call is wrong.
func run(args []string, out io.Writer, errs io.Writer) int {
	flags := flag.NewFlagSet("exectop", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Usage = func() {
		fmt.Fprintf(errs, "usage: exectop [flags] URL\n\nURL is that of a program's live page: http://localhost:8080/debug/executor/\n\n")
		flags.PrintDefaults()
		fmt.Fprintf(errs, "\n%s\n", keys)
	}
	every := flags.Duration("every", time.Second, "`time` between two looks, at least 100ms")
	name := flags.String("executor", "", "`name` of the executor to begin with")
	once := flags.Bool("once", false, "print what is seen once, and end")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if flags.NArg() != 1 || *every < 100*time.Millisecond {
		flags.Usage()
		return 2
	}
	page, err := newPage(flags.Arg(0))
	if err != nil {
		fmt.Fprintln(errs, "exectop:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	m := &model{name: *name}
	file, isFile := out.(*os.File)
	if *once || !isFile || !term.IsTerminal(int(file.Fd())) {
		m.put(page.look(ctx, m.name))
		if m.err != nil {
			fmt.Fprintln(errs, "exectop:", m.err)
			return 1
		}
		if err := printPlain(out, m); err != nil {
			fmt.Fprintln(errs, "exectop:", err)
			return 1
		}
		return 0
	}
	screen, err := tcell.NewScreen()
	if err == nil {
		err = screen.Init()
	}
	if err != nil {
		fmt.Fprintln(errs, "exectop:", err)
		return 1
	}
	defer screen.Fini()
	watch(ctx, screen, page, m, *every)
	return 0
}
