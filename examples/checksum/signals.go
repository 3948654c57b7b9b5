package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// defaultGrace is how long after a signal the program may take to print what is done. That is plenty for a disk that
// answers, and short for whoever pressed Ctrl-C while a read hangs or nobody reads our output.
const defaultGrace = 2 * time.Second

// signalError is the cause of a context that a signal ended.
type signalError struct{ syscall.Signal }

func (e signalError) Error() string { return e.Signal.String() }

// untilSignal returns a context that SIGINT or SIGTERM ends. If the program is still there when the grace is over,
// exit is called; a second signal ends it at once, as if nobody had asked for signals. stop ends the watch.
func untilSignal(parent context.Context, grace time.Duration, exit func(status int)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			sig, _ := s.(syscall.Signal)
			cancel(signalError{sig})
			time.AfterFunc(grace, func() { exit(exitSignal(sig)) })
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// endedBy returns the signal that ended ctx, if one did.
func endedBy(ctx context.Context) (syscall.Signal, bool) {
	var sig signalError
	if ctx.Err() == nil || !errors.As(context.Cause(ctx), &sig) {
		return 0, false
	}
	return sig.Signal, true
}

// exitSignal is the status a shell gives a program that sig ended.
func exitSignal(sig syscall.Signal) int { return 128 + int(sig) }
