// Service is an HTTP service whose requests compute. Its parts are meant to be copied:
//
//	go run ./examples/service
//	go run ./examples/service load
//
// The first serves on 127.0.0.1:8080 until SIGTERM or Ctrl-C, the second sends it requests for ten seconds from
// another terminal. README.md beside this file says which part is where.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses, besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// The first signal ends ctx. From then on nobody asks for signals, so the second one ends the process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program but for the process around it. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr *os.File) int {
	if len(args) > 0 && args[0] == "load" {
		cfg, err := parseLoad(args[1:], stderr)
		if err != nil {
			return usage(err, stderr)
		}
		if err := runLoad(ctx, cfg, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, "service load:", err)
			return exitFailed
		}
		return 0
	}
	cfg, err := parseServe(args, stderr)
	if err != nil {
		return usage(err, stderr)
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	if err := serve(ctx, cfg, log, stdout); err != nil {
		log.Error("service ends", "error", err)
		return exitFailed
	}
	return 0
}

// usage tells what is wrong with the arguments, unless the flag package has.
func usage(err error, stderr *os.File) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var bad badFlags
	if errors.As(err, &bad) {
		fmt.Fprintln(stderr, bad)
	}
	return exitUsage
}
