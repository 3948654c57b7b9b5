package stresstest

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/cgotest"
	"github.com/stretchr/testify/require"
)

// guard is how long a test waits for something that must happen. It only turns a hang into a failure
// with stacks; no test asserts that anything is fast.
const guard = 30 * time.Second

// raceEnabled tells whether the race detector is on, to make the long counts shorter.
var raceEnabled = func() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}()

// scaled is n, or a tenth of it under the race detector.
func scaled(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

// newExecutor makes an executor that is closed, and seen to end, when the test ends.
func newExecutor(t testing.TB, opts ...executor.Option) *executor.Executor {
	t.Helper()
	e, err := executor.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { closeNow(t, e) })
	return e
}

// closeNow closes e and sees it end.
func closeNow(t testing.TB, e *executor.Executor) {
	t.Helper()
	within(t, "Close", func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// bare is newExecutor with n slots, no stall detection and no spares: nothing but the slots runs tasks,
// so a test can say which task is stuck and which cannot start.
func bare(t testing.TB, slots int, opts ...executor.Option) *executor.Executor {
	t.Helper()
	return newExecutor(t, append([]executor.Option{
		executor.WithSlots(slots), executor.WithMaxSpares(0), executor.WithStallDetection(false),
	}, opts...)...)
}

// spared is bare with spares.
func spared(t testing.TB, slots, spares int, opts ...executor.Option) *executor.Executor {
	t.Helper()
	return bare(t, slots, append([]executor.Option{executor.WithMaxSpares(spares)}, opts...)...)
}

func stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// await waits for ch to be closed or to deliver.
func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(guard)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s: has not happened after %v\n%s", what, guard, stacks())
		panic("unreachable")
	}
}

// within runs fn on another goroutine and waits for it.
func within(t testing.TB, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	await(t, what, done)
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	start, pause := time.Now(), 20*time.Microsecond
	for !cond() {
		if time.Since(start) > guard {
			t.Fatalf("%s: has not happened after %v\n%s", what, guard, stacks())
		}
		time.Sleep(pause)
		pause = min(2*pause, 2*time.Millisecond)
	}
}

// quiet waits for quiescence and checks that the books balance.
func quiet(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	within(t, "Quiesce", func() {
		if err := e.Quiesce(context.Background()); err != nil {
			t.Errorf("Quiesce: %v", err)
		}
	})
	return balanced(t, e)
}

// balanced checks that an executor at rest accounts for every task and holds none.
func balanced(t testing.TB, e *executor.Executor) executor.Stats {
	t.Helper()
	s := e.Stats()
	require.Equal(t, s.Submitted, s.Completed+s.Panicked+s.Canceled, "accepted tasks that did not end, or ended twice: %+v", s)
	require.LessOrEqual(t, s.Failed, s.Completed, "%+v", s)
	eventually(t, "gauges of an executor at rest are zero", func() bool {
		s = e.Stats()
		return s.Queued == 0 && s.Waiting == 0 && s.Running == 0 && s.Blocked == 0
	})
	return s
}

// peak measures how many callers are between enter and leave at most.
type peak struct{ now, max atomic.Int64 }

func (p *peak) enter() {
	n := p.now.Add(1)
	for {
		m := p.max.Load()
		if n <= m || p.max.CompareAndSwap(m, n) {
			return
		}
	}
}
func (p *peak) leave() { p.now.Add(-1) }

// runChild plays a scenario in a child process and gives its outputs and exit code.
func runChild(t testing.TB, name string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	require.NoError(t, ctx.Err(), "the child hangs: %s", errOut.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func needC(t *testing.T) {
	t.Helper()
	if cgotest.Missing != "" {
		t.Skip(cgotest.Missing)
	}
}

// spin keeps a processor busy for about d.
func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// newBench makes an executor that is closed when the benchmark ends.
func newBench(b *testing.B, opts ...executor.Option) *executor.Executor {
	e, err := executor.New(opts...)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, e.Close()) })
	b.ReportAllocs()
	return e
}
