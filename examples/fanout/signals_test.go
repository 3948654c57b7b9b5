//go:build unix

package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary be the program itself.
const asProgram = "FANOUT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// SIGTERM at any moment: the program says so, prints the rows that it has, each whole, and gives the status that
// it promises. Before it listens for signals, it just ends.
func TestProgram_IsTerminatedAtAnyMoment(t *testing.T) {
	run := func(kill time.Duration) (stdout, stderr string, cmd *exec.Cmd) {
		var out, errs bytes.Buffer
		self, err := os.Executable()
		require.NoError(t, err)
		cmd = exec.CommandContext(t.Context(), self, "-urls", "300", "-slowest", "5ms")
		cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
		cmd.Stdout, cmd.Stderr = &out, &errs
		require.NoError(t, cmd.Start())
		if kill >= 0 {
			time.Sleep(kill)
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may be over
		}
		_ = cmd.Wait()
		return out.String(), errs.String(), cmd
	}
	start := time.Now()
	whole, stderr, cmd := run(-1)
	long := time.Since(start)
	require.Zero(t, cmd.ProcessState.ExitCode(), stderr)
	require.Empty(t, stderr)
	rows := strings.Split(whole, "\n")
	require.Len(t, rows, 1+len(ways)+1, whole)

	counts := make(map[int]int)
	for range 20 {
		stdout, stderr, cmd := run(time.Duration(rand.Int64N(int64(long))))
		code := cmd.ProcessState.ExitCode()
		counts[code]++
		switch code {
		case 0:
			require.Empty(t, stderr)
		case 128 + int(syscall.SIGTERM):
			require.Equal(t, "fanout: terminated, the table ends early\n", stderr)
			require.True(t, strings.HasSuffix(stdout, "\n"), "cut off: %q", stdout)
			lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
			require.LessOrEqual(t, len(lines), 1+len(ways))
			for i, line := range lines[1:] {
				require.Regexp(t, "^"+regexp.QuoteMeta(ways[i].name)+` +\S+ +\d+ +\d+ KiB$`, line)
			}
		case -1:
			require.Empty(t, stdout+stderr, "%v", cmd.ProcessState)
		default:
			t.Fatalf("%v\n%s", cmd.ProcessState, stderr)
		}
	}
	t.Log("exit statuses:", counts)
}
