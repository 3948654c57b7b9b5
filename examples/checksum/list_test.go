package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is a tree without a disk: files whose contents are their names. It counts what is held at once.
type memory struct {
	before func(path string) error // called by each first read, may be nil
	open   atomic.Int64
	most   atomic.Int64
	mu     sync.Mutex
	bufs   map[*byte]bool // the buffers that were read into
}

func (m *memory) openFile(path string) (*source, error) {
	now := m.open.Add(1)
	for most := m.most.Load(); now > most && !m.most.CompareAndSwap(most, now); most = m.most.Load() {
	}
	f := &memoryFile{m: m, path: path, Reader: bytes.NewReader([]byte(path))}
	return &source{file: f, opened: f}, nil
}

type memoryFile struct {
	*bytes.Reader
	m    *memory
	path string
}

func (f *memoryFile) Read(p []byte) (int, error) {
	f.m.mu.Lock()
	if f.m.bufs == nil {
		f.m.bufs = map[*byte]bool{}
	}
	if f.Len() == len(f.path) {
		f.m.bufs[&p[0]] = true
	}
	f.m.mu.Unlock()
	if f.m.before != nil && f.Len() == len(f.path) {
		if err := f.m.before(f.path); err != nil {
			return 0, err
		}
	}
	return f.Reader.Read(p)
}

func (f *memoryFile) Close() error               { f.m.open.Add(-1); return nil }
func (f *memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *memoryFile) Name() string               { return f.path }
func (f *memoryFile) Size() int64                { return int64(len(f.path)) }
func (f *memoryFile) Mode() fs.FileMode          { return 0 }
func (f *memoryFile) ModTime() time.Time         { return time.Time{} }
func (f *memoryFile) IsDir() bool                { return false }
func (f *memoryFile) Sys() any                   { return nil }

var _ io.Reader = (*memoryFile)(nil)

// name is the path of file i of numbered.
func name(i int) string { return fmt.Sprintf("file %d", i) }

// numbered is a walk of n files, without an end if n is negative. It counts what was taken.
func numbered(n int, taken *atomic.Int64) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for i := 0; i != n; i++ {
			taken.Add(1)
			if !yield(entry{path: name(i)}) {
				return
			}
		}
	}
}

// newLister returns a lister of m that prints and fails into the slices it returns.
func newLister(t *testing.T, m *memory) (l *lister, printed, failed *[]string) {
	t.Helper()
	printed, failed = new([]string), new([]string)
	return &lister{
		exec:    newExecutor(t),
		buffers: newBuffers(8, 64),
		hasher:  newHasher(t, m.openFile),
		printed: func(path string, _ sum) error { *printed = append(*printed, path); return nil },
		failed:  func(path string, err error) { *failed = append(*failed, path+": "+err.Error()) },
		idle:    func() error { return nil },
	}, printed, failed
}

// TestLister_HoldsFewOfMany runs 100,000 files and counts what is open, in buffers and on the way at any moment.
func TestLister_HoldsFewOfMany(t *testing.T) {
	const files = 100_000
	var m memory
	var taken, printed atomic.Int64
	var ahead int64
	l, _, failed := newLister(t, &m)
	l.printed = func(path string, s sum) error {
		ahead = max(ahead, taken.Load()-printed.Load())
		require.Equal(t, name(int(printed.Load())), path)
		require.Equal(t, int64(len(path)), s.size)
		printed.Add(1)
		return nil
	}
	require.NoError(t, l.run(t.Context(), numbered(files, &taken)))
	assert.Empty(t, *failed)
	assert.EqualValues(t, files, printed.Load())
	assert.LessOrEqual(t, m.most.Load(), int64(8), "open files")
	assert.LessOrEqual(t, len(m.bufs), 8, "buffers")
	assert.LessOrEqual(t, ahead, int64(windowSize+3), "files taken and not printed")
	assert.Zero(t, m.open.Load())
}

// TestLister_RunsAheadOfASlowFile lets the first file wait until nothing else moves: the window is full then, and
// the walk waits for it.
func TestLister_RunsAheadOfASlowFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const files = 3 * windowSize
		release := make(chan struct{})
		m := memory{before: func(path string) error {
			if path == name(0) {
				<-release
			}
			return nil
		}}
		l, printed, failed := newLister(t, &m)
		var taken atomic.Int64
		done := make(chan error, 1)
		go func() { done <- l.run(t.Context(), numbered(files, &taken)) }()

		synctest.Wait()
		assert.Empty(t, *printed)
		// One is waited for, one waits for room in the window.
		assert.EqualValues(t, windowSize+2, taken.Load())
		assert.EqualValues(t, 1, m.open.Load(), "all others are done")
		close(release)
		require.NoError(t, <-done)
		assert.Empty(t, *failed)
		require.Len(t, *printed, files)
		for i, path := range *printed {
			require.Equal(t, name(i), path)
		}
	})
}

func TestLister_KeepsErrorsInOrder(t *testing.T) {
	m := memory{before: func(path string) error {
		if path == name(2) {
			return errors.New("unreadable")
		}
		return nil
	}}
	l, _, _ := newLister(t, &m)
	var got []string
	l.printed = func(path string, _ sum) error { got = append(got, path); return nil }
	l.failed = func(path string, err error) { got = append(got, path+" "+err.Error()) }
	var taken atomic.Int64
	tree := func(yield func(entry) bool) {
		for e := range numbered(5, &taken) {
			if !yield(e) || e.path == name(3) && !yield(entry{path: "dir", err: errors.New("lost")}) {
				return
			}
		}
	}
	require.NoError(t, l.run(t.Context(), tree))
	assert.Equal(t, []string{name(0), name(1), name(2) + " unreadable", name(3), "dir lost", name(4)}, got)
}

// TestLister_EndsWhenNobodyListens has a tree without an end: only the error of the output can end it. It comes when
// the window is full, so that the walk waits for room in it, and the bubble sees that nobody is left behind.
func TestLister_EndsWhenNobodyListens(t *testing.T) {
	closed := errors.New("closed")
	for what, breakIt := range map[string]func(l *lister){
		"printed": func(l *lister) { l.printed = func(string, sum) error { return closed } },
		"idle": func(l *lister) {
			calls := 0
			l.idle = func() error {
				if calls++; calls > 2 {
					return closed
				}
				return nil
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			m := memory{before: func(path string) error {
				if path == name(0) {
					<-release
				}
				return nil
			}}
			l, _, failed := newLister(t, &m)
			breakIt(l)
			var taken atomic.Int64
			done := make(chan error, 1)
			go func() { done <- l.run(t.Context(), numbered(-1, &taken)) }()
			synctest.Wait()
			close(release)
			assert.ErrorIs(t, <-done, closed, what)
			assert.Empty(t, *failed, what)
		})
	}
}

// TestLister_PrintsWhatIsDoneWhenCanceled cancels a tree without an end when its fourth file holds everything up. All
// others that were read by then are printed.
func TestLister_PrintsWhatIsDoneWhenCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		m := memory{before: func(path string) error {
			if path == name(3) {
				<-release
			}
			return nil
		}}
		l, printed, failed := newLister(t, &m)
		var taken atomic.Int64
		done := make(chan error, 1)
		go func() { done <- l.run(ctx, numbered(-1, &taken)) }()

		synctest.Wait()
		assert.Equal(t, []string{name(0), name(1), name(2)}, *printed)
		read := int(taken.Load())
		cancel()
		require.NoError(t, <-done, "and it does not wait for the fourth")
		var want []string
		for i := range read {
			if i != 3 {
				want = append(want, name(i))
			}
		}
		assert.Equal(t, want, *printed)
		assert.Empty(t, *failed, "being interrupted is no fault of a file")
	})
}

// TestLister_TellsThatItIsIdle wants each line to be passed on before the next file is waited for.
func TestLister_TellsThatItIsIdle(t *testing.T) {
	passedOn := make(chan struct{})
	var once sync.Once
	m := memory{before: func(path string) error {
		if path == name(1) {
			<-passedOn
		}
		return nil
	}}
	l, printed, _ := newLister(t, &m)
	l.idle = func() error {
		if len(*printed) == 1 {
			once.Do(func() { close(passedOn) })
		}
		return nil
	}
	var taken atomic.Int64
	require.NoError(t, l.run(t.Context(), numbered(2, &taken)))
	assert.Len(t, *printed, 2)
}
