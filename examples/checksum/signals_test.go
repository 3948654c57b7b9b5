//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
