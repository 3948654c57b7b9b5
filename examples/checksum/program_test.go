//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary be the program itself.
const asProgram = "CHECKSUM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command returns the program as a process that runs in dir.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// checksum runs the program in dir, to its end.
func checksum(t *testing.T, dir string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(t, dir, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// paths returns the paths of a list, as they stand in it.
func paths(t *testing.T, list string) (paths []string) {
	t.Helper()
	for line := range strings.Lines(list) {
		require.True(t, strings.HasSuffix(line, "\n"), "line cut off: %q", line)
		digest, path, ok := strings.Cut(line, "  ")
		require.True(t, ok, "%q", line)
		require.Len(t, strings.TrimPrefix(digest, `\`), 64, "%q", line)
		paths = append(paths, strings.TrimSuffix(path, "\n"))
	}
	return paths
}

func TestProgram_PrintsPathsAsGiven(t *testing.T) {
	dir := tree(t, "tree/a", "tree/b/c", "here/x")
	require.NoError(t, os.Symlink("../tree/b", filepath.Join(dir, "here/link")))
	for root, want := range map[string][]string{
		"tree":            {"tree/a", "tree/b/c"},
		"tree/":           {"tree/a", "tree/b/c"},
		"./tree":          {"./tree/a", "./tree/b/c"},
		"tree/../tree/b":  {"tree/../tree/b/c"},
		dir + "/tree":     {dir + "/tree/a", dir + "/tree/b/c"},
		"tree/a":          {"tree/a"},
		"here/link":       {"here/link/c"},
		"here/link/../b/": {"here/link/../b/c"},
	} {
		stdout, stderr, status := checksum(t, dir, root)
		assert.Zero(t, status, stderr)
		assert.Equal(t, want, paths(t, stdout), "%s", root)
	}
}

func TestProgram_PassesOverLinksAndPipes(t *testing.T) {
	dir := tree(t, "tree/a", "tree/b/c", "outside/x")
	for name, target := range map[string]string{
		"tree/self": ".", "tree/b/up": "../..", "tree/file": "a", "tree/out": "../outside",
		"tree/gone": "nowhere", "tree/loop": "loop",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	pipe := filepath.Join(dir, "tree/pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o644))
	_, err := newOpener().open(pipe)
	assert.ErrorIs(t, err, errKind, "a file that became a pipe after the walk saw it does not hang anybody")

	stdout, stderr, status := checksum(t, dir, "tree")
	assert.Zero(t, status, stderr)
	assert.Equal(t, []string{"tree/a", "tree/b/c"}, paths(t, stdout))
}

func TestProgram_FailsWithoutTree(t *testing.T) {
	dir := t.TempDir()
	stdout, stderr, status := checksum(t, dir, "nowhere\n")
	assert.Equal(t, exitFailed, status)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, `checksum: "nowhere\n": no such file or directory`+"\n")
}

func TestProgram_TellsUsage(t *testing.T) {
	for _, args := range [][]string{{}, {""}, {"-"}, {"a", "b"}, {"-wrong", "a"}, {"-v"}, {"-v=maybe", "a"}} {
		stdout, stderr, status := checksum(t, t.TempDir(), args...)
		assert.Equal(t, exitUsage, status, "%q", args)
		assert.Empty(t, stdout, "%q", args)
		assert.Contains(t, stderr, "usage: checksum", "%q", args)
	}
	_, stderr, status := checksum(t, t.TempDir(), "-h")
	assert.Zero(t, status)
	assert.Contains(t, stderr, "usage: checksum")
}

func TestProgram_SumsUp(t *testing.T) {
	dir := tree(t, "tree/a", "tree/b/c")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tree/b/d"), bytes.Repeat([]byte{7}, 3*bufferSize), 0o644))
	_, stderr, status := checksum(t, dir, "-v", "tree")
	assert.Zero(t, status)

	one, two := crc32cGo(0, []byte("tree/a")), crc32cGo(0, []byte("tree/b/c"))
	all := crc32cGo(0, append([]byte("tree/atree/b/c"), bytes.Repeat([]byte{7}, 3*bufferSize)...))
	assert.Contains(t, stderr, hex32(one)+"  tree/a\n")
	assert.Contains(t, stderr, hex32(two)+"  tree/b/c\n")
	assert.Contains(t, stderr, "3 files, 786446 bytes")
	assert.Contains(t, stderr, "crc32c "+hex32(all)+" of their contents")
	assert.Regexp(t, `slots [1-9]\d*, steals \d+, hand-offs \d+, spares \d+`, stderr)
}

func TestProgram_LeavesItsOutputOut(t *testing.T) {
	dir := tree(t, "a", "z")
	cmd := command(t, dir, ".")
	out, err := os.Create(filepath.Join(dir, "sums"))
	require.NoError(t, err)
	defer out.Close()
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &stderr
	require.NoError(t, cmd.Run())
	list, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Equal(t, []string{"./a", "./z"}, paths(t, string(list)))
	assert.Contains(t, stderr.String(), "checksum: ./sums: left out")
}

func TestProgram_TellsThatItsOutputIsClosed(t *testing.T) {
	dir := tree(t, "a")
	cmd := command(t, dir, ".")
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	assert.Error(t, cmd.Run())
	require.NoError(t, w.Close())
	assert.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), "%v", cmd.ProcessState)
	assert.Contains(t, stderr.String(), "broken pipe")
}

// TestRun_NeedsNoProcess is for whoever wants the program in a debugger.
func TestRun_NeedsNoProcess(t *testing.T) {
	dir := tree(t, "tree/a")
	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	defer out.Close()
	assert.Zero(t, run(context.Background(), []string{filepath.Join(dir, "tree")}, out, out))
}
