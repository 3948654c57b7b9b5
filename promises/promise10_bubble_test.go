package promises

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/stretchr/testify/require"
)

// standstills are programs for a bubble that end up with something queued and nothing that could ever happen.
var standstills = []struct {
	name string
	opts []executor.Option
	run  func(e *executor.Executor)
}{
	{"unmarked, all spares used", nil, func(e *executor.Executor) { submitMany(e, 300, func(context.Context) { select {} }) }},
	{"unmarked, few spares", []executor.Option{executor.WithMaxSpares(3)}, func(e *executor.Executor) {
		submitMany(e, 20, func(context.Context) { select {} })
	}},
	{"unmarked, no spares", []executor.Option{executor.WithMaxSpares(0)}, func(e *executor.Executor) {
		submitMany(e, 5, func(context.Context) { select {} })
	}},
	{"unmarked, no detection", []executor.Option{executor.WithStallDetection(false)}, func(e *executor.Executor) {
		submitMany(e, 5, func(context.Context) { select {} })
	}},
	{"marked, few spares", []executor.Option{executor.WithMaxSpares(3)}, func(e *executor.Executor) {
		submitMany(e, 20, func(ctx context.Context) { executor.Blocking(ctx, func() { select {} }) })
	}},
	{"a handler", []executor.Option{executor.WithMaxSpares(3), executor.WithOnStall(func(executor.StallInfo) {})}, func(e *executor.Executor) {
		submitMany(e, 20, func(context.Context) { select {} })
	}},
	{"tasks that wait for room", []executor.Option{executor.WithMaxSpares(3), executor.WithQueueLimit(1)}, func(e *executor.Executor) {
		submitMany(e, 4, func(ctx context.Context) {
			for e.Go(ctx, func(context.Context) { select {} }) == nil {
			}
			select {}
		})
	}},
}

func submitMany(e *executor.Executor, n int, fn func(context.Context)) {
	for range n {
		_ = e.Go(context.Background(), fn)
	}
}

const standstillEnv = "EXECUTOR_TEST_STANDSTILL"

// Something is queued, no slot is free, and nothing can change that any more: synctest has to see it. Mutants: the
// ticks go on where no slot can be lent; with a handler they go on for ever.
func TestPromise10_ADeadlockInABubbleIsReported(t *testing.T) {
	if name := os.Getenv(standstillEnv); name != "" {
		synctest.Test(t, func(t *testing.T) {
			for _, s := range standstills {
				if s.name == name {
					e, err := executor.New(append([]executor.Option{executor.WithSlots(2)}, s.opts...)...)
					require.NoError(t, err)
					fmt.Println("still from here on")
					s.run(e)
					select {}
				}
			}
		})
		return
	}
	for _, s := range standstills {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), guard)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestPromise10_ADeadlockInABubbleIsReported$")
			cmd.Env = append(os.Environ(), standstillEnv+"="+s.name)
			out, err := cmd.CombinedOutput()
			require.NoError(t, ctx.Err(), "fake time runs on\n%s", out)
			require.Error(t, err)
			require.Contains(t, string(out), "still from here on")
			require.Contains(t, string(out), "deadlock")
		})
	}
}

// Fake time costs nothing while something is queued: with a tick every second this would take minutes.
// Mutant: the ticks go on where no slot can be lent.
func TestPromise10_FakeTimeIsFreeWhileSomethingIsQueued(t *testing.T) {
	for _, s := range standstills {
		if s.name == "tasks that wait for room" {
			continue // here the queue has room for all
		}
		synctest.Test(t, func(t *testing.T) {
			e, err := executor.New(append([]executor.Option{executor.WithSlots(2), executor.WithPanicHandler(
				func(context.Context, *executor.PanicError) {})}, s.opts...)...)
			require.NoError(t, err)
			release := make(chan struct{})
			submitMany(e, 300, func(ctx context.Context) {
				if s.name == "marked, few spares" {
					executor.Blocking(ctx, func() { <-release })
				} else {
					<-release
				}
			})
			time.Sleep(20_000 * time.Hour)
			close(release)
			require.NoError(t, e.Shutdown(context.Background()))
		})
	}
}

// All blocking is marked, so the clock of the bubble says when the program ends, and nothing else does. Mutants: a
// call that took no fake time counts as short, and keeps its slot until the next tick.
func TestPromise10_MarkedProgramsEndAtTheSameFakeTime(t *testing.T) {
	ends := map[string]time.Duration{"spares for all": 10 * time.Millisecond, "hand over hand": 0}
	programs := map[string]func(e *executor.Executor) error{
		"spares for all": func(e *executor.Executor) error {
			ctx := context.Background()
			g := e.NewGroup(ctx)
			for i := range 120 {
				g.Go(func(ctx context.Context) error {
					executor.Blocking(ctx, func() { time.Sleep(time.Duration(i%7) * time.Millisecond) })
					f, err := executor.Submit(ctx, e, func(ctx context.Context) (int, error) {
						executor.Blocking(ctx, func() { time.Sleep(time.Duration(i%5) * time.Millisecond) })
						return 1, nil
					})
					if err == nil {
						_, err = f.Wait(ctx)
					}
					executor.Blocking(ctx, func() {})
					return err
				})
			}
			return g.Wait()
		},
		"hand over hand": func(e *executor.Executor) error { // each waits inside Blocking for the next, which is queued
			for range 300 {
				queued, ran := make(chan struct{}), make(chan struct{})
				wait := func(ctx context.Context) { <-queued; executor.Blocking(ctx, func() { <-ran }) }
				if err := errors.Join(e.Go(context.Background(), wait), e.Go(context.Background(), func(context.Context) { close(ran) })); err != nil {
					return err
				}
				close(queued)
				if err := e.Quiesce(context.Background()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, program := range programs {
		for _, slots := range []int{1, 2, 3} {
			var took [10]time.Duration
			for i := range took {
				synctest.Test(t, func(t *testing.T) {
					e, err := executor.New(executor.WithSlots(slots))
					require.NoError(t, err)
					start := time.Now()
					require.NoError(t, program(e))
					took[i] = time.Since(start)
					require.NoError(t, e.Close())
				})
			}
			require.Equal(t, slices.Repeat([]time.Duration{ends[name]}, len(took)), took[:], "%s, %d slots", name, slots)
		}
	}
}
