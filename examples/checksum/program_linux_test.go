package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Here are the tests that need GNU's sha256sum, file names of any bytes, or the longest path that Linux takes.

func TestProgram_IsAcceptedBySha256sum(t *testing.T) {
	sha256sum, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skipf("nothing to compare with: %v", err)
	}
	dir := tree(t, "tree/a", "tree/b/c", "tree/new\nline", `tree/back\slash`, `tree/\`, "tree/ blank ", "tree/*",
		"tree/\xff", "tree/-")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tree/empty"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tree/large"), bytes.Repeat([]byte("large"), bufferSize), 0o644))

	stdout, stderr, status := checksum(t, dir, "tree")
	require.Zero(t, status, stderr)
	assert.Len(t, paths(t, stdout), 11)
	check := exec.Command(sha256sum, "-c", "--strict")
	check.Dir, check.Stdin = dir, strings.NewReader(stdout)
	answer, err := check.CombinedOutput()
	assert.NoError(t, err, "%s", answer)
	assert.Equal(t, 11, strings.Count(string(answer), ": OK\n"), "%s", answer)
}

// TestProgram_GoesOnAfterUnreadable needs something that root cannot read either: a path that is too long to be given
// to the system, in a directory that is just short enough.
func TestProgram_GoesOnAfterUnreadable(t *testing.T) {
	dir := tree(t, "tree/a", "tree/z")
	at, err := os.OpenRoot(filepath.Join(dir, "tree"))
	require.NoError(t, err)
	deep := "tree"
	for len(deep) < 4000 {
		step := strings.Repeat("d", min(200, 4000-len(deep)))
		require.NoError(t, at.Mkdir(step, 0o755))
		next, err := at.OpenRoot(step)
		require.NoError(t, err)
		require.NoError(t, at.Close())
		at, deep = next, deep+"/"+step
	}
	badDir, badFile := strings.Repeat("e", 200), strings.Repeat("f", 200)
	require.NoError(t, at.Mkdir(badDir, 0o755))
	for _, name := range []string{badDir + "/hidden", badFile, "g"} {
		require.NoError(t, at.WriteFile(name, nil, 0o644))
	}
	require.NoError(t, at.Close())

	stdout, stderr, status := checksum(t, dir, "tree")
	short := strings.NewReplacer(deep, "deep", badDir, "dir", badFile, "file")
	stdout, stderr = short.Replace(stdout), short.Replace(stderr)
	assert.Equal(t, exitFailed, status)
	assert.Equal(t, []string{"tree/a", "deep/g", "tree/z"}, paths(t, stdout))
	assert.True(t, strings.HasPrefix(stderr, "checksum: deep/dir: file name too long\n"+
		"checksum: deep/file: file name too long\n3 files, "), stderr)
	assert.Contains(t, stderr, ", 2 not read\n")
}

// The runtime opens /dev/null for a standard output that is closed: the list would be lost, and the status 0.
//
// Mutant: nobody looks.
func TestProgram_TellsThatItsOutputWasClosedFromTheStart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600))
	for redirection, status := range map[string]int{">&-": exitFailed, ">/dev/full": exitFailed, ">/dev/null": 0} {
		program := command(t, dir, ".")
		shell := exec.CommandContext(t.Context(), "/bin/sh", "-c", `exec "$0" . `+redirection, program.Path)
		shell.Dir, shell.Env = dir, program.Env
		out, _ := shell.CombinedOutput()
		assert.Equal(t, status, shell.ProcessState.ExitCode(), "%s: %s", redirection, out)
	}
}
