package promises

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// labelsOf gives the pprof labels line of the goroutine that calls it, empty if it has none.
//
//go:noinline
func labelsOf() string {
	var buf bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&buf, 1); err != nil {
		return err.Error()
	}
	// Records are divided by empty lines; the caller's own has this function on its stack.
	for record := range strings.SplitSeq(buf.String(), "\n\n") {
		if !strings.Contains(record, "promises.labelsOf") {
			continue
		}
		for line := range strings.Lines(record) {
			if strings.HasPrefix(line, "# labels:") {
				return line
			}
		}
	}
	return ""
}

const foreign = "foreign-label"

func labelled(fn func(ctx context.Context)) {
	pprof.Do(context.Background(), pprof.Labels(foreign, "yes"), fn)
}

func clean(where string) error {
	if l := labelsOf(); strings.Contains(l, foreign) {
		return fmt.Errorf("%s: %s", where, l)
	}
	return nil
}

func TestPromise09_LabelsOfSeesLabels(t *testing.T) {
	require.NoError(t, clean("before"))
	labelled(func(context.Context) { require.Error(t, clean("inside"), "the probe is blind") })
}

// Mutant: the first submission, or New, starts runners with a plain go statement: they carry the labels of
// the request that came first for the rest of their lives.
func TestPromise09_RunnersDoNotInheritLabels(t *testing.T) {
	var e *executor.Executor
	labelled(func(context.Context) { e = spared(t, 2, 4) })
	errs := make(chan error, 64)
	labelled(func(context.Context) {
		// The context carries no label; only the goroutine does.
		ctx := context.Background()
		for range 8 {
			require.NoError(t, e.Go(ctx, func(ctx context.Context) {
				errs <- clean("a task")
				executor.Blocking(ctx, func() { errs <- clean("inside Blocking") })
			}))
		}
		errs <- inTask(t, e, func(ctx context.Context) error {
			// Spares are started too while a labelled submitter finds no free slot.
			opened := make(chan struct{})
			labelled(func(context.Context) {
				go func() {
					_ = e.Go(context.Background(), func(context.Context) { errs <- clean("a spare"); close(opened) })
					_ = e.Go(context.Background(), func(context.Context) { errs <- clean("a spare") })
				}()
			})
			executor.Blocking(ctx, func() { <-opened })
			return nil
		})
		require.NoError(t, e.Resize(4))
		require.NoError(t, executor.For(ctx, e, 100, func(context.Context, int) error { return clean("a new slot") }))
	})
	quiet(t, e)
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

// Mutant: a runner starts its own replacement or spare while it carries the labels that its task set.
func TestPromise09_ATasksLabelsDoNotReachNewRunners(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, next <-chan struct{}){
		"Blocking": func(ctx context.Context, next <-chan struct{}) { executor.Blocking(ctx, func() { <-next }) },
		"OnThread": func(ctx context.Context, next <-chan struct{}) { executor.OnThread(ctx, func() { <-next }) },
		"Goexit":   func(context.Context, <-chan struct{}) { runtime.Goexit() },
	} {
		t.Run(name, func(t *testing.T) {
			e := spared(t, 1, 4)
			next, errs := make(chan struct{}), make(chan error, 1)
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels(foreign, "yes")))
				if err := e.Go(ctx, func(context.Context) {
					errs <- clean("the next runner")
					close(next)
				}); err != nil {
					t.Error(err)
				}
				end(ctx, next)
			}))
			require.NoError(t, await(t, "the next task runs", errs))
			quiet(t, e)
		})
	}
}

// Mutant: labels that a task left on are taken off at the next park only, which a busy runner never comes
// to. Mutant: never.
func TestPromise09_LabelsLeftOnAreGoneAfter64Tasks(t *testing.T) {
	e := bare(t, 1)
	label := func(ctx context.Context) {
		pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels(foreign, "yes")))
	}
	t.Run("busy", func(t *testing.T) {
		g := stick(t, e, 1)
		n, labelledAt := 0, -1 // One slot: only the running task touches them.
		verdict := make(chan error, 200)
		for i := range 200 {
			require.NoError(t, e.Go(context.Background(), func(ctx context.Context) {
				n++
				if i == 5 {
					label(ctx)
					labelledAt = n
				}
				if after := n - labelledAt; labelledAt > 0 && after > 64 && after < 68 {
					verdict <- clean(fmt.Sprintf("%d tasks later", after))
				}
			}))
		}
		g.Open()
		quiet(t, e)
		require.Len(t, verdict, 3)
		for range 3 {
			require.NoError(t, <-verdict)
		}
	})
	t.Run("parked", func(t *testing.T) {
		require.NoError(t, inTask(t, e, func(ctx context.Context) error { label(ctx); return nil }))
		quiet(t, e)
		eventually(t, "the runner parks", func() bool { s := e.Stats(); return s.Idle == s.Slots })
		require.NoError(t, inTask(t, e, func(context.Context) error { return clean("a later task") }))
	})
}

// Mutant: no UnlockOSThread after a task.
func TestPromise09_ALockedThreadIsUnlocked(t *testing.T) {
	e := spared(t, 1, 2)
	locked := func(context.Context) error {
		if h := header(); strings.Contains(h, "locked to thread") {
			return errors.New(h)
		}
		return nil
	}
	endings := map[string]func(ctx context.Context){
		"returns":  func(context.Context) {},
		"panics":   func(context.Context) { panic("x") },
		"blocks":   func(ctx context.Context) { executor.Blocking(ctx, runtime.Gosched) },
		"yields":   func(ctx context.Context) { _ = executor.Yield(ctx) },
		"forks":    func(ctx context.Context) { fib(ctx, 3) },
		"OnThread": func(ctx context.Context) { executor.OnThread(ctx, func() {}) },
	}
	for name, end := range endings {
		for range 5 {
			_ = inTask(t, e, func(ctx context.Context) error {
				runtime.LockOSThread()
				end(ctx)
				return nil
			})
			for range 3 {
				require.NoError(t, inTask(t, e, locked), name)
			}
		}
	}
	quiet(t, e)
}
