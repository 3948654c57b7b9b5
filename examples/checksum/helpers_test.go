package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-97bda89a/executor"
)

// write makes files below dir, and the directories they need. The contents are the names.
func write(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(name), 0o644))
	}
}

// tree returns a new directory with files in it.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, names...)
	return dir
}

// noise returns n bytes, the same ones every time.
func noise(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

func hex32(crc uint32) string { return fmt.Sprintf("%08x", crc) }

// newExecutor returns an executor that ends with the test.
func newExecutor(t *testing.T) *executor.Executor {
	t.Helper()
	exec, err := executor.New()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, exec.Close()) })
	return exec
}

func newHasher(t *testing.T, open func(path string) (*source, error)) hasher {
	t.Helper()
	native, err := executor.NewBulkhead(t.Name(), 2)
	require.NoError(t, err)
	return hasher{open: open, native: native, progress: new(progress)}
}

// submit starts to sum a file in a task, as the program does, through a buffer of 64 bytes.
func submit(ctx context.Context, t *testing.T, h hasher, path string) *executor.Future[sum] {
	t.Helper()
	future, err := executor.Submit(ctx, newExecutor(t), func(ctx context.Context) (sum, error) {
		return h.sum(ctx, path, make([]byte, 64))
	})
	require.NoError(t, err)
	return future
}
