package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clearLine is what takes a bar off a terminal.
const clearLine = "\x1b[2K\r"

// Mutants: a share of what has been counted so far; a rate of the first moment; the end when all that was counted is done.
func TestBar_NeverRunsBackwards(t *testing.T) {
	var terminal bytes.Buffer
	b := newBar(&terminal)
	var p progress
	last := int64(0)
	for _, step := range []struct {
		done, total int64
		known       bool
		share, text string
	}{
		{0, 0, false, "0%", "0.0 MB, counting"},
		{1e6, 1e6, false, "0%", "1.0 MB, counting"}, // the count is late
		{2e6, 40e6, false, "0%", "2.0 MB, counting"},
		{10e6, 40e6, true, "25%", "10.0 MB of 40.0 MB"},
		{20e6, 40e6, true, "50%", "20.0 MB of 40.0 MB"},
		{50e6, 40e6, true, "99%", "50.0 MB of 50.0 MB"}, // a file grew
	} {
		terminal.Reset()
		p.done.Store(step.done)
		p.total.Store(step.total)
		p.known.Store(step.known)
		b.draw(&p)
		assert.Contains(t, terminal.String(), step.share, "%+v", step)
		parts, text := p.describe(time.Millisecond)
		assert.GreaterOrEqual(t, parts, last, "%+v", step)
		assert.Equal(t, step.text, text)
		last = parts
	}
	_, text := p.describe(10 * time.Second)
	assert.Equal(t, "50.0 MB of 50.0 MB, 5.0 MB/s", text)
}

func TestScreen_KeepsLinesAndBarApart(t *testing.T) {
	var terminal bytes.Buffer
	s := &screen{stderr: &terminal, bar: newBar(&terminal)}
	p := new(progress)
	p.total.Store(1000)
	p.done.Store(300)
	s.bar.draw(p)
	terminal.Reset()
	s.printf("a line")
	assert.Equal(t, clearLine+"a line\n", terminal.String())

	var out bytes.Buffer
	_, err := besideBar{s, &out}.Write([]byte("a sum\n"))
	require.NoError(t, err)
	assert.Equal(t, "a sum\n", out.String())
	assert.Contains(t, terminal.String()[strings.LastIndex(terminal.String(), clearLine):], "counting", "the bar is there again at once")
}

func TestScreen_HasNoBarWithoutTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer f.Close()
	s := newScreen(f)
	assert.Nil(t, s.bar)
	assert.Same(t, f, s.beside(f))
	stop, err := s.watch(t.Context(), nil, ".", nil)
	require.NoError(t, err)
	stop()
	s.printf("%d line", 1)
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	assert.Equal(t, "1 line\n", string(text))
}

// TestScreen_WatchLeavesNoBarBehind runs the whole life of a bar. How often it is drawn depends on the machine.
func TestScreen_WatchLeavesNoBarBehind(t *testing.T) {
	var terminal bytes.Buffer
	s := &screen{stderr: &terminal, bar: newBar(&terminal)}
	exec := newExecutor(t)
	stop, err := s.watch(t.Context(), exec, tree(t, "a", "b/c"), new(progress))
	require.NoError(t, err)
	s.mu.Lock()
	s.bar.draw(new(progress))
	s.mu.Unlock()
	stop()
	assert.True(t, strings.HasSuffix(terminal.String(), clearLine), "%q", &terminal)
	assert.NoError(t, exec.Shutdown(t.Context()), "the count ends too")
}

func TestProgress_CountsTheTree(t *testing.T) {
	dir := tree(t, "1", "22/333")
	p := new(progress)
	p.count(t.Context(), dir)
	assert.EqualValues(t, len("1")+len("22/333"), p.total.Load())

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	p = new(progress)
	p.count(canceled, dir)
	assert.Zero(t, p.total.Load())
}
