package promises

import (
	"context"
	"fmt"
	"os"
	"os/exec"
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
