// Package testkit is what tests of all rooms share: waiting for something that must happen, holding something up, and
// playing a scenario in a child process. It does not know executors; package pools does.
package testkit

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor/internal/seam"
)

// Guard is how long a test waits for something that must happen. It only turns a hang into a failure
// with stacks; no test asserts that anything is fast.
const Guard = 30 * time.Second

// RaceDetector tells whether this is a build for the race detector.
var RaceDetector = func() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// Scaled is n, or a tenth of it under the race detector.
func Scaled(n int) int {
	if RaceDetector {
		return n / 10
	}
	return n
}

// Stacks is what all goroutines do.
func Stacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// Header is the first line of the calling goroutine's stack: its state, and whether it is locked.
func Header() string {
	buf := make([]byte, 256)
	line, _, _ := strings.Cut(string(buf[:runtime.Stack(buf, false)]), "\n")
	return line
}

// Spin keeps a processor busy for about d.
func Spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// Await waits for ch to be closed or to deliver.
func Await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Guard)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s: has not happened after %v\n%s", what, Guard, Stacks())
		panic("unreachable")
	}
}

// Within runs fn on another goroutine and waits for it.
func Within(t testing.TB, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	Await(t, what, done)
}

// Eventually polls until cond holds.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	start, pause := time.Now(), 20*time.Microsecond
	for !cond() {
		if time.Since(start) > Guard {
			t.Fatalf("%s: has not happened after %v\n%s", what, Guard, Stacks())
		}
		time.Sleep(pause)
		pause = min(2*pause, 2*time.Millisecond)
	}
}

// Gate holds tasks up until it is opened, at the latest by the end of the test.
type Gate struct {
	ch   chan struct{}
	once sync.Once
}

// NewGate returns a closed gate.
func NewGate(t testing.TB) *Gate {
	g := &Gate{ch: make(chan struct{})}
	t.Cleanup(g.Open)
	return g
}

// Open lets everybody pass, from now on.
func (g *Gate) Open() { g.once.Do(func() { close(g.ch) }) }

// Wait waits for the gate to be open.
func (g *Gate) Wait() { <-g.ch }

// Opened returns a channel that is closed when the gate opens.
func (g *Gate) Opened() <-chan struct{} { return g.ch }

// Peak measures how many callers are between Enter and Leave at most.
type Peak struct{ now, max atomic.Int64 }

// Enter counts one more.
func (p *Peak) Enter() {
	n := p.now.Add(1)
	for {
		m := p.max.Load()
		if n <= m || p.max.CompareAndSwap(m, n) {
			return
		}
	}
}

// Leave counts one less.
func (p *Peak) Leave() { p.now.Add(-1) }

// Now is how many there are.
func (p *Peak) Now() int64 { return p.now.Load() }

// Max is how many there were at most.
func (p *Peak) Max() int64 { return p.max.Load() }

// ChildEnv names the scenario that a test binary plays, run again, instead of running tests: what a
// test can only see from outside the process (a crash, a context switch) happens in such a child.
const ChildEnv = "EXECUTOR_TEST_CHILD"

// children are the scenarios, by name. Files add theirs in a variable's initializer.
var children = map[string]func(){}

// Child registers a scenario; the result is only there so that a package variable can hold the call.
func Child(name string, run func()) string {
	children[name] = run
	return name
}

// PlayChild plays the scenario of a child process and ends it, if this is one. TestMain calls it first.
func PlayChild() {
	name := os.Getenv(ChildEnv)
	if name == "" {
		return
	}
	run, ok := children[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "no child scenario %q\n", name)
		os.Exit(3)
	}
	run()
	os.Exit(0)
}

// RunChild plays a scenario in a child process and gives its outputs and exit code.
func RunChild(t testing.TB, name string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Guard)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), ChildEnv+"="+name)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run()
	require.NoError(t, ctx.Err(), "the child hangs: %s", errOut.String())
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// ticklessEnv, if set, makes all executors of the run do without the keeper's ticks. See TESTING.md for the tests that make
// sense then.
const ticklessEnv = "EXECUTOR_TEST_TICKLESS"

// ReadTickless does what the environment says. TestMain calls it.
func ReadTickless() { seam.Tickless = os.Getenv(ticklessEnv) != "" }

// Set gives a seam a value until the end of the test, which must not be parallel.
func Set[T any](t testing.TB, seam *T, value T) {
	before := *seam
	*seam = value
	t.Cleanup(func() { *seam = before })
}
