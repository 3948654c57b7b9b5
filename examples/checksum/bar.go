package main

import (
	"context"
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
}

// bar is a progress bar; a nil one does nothing. Its owner sees to it that one method runs at a time.
type bar struct {
	drawing *progressbar.ProgressBar
}

func newBar(terminal io.Writer) *bar {
	return &bar{progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(terminal),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionUseANSICodes(true),
	)}
}

// draw shows how far p is. The total may still be growing, and the bar must not take having caught up for the end.
func (b *bar) draw(p *progress) {
	done := p.done.Load()
	b.drawing.ChangeMax64(max(p.total.Load(), done+1))
	_ = b.drawing.Set64(done) // a terminal that went away is no reason to stop
}

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
}
