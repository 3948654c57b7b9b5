// Checksum prints the SHA-256 of every regular file below a directory, as lines that `sha256sum -c` accepts:
//
//	go run ./examples/checksum DIR >sums
//	sha256sum -c --quiet sums
//
// It is a job with every kind of work in it. Disks make it wait, so files are opened and read inside
// executor.Blocking, which lends the slot to somebody who can use it. SHA-256 is plain Go and keeps a slot busy. A
// second checksum, CRC-32C, is computed by a C function: cgo calls hold an OS thread the scheduler cannot preempt, so
// a Bulkhead limits how many there are at once. No pool size is chosen anywhere: executor.New() has no arguments.
//
// Lines come in the order of a lexical walk: the names of one directory in byte order, what a directory contains in
// the place of its name. Memory is bounded, however many files there are and however large they are. Symbolic links
// below DIR are not followed; they, devices, sockets and pipes are passed over. A file or directory that cannot be
// read, or that changes while it is read, costs one line on standard error and the exit status 1; the others go on.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses, besides 0 and 128 plus the number of the signal that ended the program.
const (
	exitFailed = 1 // something could not be read, or the list could not be written
	exitUsage  = 2
)

func main() {
	// Without this a closed pipe on standard output kills the program before it can say so.
	signal.Ignore(syscall.SIGPIPE)
	if wasClosed(os.Stdout) {
		fmt.Fprintln(os.Stderr, "checksum: standard output is closed")
		os.Exit(exitFailed)
	}
	ctx, stop := untilSignal(context.Background(), defaultGrace, os.Exit)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	// Some file systems tell only now that there was no room.
	if err := os.Stdout.Close(); err != nil && status == 0 {
		fmt.Fprintln(os.Stderr, "checksum:", err)
		status = exitFailed
	}
	os.Exit(status)
}

// run is the program but for the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	flags := flag.NewFlagSet("checksum", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, "usage: checksum [-v] DIR\n"+
			"Prints the SHA-256 of every regular file below DIR, for sha256sum -c.\n")
		flags.PrintDefaults()
	}
	verbose := flags.Bool("v", false, "also print the CRC-32C of each file, on standard error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}
	// sha256sum would take a file called "-" for its standard input; ./- says what is meant.
	if flags.NArg() != 1 || flags.Arg(0) == "" || flags.Arg(0) == "-" {
		flags.Usage()
		return exitUsage
	}

	screen := newScreen(stderr)
	j := job{root: flags.Arg(0), verbose: *verbose, out: stdout, screen: screen, open: newOpener(stdout, stderr).open}
	err := j.run(ctx)
	sig, signaled := endedBy(ctx)
	switch {
	case signaled:
		screen.printf("checksum: %v, the list ends early", sig)
	case err != nil:
		screen.printf("checksum: %v", err)
	}
	j.total.print(screen)
	switch {
	case signaled:
		return exitSignal(sig)
	case err != nil || j.total.failed > 0:
		return exitFailed
	}
	return 0
}
