package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clearLine is what takes a bar off a terminal.
const clearLine = "\x1b[2K\r"

func TestBar_DoesNotTakeCatchingUpForTheEnd(t *testing.T) {
	var terminal bytes.Buffer
	b := newBar(&terminal)
	var p progress
	for _, step := range []struct {
		done, total int64
		want        string
	}{
		{0, 0, ""},
		{1000, 1000, "99%"}, // the count is late
		{1000, 4000, "25%"},
		{2000, 4000, "50%"},
		{5000, 4000, "99%"}, // a file grew
		{5000, 10_000, "50%"},
	} {
		terminal.Reset()
		p.done.Store(step.done)
		p.total.Store(step.total)
		b.draw(&p)
		assert.Contains(t, terminal.String(), step.want, "%+v", step)
	}
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
	assert.True(t, strings.HasSuffix(terminal.String(), clearLine))
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
