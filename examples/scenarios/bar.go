package main

import (
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar is a progress line on a terminal; a nil one does nothing.
type bar struct{ drawing *progressbar.ProgressBar }

func newBar(f *os.File, steps int) *bar {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionThrottle(time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// say tells what goes on.
func (b *bar) say(what string) {
	if b != nil {
		b.drawing.Describe(what)
	}
}

// step tells what goes on, and that half a scenario is over.
func (b *bar) step(what string) {
	if b != nil {
		_ = b.drawing.Add(1) // a terminal that went away is no reason to stop
		b.drawing.Describe(what)
	}
}

// clear takes the line off the terminal until there is news.
func (b *bar) clear() {
	if b != nil {
		_ = b.drawing.Clear()
	}
}

// finish ends it.
func (b *bar) finish() { b.clear() }
