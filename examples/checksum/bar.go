package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/seed-97bda89a/executor"
)

// barStep is the time from one drawing of the bar to the next.
const barStep = 100 * time.Millisecond

// progress is how far the work is. Tasks only count; drawing is up to the bar.
type progress struct {
	done  atomic.Int64 // bytes summed
	total atomic.Int64 // bytes there are, as far as they have been counted
	known atomic.Bool  // all have been counted
}

// bar is a progress bar; a nil one does nothing. Its owner sees to it that one method runs at a time.
type bar struct {
	drawing *progressbar.ProgressBar
	start   time.Time
	shown   *progress // the last that was drawn
}

// barParts is how many parts the bar has.
const barParts = 1000

func newBar(terminal io.Writer) *bar {
	return &bar{start: time.Now(), drawing: progressbar.NewOptions64(barParts,
		progressbar.OptionSetWriter(terminal),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
	)}
}

// draw shows how far p is.
func (b *bar) draw(p *progress) {
	if b == nil || p == nil {
		return
	}
	b.shown = p
	parts, text := p.describe(time.Since(b.start))
	b.drawing.Describe(text)
	_ = b.drawing.Set64(parts) // a terminal that went away is no reason to stop
}

// describe says how far p is after so long. Until all has been counted nobody knows which part is done, and none is
// shown: it would go back whenever more is found. A rate is shown once there has been time for one.
func (p *progress) describe(elapsed time.Duration) (parts int64, text string) {
	known := p.known.Load() // first: the total is the last one then
	done, total := p.done.Load(), p.total.Load()
	text = megabytes(done)
	if known && total > 0 {
		parts = min(barParts-1, int64(float64(done)/float64(total)*barParts)) // the last part would end the bar
		text += " of " + megabytes(max(done, total))
	}
	if elapsed >= time.Second {
		text += ", " + megabytes(int64(float64(done)/elapsed.Seconds())) + "/s"
	}
	if !known {
		text += ", counting"
	}
	return parts, text
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// hide takes the bar off the terminal until it is drawn again.
func (b *bar) hide() {
	if b != nil {
		_ = b.drawing.Clear()
	}
}

// watch draws the bar, if there is one, until stop is called. So that there is an end to draw it towards, a task runs
// ahead and counts the bytes of the tree.
func (s *screen) watch(
	ctx context.Context, exec *executor.Executor, root string, p *progress,
) (stop func(), err error) {
	if s.bar == nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	err = exec.Go(ctx, func(ctx context.Context) {
		executor.Blocking(ctx, func() { p.count(ctx, root) })
	})
	if err != nil {
		cancel()
		return nil, err
	}
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		ticker := time.NewTicker(barStep)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.mu.Lock()
				s.bar.draw(p)
				s.mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-drawn
		s.mu.Lock()
		defer s.mu.Unlock()
		s.bar.hide()
	}, nil
}

// count adds up the files of the tree at root, until ctx is done.
func (p *progress) count(ctx context.Context, root string) {
	for e := range walk(root) {
		if ctx.Err() != nil {
			return
		}
		if e.err != nil {
			continue // told by those who want its sum
		}
		if info, err := os.Stat(e.path); err == nil {
			p.total.Add(info.Size())
		}
	}
	p.known.Store(true)
}
