// Quota works as hard as it may, and prints once a second how much that is: the CPU quota of its cgroup, the slots that
// the executor has made of it, tasks per second, and in how many of the kernel's scheduling periods the process was
// stopped because the quota was spent.
//
//	go run ./examples/quota
//
// Change the quota from another terminal, as Kubernetes does when it resizes a container in place, and the slots
// follow within a second. With docker:
//
//	docker update --cpus 1.5 CONTAINER
//
// It runs until it is interrupted, or for as long as -for says.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-97bda89a/executor"
)

func main() {
	long := flag.Duration("for", 0, "stop after so long; 0: run until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *long > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *long)
		defer cancel()
	}
	if wasClosed(os.Stdout) {
		fmt.Fprintln(os.Stderr, "quota: standard output is closed")
		os.Exit(1)
	}
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "quota:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	e, err := executor.New(executor.WithLogger(slog.New(sizes{slog.DiscardHandler, out})))
	if err != nil {
		return err
	}
	var done atomic.Int64
	// Each task submits the next one, so there is always work for as many slots as there may be.
	var task func(context.Context)
	task = func(ctx context.Context) {
		compute()
		done.Add(1)
		if ctx.Err() == nil {
			_ = e.Go(ctx, task) // refused only at the end
		}
	}
	for range 1000 {
		if err := e.Go(ctx, task); err != nil {
			return errors.Join(err, e.Close())
		}
	}
	return errors.Join(report(ctx, out, e, &done), e.Close())
}

// report prints until ctx is done, or nobody takes what it prints.
func report(ctx context.Context, out io.Writer, e *executor.Executor, done *atomic.Int64) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	tasks, kernel := done.Load(), throttling(e)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-second.C:
		}
		size, t, k := e.Sizing(), done.Load(), throttling(e)
		quota := "none"
		if size.Quota > 0 {
			quota = fmt.Sprintf("%.4g", size.Quota)
		}
		line := fmt.Sprintf("quota %-5s slots %-3d %6d tasks/s", quota, size.Slots, t-tasks)
		if k.Periods > kernel.Periods { // not where there is no quota, nor when another group sets it since
			line += fmt.Sprintf("   throttled in %d of %d periods", k.Throttled-kernel.Throttled, k.Periods-kernel.Periods)
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
		tasks, kernel = t, k
	}
}

func throttling(e *executor.Executor) executor.Throttling {
	t, _ := e.Throttling()
	return t
}

// compute keeps a processor busy for some tens of microseconds.
func compute() {
	x := sink.Load() | 1
	for range 50_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	sink.Store(x)
}

var sink atomic.Uint64

// sizes prints what the executor logs when its size changes, and nothing else of a record.
type sizes struct {
	slog.Handler
	out io.Writer
}

func (s sizes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (s sizes) Handle(_ context.Context, r slog.Record) error {
	line := ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "slots":
			line = "slots=" + a.Value.String() + line
		case "reason":
			line += ": " + a.Value.String()
		}
		return true
	})
	_, err := fmt.Fprintln(s.out, line)
	return err
}
