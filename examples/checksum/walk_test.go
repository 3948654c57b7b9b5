package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// collect walks dir and returns the paths below it. Nothing in it may be unreadable.
func collect(t *testing.T, dir string, pageSize int) (names []string) {
	t.Helper()
	walkDir(dir, pageSize, func(e entry) bool {
		require.NoError(t, e.err, "%s", e.path)
		name, err := filepath.Rel(dir, e.path)
		require.NoError(t, err)
		names = append(names, filepath.ToSlash(name))
		return true
	})
	return names
}

func TestWalk_IsLexical(t *testing.T) {
	dir := tree(t, "a-b", "a/z", "a/b/c", "a.txt", "B", "é", "z", "Z/1", "Z/10", "Z/2")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "none"), 0o755))
	want := []string{"B", "Z/1", "Z/10", "Z/2", "a/b/c", "a/z", "a-b", "a.txt", "z", "é"}
	assert.Equal(t, want, collect(t, dir, namesPerPage))
}

// TestWalk_PagesChangeNothing walks with pages of every size around that of the directories.
func TestWalk_PagesChangeNothing(t *testing.T) {
	var names []string
	for i := range 9 {
		names = append(names, fmt.Sprint(i*37), fmt.Sprintf("d%d/x", i*i), fmt.Sprintf("d%d/y", i*i), fmt.Sprintf("d4/%d", i))
	}
	dir := tree(t, names...)
	var want []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			want = append(want, filepath.ToSlash(name))
		}
		return err
	}))
	require.Len(t, want, len(names))
	for pageSize := 1; pageSize <= 20; pageSize++ {
		assert.Equal(t, want, collect(t, dir, pageSize), "page size %d", pageSize)
	}
}

// TestReadPage_HoldsFewNames looks at a directory with many more names than a page, and more than one batch.
func TestReadPage_HoldsFewNames(t *testing.T) {
	var names []string
	for i := range 5 * readBatch {
		names = append(names, fmt.Sprintf("%06d", i))
	}
	dir := tree(t, names...)
	page, more, err := readPage(dir, "000099", 10)
	require.NoError(t, err)
	assert.True(t, more)
	require.Len(t, page, 10)
	assert.Equal(t, "000100", page[0].Name())
	assert.Equal(t, "000109", page[9].Name())
	assert.Less(t, cap(page), 2*readBatch, "names held at once")

	page, more, err = readPage(dir, names[len(names)-11], 10)
	require.NoError(t, err)
	assert.False(t, more, "the last page is known to be the last")
	assert.Len(t, page, 10)
}

func TestWalk_StopsWhenTold(t *testing.T) {
	dir := tree(t, "a", "b/c", "b/d", "e")
	var seen []string
	for e := range walk(dir) {
		seen = append(seen, filepath.Base(e.path))
		if len(seen) == 2 {
			break
		}
	}
	assert.Equal(t, []string{"a", "c"}, seen)
}

func TestWalk_TellsWhatItCannotRead(t *testing.T) {
	dir := tree(t, "a", "b/c", "d")
	var seen []string
	for e := range walk(dir) {
		if e.err != nil {
			assert.ErrorIs(t, e.err, fs.ErrNotExist)
			seen = append(seen, "lost "+filepath.Base(e.path))
			continue
		}
		seen = append(seen, filepath.Base(e.path))
		// The walk has read the names of dir by now, but not those of b.
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "b")))
	}
	assert.Equal(t, []string{"a", "lost b", "d"}, seen)
}
