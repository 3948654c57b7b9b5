//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProgram_StopsAtSignal interrupts a list whose third file would take minutes: it has a terabyte, all of it a hole.
func TestProgram_StopsAtSignal(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		dir := tree(t, "a", "b", "c", "d")
		require.NoError(t, os.Truncate(filepath.Join(dir, "c"), 1<<40))
		cmd := command(t, dir, ".")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())

		// What is done comes out while the rest is being worked on.
		reader := bufio.NewReader(stdout)
		first, err := reader.ReadString('\n')
		require.NoError(t, err, "%s", &stderr)
		second, err := reader.ReadString('\n')
		require.NoError(t, err, "%s", &stderr)
		require.NoError(t, cmd.Process.Signal(sig))
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Wait(), &exit)

		assert.Equal(t, want, exit.ExitCode(), "%s", &stderr)
		done := paths(t, first+second+string(rest))
		assert.Subset(t, []string{"./a", "./b", "./d"}, done)
		assert.Equal(t, []string{"./a", "./b"}, done[:2])
		assert.Contains(t, stderr.String(), "checksum: "+sig.String()+", the list ends early\n")
		assert.NotContains(t, stderr.String(), "checksum: ./")
	}
}

// SIGTERM at any moment: what is printed is a part of the list, in its order and each line whole and right, the
// program says that there is more, and gives the status that it promises. Before it listens for signals, it just ends.
func TestProgram_IsTerminatedAtAnyMoment(t *testing.T) {
	var names []string
	for i := range 500 {
		names = append(names, fmt.Sprintf("%d/%d", i%7, i))
	}
	dir := tree(t, names...)
	for i := range 20 {
		require.NoError(t, os.Truncate(filepath.Join(dir, names[25*i]), 4<<20))
	}
	run := func(kill time.Duration) (list, stderr string, cmd *exec.Cmd) {
		out, err := os.Create(filepath.Join(t.TempDir(), "list"))
		require.NoError(t, err)
		defer out.Close()
		var errs bytes.Buffer
		cmd = command(t, dir, ".")
		cmd.Stdout, cmd.Stderr = out, &errs
		require.NoError(t, cmd.Start())
		if kill >= 0 {
			time.Sleep(kill)
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may be over
		}
		_ = cmd.Wait()
		text, err := os.ReadFile(out.Name())
		require.NoError(t, err)
		return string(text), errs.String(), cmd
	}
	start := time.Now()
	whole, stderr, cmd := run(-1)
	long := time.Since(start)
	require.Zero(t, cmd.ProcessState.ExitCode(), stderr)
	require.Len(t, paths(t, whole), len(names))

	counts := make(map[int]int)
	for range 20 {
		list, stderr, cmd := run(time.Duration(rand.Int64N(int64(long))))
		code := cmd.ProcessState.ExitCode()
		counts[code]++
		_ = paths(t, list) // each line is whole
		rest := whole
		for line := range strings.Lines(list) {
			_, after, found := strings.Cut(rest, line)
			require.True(t, found, "wrong, or out of order: %q", line)
			rest = after
		}
		switch code {
		case 0:
			require.Equal(t, whole, list)
		case exitSignal(syscall.SIGTERM):
			require.Equal(t, 1, strings.Count(stderr, "checksum: terminated, the list ends early\n"), stderr)
			require.NotContains(t, stderr, "checksum: ./")
		case -1:
			require.Empty(t, list+stderr, "%v", cmd.ProcessState)
		default:
			t.Fatalf("%v\n%s", cmd.ProcessState, stderr)
		}
	}
	t.Log("exit statuses:", counts)
}

func TestUntilSignal_ExitsWhenTheGraceIsOver(t *testing.T) {
	exited := make(chan int, 1)
	ctx, stop := untilSignal(context.Background(), 0, func(status int) { exited <- status })
	defer stop()
	_, signaled := endedBy(ctx)
	assert.False(t, signaled)

	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-ctx.Done()
	sig, signaled := endedBy(ctx)
	assert.True(t, signaled)
	assert.Equal(t, syscall.SIGTERM, sig)
	assert.Equal(t, 143, <-exited)
}

func TestUntilSignal_IsNotEndedByOthers(t *testing.T) {
	for name, end := range map[string]func(stop, cancel func()){
		"stop":   func(stop, _ func()) { stop() },
		"parent": func(_, cancel func()) { cancel() },
	} {
		parent, cancel := context.WithCancelCause(context.Background())
		ctx, stop := untilSignal(parent, time.Hour, func(int) { t.Error("exit") })
		end(stop, func() { cancel(errors.New("enough")) })
		<-ctx.Done()
		_, signaled := endedBy(ctx)
		assert.False(t, signaled, name)
		stop()
		cancel(nil)
	}
}
