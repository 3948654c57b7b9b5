package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress is a line on a terminal that says how far a load run is; a nil one does nothing.
type progress struct {
	stop, drawn chan struct{}
}

// watch draws the line until finish is called, if f is a terminal.
func watch(f *os.File, total time.Duration, t *tally) *progress {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	p := &progress{make(chan struct{}), make(chan struct{})}
	bar := progressbar.NewOptions64(int64(total),
		progressbar.OptionSetWriter(f),
		progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
	)
	go func() {
		defer close(p.drawn)
		defer bar.Clear()
		start, ticker := time.Now(), time.NewTicker(100*time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-ticker.C:
				ok, turned, rest := t.counts()
				bar.Describe(fmt.Sprintf("%6d answered, %6d turned away, %6d other", ok, turned, rest))
				_ = bar.Set64(min(int64(time.Since(start)), int64(total)-1)) // a full bar would take itself off
			}
		}
	}()
	return p
}

// finish takes the line off the terminal.
func (p *progress) finish() {
	if p != nil {
		close(p.stop)
		<-p.drawn
	}
}
