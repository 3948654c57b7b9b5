package main

import (
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// bar is a progress bar on a terminal; a nil one does nothing.
type bar struct{ drawing *progressbar.ProgressBar }

func newBar(f *os.File, steps int) *bar {
	if f == nil || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(f),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// step may be called by many at once.
func (b *bar) step() {
	if b != nil {
		_ = b.drawing.Add(1) // a terminal that went away is no reason to stop
	}
}

// finish takes the bar off the terminal.
func (b *bar) finish() {
	if b != nil {
		_ = b.drawing.Clear()
	}
}

// watchMemory looks at the memory in use until the returned function is called, which says how much more than now
// it was at most.
func watchMemory() func() uint64 {
	runtime.GC()
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	use := func() uint64 {
		metrics.Read(samples)
		return samples[0].Value.Uint64() + samples[1].Value.Uint64()
	}
	before := use()
	most := before
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				most = max(most, use())
			case <-stop:
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return most - before
	}
}
