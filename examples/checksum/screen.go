package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// screen is standard error and the bar on it, if it is a terminal. Lines and bar never mix: whoever writes a line takes
// the bar away first, and it comes back with its next step.
type screen struct {
	mu     sync.Mutex // held while anything is written, to whichever of the two
	stderr io.Writer
	bar    *bar // nil where there is none
}

func newScreen(stderr *os.File) *screen {
	s := &screen{stderr: stderr}
	if isTerminal(stderr) {
		s.bar = newBar(stderr)
	}
	return s
}

// printf writes one line. It has nowhere to tell that it could not.
func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bar.hide()
	fmt.Fprintf(s.stderr, format+"\n", args...)
}

// beside returns a writer of whole lines to f, which keeps them apart from the bar if both are on a terminal.
func (s *screen) beside(f *os.File) io.Writer {
	if s.bar == nil || !isTerminal(f) {
		return f
	}
	return besideBar{s, f}
}

type besideBar struct {
	screen *screen
	io.Writer
}

func (b besideBar) Write(p []byte) (int, error) {
	b.screen.mu.Lock()
	defer b.screen.mu.Unlock()
	b.screen.bar.hide()
	n, err := b.Writer.Write(p)
	b.screen.bar.draw(b.screen.bar.shown) // at once, or a long list would keep it away
	return n, err
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
