package promises

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-97bda89a/executor"
	"github.com/seed-97bda89a/executor/internal/testkit"
	"github.com/stretchr/testify/require"
)

var idleChild = child("idle", func() {
	e, err := executor.New(executor.WithSlots(4), executor.WithKeepAlive(50*time.Millisecond))
	if err == nil {
		err = exercise(e)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for e.Stats().Spares > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("idle")
	// Until the parent hangs up, in a system call and not in the scheduler.
	_, _ = os.NewFile(0, "stdin").Read(make([]byte, 1))
	_ = e.Close()
})

// activity sums up the context switches of every thread of a process, and the processor time of all.
func activity(t *testing.T, pid int) string {
	var b strings.Builder
	statuses, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	require.NotEmpty(t, statuses)
	for _, path := range statuses {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "ctxt_switches") {
				fmt.Fprintf(&b, "%s %s", filepath.Base(filepath.Dir(path)), line)
			}
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	fmt.Fprintf(&b, "utime %s stime %s\n", fields[11], fields[12])
	return b.String()
}

// Mutant: an idle runner polls, or the keeper ticks while nothing is in flight. A child idles; a window
// without one context switch, in any of its threads, and without processor time must come, once the Go
// runtime's own background work is done. With a ticker no window is ever clean.
func TestPromise10_AnIdleExecutorMakesNoContextSwitch(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), testkit.ChildEnv+"="+idleChild)
	cmd.Stderr = os.Stderr
	hangUp, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() {
		_ = hangUp.Close()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "idle\n", line)
	const window = 500 * time.Millisecond
	var before, after string
	for start := time.Now(); ; {
		before = activity(t, cmd.Process.Pid)
		time.Sleep(window) // The window itself: nothing is waited for.
		after = activity(t, cmd.Process.Pid)
		if before == after {
			return
		}
		if time.Since(start) > guard {
			break
		}
	}
	t.Fatalf("the idle child is never at rest for %v:\n%s\n%s", window, before, after)
}
