package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func hashFile(t *testing.T, open func(path string) (*source, error), path string) (sum, error) {
	t.Helper()
	return submit(t.Context(), t, newHasher(t, open), path).Wait(t.Context())
}

// tampered is a file to which something happens after each read.
type tampered struct {
	file
	after func()
}

func (f tampered) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.after()
	return n, err
}

// tamper opens files such that after gets to them after each read.
func tamper(after func(path string)) func(path string) (*source, error) {
	return func(path string) (*source, error) {
		src, err := newOpener().open(path)
		if err == nil {
			src.file = tampered{src.file, func() { after(path) }}
		}
		return src, err
	}
}

func TestHasher_SumsEverySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for _, size := range []int{0, 1, 63, 64, 65, 128, 1000} {
		p := noise(size)
		require.NoError(t, os.WriteFile(path, p, 0o644))
		got, err := hashFile(t, newOpener().open, path)
		require.NoError(t, err)
		assert.Equal(t, sum{sha256.Sum256(p), crc32cGo(0, p), int64(size)}, got, "%d bytes", size)
	}
}

func TestHasher_RefusesWhatChanges(t *testing.T) {
	written := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	touch := func(path string, to time.Time) error { return os.Chtimes(path, time.Time{}, to) }
	for name, change := range map[string]func(path string) error{
		"emptied": func(path string) error { return os.Truncate(path, 0) },
		"shrunk":  func(path string) error { return os.Truncate(path, 100) },
		"grown":   func(path string) error { return os.Truncate(path, 1001) },
		"shrunk between two ticks of the clock": func(path string) error {
			return errors.Join(os.Truncate(path, 100), touch(path, written))
		},
		"rewritten": func(path string) error { return touch(path, written.Add(time.Second)) },
	} {
		path := filepath.Join(t.TempDir(), "x")
		require.NoError(t, os.WriteFile(path, noise(1000), 0o644))
		require.NoError(t, touch(path, written))
		_, err := hashFile(t, tamper(func(path string) { assert.NoError(t, change(path)) }), path)
		assert.ErrorIs(t, err, errChanged, name)
	}
}

// TestHasher_LeavesAFileThatGrowsForEver reads a file that is always longer than what has been read of it.
func TestHasher_LeavesAFileThatGrowsForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, noise(100), 0o644))
	size := int64(100)
	_, err := hashFile(t, tamper(func(path string) {
		size += 200
		assert.NoError(t, os.Truncate(path, size))
	}), path)
	assert.ErrorIs(t, err, errChanged)
	assert.Less(t, size, int64(2000), "it was followed for too long")
}

// smaller says of a file that it is empty, as the files of the kernel do.
type smaller struct{ fs.FileInfo }

func (smaller) Size() int64 { return 0 }

type kernelFile struct{ file }

func (f kernelFile) Stat() (fs.FileInfo, error) {
	info, err := f.file.Stat()
	return smaller{info}, err
}

func TestHasher_ReadsFilesThatSayTheyAreEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	p := noise(1000)
	require.NoError(t, os.WriteFile(path, p, 0o644))
	got, err := hashFile(t, func(path string) (*source, error) {
		src, err := newOpener().open(path)
		require.NoError(t, err)
		return &source{file: kernelFile{src.file}, opened: smaller{src.opened}}, nil
	}, path)
	require.NoError(t, err)
	assert.Equal(t, sha256.Sum256(p), got.sha)
}

// faulty is a file that cannot be read to its end.
type faulty struct {
	file
	r io.Reader
}

func (f faulty) Read(p []byte) (int, error) { return f.r.Read(p) }

func TestHasher_TellsReadErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, noise(1000), 0o644))
	broken := errors.New("broken disk")
	_, err := hashFile(t, func(path string) (*source, error) {
		src, err := newOpener().open(path)
		require.NoError(t, err)
		src.file = faulty{src.file, io.MultiReader(bytes.NewReader(noise(500)), errReader{broken})}
		return src, nil
	}, path)
	assert.ErrorIs(t, err, broken)
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestHasher_StopsBetweenChunks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.WriteFile(path, noise(1000), 0o644))
	ctx, cancel := context.WithCancel(t.Context())
	h := newHasher(t, tamper(func(string) { cancel() }))
	_, err := submit(ctx, t, h, path).Wait(t.Context())
	assert.ErrorIs(t, err, context.Canceled)
	assert.LessOrEqual(t, h.progress.done.Load(), int64(64))
}

func TestOpener_OpensOnlyRegularFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := newOpener().open(dir)
	assert.ErrorIs(t, err, errKind)
	_, err = newOpener().open(filepath.Join(dir, "nowhere"))
	assert.ErrorIs(t, err, fs.ErrNotExist)

	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	defer out.Close()
	_, err = newOpener(out).open(out.Name())
	assert.ErrorIs(t, err, errOwnOutput)
	src, err := newOpener().open(out.Name())
	require.NoError(t, err)
	assert.NoError(t, src.Close())
}
